"""Buckets that exist already: whether the stack can use them, and the notifications that no template can give them."""

import re
from collections.abc import Mapping
from typing import Any

import botocore.exceptions

from onnxlet.errors import CredentialsError, InvalidRequestError, StoreError
from onnxlet_cli.deploy.stack import aws_errors

PARAMETERS = ("RegistryBucket", "InputBucket", "ResultsBucket")

NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

EVENTS = ["s3:ObjectCreated:*"]
PREFIX = "in/"
"""What the template announces of its own bucket; what lies under batch/ waits for a run."""

TARGETS = {
    "QueueConfigurations": "QueueArn",
    "TopicConfigurations": "TopicArn",
    "LambdaFunctionConfigurations": "LambdaFunctionArn",
}
"""The kinds of notifications that S3 lets no two of be for the same objects, and what names their targets.

Source: Amazon S3's guide, "Configuring event notifications using object key name filtering"."""

MISSING = ("404", "NoSuchBucket", "NotFound")
FORBIDDEN = ("403", "AccessDenied", "Forbidden")


def check(client: Any, named: Mapping[str, str], region: str, key: str) -> None:
    """See that the stack can use the buckets that are named in place of its own.

    Args:
        client: S3's.
        named: Buckets by the parameters that name them; an empty name means the stack's own.
        region: The stack's.
        key: The ARN of the KMS key that the functions may use, or nothing.

    Raises:
        InvalidRequestError: a bucket is not there, in another region, or encrypted with another key.
        CredentialsError: the bucket is somebody else's.
    """
    for parameter in PARAMETERS:
        bucket = named.get(parameter)
        if bucket:
            _check_region(client, parameter, bucket, region)
            _check_key(client, parameter, bucket, key)


def check_announcing(client: Any, bucket: str, queue: str | None, name: str) -> None:
    """See that the objects of a bucket can be announced to the stack's queue: S3 tells of an object once.

    Args:
        client: S3's.
        bucket: The bucket's name.
        queue: The ARN of the stack's queue; None if it is not made yet.
        name: The name of the stack's notification.

    Raises:
        InvalidRequestError: The bucket announces new objects under the prefix to somebody else.
        CredentialsError, StoreError: S3 refuses to tell.
    """
    with aws_errors(f"the notifications of s3://{bucket}"):
        found = _read(client, bucket)
    for kind, field in TARGETS.items():
        for each in found.get(kind, []):
            if _overlaps(each) and each["Id"] != name and each[field] != queue:
                raise InvalidRequestError(
                    f"InputBucket={bucket}: it announces new objects under {PREFIX} to {each[field]} already, and S3 "
                    f"announces an object once: remove that notification ({each['Id']}), or take another bucket"
                )


def announce(client: Any, bucket: str, queue: str, name: str) -> bool:
    """Have the objects of a bucket announced to a queue, beside all that is announced of it already.

    Args:
        client: S3's.
        bucket: The bucket's name.
        queue: The queue's ARN.
        name: The notification's.

    Returns:
        Whether that was new.

    Raises:
        CredentialsError, StoreError: S3 refuses, as where another notification is for the same objects.
    """
    rule = {"Name": "prefix", "Value": PREFIX}
    wanted = {"Id": name, "QueueArn": queue, "Events": EVENTS, "Filter": {"Key": {"FilterRules": [rule]}}}
    with aws_errors(f"the notifications of s3://{bucket}"):
        found = _read(client, bucket)
        queues = found.get("QueueConfigurations", [])
        if any(_is_same(each, wanted) for each in queues):
            return False
        others = [each for each in queues if each["Id"] != name and not (each["QueueArn"] == queue and _overlaps(each))]
        found["QueueConfigurations"] = [*others, wanted]
        client.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=found)
    return True


