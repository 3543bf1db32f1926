import multiprocessing
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import orjson
import pytest
from obstore.store import MemoryStore

from onnxlet.contract import layout
from onnxlet.contract.alias import CANARY, MAX_MOVES, PROMOTE, SHADOW, Alias, Move
from onnxlet.contract.artifact import JSON, Artifact
from onnxlet.contract.document import MAX_DOCUMENT_BYTES, MAX_REPAIR_BYTES, MAX_STATE_BYTES, to_json
from onnxlet.errors import (
    ArtifactError,
    ConflictError,
    InvalidNameError,
    InvalidRequestError,
    ManifestError,
    ModelNotFoundError,
    StoreError,
    TooLargeError,
)
from onnxlet.record import replace
from onnxlet.registry.registry import Registry, _backoff_s
from onnxlet.settings import CacheSettings, Settings
from onnxlet.storage import Revision, Store, open_store
from onnxlet.storage.connection import StorageSettings
from tests.functions.contract.test_manifest import MANIFEST
from tests.helpers.damage import resealed
from tests.helpers.graphs import digits_candidate
from tests.helpers.ungated import publish

spawn = multiprocessing.get_context("spawn")  # obstore does not survive a fork


@pytest.fixture
def registry(root: str, storage: StorageSettings) -> Registry:
    return Registry(open_store(root, storage, create=True))


def test_a_published_version_is_live(registry: Registry) -> None:
    manifest = publish(registry, digits_candidate())
    assert manifest.version == 1
    assert registry.resolve("digits") == registry.version("digits", 1) == manifest


def test_a_function_reads_the_registry_of_its_settings_with_the_cache_of_its_settings(tmp_path: Path) -> None:
    registry = Registry(open_store((tmp_path / "registry").as_uri(), create=True))
    manifest = publish(registry, digits_candidate())
    cache = tmp_path / "cache"
    for kept in (None, CacheSettings(str(cache), 2**20)):
        opened = Registry.open(Settings(registry.store.url, cache=kept))
        assert opened.resolve("digits") == manifest
        assert len(opened.artifacts.read(manifest.artifacts[0])) == manifest.artifacts[0].size_bytes
        assert any(path.is_file() for path in cache.rglob("*")) == (kept is not None)


def test_another_connection_takes_the_place_of_the_first(tmp_path: Path) -> None:
    first, second = (open_store((tmp_path / name).as_uri(), create=True) for name in ("first", "second"))
    registry = Registry(first)
    artifact = publish(registry, digits_candidate()).artifacts[0]
    registry.reopen(second)
    assert registry.models() == []
    with pytest.raises(ArtifactError, match="no such object"):
        registry.artifacts.read(artifact)


def test_an_alias_that_was_read_before_is_for_the_first_who_asks(registry: Registry) -> None:
    first = publish(registry, digits_candidate())
    registry.promote("digits", 1, "stable")
    stored = registry.store.read(layout.alias_key("digits", "live"))
    second = publish(registry, digits_candidate(1))
    assert registry.expect("digits", stored) == first
    assert registry.alias("digits", "stable").name == "stable"
    assert registry.alias_state("digits")[1] == stored.revision
    assert registry.resolve("digits") == second
    with pytest.raises(ManifestError, match=r"models/other/aliases/live\.json: expected other@live, got digits@live"):
        registry.expect("other", stored)


def test_an_alias_is_read_again_only_when_it_has_moved(registry: Registry) -> None:
    publish(registry, digits_candidate())
    _, revision = registry.alias_state("digits")
    assert registry.alias_if_changed("digits", "live", revision) is None
    second = publish(registry, digits_candidate(1))
    changed = registry.alias_if_changed("digits", "live", revision)
    assert changed == registry.alias_state("digits")
    assert changed is not None
    assert changed[0].manifest == second
    with pytest.raises(ModelNotFoundError, match='model "digits": no alias "beta"; it has the versions 1, 2'):
        registry.alias_if_changed("digits", "beta", revision)
    for name, alias in (("../digits", "live"), ("digits", "2")):
        with pytest.raises(InvalidNameError):
            registry.alias_if_changed(name, alias, revision)


