"""What the roles of template.yaml let their functions do, by meaning: each policy is asked, as IAM would be.

The questions are of all that lies in the three buckets and outside of them; what must be allowed is taken from the
functions' own environment, and everything else must not be.
"""

import copy
import functools
import re
from collections.abc import Iterator, Mapping, Set
from typing import Any

import pytest

from tests.helpers.iam_policies import NEVER, is_allowed
from tests.infra import template
from tests.infra.template import Stack, statements

ROLES = {
    "HttpRole": "HttpFunction",
    "ObjectRole": "ObjectFunction",
    "MapRole": "MapFunction",
    "SummaryRole": "SummaryFunction",
}


SERVICES = {"BatchRole": "states.amazonaws.com", "ShiftRole": "codedeploy.amazonaws.com"}
"""By whom a role is taken, where not by Lambda."""


PREFIXES = {
    "Models": ("registry", "registry-of-others", ""),
    "Inputs": ("in", "inside", "batch", "batches", "manifests", ""),
    "Results": ("http", "https", "objects", "batch", "summaries", ""),
}
"""Places in the buckets: those that are used, some whose names begin alike, and the root."""


READ = ("s3:GetObject",)


WRITE = ("s3:PutObject",)


WITHOUT_RESOURCES = {
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
}
"""Actions that AWS knows for all resources alone; none of them touches data.

Source: Service Authorization Reference, "AWS X-Ray", "Amazon CloudWatch Logs"."""


AWS_POLICIES = {"arn:aws:iam::aws:policy/service-role/AWSLambdaENIManagementAccess"}
"""AWS's own that are used: network interfaces in a VPC, which have no narrower resource and are no data."""


KEY = "arn:aws:kms:us-east-1:account:key/name"


GIVEN: tuple[dict[str, str], ...] = (
    {},
    {"KmsKeyArn": KEY},
    {"VpcSubnetIds": "subnet-1", "VpcSecurityGroupIds": "sg-1"},
    # Named as the stack's own are here, so that each question is the same.
    {"RegistryBucket": "<Models>", "InputBucket": "<Inputs>", "ResultsBucket": "<Results>"},
)


@functools.cache
def _translated(given: tuple[tuple[str, str], ...]) -> Stack:
    return template.translate(**dict(given))


def stack(given: Mapping[str, str] | None = None) -> Stack:
    return _translated(tuple(sorted((given or {}).items())))


def policies(found: Stack, role: str) -> list[dict[str, Any]]:
    """All statements of a role, of its own and of the managed policies that it names."""
    properties = found.of_type("AWS::IAM::Role")[role]
    documents = [item["PolicyDocument"] for item in properties.get("Policies", [])]
    ours = [name.strip("<>") for name in properties.get("ManagedPolicyArns", []) if name not in AWS_POLICIES]
    documents += [found.of_type("AWS::IAM::ManagedPolicy")[name]["PolicyDocument"] for name in ours]
    return [statement for document in documents for statement in statements(document)]


def places() -> Iterator[tuple[str, str]]:
    """Every bucket with every prefix of it."""
    for bucket, prefixes in PREFIXES.items():
        yield from ((bucket, prefix) for prefix in prefixes)
    yield "SomebodyElses", "registry"


def bucket_arn(bucket: str) -> str:
    return f"arn:aws:s3:::<{bucket}>"


def object_arn(bucket: str, prefix: str) -> str:
    return f"{bucket_arn(bucket)}/{prefix}/a/b.png" if prefix else f"{bucket_arn(bucket)}/b.png"


def parse_place(url: str) -> tuple[str, str]:
    match = re.fullmatch(r"s3://<(\w+)>/(\w+)", url)
    assert match, url
    return match[1], match[2]


def needed(found: Stack, function: str) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """What a function must read and write, by its own environment."""
    variables = found.of_type("AWS::Lambda::Function")[function]["Environment"]["Variables"]
    results = parse_place(variables["ONNXLET_RESULTS"])
    reads = {results}  # to see that what is there already is the same, and to sign the URL of an answer
    if function != "SummaryFunction":
        reads |= {parse_place(variables["ONNXLET_REGISTRY"]), parse_place(variables["ONNXLET_INPUTS"])}
    return reads, {results}


def faults(found: Stack) -> list[str]:
    """What is wrong with the roles: one line for each thing that is too much, or missing."""
    wrong = []
    for role, function in ROLES.items():
        reads, writes = needed(found, function)
        wrong += [f"{role}: {line}" for line in check(policies(found, role), reads, writes, reads)]
    listed, manifests, summaries = {("Inputs", "batch")}, {("Inputs", "manifests")}, {("Results", "summaries")}
    batch = check(policies(found, "BatchRole"), manifests | summaries, summaries, listed)
    wrong += [f"BatchRole: {line}" for line in batch]
    for role in found.of_type("AWS::IAM::Role"):
        wrong += [f"{role}: {line}" for line in wildcards(policies(found, role))]
    return wrong


