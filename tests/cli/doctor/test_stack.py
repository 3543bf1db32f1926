import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from onnxlet.contract import expectation
from onnxlet.record import replace
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet_cli.doctor.examine import STACK, examine
from onnxlet_cli.doctor.finding import Finding
from onnxlet_cli.doctor.machine import pinned_onnxruntime
from onnxlet_cli.doctor.stack import examine as examine_stack
from onnxlet_cli.doctor.versions import Examination
from onnxlet_publishing.publish import publish
from tests.conftest import BUCKET
from tests.helpers import graphs, keys
from tests.helpers.findings import one, only, wrong

ROLE = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": "*"}]}


@pytest.fixture(autouse=True)
def aws(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """moto's server is AWS."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)


@pytest.fixture
def registry(s3_endpoint: str) -> Registry:
    """A registry in a bucket, with two versions of `sums`."""
    found = Registry(open_store(f"s3://{BUCKET}/{uuid.uuid4()}", StorageSettings(s3_endpoint)))
    for _ in range(2):
        publish(found, graphs.candidate("sums", graphs.sums()))
    return found


@pytest.fixture
def stacks() -> Iterator[list[str]]:
    made: list[str] = []
    yield made
    for name in made:
        boto3.client("cloudformation", region_name="us-east-1").delete_stack(StackName=name)


def function(environment: dict[str, str], **properties: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Handler": "main.aws_http",
            "Runtime": "python3.13",
            "Architectures": ["arm64"],
            "MemorySize": 1769,
            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            "Code": {"ZipFile": "pass"},
            "Environment": {"Variables": environment},
            **properties,
        },
    }


def deploy(stacks: list[str], *functions: dict[str, Any], **outputs: str) -> str:
    """A stack of these functions; gives its name."""
    name = f"stack-{uuid.uuid4()}"
    resources = {f"Function{index}": each for index, each in enumerate(functions)}
    role = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": ROLE}}
    template = {
        "Resources": {"Role": role, **resources},
        "Outputs": {key: {"Value": value} for key, value in outputs.items()},
    }
    if not outputs:
        del template["Outputs"]
    stacks.append(name)
    client = boto3.client("cloudformation", region_name="us-east-1")
    client.create_stack(StackName=name, TemplateBody=json.dumps(template))
    return name


def environment(registry: Registry, **more: str) -> dict[str, str]:
    return {"ONNXLET_REGISTRY": registry.store.url, "ONNXLET_MODEL": "sums", **more}


def look(name: str, registry: Registry | None = None) -> list[Finding]:
    return list(examine_stack(name, registry, Examination(pinned_onnxruntime())))


def test_a_stack_in_order_has_no_finding(stacks: list[str], registry: Registry) -> None:
    told = expectation.to_text(registry.resolve("sums"), None, str(pinned_onnxruntime()))
    found = look(deploy(stacks, function(environment(registry, ONNXLET_PREFETCH=told))))
    assert wrong(found) == []
    codes = [finding.code for finding in found]
    assert codes[0] == "stack"
    assert {"registry", "artifacts", "golden"} <= set(codes)
    assert codes[-4:] == ["function", "settings", "memory", "prefetch"]
    one(found, "ok", "function", "python3.13 on ", "1769 MiB")


def test_a_stack_that_is_not_there_is_named() -> None:
    only(look("no-such-stack"), "error", "stack_missing", "us-east-1", "AWS_REGION")


def test_a_missing_region_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    only(look("any"), "error", "stack_region", "AWS_REGION")


def test_missing_credentials_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    only(look("any"), "error", "stack_denied", "aws configure")


def test_an_aws_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    only(look("any"), "error", "stack_unreachable", "does not answer")


def test_a_stack_of_others_is_named(stacks: list[str]) -> None:
    only(look(deploy(stacks, function({"OTHER": "1"}))), "error", "stack_functions", "ONNXLET_REGISTRY")


def test_a_prefetch_of_another_version_is_named(stacks: list[str], registry: Registry) -> None:
    told = expectation.to_text(registry.version("sums", 1), None, str(pinned_onnxruntime()))
    publish(registry, graphs.candidate("sums", graphs.two_inputs()))
    name = deploy(stacks, function(environment(registry, ONNXLET_PREFETCH=told)))
    only(look(name), "warning", "prefetch_stale", "version than 3", "onnxlet prefetch sums")


def test_a_live_version_that_the_function_does_not_trust_is_named(
    stacks: list[str], registry: Registry, tmp_path: Path
) -> None:
    name = deploy(stacks, function(environment(registry, ONNXLET_PUBLIC_KEYS=keys.text(1))))
    only(look(name), "error", "signature_untrusted", "sums version", "got none", "--sign")
    publish(registry, graphs.candidate("sums", graphs.sums()), sign=keys.sign(tmp_path))
    one(look(name), "ok", "signature", "it trusts sums version")


def test_an_old_python_is_named(stacks: list[str], registry: Registry) -> None:
    name = deploy(stacks, function(environment(registry), Runtime="python3.11"))
    only(look(name), "error", "function_runtime", "python3.11", "python3.12", "--python 3.13")


def test_too_little_memory_is_named(stacks: list[str], registry: Registry) -> None:
    model = next(each for each in registry.resolve("sums").artifacts if each.role == "model")
    large = replace(model, size_bytes=150 * 1024**2, part_digests=())
    registry.publish(replace(registry.resolve("sums"), artifacts=(large,)), {})
    name = deploy(stacks, function(environment(registry), MemorySize=256))
    one(look(name), "error", "memory_small", "150 MiB of graphs", "128 MiB for models", "give the function")


def test_a_default_model_that_is_not_published_is_named(stacks: list[str], registry: Registry) -> None:
    name = deploy(stacks, function(environment(registry, ONNXLET_MODEL="none")))
    only(look(name), "error", "function_model", 'model "none"', "onnxlet publish FILE --name none")


def test_results_among_the_inputs_are_named(stacks: list[str], registry: Registry) -> None:
    places = {"ONNXLET_INPUTS": "s3://photos/in", "ONNXLET_RESULTS": "s3://photos/in/results"}
    found = look(deploy(stacks, function(environment(registry, **places))))
    only(found, "error", "settings_loop", "lies inside")


def test_results_in_a_bucket_whose_objects_are_events_are_named(stacks: list[str], registry: Registry) -> None:
    bucket = f"photos-{uuid.uuid4()}"
    queue = boto3.client("sqs", region_name="us-east-1").create_queue(QueueName=bucket)["QueueUrl"].rpartition("/")[2]
    rule = {"Key": {"FilterRules": [{"Name": "prefix", "Value": "in/"}]}}
    arn = f"arn:aws:sqs:us-east-1:123456789012:{queue}"
    events = [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"], "Filter": rule}]
    watched = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": bucket}}
    places = ({"ONNXLET_RESULTS": f"s3://{bucket}/{prefix}"} for prefix in ("in/results", "out"))
    name = deploy(stacks, watched, *(function(environment(registry, **place)) for place in places))
    client = boto3.client("s3", region_name="us-east-1")
    client.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": events}
    )
    only(look(name), "error", "settings_loop", f"s3://{bucket}/in/results/ among the inputs s3://{bucket}/in/")


def test_a_registry_that_is_missing_is_named(stacks: list[str], registry: Registry) -> None:
    name = deploy(stacks, function(environment(registry, ONNXLET_REGISTRY="file:///no/such/folder")))
    only(look(name), "error", "registry_missing", "file:///no/such/folder")


def test_the_url_of_a_stack_is_asked(stacks: list[str], registry: Registry) -> None:
    name = deploy(stacks, function(environment(registry)), HttpUrl="http://127.0.0.1:9")
    only(look(name), "error", "url_unreachable", "127.0.0.1:9")


def test_the_machine_is_looked_at_before_a_stack() -> None:
    found = list(examine(f"{STACK}no-such-stack"))
    assert found[0].code == "python"
    assert found[-1].code == "stack_missing"
