import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from onnxlet.config import StorageSettings
from onnxlet.contract import layout
from onnxlet.contract.alias import CANARY, SHADOW
from onnxlet.errors import (
    ArtifactError,
    ConflictError,
    InvalidNameError,
    InvalidRequestError,
    ManifestError,
    ModelNotFoundError,
)
from onnxlet.registry import Registry
from onnxlet.store import Revision, Store, open_store
from tests.graphs import digits_candidate
from training.publish import publish

spawn = multiprocessing.get_context("spawn")  # obstore does not survive a fork


@pytest.fixture
def registry(root: str, storage: StorageSettings) -> Registry:
    return Registry(open_store(root, storage, create=True))


def test_a_published_version_is_live(registry: Registry) -> None:
    manifest = publish(registry, digits_candidate())
    assert manifest.version == 1
    assert registry.resolve("digits") == registry.version("digits", 1) == manifest


def test_promote_and_rollback_move_live_and_are_remembered(registry: Registry) -> None:
    for seed in range(3):
        publish(registry, digits_candidate(seed))
    assert registry.promote("digits", 1).version == 1
    assert registry.rollback("digits").version == 3
    assert registry.rollback("digits").version == 2
    moves = [(move.action, move.version) for move in registry.alias("digits").history]
    expected = [("publish", 1), ("publish", 2), ("publish", 3), ("promote", 1), ("rollback", 3), ("rollback", 2)]
    assert moves == expected
    assert registry.resolve("digits").version == 2


@pytest.mark.parametrize("action", [CANARY, SHADOW])
def test_a_share_is_kept_with_its_weight_until_the_alias_moves(registry: Registry, action: str) -> None:
    for seed in range(2):
        publish(registry, digits_candidate(seed))
    registry.share("digits", 1, action, 0.25)
    alias = registry.alias("digits")
    share, other = (alias.canary, alias.shadow) if action == CANARY else (alias.shadow, alias.canary)
    assert share is not None
    assert (share.manifest, share.weight, other) == (registry.version("digits", 1), 0.25, None)
    assert (alias.history[-1].action, alias.history[-1].weight) == (action, 0.25)
    assert registry.resolve("digits").version == 2
    assert registry.rollback("digits").version == 1, "a share is no move of the alias"
    assert registry.alias("digits").canary is registry.alias("digits").shadow is None


def test_a_share_of_nothing_ends_it(registry: Registry) -> None:
    for seed in range(2):
        publish(registry, digits_candidate(seed))
    registry.share("digits", 1, CANARY, 0.5)
    registry.share("digits", 1, SHADOW, 1)
    registry.share("digits", 1, CANARY, 0)
    alias = registry.alias("digits")
    assert (alias.canary, alias.shadow is not None) == (None, True)


@pytest.mark.parametrize(
    ("version", "weight", "error"),
    [
        (1, 1.5, InvalidRequestError),
        (1, -0.1, InvalidRequestError),
        (2, 0.5, InvalidRequestError),
        (3, 0.5, ModelNotFoundError),
    ],
)
def test_a_share_that_cannot_be_is_refused(
    registry: Registry, version: int, weight: float, error: type[Exception]
) -> None:
    for seed in range(2):
        publish(registry, digits_candidate(seed))
    with pytest.raises(error):
        registry.share("digits", version, CANARY, weight)
    assert registry.alias("digits").canary is None


def test_the_catalogue_is_every_version_of_every_model(registry: Registry) -> None:
    publish(registry, digits_candidate(name="zebra"))
    for _ in range(11):
        publish(registry, digits_candidate(name="ant"), alias=None)
    assert registry.catalogue() == {"ant": list(range(1, 12)), "zebra": [1]}
    assert list(registry.catalogue()) == ["ant", "zebra"]


def test_a_rollback_without_an_earlier_version_is_refused(registry: Registry) -> None:
    publish(registry, digits_candidate())
    with pytest.raises(ModelNotFoundError, match="nothing to roll back to"):
        registry.rollback("digits")
    assert registry.resolve("digits").version == 1


