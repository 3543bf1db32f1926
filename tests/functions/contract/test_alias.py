from typing import Any

import orjson
import pytest

from onnxlet.contract.alias import CANARY, MAX_MOVES, PROMOTE, SHADOW, Alias, Move, Share
from onnxlet.contract.artifact import Artifact
from onnxlet.contract.document import MAX_DOCUMENT_BYTES, MAX_STATE_BYTES
from onnxlet.contract.manifest import Manifest, Provenance
from onnxlet.contract.tensors import DATATYPES, TensorSpec
from onnxlet.errors import ManifestError
from onnxlet.record import replace
from tests.helpers.damage import every_flip, resealed

TENSOR = (TensorSpec("x", DATATYPES["FP32"], (1,)),)
MANIFEST = Manifest("m", 1, TENSOR, TENSOR, (Artifact("model", "fp32", "0" * 64, 1),), Provenance("now", "test", "id"))


def alias(*moves: tuple[str, int]) -> Alias:
    history = tuple(Move(action, version, "now", f"id{index}") for index, (action, version) in enumerate(moves))
    return Alias("live", replace(MANIFEST, version=moves[-1][1]), history)


def read(changed: Alias, **fields: Any) -> Alias:
    return Alias.from_json(resealed({**unsealed(changed), **fields}), "alias")


def unsealed(changed: Alias) -> dict[str, Any]:
    """Return the document without its digest: a field may be changed in it."""
    document: dict[str, Any] = orjson.loads(changed.to_json())
    del document["digest"]
    return document


def test_a_history_that_goes_on_makes_a_state_the_earlier_one() -> None:
    first, second = alias(("publish", 1)), alias(("publish", 1), ("publish", 2))
    assert first.is_before(second)
    assert not second.is_before(first)
    assert not first.is_before(first)
    made_anew = replace(first, history=(Move("publish", 1, "now", "another"),))
    assert not made_anew.is_before(second)


@pytest.mark.parametrize(
    ("moves", "previous"),
    [
        ([("publish", 1)], None),
        ([("publish", 1), ("publish", 2)], 1),
        ([("publish", 1), ("publish", 2), ("rollback", 1)], None),
        ([("publish", 1), ("publish", 2), ("publish", 3), ("rollback", 2)], 1),
        ([("publish", 1), ("publish", 2), ("rollback", 1), ("publish", 3)], 1),
        ([("publish", 1), ("publish", 3), ("promote", 2), ("rollback", 3)], 1),
        ([("publish", 1), ("promote", 1), ("promote", 1)], None),
    ],
)
def test_a_rollback_goes_to_what_was_named_before(moves: list[tuple[str, int]], previous: int | None) -> None:
    found = alias(*moves)
    assert found.previous_version() == previous
    assert read(found) == found


@pytest.mark.parametrize(
    "moves",
    [
        [("rollback", 1)],
        [("publish", 1), ("rollback", 1)],
        [("publish", 1), ("promote", 1), ("rollback", 1)],
        [("publish", 1), ("publish", 2), ("rollback", 2)],
        [("publish", 1), ("publish", 2), ("publish", 3), ("rollback", 1)],
    ],
)
def test_a_history_that_contradicts_itself_is_refused(moves: list[tuple[str, int]]) -> None:
    with pytest.raises(ManifestError, match=r"alias\.history: expected moves that lead to version"):
        read(alias(*moves))


