import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from onnxlet.contract.alias import CANARY, SHADOW
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import DeadlineError, ModelNotFoundError
from onnxlet.limits import deadline
from onnxlet.models.cache import Models
from onnxlet.models.model import Model
from onnxlet.models.traffic import Traffic
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_publishing.publish import publish
from tests.functions.models.test_model import images
from tests.helpers import graphs, ungated
from tests.helpers.damage import damage


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = Registry(open_store(tmp_path.as_uri()))
    publish(registry, graphs.digits_candidate(0))
    return registry


def follow(registry: Registry, refresh_s: float = 0) -> Traffic:
    """Traffic that looks at the registry at every request, with version 1 loaded."""
    traffic = Traffic(Models(registry, threads=1), refresh_s)
    assert traffic.route("digits").model.manifest.version == 1
    return traffic


@pytest.fixture
def traffic(registry: Registry) -> Traffic:
    return follow(registry)


class LateModels(Models):
    """The loaded models, where something happens between a request's look at the alias and its model."""

    on_get: Callable[[], None] | None = None

    def get(self, manifest: Manifest, *, is_ahead: bool = False) -> Model:
        on_get, self.on_get = self.on_get, None
        if on_get is not None:
            on_get()
        return super().get(manifest, is_ahead=is_ahead)


def version(traffic: Traffic, key: str | None = None) -> int:
    return traffic.route("digits", key=key).model.manifest.version


class TestLiveUpdate:
    def test_every_move_of_live_is_followed(self, registry: Registry, traffic: Traffic) -> None:
        publish(registry, graphs.digits_candidate(1))
        assert version(traffic) == 2
        registry.rollback("digits")
        assert version(traffic) == 1
        registry.promote("digits", 2)
        assert version(traffic) == 2

    def test_a_staged_version_changes_nothing(self, registry: Registry, traffic: Traffic) -> None:
        before = traffic.route("digits").model
        publish(registry, graphs.digits_candidate(1), alias=None)
        assert traffic.route("digits").model is before

    def test_an_alias_is_not_looked_at_before_its_time(self, registry: Registry) -> None:
        traffic = follow(registry, refresh_s=3600)
        publish(registry, graphs.digits_candidate(1))
        assert version(traffic) == 1

    def test_a_model_that_is_not_there_is_asked_for_again(self, registry: Registry, traffic: Traffic) -> None:
        for _ in range(2):
            with pytest.raises(ModelNotFoundError):
                traffic.route("later")
        publish(registry, graphs.digits_candidate(name="later"))
        assert traffic.route("later").model.manifest.version == 1

    def test_an_old_version_is_let_go_unless_an_alias_names_it(self, registry: Registry, traffic: Traffic) -> None:
        registry.promote("digits", 1, alias="stable")
        stable = traffic.route("digits", "stable").model
        publish(registry, graphs.digits_candidate(1))
        traffic.route("digits")
        assert traffic.models.get_version("digits", 1) is stable
        publish(registry, graphs.digits_candidate(2))
        second = traffic.models.get_version("digits", 2)
        assert version(traffic) == 3
        assert traffic.models.get_version("digits", 2) is not second

    def test_an_old_version_that_a_request_loads_again_is_let_go(self, registry: Registry) -> None:
        """The alias moves between a request's look at it and the request's model: the old version comes once more."""
        models = LateModels(registry, threads=1)
        traffic = Traffic(models, refresh_s=3600)
        assert version(traffic) == 1
        publish(registry, graphs.digits_candidate(1))
        models.on_get = traffic.refresh_all
        assert version(traffic) == 1
        traffic.refresh_all()
        assert [loaded.model.manifest.version for loaded in models.loaded()] == [2]

    def test_an_old_version_that_cannot_be_loaded_again_is_not_missed(self, registry: Registry, tmp_path: Path) -> None:
        models = LateModels(registry, threads=1)
        traffic = Traffic(models, refresh_s=3600)
        assert version(traffic) == 1
        publish(registry, graphs.digits_candidate(1))

        def move_and_damage() -> None:
            traffic.refresh_all()
            damage(tmp_path, registry.version("digits", 1))

        models.on_get = move_and_damage
        assert version(traffic) == 2

    def test_nothing_stays_of_a_state_that_is_not_followed(
        self, registry: Registry, traffic: Traffic, tmp_path: Path
    ) -> None:
        publish(registry, graphs.digits_candidate(1))
        damage(tmp_path, publish(registry, graphs.digits_candidate(2), alias=None))
        registry.share("digits", 3, CANARY, 0.5)
        assert version(traffic) == 1
        assert [loaded.model.manifest.version for loaded in traffic.models.loaded()] == [1]

    def test_a_problem_can_be_asked_for_while_other_aliases_are_loaded(
        self, registry: Registry, traffic: Traffic
    ) -> None:
        aliases = [f"alias-{index}" for index in range(200)]
        for alias in aliases:
            registry.promote("digits", 1, alias)
        model = traffic.route("digits").model
        interval_s = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)  # else threads change places too seldom to meet inside one look
        try:
            with ThreadPoolExecutor(4) as pool:
                loaded = [pool.submit(traffic.route, "digits", alias) for alias in aliases]
                while not all(future.done() for future in loaded):
                    assert traffic.problem(model) is None
        finally:
            sys.setswitchinterval(interval_s)
        assert all(future.result().model is model for future in loaded)

    def test_under_many_clients_every_answer_is_of_a_version_that_was_live(
        self, registry: Registry, traffic: Traffic
    ) -> None:
        is_over = threading.Event()
        seen: list[list[int]] = [[] for _ in range(8)]

        def ask(versions: list[int]) -> None:
            while not is_over.is_set():
                model = traffic.route("digits").model
                model.run(model.to_inputs(images()))
                versions.append(model.manifest.version)

        threads = [threading.Thread(target=ask, args=(versions,)) for versions in seen]
        for thread in threads:
            thread.start()
        for seed in range(1, 8):
            ungated.publish(registry, graphs.digits_candidate(seed))
        is_over.set()
        for thread in threads:
            thread.join()
        assert version(traffic) == 8
        for versions in seen:
            assert versions == sorted(versions), "live only moved forward"
            assert set(versions) <= set(range(1, 9))


