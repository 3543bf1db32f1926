import json
from pathlib import Path
from typing import Any

import pytest

from onnxlet.clouds import aws_events
from onnxlet.errors import InvalidRequestError
from onnxlet.events.messages import Message, ObjectReference, Outcome
from onnxlet.record import replace

EVENTS = Path(__file__).parents[2] / "events"


def load(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return document


VERSION = "096fKKXTRTtl3on89fVO.nfljtsv6qko"
OBJECT = ObjectReference("s3", "onnxlet-input", "in/a photo of 100% café+1.png", VERSION)


FORMS = ["aws_s3_put", "aws_s3_eventbridge", "aws_sns_s3", "aws_sqs_s3", "aws_sqs_sns_s3", "aws_sqs_eventbridge"]
FORMS += [
    "aws_pipes_sqs",
    "aws_s3_batch_1",
    "aws_s3_batch_2",
    "aws_s3_cloudtrail",
    "aws_s3_detail",
    "aws_s3_transformed",
]


@pytest.mark.parametrize("name", FORMS)
def test_every_form_names_the_object_as_it_is(name: str) -> None:
    (message,) = aws_events.to_messages(load(name))
    assert message.sources == (OBJECT,)
    assert (message.id is not None) == ("sqs" in name or "batch" in name)
    assert OBJECT.url == "s3://onnxlet-input/in/a photo of 100% café+1.png"


def test_s3s_test_event_names_nothing() -> None:
    (message,) = aws_events.to_messages(load("aws_s3_test_event"))
    assert message.sources == ()
    assert message.error is None


def test_an_object_that_was_deleted_is_not_answered() -> None:
    notification = load("aws_s3_put")
    notification["Records"][0]["eventName"] = "ObjectRemoved:Delete"
    event = {**load("aws_s3_eventbridge"), "detail-type": "Object Deleted"}
    for deleted in (notification, event):
        assert aws_events.to_messages(deleted) == [Message(None)]


def test_a_message_that_cannot_be_read_does_not_hide_the_others() -> None:
    good, text, tested, empty = aws_events.to_messages(load("aws_sqs_mixed"))
    assert good.sources == (OBJECT,)
    assert "JSON" in str(text.error)
    assert (tested.sources, tested.error) == ((), None)
    assert "names a bucket" in str(empty.error)


def test_a_pipe_delivers_a_list_of_any_of_them() -> None:
    names = ["aws_s3_put", "aws_s3_eventbridge", "aws_s3_detail", "aws_s3_transformed", "aws_s3_test_event"]
    record = load("aws_s3_put")["Records"][0]
    messages = aws_events.to_messages([*map(load, names), record])
    assert [message.sources for message in messages] == [(OBJECT,)] * 4 + [(), (OBJECT,)]
    assert aws_events.to_messages([]) == []
    message: Any
    (message,) = load("aws_pipes_sqs")
    assert aws_events.to_messages([{**message, "body": json.loads(message["body"])}])[0].sources == (OBJECT,)
    with pytest.raises(InvalidRequestError, match=r"got an object of .* from 'aws:kinesis'"):
        aws_events.to_messages([{"eventSource": "aws:kinesis", "data": "e30="}])


@pytest.mark.parametrize("name", ["CompleteMultipartUpload", "CopyObject", "PostObject", "GetObject", "DeleteObject"])
def test_cloudtrail_names_an_object_only_where_one_was_made(name: str) -> None:
    event = load("aws_s3_cloudtrail")
    event["detail"] |= {"eventName": name, "responseElements": None}
    (message,) = aws_events.to_messages(event)
    expected = (replace(OBJECT, version=None),) if name in aws_events.CLOUDTRAIL_WRITES else ()
    assert message.sources == expected
    event["detail"]["errorCode"] = "AccessDenied"
    assert aws_events.to_messages(event) == [Message(None)]


def test_a_detail_of_an_object_that_is_gone_names_nothing() -> None:
    detail = {**load("aws_s3_detail"), "reason": "DeleteObject", "deletion-type": "Permanently Deleted"}
    assert aws_events.to_messages(detail) == [Message(None)]


def test_a_job_is_told_what_became_of_each_task() -> None:
    event = load("aws_s3_batch_1")
    (good,) = event["tasks"]
    event["tasks"] = [good, {**good, "taskId": "b", "s3Key": "%FF"}, {"taskId": "c"}]
    messages = aws_events.to_messages(event)
    assert [message.id for message in messages] == [good["taskId"], "b", "c"]
    assert [message.error is None for message in messages] == [True, False, False]
    outcomes = [
        Outcome("a", "s3://results/a", is_answered=True),
        Outcome("b", "no image", is_answered=False),
        Outcome("c", "later", is_answered=False, is_retryable=True),
    ]
    assert aws_events.from_outcomes(event, outcomes) == {
        "invocationSchemaVersion": "1.0",
        "treatMissingKeysAs": "PermanentFailure",
        "invocationId": event["invocationId"],
        "results": [
            {"taskId": "a", "resultCode": "Succeeded", "resultString": "s3://results/a"},
            {"taskId": "b", "resultCode": "PermanentFailure", "resultString": "no image"},
            {"taskId": "c", "resultCode": "TemporaryFailure", "resultString": "later"},
        ],
    }
    tasks: list[Any]
    for tasks in ([1], [{}], [{"taskId": 1}], [None]):
        with pytest.raises(InvalidRequestError, match="task of S3 Batch Operations"):
            aws_events.to_messages({**event, "tasks": tasks})


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (None, "got null"),
        ("text", "got string"),
        ([1], "got number"),
        ({"detail-type": "EC2 Instance State-change Notification", "source": "aws.ec2"}, "from 'aws.ec2'"),
        ({"detail-type": "Something else", "source": "aws.s3", "detail": {}}, "got 'Something else'"),
        ({"rawPath": "/", "requestContext": {}}, "got an object of ['rawPath', 'requestContext']"),
        ({"bucket": {"name": "b"}}, "got an object of ['bucket']"),
        ({"bucket": "b"}, "got an object of ['bucket']"),
        ({"bucket": "b", "key": None}, "got an object of ['bucket', 'key']"),
        ({"invocationSchemaVersion": "1.0"}, "got an object of ['invocationSchemaVersion']"),
        ({"bucket": "b", "of a client": 1, "source": "of a client"}, "['bucket', 'source'] and 1 other fields: "),
    ],
)
def test_an_event_of_another_kind_is_called_by_what_it_is(event: Any, words: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        aws_events.to_messages(event)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "event", [{}, {"Records": None}, {"Records": [{}]}, {"Records": [1]}, {"Records": [{"s3": {"bucket": {}}}]}]
)
def test_what_is_no_event_of_s3_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match="event of S3"):
        aws_events.to_messages(event)


