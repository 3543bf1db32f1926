import dataclasses
import math
import uuid
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from onnxlet import session
from onnxlet.contract import layout
from onnxlet.contract.artifact import JSON, ORT, Artifact
from onnxlet.contract.document import MAX_DOCUMENT_BYTES
from onnxlet.contract.golden import Golden
from onnxlet.contract.json_tensors import to_values
from onnxlet.contract.tensors import DATATYPES, Tensor, TensorSpec, zeros
from onnxlet.errors import ArtifactError, InferenceError, InvalidTensorError
from onnxlet.models.loading import load
from onnxlet.models.model import Model
from onnxlet.record import replace
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_publishing.errors import ModelError
from onnxlet_publishing.optimize import GraphForm, optimize
from onnxlet_publishing.publish import publish
from tests.helpers import graphs
from tests.helpers.damage import damage


@pytest.fixture
def registry() -> Registry:
    return Registry(open_store(f"memory://{uuid.uuid4()}"))


@pytest.fixture
def digits(registry: Registry) -> Model:
    return load(registry, publish(registry, graphs.digits_candidate()), threads=1)


@pytest.fixture
def two(registry: Registry) -> Model:
    return load(registry, publish(registry, graphs.candidate("two", graphs.two_inputs())), threads=1)


def int32(*values: int) -> Tensor:
    return Tensor(DATATYPES["INT32"], (1, len(values)), memoryview(np.array(values, np.int32).tobytes()))


def images(count: int = 1, side_pixels: int = 40) -> Tensor:
    pixels = np.random.default_rng(0).integers(0, 256, (count, side_pixels, side_pixels, 1), np.uint8)
    return Tensor(DATATYPES["UINT8"], pixels.shape, memoryview(pixels.tobytes()))


class TestModel:
    def test_outputs_come_by_name_all_or_the_wanted(self, two: Model) -> None:
        inputs = {"a": int32(5, 7), "b": int32(1, 2)}
        assert {name: to_values(tensor) for name, tensor in two.run(inputs).items()} == {
            "sum": [6, 9],
            "difference": [4, 5],
        }
        assert list(two.run(inputs, ["difference"])) == ["difference"]
        assert list(two.run(inputs, ["sum", "sum"])) == ["sum"]

    def test_the_order_of_the_inputs_does_not_matter(self, two: Model) -> None:
        assert to_values(two.run({"b": int32(1, 2), "a": int32(5, 7)})["difference"]) == [4, 5]

    @pytest.mark.parametrize(
        ("inputs", "outputs", "words"),
        [
            ({}, None, 'input "a": expected INT32 (batch, 2), got nothing'),
            ({"a": int32(1, 2), "c": int32(1, 2)}, None, 'input "c": the model has no such input, expected a, b'),
            ({"a": int32(1, 2), "b": int32(1)}, None, 'input "b": expected INT32 (batch, 2), got INT32 (1, 1)'),
            ({"a": int32(1, 2), "b": int32(1, 2)}, ["x"], 'output "x": the model has no such output, expected sum'),
        ],
    )
    def test_what_the_model_does_not_declare_is_refused(
        self, two: Model, inputs: dict[str, Tensor], outputs: list[str] | None, words: str
    ) -> None:
        with pytest.raises(InvalidTensorError) as caught:
            two.run(inputs, outputs)
        assert words in str(caught.value)

    def test_many_images_are_classified_at_once_as_one_by_one(self, digits: Model) -> None:
        (output,) = digits.run(digits.to_inputs(images(3))).values()
        indices, probabilities = digits.classify(output, top_k=4)
        assert indices.shape == probabilities.shape == (3, 4)
        first = Tensor(DATATYPES["UINT8"], (1, 40, 40, 1), images(3).buffer[:1600])
        (alone,) = digits.run(digits.to_inputs(first)).values()
        assert to_values(digits.classify(alone, 4)[0]) == to_values(indices)[:4]

    def test_images_of_another_number_of_channels_are_refused(self, digits: Model) -> None:
        with pytest.raises(InferenceError):
            digits.to_inputs(Tensor(DATATYPES["UINT8"], (1, 2, 2, 3), memoryview(bytes(12))))

    @pytest.mark.parametrize("shape", [(0, 2, 2, 1), (1, 0, 2, 1), (1, 2, 0, 1), (1, 2, 2, 0)])
    def test_images_without_pixels_are_refused(self, digits: Model, shape: tuple[int, ...]) -> None:
        with pytest.raises(InvalidTensorError, match='input "images": expected UINT8'):
            digits.to_inputs(Tensor(DATATYPES["UINT8"], shape, memoryview(b"")))

    def test_an_output_without_rows_is_not_classified(self, digits: Model) -> None:
        """Whatever the model gives: the graphs behind it do not survive such tensors either."""
        for shape in ((0, 10), (1, 0)):
            with pytest.raises(InferenceError, match="expected an output of the model with at least one element"):
                digits.classify(Tensor(DATATYPES["FP32"], shape, memoryview(b"")), 1)

    def test_an_output_without_pixels_becomes_no_image(self, registry: Registry) -> None:
        generator = load(registry, publish(registry, graphs.generator_candidate()), threads=1)
        with pytest.raises(InferenceError, match="expected an output of the model with at least one element"):
            generator.to_pixels(Tensor(DATATYPES["FP32"], (0, 4, 6, 1), memoryview(b"")))

    def test_a_model_without_declarations_takes_tensors_alone(self, two: Model) -> None:
        with pytest.raises(InferenceError, match='model "two" has no image preprocessing'):
            two.to_inputs(images())
        with pytest.raises(InferenceError, match='model "two" has no labels'):
            two.classify(int32(1, 2), 1)


