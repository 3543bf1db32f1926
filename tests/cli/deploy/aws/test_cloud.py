import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import boto3
import pytest

from onnxlet_cli.assets import template_path
from onnxlet_cli.cost.offers import Extras
from onnxlet_cli.deploy.aws.cloud import Aws
from onnxlet_cli.deploy.cloud import Options, Release
from onnxlet_cli.deploy.process import silent
from onnxlet_cli.errors import DeploymentError, ServiceError
from onnxlet_cli.package.target import Target
from onnxlet_publishing.errors import AccountError, UsageError
from onnxlet_publishing.publish import publish
from tests.helpers import graphs
from tests.helpers.aws_deployment import REGION, aws, deployed
from tests.helpers.http_recorder import Recorder


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
