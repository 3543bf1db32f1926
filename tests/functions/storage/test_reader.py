import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from onnxlet.errors import (
    DeadlineError,
    ObjectNotFoundError,
    StoreError,
    TooLargeError,
)
from onnxlet.limits import deadline
from onnxlet.storage import STALL_S, Revision, Store, open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet_cli.local.http import Handler, serving
from tests.conftest import BUCKET
from tests.crashes.front import Front
from tests.helpers.shaky_s3 import shaky_store

ODD_KEYS = ("a b.png", "ü/日本.png", "100%.png", "50%25.png", "a+b.png", "a#1.png", "a?b&c=d.png", "x;y,z.png", "~.png")


@pytest.fixture
def store(root: str, storage: StorageSettings) -> Store:
    """A store of each kind; every test of this file runs over all."""
    return open_store(root, storage, create=True)


def test_what_was_put_is_read(store: Store) -> None:
    store.put_if_absent("a/b.json", b"content")
    assert store.read("a/b.json").data == b"content"


def test_a_missing_object_is_named(store: Store) -> None:
    store.put_if_absent("a", b"")
    with pytest.raises(ObjectNotFoundError, match="no/such/key: no such object"):
        store.read("no/such/key")
    with pytest.raises(ObjectNotFoundError):
        list(store.chunks("no/such/key"))


def test_an_object_is_read_again_only_when_it_has_changed(store: Store) -> None:
    store.put_if_absent("key", b"1")
    revision = store.read("key").revision
    assert store.read_if_changed("key", revision) is None
    store.replace("key", b"two", revision)
    changed = store.read_if_changed("key", revision)
    assert changed is not None
    assert changed == store.read("key")
    with pytest.raises(ObjectNotFoundError):
        store.read_if_changed("gone", revision)


@pytest.mark.parametrize("root", ["gs"], indirect=True)  # the one of them that keeps versions by itself
def test_one_version_of_an_object_can_be_read(store: Store) -> None:
    store.put_if_absent("key", b"1")
    revision = store.read("key").revision
    assert store.read("key", revision.version).data == b"1"
    store.replace("key", b"2", revision)
    with pytest.raises(ObjectNotFoundError):
        store.read("key", revision.version)


def test_children_are_the_names_one_level_down(store: Store) -> None:
    for key in ("m/a/versions/1.json", "m/a/versions/10.json", "m/b/versions/1.json", "m/c.json"):
        store.put_if_absent(key, b"{}")
    assert store.children("m") == ["a", "b", "c.json"]
    assert store.children("m/a/versions") == ["1.json", "10.json"]
    assert store.children("nothing") == []


def test_a_large_object_comes_in_chunks(store: Store) -> None:
    data = bytes(range(256)) * 40_000
    store.put_if_absent("large", data)
    assert b"".join(store.chunks("large")) == data


def test_an_object_over_the_limit_is_refused(store: Store) -> None:
    store.put_if_absent("key", bytes(100))
    assert len(store.read("key", at_most=100).data) == 100
    with pytest.raises(TooLargeError, match="at most 99 bytes, got 100"):
        store.read("key", at_most=99)


@pytest.mark.parametrize("key", ODD_KEYS)
def test_keys_may_hold_any_character(store: Store, key: str) -> None:
    store.put_if_absent(key, key.encode())
    assert store.read(key).data == key.encode()


@pytest.mark.parametrize("fault", ["503", "500", "429", "lost reply", "half a reply"])
def test_a_read_gives_all_bytes_or_none(fault: str) -> None:
    data = bytes(range(256)) * 1000
    for read in (lambda store: store.read("key").data, lambda store: b"".join(store.chunks("key"))):
        with shaky_store(fault, key=data) as store:
            try:
                assert read(store) == data
            except StoreError as error:
                assert fault == "half a reply"
                assert "\n" not in str(error)


def test_an_error_document_that_comes_as_a_200_is_no_object() -> None:
    reads: list[Callable[[Store], object]] = [
        lambda store: store.read("key"),
        lambda store: store.read_if_changed("key", Revision('"of before"', None)),
        lambda store: list(store.chunks("key")),
    ]
    for read in reads:
        with shaky_store("200", key=b"1") as store:
            with pytest.raises(StoreError, match="expected an object with its ETag"):
                read(store)
            assert store.read("key").data == b"1"


def test_a_connection_that_says_nothing_is_given_up_within_seconds(s3_endpoint: str) -> None:
    front = Front(s3_endpoint)
    with front.serving() as url:
        stores = [open_store(f"s3://{BUCKET}/{uuid.uuid4()}", StorageSettings(s3_endpoint=url)) for _ in range(2)]
        for store in stores:
            store.put_if_absent("key", b"data")
        front.kill_connections("silent")
        started = time.monotonic()
        with ThreadPoolExecutor(2) as pool:
            read = pool.submit(stores[0].read, "key")
            pool.submit(stores[1].put_if_absent, "other", b"data").result()
        assert read.result().data == b"data"
        assert STALL_S - 1 < time.monotonic() - started < 25


class StalledS3(Handler):
    """An S3 that takes requests and says nothing to them, until the test is over."""

    over: threading.Event

    def do_GET(self) -> None:
        self.over.wait(60)
        self.reply(503, b"", {})


@pytest.mark.parametrize(
    "read",
    [
        lambda store: list(store.keys("models")),
        lambda store: list(store.chunks("key")),
        lambda store: store.children("models"),
        lambda store: store.read("key"),
    ],
    ids=["keys", "chunks", "children", "read"],
)
def test_a_store_that_says_nothing_is_waited_for_until_the_deadline(read: Callable[[Store], object]) -> None:
    over = threading.Event()
    with serving(type("BoundStalledS3", (StalledS3,), {"over": over})) as url:
        store = open_store("s3://bucket/root", StorageSettings(s3_endpoint=url))
        with deadline.within(0.5), pytest.raises(DeadlineError):
            read(store)
        over.set()


def test_what_comes_in_pieces_is_whole_under_a_deadline(root: str, storage: StorageSettings) -> None:
    store = open_store(root, storage, create=True)
    data = bytes(range(256)) * 4 * 2**12
    store.put_if_absent("large", data)
    with deadline.within(60):
        assert b"".join(store.chunks("large")) == data
        assert b"".join(store.chunks("large", (5, 2_000_000))) == data[5:2_000_000]
        assert list(store.keys("")) == ["large"]
        with pytest.raises(ObjectNotFoundError):
            list(store.chunks("gone"))
