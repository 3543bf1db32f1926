import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import obstore
import pytest

from onnxlet.errors import (
    ConflictError,
    ObjectNotFoundError,
    StoreError,
)
from onnxlet.storage import LARGE_BYTES, STALL_S, Revision, Store, open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet_cli.local.http import serving
from tests.conftest import BUCKET
from tests.crashes.front import Front
from tests.helpers import forked
from tests.helpers.fake_gcs import FakeGcs
from tests.helpers.shaky_s3 import ShakyS3, shaky_store

forked.preload(__name__)


@pytest.fixture
def store(root: str, storage: StorageSettings) -> Store:
    """A store of each kind; every test of this file runs over all."""
    return open_store(root, storage, create=True)


def test_only_the_first_put_of_a_key_succeeds(store: Store) -> None:
    store.put_if_absent("key", b"first")
    with pytest.raises(ConflictError, match="key"):
        store.put_if_absent("key", b"second")
    assert store.read("key").data == b"first"


def test_putting_the_same_bytes_again_is_success(store: Store) -> None:
    # a client repeats a request whose reply was lost
    store.put_if_absent("key", b"same")
    store.put_if_absent("key", b"same")


def test_replace_wants_the_revision_that_was_read(store: Store) -> None:
    store.replace("key", b"1", None)
    revision = store.read("key").revision
    store.replace("key", b"two", revision)
    with pytest.raises(ConflictError):
        store.replace("key", b"three", revision)
    with pytest.raises(ConflictError):
        store.replace("key", b"four", None)
    assert store.read("key").data == b"two"


def test_an_object_that_is_gone_is_not_replaced(store: Store) -> None:
    store.put_if_absent("key", b"1")
    revision = store.read("key").revision
    obstore.delete(store.backend, "key")
    with pytest.raises(ConflictError):
        store.replace("key", b"2", revision)
    store.replace("key", b"3", None)
    assert store.read("key").data == b"3"


def test_one_of_many_writers_wins_each_round(store: Store) -> None:
    store.put_if_absent("key", b"0")
    for _ in range(3):
        revision = store.read("key").revision
        winners: list[bytes] = []

        def write(data: bytes, revision: Revision = revision, winners: list[bytes] = winners) -> None:
            with suppress(ConflictError):
                store.replace("key", data, revision)
                winners.append(data)

        threads = [threading.Thread(target=write, args=(uuid.uuid4().bytes,)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert winners == [store.read("key").data]


def count_up(root: str, times: int) -> None:
    store = open_store(root)
    for _ in range(times):
        while True:
            stored = store.read("counter")
            try:
                store.replace("counter", b"%d" % (int(stored.data) + 1), stored.revision)
                break
            except ConflictError:
                continue


def test_processes_on_one_folder_lose_no_update(tmp_path: Path) -> None:
    root = tmp_path.as_uri()
    open_store(root).put_if_absent("counter", b"0")
    processes = [forked.process(count_up, root, 10) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert open_store(root).read("counter").data == b"80"


@pytest.mark.parametrize(
    "script", ["500", "503", "503 500 503", "429", "409", "409 503", "lost request", "lost reply", "503 lost reply"]
)
def test_a_write_survives_what_a_store_does_on_a_bad_day(script: str) -> None:
    faults = script.replace("lost ", "lost_").split()
    with shaky_store(*(fault.replace("_", " ") for fault in faults)) as store:
        store.put_if_absent("key", b"mine")
        assert store.read("key").data == b"mine"
    with shaky_store(key=b"1") as store:
        revision = store.read("key").revision
    with shaky_store(*(fault.replace("_", " ") for fault in faults), key=b"1") as store:
        store.replace("key", b"2", revision)
        assert store.read("key").data == b"2"


def test_a_write_that_came_as_a_200_with_an_error_is_sent_again_and_is_no_success() -> None:
    with shaky_store("200") as store:
        store.put_if_absent("key", b"1")
        assert store.read("key").data == b"1"
    with shaky_store("200", "200") as store:
        with pytest.raises(StoreError):
            store.put_if_absent("key", b"1")
        with pytest.raises(ObjectNotFoundError):
            store.read("key")


def test_a_write_that_conflicts_with_nothing_for_ever_is_no_conflict() -> None:
    with shaky_store(*["409", "404"] * 5) as store, pytest.raises(StoreError, match="has none at this key"):
        store.put_if_absent("key", b"1")


def test_a_writer_that_may_not_delete_learns_that_the_object_is_there() -> None:
    fake = FakeGcs("results")
    with fake.serving() as endpoint:
        store = open_store("gs://results", StorageSettings(gcs_endpoint=endpoint))
        fake.is_create_only = True
        store.put_if_absent("key", b"first")
        store.put_if_absent("key", b"first")
        with pytest.raises(ConflictError):
            store.put_if_absent("key", b"second")
        fake.buckets["results"].clear()
        store.put_if_absent("key", b"again")


@pytest.mark.parametrize("writes", [1, 20])
def test_writes_survive_connections_that_were_forgotten(s3_endpoint: str, writes: int) -> None:
    """As NAT gateways do: the next packet on any of them is answered with a reset."""
    front = Front(s3_endpoint)
    with front.serving() as url, ThreadPoolExecutor(writes) as pool:
        store = open_store(f"s3://{BUCKET}/{uuid.uuid4()}", StorageSettings(s3_endpoint=url))
        list(pool.map(lambda key: store.put_if_absent(f"before-{key}", b"data"), range(writes)))
        front.kill_connections("forgotten")
        list(pool.map(lambda key: store.put_if_absent(f"after-{key}", b"data"), range(writes)))


def test_an_update_survives_a_connection_that_was_forgotten(s3_endpoint: str) -> None:
    front = Front(s3_endpoint)
    with front.serving() as url:
        store = open_store(f"s3://{BUCKET}/{uuid.uuid4()}", StorageSettings(s3_endpoint=url))
        store.put_if_absent("key", b"data")
        revision = store.read("key").revision
        front.kill_connections("forgotten")
        store.replace("key", b"replaced", revision)
        assert store.read("key").data == b"replaced"


@pytest.mark.faults  # it takes its time
def test_what_is_large_may_take_its_time_to_be_sent() -> None:
    """A store that takes the object for longer than it may say nothing to a small request."""

    class SlowS3(ShakyS3):
        def do_PUT(self) -> None:
            time.sleep(STALL_S + 0.5)
            super().do_PUT()

    objects: dict[str, bytes] = {}
    with serving(type("BoundSlowS3", (SlowS3,), {"script": [], "objects": objects})) as url:
        data = bytes(LARGE_BYTES + 1)
        open_store("s3://bucket/root", StorageSettings(s3_endpoint=url)).put_if_absent("key", data)
    assert objects == {"/bucket/root/key": data}
