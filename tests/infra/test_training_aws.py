"""infra/aws/training.yaml: what a training job on SageMaker may do, by the policies that CloudFormation makes of it."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from cfnlint.api import lint_file
from cfnlint.decode import decode

TEMPLATE = Path(__file__).parents[2] / "infra/aws/training.yaml"
PARAMETERS = {
    "RegistryBucket": "my-models",
    "RegistryPrefix": "registry",
    "DataBucket": "my-training",
    "DataPrefix": "data",
    "RunsBucket": "my-training",
    "RunsPrefix": "runs",
    "RepositoryName": "onnxlet-training",  # moto itself makes a name that ECR does not take
    "BucketKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1",
}

PUBLISHED = {"my-models/registry/models/*", "my-models/registry/blobs/*"}

ON_OBJECTS = {
    "s3:GetObject": {*PUBLISHED, "my-training/data/*", "my-training/runs/*"},
    "s3:PutObject": {*PUBLISHED, "my-models/registry/models/*/aliases/*", "my-training/runs/*"},
    "s3:AbortMultipartUpload": {"my-training/runs/*"},
    "s3:ListBucket": {"my-models", "my-training"},
}

ON_EVERYTHING = {"ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"}
"""Actions that AWS takes no resource for; neither touches data."""


@pytest.fixture(scope="module")
def stack(s3_endpoint: str) -> Iterator[dict[str, Any]]:
    """The stack's resources by their logical names, as moto's CloudFormation made them."""
    client = boto3.client("cloudformation", endpoint_url=s3_endpoint, region_name="us-east-1")
    parameters = [{"ParameterKey": name, "ParameterValue": value} for name, value in PARAMETERS.items()]
    client.create_stack(StackName="training", TemplateBody=TEMPLATE.read_text(), Parameters=parameters)
    described = client.describe_stacks(StackName="training")["Stacks"][0]
    assert described["StackStatus"] == "CREATE_COMPLETE"
    outputs = {each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]}
    found = client.describe_stack_resources(StackName="training")["StackResources"]
    yield {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in found} | {"outputs": outputs}
    client.delete_stack(StackName="training")


@pytest.fixture(scope="module")
def statements(stack: dict[str, Any], s3_endpoint: str) -> list[dict[str, Any]]:
    """All that the role's policies say."""
    iam = boto3.client("iam", endpoint_url=s3_endpoint, region_name="us-east-1")
    names = iam.list_role_policies(RoleName=stack["Role"])["PolicyNames"]
    documents = [iam.get_role_policy(RoleName=stack["Role"], PolicyName=name)["PolicyDocument"] for name in names]
    # moto gives the document as Python writes it.
    return [statement for document in documents for statement in ast.literal_eval(str(document))["Statement"]]


def listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def test_cfn_lint_finds_nothing() -> None:
    assert lint_file(TEMPLATE) == []


def test_the_role_has_the_boundary_that_the_account_requires(s3_endpoint: str) -> None:
    boundary = "arn:aws:iam::123456789012:policy/boundary"
    client = boto3.client("cloudformation", endpoint_url=s3_endpoint, region_name="us-east-1")
    given = {**PARAMETERS, "PermissionsBoundary": boundary, "RepositoryName": "bounded"}
    client.create_stack(
        StackName="bounded",
        TemplateBody=TEMPLATE.read_text(),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()],
    )
    resources = client.describe_stack_resources(StackName="bounded")["StackResources"]
    (name,) = [each["PhysicalResourceId"] for each in resources if each["LogicalResourceId"] == "Role"]
    role = boto3.client("iam", endpoint_url=s3_endpoint, region_name="us-east-1").get_role(RoleName=name)["Role"]
    client.delete_stack(StackName="bounded")
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary


def test_a_job_touches_only_its_own_prefixes(statements: list[dict[str, Any]]) -> None:
    found: dict[str, set[str]] = {}
    for statement in statements:
        assert statement["Effect"] == "Allow"
        for action in listed(statement["Action"]):
            if action.startswith("s3:"):
                places = {place.removeprefix("arn:aws:s3:::") for place in listed(statement["Resource"])}
                found.setdefault(action, set()).update(places)
    assert found == ON_OBJECTS


def test_nothing_is_granted_on_everything_but_what_has_no_resource(statements: list[dict[str, Any]]) -> None:
    wide = [statement for statement in statements if "*" in listed(statement["Resource"])]
    assert {action for statement in wide for action in listed(statement["Action"])} == ON_EVERYTHING
    assert not any("*" in action for statement in statements for action in listed(statement["Action"]))


def test_a_key_is_used_by_way_of_s3_alone(statements: list[dict[str, Any]]) -> None:
    (found,) = [statement for statement in statements if "kms:Decrypt" in listed(statement["Action"])]
    assert found["Resource"] == PARAMETERS["BucketKeyArn"]
    assert found["Condition"] == {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}


def test_only_sagemaker_of_this_account_may_be_the_role(stack: dict[str, Any], s3_endpoint: str) -> None:
    iam = boto3.client("iam", endpoint_url=s3_endpoint, region_name="us-east-1")
    (statement,) = iam.get_role(RoleName=stack["Role"])["Role"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnLike": {"aws:SourceArn": "arn:aws:sagemaker:us-east-1:123456789012:*"},
    }


def test_images_are_scanned_stay_as_they_are_and_do_not_pile_up() -> None:
    template, _ = decode(TEMPLATE)
    repository = template["Resources"]["Repository"]["Properties"]
    assert repository["ImageScanningConfiguration"] == {"ScanOnPush": True}
    assert repository["ImageTagMutability"] == "IMMUTABLE"
    policy = json.loads(repository["LifecyclePolicy"]["LifecyclePolicyText"])
    assert [rule["action"]["type"] for rule in policy["rules"]] == ["expire", "expire"]


def test_outputs_are_what_the_command_asks_for(stack: dict[str, Any]) -> None:
    outputs = stack["outputs"]
    assert outputs["RoleArn"].startswith("arn:aws:iam::123456789012:role/")
    assert (outputs["RegistryUrl"], outputs["RunsUrl"]) == ("s3://my-models/registry", "s3://my-training/runs")