class TestCanary:
    @pytest.fixture
    def registry(self, registry: Registry) -> Registry:
        publish(registry, graphs.digits_candidate(1), alias=None)
        return registry

    def test_it_answers_its_share_and_always_the_same_keys(self, registry: Registry, traffic: Traffic) -> None:
        keys = [f"client-{number}" for number in range(1000)]
        registry.share("digits", 2, CANARY, 0.1)
        first = {key for key in keys if version(traffic, key) == 2}
        assert 60 < len(first) < 140
        assert first == {key for key in keys if version(traffic, key) == 2}
        registry.share("digits", 2, CANARY, 0.5)
        second = {key for key in keys if version(traffic, key) == 2}
        assert 430 < len(second) < 570
        assert first < second, "whoever had the canary keeps it when its share grows"
        registry.share("digits", 2, CANARY, 0)
        assert {version(traffic, key) for key in keys} == {1}

    def test_without_a_key_chance_decides(self, registry: Registry, traffic: Traffic) -> None:
        registry.share("digits", 2, CANARY, 0.5)
        assert 60 < Counter(version(traffic) for _ in range(200))[2] < 140

    def test_every_move_of_the_alias_ends_it(self, registry: Registry, traffic: Traffic) -> None:
        registry.share("digits", 2, CANARY, 1)
        assert version(traffic) == 2
        registry.promote("digits", 1)
        assert version(traffic) == 1
        publish(registry, graphs.digits_candidate(2))
        registry.share("digits", 2, CANARY, 1)
        registry.rollback("digits")
        assert version(traffic) == 1

    def test_a_damaged_one_gets_no_request(self, registry: Registry, traffic: Traffic, tmp_path: Path) -> None:
        damage(tmp_path, registry.version("digits", 2))
        registry.share("digits", 2, CANARY, 1)
        assert version(traffic) == 1
        assert "model artifact" in (traffic.problem(traffic.route("digits").model) or "")
        later = follow(registry)
        assert version(later) == 1
        assert "model artifact" in (later.problem(later.route("digits").model) or "")

    def test_one_that_was_let_go_and_is_gone_is_replaced_by_the_alias_own(
        self, registry: Registry, traffic: Traffic, tmp_path: Path
    ) -> None:
        registry.share("digits", 2, CANARY, 1)
        assert version(traffic) == 2
        damage(tmp_path, registry.version("digits", 2))
        traffic.models.discard(registry.version("digits", 2))
        assert version(traffic) == 1


class TestShadow:
    def test_it_comes_beside_the_version_that_answers(self, registry: Registry, traffic: Traffic) -> None:
        publish(registry, graphs.digits_candidate(1), alias=None)
        assert traffic.route("digits").shadow is None
        registry.share("digits", 2, SHADOW, 1)
        routed = traffic.route("digits")
        assert (routed.model.manifest.version, routed.shadow and routed.shadow.manifest.version) == (1, 2)
        registry.share("digits", 2, SHADOW, 0)
        assert traffic.route("digits").shadow is None


class StalledModels(Models):
    """The loaded models, where the second version does not come in the time that there is for it."""

    given_s = 0.0

    def get(self, manifest: Manifest, *, is_ahead: bool = False) -> Model:
        if manifest.version == 2:
            self.given_s = deadline.remaining_s()
            raise DeadlineError("the time is over")
        return super().get(manifest, is_ahead=is_ahead)


@pytest.mark.parametrize("action", [CANARY, SHADOW])
def test_a_share_that_never_loads_leaves_half_of_the_time_for_the_answer(registry: Registry, action: str) -> None:
    publish(registry, graphs.digits_candidate(1), alias=None)
    registry.share("digits", 2, action, 1)
    stalled = StalledModels(registry, threads=1)
    let_go = Traffic(Models(registry, threads=1), 1e6)
    let_go.route("digits")
    let_go.models = stalled
    for traffic in (Traffic(stalled, 1e6), let_go):
        with deadline.within(600):
            routed = traffic.route("digits")
        assert 0 < stalled.given_s <= 300
        assert (routed.model.manifest.version, routed.shadow) == (1, None)
        stalled.given_s = 0.0
