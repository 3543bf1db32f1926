"""The template's values against the services' own API models: lengths, patterns, ranges and enumerations of botocore.

CloudFormation passes most properties on as they are, under names that differ in case alone. Each is compared with the
member of that name of the request that makes the resource; references, which only AWS resolves, are left out.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session
import pytest
from botocore.model import ServiceModel, Shape

from tests.helpers.template_stack import LONGEST
from tests.infra import template
from tests.infra.test_deployer import VARIANTS

CALLS = {
    "AWS::ApiGateway::ApiKey": ("apigateway", "CreateApiKey"),
    "AWS::ApiGateway::Method": ("apigateway", "PutMethod"),
    "AWS::ApiGateway::Resource": ("apigateway", "CreateResource"),
    "AWS::ApiGateway::RestApi": ("apigateway", "CreateRestApi"),
    "AWS::ApiGateway::Stage": ("apigateway", "CreateStage"),
    "AWS::ApiGateway::UsagePlan": ("apigateway", "CreateUsagePlan"),
    "AWS::ApiGateway::UsagePlanKey": ("apigateway", "CreateUsagePlanKey"),
    "AWS::CloudWatch::Alarm": ("cloudwatch", "PutMetricAlarm"),
    "AWS::CloudWatch::Dashboard": ("cloudwatch", "PutDashboard"),
    "AWS::CodeDeploy::Application": ("codedeploy", "CreateApplication"),
    "AWS::CodeDeploy::DeploymentGroup": ("codedeploy", "CreateDeploymentGroup"),
    "AWS::IAM::ManagedPolicy": ("iam", "CreatePolicy"),
    "AWS::IAM::Role": ("iam", "CreateRole"),
    "AWS::Lambda::Alias": ("lambda", "CreateAlias"),
    "AWS::Lambda::EventSourceMapping": ("lambda", "CreateEventSourceMapping"),
    "AWS::Lambda::Function": ("lambda", "CreateFunction"),
    "AWS::Lambda::Permission": ("lambda", "AddPermission"),
    "AWS::Lambda::Url": ("lambda", "CreateFunctionUrlConfig"),
    "AWS::Lambda::Version": ("lambda", "PublishVersion"),
    "AWS::Logs::LogGroup": ("logs", "CreateLogGroup"),
    "AWS::S3::Bucket": ("s3", "PutBucketEncryption"),
    "AWS::SQS::Queue": ("sqs", "CreateQueue"),
    "AWS::StepFunctions::StateMachine": ("stepfunctions", "CreateStateMachine"),
}
"""The request that makes a resource."""

OTHERS = {
    "AWS::ApiGateway::Deployment": "has no properties but references",
    "AWS::S3::BucketPolicy": "is a document of our own, which test_iam.py reads",
    "AWS::SQS::QueuePolicy": "likewise",
}

EXTREMES: tuple[dict[str, str], ...] = (*VARIANTS, LONGEST, {**LONGEST, "UrlAuth": "API_KEY", "SnapStart": "true"})

REFERENCE = re.compile(r"<[\w.]+>")


@cache
def model_of(service: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model(service)


@cache
def shape_of(kind: str) -> Shape:
    service, operation = CALLS[kind]
    found = model_of(service).operation_model(operation).input_shape
    assert found is not None
    return found


def faults(shape: Shape, value: Any, where: str) -> Iterator[str]:
    """Give a line for each value that the service would refuse."""
    if isinstance(value, dict):
        for name, item in value.items():
            member = member_of(shape, name)
            if member is not None:
                yield from faults(member, item, f"{where}.{name}")
    elif isinstance(value, list):
        for number, item in enumerate(value if shape.type_name == "list" else []):
            yield from faults(shape.member, item, f"{where}[{number}]")
    elif not REFERENCE.search(str(value)):
        yield from scalar_faults(shape, str(value), where)


def member_of(shape: Shape, name: str) -> Shape | None:
    """Return what a structure or a map has under a name; None where the service calls it otherwise."""
    if shape.type_name == "map":
        return shape.value
    members = shape.members if shape.type_name == "structure" else {}
    return next((member for key, member in members.items() if key.lower() == name.lower()), None)


def scalar_faults(shape: Shape, value: str, where: str) -> Iterator[str]:
    limits, pattern = shape.metadata, shape.metadata.get("pattern")
    if shape.type_name in {"integer", "long"} and not re.fullmatch(r"-?\d+", value):
        yield f"{where}: {value} is no whole number"
        return
    is_number = shape.type_name in {"integer", "long", "double", "float"}
    size = float(value) if is_number else len(value)
    if not limits.get("min", size) <= size <= limits.get("max", size):
        yield f"{where}: {value!r} is outside of {limits.get('min')} to {limits.get('max')}"
    if "enum" in limits and value not in limits["enum"]:
        yield f"{where}: {value!r} is none of {limits['enum']}"
    if pattern and shape.type_name == "string" and not re.fullmatch(to_python(pattern), value, re.DOTALL):
        yield f"{where}: {value!r} does not match {pattern}"


def to_python(pattern: str) -> str:
    r"""A service's pattern as Python writes it: `\p{L}` and its like stand for any character here."""
    return re.sub(r"\\p\{\w+\}", r"\\w\\W", pattern).replace("account", "")


@pytest.mark.parametrize("number", range(len(EXTREMES)))
def test_no_service_refuses_what_the_template_says(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(template.PSEUDO, "AWS::AccountId", "123456789012")
    given = {name: value.replace("account", "123456789012") for name, value in EXTREMES[number].items()}
    found = template.translate(**given).resources
    assert {item["Type"] for item in found.values()} <= CALLS.keys() | OTHERS.keys()
    lines = [
        line
        for name, item in found.items()
        if item["Type"] in CALLS
        for line in faults(shape_of(item["Type"]), item.get("Properties", {}), name)
    ]
    assert lines == []


@pytest.mark.parametrize(
    ("kind", "properties", "fault"),
    [
        ("AWS::Lambda::Version", {"Description": "x" * 257}, "outside of 0 to 256"),
        ("AWS::Lambda::Function", {"MemorySize": "64"}, "outside of 128"),
        ("AWS::Lambda::Function", {"Runtime": "python2"}, "is none of"),
        ("AWS::Lambda::EventSourceMapping", {"ScalingConfig": {"MaximumConcurrency": "1"}}, "outside of 2"),
        ("AWS::ApiGateway::UsagePlan", {"Throttle": {"BurstLimit": "0.5"}}, "no whole number"),
        ("AWS::IAM::Role", {"PermissionsBoundary": "x"}, "outside of 20"),
        ("AWS::IAM::Role", {"Description": "x" * 1001}, "outside of"),
    ],
)
def test_a_value_that_a_service_would_refuse_is_found(kind: str, properties: dict[str, Any], fault: str) -> None:
    lines = list(faults(shape_of(kind), properties, "Planted"))
    assert any(fault in line for line in lines), lines
