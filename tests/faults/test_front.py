"""One fault at a time, on the way to the store: what was acknowledged is there, what is read is what is there."""

import uuid
from collections import Counter

import pytest

from onnxlet.contract import layout
from onnxlet.errors import ArtifactError, ManifestError, OnnxletError, StoreError
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_publishing.publish import store_all
from tests.faults import models, plan
from tests.faults.front import Front, World
from tests.faults.laws import NAME, REGISTRY
from tests.faults.plan import Asked, Chance, Plan, Script
from tests.faults.run import BUCKET

NOTICED = (*plan.STATUSES[2:], plan.ERROR_INSIDE)
"""Of reads: what obstore does not try again by itself."""


@pytest.fixture
def world(scheme: str) -> World:
    return World(scheme, BUCKET, f"front/{uuid.uuid4()}")


def registry(front: Front, world: World, fault_plan: Plan = plan.calm) -> Registry:
    return Registry(open_store(f"{world.url}/{REGISTRY}", front.connect(world, "test", fault_plan)[1]))


@pytest.mark.parametrize("fault", plan.OF_WRITES)
def test_a_write_that_is_acknowledged_is_there_once(front: Front, world: World, fault: str) -> None:
    store = open_store(world.url, front.connect(world, "test", Script("PUT", fault))[1])
    store.put_if_absent("key", b"1")
    assert [write.body for write in world.journal] == [b"1"] == [store.read("key").data]
    assert world.faults == Counter([fault])


@pytest.mark.parametrize("fault", plan.OF_WRITES)
def test_a_move_is_made_once(front: Front, world: World, fault: str) -> None:
    truth = registry(front, world)
    store_all(truth, [models.passed(NAME, 1)])
    store_all(truth, [models.passed(NAME, 2)])
    registry(front, world, Script("PUT", fault)).rollback(NAME)
    assert truth.resolve(NAME).version == 1
    assert len(truth.alias(NAME).history) == 3


@pytest.mark.parametrize("fault", plan.OF_READS)
def test_a_read_gives_what_is_there_or_says_that_the_store_failed(front: Front, world: World, fault: str) -> None:
    data = bytes(range(256)) * 1000
    open_store(world.url, front.connect(world, "truth")[1]).put_if_absent("key", data)
    for read in (lambda store: store.read("key").data, lambda store: b"".join(store.chunks("key", (0, len(data))))):
        store = open_store(world.url, front.connect(world, "test", Script("GET", fault))[1])
        try:
            assert read(store) == data
        except StoreError as error:
            assert fault in NOTICED
            assert error.code == "store_unavailable"
        assert read(store) == data


@pytest.mark.parametrize("fault", plan.OF_CHECKED_READS)
def test_a_document_or_an_artifact_with_wrong_bytes_is_refused(front: Front, world: World, fault: str) -> None:
    truth = registry(front, world)
    (manifest,) = store_all(truth, [models.passed(NAME, 1)])
    shaken = registry(front, world, Script("GET", fault, fault, fault))
    with pytest.raises(ManifestError):
        shaken.resolve(NAME)
    with pytest.raises(ManifestError):
        shaken.version(NAME, 1)
    with pytest.raises(ArtifactError, match="SHA-256"):
        shaken.artifacts.read(manifest.artifacts[0])
    assert shaken.resolve(NAME) == shaken.version(NAME, 1) == manifest
    assert len(shaken.artifacts.read(manifest.artifacts[0])) == manifest.artifacts[0].size_bytes


def test_a_stale_alias_is_what_it_was(front: Front, world: World) -> None:
    truth = registry(front, world)
    store_all(truth, [models.passed(NAME, 1)])
    assert truth.resolve(NAME).version == 1, "the front has seen this state"
    store_all(truth, [models.passed(NAME, 2)])
    shaken = registry(front, world, Script("GET", plan.STALE, "", plan.STALE))
    assert shaken.resolve(NAME).version == 1
    assert shaken.promote(NAME, 1).version == 1, "a writer that saw the older state is told so, and looks again"
    assert len(truth.alias(NAME, layout.LIVE).history) == 3


def test_chance_gives_the_same_request_the_same_fault_whatever_comes_between() -> None:
    asked = [Asked("client", "GET", f"registry/{key}", number) for key in range(50) for number in range(10)]
    first = {each: Chance(1, 0.3, 0.03)(each) for each in asked}
    again = Chance(1, 0.3, 0.03)
    assert {each: again(each) for each in reversed(asked)} == first
    assert {each: Chance(2, 0.3, 0.03)(each) for each in asked} != first
    assert 0.2 < sum(fault is not None for fault in first.values()) / len(asked) < 0.45


def test_each_kind_of_fault_is_met_by_some_request() -> None:
    chance = Chance(0, 0.5, 0)
    keys = ("", "in/a", "registry/blobs/sha256/a", "registry/models/m/aliases/live.json")
    asked = [Asked("client", method, key, n) for method in ("GET", "PUT") for key in keys for n in range(200)]
    assert {chance(each) for each in asked} == {None, *plan.KINDS}


def test_a_fault_that_does_not_end_is_an_error_of_ours(front: Front, world: World) -> None:
    store_all(registry(front, world), [models.passed(NAME, 1)])
    for fault in plan.OF_READS:
        if fault not in {plan.LATE, plan.TRICKLE}:
            with pytest.raises(OnnxletError, match=r"expected an object with its ETag|the store did not answer"):
                registry(front, world, Script("GET", *[fault] * 20)).resolve(NAME)
