import base64
import gzip
import hashlib
import io
import json
import uuid
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from onnxlet.errors import (
    BucketNotFoundError,
    DeadlineError,
    ModelNotFoundError,
    SettingsError,
    StoreError,
)
from onnxlet.events.messages import ObjectReference, Source
from onnxlet.events.result_keys import is_result_key, result_key
from onnxlet.events.results import Failed, Written
from onnxlet.events.results import process as process_all
from onnxlet.limits import MAX_INFLATED_BYTES, MIB
from onnxlet.limits.memory import RESERVED_BYTES
from onnxlet.models.traffic import Selection
from onnxlet.protocols import payloads
from onnxlet.record import replace
from onnxlet.registry.registry import Registry
from onnxlet.service import Service
from onnxlet.settings import Settings
from onnxlet.storage import Store, open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet.web.app import App
from onnxlet_publishing.publish import publish
from tests.conftest import BUCKET
from tests.helpers import graphs
from tests.helpers.stored_objects import png, put, put_described, put_exactly, result


def process(app: App, source: Source) -> str | None:
    """Answer one source; gives the URL of its result, raises what it failed with."""
    (state,) = process_all(app.service, [source])
    if isinstance(state, Failed):
        raise state.error
    return state.url if isinstance(state, Written) else None


def process_together(service: Service, sources: list[Source]) -> list[str]:
    """Answer several sources; gives the URLs of their results."""
    return [written(state).url for state in process_all(service, sources)]


def written(state: object) -> Written:
    assert isinstance(state, Written), state
    return state


JSON_ROW = json.dumps([base64.b64encode(png()).decode()]).encode()


@pytest.mark.parametrize("scheme", ["s3"])
@pytest.mark.parametrize(
    ("name", "data", "attributes"),
    [
        ("noext", png(), {"content_type": "image/png"}),
        ("uploads/5f2c1b7e-0000", png(), {"content_type": "binary/octet-stream"}),
        ("photo.png.tmp", png(), {}),
        ("a.JPG", png(), {"content_type": "image/jpeg"}),
        ("a.npy", png(), {"content_type": "text/html"}),
        ("noext", JSON_ROW, {"content_type": "application/vnd.api+json; charset=utf-8"}),
        ("a.txt", JSON_ROW, {"content_type": "application/json"}),
        ("a.json", JSON_ROW, {"content_type": "application/x-whatever"}),
        ("noext", JSON_ROW, {"content_type": "binary/octet-stream"}),
        ("a.json", gzip.compress(JSON_ROW), {"content_encoding": "gzip", "content_type": "application/json"}),
        ("a.json", gzip.compress(JSON_ROW), {"content_encoding": "gzip,aws-chunked"}),
        ("a.json", JSON_ROW, {"content_encoding": "gzip"}),  # as Cloud Storage gives what it has inflated
        ("a.png", zlib.compress(png()), {"content_encoding": "deflate"}),
    ],
)
def test_an_object_is_what_it_begins_as_or_what_is_stored_with_it(
    app: App, results: Store, storage: StorageSettings, name: str, data: bytes, attributes: dict[str, str]
) -> None:
    expected = result(results, process(app, put("s3", storage, "a.png", png())))["predictions"]
    document = result(results, process(app, put_described(storage, name, data, **attributes)))
    assert document.get("predictions") == expected, document


@pytest.mark.parametrize("scheme", ["s3"])
@pytest.mark.parametrize(
    ("data", "coding", "code"),
    [
        (png(), "br", "unsupported_media"),
        (b"\x1f\x8bno gzip", "gzip", "unreadable_payload"),
        (gzip.compress(bytes(MAX_INFLATED_BYTES + 1)), "gzip", "too_large"),
    ],
)
def test_an_object_that_cannot_be_inflated_is_refused_for_good(
    app: App, results: Store, storage: StorageSettings, data: bytes, coding: str, code: str
) -> None:
    reference = put_described(storage, "a.png", data, content_encoding=coding)
    assert result(results, process(app, reference))["code"] == code