class TestGolden:
    @pytest.mark.parametrize(
        ("expected", "difference"),
        [((6, 9), 0.0), ((6, 10), 0.1), ((7, 9), 1 / 7), ((6,), math.inf)],
    )
    def test_an_answer_is_held_against_what_it_must_be(
        self, two: Model, expected: tuple[int, ...], difference: float
    ) -> None:
        golden = Golden({"a": int32(5, 7), "b": int32(1, 2)}, {"sum": int32(*expected)})
        assert two.difference(golden) == pytest.approx(difference)

    def test_every_published_version_has_one(self, registry: Registry) -> None:
        for candidate in (
            graphs.digits_candidate(),
            graphs.candidate("gather", graphs.gather()),
            graphs.char_candidate(),
        ):
            manifest = publish(registry, candidate)
            golden = registry.golden(manifest)
            assert golden is not None
            assert load(registry, manifest, threads=1).difference(golden) == 0.0

    def test_a_candidate_that_answers_otherwise_is_refused(self, registry: Registry) -> None:
        first = publish(registry, graphs.digits_candidate(0))
        golden = registry.golden(first)
        with pytest.raises(ModelError, match="golden inputs"):
            publish(registry, dataclasses.replace(graphs.digits_candidate(1), golden=golden))
        assert registry.versions("digits") == [1]


def never_runs() -> onnx.ModelProto:
    """Picks rows of a table that has none."""
    return graphs.model(
        [helper.make_node("Gather", ["table", "index"], ["row"])],
        [("index", TensorProto.INT64, ["n"])],
        [("row", TensorProto.FLOAT, ["n", 2])],
        {"table": np.zeros((0, 2), np.float32)},
    )


OF_NO_MODEL = Golden({"x": zeros(TensorSpec("x", DATATYPES["FP32"], (1,)))}, {})
UNUSABLE = {
    "missing": None,
    "too large": b" " * (MAX_DOCUMENT_BYTES + 1),
    "no JSON": b"{",
    "of the future": b'{"schema": 99}',
    "other inputs": replace(OF_NO_MODEL, outputs={"output": OF_NO_MODEL.inputs["x"]}).to_json(),
    "other outputs": replace(OF_NO_MODEL, outputs=OF_NO_MODEL.inputs).to_json(),
    "nothing to compare": replace(OF_NO_MODEL, random=("output",)).to_json(),
}