def test_wrappings_are_not_followed_without_end() -> None:
    event: Any = load("aws_s3_put")
    for _ in range(aws_events.MAX_WRAPPINGS):
        event = {"Type": "Notification", "Message": json.dumps(event)}
    with pytest.raises(InvalidRequestError, match="at most 4 wrappings"):
        aws_events.to_messages(event)


def test_half_of_a_surrogate_pair_in_a_queues_message_is_an_error_of_that_message() -> None:
    message = {"messageId": "1", "eventSource": "aws:sqs", "body": '{"Records": [{"s3": {"bucket": {"name": "b"}'}
    message["body"] += ', "object": {"key": "\\ud800"}}}]}'
    (read,) = aws_events.to_messages({"Records": [message]})
    assert isinstance(read.error, InvalidRequestError)


def test_a_key_that_no_store_has_a_form_for_is_refused() -> None:
    record = {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": {"key": "a\ud800"}}}
    with pytest.raises(InvalidRequestError):
        aws_events.to_messages({"Records": [record]})


def test_failures_are_told_as_sqs_reads_them() -> None:
    assert aws_events.from_failures([]) == {"batchItemFailures": []}
    assert aws_events.from_failures(["a"]) == {"batchItemFailures": [{"itemIdentifier": "a"}]}


def test_an_item_batch_names_its_objects_as_they_are() -> None:
    """Step Functions encodes no key, and a manifest may name a version."""
    assert aws_events.to_objects(load("aws_map_items")) == [
        ObjectReference("s3", "onnxlet-input", "batch/a photo of 100% café+1.png"),
        ObjectReference("s3", "onnxlet-input", "batch/2026/01/12/b.png"),
        ObjectReference("s3", "onnxlet-input", "batch/c.png", VERSION),
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"Items": None},
        {"Items": ["a.png"]},
        {"Items": [{"Size": 1}]},
        {"Items": [{"Key": 1}]},
        {"Items": [{"Key": ""}]},
        {"BatchInput": {}},
        {"BatchInput": {"bucket": None}},
    ],
)
def test_what_is_no_item_batch_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match="expected an item batch"):
        aws_events.to_objects({**load("aws_map_items"), **changed})
    with pytest.raises(InvalidRequestError, match="expected an item batch"):
        aws_events.to_objects({name: load("aws_map_items")[name] for name in changed.keys() ^ {"Items", "BatchInput"}})


@pytest.mark.parametrize(
    ("encoded", "key"),
    [
        ("a+b", "a b"),
        ("a%2Bb", "a+b"),
        ("a%2520b", "a%20b"),  # decoded once
        ("a%252Fb", "a%2Fb"),
        ("%2Flead//a%2F..%2Fb", "/lead//a/../b"),
        ("e%CC%81+%C3%A9%F0%9F%8E%89", "e\u0301 é🎉"),
        ("100%", "100%"),
    ],
)
def test_the_key_of_a_notification_is_decoded_once_and_that_of_eventbridge_never(encoded: str, key: str) -> None:
    notification = {"Records": [{"eventSource": "aws:s3", "s3": {"bucket": {"name": "b"}, "object": {"key": encoded}}}]}
    assert aws_events.to_messages(notification)[0].sources == (ObjectReference("s3", "b", key),)
    event = {"source": "aws.s3", "detail-type": "Object Created"}
    detail = {"bucket": {"name": "b"}, "object": {"key": encoded}}
    assert aws_events.to_messages({**event, "detail": detail})[0].sources == (ObjectReference("s3", "b", encoded),)


@pytest.mark.parametrize("key", ["%FF.png", "a%C3.png", "\ud800.png"])
def test_a_key_that_is_no_text_is_not_taken_for_another(key: str) -> None:
    notification = {"Records": [{"eventSource": "aws:s3", "s3": {"bucket": {"name": "b"}, "object": {"key": key}}}]}
    with pytest.raises(InvalidRequestError, match="expected an event of S3"):
        aws_events.to_messages(notification)