def test_the_golden_example_is_the_one_that_was_published(registry: Registry) -> None:
    manifest = publish(registry, digits_candidate())
    artifact = manifest.artifact("golden")
    golden = registry.golden(manifest)
    assert artifact is not None
    assert golden is not None
    assert golden.to_json() == bytes(registry.artifacts.read(artifact))
    assert registry.golden(replace(manifest, artifacts=manifest.artifacts[:1])) is None
    broken = Artifact.of("golden", "fp32", b"[]", JSON)
    registry.store.put_if_absent(layout.blob_key(broken.sha256), b"[]")
    with pytest.raises(ManifestError, match=f"blobs/sha256/{broken.sha256}: expected a JSON object"):
        registry.golden(replace(manifest, artifacts=(broken,)))


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


def test_a_move_says_when_it_was_and_is_known_again(registry: Registry) -> None:
    for seed in range(2):
        publish(registry, digits_candidate(seed))
    first, second = registry.alias("digits").history
    assert timedelta(0) <= datetime.now(UTC) - datetime.fromisoformat(second.at) < timedelta(minutes=1)
    assert first.at <= second.at
    assert len(first.id) == len(second.id) == 16
    assert first.id != second.id


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
    ("version", "weight", "alias", "error", "words"),
    [
        (1, 1.5, "live", InvalidRequestError, "weight: expected a share from 0 to 1, got 1.5"),
        (1, -0.1, "live", InvalidRequestError, "weight: expected a share from 0 to 1, got -0.1"),
        (2, 0.5, "live", InvalidRequestError, 'model "digits": version 2 is what "live" names already'),
        (3, 0.5, "live", ModelNotFoundError, 'model "digits": no version 3; it has the versions 1, 2'),
        (1, 0.5, "beta", ModelNotFoundError, 'model "digits": no alias "beta"; it has the versions 1, 2'),
    ],
)
def test_a_share_that_cannot_be_is_refused(
    registry: Registry, version: int, weight: float, alias: str, error: type[Exception], words: str
) -> None:
    for seed in range(2):
        publish(registry, digits_candidate(seed))
    with pytest.raises(error, match=f"^{words}$"):
        registry.share("digits", version, CANARY, weight, alias)
    assert registry.alias("digits").canary is None


def test_a_rollback_without_an_earlier_version_is_refused(registry: Registry) -> None:
    publish(registry, digits_candidate())
    words = 'model "digits": nothing to roll back to, "live" has named no version before 1'
    with pytest.raises(ModelNotFoundError, match=words):
        registry.rollback("digits")
    assert registry.resolve("digits").version == 1


def test_lists_are_complete_and_in_order_and_pass_over_what_is_no_part_of_a_registry(registry: Registry) -> None:
    for name in ("zebra", "ant"):
        publish(registry, digits_candidate(name=name))
    for _ in range(10):
        registry.publish(replace(MANIFEST, model="ant"), {}, alias=None)
    registry.promote("ant", 3, "stable")
    for key in ("Ant/versions/1.json", "ant/versions/x.json", "ant/versions/0.json", "ant/aliases/notes.txt"):
        registry.store.put_if_absent(f"models/{key}", b"somebody's own")
    assert registry.models() == ["ant", "zebra"]
    assert registry.versions("ant") == list(range(1, 12))
    assert registry.catalogue() == {"ant": list(range(1, 12)), "zebra": [1]}
    assert list(registry.catalogue()) == ["ant", "zebra"]
    documents = len(list(registry.store.keys("models")))
    assert registry.catalogue(at_most=documents) == registry.catalogue()
    with pytest.raises(TooLargeError) as caught:
        registry.catalogue(at_most=documents - 1)
    listed = f"the {documents - 1} documents that an index lists"
    assert str(caught.value) == f"the registry has more than {listed}: ask for one model by name"
    assert [(alias.name, alias.manifest.version) for alias in registry.aliases("ant")] == [("live", 1), ("stable", 3)]


