import copy
import re
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxlet.contract.alias import Alias, Move
from onnxlet.contract.artifact import ORT, Artifact
from onnxlet.contract.blob import Runtime
from onnxlet.contract.document import MAX_DOCUMENT_BYTES
from onnxlet.contract.generation import ImageGeneration, TextGeneration
from onnxlet.contract.manifest import MAX_TENSORS, Crash, Manifest
from onnxlet.contract.tensors import DATATYPES, TensorSpec
from onnxlet.errors import ManifestError
from onnxlet.record import replace
from tests.helpers.damage import resealed
from tests.helpers.manifests import MANIFEST

DOCUMENT: dict[str, Any] = MANIFEST.to_document()


def read(document: Any) -> Manifest:
    return Manifest.from_json(resealed(document), "manifest")


def test_a_manifest_survives_being_written_and_read() -> None:
    assert read(DOCUMENT) == MANIFEST


@pytest.mark.parametrize(("output", "expected"), [(None, "output"), ("output", "output"), ("free", "free")])
def test_labels_belong_to_the_output_that_is_named_else_to_the_first(output: str | None, expected: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    document["classification"]["output"] = output
    assert read(document).class_output() == expected
    assert read(document).to_document()["classification"]["output"] == output


def test_a_classification_that_names_no_output_is_read_as_it_was_written() -> None:
    document = copy.deepcopy(DOCUMENT)
    del document["classification"]["output"]
    assert read(document) == MANIFEST
    assert replace(read(document), classification=None).class_output() == "output"


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


def test_crashes_survive_being_written_and_read_and_are_absent_where_there_are_none() -> None:
    found = (Crash("Div", "node 1", "SIGFPE where a is -1"), Crash("STFT", None, "no end"))
    manifest = replace(MANIFEST, crashes=found)
    assert read(orjson.loads(manifest.to_json())) == manifest
    assert "crashes" not in DOCUMENT
    assert read({**DOCUMENT, "crashes": None}).crashes == ()


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


def tensors(count: int) -> list[dict[str, Any]]:
    return [{"name": f"x{index}", "datatype": "FP32", "shape": [1]} for index in range(count)]


@pytest.mark.parametrize("schema", [0, 3, "1", None, True, 1.5])
def test_another_schema_is_refused(schema: Any) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.schema: expected 1 or 2"):
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


TEXT = "a string of 1 to 1024 characters"
TENSORS = "1 to 256 tensors with different names"
SHAPE = "at most 16 sizes or names"
SIDE = "an integer from 1 to 4096"


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("model", "../digits", "a model's name"),
        ("model", "", TEXT),
        ("model", 3, TEXT),
        ("version", 0, "an integer from 1 to 999999999"),
        ("version", "3", "an integer from 1 to 999999999"),
        ("version", True, "an integer from 1 to 999999999"),
        ("version", 10**9, "an integer from 1 to 999999999"),
        ("inputs", [], TENSORS),
        ("inputs", {}, "a list"),
        ("inputs.0", 1, "a JSON object"),
        ("inputs", DOCUMENT["inputs"] * 2, TENSORS),
        ("inputs", tensors(MAX_TENSORS + 1), TENSORS),
        ("inputs.0.name", "", TEXT),
        ("inputs.0.datatype", "FLOAT", "one of BOOL, UINT8, .*, FP64, BYTES"),
        ("inputs.0.shape", 3, "a list"),
        ("inputs.0.shape", [-1], SHAPE),
        ("inputs.0.shape", [2**31 + 1], SHAPE),
        ("inputs.0.shape", [True], SHAPE),
        ("inputs.0.shape", [1.5], SHAPE),
        ("inputs.0.shape", [""], SHAPE),
        ("inputs.0.shape", ["x" * 257], SHAPE),
        ("inputs.0.shape", [1] * 17, SHAPE),
        ("outputs", None, "a list"),
        ("artifacts", [], "one with the role model"),
        ("artifacts", DOCUMENT["artifacts"][:1], "one with the role preprocess"),
        ("artifacts", DOCUMENT["artifacts"][:2], "one with the role postprocess"),
        ("artifacts.0.role", "shell", "one of model, preprocess, postprocess, tokenizer, golden, example"),
        ("artifacts.0.sha256", "../../etc/passwd", "64 hexadecimal digits"),
        ("artifacts.0.sha256", "AB" * 32, "64 hexadecimal digits"),
        ("artifacts.0.size_bytes", 0, "an integer from 1 to 2147483648"),
        ("artifacts.0.size_bytes", 2**31 + 1, "an integer from 1 to 2147483648"),
        ("artifacts.0.variant", "", "a string of 1 to 63 characters"),
        ("artifacts.0.variant", "x" * 64, "a string of 1 to 63 characters"),
        ("preprocess", 1, "a JSON object"),
        ("preprocess.height", 0, SIDE),
        ("preprocess.height", 4097, SIDE),
        ("preprocess.width", 0, SIDE),
        ("preprocess.width", 4097, SIDE),
        ("preprocess.channels", 0, "an integer from 1 to 3"),
        ("preprocess.channels", 2, "1 or 3"),
        ("preprocess.layout", "HWC", "one of NHWC, NCHW"),
        ("preprocess.scale", "1", "a number"),
        ("preprocess.mean", [1, 2], "a list of 1 numbers"),
        ("preprocess.std", [0], "numbers other than 0"),
        ("classification", 1, "a JSON object"),
        ("classification.labels", [], "at least one label"),
        ("classification.labels", [1], "a list of strings"),
        ("classification.activation", "relu", "one of none, softmax, sigmoid"),
        ("classification.output", "other", "one of the outputs output, free"),
        ("classification.output", 1, TEXT),
        ("generation", 1, "a JSON object"),
        ("metrics", {"accuracy": "high"}, "an object of numbers"),
        ("crashes", {"operator": "Div"}, "a list"),
        ("provenance", None, "a JSON object"),
        ("provenance.created_at", "", TEXT),
        ("provenance.source", 1, TEXT),
        ("provenance.publication", "", TEXT),
        ("provenance.data_sha256", "", TEXT),
        ("provenance.seed", -1, f"an integer from 0 to {2**53}"),
        ("provenance.frameworks", {"keras": 3}, "an object of strings"),
        ("provenance.git_revision", 1, TEXT),
    ],
)
def test_a_malformed_field_is_refused_and_named(path: str, value: Any, expected: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    at(path, value)(document)
    with pytest.raises(ManifestError) as caught:
        read(document)
    place = re.sub(r"\.(\d+)", r"[\1]", path)
    assert re.match(rf"manifest\.{re.escape(place)}: expected {expected}, got ", str(caught.value)), caught.value
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("version", 999_999_999),
        ("inputs", tensors(MAX_TENSORS)),
        ("inputs.0.name", "x" * 1024),
        ("inputs.0.shape", [1] * 16),
        ("inputs.0.shape", [0, 2**31, "x" * 256, "?"]),
        ("artifacts.0.size_bytes", 2**31),
        ("artifacts.0.variant", "x" * 63),
        ("preprocess.height", 4096),
        ("preprocess.width", 4096),
        ("provenance.seed", 0),
    ],
)
def test_what_reaches_a_bound_and_not_over_it_is_taken(path: str, value: Any) -> None:
    document = copy.deepcopy(DOCUMENT)
    at(path, value)(document)
    written = replace(read(document)).to_document()  # not the one that was read, which a manifest keeps
    assert orjson.loads(orjson.dumps(written)) == orjson.loads(orjson.dumps(document))


