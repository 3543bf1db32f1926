"""infra/aws/deployer-policy.json: what CloudFormation and the command need of whoever deploys, and no more.

What a resource needs is what its type's own schema says, which cfn-lint brings: the permissions of the handlers that
create, read, update and delete it, as CloudFormation calls them with the deployer's credentials.
"""

import ast
import functools
import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import botocore.session
import cfnlint
import pytest
from botocore import xform_name

from tests.infra import template
from tests.infra.template import ROOT, as_list, statements

POLICY = ROOT / "infra/aws/deployer-policy.json"

STAGES = re.findall(r"--stack (\S+)", (ROOT / "docs/github/deploy-aws.yml").read_text())
"""The stacks of the workflow in the documentation, which is given this policy."""

MOST_CHARACTERS = 6144
"""Of a managed policy, without spaces. Source: IAM's quotas."""

VARIANTS: tuple[dict[str, str], ...] = (
    {},
    {"UrlAuth": "NONE"},
    {"UrlAuth": "API_KEY"},
    {"CanaryDeployment": "true"},
    {"KmsKeyArn": "arn:aws:kms:us-east-1:account:key/name"},
    {"ProvisionedConcurrency": "1", "ReservedConcurrency": "1"},
    {"RegistryBucket": "our-models", "InputBucket": "our-inputs", "ResultsBucket": "our-results"},
)
"""Deployments that together have every resource of the template."""

HANDLERS = ("create", "read", "update", "delete")
"""CloudFormation calls `list` for resources that it has not made alone."""

UNUSED = {
    r"s3tables:.*|s3:.*(MetadataTable|Metadata\w+Table).*": "no bucket has metadata tables",
    r"s3:(Put|Delete)Bucket(Abac|Acl|Cors|CORS|Logging|Metrics|Object|Replication|Website|Analytics)\w*": "none has",
    r"s3:Put(Accelerate|Analytics|IntelligentTiering|Inventory|Metrics|Replication)Configuration": "no bucket has any",
    r"s3:(PutObjectAcl|PutObjectLockConfiguration|ListAllMyBuckets)": "no bucket has locks or access lists",
    r"s3:DeleteBucket(Encryption|Lifecycle)": "every bucket has both, always",
    r"s3:REST\.PUT\.OBJECT|firehose:.*": "no log group delivers to others",
    r"logs:.*(Delivery|IndexPolicy|BearerToken|DeletionProtection|KmsKey)\w*": "no log group has any",
    r"logs:(Put|Delete)(ResourcePolicy|DataProtectionPolicy)": "no log group has any",
    r"elasticfilesystem:.*|s3files:.*": "no function has a file system",
    r"lambda:.*(CodeSigning|LayerVersion|CapacityProvider|RuntimeAlias)\w*": "no function has any",
    r"lambda:PutFunctionScalingConfig": "of capacity providers, which no function has",
    r"kms:(CreateGrant|Encrypt)": "no function has a key of its own for its variables",
    r"iam:(Attach|Detach)(Group|User)Policy": "policies are attached to roles alone",
    r"codedeploy:RegisterOnPremisesInstance": "functions are no instances",
    r"apigateway:UpdateRestApiPolicy": "the API has no resource policy",
}
"""Permissions that a type's handlers name for what no resource of the template has, with the reason."""

SERVICES = {
    "cloudformation": "cloudformation",
    "s3": "s3",
    "lambda": "lambda",
    "codedeploy": "codedeploy",
}
"""That the command asks itself, as botocore and as IAM name them."""

MODULES = [path for path in (ROOT / "cli/onnxlet_cli/deploy").rglob("*.py") if "gcp" not in path.parts]
"""The modules that may call AWS."""

OTHER_NAMES = {
    "s3:HeadBucket": "s3:ListBucket",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "s3:PutBucketNotificationConfiguration": "s3:PutBucketNotification",
}
"""API calls whose permission has another name. Source: Amazon S3's guide, "Required permissions for API operations"."""


@functools.cache
def schemas() -> dict[str, dict[str, Any]]:
    """Return the handlers of each resource type."""
    folder = Path(cfnlint.__file__).parent / "data/schemas/resources"
    documents = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    return {document["typeName"]: document.get("handlers", {}) for document in documents}


@functools.cache
def allowed() -> tuple[str, ...]:
    """Return the actions that the policy allows, as it writes them."""
    return tuple(action for each in statements(json.loads(POLICY.read_text())) for action in each["Action"])


@functools.cache
def kinds() -> frozenset[str]:
    """Return the types of all resources of all variants."""
    return frozenset(item["Type"] for given in VARIANTS for item in template.translate(**given).resources.values())


def is_allowed(action: str) -> bool:
    return any(fnmatchcase(action, pattern) for pattern in allowed())


def needed(kind: str) -> set[str]:
    """Return what CloudFormation needs for resources of a type."""
    handlers = schemas()[kind]
    found = {action for name in HANDLERS for action in handlers.get(name, {}).get("permissions", [])}
    return {action for action in found if not any(re.fullmatch(pattern, action) for pattern in UNUSED)}


def test_the_variants_have_every_resource_of_the_template() -> None:
    written = {item["Type"] for item in template.read()["Resources"].values() if "Serverless" not in item["Type"]}
    assert written <= kinds()