Places = Set[tuple[str, str]]
"""Buckets with prefixes."""


def check(asked: list[dict[str, Any]], reads: Places, writes: Places, lists: Places) -> Iterator[str]:
    """Ask for each place what may be done there."""
    for bucket, prefix in places():
        place = (bucket, prefix)
        for actions, allowed in ((READ, reads), (WRITE, writes), (NEVER, frozenset[tuple[str, str]]())):
            for action in actions:
                yield from check_one(asked, action, object_arn(bucket, prefix), expected=place in allowed)
                yield from check_one(asked, action, bucket_arn(bucket), expected=False)
        if place not in reads:
            yield from check_one(asked, "s3:GetObjectVersion", object_arn(bucket, prefix), expected=False)
        for listed in (f"{prefix}/", f"{prefix}/a/b.png") if prefix else ("", "b.png"):
            context = {"s3:prefix": listed}
            yield from check_one(asked, "s3:ListBucket", bucket_arn(bucket), context, expected=place in lists)
        yield from check_one(asked, "s3:ListBucket", bucket_arn(bucket), expected=False)


def check_one(
    asked: list[dict[str, Any]], action: str, resource: str, context: Mapping[str, str] | None = None, *, expected: bool
) -> Iterator[str]:
    """A line where IAM would answer something else than what is expected."""
    if is_allowed(asked, action, resource, context) != expected:
        where = f" at {context}" if context else ""
        yield f"{action} on {resource}{where}: expected {'allowed' if expected else 'denied'}"


def wildcards(asked: list[dict[str, Any]]) -> Iterator[str]:
    """Wildcard actions, and wildcard resources of what has narrower ones."""
    for statement in asked:
        if statement["Effect"] != "Allow":
            continue
        if statement.keys() & {"NotAction", "NotResource"}:
            yield f"{statement}: allows all but something"
        for action in statement.get("Action", []):
            if "*" in action or "?" in action:
                yield f"{action}: a wildcard action"
            elif action not in WITHOUT_RESOURCES:
                yield from (f"{action} on {item}" for item in statement["Resource"] if not is_ours(item))


def is_ours(resource: str) -> bool:
    """Whether a resource is one of the stack's own, or the key that was given to it."""
    head = resource.partition("*")[0]
    return resource == KEY or bool(re.match(r"(arn:aws:s3:::)?<\w+", head)) or ":stack-batch" in head


@pytest.mark.parametrize("given", GIVEN)
def test_each_function_may_do_what_its_settings_need_and_nothing_else(given: dict[str, str]) -> None:
    assert faults(stack(given)) == []


def test_each_function_has_the_role_that_is_asked_here() -> None:
    found = stack().of_type("AWS::Lambda::Function")
    assert {item["Role"]: name for name, item in found.items()} == {
        f"<{role}.Arn>": function for role, function in ROLES.items()
    }
    assert stack().of_type("AWS::StepFunctions::StateMachine")["Batch"]["RoleArn"] == "<BatchRole.Arn>"
    assert stack().of_type("AWS::IAM::Role").keys() == {*ROLES, "BatchRole"}, "SAM adds none"


def test_only_the_functions_of_objects_may_read_versions() -> None:
    """A notification and a manifest may name one; an HTTP request cannot."""
    for role in ROLES:
        bucket, prefix = ("Inputs", "batch" if role == "MapRole" else "in")
        may = is_allowed(policies(stack(), role), "s3:GetObjectVersion", object_arn(bucket, prefix))
        assert may == (role in {"ObjectRole", "MapRole"})


def test_a_role_is_taken_by_its_own_service_alone() -> None:
    for name, role in stack({"CanaryDeployment": "true"}).of_type("AWS::IAM::Role").items():
        (statement,) = statements(role["AssumeRolePolicyDocument"])
        service = SERVICES.get(name, "lambda.amazonaws.com")
        assert statement["Principal"] == {"Service": service}


def test_a_key_is_used_through_s3_alone() -> None:
    found = stack({"KmsKeyArn": KEY})
    for role in found.of_type("AWS::IAM::Role"):
        asked = policies(found, role)
        for action in ("kms:Decrypt", "kms:GenerateDataKey"):
            assert is_allowed(asked, action, KEY, {"kms:ViaService": "s3.us-east-1.amazonaws.com"})
            assert not is_allowed(asked, action, KEY)
            assert not is_allowed(asked, action, f"{KEY}-of-others", {"kms:ViaService": "s3.us-east-1.amazonaws.com"})
        assert not any("kms" in action for each in policies(stack(), role) for action in each["Action"])


def test_in_china_a_key_is_used_through_s3_by_the_name_that_it_has_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"Partition": "aws-cn", "Region": "cn-north-1", "URLSuffix": "amazonaws.com.cn"}.items():
        monkeypatch.setitem(template.PSEUDO, f"AWS::{name}", value)
    found = template.translate(KmsKeyArn=KEY)
    assert is_allowed(
        policies(found, "MapRole"), "kms:Decrypt", KEY, {"kms:ViaService": "s3.cn-north-1.amazonaws.com.cn"}
    )