def test_what_is_missing_is_named_with_what_there_is(registry: Registry) -> None:
    publish(registry, digits_candidate())
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: registry.resolve("nope"), 'model "nope": not in the registry'),
        (lambda: registry.version("digits", 9), "no version 9; it has the versions 1"),
        (lambda: registry.resolve("digits", "beta"), 'no alias "beta"; it has the versions 1'),
        (lambda: registry.promote("digits", 9), "no version 9"),
        (lambda: registry.rollback("nope"), 'model "nope": not in the registry'),
        (lambda: registry.rollback("digits", "beta"), 'model "digits": no alias "beta"; it has the versions 1'),
    ]
    for call, words in calls:
        with pytest.raises(ModelNotFoundError, match=words):
            call()


@pytest.mark.parametrize("name", ["", "../digits", "a/b", "Digits", "a" * 64, "a\0b", "dígits"])
def test_an_impossible_name_never_reaches_the_store(registry: Registry, name: str) -> None:
    for call in (registry.resolve, registry.versions, registry.rollback):
        with pytest.raises(InvalidNameError):
            call(name)
    with pytest.raises(InvalidNameError):
        registry.publish(replace(MANIFEST, model=name), {"00": b""})
    assert list(registry.store.keys("")) == []


def test_a_document_that_is_none_is_refused_with_its_key(registry: Registry) -> None:
    publish(registry, digits_candidate())
    alias = layout.alias_key("digits", "live")
    revision = registry.alias_state("digits")[1]
    registry.store.put_if_absent(layout.version_key("digits", 2), b"[]")
    registry.store.replace(alias, b"[]", revision)
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: registry.version("digits", 2), layout.version_key("digits", 2)),
        (lambda: registry.resolve("digits"), alias),
        (lambda: registry.alias_if_changed("digits", "live", revision), alias),
    ]
    for call, key in calls:
        with pytest.raises(ManifestError, match=rf"^{key}: expected a JSON object, got \[\]"):
            call()


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


def two_versions(registry: Registry) -> bytes:
    """Publish two versions; gives `live` as an onnxlet of before wrote it, with 30,000 moves between them."""
    for seed in range(2):
        publish(registry, digits_candidate(seed))
    manifests = [registry.version("digits", version) for version in (1, 2)]
    at = "2026-11-29T21:00:04.123+00:00"
    moves = [Move(PROMOTE, number % 2 + 1, at, f"{number:016x}") for number in range(30_000)]
    assert moves[-1].version == 2
    document = orjson.loads(Alias("live", manifests[1], tuple(moves)).to_json())
    for field in ("digest", "earlier", "dropped"):
        del document[field]
    return to_json({**document, "schema": 1})


@pytest.mark.large
def test_an_alias_that_moved_thirty_thousand_times_is_read_and_becomes_as_small_as_after_ten(
    tmp_path: Path,
) -> None:
    registry = Registry(open_store(tmp_path.as_uri()))
    data = two_versions(registry)
    key = layout.alias_key("digits", layout.LIVE)
    assert len(data) > MAX_DOCUMENT_BYTES, "which functions refused, and the command too"
    (tmp_path / key).write_bytes(data)
    assert registry.resolve("digits").version == 2
    assert registry.rollback("digits").version == 1
    size_bytes = len((tmp_path / key).read_bytes())
    assert size_bytes < 30_000
    for number in range(2 * MAX_MOVES):
        registry.promote("digits", number % 2 + 1)
    alias = registry.alias("digits")
    assert (len(alias.history), alias.dropped) == (MAX_MOVES, 30_000 + 1 + 2 * MAX_MOVES - MAX_MOVES)
    assert len((tmp_path / key).read_bytes()) < size_bytes + 1000
    assert [registry.rollback("digits").version for _ in range(4)] == [1, 2, 1, 2]
    assert registry.share("digits", 1, CANARY, 0.5).version == 1
    assert registry.alias("digits").canary is not None


