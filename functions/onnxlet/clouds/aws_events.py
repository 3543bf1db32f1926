"""AWS's events about objects in, answers to queues and jobs out: pure translations to and from `onnxlet.events`.

Source: Amazon S3 user guide, "Event message structure", "EventBridge event message structure" and "Batch Operations";
AWS Lambda developer guide, "Using Lambda with Amazon SQS" (partial batch responses); AWS CloudTrail, "Record contents";
Amazon EventBridge, "Pipes batching" and "Input transformation"; AWS Step Functions developer guide, "ItemBatcher" and
"ItemReader".
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus

from onnxlet.errors import InvalidRequestError, json_shown, json_word
from onnxlet.events.messages import Message, ObjectReference, Outcome

CLOUDTRAIL_WRITES = frozenset({"PutObject", "CopyObject", "CompleteMultipartUpload", "PostObject"})
"""CloudTrail's names of the requests that create an object."""

EVENT_FIELDS = frozenset(
    {
        "Records",
        "Sns",
        "Message",
        "s3",
        "detail",
        "detail-type",
        "source",
        "eventSource",
        "EventSource",
        "bucket",
        "key",
        "object",
        "body",
        "headers",
        "path",
        "rawPath",
        "httpMethod",
        "requestContext",
        "invocationSchemaVersion",
        "invocationId",
        "tasks",
        "Items",
        "BatchInput",
        "data",
        "kinesis",
        "dynamodb",
    }
)
"""The field names of AWS's events. Error messages show only these: a client may have chosen any other name."""

MAX_WRAPPINGS = 4
"""The most envelopes around an event of S3. SNS inside SQS is two."""

SERVICE = r"aws[.:][a-z0-9]{1,20}"
"""The form of a service's name in an event."""


def to_messages(event: Any) -> list[Message]:
    """Translate an event about new objects.

    It is one of these, also in SNS, SQS or both:

    - S3's own notification;
    - an event of S3 or CloudTrail through EventBridge: whole, only its `detail`, or the output of an input transformer.

    It may also be a list of them, as EventBridge Pipes delivers, or an invocation by S3 Batch Operations.

    Raises:
        InvalidRequestError: another event. An unreadable message of a queue carries its error instead.
    """
    if is_job(event):
        return [_to_task(task) for task in event["tasks"]]
    records = event if isinstance(event, list) else event.get("Records") if isinstance(event, Mapping) else None
    if isinstance(records, list) and records and all(_source(record) == "aws:sqs" for record in records):
        return [_to_message(record) for record in records]
    events = event if isinstance(event, list) else [event]
    return [Message(None, tuple(_objects(item, MAX_WRAPPINGS))) for item in events]


def from_failures(message_ids: Sequence[str]) -> dict[str, Any]:
    """Return the answer that makes SQS delete all messages except these."""
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in message_ids]}


def is_job(event: object) -> bool:
    """Return whether an event is an invocation by S3 Batch Operations, which expects an answer of its own form."""
    return isinstance(event, Mapping) and "invocationSchemaVersion" in event and isinstance(event.get("tasks"), list)


