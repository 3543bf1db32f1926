"""The whole way of a deployment: the real commands and the real `sam deploy` of template.yaml, on MiniStack.

The tests are steps: each goes on where the one before it has stopped.
"""

import http.client
import io
import json
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.message import Message
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import boto3
import numpy as np
import onnx
import pytest
from PIL import Image
from tritonclient.http import InferenceServerClient, InferInput

from onnxlet import session
from onnxlet.contract import expectation
from onnxlet_cli.registry import open_registry
from onnxlet_publishing.publish import publish
from tests.helpers import graphs
from tests.helpers.local_aws import ARCH, HERE, ORIGINS, PATIENCE_S, PRODUCTION, PYTHON, STACK, Aws
from tests.infra import ministack

pytestmark = [
    pytest.mark.deploy,
    pytest.mark.skipif(
        not (ministack.EXECUTABLE.exists() and ministack.SAM.exists()), reason="needs `make deploy-local`"
    ),
]


Found = TypeVar("Found")


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """An AWS in which the functions are deployed with a model of a local registry."""
    folder = tmp_path_factory.mktemp("aws")
    publish(open_registry((folder / "local").as_uri(), create=True), graphs.digits_candidate())
    with pytest.MonkeyPatch.context() as patch, ministack.running(folder) as url:
        patch.setenv("AWS_ENDPOINT_URL", url)
        found = Aws(url, folder)
        done = found.deploy(
            "--set", "RefreshSeconds=1", "--set", "LogDays=7", "--tag", "team=vision", "--tag", "query=a=b"
        )
        assert "it gives the golden answer" in done.stderr  # by a signed request
        yield found


def png(shade: int) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (28, 28), shade).save(stream, "PNG")
    return stream.getvalue()


