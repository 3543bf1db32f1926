import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from onnxlet import session
from onnxlet.contract.artifact import ORT
from onnxlet.contract.declarations import Classification, ImagePreprocess
from onnxlet.contract.golden import MAX_BYTES, Golden
from onnxlet.contract.tasks.pictures import ImageFeatures
from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.errors import ArtifactError, InvalidNameError, OnnxletError
from onnxlet.models.loading import load
from onnxlet.record import replace as replace_fields
from onnxlet.registry.registry import Registry
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.errors import ModelError
from onnxlet_publishing.gate import check, check_size
from onnxlet_publishing.optimize import GraphForm, optimize
from onnxlet_publishing.publish import publish
from tests.helpers import graphs


def refused(registry: Registry, candidate: Candidate, match: str) -> None:
    with pytest.raises((ArtifactError, InvalidNameError, ModelError), match=match):
        publish(registry, candidate)
    assert registry.store.children("") == [], "nothing may be uploaded"


def test_a_graph_that_the_runtime_cannot_load_is_refused(registry: Registry, candidate: Candidate) -> None:
    model = onnx.load_from_string(candidate.model.data)
    model.graph.node[1].op_type = "NoSuchOperator"
    broken = replace(candidate.model, data=model.SerializeToString())
    refused(registry, replace(candidate, model=broken), "NoSuchOperator")


def test_an_opset_of_the_future_is_refused(registry: Registry, candidate: Candidate) -> None:
    model = onnx.load_from_string(candidate.model.data)
    model.opset_import[0].version = 999
    future = replace(candidate.model, data=model.SerializeToString())
    refused(registry, replace(candidate, model=future), "999")


def test_images_of_another_size_than_the_input_are_refused(registry: Registry, candidate: Candidate) -> None:
    refused(registry, replace(candidate, preprocess=ImagePreprocess(5, 5, 1)), "does not answer its example")


def test_labels_that_do_not_fit_the_output_are_refused(registry: Registry, candidate: Candidate) -> None:
    refused(registry, replace(candidate, classification=Classification(("a", "b"))), r"for 2 labels, got FP32")


def test_an_impossible_name_is_refused(registry: Registry, candidate: Candidate) -> None:
    refused(registry, replace(candidate, name="../other"), "model name")


def test_a_generator_is_tried_before_it_is_published() -> None:
    for good in (graphs.char_candidate(), graphs.char_candidate("one_hot"), graphs.generator_candidate()):
        check(good)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vocabulary": tuple("abcdef")}, "expected 6 finite scores"),
        ({"encoding": "one_hot"}, "does not generate"),
        ({"state": {}}, "expected the inputs token, state"),
        ({"scores": "nope"}, "expected outputs of scores, next_state"),
        ({"vocabulary": ("a", "a")}, "different single characters"),
    ],
)
def test_a_generator_that_does_not_fit_its_declaration_is_refused(changes: dict[str, Any], words: str) -> None:
    candidate = graphs.char_candidate()
    assert candidate.generation is not None
    with pytest.raises((OnnxletError, ModelError), match=words):
        check(replace(candidate, generation=replace_fields(candidate.generation, **changes)))


def test_a_graph_that_no_function_can_load_is_refused(candidate: Candidate) -> None:
    check_size(candidate, len(candidate.model.data))
    with pytest.raises(ModelError, match="that a function can load"):
        check_size(candidate, len(candidate.model.data) - 1)


def convolution(side: int | str) -> onnx.ModelProto:
    """A convolution of pictures of one size, as exporters of segmenters and detectors write them, or of any size."""
    weights = {"w": np.random.default_rng(0).normal(size=(3, 3, 3, 3)).astype(np.float32)}
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])]
    shape: list[int | str] = [1, 3, side, side]
    return graphs.model(nodes, [("x", TensorProto.FLOAT, shape)], [("y", TensorProto.FLOAT, shape)], weights)


def test_every_document_of_a_large_model_is_one_that_functions_read(registry: Registry) -> None:
    """Its example, stored whole, would be larger than any document may be."""
    manifest = publish(registry, graphs.candidate("large", convolution(600)))
    golden = registry.golden(registry.resolve("large"))
    assert golden is not None
    assert manifest.artifact("golden").size_bytes <= MAX_BYTES  # type: ignore[union-attr]
    assert golden.inputs["x"].shape == golden.samples["y"].shape == (1, 3, 600, 600)
    assert load(registry, manifest, threads=1).difference(golden) < 1e-4


