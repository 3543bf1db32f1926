"""The notifications of an existing input bucket, which no template can configure."""

from collections.abc import Mapping
from typing import Any

from onnxlet.errors import OnnxletError
from onnxlet_cli.deploy.aws.api_errors import aws_errors
from onnxlet_cli.deploy.process import Report
from onnxlet_publishing.errors import CommandError, UsageError

EVENTS = ["s3:ObjectCreated:*"]
PREFIX = "in/"
"""The prefix that the template announces in its own bucket; objects under `batch/` wait for a batch run."""

TARGETS = {
    "QueueConfigurations": "QueueArn",
    "TopicConfigurations": "TopicArn",
    "LambdaFunctionConfigurations": "LambdaFunctionArn",
}
"""The kinds of notifications, each with the field for its target; S3 accepts only one for the same objects.

Source: Amazon S3's guide, "Configuring event notifications using object key name filtering"."""


def check(client: Any, bucket: str, queue: str | None, name: str) -> None:
    """Check that a bucket can announce its objects to the stack's queue: S3 announces an object only once.

    The queue is an ARN, or None if it does not exist yet; the name is that of the stack's notification.

    Raises:
        UsageError: the bucket announces new objects under the prefix to another target.
        AccountError, ServiceError: S3 refuses the request.
    """
    configuration = _read(client, bucket)
    for kind, field in TARGETS.items():
        for notification in configuration.get(kind, []):
            if _overlaps(notification) and notification["Id"] != name and notification[field] != queue:
                raise UsageError(
                    f"InputBucket={bucket}: it announces new objects under {PREFIX} to {notification[field]} already, "
                    f"and S3 announces an object once: remove that notification ({notification['Id']}), or take "
                    "another bucket"
                )


def announce(client: Any, bucket: str, queue: str, name: str) -> bool:
    """Make a bucket announce its objects to a queue's ARN under a name; return whether the notification is new.

    Raises:
        AccountError, ServiceError: S3 refuses, for example if another notification is for the same objects.
    """
    rule = {"Name": "prefix", "Value": PREFIX}
    added = {"Id": name, "QueueArn": queue, "Events": EVENTS, "Filter": {"Key": {"FilterRules": [rule]}}}
    configuration = _read(client, bucket)
    queues = configuration.get("QueueConfigurations", [])
    if any(_is_same(notification, added) for notification in queues):
        return False
    others = [
        notification
        for notification in queues
        if notification["Id"] != name and not (notification["QueueArn"] == queue and _overlaps(notification))
    ]
    _write(client, bucket, {**configuration, "QueueConfigurations": [*others, added]})
    return True


def silence(client: Any, bucket: str, queue: str) -> bool:
    """Take a queue, by its name, out of a bucket's notifications; return whether it was among them.

    S3 refuses every change while a notification names a missing target.

    Raises:
        AccountError, ServiceError: S3 refuses.
    """
    configuration = _read(client, bucket)
    queues = configuration.get("QueueConfigurations", [])
    others = [notification for notification in queues if notification["QueueArn"].rpartition(":")[2] != queue]
    if len(others) == len(queues):
        return False
    _write(client, bucket, {**configuration, "QueueConfigurations": others}, SkipDestinationValidation=True)
    return True


def silence_or_report(client: Any, bucket: str | None, queue_url: str | None, report: Report) -> None:
    """Take a queue out of a bucket's notifications, if both are known; report a failure, raise none."""
    if bucket is None or queue_url is None:
        return
    try:
        if silence(client, bucket, queue_url.rpartition("/")[2]):
            report(f"removed  the notification of s3://{bucket} to the stack's queue")
    except (CommandError, OnnxletError) as error:
        report(f"announce s3://{bucket} still names the stack's queue: {error}")


def _read(client: Any, bucket: str) -> dict[str, Any]:
    with aws_errors(f"the notifications of s3://{bucket}"):
        response = client.get_bucket_notification_configuration(Bucket=bucket)
    return {name: value for name, value in response.items() if name != "ResponseMetadata"}


def _write(client: Any, bucket: str, configuration: Mapping[str, Any], **options: Any) -> None:
    with aws_errors(f"the notifications of s3://{bucket}"):
        client.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration, **options)


def _is_same(notification: Mapping[str, Any], added: Mapping[str, Any]) -> bool:
    """Compare two notifications; S3 returns the name of a rule as `Prefix`."""
    has_same_fields = all(notification.get(name) == added[name] for name in ("Id", "QueueArn", "Events"))
    return has_same_fields and _rules(notification) == _rules(added)


def _overlaps(notification: Mapping[str, Any]) -> bool:
    """Return whether a notification is for objects that the stack's notification is for as well."""
    is_created = any(event.startswith("s3:ObjectCreated:") for event in notification["Events"])
    prefix = dict(_rules(notification)).get("prefix", "")
    return is_created and (prefix.startswith(PREFIX) or PREFIX.startswith(prefix))


def _rules(notification: Mapping[str, Any]) -> list[tuple[str, str]]:
    rules = notification.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    return [(rule["Name"].lower(), rule["Value"]) for rule in rules]
