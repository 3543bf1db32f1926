from collections.abc import Iterator
from pathlib import Path

import pytest

from onnxlet.errors import BucketNotFoundError, OnnxletError
from onnxlet.storage import Store, open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet_cli.local.bucket import NAME, serve_bucket


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    return folder


@pytest.fixture
def settings(folder: Path) -> Iterator[StorageSettings]:
    with serve_bucket(folder) as url:
        yield StorageSettings(s3_endpoint=url, gcs_endpoint=url)


@pytest.fixture(params=["s3", "gs"])
def store(request: pytest.FixtureRequest, settings: StorageSettings) -> Store:
    return open_store(f"{request.param}://{NAME}", settings)


@pytest.mark.parametrize("key", ["a.png", "a b.png", "ü/日本.png", "100%.png", "a+b#1.png", "a%20b.png"])
def test_a_file_is_an_object(store: Store, folder: Path, key: str) -> None:
    (folder / key).parent.mkdir(exist_ok=True)
    (folder / key).write_bytes(b"content")
    stored = store.read(key)
    assert stored.data == b"content"
    assert stored.revision.etag


@pytest.mark.parametrize("key", ["missing", "link", "."])
def test_nothing_else_is(store: Store, key: str) -> None:
    with pytest.raises(OnnxletError) as caught:
        store.read(key)
    assert caught.value.status in {400, 404}


@pytest.mark.parametrize("key", ["/a.png", "a.png/", "./a.png", "b/../a.png", "b//c.png"])
def test_a_key_that_is_another_path_to_a_file_is_not_that_file(store: Store, folder: Path, key: str) -> None:
    (folder / "b").mkdir()
    for file in ("a.png", "b/c.png"):
        (folder / file).write_bytes(b"another object")
    with pytest.raises(OnnxletError) as caught:
        store.read(key)
    assert caught.value.status in {400, 404}


def test_another_bucket_is_missing(settings: StorageSettings) -> None:
    with pytest.raises(BucketNotFoundError):
        open_store("s3://other", settings).read("key")
