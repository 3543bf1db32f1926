"""A stack of CloudFormation: its state, its outputs, why it failed, and what stays when it is deleted."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import botocore.exceptions

from onnxlet.errors import CredentialsError, InvalidRequestError, SettingsError, StoreError
from onnxlet_cli.deploy.cloud import Change, Kept

IN_REVIEW = "REVIEW_IN_PROGRESS"
"""A stack that is only a change set, which nobody has executed."""
NEVER_MADE = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED", IN_REVIEW)
"""States of a stack that holds nothing that works, and takes no update."""

RETAINED = ("Retain", "RetainExceptOnCreate")
GOES_ANYWAY = ("AWS::Lambda::Version",)
"""What SAM retains when a stack is updated, and what goes with its function when the stack is deleted."""

REFUSED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
UNKNOWN = ("InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClientException", "AuthFailure")
EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")

TAG_KEY = re.compile(r"[\w .:/=+@-]{1,128}")
TAG_VALUE = re.compile(r"[\w .:/=+@-]{0,256}")
MAX_TAGS = 50
"""What AWS takes as a tag, and how many of them. Source: CloudFormation's API, `Tag`; IAM's guide, "Tagging"."""

MAX_EVENTS = 1000
"""That are searched for the cause of a failure."""

WAIT = {"Delay": 5, "MaxAttempts": 720}
"""An hour: a distribution of a function over availability zones (VPC) takes up to 40 minutes to go."""


@dataclass(frozen=True)
class Stack:
    """A stack as it is now."""

    id: str
    status: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_busy(self) -> bool:
        """Whether somebody is changing it."""
        return self.status.endswith("_IN_PROGRESS") and self.status != IN_REVIEW

    @property
    def is_made(self) -> bool:
        """Whether it holds resources that work."""
        return self.status not in NEVER_MADE


@contextmanager
def aws_errors(what: str) -> Iterator[None]:
    """Raise our error for one of AWS's; `what` names what was asked."""
    try:
        yield
    except botocore.exceptions.ClientError as error:
        raise _translate(error, what) from error
    except botocore.exceptions.EndpointConnectionError as error:
        raise StoreError(
            f"{what}: AWS does not answer: {error}; is the region right, and the network there?"
        ) from error
    except botocore.exceptions.NoRegionError as error:
        raise SettingsError("no AWS region: give --region, or set AWS_REGION") from error
    except botocore.exceptions.WaiterError as error:
        raise StoreError(f"{what}: {error}") from error
    except botocore.exceptions.BotoCoreError as error:
        raise CredentialsError(
            f"no AWS credentials that work: {error}; run `aws configure` or `aws sso login`, or set AWS_PROFILE"
        ) from error


