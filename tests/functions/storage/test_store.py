import hashlib
import multiprocessing
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import obstore
import pytest

from onnxlet import deadline
from onnxlet.errors import (
    BucketNotFoundError,
    ConflictError,
    CredentialsError,
    DeadlineError,
    InvalidNameError,
    ObjectNotFoundError,
    StoreError,
    TooLargeError,
)
from onnxlet.storage import LARGE_BYTES, STALL_S, Revision, Store, open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet_cli.local.http import Handler, serving
from tests.conftest import BUCKET
from tests.crashes.front import Front
from tests.helpers.fake_gcs import FakeGcs

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


def test_an_object_that_is_gone_is_not_replaced(store: Store) -> None:
    store.put_if_absent("key", b"1")
    revision = store.read("key").revision
    obstore.delete(store.backend, "key")
    with pytest.raises(ConflictError):
        store.replace("key", b"2", revision)
    store.replace("key", b"3", None)
    assert store.read("key").data == b"3"


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
    processes = [context.Process(target=count_up, args=(root, 10)) for _ in range(8)]
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


def test_a_folder_that_cannot_be_written_is_an_error_of_one_line(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    (tmp_path / ".lock").mkdir()  # root may write everything but this
    with pytest.raises(StoreError, match="directory") as caught:
        store.replace("key", b"", None)
    assert "\n" not in str(caught.value)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BucketNotFoundError, match="nowhere: no such folder"):
        open_store((tmp_path / "nowhere").as_uri())


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://host/x", "https://host/x", "s3:/bucket", "tmp"])
def test_what_is_no_root_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidNameError, match="expected a URL that begins with one of s3://"):
        open_store(url)


def test_a_store_that_does_not_answer_is_an_error_within_seconds() -> None:
    store = open_store("s3://bucket/root", StorageSettings(s3_endpoint="http://127.0.0.1:9"))
    started = time.monotonic()
    with pytest.raises(StoreError, match="does not answer"):
        store.read("key")
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_no_credentials_are_said_in_one_line(scheme: str) -> None:
    program = (
        "from onnxlet.storage import open_store; from onnxlet.errors import CredentialsError\n"
        f"try: open_store('{scheme}://bucket/root').read('key')\n"
        "except CredentialsError as error: print(error)"
    )
    # nothing answers at the address of the metadata service; the proxy makes that certain everywhere
    proxy = "http://127.0.0.1:9"
    environment = {"PATH": "", "HOME": "/nonexistent", **dict.fromkeys(("http_proxy", "HTTP_PROXY"), proxy)}
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.count("\n") == 1, done.stderr
    assert f"{scheme}://bucket/root/key: no credentials" in done.stdout
    assert time.monotonic() - started < 15


class ShakyS3(Handler):
    """An S3 whose next answers follow a script; after that it answers as it should."""

    script: list[str]
    objects: dict[str, bytes]

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["content-length"]))
        fault = self.next_fault()
        if fault.isdigit():
            self.fail(int(fault))
        elif fault == "lost request":
            self.close_connection = True
        elif self.headers.get("if-match", etag_of(self.objects.get(self.path))) != etag_of(
            self.objects.get(self.path)
        ) or (self.headers.get("if-none-match") and self.path in self.objects):
            self.fail(412)
        else:
            self.objects[self.path] = data
            if fault == "lost reply":
                self.close_connection = True
            else:
                self.reply(200, b"", {"etag": etag_of(data)})

    def do_GET(self) -> None:
        fault, data = self.next_fault(), self.objects.get(self.path)
        if fault.isdigit() or data is None:
            self.fail(int(fault or 404))
        elif fault == "lost reply":
            self.close_connection = True
        else:
            sent = data[: len(data) // 2] if fault == "half a reply" else data
            self.send_response(200)
            for name, value in {"etag": etag_of(data), "content-length": str(len(data))}.items():
                self.send_header(name, value)
            self.send_header("last-modified", "Mon, 12 Jan 2026 10:20:30 GMT")
            self.end_headers()
            self.wfile.write(sent)
            self.close_connection = fault != ""

    def next_fault(self) -> str:
        return self.script.pop(0) if self.script else ""

    def fail(self, status: int) -> None:
        body = f"<Error><Code>Code{status}</Code><Message>a\nb</Message></Error>".encode()
        self.reply(status, body, {"content-type": "application/xml"})


def etag_of(data: bytes | None) -> str:
    return f'"{hashlib.md5(data or b"").hexdigest()}"'


@contextmanager
def shaky_store(*script: str, **objects: bytes) -> Iterator[Store]:
    content = {f"/bucket/root/{key}": data for key, data in objects.items()}
    handler = type("BoundShakyS3", (ShakyS3,), {"script": list(script), "objects": content})
    with serving(handler) as url:
        yield open_store("s3://bucket/root", StorageSettings(s3_endpoint=url))


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


@pytest.mark.parametrize("status", ["409", "412"])
def test_a_read_that_is_refused_is_no_conflict(status: str) -> None:
    for read in (lambda store: store.read("key"), lambda store: list(store.chunks("key"))):
        with shaky_store(status, key=b"1") as store, pytest.raises(StoreError, match="does not answer as it should"):
            read(store)


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
    with shaky_store(*["409", "404"] * 5) as store, pytest.raises(StoreError, match="and there is none"):
        store.put_if_absent("key", b"1")


def test_a_store_that_never_recovers_is_an_error_of_one_line() -> None:
    with shaky_store(*["503"] * 20, key=b"1") as store, pytest.raises(StoreError, match="does not answer") as caught:
        store.read("key")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("status", ["401", "403"])
def test_a_store_that_refuses_us_is_said_to(status: str) -> None:
    def refused(call: Callable[[Store], object]) -> None:
        expected = rf"refuses the credentials \(Code{status}\): a b"
        with shaky_store(*[status] * 9) as store, pytest.raises(CredentialsError, match=expected):
            call(store)

    refused(lambda store: store.read("key"))
    refused(lambda store: store.put_if_absent("key", b""))


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