def test_an_object_gets_one_result_that_names_it(
    app: App, results: Store, scheme: str, storage: StorageSettings
) -> None:
    reference = put(scheme, storage, "a digit, 100%+1.PNG", png())
    document = result(results, process(app, reference))
    assert document["source"] == f"{scheme}://{BUCKET}/{reference.key}"
    assert (document["model"], document["version"]) == ("digits", 1)
    assert document["identity"]["etag"]
    assert document["predictions"][0]["label"] in set("0123456789")


def test_a_second_delivery_changes_nothing(app: App, results: Store, scheme: str, storage: StorageSettings) -> None:
    reference = put(scheme, storage, "digit.png", png())
    first = process(app, reference)
    written = result(results, first)
    assert process(app, reference) == first
    assert result(results, first) == written
    assert len(results.children(reference.key.split("/")[0])) == 1


def test_deliveries_at_once_leave_one_result(app: App, results: Store, scheme: str, storage: StorageSettings) -> None:
    reference = put(scheme, storage, "digit.png", png())
    with ThreadPoolExecutor(8) as pool:
        urls = set(pool.map(lambda _: process(app, reference), range(8)))
    assert len(urls) == 1
    assert len(results.children(reference.key.split("/")[0])) == 1


@pytest.mark.parametrize("name", ["x" * 251 + ".png", "日" * 83 + "x.png", "a/" * 100 + "digit.png"])
def test_a_result_fits_a_file_system_however_long_its_objects_name_is(
    app: App, scheme: str, storage: StorageSettings, tmp_path: Path, name: str
) -> None:
    reference = put(scheme, storage, name, png())
    settings = replace(app.settings, results=tmp_path.as_uri())
    assert "predictions" in result(open_store(tmp_path.as_uri()), process(App(settings), reference))


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("text.png", b"I am no image", "unreadable_payload"),
        ("half.png", png()[:50], "unreadable_payload"),
        ("empty.png", b"", "invalid_request"),
        ("document.pdf", b"%PDF-1.7", "unsupported_media"),
        ("noname", b"what is this?", "unsupported_media"),
    ],
)
def test_what_can_never_succeed_leaves_a_result_that_says_so(
    app: App, results: Store, scheme: str, storage: StorageSettings, name: str, data: bytes, code: str
) -> None:
    reference = put(scheme, storage, name, data)
    document = result(results, process(app, reference))
    assert (document["code"], document["source"]) == (code, reference.url)
    assert "predictions" not in document
    assert "\n" not in document["error"]


def rows(count: int) -> bytes:
    """So many grey images as numbers."""
    file = io.BytesIO()
    np.save(file, np.zeros((count, 28, 28, 1), np.float32))
    return file.getvalue()


def test_an_object_that_finds_no_room_beside_the_others_is_answered_alone(
    app: App, results: Store, scheme: str, storage: StorageSettings
) -> None:
    budget_bytes = 24 * MIB
    settings = replace(app.settings, function_bytes=RESERVED_BYTES + MIB + budget_bytes, memory_bytes=MIB)
    service = Service(settings)
    assert service.budget.size_bytes == budget_bytes
    large = [put(scheme, storage, f"{number}.npy", rows(1600)) for number in range(6)]
    too_large = put(scheme, storage, "huge.npy", rows(4000))
    innocent = put(scheme, storage, "innocent.png", png())
    documents = [result(results, url) for url in process_together(service, [*large, too_large, innocent])]
    assert [len(document.get("predictions", ())) for document in documents] == [1600] * 6 + [0, 1]
    assert documents[-2]["code"] == "too_large"
    with service.budget.share() as share:  # all of it was given back
        share.take(budget_bytes)


def test_an_object_for_which_there_is_no_memory_in_time_is_delivered_again(
    app: App, scheme: str, storage: StorageSettings
) -> None:
    service = Service(replace(app.settings, function_bytes=RESERVED_BYTES + 25 * MIB, memory_bytes=MIB))
    reference = put(scheme, storage, "large.npy", rows(1600))
    with service.budget.share() as share:  # another delivery to the same process
        share.take(20 * MIB)
        (state,) = process_all(service, [reference], remaining_s=2)
    assert isinstance(state, Failed)
    assert isinstance(state.error, DeadlineError)
    process_together(service, [reference])