TEXTS = replace(
    MANIFEST,
    inputs=(*MANIFEST.inputs, TensorSpec("state", DATATYPES["FP32"], (1,))),
    generation=TextGeneration(("a", "b"), "input", "index", "output", {"state": "free"}),
)
IMAGES = replace(MANIFEST, generation=ImageGeneration("input", "output"))


@pytest.mark.parametrize("manifest", [TEXTS, IMAGES])
def test_what_a_model_generates_survives_too(manifest: Manifest) -> None:
    assert read(orjson.loads(manifest.to_json())) == manifest


@pytest.mark.parametrize(
    ("manifest", "field", "value", "expected"),
    [
        (TEXTS, "token", "other", "the inputs input, state"),
        (TEXTS, "state", {}, "the inputs input, state"),
        (TEXTS, "scores", "other", "outputs of output, free"),
        (IMAGES, "latent", "other", "the inputs input"),
        (IMAGES, "images", "other", "outputs of output, free"),
    ],
)
def test_a_generation_that_is_not_of_the_models_tensors_is_refused(
    manifest: Manifest, field: str, value: object, expected: str
) -> None:
    document = copy.deepcopy(manifest.to_document())
    document["generation"][field] = value
    with pytest.raises(ManifestError, match=rf"manifest\.generation: expected {expected}, got"):
        read(document)


def test_images_are_generated_only_with_the_graph_that_makes_pixels() -> None:
    texts, images = (
        replace(each, preprocess=None, classification=None, artifacts=MANIFEST.artifacts[:1])
        for each in (TEXTS, IMAGES)
    )
    assert read(orjson.loads(texts.to_json())) == texts
    with pytest.raises(ManifestError, match=r"manifest\.artifacts: expected one with the role postprocess"):
        read(orjson.loads(images.to_json()))


def test_what_runs_faster_here_is_chosen_first_and_unchecked_layouts_never() -> None:
    here = Runtime("1.31.1", "x86_64")
    portable, preprocess, postprocess = MANIFEST.artifacts
    optimised = replace(portable, format=ORT, runtime=here.version)
    laid_out = replace(optimised, cpu=here.cpu)
    elsewhere = replace(laid_out, cpu="aarch64")
    golden = Artifact("golden", "fp32", "cd" * 32, 5, "json")
    manifest = replace(MANIFEST, artifacts=(*MANIFEST.artifacts, optimised, elsewhere, laid_out, golden))
    assert manifest.choices("model", runtime=here) == [laid_out, optimised, portable]
    assert manifest.best(runtime=here) == [laid_out, preprocess, postprocess, golden]
    assert manifest.best() == [portable, preprocess, postprocess]
    without = replace(manifest, artifacts=manifest.artifacts[:-1])
    assert without.choices("model", runtime=here) == [optimised, portable]


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
ALIAS_DOCUMENT: dict[str, Any] = orjson.loads(ALIAS.to_json())


@given(st.sampled_from(places(ALIAS_DOCUMENT)[1:]), JSON)
def test_hostile_documents_are_read_or_refused_but_never_crash(place: tuple[Any, ...], value: Any) -> None:
    document = copy.deepcopy(ALIAS_DOCUMENT)
    parent: Any = document
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    try:
        alias = Alias.from_json(resealed(document), "alias")
    except ManifestError:
        return
    assert Alias.from_json(alias.to_json(), "alias") == alias
