import json
from pathlib import Path
from typing import Any

import pytest
from cloudevents.http import CloudEvent, from_json

from onnxlet.clouds import gcp_events
from onnxlet.errors import InvalidRequestError
from onnxlet.events.messages import Inline, Message, ObjectReference

EVENTS = Path(__file__).parents[2] / "events"
EVENT = (EVENTS / "gcp_storage_finalized.json").read_text()
PUBSUB_EVENT = (EVENTS / "gcp_pubsub_storage.json").read_text()
OBJECT = ObjectReference("gs", "onnxlet-input", "in/a photo of 100% café+1.png", "1768213230123456")


def test_a_cloud_event_names_the_object_as_it_is() -> None:
    assert gcp_events.to_object(from_json(EVENT)) == Message(None, (OBJECT,))


def test_a_notification_through_pubsub_names_it_too() -> None:
    event = json.loads(PUBSUB_EVENT)
    assert gcp_events.to_message(from_json(PUBSUB_EVENT)) == Message(None, (OBJECT,))
    event["data"]["message"]["attributes"]["eventType"] = "OBJECT_DELETE"
    assert gcp_events.to_message(from_json(json.dumps(event))) == Message(None)


@pytest.mark.parametrize(
    "attributes",
    [
        {"eventType": "order.created"},
        {"eventType": "OBJECT_FINALIZE"},
        {"eventType": "OBJECT_FINALIZE", "bucketId": "b"},
        {"eventType": "OBJECT_DELETE", "objectId": "a"},
        {"eventType": "order.created", "bucketId": "b", "objectId": "a"},
        {"bucketId": "b", "objectId": "a"},
        {},
    ],
)
def test_a_message_with_attributes_of_a_users_own_is_a_payload(attributes: dict[str, str]) -> None:
    event = json.loads(PUBSUB_EVENT)
    for name, media_type in (("", ""), ("content-type", "a/b"), ("Content-Type", "a/b"), ("CONTENT-TYPE", "a/b")):
        event["data"]["message"]["attributes"] = {**attributes, **({name: media_type} if name else {})}
        (source,) = gcp_events.to_message(from_json(json.dumps(event))).sources
        assert isinstance(source, Inline)
        assert (source.body, source.media_type) == (b'{"kind": "storage#object"}', media_type)


def test_the_payload_sample_is_json_of_a_users_own() -> None:
    (source,) = gcp_events.to_message(from_json((EVENTS / "gcp_pubsub_payload.json").read_text())).sources
    assert isinstance(source, Inline)
    assert source.media_type == "application/json"


@pytest.mark.parametrize("generation", [1768213230123456, "1768213230123456"])
def test_a_generation_may_be_a_number(generation: object) -> None:
    event = json.loads(EVENT)
    event["data"]["generation"] = generation
    assert gcp_events.to_object(from_json(json.dumps(event))).sources == (OBJECT,)
    event = json.loads(PUBSUB_EVENT)
    event["data"]["message"]["attributes"]["objectGeneration"] = generation
    assert gcp_events.to_message(from_json(json.dumps(event))).sources == (OBJECT,)


def test_an_event_that_came_to_the_other_function_is_read_all_the_same() -> None:
    assert gcp_events.to_object(from_json(PUBSUB_EVENT)) == gcp_events.to_message(from_json(PUBSUB_EVENT))
    assert gcp_events.to_message(from_json(EVENT)) == gcp_events.to_object(from_json(EVENT))


@pytest.mark.parametrize("kind", ["google.cloud.audit.log.v1.written", "com.example.created"])
def test_an_event_of_another_service_is_not_swallowed(kind: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"got {kind}"):
        gcp_events.to_object(from_json(json.dumps({**json.loads(EVENT), "type": kind})))
    deleted = {**json.loads(EVENT), "type": "google.cloud.storage.object.v1.deleted"}
    assert gcp_events.to_object(from_json(json.dumps(deleted))) == Message(None)


@pytest.mark.parametrize("data", [None, {}, {"message": {}}, {"message": {"attributes": {"eventType": 1}}}])
def test_another_message_is_refused_or_names_nothing(data: Any) -> None:
    attributes = {name: value for name, value in json.loads(PUBSUB_EVENT).items() if name in {"type", "source"}}
    try:
        assert gcp_events.to_message(CloudEvent(attributes, data)).sources == ()
    except InvalidRequestError as error:
        assert "Pub/Sub" in str(error)


@pytest.mark.parametrize("data", [None, {}, {"bucket": "b"}, "text", []])
def test_another_event_is_refused(data: Any) -> None:
    attributes = {name: value for name, value in json.loads(EVENT).items() if name in {"type", "source"}}
    with pytest.raises(InvalidRequestError, match=r"data\.bucket"):
        gcp_events.to_object(CloudEvent(attributes, data))