@pytest.mark.parametrize("side", [600, "side"])
def test_a_model_of_pictures_too_large_to_store_has_an_example_of_repeated_numbers(
    registry: Registry, side: int | str
) -> None:
    candidate = replace(
        graphs.candidate("vectors", convolution(side)),
        preprocess=ImagePreprocess(600, 600, 3, layout="NCHW"),
        task=ImageFeatures("image-feature-extraction", ("y",), pooling="mean"),
    )
    manifest = publish(registry, candidate)
    golden = registry.golden(manifest)
    assert golden is not None
    assert load(registry, manifest, threads=1).difference(golden) < 1e-4


def test_an_example_of_the_framework_that_is_too_large_is_compared_and_then_replaced(registry: Registry) -> None:
    plain = graphs.candidate("large", convolution(600))
    data = np.random.default_rng(5).random((1, 3, 600, 600), np.float32)
    inputs = {"x": Tensor(DATATYPES["FP32"], data.shape, memoryview(data.tobytes()))}
    right = check(plain).run(inputs)
    publish(registry, replace(plain, golden=Golden(inputs, right)))
    golden = registry.golden(registry.resolve("large"))
    assert golden is not None
    assert golden.inputs != inputs
    with pytest.raises(ModelError, match="answer to the golden inputs is"):
        publish(registry, replace(plain, golden=Golden(inputs, {"y": inputs["x"]}), publication="wrong"))
    assert registry.versions("large") == [1]


def test_the_finished_candidate_is_checked_with_all_its_forms(candidate: Candidate) -> None:
    form = GraphForm("model", "fp32", b"no form", ORT)
    with pytest.raises(ArtifactError, match="cannot load the graph"):
        check(replace(candidate, optimized=(form,)))
    checked = GraphForm(
        "model",
        "fp32",
        optimize(GraphForm("model", "fp32", candidate.model.data), None)[0].data,
        ORT,
        session.cpu_class(),
    )
    other = Golden({"x": Tensor(DATATYPES["FP32"], (1, 4, 4, 1), memoryview(bytes(64)))}, {})
    with pytest.raises(ArtifactError, match="no output of its model can be compared"):
        check(replace(candidate, optimized=(checked,), golden=other))


def test_a_crash_of_the_model_is_published_and_said(registry: Registry, caplog: pytest.LogCaptureFixture) -> None:
    """It would die on zeros: neither the gate nor a function that loads ahead may give it any."""
    manifest = publish(registry, graphs.candidate("fragile", graphs.dies_on_zero()))
    assert [(crash.operator, crash.node) for crash in manifest.crashes] == [("Div", "quotient")]
    assert registry.resolve("fragile").crashes == manifest.crashes
    assert 'fragile.onnx: Div (node "quotient") ends the process: SIGFPE if x is INT64 [1] of 0' in caplog.text
    golden = registry.golden(manifest)
    assert golden is not None
    assert bytes(golden.inputs["x"].buffer) == (16_000).to_bytes(8, "little")


def test_a_model_that_dies_on_zeros_is_loaded_ahead(registry: Registry) -> None:
    publish(registry, graphs.candidate("fragile", graphs.dies_on_zero()))
    code = f"""
from onnxlet.models.cache import Models
from onnxlet.record import replace as replace_fields
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
registry = Registry(open_store({registry.store.url!r}))
print(Models(registry, threads=1).get(registry.resolve("fragile"), is_ahead=True).manifest.crashes[0].operator)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "Div\n")


def test_a_model_that_runs_on_nothing_made_up_is_published_and_said_to_have_no_example(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    nodes = [helper.make_node("Gather", ["table", "index"], ["row"])]
    weights = {"table": np.zeros((0, 2), np.float32)}
    outputs: list[graphs.Value] = [("row", TensorProto.FLOAT, ["n", 2])]
    proto = graphs.model(nodes, [("index", TensorProto.INT64, ["n"])], outputs, weights)
    assert registry.golden(publish(registry, graphs.candidate("never", proto))) is None
    assert (
        "never.onnx: no golden example, with which others could check its answers: the model runs on none"
        in caplog.text
    )