def test_an_object_that_is_gone_leaves_a_result_too(app: App, results: Store, scheme: str) -> None:
    document = result(results, process(app, ObjectReference(scheme, BUCKET, "gone.png")))
    assert document["code"] == "object_not_found"
    document = result(results, process(app, ObjectReference(scheme, "no-such-bucket", "gone.png")))
    assert document["code"] == "bucket_not_found"


@pytest.mark.parametrize("key", ["a//b.png", "./a.png", "a/../b.png", "a\nb.png", "é" * 500 + ".png"])
def test_a_key_that_the_store_cannot_read_leaves_a_result_too(app: App, results: Store, scheme: str, key: str) -> None:
    document = result(results, process(app, ObjectReference(scheme, BUCKET, key)))
    assert document["source"] == f"{scheme}://{BUCKET}/{key}"
    assert document["code"] in {"invalid_name", "object_not_found"}


def test_a_folders_mark_is_never_answered(app: App, scheme: str) -> None:
    assert process(app, ObjectReference(scheme, BUCKET, "folder/")) is None


def test_the_object_that_an_event_names_is_the_one_that_is_answered(
    app: App, results: Store, scheme: str, storage: StorageSettings
) -> None:
    """And the result of one is never that of another, however alike their keys are."""
    name = f"{uuid.uuid4()}.png"
    keys = [f"{before}{name}" for before in ("", "/", "//", "a/", "a//", "./", "../", "a/./", "a/../", "\x01", "/\x7f")]
    for number, key in enumerate(keys):
        put_exactly(scheme, storage, key, png(number))
    urls = process_together(app.service, [ObjectReference(scheme, BUCKET, key) for key in keys])
    documents = [result(results, url) for url in urls]
    assert [document["source"] for document in documents] == [f"{scheme}://{BUCKET}/{key}" for key in keys]
    etags = [f'"{hashlib.md5(png(number)).hexdigest()}"' for number in range(len(keys))]
    assert [document["identity"]["etag"] for document in documents] == etags
    assert all("predictions" in document for document in documents)
    assert len({*urls}) == len(keys)


def test_a_key_with_a_slash_at_its_end_is_answered_where_it_has_bytes(
    app: App, results: Store, scheme: str, storage: StorageSettings
) -> None:
    key = f"{uuid.uuid4()}.json/"
    put_exactly(scheme, storage, key, b"{}")
    assert result(results, process(app, ObjectReference(scheme, BUCKET, key)))["source"].endswith(key)
    put_exactly(scheme, storage, f"empty-{key}", b"")
    assert process(app, ObjectReference(scheme, BUCKET, f"empty-{key}")) is None


@pytest.mark.parametrize("bucket", ["b/in", "b?x", "b#", "a@b", "127.0.0.1:1", "UPPER", "", ".."])
def test_what_is_no_bucket_leaves_a_result_that_says_so(app: App, results: Store, scheme: str, bucket: str) -> None:
    document = result(results, process(app, ObjectReference(scheme, bucket, "digit.png")))
    assert document["code"] == "invalid_name"


@pytest.mark.parametrize("place", ["", "in/", "a/./b//", "in/é/"])
def test_a_key_that_looks_like_a_result_is_never_answered(
    app: App, scheme: str, storage: StorageSettings, place: str
) -> None:
    """Whatever other name its bucket has: an access point's alias, for instance."""
    reference = put(scheme, storage, "digit.png", png())
    key = place + result_key(reference, '"etag"', "digits", 1)
    assert is_result_key(key)
    assert process(app, ObjectReference(scheme, f"{BUCKET}-alias-s3alias", key)) is None


def test_a_result_is_never_answered(app: App, results: Store, scheme: str) -> None:
    key = results.url.removeprefix(f"{scheme}://{BUCKET}/")
    assert process(app, ObjectReference(scheme, BUCKET, f"{key}/digit.png.json")) is None


def test_a_store_that_does_not_answer_is_left_to_a_later_delivery(app: App, tmp_path: Path) -> None:
    settings = Settings(
        app.settings.registry, "digits", tmp_path.as_uri(), storage=StorageSettings("http://127.0.0.1:9")
    )
    with pytest.raises(StoreError):
        process(App(settings), ObjectReference("s3", BUCKET, "digit.png"))
    assert list(tmp_path.iterdir()) == []


