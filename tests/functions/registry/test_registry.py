from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from obstore.store import MemoryStore

from onnxlet.contract import layout
from onnxlet.contract.alias import CANARY, MAX_MOVES, PROMOTE, SHADOW, Alias, Move
from onnxlet.contract.document import MAX_DOCUMENT_BYTES, MAX_REPAIR_BYTES, MAX_STATE_BYTES, to_json
from onnxlet.errors import (
    ConflictError,
    InvalidRequestError,
    ManifestError,
    ModelNotFoundError,
    StoreError,
)
from onnxlet.record import replace
from onnxlet.registry.registry import Registry
from onnxlet.settings import CacheSettings, Settings
from onnxlet.storage import Store, open_store
from tests.helpers.damage import resealed
from tests.helpers.graphs import digits_candidate
from tests.helpers.manifests import MANIFEST
from tests.helpers.ungated import publish


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
        (
            2,
            0.5,
            "live",
            InvalidRequestError,
            'model "digits": expected another version than 2, which "live" names already',
        ),
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
    words = 'model "digits": nothing to roll back to, because the last 100 moves of "live" name no version before 1'
    with pytest.raises(ModelNotFoundError, match=words):
        registry.rollback("digits")
    assert registry.resolve("digits").version == 1


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
        "memory://careless: expected a store that supports conditional writes, got one that ignores If-Match: two "
        "concurrent publishers would overwrite each other's versions. Use another store, or set "
        "ONNXLET_ALLOW_UNCONDITIONAL_WRITES=1 and publish from one machine at a time"
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
