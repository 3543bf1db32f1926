"""The deliveries: a queue as SQS is, and events of new objects in the forms of both clouds."""

import json
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from cloudevents.http import CloudEvent

from onnxlet.clouds import aws_events, gcp_events
from onnxlet.errors import OnnxletError
from onnxlet.events import objects
from onnxlet.service import Service

EVENTS = Path(__file__).parents[1] / "events"
MAX_RECEIVES = 5
"""As template.yaml has it: then a message is laid aside."""
BATCH = 10
"""SQS's own, and the most that it hands over at once without a window."""


@dataclass(frozen=True, slots=True)
class NewObject:
    """An object that an event speaks of."""

    scheme: str
    bucket: str
    key: str
    generation: str | None = None

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}"


@dataclass(slots=True)
class Delivery:
    """A message in a queue; an object may have several."""

    id: str
    item: NewObject
    receives: int = 0


@dataclass
class Queue:
    """At least once, in no order, again after a failure, and laid aside after so many. Safe for threads."""

    chance: random.Random
    waiting: list[Delivery] = field(default_factory=list)
    dead: list[Delivery] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, items: Sequence[NewObject], copies: int, seed: int) -> "Queue":
        """A queue in which each object has so many messages, shuffled."""
        chance = random.Random(seed)
        waiting = [Delivery(f"{copy}-{index}", item) for index, item in enumerate(items) for copy in range(copies)]
        chance.shuffle(waiting)
        return cls(chance, waiting)

    def receive(self, at_most: int = BATCH) -> list[Delivery]:
        with self.lock:
            found, self.waiting = self.waiting[:at_most], self.waiting[at_most:]
        for delivery in found:
            delivery.receives += 1
        return found

    def give_back(self, failed: Sequence[Delivery]) -> None:
        """Take what failed for another delivery; all else of a batch is deleted by that."""
        with self.lock:
            for delivery in failed:
                if delivery.receives >= MAX_RECEIVES:
                    self.dead.append(delivery)
                else:
                    self.waiting.insert(self.chance.randint(0, len(self.waiting)), delivery)


def work_off(queue: Queue, service: Service, batch: int = BATCH) -> None:
    """Deliver until nothing is left."""
    while deliveries := queue.receive(batch):
        queue.give_back(deliver(service, deliveries))


def deliver(service: Service, deliveries: Sequence[Delivery]) -> list[Delivery]:
    """Hand messages to a function, as their cloud does; gives those that failed."""
    if deliveries[0].item.scheme == "s3":
        event = {"Records": [sqs_record(delivery) for delivery in deliveries]}
        failed = set(objects.answer(service, aws_events.to_messages(event), write_nothing))
        return [delivery for delivery in deliveries if delivery.id in failed]
    return [delivery for delivery in deliveries if not is_answered(service, delivery)]


def is_answered(service: Service, delivery: Delivery) -> bool:
    """Eventarc's way: one event at a time, again where the function raises."""
    try:
        objects.answer(service, [gcp_events.to_object(cloud_event(delivery.item))], write_nothing)
    except OnnxletError:
        return False
    return True


def write_nothing(_line: object) -> None:
    """Where the lines of the log go."""


_SQS = json.loads((EVENTS / "aws_sqs_s3.json").read_text())["Records"][0]
_S3 = json.loads(_SQS["body"])["Records"][0]
_GCS = json.loads((EVENTS / "gcp_storage_finalized.json").read_text())


def sqs_record(delivery: Delivery) -> dict[str, Any]:
    """S3's notification inside a message of SQS; the bucket keeps no versions."""
    item = delivery.item
    s3 = {"bucket": {"name": item.bucket}, "object": {"key": quote_plus(item.key), "sequencer": "0055AED6DCD90281E5"}}
    body = json.dumps({"Records": [{**_S3, "s3": {**_S3["s3"], **s3}}]})
    return {**_SQS, "messageId": delivery.id, "body": body}


def cloud_event(item: NewObject) -> CloudEvent:
    data = {**_GCS["data"], "bucket": item.bucket, "name": item.key, "generation": item.generation}
    return CloudEvent({name: value for name, value in _GCS.items() if name != "data"}, data)
