"""The short form of `make faults`: some seeded runs, a small storm, and whether a law that is broken is told."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from onnxlet.contract.alias import ROLLBACK
from onnxlet.storage import open_store
from onnxlet.storage.connection import StorageSettings
from tests.faults import __main__ as command
from tests.faults.front import Front, World
from tests.faults.laws import LAWS, REGISTRY, RESULTS, Acknowledged, Answer, Evidence, violations
from tests.faults.plan import KINDS, calm
from tests.faults.run import AT_ONCE, SCHEMES, Outcome, run, run_with
from tests.faults.storm import storm

SEEDS = range(8)
OBJECTS = 120


@pytest.fixture(scope="module")
def outcomes(fronts: dict[str, Front]) -> list[Outcome]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(
            pool.map(lambda one: run(fronts[one[0]], *one), [(each, seed) for seed in SEEDS for each in SCHEMES])
        )


def test_the_laws_hold_whatever_the_store_does(outcomes: list[Outcome]) -> None:
    broken = [(command.repeat(outcome), outcome.violations) for outcome in outcomes if outcome.violations]
    assert broken == []


def test_the_runs_are_hard_enough(outcomes: list[Outcome]) -> None:
    faults = sum((outcome.faults for outcome in outcomes), start=Counter[str]())
    assert set(faults) == set(KINDS)
    assert sum(outcome.acknowledged for outcome in outcomes) > 3 * len(outcomes)
    assert sum(outcome.answers for outcome in outcomes) > 10 * len(outcomes)


def test_a_seed_repeats_its_faults(outcomes: list[Outcome], fronts: dict[str, Front]) -> None:
    first = next(outcome for outcome in outcomes if (outcome.scheme, outcome.seed) == ("gs", 6))
    again = run(fronts["gs"], "gs", 6)
    before, after = dict(first.met), dict(again.met)
    both = before.keys() & after.keys()
    assert len(both) > 20
    assert all(before[asked] == after[asked] for asked in both)


def test_of_a_storm_every_object_has_one_outcome(fronts: dict[str, Front]) -> None:
    found = storm(fronts["s3"], "s3", OBJECTS, seed=1)
    assert found.violations == []
    assert (found.results, found.errors) == (OBJECTS - 1, 1)
    assert found.deliveries >= 3 * OBJECTS
    assert found.error_rate > 0.04


def lose_a_blob(world: World) -> None:
    world.journal.remove(next(write for write in world.journal if "/blobs/" in write.key))


def write_again(world: World) -> None:
    world.journal.append(next(write for write in world.journal if "/versions/" in write.key))


def forget_history(world: World) -> None:
    states = [write for write in world.journal if write.key.endswith("moving/aliases/live.json")]
    world.journal.append(states[-2])


def lose_a_result(world: World) -> None:
    world.journal.remove(next(write for write in world.journal if write.key.startswith(f"{RESULTS}/")))


def write_a_result_twice(world: World, storage: StorageSettings) -> None:
    """As another document, beside the first."""
    result = next(write for write in world.journal if write.key.startswith(f"{RESULTS}/"))
    open_store(world.url, storage).put_if_absent(f"{result.key}.json", result.body)


BROKEN: dict[str, Callable[[Evidence], object]] = {
    "what_was_acknowledged_is_there": lambda found: found.acknowledged.append(Acknowledged(ROLLBACK, 9, 0, 1)),
    "nothing_is_done_twice": lambda found: found.attempts.clear(),
    "histories_are_only_added_to": lambda found: forget_history(found.world),
    "what_an_alias_names_is_whole": lambda found: lose_a_blob(found.world),
    "what_is_written_once_stays": lambda found: write_again(found.world),
    "no_wrong_byte_is_given_out": lambda found: found.answers["x"].append(Answer(200, 1, [0.0])),
    "the_last_good_model_answers": lambda found: found.answers["x"].append(Answer(503, 0, [])),
    "a_store_that_is_well_again_is_followed": lambda found: setattr(found, "last", Answer(200, 99, [])),
    "every_object_has_one_outcome": lambda found: lose_a_result(found.world),
}


def test_each_law_that_is_broken_is_told(fronts: dict[str, Front]) -> None:
    assert set(BROKEN) == {law.__name__ for law in LAWS}
    for law, break_it in BROKEN.items():
        evidence = run_with(fronts["gs"], "gs", 0, calm).evidence
        assert violations(evidence) == []
        break_it(evidence)
        assert law in {violation.partition(":")[0] for violation in violations(evidence)}


def test_two_outcomes_of_one_object_are_told(fronts: dict[str, Front]) -> None:
    evidence = run_with(fronts["gs"], "gs", 0, calm).evidence
    write_a_result_twice(evidence.world, fronts["gs"].connect(evidence.world, "test")[1])
    assert "has 2 outcomes" in str(violations(evidence))


def test_a_document_that_was_changed_in_the_store_is_told(fronts: dict[str, Front]) -> None:
    evidence = run_with(fronts["gs"], "gs", 0, calm).evidence
    key = next(
        write.key for write in evidence.world.journal if write.key.startswith(f"{REGISTRY}/models/moving/versions")
    )
    revision = evidence.store.read(key).revision
    evidence.store.replace(key, b"{}", revision)
    evidence.world.journal.pop()  # the front has seen it, of course
    assert violations(evidence) == [f"what_is_written_once_stays: {key} is not what was written"]