def test_a_place_for_results_that_does_not_answer_is_left_to_a_later_delivery(
    app: App, gcs_endpoint: str, storage: StorageSettings
) -> None:
    reference = put("gs", storage, "digit.png", png())
    down = StorageSettings(s3_endpoint="http://127.0.0.1:9", gcs_endpoint=gcs_endpoint)
    with pytest.raises(StoreError):
        process(App(replace(app.settings, results="s3://results/root", storage=down)), reference)


def test_a_place_for_results_that_is_missing_is_left_to_a_later_delivery(
    app: App, scheme: str, storage: StorageSettings
) -> None:
    reference = put(scheme, storage, "digit.png", png())
    with pytest.raises(BucketNotFoundError):
        process(App(replace(app.settings, results=f"{scheme}://no-such-bucket/root")), reference)


def test_an_object_of_two_deliveries_has_a_result_of_each_version_that_answered_it(
    app: App, results: Store, scheme: str, storage: StorageSettings
) -> None:
    reference = put(scheme, storage, "digit.png", png())
    urls = [process(app, reference)]
    publish(Registry(open_store(app.settings.registry)), graphs.digits_candidate(1))
    app.service.traffic.refresh_all()
    urls += [process(app, reference), process(app, reference)]
    assert [result(results, url)["version"] for url in urls] == [1, 2, 2]
    assert len(set(urls)) == 2


def test_a_missing_model_is_left_to_a_later_delivery(tmp_path: Path) -> None:
    settings = Settings(f"memory://{uuid.uuid4()}", "digits", tmp_path.as_uri())
    with pytest.raises(ModelNotFoundError):
        process(App(settings), ObjectReference("s3", BUCKET, "digit.png"))


def test_the_bucket_of_the_objects_is_no_place_for_results(app: App, scheme: str, storage: StorageSettings) -> None:
    settings = Settings(app.settings.registry, "digits", f"{scheme}://{BUCKET}", storage=storage)
    with pytest.raises(SettingsError, match="is the bucket of the objects"):
        process(App(settings), ObjectReference(scheme, BUCKET, "digit.png"))


def test_without_a_place_for_results_it_says_which_setting_is_missing() -> None:
    with pytest.raises(SettingsError, match="ONNXLET_RESULTS"):
        process(App(Settings("memory://x", "digits")), ObjectReference("s3", BUCKET, "digit.png"))


def test_another_generation_gets_a_result_of_its_own(app: App, storage: StorageSettings) -> None:
    bucket = open_store(f"gs://{BUCKET}", storage)
    key = f"in-{uuid.uuid4()}/digit.png"
    bucket.replace(key, png(), None)
    generation = bucket.read(key).revision.version
    first = process(app, ObjectReference("gs", BUCKET, key, generation))
    bucket.replace(key, png() + b"\0", bucket.read(key).revision)
    second = process(app, ObjectReference("gs", BUCKET, key, bucket.read(key).revision.version))
    assert first != second


def test_a_version_that_is_let_go_between_two_objects_answers_both(
    app: App, scheme: str, storage: StorageSettings
) -> None:
    class Forgetful(Service):
        """A service each of whose requests finds a model that was loaded for it alone."""

        def find(self, selector: str | None, version: str | None = None, routing_key: str | None = None) -> Selection:
            routed = super().find(selector, version, routing_key)
            self.traffic.models.discard(routed.model.manifest)
            return routed

    sources = [put(scheme, storage, f"{shade}.png", png(shade)) for shade in (10, 20)]
    first, second = map(written, process_all(Forgetful(app.settings), sources))
    assert first.ready.model is not second.ready.model


def test_what_came_together_runs_as_one_tensor(app: App, results: Store, scheme: str, storage: StorageSettings) -> None:
    """And each answer is that of the object alone."""
    references = [put(scheme, storage, f"{shade}.png", png(shade)) for shade in range(0, 250, 10)]
    for reference, url in zip(references, process_together(app.service, [*references]), strict=True):
        together = result(results, url)
        model = app.service.find(None).model
        alone = payloads.predict(model, "image/png", png(int(reference.key.rpartition("/")[2][:-4])))
        assert [row["label"] for row in together["predictions"]] == [row["label"] for row in alone]
        assert together["predictions"][0]["probability"] == pytest.approx(alone[0]["probability"], rel=1e-4)
