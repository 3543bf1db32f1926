"""The stack of template.yaml with given parameters, and what its parameters change."""

import functools
import math
import re
from typing import Any

from onnxlet.contract import expectation
from tests.helpers import keys
from tests.infra import template
from tests.infra.template import Stack

FUNCTIONS = {
    "HttpFunction": "main.aws_http",
    "ObjectFunction": "main.aws_objects",
    "MapFunction": "main.aws_map",
    "SummaryFunction": "main.aws_summary",
}


CHANGES: dict[str, dict[str, str]] = {
    "ModelName": {"ModelName": "cats"},
    "Variant": {"Variant": "int8"},
    "Prefetch": {"Prefetch": f"*={'a' * 64}:10,{'b' * 64}:20"},
    "RefreshSeconds": {"RefreshSeconds": "5"},
    "PublicKeys": {"PublicKeys": keys.text(1)},
    "CaptureShare": {"CaptureShare": "0.05"},
    "CaptureInputs": {"CaptureInputs": "1"},
    "UrlAuth": {"UrlAuth": "API_KEY"},
    "Access": {"Access": "keys"},
    "Edge": {"Edge": "1"},
    "BasePath": {"BasePath": "/ml"},
    "CorsOrigins": {"CorsOrigins": "https://app.example.com"},
    "ExplainRuns": {"ExplainRuns": "0"},
    "GenerateLength": {"GenerateLength": "4096"},
    "ApiRequestsPerSecond": {"ApiRequestsPerSecond": "5"},
    "ApiRequestsPerMonth": {"ApiRequestsPerMonth": "5"},
    "Architecture": {"Architecture": "x86_64"},
    "Runtime": {"Runtime": "python3.14"},
    "MemorySize": {"MemorySize": "3538"},
    "Timeout": {"Timeout": "60"},
    "SnapStart": {"SnapStart": "true"},
    "ProvisionedConcurrency": {"ProvisionedConcurrency": "2"},
    "ReservedConcurrency": {"ReservedConcurrency": "20"},
    "ObjectConcurrency": {"ObjectConcurrency": "20"},
    "BatchConcurrency": {"BatchConcurrency": "20"},
    "BatchItems": {"BatchItems": "20"},
    "ToleratedFailurePercentage": {"ToleratedFailurePercentage": "20"},
    "KeepDays": {"KeepDays": "20"},
    "LogDays": {"LogDays": "90"},
    "KmsKeyArn": {"KmsKeyArn": "arn:aws:kms:us-east-1:account:key/name"},
    "VpcSubnetIds": {"VpcSubnetIds": "subnet-1,subnet-2", "VpcSecurityGroupIds": "sg-1"},
    "VpcSecurityGroupIds": {"VpcSubnetIds": "subnet-1,subnet-2", "VpcSecurityGroupIds": "sg-1,sg-2"},
    "RegistryBucket": {"RegistryBucket": "my-models"},
    "InputBucket": {"InputBucket": "my-inputs"},
    "ResultsBucket": {"ResultsBucket": "my-results"},
    "PermissionsBoundary": {"PermissionsBoundary": "arn:aws:iam::account:policy/boundary"},
    "Revision": {"Revision": "0123456789"},
    "AlarmTopic": {"AlarmTopic": "arn:aws:sns:us-east-1:account:topic"},
    "SlowMilliseconds": {"SlowMilliseconds": "20"},
    "CanaryDeployment": {"CanaryDeployment": "true"},
}
"""For each parameter, another value than its default."""


UNVERSIONED = ("ReservedConcurrentExecutions", "Tags")
"""Of a function's properties, those that are no part of a version."""


@functools.cache
def stack(**given: str) -> Stack:
    return template.translate(**given)


def environment(found: Stack, function: str) -> dict[str, str]:
    """A function's variables, with bucket names in place of references."""
    variables = found.of_type("AWS::Lambda::Function")[function]["Environment"]["Variables"]
    return {name: re.sub(r"<(\w+)>", lambda match: match[1].lower(), value) for name, value in variables.items()}


LONGEST = {
    "ModelName": "m" * 63,
    "Variant": "v" * 24,
    "Prefetch": f"{'a' * expectation.NAME_DIGITS}=;".ljust(2048, "b"),
    "RefreshSeconds": "86400",
    "PublicKeys": f"{keys.text(1)},{keys.text(2)}",
    "CaptureShare": "0.00001",
    "CaptureInputs": "1",
    "Access": "keys",
    "Edge": "1",
    "BasePath": f"/{'b' * 11}",
    "CorsOrigins": "https://app.example.com".ljust(512, "m"),
    "ExplainRuns": "10000",
    "GenerateLength": "4096",
    "Runtime": "python3.14",
    "MemorySize": "10240",
    "Timeout": "300",
    "RegistryBucket": "r" * 63,
    "InputBucket": "i" * 63,
    "ResultsBucket": "o" * 63,
    "VpcSubnetIds": ",".join(f"subnet-{number:017}" for number in range(16)),
    "VpcSecurityGroupIds": ",".join(f"sg-{number:017}" for number in range(5)),
    "Revision": "0123456789",
}
"""For each parameter that a function depends on, as long a value as it takes, and as `onnxlet deploy` gives it."""


def is_valid(declared: dict[str, Any], value: str) -> bool:
    """Whether CloudFormation takes a value for a parameter."""
    if "AllowedValues" in declared:
        return value in map(str, declared["AllowedValues"])
    if declared["Type"] == "Number":
        return bool(declared.get("MinValue", -math.inf) <= float(value) <= declared.get("MaxValue", math.inf))
    fits = bool(len(value) <= declared.get("MaxLength", 4096))
    return fits and re.fullmatch(declared.get("AllowedPattern", ".*"), value, re.DOTALL) is not None