class TestLoad:
    def test_a_variant_is_loaded_where_a_version_has_it(self, registry: Registry) -> None:
        """A variant that answers differently, to tell them apart."""
        other = graphs.to_file(graphs.classifier(7)).data
        manifest = publish(registry, dataclasses.replace(graphs.digits_candidate(), variants={"int8": other}))
        assert {artifact.variant for artifact in manifest.artifacts if artifact.role == "model"} == {"fp32", "int8"}
        inputs = load(registry, manifest, threads=1).to_inputs(images())
        first, small, unknown = (
            to_values(load(registry, manifest, threads=1, variant=variant).run(inputs)["output"])
            for variant in (None, "int8", "nope")
        )
        assert first == unknown != small

    def test_a_model_that_zeros_do_not_fit_is_loaded_all_the_same(self, registry: Registry) -> None:
        model = load(registry, publish(registry, graphs.candidate("never", never_runs())), threads=1)
        with pytest.raises(InferenceError):
            model.run({"index": zeros(TensorSpec("index", DATATYPES["INT64"], (1,)))})

    @pytest.mark.parametrize("role", ["model", "preprocess", "postprocess"])
    def test_each_graph_is_verified(self, tmp_path: Path, role: str) -> None:
        registry = Registry(open_store(tmp_path.as_uri()))
        manifest = publish(registry, graphs.digits_candidate())
        damage(tmp_path, manifest, role)
        with pytest.raises(ArtifactError, match=rf"{role} artifact: expected bytes 0 to \d+"):
            load(registry, manifest, threads=1)

    def test_what_a_failure_leaves_unread_is_not_kept(self, tmp_path: Path) -> None:
        registry = Registry(open_store(tmp_path.as_uri()))
        manifest = publish(registry, graphs.digits_candidate())
        damage(tmp_path, manifest, "preprocess")
        with pytest.raises(ArtifactError, match="preprocess artifact"):
            load(registry, manifest, threads=1)
        assert registry.artifacts._fetches == {}

    @pytest.mark.parametrize("seed", [0, 7])
    def test_a_layout_for_these_cpus_is_used_only_where_it_gives_the_golden_answer(
        self, registry: Registry, caplog: pytest.LogCaptureFixture, seed: int
    ) -> None:
        """Seed 0 is the published network itself, seed 7 one that answers otherwise."""
        manifest = publish(registry, graphs.digits_candidate(0))
        (form,) = optimize(GraphForm("model", "fp32", graphs.classifier(seed).SerializeToString()), None)
        laid_out = dataclasses.replace(form, cpu=session.cpu_class())
        artifact = laid_out.artifact()
        draft = replace(manifest, artifacts=(*manifest.artifacts, artifact))
        changed = registry.publish(draft, {artifact.sha256: laid_out.data})
        assert changed.best(runtime=session.runtime())[0] == artifact
        inputs = load(registry, manifest, threads=1).to_inputs(images())
        found, expected = (load(registry, each, threads=1).run(inputs)["output"] for each in (changed, manifest))
        assert found == expected
        assert ("its golden answer is" in caplog.text) == (seed == 7)

    @pytest.mark.parametrize("golden", UNUSABLE.values(), ids=UNUSABLE)
    def test_a_layout_that_cannot_be_checked_is_replaced_by_another_form(
        self, registry: Registry, caplog: pytest.LogCaptureFixture, golden: bytes | None
    ) -> None:
        manifest = publish(registry, graphs.digits_candidate())
        (form,) = optimize(GraphForm("model", "fp32", graphs.classifier().SerializeToString()), None)
        laid_out = dataclasses.replace(form, cpu=session.cpu_class())
        blobs = {Artifact.of("golden", "fp32", golden or b"?", JSON): golden, laid_out.artifact(): laid_out.data}
        others = tuple(artifact for artifact in manifest.artifacts if artifact.role != "golden")
        stored = {artifact.sha256: data for artifact, data in blobs.items() if data is not None}
        changed = registry.publish(replace(manifest, artifacts=(*others, *blobs)), stored)
        assert changed.best(runtime=session.runtime())[0] == laid_out.artifact()
        inputs = load(registry, manifest, threads=1).to_inputs(images())
        found, expected = (load(registry, each, threads=1).run(inputs)["output"] for each in (changed, manifest))
        assert found == expected
        assert "digits version 2: another form is loaded" in caplog.text

    def test_a_layout_for_other_cpus_is_not_even_fetched(self, registry: Registry) -> None:
        manifest = publish(registry, graphs.digits_candidate())
        other = replace(Artifact.of("model", "fp32", b"?", ORT, onnxruntime.__version__), cpu="mips")
        draft = replace(manifest, artifacts=(*manifest.artifacts, other))
        assert other not in draft.best(runtime=session.runtime())

    def test_a_form_that_cannot_be_loaded_is_replaced_by_the_portable_one(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        registry = Registry(open_store(tmp_path.as_uri()))
        manifest = publish(registry, graphs.digits_candidate())
        inputs = load(registry, manifest, threads=1).to_inputs(images())
        expected = load(registry, manifest, threads=1).run(inputs)
        before = damage(tmp_path, manifest)
        portable = manifest.artifact("model")
        assert portable is not None
        portable_blob = tmp_path / layout.blob_key(portable.sha256)
        portable_blob.write_bytes(before[portable_blob])
        assert load(registry, manifest, threads=1).run(inputs) == expected
        assert "another form is loaded" in caplog.text
