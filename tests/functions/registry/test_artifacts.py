import os

import pytest

from onnxlet.contract.artifact import Artifact
from onnxlet.contract.blob import MIN_RANGE_BYTES
from onnxlet.contract.layout import blob_key
from onnxlet.errors import ArtifactError, StoreError
from onnxlet.record import replace
from onnxlet.registry.artifacts import Artifacts
from onnxlet.storage import Store, open_store
from onnxlet.storage.connection import StorageSettings

DATA = os.urandom(3 * MIN_RANGE_BYTES + 12_345)
ARTIFACT = Artifact.of("model", "fp32", DATA)


@pytest.fixture
def store(root: str, storage: StorageSettings) -> Store:
    return open_store(root, storage, create=True)


def read(artifacts: Artifacts, artifact: Artifact = ARTIFACT) -> bytes:
    return bytes(artifacts.read(artifact))


def test_an_artifact_of_many_parts_is_whole(store: Store) -> None:
    store.put_if_absent(blob_key(ARTIFACT.sha256), DATA)
    assert read(Artifacts(store)) == DATA


def test_what_was_begun_is_fetched_once(store: Store) -> None:
    store.put_if_absent(blob_key(ARTIFACT.sha256), DATA)
    artifacts = Artifacts(store)
    artifacts.begin(ARTIFACT.blob)
    artifacts.begin(ARTIFACT.blob)
    assert read(artifacts) == DATA
    assert read(artifacts) == DATA, "and again when it is asked for again"


@pytest.mark.parametrize("position", [0, MIN_RANGE_BYTES, len(DATA) - 1])
def test_a_flipped_bit_in_any_part_is_found(store: Store, position: int) -> None:
    damaged = bytearray(DATA)
    damaged[position] ^= 1
    store.put_if_absent(blob_key(ARTIFACT.sha256), bytes(damaged))
    start = position // MIN_RANGE_BYTES * MIN_RANGE_BYTES
    with pytest.raises(ArtifactError, match=f"model artifact: expected bytes {start} to"):
        read(Artifacts(store))


@pytest.mark.parametrize("length", [0, 10, MIN_RANGE_BYTES, len(DATA) - 1])
def test_a_truncated_one_is_never_given_out(store: Store, length: int) -> None:
    store.put_if_absent(blob_key(ARTIFACT.sha256), DATA[:length])
    with pytest.raises((ArtifactError, StoreError)):
        read(Artifacts(store))


def test_one_that_is_gone_is_an_error_of_the_artifact(store: Store) -> None:
    with pytest.raises(ArtifactError, match=r"model artifact: .*no such object"):
        read(Artifacts(store))


def test_parts_that_are_not_those_of_the_manifest_are_refused(store: Store) -> None:
    store.put_if_absent(blob_key(ARTIFACT.sha256), DATA)
    first, second, *others = ARTIFACT.part_digests
    with pytest.raises(ArtifactError, match="expected bytes 0 to"):
        read(Artifacts(store), replace(ARTIFACT, part_digests=(second, first, *others)))
