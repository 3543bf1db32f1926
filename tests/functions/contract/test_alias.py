from dataclasses import replace
from typing import Any

import orjson
import pytest

from onnxlet.contract.alias import Alias, Move
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


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", 2),
        ("alias", "Live"),
        ("version", 9),
        ("history", []),
        ("history", [{"action": "steal", "version": 1, "at": "now", "id": "x"}]),
        ("manifest", {**MANIFEST.to_document(), "schema": 2}),
    ],
)
def test_a_malformed_field_is_refused_and_named(field: str, value: Any) -> None:
    with pytest.raises(ManifestError, match=rf"alias\.{field}"):
        read(alias(("publish", 1)), **{field: value})


@pytest.mark.parametrize(
    "share",
    [
        1,
        {"weight": 0, "manifest": MANIFEST.to_document()},
        {"weight": 1.5, "manifest": MANIFEST.to_document()},
        {"weight": True, "manifest": MANIFEST.to_document()},
        {"weight": 0.5},
        {"weight": 0.5, "manifest": replace(MANIFEST, model="other").to_document()},
    ],
)
@pytest.mark.parametrize("field", ["canary", "shadow"])
def test_a_share_that_breaks_the_contract_is_refused(field: str, share: Any) -> None:
    with pytest.raises(ManifestError, match=field):
        read(alias(("publish", 1)), **{field: share})


def test_an_alias_of_before_there_were_shares_is_read() -> None:
    document = unsealed(alias(("publish", 1)))
    del document["canary"], document["shadow"], document["history"][0]["weight"]
    assert Alias.from_json(orjson.dumps(document), "alias") == alias(("publish", 1))
