"""AWS's events in and out of our Request, Response and ObjectReference; nothing here does any work.

Source: AWS Lambda developer guide, "Invoking function URLs" (payload format 2.0), "Lambda integration for REST APIs"
(1.0), "Using Lambda with an Application Load Balancer" and "Using Lambda with Amazon SQS" (partial batch responses);
Amazon S3 user guide, "Event message structure", "EventBridge event message structure" and "Batch Operations"; AWS
CloudTrail, "Record contents"; Amazon EventBridge, "Pipes batching" and "Input transformation"; AWS Step Functions
developer guide, "ItemBatcher" and "ItemReader".
"""

import json
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote, unquote_plus

import orjson

from onnxlet.errors import InvalidRequestError, TooLargeError, json_shown, json_word
from onnxlet.events.sources import Message, ObjectReference, Outcome
from onnxlet.http import JSON, Request, Response, merged
from onnxlet.limits import MAX_BODY_BYTES

MAX_BALANCED_BYTES = 1024 * 1024 - 16 * 1024
"""Of an answer through a load balancer: it takes 1 MiB, of which some are left for the document around the body."""

WRITES = frozenset({"PutObject", "CopyObject", "CompleteMultipartUpload", "PostObject"})
"""What CloudTrail calls the requests that make an object."""

FIELDS = [
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
]
"""The fields that events of AWS have: the names that an error shows, since all others may be of a client's making."""

MAX_WRAPPINGS = 4
"""An event inside SNS inside SQS has two; whatever has more is no event of S3's."""

SERVICE = r"aws[.:][a-z0-9]{1,20}"
"""The form of a service's name in an event; compiled where an error needs it, which no cold start does."""


def to_request(event: Mapping[str, Any]) -> Request:
    """Read an HTTP event: Function URL, HTTP API, REST API or load balancer; or the bare body of a direct invocation.

    Raises:
        InvalidRequestError: another event, or a body that is not the base64 it claims to be.
    """
    if is_direct(event):
        return Request("POST", "/invocations", _to_json(event), {"content-type": JSON})
    try:
        if "httpMethod" in event:
            method, path, query, headers = _payload_1(event)
        else:
            method, path, query, headers = _payload_2(event)
        path, base_path = _split_base(path, event)
        context = event["requestContext"]
        request_id, text = context.get("requestId") or "", event.get("body") or ""
        _require_texts(method, path, request_id, text, *headers, *headers.values(), *query, *query.values())
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidRequestError(f"expected an HTTP event of payload format 1.0 or 2.0: {error!r:.300}") from error
    body = _to_body(text, is_base64=bool(event.get("isBase64Encoded")))
    limit_bytes = MAX_BALANCED_BYTES if "elb" in context else None
    return Request(method, path, body, headers, query, request_id or None, base_path, limit_bytes)


def remaining_s(context: Any) -> float | None:
    """How long Lambda lets the invocation go on, by its context object; None where there is none."""
    return None if context is None else context.get_remaining_time_in_millis() / 1000


def is_direct(event: object) -> bool:
    """Whether an event is what a client gave to Invoke itself, with nothing of a service in between around it."""
    return isinstance(event, Mapping) and "requestContext" not in event and bool(event.keys() & {"inputs", "instances"})


def from_response(response: Response, event: Mapping[str, Any]) -> dict[str, Any]:
    """The answer in the form that belongs to the event: JSON and text as they are, anything else as base64.

    A direct invocation gets the JSON document itself.
    """
    is_text = response.is_text
    if is_direct(event) and is_text:
        document: dict[str, Any] = orjson.loads(response.body)
        return document
    headers = {"content-type": response.content_type, **response.headers}
    answer = {
        "statusCode": response.status,
        "headers": headers,
        "body": response.body.decode() if is_text else b64encode(response.body).decode(),
        "isBase64Encoded": not is_text,
    }
    if isinstance(event, Mapping) and "multiValueHeaders" in event:  # then a load balancer reads no others
        answer["multiValueHeaders"] = {name: [value] for name, value in headers.items()}
    return answer


Parts = tuple[str, str, dict[str, str], dict[str, str]]
"""Method, path, query and headers."""