@pytest.mark.large
def test_the_command_reads_a_larger_alias_than_functions_do_and_writes_a_small_one(tmp_path: Path) -> None:
    registry = Registry(open_store(tmp_path.as_uri()))
    data = two_versions(registry).ljust(MAX_STATE_BYTES + 1)
    path = tmp_path / layout.alias_key("digits", layout.LIVE)
    path.write_bytes(data)
    for read in (registry.resolve, registry.rollback, registry.alias):
        with pytest.raises(ManifestError, match=rf"live\.json: expected at most {MAX_STATE_BYTES} bytes"):
            read("digits")
    command = Registry(registry.store, largest_alias_bytes=MAX_REPAIR_BYTES)
    assert command.promote("digits", 1).version == 1
    assert registry.resolve("digits").version == 1
    path.write_bytes(data.ljust(MAX_REPAIR_BYTES + 1))
    with pytest.raises(ManifestError, match=f"expected at most {MAX_REPAIR_BYTES} bytes"):
        command.resolve("digits")


@pytest.mark.large
def test_three_versions_with_many_labels_share_the_requests_of_an_alias(registry: Registry) -> None:
    drafts = [replace(MANIFEST, metrics={f"{number}{'x' * 2_200_000}": 1.0}) for number in range(3)]
    for draft in drafts:
        registry.publish(draft, {})
    registry.share("digits", 1, CANARY, 0.25)
    registry.share("digits", 2, SHADOW, 1.0)
    alias = registry.alias("digits")
    assert (alias.manifest.version, alias.canary and alias.canary.manifest.version) == (3, 1)
    assert alias.shadow is not None
    assert len(alias.to_json()) > MAX_DOCUMENT_BYTES
    assert registry.rollback("digits").version == 2
    assert registry.promote("digits", 3).version == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"metrics": {"x" * MAX_DOCUMENT_BYTES: 1.0}},
        {"metrics": {"loss": float("nan")}},
        {"provenance": replace(MANIFEST.provenance, seed=2**53 + 1)},
        {"provenance": replace(MANIFEST.provenance, source="\ud800")},
        {"provenance": replace(MANIFEST.provenance, source="x" * 1025)},
        {"inputs": ()},
    ],
    ids=["too large", "not a number", "a large seed", "half a character", "a long source", "no inputs"],
)
def test_what_no_reader_would_take_is_not_published(tmp_path: Path, changes: dict[str, object]) -> None:
    registry = Registry(open_store(tmp_path.as_uri()))
    registry.publish(MANIFEST, {})
    with pytest.raises(ManifestError):
        registry.publish(replace(MANIFEST, **changes), {})
    assert registry.catalogue() == {"digits": [1]}
    assert registry.resolve("digits").version == 1


@pytest.mark.large
def test_an_alias_that_no_reader_would_take_is_not_written(tmp_path: Path) -> None:
    """A canary beside a manifest that somebody made larger than an alias may be."""
    registry = Registry(open_store(tmp_path.as_uri()), largest_alias_bytes=MAX_REPAIR_BYTES)
    manifest = registry.publish(MANIFEST, {})
    registry.publish(MANIFEST, {})
    path = tmp_path / layout.alias_key("digits", layout.LIVE)
    large = replace(manifest, version=2, metrics={"x" * MAX_STATE_BYTES: 1.0})
    document = {**orjson.loads(path.read_bytes()), "manifest": large.to_document()}
    path.write_bytes(resealed(document))
    before = path.read_bytes()
    with pytest.raises(ManifestError, match="expected at most"):
        registry.share("digits", 1, CANARY, 0.5)
    assert path.read_bytes() == before
    registry.promote("digits", 1)
    assert registry.resolve("digits").version == 1


