import json
import re
import shutil
import stat
import sys
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from onnxlet_cli.assets import template_path
from onnxlet_cli.cost import Extras
from onnxlet_cli.deploy.aws.cloud import Aws
from onnxlet_cli.deploy.aws.sam import unpack
from onnxlet_cli.deploy.cloud import Deployed, Options, Release
from onnxlet_cli.deploy.process import silent
from onnxlet_cli.errors import DeploymentError, ServiceError
from onnxlet_cli.package.target import Target
from onnxlet_publishing.errors import AccountError, UsageError
from onnxlet_publishing.publish import publish
from tests.helpers import graphs
from tests.helpers.cloud_tools import SAM, put_tool
from tests.helpers.http_recorder import Recorder, recording

REGION = "eu-central-1"


@pytest.fixture
def http() -> Iterator[Recorder]:
    with recording() as found:
        yield found


LIMITS = {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 900}


@pytest.fixture
def account() -> dict[str, int]:
    """The account's limits, as Lambda tells them; moto's Lambda does not know of any."""
    return dict(LIMITS)


@pytest.fixture
def limits(account: dict[str, int]) -> Iterator[str]:
    """Where Lambda is asked for them."""
    with recording({"/2016-08-19/account-settings": {"AccountLimit": account}}) as found:
        yield found.url