def eventually(look: Callable[[], Found | None]) -> Found:
    """What appears before long."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.3)
    raise TimeoutError("it did not appear")


def count(aws: Aws) -> int:
    """How many versions of the functions there are."""
    client = aws.client("lambda")
    names = [item["FunctionName"] for item in client.list_functions()["Functions"]]
    return sum(len(client.list_versions_by_function(FunctionName=name)["Versions"]) for name in names)


def test_what_lambda_has_is_the_package(aws: Aws) -> None:
    assert Path(aws.package["path"]).name == f"onnxlet-aws-{ARCH}-python{PYTHON}.zip"
    code = aws.client("lambda").get_function(FunctionName=aws.outputs["HttpFunction"])["Code"]["Location"]
    with urllib.request.urlopen(code, timeout=60) as reply:
        uploaded = zipfile.ZipFile(io.BytesIO(reply.read()))
    packaged = zipfile.ZipFile(aws.package["path"])
    assert sorted(uploaded.namelist()) == sorted(packaged.namelist())
    assert all(uploaded.read(name) == packaged.read(name) for name in packaged.namelist())


def test_the_functions_are_told_which_blobs_to_expect(aws: Aws) -> None:
    live = aws.registry().resolve("digits")
    for name in ("HttpFunction", "ObjectFunction"):
        told = aws.client("lambda").get_function_configuration(FunctionName=aws.outputs[name])
        found = told["Environment"]["Variables"]["ONNXLET_PREFETCH"]
        assert found == expectation.to_text(live, None, session.runtime().version)


def test_nobody_may_call_unsigned(aws: Aws) -> None:
    assert aws.get("/v2/health/live")[0] == 403


def test_a_plan_of_the_same_changes_nothing(aws: Aws) -> None:
    before = dict(aws.outputs), dict(aws.package)
    assert json.loads(aws.deploy("--plan").stdout)["changes"] == []
    aws.outputs, aws.package = before


def test_a_second_deployment_changes_nothing(aws: Aws) -> None:
    before = count(aws)
    done = aws.deploy()
    assert "nothing has changed" in done.stderr
    assert count(aws) == before
    assert aws.registry().versions("digits") == [1]


def test_who_may_call_is_changed_by_deploying_again_and_the_rest_stays(aws: Aws) -> None:
    assert "nothing has changed" not in aws.deploy("--auth", "none").stderr
    stack = aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
    parameters = {item["ParameterKey"]: item["ParameterValue"] for item in stack["Parameters"]}
    assert (parameters["UrlAuth"], parameters["RefreshSeconds"], parameters["LogDays"]) == ("NONE", "1", "7")
    assert aws.get("/v2/health/live")[0] == 200


def test_tags_are_on_the_stack_and_on_what_it_holds_and_stay(aws: Aws) -> None:
    """Two deployments later, which have named none."""
    stack = aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
    assert {item["Key"]: item["Value"] for item in stack["Tags"]} == {"team": "vision", "query": "a=b"}
    found = aws.client("lambda").get_function(FunctionName=aws.outputs["HttpFunction"])["Tags"]
    assert found.items() >= {"team": "vision", "query": "a=b"}.items()


def test_what_a_function_depends_on_is_published_and_old_versions_are_removed(aws: Aws) -> None:
    """But for two, beside the one that answers."""
    client, name = aws.client("lambda"), aws.outputs["HttpFunction"]
    answering = [client.get_alias(FunctionName=name, Name="live")["FunctionVersion"]]
    network = ["--set", "VpcSubnetIds=subnet-1,subnet-2", "--set", "VpcSecurityGroupIds=sg-1"]
    for change in (network, ["--set", "VpcSecurityGroupIds=sg-2"], ["--set", "ExplainRuns=100"]):
        aws.deploy(*change)
        answering.append(client.get_alias(FunctionName=name, Name="live")["FunctionVersion"])
    assert len(set(answering)) == 4, "each change has published one, also that of a security group alone"
    live = answering[-1]
    assert versions(aws) == [live], "CloudFormation itself deletes what a new description replaces"
    for text in ("one", "two", "three", "four"):  # as new code leaves them, which SAM retains
        client.update_function_configuration(FunctionName=name, Description=text)
        client.publish_version(FunctionName=name)
    left = [version for version in versions(aws) if version != live]
    assert "removed  2 old versions of the functions" in aws.deploy().stderr
    assert versions(aws) == [live, *left[-2:]]


def versions(aws: Aws) -> list[str]:
    """The published versions of the HTTP function, the oldest first."""
    found = aws.client("lambda").list_versions_by_function(FunctionName=aws.outputs["HttpFunction"])["Versions"]
    return sorted((item["Version"] for item in found if item["Version"] != "$LATEST"), key=int)


def test_buckets_that_exist_already_are_used_and_left_as_they_were(aws: Aws) -> None:
    s3 = aws.client("s3")
    names = {"RegistryBucket": "our-models", "InputBucket": "our-inputs", "ResultsBucket": "our-results"}
    for bucket in names.values():
        s3.create_bucket(Bucket=bucket)
    before = dict(aws.outputs), dict(aws.package)
    chosen = [word for name, bucket in names.items() for word in ("--set", f"{name}={bucket}")]
    aws.deploy("--stack", "ours", *chosen)
    assert [aws.outputs[name] for name in ("registry_url", "input_url", "results_url")] == [
        "s3://our-models/registry",
        "s3://our-inputs/in",
        "s3://our-results/objects",
    ]
    source = aws.put("photo.png", png(90))
    assert eventually(lambda: aws.results().get(source))["model"] == "digits"
    done = aws.onnxlet("destroy", "--stack", "ours", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kept"] == []
    assert "QueueConfigurations" not in s3.get_bucket_notification_configuration(Bucket="our-inputs")
    for bucket in names.values():
        assert s3.list_objects_v2(Bucket=bucket).get("Contents"), "what lies in it stays"
        for item in s3.list_objects_v2(Bucket=bucket)["Contents"]:
            s3.delete_object(Bucket=bucket, Key=item["Key"])
        s3.delete_bucket(Bucket=bucket)
    aws.outputs, aws.package = before


def test_the_function_url_answers_nvidias_client(aws: Aws) -> None:
    client = InferenceServerClient(aws.url.removeprefix("http://"))
    headers = {"Host": aws.host}
    assert client.is_model_ready("digits", headers=headers)
    image = np.random.default_rng(0).random((1, 28, 28, 1), np.float32)
    tensor = InferInput("input", [1, 28, 28, 1], "FP32")
    tensor.set_data_from_numpy(image, binary_data=True)
    answer = client.infer("digits", [tensor], headers=headers)
    assert answer.as_numpy("output").sum() == pytest.approx(1)
    client.close()


def test_an_object_that_is_put_ends_as_a_result(aws: Aws) -> None:
    source = aws.put("a photo, größer.png", png(90))
    result = eventually(lambda: aws.results().get(source))
    assert (result["model"], result["version"]) == ("digits", 1)
    assert len(result["predictions"][0]["top"]) > 1


def test_a_poison_object_ends_as_a_document_that_says_why(aws: Aws) -> None:
    source = aws.put("poison.png", b"no image")
    result = eventually(lambda: aws.results().get(source))
    assert result["code"] == "unreadable_payload"
    assert "predictions" not in result


def test_a_poison_message_ends_among_the_dead_letters(aws: Aws) -> None:
    sqs = aws.client("sqs")
    dead = aws.outputs["DeadLetterQueueUrl"]
    (queue,) = {url for url in sqs.list_queues()["QueueUrls"] if url != dead and "Dead" not in url}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "1"})  # a test cannot wait for minutes
    sqs.send_message(QueueUrl=queue, MessageBody="no event")
    message = eventually(lambda: sqs.receive_message(QueueUrl=dead).get("Messages"))
    assert message[0]["Body"] == "no event"


def test_a_new_version_goes_live_without_a_redeploy_and_back(aws: Aws) -> None:
    before = count(aws)
    path = aws.folder / "second.onnx"
    onnx.save(graphs.classifier(1), path)
    (aws.folder / "labels.txt").write_text("\n".join("0123456789"))
    (aws.folder / "preprocess.json").write_text('{"height": 28, "width": 28, "channels": 1}')
    registry = aws.outputs["registry_url"]
    more = ("--labels", str(aws.folder / "labels.txt"), "--preprocess", str(aws.folder / "preprocess.json"))
    done = aws.onnxlet("publish", str(path), "--name", "digits", *more, "--registry", registry)
    assert done.stdout.splitlines()[-1] == "digits version 2 is live", done.stderr
    eventually(lambda: answering(aws) == "2")
    source = aws.put("second.png", png(91))
    assert eventually(lambda: aws.results().get(source))["version"] == 2
    assert aws.onnxlet("rollback", "digits", "--registry", registry).stdout == "digits version 1 is live\n"
    eventually(lambda: answering(aws) == "1")
    assert count(aws) == before


def answering(aws: Aws) -> str:
    """The version that answers."""
    body = {"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 28, 28, 1], "data": [0.5] * 784}]}
    request = urllib.request.Request(
        f"{aws.url}/v2/models/digits/infer", json.dumps(body).encode(), headers={"Host": aws.host}
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        version: str = json.loads(reply.read())["model_version"]
        return version


def test_the_deployment_itself_asks_one_object_and_leaves_nothing_of_it(aws: Aws) -> None:
    done = aws.deploy("--set", f"CorsOrigins={ORIGINS}")
    assert "object   its result is the golden answer" in done.stderr
    s3 = aws.client("s3")
    for name in ("input_url", "results_url"):
        found = s3.list_object_versions(Bucket=urlsplit(aws.outputs[name]).netloc)
        keys = [item["Key"] for kind in ("Versions", "DeleteMarkers") for item in found.get(kind, [])]
        assert not [key for key in keys if "onnxlet-deploy-" in key]


def test_a_browser_s_preflight_is_answered_for_listed_origins_alone(aws: Aws) -> None:
    """MiniStack answers a few paths itself, with a `*` of its own; no other origin may ever be named."""
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-api-key"}
    for origin in ORIGINS.split(","):
        status, headers = ask_as_page(aws, "OPTIONS", "/v2/models/digits/infer", {"Origin": origin, **asked})
        assert (status, origin in headers.get_all("access-control-allow-origin", [])) == (204, True)
        assert "content-type,x-api-key" in headers.get_all("access-control-allow-headers", [])
        status, headers = ask_as_page(aws, "GET", "/v2/models/nope", {"Origin": origin})
        assert (status, origin in headers.get_all("access-control-allow-origin", [])) == (404, True)
    for method, path in (("OPTIONS", "/v2/models/digits/infer"), ("GET", "/v2/models/nope")):
        _, headers = ask_as_page(aws, method, path, {"Origin": "https://evil.example", **asked})
        assert set(headers.get_all("access-control-allow-origin", [])) <= {"*"}


def ask_as_page(aws: Aws, method: str, path: str, headers: dict[str, str]) -> tuple[int, Message]:
    """Ask the Function URL as a browser does for a page; gives the status and the headers."""
    connection = http.client.HTTPConnection(urlsplit(aws.url).netloc, timeout=60)
    connection.request(method, path, headers={"Host": aws.host, **headers})
    reply = connection.getresponse()
    reply.read()
    connection.close()
    return reply.status, reply.headers


def test_a_version_is_promoted_from_one_stack_to_another_byte_for_byte(aws: Aws) -> None:
    stage = aws.folder / "production.txt"
    stage.write_text("# production\nRefreshSeconds=1\nLogDays=14\nUrlAuth=NONE\n")
    local = (aws.folder / "local").as_uri()
    with aws.mending():
        more = ("--registry", local, "--stage-file", str(stage), *HERE, "--json")
        deployed = aws.onnxlet("deploy", "--stack", PRODUCTION, *more)
    assert deployed.returncode == 0, deployed.stderr
    outputs = json.loads(deployed.stdout)["outputs"]
    stack = aws.client("cloudformation").describe_stacks(StackName=PRODUCTION)["Stacks"][0]
    parameters = {item["ParameterKey"]: item["ParameterValue"] for item in stack["Parameters"]}
    assert (parameters["RefreshSeconds"], parameters["LogDays"], parameters["UrlAuth"]) == ("1", "14", "NONE")
    production = open_registry(outputs["registry_url"])
    for is_new in (True, False):
        done = aws.onnxlet("promote", "digits", "2", "--from", STACK, "--to", PRODUCTION, "--json")
        assert done.returncode == 0, done.stderr
        assert "gives the golden answer" in done.stderr
        expected = {"model": "digits", "version": 2, "live": True, "copied": is_new, "moved": is_new}
        assert json.loads(done.stdout) == expected
    assert production.resolve("digits") == aws.registry().version("digits", 2)
    there = replace(aws, outputs={**outputs, **outputs["others"]})
    eventually(lambda: answering(there) == "2")
    kept = aws.onnxlet("destroy", "--stack", PRODUCTION, "--yes", "--json")
    assert kept.returncode == 0, kept.stderr
    for item in json.loads(kept.stdout)["kept"]:
        bucket = boto3.resource("s3", endpoint_url=aws.url, region_name="us-east-1").Bucket(item["name"])
        bucket.object_versions.delete()
        bucket.delete()


def test_a_removed_deployment_leaves_what_is_kept_on_purpose_and_nothing_else(aws: Aws) -> None:
    done = aws.onnxlet("destroy", "--stack", STACK, "--yes", "--json")
    assert done.returncode == 0, done.stderr
    kept = {item["name"] for item in json.loads(done.stdout)["kept"]}
    urls = (aws.outputs[name] for name in ("registry_url", "input_url", "results_url"))
    assert kept == {urlsplit(url).netloc for url in urls}
    buckets = {item["Name"] for item in aws.client("s3").list_buckets()["Buckets"]}
    assert {name for name in buckets if not name.startswith("aws-sam-cli-managed")} == kept
    inputs = urlsplit(aws.outputs["input_url"]).netloc
    assert "QueueConfigurations" not in aws.client("s3").get_bucket_notification_configuration(Bucket=inputs)
    (uploads,) = buckets - kept
    assert aws.client("s3").list_objects_v2(Bucket=uploads).get("Contents", []) == []
    assert left(aws) == {}


def left(aws: Aws) -> dict[str, list[str]]:
    """What is there beside buckets, by what it is."""
    stacks = aws.client("cloudformation").list_stacks()["StackSummaries"]
    found = {
        "functions": [item["FunctionName"] for item in aws.client("lambda").list_functions()["Functions"]],
        "mappings": [item["UUID"] for item in aws.client("lambda").list_event_source_mappings()["EventSourceMappings"]],
        "queues": aws.client("sqs").list_queues().get("QueueUrls", []),
        "machines": [item["name"] for item in aws.client("stepfunctions").list_state_machines()["stateMachines"]],
        "logs": [item["logGroupName"] for item in aws.client("logs").describe_log_groups()["logGroups"]],
        "alarms": [item["AlarmName"] for item in aws.client("cloudwatch").describe_alarms()["MetricAlarms"]],
        "dashboards": [
            item["DashboardName"] for item in aws.client("cloudwatch").list_dashboards()["DashboardEntries"]
        ],
        "roles": [item["RoleName"] for item in aws.client("iam").list_roles()["Roles"]],
        "stacks": [
            item["StackName"]
            for item in stacks
            if item["StackStatus"] != "DELETE_COMPLETE" and not item["StackName"].startswith("aws-sam-cli-managed")
        ],
    }
    return {kind: names for kind, names in found.items() if names}