def _payload_2(event: Mapping[str, Any]) -> Parts:
    """Payload format 2.0: Function URL and HTTP API."""
    context = event["requestContext"]
    path = event["rawPath"]
    stage = f"/{context.get('stage')}"
    if path.startswith(f"{stage}/"):  # a named stage is part of the path; `$default` is not
        path = path.removeprefix(stage)
    parameters = parse_qsl(event.get("rawQueryString") or "", keep_blank_values=True)
    query = dict(reversed(parameters))  # of one that is given twice the first counts, as on GCP
    return context["http"]["method"], unquote(path), query, merged((event.get("headers") or {}).items())


def _payload_1(event: Mapping[str, Any]) -> Parts:
    """Payload format 1.0: REST API and load balancer, which have each header and parameter once or many times."""
    many = event.get("multiValueHeaders")
    each = ((name, value) for name, values in (many or {}).items() for value in values)
    headers = merged(each if many else (event.get("headers") or {}).items())
    query = _first_values(event.get("multiValueQueryStringParameters"), event.get("queryStringParameters"))
    if "elb" in event["requestContext"]:  # which passes on what the client wrote
        query = {unquote_plus(name): unquote_plus(value) for name, value in query.items()}
    return event["httpMethod"], unquote(event["path"]), query, headers


def _first_values(many: Mapping[str, list[str]] | None, single: Mapping[str, str] | None) -> dict[str, str]:
    return {name: values[0] for name, values in many.items() if values} if many else dict(single or {})


def _split_base(path: str, event: Mapping[str, Any]) -> tuple[str, str]:
    """A path, and what a custom domain's mapping put in front of it: the route for all paths does not match that.

    Source: Amazon API Gateway, "Map stages to a custom domain name" and "Set up a proxy integration with a proxy
    resource".
    """
    pattern = event.get("resource") or (event.get("routeKey") or "").rpartition(" ")[2]
    proxy = unquote((event.get("pathParameters") or {}).get("proxy") or "")
    if pattern != "/{proxy+}" or not proxy or not path.endswith(f"/{proxy}"):
        return path, ""
    return f"/{proxy}", path.removesuffix(f"/{proxy}")


def to_messages(event: Any) -> list[Message]:
    """Read an event that speaks of new objects.

    It is S3's notification, S3's or CloudTrail's event through EventBridge (whole, its `detail` alone, or what an input
    transformer made of it), each plain or wrapped by SNS, SQS or both; or a task of S3 Batch Operations. EventBridge
    Pipes delivers a list of these.

    Raises:
        InvalidRequestError: another event. A message of a queue that cannot be read carries its error instead.
    """
    if is_job(event):
        return [_to_task(task) for task in event["tasks"]]
    records = event if isinstance(event, list) else event.get("Records") if isinstance(event, Mapping) else None
    if isinstance(records, list) and records and all(_source(record) == "aws:sqs" for record in records):
        return [_to_message(record) for record in records]
    if isinstance(event, list):
        return [Message(None, tuple(_objects(record, MAX_WRAPPINGS))) for record in event]
    return [Message(None, tuple(_objects(event, MAX_WRAPPINGS)))]


def is_job(event: object) -> bool:
    """Whether an event is an invocation by S3 Batch Operations, which expects an answer of its own form."""
    return isinstance(event, Mapping) and "invocationSchemaVersion" in event and isinstance(event.get("tasks"), list)