@pytest.fixture
def root(tmp_path: Path, s3_endpoint: str, http: Recorder, limits: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout, with moto as AWS and a stand-in for SAM's command."""
    for service in ("CLOUDFORMATION", "S3", "STS", "API_GATEWAY", "SQS"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", s3_endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", limits)
    monkeypatch.setenv("HTTP_URL", f"{http.url}/")
    put_tool(tmp_path / "bin", "sam", SAM, monkeypatch)
    shutil.copy(template_path(), tmp_path)
    return tmp_path


@pytest.fixture
def package(tmp_path: Path) -> Path:
    path = tmp_path / "package.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("main.py", "1")
        archive.writestr("onnxlet/app.py", "2")
    return path


def aws(root: Path, name: str, **options: str) -> Aws:
    return Aws(Options(name=name, region=REGION, **options), root)  # type: ignore[arg-type]


def deployed(cloud: Aws, package: Path, prefetch: str | None = None) -> Deployed:
    cloud.find()
    return cloud.apply(Release(package, "digits", prefetch), silent)


def test_it_says_to_which_account_and_region_it_will_go(root: Path) -> None:
    assert aws(root, "first").check() == (f'stack "first" in {REGION}, account 123456789012, by {root / "bin/sam"}')


def test_a_stack_that_is_not_there_is_none(root: Path) -> None:
    assert aws(root, "nowhere").find() is None


def test_what_was_applied_is_found_with_its_model_and_places(root: Path, package: Path, http: Recorder) -> None:
    applied = deployed(aws(root, "places"), package)
    found = aws(root, "places").find()
    assert found == applied
    assert found is not None
    assert (found.model, found.variant, found.outputs.http_url) == ("digits", None, f"{http.url}/")
    assert found.outputs.registry_url.startswith("s3://places-models-")


def test_the_same_again_changes_nothing_and_says_so(root: Path, package: Path) -> None:
    lines: list[str] = []
    for _ in range(2):
        cloud = aws(root, "twice")
        cloud.find()
        cloud.apply(Release(package, "digits", "x"), lines.append)
    assert lines[1:] == ["deploy   CREATE_COMPLETE", "deploy   nothing has changed"]


def test_what_is_not_said_stays_as_it_was(root: Path, package: Path) -> None:
    first = Options("stays", REGION, arch="x86_64", python="3.12", auth="none", memory_mib=512)
    deployed(Aws(first, root), package, "x")
    again = aws(root, "stays")
    deployed(again, package, "y")
    assert again.target() == Target("aws", "x86_64", "3.12")
    stack = boto3.client("cloudformation", region_name=REGION).describe_stacks(StackName="stays")["Stacks"][0]
    parameters = {item["ParameterKey"]: item["ParameterValue"] for item in stack["Parameters"]}
    assert len(parameters.pop("Revision")) == 10
    assert parameters == {
        "Architecture": "x86_64",
        "MemorySize": "512",
        "ModelName": "digits",
        "Prefetch": "y",
        "RefreshSeconds": "60",
        "SnapStart": "false",
        "ProvisionedConcurrency": "0",
        "Runtime": "python3.12",
        "UrlAuth": "NONE",
        "Variant": "",
    }


def test_the_package_is_made_for_the_architecture_and_the_runtime_that_are_set(root: Path) -> None:
    cloud = Aws(Options("set", REGION, others={"Architecture": "x86_64", "Runtime": "python3.12"}), root)
    assert cloud.target() == Target("aws", "x86_64", "3.12")


@pytest.mark.parametrize(
    ("name", "option", "named"),
    [
        ("UrlAuth", "--auth", {"auth": "iam"}),
        ("MemorySize", "--memory", {"memory_mib": 512}),
        ("Architecture", "--arch", {"arch": "arm64"}),
        ("Runtime", "--python", {"python": "3.13"}),
    ],
)
def test_a_setting_is_named_once(root: Path, name: str, option: str, named: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"--set {name}: expected it or {option}, which .* got both"):
        Aws(Options("set", REGION, others={name: "NONE"}, **named), root)


def test_any_parameter_of_the_template_can_be_set(root: Path, package: Path) -> None:
    options = Options("others", REGION, others={"Variant": "int8", "RefreshSeconds": "5"})
    assert deployed(Aws(options, root), package).variant == "int8"


def test_what_a_stack_turns_on_is_billed_with_it(root: Path, package: Path) -> None:
    template = (template_path()).read_text()
    always = Extras(
        queues=len(re.findall(r"^ +Type: SQS$", template, re.MULTILINE)),
        alarms=template.count("Type: AWS::CloudWatch::Alarm"),
        dashboards=template.count("Type: AWS::CloudWatch::Dashboard"),
    )
    assert aws(root, "extras").extras() == always
    set_ = {"SnapStart": "true", "ProvisionedConcurrency": "3"}
    asking = Aws(Options("extras", REGION, auth="api-key", others=set_), root)
    assert asking.extras() == replace(always, has_snapshots=True, provisioned=3, has_api=True)
    deployed(asking, package)
    later = aws(root, "extras")
    later.find()
    assert later.extras() == replace(always, has_snapshots=True, provisioned=3, has_api=True), "what is not named stays"
    off = Aws(Options("extras", REGION, auth="iam", others={"SnapStart": "false", "ProvisionedConcurrency": "0"}), root)
    off.find()
    assert off.extras() == always


def test_a_registry_there_is_written_with_the_same_credentials(root: Path, package: Path) -> None:
    cloud = aws(root, "registry")
    registry = cloud.open_registry(deployed(cloud, package).outputs.registry_url)
    publish(registry, graphs.digits_candidate())
    assert registry.models() == ["digits"]


def test_a_request_is_signed_where_iam_is_asked(root: Path, package: Path, http: Recorder) -> None:
    cloud = aws(root, "signed")
    reply = cloud.send(deployed(cloud, package).outputs, "/v2/models/digits/infer", b"body", {"x-a": "b"})
    assert reply is not None
    assert reply.status == 200
    ((method, path, headers, body),) = http.requests
    assert (method, path, headers["x-a"], body) == ("POST", "/v2/models/digits/infer", "b", b"body")
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=test/")
    assert f"/{REGION}/lambda/aws4_request" in headers["authorization"]


def test_a_request_to_whom_anybody_may_call_has_no_signature(root: Path, package: Path, http: Recorder) -> None:
    cloud = aws(root, "open", auth="none")
    cloud.send(deployed(cloud, package).outputs, "/v2/health/live", None, {})
    assert "authorization" not in http.requests[0][2]


def test_a_request_has_the_key_where_one_is_asked(
    root: Path, package: Path, http: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = boto3.client("apigateway", region_name=REGION).create_api_key(name="k", value="a" * 20 + "secret")
    monkeypatch.setenv("API_KEY_ID", key["id"])
    cloud = aws(root, "key", auth="api-key")
    cloud.send(deployed(cloud, package).outputs, "/v2/health/live", None, {})
    assert http.requests[0][2]["x-api-key"] == "a" * 20 + "secret"
    assert "secret" not in str(cloud.describe(deployed(cloud, package).outputs, "digits"))


def test_a_cloud_of_ones_own_gets_the_request_that_is_meant_for_a_function_url(
    root: Path, package: Path, http: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_URL", "https://abc.lambda-url.eu-central-1.on.aws/")
    cloud = aws(root, "own", auth="none")
    outputs = deployed(cloud, package).outputs
    monkeypatch.setenv("AWS_ENDPOINT_URL", http.url)
    cloud.send(outputs, "/v2/health/live", None, {})
    assert http.requests[0][2]["host"] == "abc.lambda-url.eu-central-1.on.aws"


def test_what_is_removed_leaves_the_buckets_and_says_how_they_go(root: Path, package: Path) -> None:
    cloud = aws(root, "gone")
    deployed(cloud, package)
    kept = cloud.remove(silent)
    assert cloud.find() is None
    assert {each.kind for each in kept} == {"AWS::S3::Bucket"}
    assert len(kept) == 3


def test_what_is_not_deployed_cannot_be_removed(root: Path) -> None:
    with pytest.raises(DeploymentError, match='no stack "nowhere" in eu-central-1'):
        aws(root, "nowhere").remove(silent)


def test_what_sam_says_is_passed_on_with_what_to_do(root: Path, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM_FAILS", "Unable to upload artifact, the bucket does not exist")
    with pytest.raises(DeploymentError, match=r"Unable to upload artifact, .* then run the same command again"):
        deployed(aws(root, "fails"), package)


def test_a_stack_of_somebody_else_is_left_alone(root: Path) -> None:
    boto3.client("cloudformation", region_name=REGION).create_stack(
        StackName="theirs", TemplateBody='{"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}'
    )
    with pytest.raises(DeploymentError, match="it is not onnxlet's, or older than this checkout; take another --stack"):
        aws(root, "theirs").find()


def test_without_a_region_it_is_said_how_to_name_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    with pytest.raises(UsageError, match="no AWS region: give --region, or set AWS_REGION"):
        Aws(Options(), root).check()


def test_without_credentials_it_is_said_how_to_get_them(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AccountError, match="no AWS credentials: run `aws configure`"):
        aws(root, "none").check()


def test_a_region_that_does_not_exist_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    with pytest.raises(ServiceError, match=f"the region {REGION}: AWS does not answer"):
        aws(root, "none").check()


def test_options_of_the_other_cloud_are_refused(root: Path) -> None:
    with pytest.raises(UsageError, match="--project"):
        aws(root, "x", project="p")
    with pytest.raises(UsageError, match="--auth key: expected one of iam, none, api-key"):
        aws(root, "x", auth="key")


def test_a_parameter_that_the_template_lacks_is_refused_before_anything_is_asked(root: Path) -> None:
    options = Options("typo", REGION, others={"RefreshSecond": "5"})
    with pytest.raises(UsageError, match=r"--set RefreshSecond: template\.yaml has no such parameter"):
        Aws(options, root).check()


def parameters_of(name: str) -> dict[str, str]:
    stack = boto3.client("cloudformation", region_name=REGION).describe_stacks(StackName=name)["Stacks"][0]
    return {item["ParameterKey"]: item["ParameterValue"] for item in stack["Parameters"]}


def test_each_parameter_of_a_function_makes_another_revision_and_no_other_does(root: Path, package: Path) -> None:
    revisions = []
    groups = {"VpcSubnetIds": "subnet-1", "VpcSecurityGroupIds": "sg-1"}
    for others in ({}, {}, {"LogDays": "7"}, groups, {"VpcSecurityGroupIds": "sg-2"}):
        cloud = Aws(Options("revisions", REGION, others=others), root)
        for _ in range(2):  # as a first deployment does, before and after it knows what to expect
            deployed(cloud, package, "x")
        revisions.append(parameters_of("revisions")["Revision"])
    same, again, logs, network, moved = revisions
    assert same == again == logs
    assert len({same, network, moved}) == 3


def test_an_expectation_that_no_function_has_room_for_is_left_out(root: Path, package: Path) -> None:
    deployed(aws(root, "long"), package, "x" * 2049)
    assert parameters_of("long")["Prefetch"] == ""


class TestConcurrency:
    def test_a_new_account_gets_no_more_than_it_can_run(
        self, root: Path, package: Path, account: dict[str, int]
    ) -> None:
        account |= {"ConcurrentExecutions": 10, "UnreservedConcurrentExecutions": 10}
        cloud = aws(root, "new")
        assert cloud.check().endswith(
            "; BatchConcurrency 5 and ObjectConcurrency 2 instead of more, for the account has 10 environments at a "
            "time, 10 of them not reserved"
        )
        deployed(cloud, package)
        found = parameters_of("new")
        assert (found["BatchConcurrency"], found["ObjectConcurrency"]) == ("5", "2")

    def test_what_a_new_account_cannot_reserve_is_refused_before_anything_is_deployed(
        self, root: Path, account: dict[str, int]
    ) -> None:
        account |= {"ConcurrentExecutions": 10, "UnreservedConcurrentExecutions": 10}
        cloud = Aws(Options("reserves", REGION, others={"ReservedConcurrency": "5"}), root)
        with pytest.raises(UsageError, match="ReservedConcurrency: expected at most 0, got 5: all functions"):
            cloud.check()

    def test_credentials_that_may_not_ask_for_it_deploy_all_the_same(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:9")
        assert "; its concurrency is unknown (lambda:GetAccountSettings: " in aws(root, "unknown").check()


class TestTags:
    def test_tags_are_the_stacks_and_those_that_are_not_named_stay(self, root: Path, package: Path) -> None:
        for memory, tags in ((512, {"team": "vision", "cost": "1"}), (513, {"cost": "2"}), (514, {})):
            # moto takes no update of tags alone
            deployed(Aws(Options("tagged", REGION, memory_mib=memory, tags=tags), root), package)
        stack = boto3.client("cloudformation", region_name=REGION).describe_stacks(StackName="tagged")["Stacks"][0]
        assert {item["Key"]: item["Value"] for item in stack["Tags"]} == {"team": "vision", "cost": "2"}

    @pytest.mark.parametrize(
        ("key", "value"), [("aws:x", "1"), ("k" * 129, ""), ("k", "v" * 257), ("k", 'a"b'), ("", "")]
    )
    def test_what_aws_takes_for_no_tag_is_refused(self, root: Path, key: str, value: str) -> None:
        with pytest.raises(UsageError, match=r"--tag .*expected KEY=VALUE of letters"):
            Aws(Options("x", REGION, tags={key: value}), root).check()

    def test_more_than_aws_takes_are_refused(self, root: Path) -> None:
        with pytest.raises(UsageError, match="--tag: expected at most 50, got 51"):
            Aws(Options("x", REGION, tags={str(number): "" for number in range(51)}), root).check()


class TestExistingBuckets:
    @pytest.fixture
    def bucket(self, root: Path) -> str:
        assert root.exists()  # with which S3 is moto's
        name = f"photos-{uuid.uuid4()}"
        place = {"LocationConstraint": REGION}
        boto3.client("s3", region_name=REGION).create_bucket(Bucket=name, CreateBucketConfiguration=place)
        return name

    @staticmethod
    def announced(bucket: str) -> list[str]:
        found = boto3.client("s3", region_name=REGION).get_bucket_notification_configuration(Bucket=bucket)
        return [each["QueueArn"].rpartition(":")[2] for each in found.get("QueueConfigurations", [])]

    def test_its_objects_are_announced_until_another_is_named_or_the_stack_goes(
        self, root: Path, package: Path, bucket: str
    ) -> None:
        lines: list[str] = []
        for place, names in ((bucket, ["announced-Queue"]), ("", [])):
            cloud = Aws(Options("announced", REGION, others={"InputBucket": place}), root)
            cloud.check()
            cloud.find()
            cloud.apply(Release(package, "digits", None), lines.append)
            assert self.announced(bucket) == names
        assert f"announce objects under s3://{bucket}/in/ to the queue" in lines
        assert f"removed  the notification of s3://{bucket} to the stack's queue" in lines
        cloud = Aws(Options("announced", REGION, others={"InputBucket": bucket}), root)
        deployed(cloud, package)
        assert self.announced(bucket) == ["announced-Queue"]
        aws(root, "announced").remove(silent)
        assert self.announced(bucket) == []

    def test_a_second_stack_is_refused_the_inputs_of_the_first(self, root: Path, package: Path, bucket: str) -> None:
        deployed(Aws(Options("first-of-two", REGION, others={"InputBucket": bucket}), root), package)
        Aws(Options("first-of-two", REGION), root).check()
        with pytest.raises(UsageError, match=r"announces new objects under in/ to .*first-of-two-Queue"):
            Aws(Options("second-of-two", REGION, others={"InputBucket": bucket}), root).check()

    def test_a_notification_that_cannot_be_removed_stops_nothing(self, root: Path, package: Path, bucket: str) -> None:
        deployed(Aws(Options("stays-on", REGION, others={"InputBucket": bucket}), root), package)
        boto3.client("s3", region_name=REGION).delete_bucket(Bucket=bucket)
        lines: list[str] = []
        aws(root, "stays-on").remove(lines.append)
        assert any(line.startswith(f"announce s3://{bucket} still names the stack's queue: ") for line in lines)

    def test_one_that_is_not_there_is_refused_before_anything_is_deployed(self, root: Path) -> None:
        with pytest.raises(UsageError, match="RegistryBucket=nowhere-at-all: there is no such bucket"):
            Aws(Options("x", REGION, others={"RegistryBucket": "nowhere-at-all"}), root).check()

    @pytest.mark.parametrize(("former", "named"), [("", "theirs"), ("ours", "theirs"), ("ours", "")])
    def test_functions_that_run_keep_the_registry_that_has_their_models(
        self, root: Path, package: Path, former: str, named: str
    ) -> None:
        name = f"keeps-{uuid.uuid4().hex[:8]}"
        applied = deployed(Aws(Options(name, REGION, others={"RegistryBucket": former}), root), package)
        with pytest.raises(UsageError, match=f"RegistryBucket={named}: expected the registry of what is depl"):
            Aws(Options(name, REGION, others={"RegistryBucket": named}), root).find()
        same = former or applied.outputs.registry_url.split("/")[2]
        assert Aws(Options(name, REGION, others={"RegistryBucket": same}), root).find() == applied


def test_sam_is_the_caller_that_this_command_is(
    root: Path, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a profile that says its region, too, and that a process is asked for once."""
    tool, config, calls = tmp_path / "tool.py", tmp_path / "config", tmp_path / "calls"
    answer = {"Version": 1, "AccessKeyId": "ASIA", "SecretAccessKey": "secret", "SessionToken": "token"}
    tool.write_text(f"open({str(calls)!r}, 'a').write('x')\nprint({json.dumps(answer)!r})")
    config.write_text(f"[profile work]\nregion = eu-west-3\ncredential_process = {sys.executable} {tool}\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.delenv(name)
    for name, value in {"CONFIG_FILE": str(config), "PROFILE": "work", "DEFAULT_REGION": "eu-west-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("SAM_SAYS", str(tmp_path / "says.json"))
    cloud = Aws(Options("caller", REGION), root)
    cloud.check()
    cloud.open_registry(deployed(cloud, package).outputs.registry_url).models()
    said = json.loads((tmp_path / "says.json").read_text())
    assert "AWS_PROFILE" not in said
    assert (said["AWS_ACCESS_KEY_ID"], said["AWS_SESSION_TOKEN"]) == ("ASIA", "token")
    assert {said["AWS_REGION"], said["AWS_DEFAULT_REGION"]} == {REGION}
    assert calls.read_text() == "x", "by this command, by the registry and by SAM together"


def test_old_versions_that_cannot_be_looked_at_are_reported_and_no_more(root: Path, package: Path) -> None:
    cloud = aws(root, "tidy")
    deployed(cloud, package)
    lines: list[str] = []
    cloud.tidy(lines.append)
    assert lines == [], "there are none"
    boto3.client("cloudformation", region_name=REGION).delete_stack(StackName="tidy")
    cloud.tidy(lines.append)
    assert lines == ['versions not removed: no stack "tidy" in eu-central-1: nothing has this name']


def test_an_unpacked_package_can_be_read_by_lambdas_user_and_holds_nothing_of_an_earlier_one(
    package: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "dist/onnxlet-aws"
    (folder / "old").mkdir(parents=True)
    unpack(package, folder)
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.py")) == ["main.py", "onnxlet/app.py"]
    assert not (folder / "old").exists()
    assert stat.S_IMODE((folder / "main.py").stat().st_mode) == 0o644
    assert stat.S_IMODE((folder / "onnxlet").stat().st_mode) == 0o755
