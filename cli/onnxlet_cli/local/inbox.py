"""The inbox: a file dropped into a folder becomes the event that the cloud's bucket would send."""

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from onnxlet_cli.local.bucket import NAME, etag_of

LOOK_S = 0.1
"""Between two looks; a file that did not change between them is complete."""
RETRY_PAUSES_S = (0.5, 2.0, 5.0)
"""Before each further delivery of an event that the function raised on."""
UNFINISHED_SUFFIXES = (".part", ".tmp", ".crdownload", "~")

logger = logging.getLogger("onnxlet")

State = tuple[int, int]
"""Modification time in nanoseconds, and size in bytes."""


@contextmanager
def watching(folder: Path, deliver: Callable[[str], None]) -> Iterator[None]:
    """Call `deliver` with the key of each file that is in the folder, arrives or changes, while the context lasts."""
    is_over = threading.Event()
    thread = threading.Thread(target=_watch, args=(folder, deliver, is_over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def s3_notification(folder: Path, key: str) -> dict[str, Any]:
    """The notification that S3 sends for a new object.

    Source: Amazon S3 user guide, "Event message structure".
    """
    data = (folder / key).read_bytes()
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "eventName": "ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "onnxlet",
            "bucket": {"name": NAME, "arn": f"arn:aws:s3:::{NAME}"},
            "object": {
                "key": quote_plus(key, safe="/"),
                "size": len(data),
                "eTag": etag_of(data),
                "sequencer": f"{time.time_ns():016X}",
            },
        },
    }
    return {"Records": [record]}


def storage_cloud_event(folder: Path, key: str) -> tuple[dict[str, str], bytes]:
    """Headers and body of the CloudEvent, in binary mode, that Eventarc sends for a new object of Cloud Storage.

    Source: CloudEvents HTTP protocol binding 1.0; google-cloudevents, `StorageObjectData`.
    """
    data = (folder / key).read_bytes()
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    headers = {
        "ce-id": str(uuid.uuid4()),
        "ce-source": f"//storage.googleapis.com/projects/_/buckets/{NAME}",
        "ce-specversion": "1.0",
        "ce-subject": quote_plus(f"objects/{key}", safe="/"),
        "ce-time": now,
        "ce-type": "google.cloud.storage.object.v1.finalized",
        "content-type": "application/json",
    }
    document = {"bucket": NAME, "name": key, "size": str(len(data)), "etag": etag_of(data), "timeCreated": now}
    return headers, json.dumps(document).encode()


def _watch(folder: Path, deliver: Callable[[str], None], is_over: threading.Event) -> None:
    delivered: dict[str, State] = {}
    last: dict[str, State] = {}
    while not is_over.wait(LOOK_S):
        found = _look(folder)
        for key, state in found.items():
            if last.get(key) == state != delivered.get(key):
                delivered[key] = state
                _deliver(deliver, key, is_over)
        last = found


def _look(folder: Path) -> dict[str, State]:
    """The complete-looking files in the folder, by key, with their state."""
    found = {}
    for path in sorted(folder.rglob("*")):
        key = path.relative_to(folder).as_posix()
        is_hidden = any(part.startswith(".") for part in key.split("/"))
        if not is_hidden and not key.endswith(UNFINISHED_SUFFIXES) and path.is_file():
            status = path.stat()
            found[key] = (status.st_mtime_ns, status.st_size)
    return found


def _deliver(deliver: Callable[[str], None], key: str, is_over: threading.Event) -> None:
    """Deliver an event, and again where the function raised, as the clouds do."""
    for pause_s in (*RETRY_PAUSES_S, None):
        try:
            deliver(key)
        except Exception as error:  # whatever it is, the next file must not wait for it forever
            logger.warning("%s: the function failed: %s", key, error)
            if pause_s is None or is_over.wait(pause_s):
                return
        else:
            return
