import dataclasses
import math
import uuid

import numpy as np
import pytest

from onnxlet.contract.golden import Golden
from onnxlet.contract.json_tensors import to_values
from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.errors import InferenceError, InvalidTensorError
from onnxlet.models.loading import load
from onnxlet.models.model import Model
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_publishing.errors import ModelError
from onnxlet_publishing.publish import publish
from tests.helpers import graphs


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