def find_stack(client: Any, name: str) -> Stack | None:
    """A stack by its name or its id; None where there is none.

    Raises:
        CredentialsError, StoreError: CloudFormation does not tell.
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
    """Return what a stack has of one type: physical names by logical ones.

    Raises:
        CredentialsError, StoreError: CloudFormation does not tell.
    """
    with aws_errors("CloudFormation"):
        pages = client.get_paginator("list_stack_resources").paginate(StackName=name)
        found = [item for page in pages for item in page["StackResourceSummaries"]]
    return {
        item["LogicalResourceId"]: item["PhysicalResourceId"]
        for item in found
        if item["ResourceType"] == kind and item.get("PhysicalResourceId")
    }


def check_tags(tags: Mapping[str, str]) -> None:
    """Refuse tags that AWS would refuse in the middle of a deployment.

    Raises:
        InvalidRequestError: a tag is not one, or there are too many.
    """
    for key, value in tags.items():
        if not TAG_KEY.fullmatch(key) or key.lower().startswith("aws:") or not TAG_VALUE.fullmatch(value):
            raise InvalidRequestError(
                f"--tag {key}={value}: expected KEY=VALUE of letters, digits, spaces and _.:/=+-@, a key of 1 to 128 "
                "that does not begin with aws:, and a value of at most 256"
            )
    if len(tags) > MAX_TAGS:
        raise InvalidRequestError(f"--tag: expected at most {MAX_TAGS}, got {len(tags)}")


def why_failed(client: Any, name: str) -> str | None:
    """The first thing that went wrong in the last operation on a stack, by its events; None where none says so."""
    cause = None
    with aws_errors("CloudFormation"):
        for event in _last_operation(client, name):
            reason = event.get("ResourceStatusReason", "")
            if event["ResourceStatus"].endswith("_FAILED") and reason and "cancelled" not in reason:
                cause = event
    return None if cause is None else _explain(cause)


def read_changes(client: Any, change_set: str) -> list[Change]:
    """What a change set would do."""
    with aws_errors("CloudFormation"):
        pages = client.get_paginator("describe_change_set").paginate(ChangeSetName=change_set)
        found = [change["ResourceChange"] for page in pages for change in page["Changes"]]
    return [Change(_action(item), item["LogicalResourceId"], item["ResourceType"]) for item in found]


def drop_change_set(client: Any, change_set: str, stack: str) -> None:
    """Delete a change set, and the stack where it is nothing else."""
    with aws_errors("CloudFormation"):
        client.delete_change_set(ChangeSetName=change_set)
    found = find_stack(client, stack)
    if found is not None and found.status == IN_REVIEW:
        with aws_errors("CloudFormation"):
            client.delete_stack(StackName=stack)


def read_kept(client: Any, name: str) -> list[Kept]:
    """The resources that stay when a stack is deleted."""
    with aws_errors("CloudFormation"):
        template = client.get_template(StackName=name, TemplateStage="Processed")["TemplateBody"]
        pages = client.get_paginator("list_stack_resources").paginate(StackName=name)
        found = [item for page in pages for item in page["StackResourceSummaries"]]
    resources = template.get("Resources", {}) if isinstance(template, dict) else {}
    return [
        to_kept(item["ResourceType"], item.get("PhysicalResourceId", ""))
        for item in found
        if resources.get(item["LogicalResourceId"], {}).get("DeletionPolicy") in RETAINED
        and item["ResourceType"] not in GOES_ANYWAY
    ]


def to_kept(kind: str, name: str) -> Kept:
    """What stays, with how it goes."""
    if kind == "AWS::S3::Bucket":
        bucket = f"b = boto3.resource('s3').Bucket('{name}')"
        return Kept(kind, name, f'python -c "import boto3; {bucket}; b.object_versions.delete(); b.delete()"')
    if kind == "AWS::Logs::LogGroup":
        return Kept(kind, name, f"aws logs delete-log-group --log-group-name {name}")
    return Kept(kind, name, f"{kind} {name}: in AWS's console")


def delete_stack(client: Any, stack: Stack, name: str) -> None:
    """Delete a stack, and wait until it is gone.

    Raises:
        StoreError: it is not; the text says why.
    """
    with aws_errors("CloudFormation"):
        client.delete_stack(StackName=name)
        try:
            client.get_waiter("stack_delete_complete").wait(StackName=stack.id, WaiterConfig=WAIT)
        except botocore.exceptions.WaiterError as error:
            cause = why_failed(client, stack.id) or str(error)
            raise StoreError(
                f'stack "{name}" was not deleted: {cause}; put that right, then run destroy again'
            ) from error


def _last_operation(client: Any, name: str) -> Iterator[dict[str, Any]]:
    """The events of a stack's last operation, the newest first."""
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


def _translate(error: botocore.exceptions.ClientError, what: str) -> CredentialsError | StoreError:
    code = error.response.get("Error", {}).get("Code", "")
    text = error.response.get("Error", {}).get("Message", str(error))
    if code in EXPIRED:
        return CredentialsError(f"the AWS credentials have expired: {text}; run `aws sso login`, or renew them")
    if code in UNKNOWN:
        return CredentialsError(f"AWS does not know these credentials: {text}; run `aws configure`, or set AWS_PROFILE")
    if code in REFUSED:
        return CredentialsError(f"{what}: these credentials may not: {text}")
    return StoreError(f"{what}: {text}")