def from_outcomes(event: Mapping[str, Any], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return the answer for S3 Batch Operations, which counts each task as succeeded, failed, or to be retried."""
    return {
        "invocationSchemaVersion": event["invocationSchemaVersion"],
        "treatMissingKeysAs": "PermanentFailure",
        "invocationId": event.get("invocationId"),
        "results": [
            {"taskId": outcome.id, "resultCode": _result_code(outcome), "resultString": outcome.text}
            for outcome in outcomes
        ],
    }


def _result_code(outcome: Outcome) -> str:
    if outcome.is_answered:
        return "Succeeded"
    return "TemporaryFailure" if outcome.is_retryable else "PermanentFailure"


def to_objects(event: Mapping[str, Any]) -> list[ObjectReference]:
    """Translate an item batch of a Distributed Map: objects of one bucket, from S3's listing or a manifest.

    Raises:
        InvalidRequestError: another event.
    """
    try:
        bucket = event["BatchInput"]["bucket"]
        objects = [ObjectReference("s3", bucket, item["Key"], item.get("VersionId")) for item in event["Items"]]
    except (AttributeError, KeyError, TypeError) as error:
        raise InvalidRequestError(
            f'expected an item batch: {{"Items": [{{"Key": ...}}], "BatchInput": {{"bucket": ...}}}}: {error!r}'
        ) from error
    if not all(item.bucket and item.key for item in objects):
        raise InvalidRequestError("expected an item batch with a bucket and keys, got an empty string")
    return objects


def _to_task(task: Any) -> Message:
    """Translate a task of S3 Batch Operations. Its key is URL-encoded, like the keys of the job's manifest.

    Source: Amazon S3 user guide, "Invoke AWS Lambda function": version 1.0 has the bucket's ARN, 2.0 its name.
    """
    try:
        bucket = task.get("s3Bucket") or task["s3BucketArn"].rpartition(":")[2]
        key = unquote_plus(task["s3Key"], errors="strict")
        return Message(task["taskId"], (ObjectReference("s3", bucket, key, task.get("s3VersionId") or None),))
    except (AttributeError, KeyError, TypeError, UnicodeDecodeError) as error:
        refusal = InvalidRequestError(f"expected a task of S3 Batch Operations: {error!r}")
        if not isinstance(task, Mapping) or not isinstance(task.get("taskId"), str):
            raise refusal from error
        return Message(task["taskId"], error=refusal)


def _to_message(record: Mapping[str, Any]) -> Message:
    message_id = record.get("messageId")
    if not isinstance(message_id, str):
        raise InvalidRequestError(f"messageId: expected the identifier of a queue's message, got {message_id!r:.80}")
    try:
        return Message(message_id, tuple(_objects(_parse(record.get("body")), MAX_WRAPPINGS)))
    except InvalidRequestError as error:
        return Message(message_id, error=error)


def _objects(event: Any, wrappings_left: int) -> Iterator[ObjectReference]:
    """Yield the new objects of an event, inside at most `wrappings_left` envelopes."""
    if wrappings_left == 0:
        raise InvalidRequestError(f"expected an event in at most {MAX_WRAPPINGS} wrappings, got more")
    try:
        if event.get("Event") == "s3:TestEvent":  # S3 sends it when a notification is configured
            return
        if event.get("source") == "aws.s3":
            yield from _eventbridge_objects(event)
        elif event.get("Type") == "Notification":
            yield from _objects(_parse(event["Message"]), wrappings_left - 1)
        elif "bucket" in event:
            yield from _detail_objects(event)
        else:
            for record in event.get("Records", [event]):
                yield from _record_objects(record, wrappings_left)
    except (AttributeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise InvalidRequestError(
            f"expected an event of S3 that names a bucket and a key, got {_describe(event)}: {error!r}"
        ) from error


def _record_objects(record: Mapping[str, Any], wrappings_left: int) -> Iterator[ObjectReference]:
    """Yield the new objects of a record of SNS or S3. S3 URL-encodes keys, and also reports other events."""
    if _source(record) == "aws:sns":
        yield from _objects(_parse(record["Sns"]["Message"]), wrappings_left - 1)
    elif "ObjectCreated" in record.get("eventName", "ObjectCreated"):
        bucket, item = record["s3"]["bucket"], record["s3"]["object"]
        yield ObjectReference("s3", bucket["name"], unquote_plus(item["key"], errors="strict"), item.get("versionId"))


def _eventbridge_objects(event: Mapping[str, Any]) -> Iterator[ObjectReference]:
    """Yield the new object of an event through EventBridge, whose key is not URL-encoded.

    Nothing is yielded for the bucket's other events, which an EventBridge rule may also match.
    """
    kind, detail = event["detail-type"], event["detail"]
    if kind == "AWS API Call via CloudTrail":
        if detail["eventName"] in CLOUDTRAIL_WRITES and not detail.get("errorCode"):
            parameters, response = detail["requestParameters"], detail.get("responseElements") or {}
            version = response.get("x-amz-version-id")
            yield ObjectReference("s3", parameters["bucketName"], parameters["key"], version)
    elif kind == "Object Created":
        yield from _detail_objects(detail)
    elif not kind.startswith("Object "):
        raise InvalidRequestError(f"expected an event of S3 that names a bucket and a key, got {json_shown(kind)}")


def _detail_objects(detail: Mapping[str, Any]) -> Iterator[ObjectReference]:
    """Yield the new object of an EventBridge event's `detail`, or of an input transformer's output."""
    bucket = detail["bucket"]
    if isinstance(bucket, str):
        yield ObjectReference("s3", bucket, detail["key"], detail.get("version-id") or detail.get("versionId") or None)
    elif "deletion-type" not in detail:
        item = detail["object"]
        yield ObjectReference("s3", bucket["name"], item["key"], item.get("version-id"))


def _describe(event: object) -> str:
    """Describe an event without anything that a client may have chosen: no values, and no names unknown to AWS."""
    if not isinstance(event, Mapping):
        return json_word(event)
    names = [name for name in event if name in EVENT_FIELDS]
    text = f"an object of {json_shown(names)}"
    if len(event) > len(names):
        text += f" and {len(event) - len(names)} other fields"
    source = event.get("eventSource") or event.get("source")
    return text + (f" from {source!r}" if isinstance(source, str) and re.fullmatch(SERVICE, source, re.ASCII) else "")


def _source(record: Any) -> object:
    """Return the name of the service that sent a record; SNS spells the field differently."""
    return (record.get("eventSource") or record.get("EventSource")) if isinstance(record, dict) else None


def _parse(text: Any) -> Any:
    if isinstance(text, dict):  # EventBridge Pipes has already parsed it
        return text
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(f"expected a message that is JSON: {error}") from error
