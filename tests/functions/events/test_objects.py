import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from onnxlet.errors import (
    InvalidRequestError,
    StoreError,
)
from onnxlet.events.messages import Message, ObjectReference
from onnxlet.events.objects import answer, tally
from onnxlet.service import Service
from onnxlet.settings import Settings
from onnxlet.storage import Store
from onnxlet.storage.connection import StorageSettings
from onnxlet.web.app import App
from tests.conftest import BUCKET
from tests.helpers.stored_objects import png, put


class TestMessages:
    def test_a_message_that_fails_does_not_keep_the_others_from_their_results(
        self, app: App, results: Store, scheme: str, storage: StorageSettings
    ) -> None:
        good, poison = (put(scheme, storage, name, data) for name, data in (("a.png", png()), ("b.png", b"no image")))
        unreadable = Message("2", error=InvalidRequestError("no event"))
        assert answer(app.service, [Message("1", (poison, good)), unreadable, Message("3", (good,))]) == ["2"]
        for reference in (good, poison):
            assert len(results.children(reference.key.split("/")[0])) == 1

    def test_a_delivery_that_may_succeed_later_is_told_to_the_queue(self, app: App, tmp_path: Path) -> None:
        settings = Settings(
            app.settings.registry, "digits", tmp_path.as_uri(), storage=StorageSettings("http://127.0.0.1:9")
        )
        message = Message("1", (ObjectReference("s3", BUCKET, "digit.png"),))
        assert answer(Service(settings), [message]) == ["1"]

    def test_each_source_is_one_line(self, app: App, scheme: str, storage: StorageSettings) -> None:
        good, poison = (put(scheme, storage, name, data) for name, data in (("a.png", png()), ("b.png", b"no image")))
        gone = ObjectReference("s3", BUCKET, "folder/")
        lines: list[Any] = []
        answer(app.service, [Message("1", (good, poison, gone))], lines.append)
        assert [line["source"] for line in lines] == [good.url, poison.url, gone.url]
        assert [(line["code"], line["refused"], line["failed"]) for line in lines] == [
            (None, 0, 0),
            ("unreadable_payload", 1, 0),
            (None, 0, 0),
        ]
        assert [line["model"] for line in lines] == ["digits", "digits", None]
        assert lines[0]["result"]
        assert lines[2]["result"] is None

    def test_an_event_that_came_through_no_queue_raises(self, app: App) -> None:
        with pytest.raises(InvalidRequestError):
            answer(app.service, [Message(None, error=InvalidRequestError("no event"))])

    def test_a_storm_of_duplicates_leaves_one_result_for_each_object(
        self, app: App, results: Store, scheme: str, storage: StorageSettings
    ) -> None:
        references = [put(scheme, storage, f"{number}.png", png()) for number in range(10)]
        deliveries = [Message(str(number), (reference,)) for number, reference in enumerate(references * 3)]
        random.Random(0).shuffle(deliveries)
        batches = [deliveries[start : start + 10] for start in range(0, len(deliveries), 7)]  # overlapping
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda batch: answer(app.service, batch), batches)) == [[]] * len(batches)
        for reference in references:
            assert len(results.children(reference.key.split("/")[0])) == 1


class TestBatches:
    def test_a_batch_is_counted_and_each_object_has_its_result(
        self, app: App, results: Store, scheme: str, storage: StorageSettings
    ) -> None:
        good, poison = (put(scheme, storage, name, data) for name, data in (("a.png", png()), ("b.png", b"no image")))
        gone, folder = (ObjectReference(scheme, BUCKET, key) for key in ("gone.png", "folder/"))
        lines: list[Any] = []
        counts = tally(app.service, [good, poison, gone, folder, good], lines.append)
        assert counts == {"objects": 4, "answered": 1, "refused": 2, "left_alone": 1}
        assert [line["source"] for line in lines] == [good.url, poison.url, gone.url, folder.url]
        for reference in (good, poison):
            assert len(results.children(reference.key.split("/")[0])) == 1

    def test_a_batch_of_which_one_may_be_answered_later_fails_as_a_whole(
        self, app: App, gcs_endpoint: str, storage: StorageSettings, tmp_path: Path
    ) -> None:
        good = put("gs", storage, "a.png", png())
        half_down = StorageSettings(s3_endpoint="http://127.0.0.1:9", gcs_endpoint=gcs_endpoint)
        settings = Settings(app.settings.registry, "digits", tmp_path.as_uri(), storage=half_down)
        with pytest.raises(StoreError, match="did not answer"):
            tally(Service(settings), [good, ObjectReference("s3", BUCKET, "b.png")])
        assert len(list(tmp_path.rglob("*.json"))) == 1, "the other has its result"

    def test_an_empty_batch_is_no_error(self, app: App) -> None:
        assert tally(app.service, []) == {"objects": 0, "answered": 0, "refused": 0, "left_alone": 0}
