import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from onnxlet_cli.deploy.aws import stack

ID = "arn:aws:cloudformation:us-east-1:000000000000:stack/shop/1"

TEMPLATE = {
    "Parameters": {"ModelName": {"Type": "String", "Default": "digits"}},
    "Resources": {
        "Models": {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain"},
        "Scratch": {"Type": "AWS::S3::Bucket"},
        "Queue": {"Type": "AWS::SQS::Queue"},
    },
    "Outputs": {"RegistryUrl": {"Value": {"Fn::Sub": "s3://${Models}"}}},
}


@pytest.fixture
def client(s3_endpoint: str) -> Iterator[Any]:
    """moto's CloudFormation."""
    found = boto3.client("cloudformation", endpoint_url=s3_endpoint, region_name="us-east-1")
    yield found
    found.delete_stack(StackName="shop")


def event(resource: str, status: str, reason: str = "", kind: str = "AWS::SQS::Queue") -> dict[str, Any]:
    return {
        "StackId": ID,
        "EventId": "1",
        "StackName": "shop",
        "LogicalResourceId": resource,
        "PhysicalResourceId": ID if resource == "shop" else "",
        "ResourceType": kind,
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
        "Timestamp": 0,
    }


def cause(*events: dict[str, Any]) -> str | None:
    """What `why_failed` says of events, the newest first."""
    client = boto3.client("cloudformation", region_name="us-east-1")
    with Stubber(client) as stubber:
        stubber.add_response("describe_stack_events", {"StackEvents": list(events)})
        return stack.why_failed(client, "shop")


def test_a_stack_is_found_with_its_outputs_and_parameters(client: Any) -> None:
    assert stack.find_stack(client, "shop") is None
    client.create_stack(StackName="shop", TemplateBody=json.dumps(TEMPLATE))
    found = stack.find_stack(client, "shop")
    assert found is not None
    assert (found.status, found.is_made, found.is_busy) == ("CREATE_COMPLETE", True, False)
    assert found.parameters == {"ModelName": "digits"}
    assert found.outputs["RegistryUrl"].startswith("s3://shop-models-")


def test_what_is_retained_is_named_with_the_command_that_removes_it(client: Any) -> None:
    client.create_stack(StackName="shop", TemplateBody=json.dumps(TEMPLATE))
    (retained,) = stack.read_retained(client, "shop")
    assert retained.kind == "AWS::S3::Bucket"
    assert f"Bucket('{retained.name}')" in retained.remedy


def test_a_deleted_stack_is_gone(client: Any) -> None:
    client.create_stack(StackName="shop", TemplateBody=json.dumps(TEMPLATE))
    found = stack.find_stack(client, "shop")
    assert found is not None
    stack.delete_stack(client, found, "shop")
    assert stack.find_stack(client, "shop") is None


def test_the_first_failure_is_the_cause_and_not_what_it_cancelled() -> None:
    found = cause(
        event("shop", "ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create: [Queue, Role]."),
        event("Role", "CREATE_FAILED", "Resource creation cancelled"),
        event("Queue", "CREATE_FAILED", "You must wait 60 seconds"),
        event("shop", "CREATE_IN_PROGRESS", "User Initiated", "AWS::CloudFormation::Stack"),
        event("Old", "CREATE_FAILED", "of an earlier deployment"),
    )
    assert found == "Queue: You must wait 60 seconds"


@pytest.mark.parametrize(
    "reason",
    [
        "photos already exists (Service: S3, Status Code: 409)",
        "The requested bucket name is not available.",
        "Resource handler returned message: BucketAlreadyExists",
    ],
)
def test_a_bucket_name_that_is_taken_is_said_to_be(reason: str) -> None:
    found = cause(event("Models", "CREATE_FAILED", reason, "AWS::S3::Bucket"))
    assert found is not None
    assert found.startswith("Models: ")
    assert found.endswith("; this bucket name is taken, and all of AWS shares them")


def test_without_a_failure_there_is_no_cause() -> None:
    assert cause(event("shop", "UPDATE_COMPLETE"), event("shop", "UPDATE_IN_PROGRESS", "User Initiated")) is None


def test_a_plan_is_read_and_leaves_nothing() -> None:
    client = boto3.client("cloudformation", region_name="us-east-1")
    change = {"Action": "Modify", "LogicalResourceId": "HttpUrl", "ResourceType": "AWS::Lambda::Url"}
    changes = [
        {"Type": "Resource", "ResourceChange": {**change, "Replacement": "Conditional"}},
        {"Type": "Resource", "ResourceChange": {**change, "Action": "Add", "LogicalResourceId": "Api"}},
    ]
    stacks = [{"StackName": "shop", "StackId": ID, "CreationTime": 0, "StackStatus": "REVIEW_IN_PROGRESS"}]
    with Stubber(client) as stubber:
        stubber.add_response("describe_change_set", {"Changes": changes}, {"ChangeSetName": "set"})
        stubber.add_response("delete_change_set", {}, {"ChangeSetName": "set"})
        stubber.add_response("describe_stacks", {"Stacks": stacks})
        stubber.add_response("delete_stack", {}, {"StackName": "shop"})
        found = stack.read_changes(client, "set")
        stack.drop_change_set(client, "set", "shop")
        stubber.assert_no_pending_responses()
    assert [(each.action, each.resource) for each in found] == [
        ("modify, perhaps by another", "HttpUrl"),
        ("add", "Api"),
    ]
