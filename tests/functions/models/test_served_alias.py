import time
from pathlib import Path

import pytest

from onnxlet.contract import layout
from onnxlet.contract.alias import CANARY
from onnxlet.errors import ArtifactError, ModelNotFoundError
from onnxlet.models.cache import Models
from onnxlet.models.served_alias import FIRST_RETRY_S, LONGEST_RETRY_S, ServedAlias, versions
from onnxlet.record import replace
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_publishing.publish import publish
from tests.helpers import graphs
from tests.helpers.damage import damage


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = Registry(open_store(tmp_path.as_uri()))
    publish(registry, graphs.digits_candidate(0))
    return registry


@pytest.fixture
def live(registry: Registry) -> ServedAlias:
    return ServedAlias(Models(registry, threads=1), "digits", layout.LIVE)


def version(served: ServedAlias) -> int:
    """Return the version that an alias is served from after a check."""
    served.check()
    return served.state.manifest.version


def retry_now(served: ServedAlias) -> None:
    """End the wait before the refused state of an alias is tried again."""
    assert served.refusal is not None
    served.refusal = replace(served.refusal, retry_at_s=time.monotonic())


def test_an_alias_that_cannot_be_read_or_loaded_is_not_served(registry: Registry, tmp_path: Path) -> None:
    models = Models(registry, threads=1)
    with pytest.raises(ModelNotFoundError):
        ServedAlias(models, "digits", "stable")
    damage(tmp_path, registry.version("digits", 1))
    with pytest.raises(ArtifactError):
        ServedAlias(models, "digits", layout.LIVE)


def test_the_old_version_continues_while_the_new_one_is_damaged(
    registry: Registry, live: ServedAlias, tmp_path: Path
) -> None:
    publish(registry, graphs.digits_candidate(1))
    good = damage(tmp_path, registry.version("digits", 2))
    assert version(live) == 1
    assert "model artifact" in (live.problem or "")
    for blob, data in good.items():
        blob.write_bytes(data)
    time.sleep(FIRST_RETRY_S)
    assert version(live) == 2
    assert live.problem is None


def test_a_damaged_version_is_not_fetched_at_every_request(
    registry: Registry, live: ServedAlias, tmp_path: Path
) -> None:
    publish(registry, graphs.digits_candidate(1))
    good = damage(tmp_path, registry.version("digits", 2))
    assert version(live) == 1
    for blob, data in good.items():
        blob.write_bytes(data)
    assert version(live) == 1, "its time to be tried again has not come"
    publish(registry, graphs.digits_candidate(2))
    assert version(live) == 3, "another version is tried at once"


def test_each_wait_is_twice_as_long_up_to_the_longest(registry: Registry, live: ServedAlias, tmp_path: Path) -> None:
    publish(registry, graphs.digits_candidate(1))
    damage(tmp_path, registry.version("digits", 2))
    waits = []
    for _ in range(12):
        live.check()
        assert live.refusal is not None
        waits.append(live.refusal.wait_s)
        retry_now(live)
    assert waits[:3] == [FIRST_RETRY_S, 2 * FIRST_RETRY_S, 4 * FIRST_RETRY_S]
    assert waits[-2:] == [LONGEST_RETRY_S, LONGEST_RETRY_S]


def test_the_old_version_continues_after_its_alias_is_gone(live: ServedAlias, tmp_path: Path) -> None:
    (tmp_path / layout.alias_key("digits", "live")).unlink()
    assert version(live) == 1
    assert 'no alias "live"' in (live.problem or "")


def test_an_older_state_of_an_alias_is_served_only_if_it_stays(
    registry: Registry, live: ServedAlias, tmp_path: Path
) -> None:
    path = tmp_path / layout.alias_key("digits", "live")
    older = path.read_bytes()
    publish(registry, graphs.digits_candidate(1))
    assert version(live) == 2
    path.write_bytes(older)
    assert [version(live) for _ in range(3)] == [2, 2, 2]
    assert "older state" in (live.problem or "")
    retry_now(live)
    assert version(live) == 1


def test_an_alias_that_was_created_again_is_not_an_older_state(
    registry: Registry, live: ServedAlias, tmp_path: Path
) -> None:
    publish(registry, graphs.digits_candidate(1))
    assert version(live) == 2
    (tmp_path / layout.alias_key("digits", "live")).unlink()
    registry.promote("digits", 1)
    assert version(live) == 1


def test_a_first_state_is_served_without_a_canary_that_does_not_load_and_with_it_later(
    registry: Registry, tmp_path: Path
) -> None:
    publish(registry, graphs.digits_candidate(1), alias=None)
    registry.share("digits", 2, CANARY, 0.5)
    good = damage(tmp_path, registry.version("digits", 2))
    live = ServedAlias(Models(registry, threads=1), "digits", layout.LIVE)
    assert [manifest.version for manifest in versions(live.state)] == [1]
    assert "model artifact" in (live.problem or "")
    for blob, data in good.items():
        blob.write_bytes(data)
    retry_now(live)
    live.check()
    assert [manifest.version for manifest in versions(live.state)] == [1, 2]
    assert live.problem is None
