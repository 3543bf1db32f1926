import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxlet.contract.alias import Alias, Move
from onnxlet.contract.artifact import Artifact
from onnxlet.contract.document import MAX_DOCUMENT_BYTES
from onnxlet.contract.manifest import Classification, ImagePreprocess, Manifest, Provenance
from onnxlet.contract.tensors import DATATYPES, TensorSpec
from onnxlet.errors import ManifestError

MANIFEST = Manifest(
    model="digits",
    version=3,
    inputs=(TensorSpec("input", DATATYPES["FP32"], ("batch", 28, 28, 1)),),
    outputs=(TensorSpec("output", DATATYPES["FP32"], ("batch", 2)), TensorSpec("free", DATATYPES["BYTES"], None)),
    artifacts=tuple(Artifact(role, "fp32", "ab" * 32, 10) for role in ("model", "preprocess", "postprocess")),
    provenance=Provenance("2026-01-01T00:00:00+00:00", "recipe:digits", "ff", "aa", 7, {"keras": "3"}, "abc"),
    preprocess=ImagePreprocess(28, 28, 1, mean=(0.5,)),
    classification=Classification(("yes", "no"), "softmax"),
    metrics={"accuracy": 0.98},
)
DOCUMENT: dict[str, Any] = MANIFEST.to_document()


def read(document: Any) -> Manifest:
    return Manifest.from_json(orjson.dumps(document), "manifest")


def test_a_manifest_survives_being_written_and_read() -> None:
    assert read(DOCUMENT) == MANIFEST


def test_optional_parts_may_be_absent_or_null() -> None:
    for removed in (False, True):
        document = copy.deepcopy(DOCUMENT)
        for field in ("preprocess", "classification"):
            document[field] = None
            if removed:
                del document[field]
        document["artifacts"] = document["artifacts"][:1]
        manifest = read(document)
        assert (manifest.preprocess, manifest.classification) == (None, None)


def test_a_variant_is_found_where_there_is_one_and_the_first_elsewhere() -> None:
    int8 = Artifact("model", "int8", "cd" * 32, 5)
    manifest = replace(MANIFEST, artifacts=(*MANIFEST.artifacts, int8))
    assert read(orjson.loads(manifest.to_json())) == manifest
    assert manifest.artifact("model", "int8") == int8
    first, preprocess, _ = MANIFEST.artifacts
    assert [manifest.artifact("model", variant) for variant in (None, "fp32", "student")] == [first] * 3
    assert manifest.artifact("preprocess", "int8") == preprocess
    assert replace(MANIFEST, artifacts=(first,)).artifact("preprocess", "int8") is None


def test_a_field_that_nobody_knows_yet_is_ignored() -> None:
    assert read({**DOCUMENT, "from_the_future": 1}) == MANIFEST


@pytest.mark.parametrize("schema", [0, 2, "1", None, True, 1.5])
def test_another_schema_is_refused(schema: Any) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.schema: expected 1"):
        read({**DOCUMENT, "schema": schema})


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(ManifestError, match="manifest: expected"):
        Manifest.from_json(data, "manifest")


def test_a_document_of_any_size_is_not_parsed() -> None:
    with pytest.raises(ManifestError, match="at most"):
        Manifest.from_json(b" " * (MAX_DOCUMENT_BYTES + 1), "manifest")


def at(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change that puts `value` at a dotted path."""

    def change(document: dict[str, Any]) -> None:
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        place: Any = document
        for part in parents:
            place = place[part]
        place[last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model", "../digits"),
        ("model", ""),
        ("model", 3),
        ("version", 0),
        ("version", -1),
        ("version", "3"),
        ("version", True),
        ("version", 10**12),
        ("inputs", []),
        ("inputs", {}),
        ("inputs", [1]),
        ("inputs", DOCUMENT["inputs"] * 2),
        ("inputs", DOCUMENT["inputs"] * 10_000),
        ("inputs.0.name", ""),
        ("inputs.0.datatype", "FLOAT"),
        ("inputs.0.shape", 3),
        ("inputs.0.shape", [-1]),
        ("inputs.0.shape", [True]),
        ("inputs.0.shape", [1.5]),
        ("inputs.0.shape", [1] * 100),
        ("outputs", None),
        ("artifacts", []),
        ("artifacts.0.role", "shell"),
        ("artifacts.0.sha256", "../../etc/passwd"),
        ("artifacts.0.sha256", "AB" * 32),
        ("artifacts.0.size_bytes", 0),
        ("artifacts.0.size_bytes", 2**40),
        ("artifacts.0.variant", ""),
        ("artifacts.1.role", "model"),
        ("preprocess.height", 0),
        ("preprocess.width", 10**6),
        ("preprocess.channels", 2),
        ("preprocess.layout", "HWC"),
        ("preprocess.scale", "1"),
        ("preprocess.mean", [1, 2]),
        ("preprocess.std", [0]),
        ("classification.labels", []),
        ("classification.labels", [1]),
        ("classification.activation", "relu"),
        ("metrics", {"accuracy": "high"}),
        ("provenance", None),
        ("provenance.created_at", ""),
        ("provenance.seed", -1),
        ("provenance.frameworks", {"keras": 3}),
    ],
)
def test_a_malformed_field_is_refused_and_named(path: str, value: Any) -> None:
    document = copy.deepcopy(DOCUMENT)
    at(path, value)(document)
    with pytest.raises(ManifestError) as caught:
        read(document)
    assert path.partition(".")[0] in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("field", ["model", "version", "inputs", "outputs", "artifacts", "provenance"])
def test_a_missing_field_is_refused_and_named(field: str) -> None:
    document = {name: value for name, value in DOCUMENT.items() if name != field}
    with pytest.raises(ManifestError, match=f"manifest: the field '{field}' is missing"):
        read(document)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything inside a document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in inside for place in places(child, (*path, key)))]


ALIAS = Alias("live", MANIFEST, (Move("publish", 3, "2026-01-01", "aa"),))
ALIAS_DOCUMENT: dict[str, Any] = {**orjson.loads(ALIAS.to_json()), "digest": None}


@given(st.sampled_from(places(ALIAS_DOCUMENT)[1:]), JSON)
def test_hostile_documents_are_read_or_refused_but_never_crash(place: tuple[Any, ...], value: Any) -> None:
    document = copy.deepcopy(ALIAS_DOCUMENT)
    parent: Any = document
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    try:
        alias = Alias.from_json(orjson.dumps(document), "alias")
    except ManifestError:
        return
    assert Alias.from_json(alias.to_json(), "alias") == alias
