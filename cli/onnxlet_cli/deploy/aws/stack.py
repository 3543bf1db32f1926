"""A CloudFormation stack: its state, its outputs, why it failed, and what stays when it is deleted."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import botocore.exceptions

from onnxlet_cli.deploy.aws.api_errors import aws_errors
from onnxlet_cli.deploy.cloud import Change, Retained
from onnxlet_cli.errors import DeploymentError
from onnxlet_publishing.errors import UsageError

IN_REVIEW = "REVIEW_IN_PROGRESS"
"""The status of a stack that is only a change set which nobody has executed."""
NEVER_MADE = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED", IN_REVIEW)
"""The statuses of a stack that has no working resources and cannot be updated."""

RETAINED = ("Retain", "RetainExceptOnCreate")
GOES_ANYWAY = ("AWS::Lambda::Version",)
"""The types that SAM retains in an update, but that are deleted with their function when the stack is deleted."""

TAG_KEY = re.compile(r"[\w .:/=+@-]{1,128}")
TAG_VALUE = re.compile(r"[\w .:/=+@-]{0,256}")
MAX_TAGS = 50
"""The most tags that AWS accepts. Source: CloudFormation's API, `Tag`; IAM's guide, "Tagging"."""

MAX_EVENTS = 1000
"""The most events that are searched for the cause of a failure."""

WAIT = {"Delay": 5, "MaxAttempts": 720}
"""The waiter's settings, an hour in all: Lambda takes up to 40 minutes to delete a function in a VPC."""


@dataclass(frozen=True)
class Stack:
    """The current state of a stack."""

    id: str
    status: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_busy(self) -> bool:
        """Whether an operation on the stack is running."""
        return self.status.endswith("_IN_PROGRESS") and self.status != IN_REVIEW

    @property
    def is_made(self) -> bool:
        """Whether the stack has working resources."""
        return self.status not in NEVER_MADE


def find_stack(client: Any, name: str) -> Stack | None:
    """Return a stack by its name or its id, or None.

    Raises:
        AccountError, ServiceError: CloudFormation refuses the request.
    """
    with aws_errors("CloudFormation"):
        try:
            (found,) = client.describe_stacks(StackName=name)["Stacks"]
        except botocore.exceptions.ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
    if found["StackStatus"] == "DELETE_COMPLETE":
        return None
    outputs = {item["OutputKey"]: item["OutputValue"] for item in found.get("Outputs", [])}
    parameters = {item["ParameterKey"]: item.get("ParameterValue", "") for item in found.get("Parameters", [])}
    tags = {item["Key"]: item["Value"] for item in found.get("Tags", [])}
    return Stack(found["StackId"], found["StackStatus"], outputs, parameters, tags)


def find_resources(client: Any, name: str, kind: str) -> dict[str, str]:
    """Return the resources of one type in a stack, physical names by logical names; raises as `find_stack`."""
    return {
        item["LogicalResourceId"]: item["PhysicalResourceId"]
        for item in list_resources(client, name)
        if item["ResourceType"] == kind and item.get("PhysicalResourceId")
    }


def list_resources(client: Any, name: str) -> list[dict[str, Any]]:
    """Return the summaries of all resources of a stack; raises as `find_stack`."""
    with aws_errors("CloudFormation"):
        pages = client.get_paginator("list_stack_resources").paginate(StackName=name)
        return [item for page in pages for item in page["StackResourceSummaries"]]


def check_tags(tags: Mapping[str, str]) -> None:
    """Raise a UsageError for tags that AWS would refuse in the middle of a deployment."""
    for key, value in tags.items():
        if not TAG_KEY.fullmatch(key) or key.lower().startswith("aws:") or not TAG_VALUE.fullmatch(value):
            raise UsageError(
                f"--tag {key}={value}: expected KEY=VALUE of letters, digits, spaces and _.:/=+-@, a key of 1 to 128 "
                "that does not begin with aws:, and a value of at most 256"
            )
    if len(tags) > MAX_TAGS:
        raise UsageError(f"--tag: expected at most {MAX_TAGS}, got {len(tags)}")