def silence(client: Any, bucket: str, queue: str) -> bool:
    """Take a queue out of a bucket's notifications: S3 refuses each change of them while one names what is not there.

    Args:
        client: S3's.
        bucket: The bucket's name.
        queue: The queue's name.

    Returns:
        Whether it was there.

    Raises:
        CredentialsError, StoreError: S3 refuses.
    """
    with aws_errors(f"the notifications of s3://{bucket}"):
        found = _read(client, bucket)
        queues = found.get("QueueConfigurations", [])
        others = [each for each in queues if each["QueueArn"].rpartition(":")[2] != queue]
        if len(others) == len(queues):
            return False
        found["QueueConfigurations"] = others
        client.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration=found, SkipDestinationValidation=True
        )
    return True


def remove(bucket: Any, prefix: str) -> None:
    """Delete all objects under a prefix with all their versions.

    Args:
        bucket: boto3's resource.
        prefix: What their keys begin with.

    Raises:
        CredentialsError, StoreError: S3 refuses, or leaves some objects, for which boto3 raises no error.
    """
    with aws_errors(f"s3://{bucket.name}/{prefix}"):
        replies = bucket.object_versions.filter(Prefix=prefix).delete()
    failures = [failure for reply in replies for failure in reply.get("Errors", [])]
    if failures:
        raise StoreError(
            f"s3://{bucket.name}/{failures[0]['Key']}: S3 does not delete it: {failures[0].get('Message', '')} "
            f"({len(failures)} left)"
        )


def _read(client: Any, bucket: str) -> dict[str, Any]:
    found = client.get_bucket_notification_configuration(Bucket=bucket)
    return {name: value for name, value in found.items() if name != "ResponseMetadata"}


def _is_same(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Compare two notifications; S3 gives a rule's name back as `Prefix`."""
    return all(found.get(name) == wanted[name] for name in ("Id", "QueueArn", "Events")) and _rules(found) == _rules(
        wanted
    )


def _overlaps(notification: Mapping[str, Any]) -> bool:
    """Return whether a notification is of objects that the stack's is of, too."""
    is_created = any(event.startswith("s3:ObjectCreated:") for event in notification["Events"])
    prefix = dict(_rules(notification)).get("prefix", "")
    return is_created and (prefix.startswith(PREFIX) or PREFIX.startswith(prefix))


def _rules(notification: Mapping[str, Any]) -> list[tuple[str, str]]:
    rules = notification.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    return [(each["Name"].lower(), each["Value"]) for each in rules]


def _check_region(client: Any, parameter: str, bucket: str, region: str) -> None:
    if not NAME.fullmatch(bucket):
        raise InvalidRequestError(f"{parameter}={bucket}: expected the name of a bucket, without s3://")
    with aws_errors(f"s3://{bucket}"):
        try:
            found = client.head_bucket(Bucket=bucket)
        except botocore.exceptions.ClientError as error:
            raise _explain(error, parameter, bucket) from error
    where = found.get("BucketRegion", region)
    if where != region:
        raise InvalidRequestError(
            f"{parameter}={bucket}: it lies in {where}, and the stack in {region}; S3 speaks to queues of its own "
            "region alone, and the functions read one region"
        )


def _explain(error: botocore.exceptions.ClientError, parameter: str, bucket: str) -> Exception:
    code = error.response.get("Error", {}).get("Code", "")
    if code in MISSING:
        return InvalidRequestError(f"{parameter}={bucket}: there is no such bucket")
    if code in FORBIDDEN:
        return CredentialsError(
            f"{parameter}={bucket}: these credentials may not look at it (s3:ListBucket): is it of this account?"
        )
    return StoreError(f"s3://{bucket}: {error}")


def _check_key(client: Any, parameter: str, bucket: str, key: str) -> None:
    """Compare the bucket's key with the one that the functions may use; what cannot be asked is left to S3."""
    try:
        found = client.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    except botocore.exceptions.ClientError:
        return
    keys = [rule.get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID") for rule in found]
    for each in filter(None, keys):
        if "alias/" not in each and each.rpartition("/")[2] != key.rpartition("/")[2]:
            raise InvalidRequestError(
                f"{parameter}={bucket}: it is encrypted with {each}, which the functions may use only as the stack's "
                f"key: --set KmsKeyArn={each}"
            )
