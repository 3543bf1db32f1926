"""The inbox: a file copied into a folder becomes the event that the cloud's bucket would send."""

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
"""The time between two scans; a file that did not change between them is complete."""
RETRY_PAUSES_S = (0.5, 2.0, 5.0)
"""The pauses before an event is delivered again after the function failed."""
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
    """Return the notification that S3 sends for a new object.

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
    """Return headers and body of the binary CloudEvent that Eventarc sends for a new object of Cloud Storage.

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
    """Return the state of each visible file in the folder by key, without unfinished downloads."""
    found = {}
    for path in sorted(folder.rglob("*")):
        key = path.relative_to(folder).as_posix()
        is_hidden = any(part.startswith(".") for part in key.split("/"))
        if not is_hidden and not key.endswith(UNFINISHED_SUFFIXES) and path.is_file():
            status = path.stat()
            found[key] = (status.st_mtime_ns, status.st_size)
    return found


def _deliver(deliver: Callable[[str], None], key: str, is_over: threading.Event) -> None:
    """Deliver an event, and deliver it again if the function fails, as the clouds do."""
    for pause_s in (*RETRY_PAUSES_S, None):
        try:
            deliver(key)
        except Exception as error:  # no failure may block the files after this one
            logger.warning("%s: the function failed: %s", key, error)
            if pause_s is None or is_over.wait(pause_s):
                return
        else:
            return