def why_failed(client: Any, name: str) -> str | None:
    """Return the first failure among the events of the last operation on a stack, or None."""
    cause = None
    with aws_errors("CloudFormation"):
        for event in _last_operation(client, name):
            reason = event.get("ResourceStatusReason", "")
            if event["ResourceStatus"].endswith("_FAILED") and reason and "cancelled" not in reason:
                cause = event
    return None if cause is None else _explain(cause)


def read_changes(client: Any, change_set: str) -> list[Change]:
    """Return what a change set would do."""
    with aws_errors("CloudFormation"):
        pages = client.get_paginator("describe_change_set").paginate(ChangeSetName=change_set)
        found = [change["ResourceChange"] for page in pages for change in page["Changes"]]
    return [Change(_action(item), item["LogicalResourceId"], item["ResourceType"]) for item in found]


def drop_change_set(client: Any, change_set: str, stack: str) -> None:
    """Delete a change set, and the stack if it consists of nothing else."""
    with aws_errors("CloudFormation"):
        client.delete_change_set(ChangeSetName=change_set)
    found = find_stack(client, stack)
    if found is not None and found.status == IN_REVIEW:
        with aws_errors("CloudFormation"):
            client.delete_stack(StackName=stack)


def read_retained(client: Any, name: str) -> list[Retained]:
    """Return the resources that stay when a stack is deleted."""
    with aws_errors("CloudFormation"):
        template = client.get_template(StackName=name, TemplateStage="Processed")["TemplateBody"]
    resources = template.get("Resources", {}) if isinstance(template, dict) else {}
    return [
        to_retained(item["ResourceType"], item.get("PhysicalResourceId", ""))
        for item in list_resources(client, name)
        if resources.get(item["LogicalResourceId"], {}).get("DeletionPolicy") in RETAINED
        and item["ResourceType"] not in GOES_ANYWAY
    ]


def to_retained(kind: str, name: str) -> Retained:
    """Return a retained resource with the command that removes it."""
    if kind == "AWS::S3::Bucket":
        bucket = f"b = boto3.resource('s3').Bucket('{name}')"
        return Retained(kind, name, f'python -c "import boto3; {bucket}; b.object_versions.delete(); b.delete()"')
    if kind == "AWS::Logs::LogGroup":
        return Retained(kind, name, f"aws logs delete-log-group --log-group-name {name}")
    return Retained(kind, name, f"{kind} {name}: in AWS's console")


def delete_stack(client: Any, stack: Stack, name: str) -> None:
    """Delete a stack, and wait until it is gone.

    Raises:
        DeploymentError: the deletion failed; the text says why.
    """
    with aws_errors("CloudFormation"):
        client.delete_stack(StackName=name)
        try:
            client.get_waiter("stack_delete_complete").wait(StackName=stack.id, WaiterConfig=WAIT)
        except botocore.exceptions.WaiterError as error:
            cause = why_failed(client, stack.id) or str(error)
            raise DeploymentError(
                f'stack "{name}" was not deleted: {cause}; put that right, then run destroy again'
            ) from error


def _last_operation(client: Any, name: str) -> Iterator[dict[str, Any]]:
    """Yield the events of a stack's last operation, the newest first."""
    pages = client.get_paginator("describe_stack_events").paginate(StackName=name)
    for number, event in enumerate(event for page in pages for event in page["StackEvents"]):
        yield event
        is_begin = event.get("ResourceStatusReason") == "User Initiated"
        if (is_begin and event.get("PhysicalResourceId") == event["StackId"]) or number == MAX_EVENTS:
            return


def _explain(event: dict[str, Any]) -> str:
    reason = event["ResourceStatusReason"]
    text = f"{event['LogicalResourceId']}: {reason}"
    is_taken = event.get("ResourceType") == "AWS::S3::Bucket" and any(
        sign in reason for sign in ("already exists", "AlreadyExists", "AlreadyOwned", "not available")
    )
    return f"{text.rstrip('.')}; this bucket name is taken, and all of AWS shares them" if is_taken else text


def _action(item: dict[str, Any]) -> str:
    replaced = {"True": " by another", "Conditional": ", perhaps by another"}.get(item.get("Replacement", ""), "")
    return f"{item['Action'].lower()}{replaced}"