def test_every_role_has_the_boundary_that_the_account_requires() -> None:
    boundary = "arn:aws:iam::account:policy/boundary"
    given = {"PermissionsBoundary": boundary, "CanaryDeployment": "true"}
    roles = stack(given).of_type("AWS::IAM::Role")
    assert roles.keys() == {*ROLES, "BatchRole", "ShiftRole"}, "SAM adds none"
    assert {item["PermissionsBoundary"] for item in roles.values()} == {boundary}
    assert all("PermissionsBoundary" not in item for item in stack().of_type("AWS::IAM::Role").values())


def test_the_state_machine_calls_its_two_functions_and_starts_itself_alone() -> None:
    asked = policies(stack(), "BatchRole")
    for function in ROLES.values():
        may = is_allowed(asked, "lambda:InvokeFunction", f"<{function}Aliaslive>")
        assert may == (function in {"MapFunction", "SummaryFunction"})
    machine = stack().of_type("AWS::StepFunctions::StateMachine")["Batch"]["StateMachineName"]
    arn = "arn:aws:states:us-east-1:account:{}"
    assert is_allowed(asked, "states:StartExecution", arn.format(f"stateMachine:{machine}"))
    assert not is_allowed(asked, "states:StartExecution", arn.format("stateMachine:another"))
    for action in ("states:DescribeExecution", "states:StopExecution", "states:RedriveExecution"):
        assert is_allowed(asked, action, arn.format(f"execution:{machine}/Prefix:name:child"))
        assert not is_allowed(asked, action, arn.format(f"execution:{machine}-of-others:name"))
    assert is_allowed(asked, "states:DescribeMapRun", arn.format(f"mapRun:{machine}/Prefix:name"))


def test_the_queue_is_the_functions_for_objects_alone() -> None:
    for role in ROLES:
        for action in ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"):
            assert is_allowed(policies(stack(), role), action, "<Queue.Arn>") == (role == "ObjectRole")
        assert not is_allowed(policies(stack(), role), "sqs:SendMessage", "<Queue.Arn>")


PLANTED: list[tuple[str, dict[str, Any], str]] = [
    (
        "HttpRole",
        {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::<Inputs>/*"},
        "GetObject on arn:aws:s3:::<Inputs>/batch",
    ),
    ("HttpRole", {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::<Models>/registry*"}, "registry-of-others"),
    (
        "HttpRole",
        {"Action": "s3:PutObject", "Resource": "arn:aws:s3:::<Models>/registry/*"},
        "PutObject on arn:aws:s3:::<Models>",
    ),
    (
        "ObjectRole",
        {"Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::<Inputs>/in/*"},
        "DeleteObject on arn:aws:s3:::<Inputs>",
    ),
    (
        "ObjectRole",
        {"Action": "s3:ListBucket", "Resource": "arn:aws:s3:::<Inputs>"},
        "s3:ListBucket on arn:aws:s3:::<Inputs>: expected denied",
    ),
    ("MapRole", {"Action": "s3:*", "Resource": "arn:aws:s3:::<Results>/batch/*"}, "s3:*: a wildcard action"),
    ("MapRole", {"Action": "s3:Get*", "Resource": "arn:aws:s3:::<Inputs>/batch/*"}, "s3:Get*: a wildcard action"),
    ("SummaryRole", {"Action": "s3:GetObject", "Resource": "*"}, "s3:GetObject on *"),
    ("SummaryRole", {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::*"}, "s3:GetObject on arn:aws:s3:::*"),
    ("BatchRole", {"Action": "lambda:InvokeFunction", "Resource": "*"}, "lambda:InvokeFunction on *"),
    ("BatchRole", {"NotAction": "iam:CreateUser", "Resource": "arn:aws:s3:::<Models>/*"}, "allows all but something"),
]


@pytest.mark.parametrize(("role", "statement", "fault"), PLANTED)
def test_a_planted_statement_is_found(role: str, statement: dict[str, Any], fault: str) -> None:
    found = stack()
    planted = copy.deepcopy(found.template)
    document = planted["Resources"][role]["Properties"]["Policies"][0]["PolicyDocument"]
    document["Statement"].append({"Effect": "Allow", **statement})
    assert any(fault in line and line.startswith(role) for line in faults(Stack(planted, found.values)))


@pytest.mark.parametrize("role", [*ROLES, "BatchRole"])
def test_a_statement_that_is_missing_is_found(role: str) -> None:
    found = stack()
    planted = copy.deepcopy(found.template)
    document = planted["Resources"][role]["Properties"]["Policies"][0]["PolicyDocument"]
    document["Statement"] = [item for item in document["Statement"] if "s3:PutObject" not in str(item)]
    assert any("s3:PutObject" in line and "expected allowed" in line for line in faults(Stack(planted, found.values)))