class Careless(Store):
    """A store that ignores a condition of writes."""

    probed: tuple[str | bytes, ...] = ()

    def missing_condition(self, key: str, data: bytes) -> str | None:
        self.probed += (key, data)
        return "If-Match"


def careless(**options: bool) -> tuple[Careless, Registry]:
    store = Careless("memory://careless", MemoryStore())
    return store, Registry(store, **options)  # type: ignore[arg-type]


def test_a_store_that_ignores_conditions_is_not_published_to() -> None:
    store, registry = careless()
    with pytest.raises(StoreError) as caught:
        registry.publish(MANIFEST, {})
    assert str(caught.value) == (
        "memory://careless: expected a store that keeps the conditions of writes, got one that ignores If-Match: two "
        "publishers at once would overwrite each other's versions. Use another store, or set "
        "ONNXLET_ALLOW_UNCONDITIONAL_WRITES=1 and publish from one place at a time"
    )
    assert store.probed == (layout.PROBE_KEY, layout.PROBE)
    assert registry.versions(MANIFEST.model) == []


def test_it_is_where_the_operator_insists() -> None:
    store, registry = careless(allows_unconditional_writes=True)
    assert registry.publish(MANIFEST, {}).version == 1
    assert store.probed == ()


def test_only_the_first_version_of_a_model_tries_the_conditions() -> None:
    store, insisting = careless(allows_unconditional_writes=True)
    insisting.publish(MANIFEST, {})
    assert Registry(store).publish(MANIFEST, {}).version == 2
    assert store.probed == ()


class TestAdopt:
    """A version of another registry, under its own number."""

    @pytest.fixture
    def other(self, tmp_path: Path) -> Registry:
        found = Registry(open_store((tmp_path / "other").as_uri(), create=True))
        for seed in range(3):
            publish(found, digits_candidate(seed))
        return found

    def test_it_is_stored_byte_for_byte_and_nothing_names_it(self, registry: Registry, other: Registry) -> None:
        manifest = registry.adopt(other, "digits", 3)
        assert manifest == other.version("digits", 3) == registry.version("digits", 3)
        key = layout.version_key("digits", 3)
        assert registry.store.read(key).data == other.store.read(key).data
        assert registry.versions("digits") == [3]
        assert registry.aliases("digits") == []

    def test_a_second_time_changes_nothing(self, registry: Registry, other: Registry) -> None:
        for _ in range(2):
            assert registry.adopt(other, "digits", 2).version == 2
        assert registry.versions("digits") == [2]

    def test_another_version_of_the_number_stays(self, registry: Registry, other: Registry) -> None:
        own = publish(registry, digits_candidate(7))
        with pytest.raises(ConflictError):
            registry.adopt(other, "digits", 1)
        assert registry.version("digits", 1) == own

    def test_the_next_publication_gets_the_next_number(self, registry: Registry, other: Registry) -> None:
        registry.adopt(other, "digits", 3)
        assert publish(registry, digits_candidate(7)).version == 4

    def test_what_the_other_does_not_have_is_named(self, registry: Registry, other: Registry) -> None:
        with pytest.raises(ModelNotFoundError, match="no version 9"):
            registry.adopt(other, "digits", 9)
        assert registry.models() == []

    def test_a_store_without_conditions_is_refused(self, other: Registry) -> None:
        class Careless(Store):
            def missing_condition(self, key: str, data: bytes) -> str | None:
                assert (key, data) == (layout.PROBE_KEY, layout.PROBE)
                return "If-None-Match"

        store = Careless("memory://careless", MemoryStore())
        with pytest.raises(StoreError, match="ignores If-None-Match"):
            Registry(store).adopt(other, "digits", 1)
        assert Registry(store).models() == []
        assert Registry(store, allows_unconditional_writes=True).adopt(other, "digits", 1).version == 1
