import gzip

import pytest

from onnxlet.errors import ForbiddenError, ObjectNotFoundError, UnsupportedMediaError
from onnxlet.storage import Revision, Store, Stored, open_store
from onnxlet.storage.allowed_objects import AllowedObjects, content


def open_bucket(url: str) -> Store:
    """Return a store in memory instead of the bucket."""
    store = open_store(f"memory://allowed/{url.partition('://')[2]}")
    store.put_if_absent("in/cat.png", b"a cat")
    store.put_if_absent("out/dog.png", b"a dog")
    return store


def test_an_object_below_an_allowed_prefix_is_read() -> None:
    allowed = AllowedObjects(["s3://bucket/in"], open_bucket)
    assert allowed.read("s3://bucket/in/cat.png") == b"a cat"
    with pytest.raises(ObjectNotFoundError):
        allowed.read("s3://bucket/in/none.png")


@pytest.mark.parametrize(
    "url", ["s3://bucket/out/dog.png", "s3://bucket/in", "s3://other/in/cat.png", "gs://bucket/in/cat.png"]
)
def test_any_other_object_is_refused_with_the_prefixes(url: str) -> None:
    with pytest.raises(ForbiddenError, match="expected an object under s3://bucket/in"):
        AllowedObjects(["s3://bucket/in"], open_bucket).read(url)


def test_without_prefixes_the_setting_is_named() -> None:
    with pytest.raises(ForbiddenError, match="a prefix of ONNXLET_INPUTS, which is empty"):
        AllowedObjects([], open_bucket).read("s3://bucket/in/cat.png")


def stored(data: bytes, coding: str) -> Stored:
    return Stored(data, Revision('"1"', None), coding=coding)


def test_the_uploaders_compression_is_removed_unless_the_store_has_removed_it() -> None:
    assert content(stored(b"plain", "")) == b"plain"
    assert content(stored(gzip.compress(b"plain"), "gzip")) == b"plain"
    assert content(stored(b"plain", "gzip")) == b"plain"
    with pytest.raises(UnsupportedMediaError):
        content(stored(b"plain", "compress"))