def test_lists_are_complete_and_in_order(registry: Registry) -> None:
    for name in ("zebra", "ant"):
        publish(registry, digits_candidate(name=name))
    for _ in range(10):
        publish(registry, digits_candidate(name="ant"), alias=None)
    assert registry.models() == ["ant", "zebra"]
    assert registry.versions("ant") == list(range(1, 12))
    assert [alias.name for alias in registry.aliases("ant")] == ["live"]


def test_what_is_missing_is_named_with_what_there_is(registry: Registry) -> None:
    publish(registry, digits_candidate())
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: registry.resolve("nope"), 'model "nope": not in the registry'),
        (lambda: registry.version("digits", 9), "no version 9; it has the versions 1"),
        (lambda: registry.resolve("digits", "beta"), 'no alias "beta"; it has the versions 1'),
        (lambda: registry.promote("digits", 9), "no version 9"),
        (lambda: registry.rollback("nope"), 'model "nope"'),
    ]
    for call, words in calls:
        with pytest.raises(ModelNotFoundError, match=words):
            call()


@pytest.mark.parametrize("name", ["", "../digits", "a/b", "Digits", "a" * 64, "a\0b", "dígits"])
def test_an_impossible_name_never_reaches_the_store(registry: Registry, name: str) -> None:
    for call in (registry.resolve, registry.versions, registry.rollback):
        with pytest.raises(InvalidNameError):
            call(name)