@pytest.mark.parametrize("kind", sorted(kinds()))
def test_what_a_resource_needs_is_allowed(kind: str) -> None:
    assert needed(kind), "the schema tells"
    assert {action for action in needed(kind) if not is_allowed(action)} == set()


def test_each_reason_to_leave_something_out_has_something_to_leave_out() -> None:
    named = {action for kind in kinds() for name in HANDLERS for action in _permissions(kind, name)}
    for pattern in UNUSED:
        assert any(re.fullmatch(pattern, action) for action in named), pattern


def _permissions(kind: str, handler: str) -> list[str]:
    found: list[str] = schemas()[kind].get(handler, {}).get("permissions", [])
    return found


def requests() -> Iterator[str]:
    """Give the actions that the command's own modules ask for, by the names of botocore's methods."""
    operations: dict[str, set[str]] = {}
    session = botocore.session.get_session()
    for service, name in SERVICES.items():
        for operation in session.get_service_model(service).operation_names:
            operations.setdefault(xform_name(operation), set()).add(f"{name}:{operation}")
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text())):
            called = node.attr if isinstance(node, ast.Attribute) else getattr(node, "value", None)
            if isinstance(called, str):
                yield from operations.get(called, ())


def test_what_the_command_asks_itself_is_allowed() -> None:
    asked = {OTHER_NAMES.get(action, action) for action in requests()} - {"s3:DeleteObjects"}
    assert asked >= {"cloudformation:DescribeStacks", "lambda:GetAccountSettings", "codedeploy:ListDeployments"}
    assert asked >= {"s3:PutBucketNotification", "lambda:DeleteFunction", "lambda:ListAliases"}
    assert {action for action in asked if not is_allowed(action)} == set()


@pytest.mark.parametrize(
    "action",
    [
        "lambda:InvokeFunctionUrl",
        "lambda:InvokeFunction",
        "s3:PutObject",
        "s3:GetObject",
        "s3:DeleteObjectVersion",
        "s3:ListBucketVersions",
        "cloudformation:CreateChangeSet",
        "cloudformation:ExecuteChangeSet",
        "cloudformation:GetTemplateSummary",
        "apigateway:GET",
    ],
)
def test_what_sam_uploads_and_what_is_tried_at_the_end_is_allowed(action: str) -> None:
    assert is_allowed(action)


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("iam:CreateRole", "arn:aws:iam::1:role/admin"),
        ("iam:PutRolePolicy", "arn:aws:iam::1:role/others-onnxlet-1"),
        ("iam:PassRole", "arn:aws:iam::1:role/admin"),
        ("iam:CreateUser", "arn:aws:iam::1:user/onnxlet-1"),
        ("lambda:UpdateFunctionCode", "arn:aws:lambda:eu-west-1:1:function:others"),
        ("s3:GetObject", "arn:aws:s3:::others/x"),
        ("s3:DeleteBucket", "arn:aws:s3:::others"),
        ("cloudformation:DeleteStack", "arn:aws:cloudformation:eu-west-1:1:stack/others/1"),
        ("kms:ScheduleKeyDeletion", "arn:aws:kms:eu-west-1:1:key/1"),
    ],
)
def test_what_is_not_the_stacks_is_out_of_reach(action: str, resource: str) -> None:
    for each in statements(json.loads(POLICY.read_text())):
        is_meant = any(fnmatchcase(action, pattern) for pattern in each["Action"])
        assert not (is_meant and any(fnmatchcase(resource, pattern) for pattern in each["Resource"])), each["Sid"]


@pytest.mark.parametrize("stack", ["onnxlet", *STAGES])
def test_every_stack_whose_name_begins_so_is_in_reach(stack: str) -> None:
    (stacks,) = [each for each in statements(json.loads(POLICY.read_text())) if each["Sid"] == "Stacks"]
    place = f"arn:aws:cloudformation:eu-west-1:1:stack/{stack}/0a1b"
    assert any(fnmatchcase(place, pattern) for pattern in stacks["Resource"])


def test_the_deployers_own_roles_are_out_of_reach() -> None:
    """Or one stage's deployer gives itself more, and lets itself into another stage's."""
    roles = set(re.findall(r"--role-name (\S+)", (ROOT / "docs/ci.md").read_text()))
    assert roles
    for role in roles:
        test_what_is_not_the_stacks_is_out_of_reach("iam:UpdateAssumeRolePolicy", f"arn:aws:iam::1:role/{role}")


def test_all_resources_are_meant_for_what_only_looks_alone() -> None:
    for each in statements(json.loads(POLICY.read_text())):
        if "*" in each["Resource"]:
            assert each["Sid"] == "Look"
            assert all(re.match(r"\w+:(Describe|Get|List|Validate)", action) for action in each["Action"])


def test_roles_are_given_to_the_services_that_take_them_alone() -> None:
    (passing,) = [each for each in statements(json.loads(POLICY.read_text())) if "iam:PassRole" in each["Action"]]
    services = passing["Condition"]["StringEquals"]["iam:PassedToService"]
    roles = [found for given in VARIANTS for found in template.translate(**given).of_type("AWS::IAM::Role").values()]
    trusted = {each["Principal"]["Service"] for role in roles for each in statements(role["AssumeRolePolicyDocument"])}
    assert set(as_list(services)) == trusted


def test_it_fits_into_one_managed_policy() -> None:
    assert len(re.sub(r"\s", "", POLICY.read_text())) <= MOST_CHARACTERS
