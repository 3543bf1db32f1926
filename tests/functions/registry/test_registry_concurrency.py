import os
import signal
from collections.abc import Callable
from itertools import count
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from onnxlet.contract import layout
from onnxlet.contract.alias import CANARY
from onnxlet.errors import (
    ConflictError,
)
from onnxlet.record import replace
from onnxlet.registry.registry import Registry, _backoff_s
from onnxlet.storage import Revision, Store, open_store
from onnxlet.storage.connection import StorageSettings
from tests.helpers import forked
from tests.helpers.graphs import digits_candidate
from tests.helpers.manifests import MANIFEST
from tests.helpers.ungated import publish

forked.preload(__name__)


class WatchedStore:
    """A store that tells the key of each write before it."""

    def __init__(self, store: Store, before_write: Callable[[str], None]) -> None:
        self.store = store
        self.url = store.url
        self.before_write = before_write

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)

    def put_if_absent(self, key: str, data: bytes) -> None:
        self.before_write(key)
        self.store.put_if_absent(key, data)

    def replace(self, key: str, data: bytes, revision: Revision | None) -> None:
        self.before_write(key)
        self.store.replace(key, data, revision)


def test_a_writer_who_is_overtaken_takes_the_next_number_and_moves_the_alias_from_where_it_is(tmp_path: Path) -> None:
    registry = Registry(open_store(tmp_path.as_uri()))
    overtaken = {layout.version_key("digits", 1), layout.alias_key("digits", "live")}

    def publish_another(key: str) -> None:
        if key in overtaken:
            overtaken.remove(key)
            registry.publish(replace(MANIFEST, provenance=replace(MANIFEST.provenance, publication="other")), {})

    slow = Registry(WatchedStore(registry.store, publish_another))  # type: ignore[arg-type]
    assert slow.publish(MANIFEST, {}).version == 2, "1 was taken meanwhile"
    assert registry.versions("digits") == [1, 2, 3]
    history = [(move.action, move.version) for move in registry.alias("digits").history]
    assert history == [("publish", 1), ("publish", 3), ("publish", 2)]


def test_a_writer_waits_a_random_time_that_grows_to_half_a_second() -> None:
    waits_s = {attempt: [_backoff_s(attempt) for _ in range(200)] for attempt in (0, 3, 6, 99)}
    assert all(len(set(each)) > 20 for each in waits_s.values())
    for attempt, longest_s in ((0, 0.01), (3, 0.08), (6, 0.5), (99, 0.5)):
        assert min(waits_s[attempt]) >= 0
        assert 0.8 * longest_s < max(waits_s[attempt]) <= longest_s


def publish_in_process(root: str, storage: StorageSettings, seed: int, barrier: Barrier) -> None:
    candidate = digits_candidate(seed)
    registry = Registry(open_store(root, storage, create=True))
    barrier.wait()
    publish(registry, candidate)


def test_eight_publishers_at_once_make_eight_versions(shared_root: str, storage: StorageSettings) -> None:
    barrier = forked.context.Barrier(8)
    arguments = [(shared_root, storage, seed, barrier) for seed in range(8)]
    processes = [forked.process(publish_in_process, *each) for each in arguments]
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
    writes = count(1)

    def die_in_time(_key: str) -> None:
        if next(writes) == write:
            os.kill(os.getpid(), signal.SIGKILL)

    store = WatchedStore(open_store(root, storage), die_in_time)
    publish(Registry(store), digits_candidate(seed=1))  # type: ignore[arg-type] # seed 1: the model's blob is a new one


@pytest.mark.parametrize("write", range(1, WRITES + 2))
def test_a_publisher_killed_between_two_writes_changes_nothing(
    shared_root: str, storage: StorageSettings, write: int
) -> None:
    registry = Registry(open_store(shared_root, storage, create=True))
    before = publish(registry, digits_candidate(seed=0))
    process = forked.process(publish_and_die, shared_root, storage, write)
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