def test_a_manifest_under_another_key_is_refused(registry: Registry) -> None:
    manifest = publish(registry, digits_candidate())
    registry.store.put_if_absent(layout.version_key("digits", 2), manifest.to_json())
    with pytest.raises(ManifestError, match="expected digits version 2, got digits 1"):
        registry.version("digits", 2)


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_bytes_that_are_not_the_published_ones_are_never_given_out(tmp_path: Path, damage: str) -> None:
    registry = Registry(open_store(tmp_path.as_uri()))
    artifact = publish(registry, digits_candidate()).artifacts[0]
    blob = tmp_path / layout.blob_key(artifact.sha256)
    data = blob.read_bytes()
    if damage == "flip":
        blob.write_bytes(data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
    elif damage == "truncate":
        blob.write_bytes(data[:-1])
    else:
        blob.unlink()
    with pytest.raises(ArtifactError, match="model artifact"):
        registry.artifacts.read(artifact)


def publish_in_process(
    root: str, storage: StorageSettings, seed: int, barrier: "multiprocessing.synchronize.Barrier"
) -> None:
    candidate = digits_candidate(seed)
    registry = Registry(open_store(root, storage, create=True))
    barrier.wait()
    publish(registry, candidate)


def test_eight_publishers_at_once_make_eight_versions(shared_root: str, storage: StorageSettings) -> None:
    barrier = spawn.Barrier(8)
    arguments = [(shared_root, storage, seed, barrier) for seed in range(8)]
    processes = [spawn.Process(target=publish_in_process, args=each) for each in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 8

    registry = Registry(open_store(shared_root, storage))
    assert registry.versions("digits") == list(range(1, 9))
    blobs = {registry.version("digits", version).artifacts[0].sha256 for version in range(1, 9)}
    assert len(blobs) == 8, "each publisher's model has a version of its own"
    live = registry.alias("digits")
    assert sorted(move.version for move in live.history) == list(range(1, 9))
    assert live.history[-1].version == live.manifest.version


class DeafStore:
    """A store that writes, and whose writer hears that it was too late: others have moved on before it could look."""

    def __init__(self, store: Store, others: Callable[[], object]) -> None:
        self.store = store
        self.url = store.url
        self.others = others
        self.is_deaf = True

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)

    def replace(self, key: str, data: bytes, revision: Revision | None) -> None:
        self.store.replace(key, data, revision)
        if self.is_deaf:
            self.is_deaf = False
            self.others()
            raise ConflictError(f"{key}: somebody else wrote it since it was read")


def test_a_move_whose_reply_was_lost_is_not_made_twice(root: str, storage: StorageSettings) -> None:
    """A second rollback would go back one version more."""
    registry = Registry(open_store(root, storage, create=True))
    for seed in range(3):
        publish(registry, digits_candidate(seed))
    others = Registry(registry.store)
    deaf = Registry(DeafStore(registry.store, lambda: others.share("digits", 1, CANARY, 0.5)))  # type: ignore[arg-type]
    assert deaf.rollback("digits").version == 2
    alias = registry.alias("digits")
    assert alias.manifest.version == 2
    assert [move.action for move in alias.history[3:]] == ["rollback", CANARY]


class DyingStore:
    """A store whose process is killed before its `writes_left`-th write."""

    def __init__(self, store: Store, writes_left: int) -> None:
        self.store = store
        self.url = store.url
        self.writes_left = writes_left

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)

    def put_if_absent(self, key: str, data: bytes) -> None:
        self.count_down()
        self.store.put_if_absent(key, data)

    def replace(self, key: str, data: bytes, revision: Revision | None) -> None:
        self.count_down()
        self.store.replace(key, data, revision)

    def count_down(self) -> None:
        self.writes_left -= 1
        if self.writes_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class ForgetfulStore:
    """A store whose reply to the first move is lost; before the move is tried again, another writer moves on."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.url = store.url
        self.has_forgotten = False

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)

    def replace(self, key: str, data: bytes, revision: Revision | None) -> None:
        self.store.replace(key, data, revision)
        if not self.has_forgotten:
            self.has_forgotten = True
            Registry(self.store).promote("digits", 2)
            raise ConflictError("somebody else wrote it first")


def test_a_move_whose_reply_was_lost_is_not_made_again_where_others_moved_on(registry: Registry) -> None:
    for seed in range(3):
        publish(registry, digits_candidate(seed))
    forgetful = Registry(ForgetfulStore(registry.store))  # type: ignore[arg-type]
    assert forgetful.rollback("digits").version == 2
    moves = [(move.action, move.version) for move in registry.alias("digits").history]
    assert moves == [("publish", 1), ("publish", 2), ("publish", 3), ("rollback", 2), ("promote", 2)]


def test_a_publication_that_finds_its_own_manifest_is_not_published_twice(registry: Registry) -> None:
    class Hiding(Store):
        """A store that lists nothing."""

        def children(self, prefix: str) -> list[str]:
            assert prefix.endswith("/versions"), prefix
            return []

    first = publish(registry, digits_candidate(0), alias=None)
    hiding = Registry(Hiding(registry.store.url, registry.store.backend))
    draft = replace(first, metrics={"accuracy": 0.5})  # other bytes, and the same publication
    assert hiding.publish(draft, {}, alias=None) == first
    assert registry.versions("digits") == [1]


WRITES = 9
"""Of a publication: seven blobs (three graphs in two forms, and the golden example), the manifest, the alias."""


def publish_and_die(root: str, storage: StorageSettings, write: int) -> None:
    # seed 1: the model's blob is a new one
    publish(Registry(DyingStore(open_store(root, storage), write)), digits_candidate(seed=1))  # type: ignore[arg-type]


@pytest.mark.parametrize("write", range(1, WRITES + 2))
def test_a_publisher_killed_between_two_writes_changes_nothing(
    shared_root: str, storage: StorageSettings, write: int
) -> None:
    registry = Registry(open_store(shared_root, storage, create=True))
    before = publish(registry, digits_candidate(seed=0))
    process = spawn.Process(target=publish_and_die, args=(shared_root, storage, write))
    process.start()
    process.join()
    was_killed = write <= WRITES
    assert process.exitcode == (-signal.SIGKILL if was_killed else 0)

    assert registry.resolve("digits").version == (1 if was_killed else 2)
    assert not was_killed or registry.resolve("digits") == before
    after = publish(registry, digits_candidate(seed=2))
    assert registry.resolve("digits") == after
    for artifact in after.artifacts:
        assert len(registry.artifacts.read(artifact)) == artifact.size_bytes
