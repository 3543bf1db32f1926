import threading
import time
from collections.abc import Callable
from pathlib import Path

from cloudevents.http import from_http

from onnxlet.clouds import aws_events, gcp_events
from onnxlet.events.messages import Message, ObjectReference
from onnxlet_cli.local.inbox import s3_notification, storage_cloud_event, watching


def wait_for(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_each_file_is_delivered_once_when_it_is_complete(tmp_path: Path) -> None:
    delivered: list[str] = []
    (tmp_path / "early.png").write_bytes(b"1")
    with watching(tmp_path, delivered.append):
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub/late.png").write_bytes(b"2")
        (tmp_path / ".hidden").write_bytes(b"3")
        (tmp_path / "half.part").write_bytes(b"4")
        wait_for(lambda: len(delivered) == 2)
        (tmp_path / "half.part").rename(tmp_path / "whole.png")
        wait_for(lambda: len(delivered) == 3)
        time.sleep(0.4)
    assert sorted(delivered) == ["early.png", "sub/late.png", "whole.png"]


def test_a_file_that_changes_is_delivered_again(tmp_path: Path) -> None:
    delivered: list[str] = []
    with watching(tmp_path, delivered.append):
        (tmp_path / "a").write_bytes(b"1")
        wait_for(lambda: delivered == ["a"])
        (tmp_path / "a").write_bytes(b"22")
        wait_for(lambda: delivered == ["a", "a"])


def test_a_delivery_that_fails_is_tried_again(tmp_path: Path) -> None:
    attempts = []
    is_done = threading.Event()

    def deliver(key: str) -> None:
        attempts.append(key)
        if len(attempts) < 2:
            raise RuntimeError("not yet")
        is_done.set()

    (tmp_path / "a").write_bytes(b"1")
    with watching(tmp_path, deliver):
        assert is_done.wait(10)
    assert attempts == ["a", "a"]


KEY = "a folder/photo 100%+é#1.png"


def test_the_functions_read_the_events_back(tmp_path: Path) -> None:
    (tmp_path / "a folder").mkdir()
    (tmp_path / KEY).write_bytes(b"1")
    assert aws_events.to_messages(s3_notification(tmp_path, KEY)) == [
        Message(None, (ObjectReference("s3", "inbox", KEY),))
    ]
    headers, body = storage_cloud_event(tmp_path, KEY)
    assert gcp_events.to_object(from_http(headers, body)) == Message(None, (ObjectReference("gs", "inbox", KEY),))
