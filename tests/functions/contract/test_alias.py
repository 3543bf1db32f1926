from dataclasses import replace
from typing import Any

import orjson
import pytest

from onnxlet.contract.alias import CANARY, PROMOTE, SHADOW, Alias, Move, Share
from onnxlet.contract.artifact import Artifact
from onnxlet.contract.manifest import Manifest, Provenance
from onnxlet.contract.tensors import DATATYPES, TensorSpec
from onnxlet.errors import ManifestError

TENSOR = (TensorSpec("x", DATATYPES["FP32"], (1,)),)
MANIFEST = Manifest("m", 1, TENSOR, TENSOR, (Artifact("model", "fp32", "0" * 64, 1),), Provenance("now", "test", "id"))


def alias(*moves: tuple[str, int]) -> Alias:
    history = tuple(Move(action, version, "now", f"id{index}") for index, (action, version) in enumerate(moves))
    return Alias("live", replace(MANIFEST, version=moves[-1][1]), history)


def read(changed: Alias, **fields: Any) -> Alias:
    return Alias.from_json(orjson.dumps({**unsealed(changed), **fields}), "alias")


def unsealed(changed: Alias) -> dict[str, Any]:
    """The document without its digest, as older versions have written it: a field may be changed in it."""
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
        ("schema", 2, "schema: expected 1"),
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
        ("manifest", {**MANIFEST.to_document(), "schema": 2}, "manifest.schema: expected 1"),
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
    assert Alias.from_json(orjson.dumps(document), "alias") == alias(("publish", 1))
