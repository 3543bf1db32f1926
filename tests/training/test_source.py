from pathlib import Path

import pytest

from onnxlet.storage import open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet_publishing.errors import UsageError
from onnxlet_training.source import Source
from tests.conftest import BUCKET


def test_without_a_location_there_is_no_path(tmp_path: Path) -> None:
    assert Source(None, tmp_path).path() is None
    with pytest.raises(UsageError, match="--data: expected a folder, got nothing"):
        Source(None, tmp_path).require_path("a folder")


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_path_of_this_machine_is_taken_as_it_is(tmp_path: Path, scheme: str) -> None:
    (tmp_path / "data.npz").touch()
    assert Source(f"{scheme}{tmp_path}/data.npz", tmp_path / "cache").path() == tmp_path / "data.npz"
    with pytest.raises(UsageError, match="nowhere: no such file or folder"):
        Source(f"{scheme}{tmp_path}/nowhere", tmp_path / "cache").path()


def test_an_object_or_all_objects_under_a_prefix_are_downloaded(
    tmp_path: Path, storage: StorageSettings, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_endpoint)
    prefix = f"source/{tmp_path.name}"
    store = open_store(f"s3://{BUCKET}", storage)
    for name in ("a/1.txt", "b/2.txt"):
        store.put_if_absent(f"{prefix}/{name}", name.encode())
    folder = Source(f"s3://{BUCKET}/{prefix}", tmp_path).require_path("texts")
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.txt")} == {"a/1.txt", "b/2.txt"}
    file = Source(f"s3://{BUCKET}/{prefix}/a/1.txt", tmp_path).require_path("a text")
    assert file.read_text() == "a/1.txt"
