import multiprocessing
import subprocess
import sys
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path

import pytest

from onnxlet.config import StorageSettings
from onnxlet.errors import (
    BucketNotFoundError,
    ConflictError,
    InvalidNameError,
    ObjectNotFoundError,
    StoreError,
    TooLargeError,
)
from onnxlet.store import Revision, Store, open_store

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
    context = multiprocessing.get_context("spawn")  # obstore does not survive a fork
    processes = [context.Process(target=count_up, args=(root, 20)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert open_store(root).read("counter").data == b"80"


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_a_missing_bucket_is_named(scheme: str, storage: StorageSettings) -> None:
    store = open_store(f"{scheme}://no-such-bucket/root", storage)
    for call in (lambda: store.read("key"), lambda: store.put_if_absent("key", b""), lambda: store.children("")):
        with pytest.raises(BucketNotFoundError, match="no-such-bucket"):
            call()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BucketNotFoundError, match="nowhere: no such folder"):
        open_store((tmp_path / "nowhere").as_uri())


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://host/x", "https://host/x", "s3:/bucket", "/tmp"])
def test_what_is_no_root_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidNameError, match="expected a URL that begins with one of s3://"):
        open_store(url)


def test_a_store_that_does_not_answer_is_an_error_within_seconds() -> None:
    store = open_store("s3://bucket/root", StorageSettings(s3_endpoint="http://127.0.0.1:9"))
    started = time.monotonic()
    with pytest.raises(StoreError, match="does not answer"):
        store.read("key")
    assert time.monotonic() - started < 10


def test_no_credentials_are_said_in_one_line() -> None:
    program = (
        "from onnxlet.store import open_store; from onnxlet.errors import CredentialsError\n"
        "try: open_store('s3://bucket/root').read('key')\n"
        "except CredentialsError as error: print(error)"
    )
    # nothing answers at the address of the metadata service; the proxy makes that certain everywhere
    environment = {"PATH": "", "http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.count("\n") == 1, done.stderr
    assert "s3://bucket/root/key: no credentials" in done.stdout
