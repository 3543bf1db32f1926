import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from onnxlet.contract import layout
from onnxlet.errors import StoreError
from onnxlet.registry.registry import Registry
from onnxlet.storage import Store, open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet_cli.local.http import serving
from onnxlet_publishing.publish import publish
from tests.conftest import BUCKET
from tests.helpers import graphs
from tests.helpers.shaky_s3 import ShakyS3, refusing


class Unconditional(ShakyS3):
    """An S3 that ignores headers, or gives weak ETags."""

    ignores: frozenset[str]
    prefix = ""

    def do_PUT(self) -> None:
        for name in self.ignores:
            del self.headers[name]
        super().do_PUT()

    def send_header(self, keyword: str, value: str) -> None:
        super().send_header(keyword, f"{self.prefix}{value}" if keyword == "etag" else value)


@contextmanager
def unconditional(*ignores: str, prefix: str = "") -> Iterator[Store]:
    members = {"script": [], "objects": {}, "ignores": frozenset(ignores), "prefix": prefix}
    with serving(type("BoundUnconditional", (Unconditional,), members)) as url:
        yield open_store("s3://bucket/root", StorageSettings(s3_endpoint=url))


@pytest.mark.parametrize("header", ["If-None-Match", "If-Match"])
def test_a_store_that_ignores_a_condition_is_found_out(header: str) -> None:
    with unconditional(header.lower()) as store:
        assert store.missing_condition(layout.PROBE_KEY, layout.PROBE) == header
        assert store.missing_condition(layout.PROBE_KEY, layout.PROBE) == header, "nor does it when the object is there"


def test_a_store_that_keeps_all_conditions_is_found_to(s3_endpoint: str, gcs_endpoint: str) -> None:
    storage = StorageSettings(s3_endpoint, gcs_endpoint)
    for root in (f"s3://{BUCKET}/{uuid.uuid4()}", f"gs://{BUCKET}/{uuid.uuid4()}", f"memory://{uuid.uuid4()}"):
        store = open_store(root, storage)
        assert store.missing_condition(layout.PROBE_KEY, layout.PROBE) is None
        assert store.missing_condition(layout.PROBE_KEY, layout.PROBE) is None
    with unconditional() as store:
        assert store.missing_condition(layout.PROBE_KEY, layout.PROBE) is None


def test_who_may_not_write_the_object_learns_nothing() -> None:
    with refusing(403, "AccessDenied", "no") as store:
        assert store.missing_condition(layout.PROBE_KEY, layout.PROBE) is None


def test_a_store_without_conditions_is_not_published_to_unless_the_operator_insists() -> None:
    class Listing(Unconditional):
        def do_GET(self) -> None:
            if "list-type" in self.path:
                self.reply(200, b"<ListBucketResult></ListBucketResult>", {"content-type": "application/xml"})
            else:
                super().do_GET()

    members = {"script": [], "objects": {}, "ignores": frozenset({"if-none-match"})}
    with serving(type("BoundListing", (Listing,), members)) as url:
        store = open_store("s3://bucket/root", StorageSettings(s3_endpoint=url))
        with pytest.raises(StoreError, match=r"ignores If-None-Match: .*ONNXLET_ALLOW_UNCONDITIONAL_WRITES=1"):
            publish(Registry(store), graphs.digits_candidate())
        insisting = Registry(store, allows_unconditional_writes=True)
        assert publish(insisting, graphs.digits_candidate()).version == 1


def test_weak_etags_are_told_apart_from_others_who_wrote() -> None:
    with unconditional(prefix="W/") as store:
        store.put_if_absent("key", b"1")
        with pytest.raises(StoreError, match=r"expected strong ETags, got the weak one W/"):
            store.replace("key", b"2", store.read("key").revision)
        assert store.missing_condition(layout.PROBE_KEY, layout.PROBE) == "If-Match, as it gives weak ETags"