MOVE = {"action": "publish", "version": 1, "at": "now", "id": "x"}


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("schema", 3, "schema: expected 1 or 2"),
        ("alias", "Live", "alias: expected an alias's name"),
        ("alias", "", "alias: expected a string"),
        ("version", 9, "version: expected 1, the manifest's"),
        ("version", 0, "version: expected an integer from 1"),
        ("history", [], "history: expected moves that lead to version 1"),
        ("history", [{**MOVE, "action": "steal"}], "history[0].action: expected one of publish, promote, rollback"),
        ("history", [{**MOVE, "version": 0}], "history[0].version: expected an integer from 1"),
        ("history", [{**MOVE, "at": ""}], "history[0].at: expected a string"),
        ("history", [{**MOVE, "id": 1}], "history[0].id: expected a string"),
        ("history", [{**MOVE, "weight": "1"}], "history[0].weight: expected a number"),
        ("manifest", {**MANIFEST.to_document(), "schema": 3}, "manifest.schema: expected 1 or 2"),
    ],
)
def test_a_malformed_field_is_refused_and_named(field: str, value: Any, words: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read(alias(("publish", 1)), **{field: value})
    assert str(caught.value).startswith(f"alias.{words}")


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (1, ": expected a JSON object, got 1"),
        ({"weight": 0, "manifest": MANIFEST.to_document()}, ".weight: expected a number above 0 and up to 1, got 0"),
        ({"weight": 1.5, "manifest": MANIFEST.to_document()}, ".weight: expected a number above 0 and up to 1"),
        ({"weight": True, "manifest": MANIFEST.to_document()}, ".weight: expected a number, got True"),
        ({"weight": 0.5}, ": the field 'manifest' is missing"),
        ({"weight": 0.5, "manifest": replace(MANIFEST, model="other").to_document()}, ".manifest: expected a version"),
    ],
)
@pytest.mark.parametrize("field", ["canary", "shadow"])
def test_a_share_that_breaks_the_contract_is_refused(field: str, share: Any, words: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read(alias(("publish", 1)), **{field: share})
    assert str(caught.value).startswith(f"alias.{field}{words}")


def test_a_canary_and_a_shadow_are_kept_until_the_alias_moves() -> None:
    second, third = replace(MANIFEST, version=2), replace(MANIFEST, version=3)
    moves = Move(CANARY, 2, "later", "a", 0.25), Move(SHADOW, 3, "later", "b", 1.0), Move(CANARY, 2, "last", "c", 0.0)
    first = alias(("publish", 1))
    shared = first.shared(moves[0], second).shared(moves[1], third)
    assert (shared.canary, shared.shadow, shared.manifest) == (Share(second, 0.25), Share(third, 1.0), MANIFEST)
    assert read(shared) == shared
    ended = shared.shared(moves[2], second)
    assert (ended.canary, ended.shadow) == (None, Share(third, 1.0))
    assert ended.history == (*first.history, *moves)
    move = Move(PROMOTE, 3, "last", "d")
    assert ended.moved(move, third) == Alias("live", third, (*ended.history, move))
    assert ended.previous_version() is None, "a share is no move of the alias"


def test_an_alias_of_before_there_were_shares_is_read() -> None:
    document = unsealed(alias(("publish", 1)))
    del document["canary"], document["shadow"], document["history"][0]["weight"]
    del document["earlier"], document["dropped"]
    document["schema"] = 1
    assert Alias.from_json(orjson.dumps(document), "alias") == alias(("publish", 1))


def test_no_flipped_bit_of_an_alias_or_a_manifest_gives_another_answer() -> None:
    named = replace(MANIFEST, metrics={"accuracy": 0.98, "loss": 3e-05})
    found = Alias("live", named, (Move("publish", 1, "now", "a"),), Share(named, 0.5), None)
    for data, parse, original in (
        (found.to_json(), Alias.from_json, found),
        (named.to_json(), Manifest.from_json, named),
    ):
        refused = 0
        for flipped in every_flip(data):
            try:
                assert parse(flipped, "place") == original
            except ManifestError:
                refused += 1
        assert refused > 8 * len(data) * 0.99


def moved_often(count: int) -> Alias:
    """Return an alias that was promoted to versions 1, 2, 3, 1, 2, 3 ... as the registry moves it."""
    found = alias(("publish", 1))
    for number in range(2, count + 1):
        version = (number - 1) % 3 + 1
        found = found.moved(Move(PROMOTE, version, "now", f"id{number}"), replace(MANIFEST, version=version))
    return found


def test_an_alias_keeps_its_last_moves_and_what_a_rollback_needs() -> None:
    for count in (MAX_MOVES - 1, MAX_MOVES, MAX_MOVES + 1, 250):
        found = moved_often(count)
        assert read(found) == found
        assert len(found.history) == min(count, MAX_MOVES)
        assert found.dropped == count - len(found.history)
        assert found.history[-1].id == f"id{count}"
        assert found.previous_version() == (count - 2) % 3 + 1


def test_it_does_not_grow_with_its_moves() -> None:
    """The numbers of its moves are of another length, and nothing else is."""
    assert len(moved_often(1000).to_json()) - len(moved_often(MAX_MOVES * 2 + 1).to_json()) < 300


def test_rollbacks_go_back_over_what_was_dropped_one_version_each() -> None:
    found = moved_often(350)
    back = 0
    while (version := found.previous_version()) is not None:
        assert version == (350 - back - 2) % 3 + 1
        found = found.moved(Move("rollback", version, "now", f"back{back}"), replace(MANIFEST, version=version))
        assert read(found) == found
        assert len(found.history) <= MAX_MOVES
        back += 1
    assert MAX_MOVES <= back <= 2 * MAX_MOVES
    again = found.moved(Move(PROMOTE, 9, "now", "on"), replace(MANIFEST, version=9))
    assert again.previous_version() == found.manifest.version


def test_a_share_is_a_move_that_drops_another() -> None:
    found = moved_often(MAX_MOVES).shared(Move(CANARY, 2, "now", "c", 0.5), replace(MANIFEST, version=2))
    assert (len(found.history), found.dropped, found.earlier) == (MAX_MOVES, 1, (1,))
    assert found.previous_version() == (MAX_MOVES - 2) % 3 + 1
    moved = found.moved(Move(PROMOTE, 2, "now", "d"), replace(MANIFEST, version=2))
    assert (moved.dropped, moved.earlier, moved.canary) == (2, (1, 2), None)


def test_an_earlier_state_is_known_as_far_as_both_keep_the_same_moves() -> None:
    states = {count: moved_often(count) for count in (1, 150, 200, 240, 400)}
    for earlier, first in states.items():
        for later, second in states.items():
            assert first.is_before(second) == (earlier < later), (earlier, later)
    other = states[240]
    others = replace(other, history=(*other.history[:-1], replace(other.history[-1], id="another")))
    assert not states[240].is_before(others.moved(Move(PROMOTE, 1, "now", "x"), MANIFEST))
    assert states[200].is_before(others), "the move that differs came later"


def test_an_alias_of_before_histories_were_shortened_is_read_whole_and_written_short() -> None:
    moves = tuple(Move(PROMOTE, number % 2 + 1, "now", f"id{number}") for number in range(1000))
    whole = Alias("live", replace(MANIFEST, version=2), moves)
    document = {**unsealed(whole), "schema": 1}
    del document["earlier"], document["dropped"]
    found = Alias.from_json(orjson.dumps(document), "alias")
    assert found == whole
    written = found.moved(Move(PROMOTE, 1, "now", "last"), MANIFEST)
    assert (len(written.history), written.dropped) == (MAX_MOVES, 901)
    assert (written.previous_version(), read(written)) == (2, written)
    assert found.is_before(written)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("earlier", [0], "earlier: expected a list of integers from 1"),
        ("earlier", None, "earlier: expected a list"),
        ("dropped", -1, "dropped: expected an integer from 0"),
    ],
)
def test_what_a_rollback_needs_is_refused_where_it_is_malformed(field: str, value: Any, words: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read(alias(("publish", 1)), **{field: value})
    assert str(caught.value).startswith(f"alias.{words}")


@pytest.mark.large
def test_an_alias_holds_three_of_the_largest_manifests() -> None:
    large = replace(MANIFEST, metrics={"x" * (MAX_DOCUMENT_BYTES - len(MANIFEST.to_json()) - 4): 1})
    assert len(large.to_json()) == MAX_DOCUMENT_BYTES
    versions = [replace(large, version=version) for version in (1, 2, 3)]
    found = replace(moved_often(MAX_MOVES), manifest=versions[0])
    found = replace(found, canary=Share(versions[1], 0.5), shadow=Share(versions[2], 1.0))
    assert read(found) == found
    data = found.to_json()
    assert Alias.from_json(data, "alias", len(data)) == found
    with pytest.raises(ManifestError, match=f"alias: expected at most {len(data) - 1} bytes"):
        Alias.from_json(data, "alias", len(data) - 1)
    larger = replace(large, metrics={"x" * MAX_STATE_BYTES: 1})
    with pytest.raises(ManifestError, match=r"expected at most .* bytes, got .*: end its canary or its shadow"):
        replace(found, canary=Share(larger, 0.5)).to_json()
    with pytest.raises(ManifestError, match=r"expected at most .* bytes, got .*: give the model fewer or shorter"):
        larger.to_json()