def from_outcomes(event: Mapping[str, Any], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The answer by which S3 Batch Operations counts a task as done, tries it again, or reports it as failed."""
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
    return "TemporaryFailure" if outcome.may_be_repeated else "PermanentFailure"


def from_failures(message_ids: Sequence[str]) -> dict[str, Any]:
    """The answer by which SQS deletes all messages but these."""
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in message_ids]}


def to_objects(event: Mapping[str, Any]) -> list[ObjectReference]:
    """Read an item batch of a Distributed Map: objects of one bucket, as S3 has listed or a manifest has named them.

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
    if not all(isinstance(text, str) and text for item in objects for text in (item.bucket, item.key)):
        raise InvalidRequestError("expected an item batch whose bucket and keys are texts")
    return objects


def _to_task(task: Any) -> Message:
    """Read a task of S3 Batch Operations, whose keys are URL-encoded as those of its manifest.

    Source: Amazon S3 user guide, "Invoke AWS Lambda function": version 1.0 names the bucket's ARN, 2.0 its name.
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
        raise InvalidRequestError(f"expected a message of a queue with its messageId, got {message_id!r:.80}")
    try:
        return Message(message_id, tuple(_objects(_parse(record.get("body")), MAX_WRAPPINGS)))
    except InvalidRequestError as error:
        return Message(message_id, error=error)


def _objects(event: Any, wrappings_left: int) -> Iterator[ObjectReference]:
    """The new objects that an event speaks of, however it is wrapped."""
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
    """Of one record: SNS's, or S3's own, where the key is URL-encoded and not every event is of a new object."""
    if _source(record) == "aws:sns":
        yield from _objects(_parse(record["Sns"]["Message"]), wrappings_left - 1)
    elif "ObjectCreated" in record.get("eventName", "ObjectCreated"):
        bucket, item = record["s3"]["bucket"], record["s3"]["object"]
        yield ObjectReference("s3", bucket["name"], unquote_plus(item["key"], errors="strict"), item.get("versionId"))


def _eventbridge_objects(event: Mapping[str, Any]) -> Iterator[ObjectReference]:
    """Of S3's event through EventBridge, whose key is not URL-encoded; a rule may let any event of a bucket through."""
    kind, detail = event["detail-type"], event["detail"]
    if kind == "AWS API Call via CloudTrail":
        if detail["eventName"] in WRITES and not detail.get("errorCode"):
            parameters, answered = detail["requestParameters"], detail.get("responseElements") or {}
            version = answered.get("x-amz-version-id")
            yield ObjectReference("s3", parameters["bucketName"], parameters["key"], version)
    elif kind == "Object Created":
        yield from _detail_objects(detail)
    elif not kind.startswith("Object "):
        raise InvalidRequestError(f"expected an event of S3 that names a bucket and a key, got {json_shown(kind)}")


def _detail_objects(detail: Mapping[str, Any]) -> Iterator[ObjectReference]:
    """Of the `detail` of an event through EventBridge, or of what an input transformer made of it."""
    bucket = detail["bucket"]
    if isinstance(bucket, str):
        yield ObjectReference("s3", bucket, detail["key"], detail.get("version-id") or detail.get("versionId") or None)
    elif "deletion-type" not in detail:
        item = detail["object"]
        yield ObjectReference("s3", bucket["name"], item["key"], item.get("version-id"))


def _describe(event: object) -> str:
    """Return what an event is, without what may be of a client's making: values, and names that AWS does not give."""
    if not isinstance(event, Mapping):
        return json_word(event)
    names = [name for name in event if name in FIELDS]
    text = f"an object of {json_shown(names)}"
    if len(event) > len(names):
        text += f" and {len(event) - len(names)} other fields"
    source = event.get("eventSource") or event.get("source")
    return text + (f" from {source!r}" if isinstance(source, str) and re.fullmatch(SERVICE, source, re.ASCII) else "")


def _source(record: Any) -> object:
    """Which service sent a record; SNS writes the field in its own way."""
    return (record.get("eventSource") or record.get("EventSource")) if isinstance(record, dict) else None


def _parse(text: Any) -> Any:
    if isinstance(text, dict):  # a pipe has read it already
        return text
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(f"expected a message that is JSON: {error}") from error


def _require_texts(*values: object) -> None:
    """Refuse what is not a text, or a text with a lone surrogate: JSON writes them, and UTF-8 has no form for them.

    Raises:
        TypeError, ValueError: A value is such.
    """
    for value in values:
        if not isinstance(value, str):
            raise TypeError("expected texts")
        value.encode()


def _to_json(event: Mapping[str, Any]) -> bytes:
    try:
        document = orjson.dumps(event)
        return document if b"null" not in document else json.dumps(event).encode()  # orjson has null for infinities
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(f"expected an event that JSON has a form for: {error}") from error


def _to_body(body: str, *, is_base64: bool) -> bytes:
    if len(body) > (MAX_BODY_BYTES + 2) // 3 * 4:
        raise TooLargeError(f"expected a body of at most {MAX_BODY_BYTES} bytes, got {len(body)} characters")
    try:
        return b64decode(body, validate=True) if is_base64 else body.encode()
    except (Base64Error, ValueError) as error:
        raise InvalidRequestError(f"the body is no text, or not the base64 that it claims to be: {error}") from error
