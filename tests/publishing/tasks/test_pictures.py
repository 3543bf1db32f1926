import numpy as np
import pytest

from onnxlet.contract.declarations import ImagePreprocess
from onnxlet.contract.tasks.pictures import ImageFeatures, ImageSegmentation, ObjectDetection
from onnxlet.contract.tensors import DATATYPES, TensorSpec
from onnxlet.session import open_session
from onnxlet_publishing.errors import ModelError
from onnxlet_publishing.graphs import to_tensor
from onnxlet_publishing.tasks.pictures import postprocess_graph

PREPROCESS = ImagePreprocess(8, 8, 3, "NCHW")
PATCHES = np.random.default_rng(0).normal(0, 1, (2, 5, 4)).astype(np.float32)


def spec(*shape: int | str, datatype: str = "FP32") -> TensorSpec:
    return TensorSpec("out", DATATYPES[datatype], shape)


def vectors(output: np.ndarray, pooling: str, *, normalize: bool = False, datatype: str = "FP32") -> np.ndarray:
    task = ImageFeatures("image-feature-extraction", ("out",), pooling, normalize)
    shape = ("batch", *output.shape[1:])
    graph = postprocess_graph(task, PREPROCESS, [spec(*shape, datatype=datatype)])
    (found,) = open_session(graph).run({"output0": to_tensor(output)}, ["vectors"])
    return np.frombuffer(found.buffer, np.float32).reshape(found.shape)


@pytest.mark.parametrize(
    ("output", "pooling", "wanted"),
    [
        (PATCHES[:, 0], "none", PATCHES[:, 0]),
        (PATCHES, "cls", PATCHES[:, 0]),
        (PATCHES, "mean", PATCHES.mean(axis=1)),
        (PATCHES.reshape(2, 5, 2, 2), "mean", PATCHES.mean(axis=2)),
    ],
    ids=["vector", "cls", "mean of patches", "mean of a map"],
)
def test_a_picture_becomes_one_vector(output: np.ndarray, pooling: str, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(vectors(output, pooling), wanted, atol=1e-6)
    lengths = np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors(output, pooling, normalize=True), wanted / lengths, atol=1e-6)


def test_a_vector_of_zeros_keeps_its_length() -> None:
    assert not vectors(np.zeros((1, 3), np.float32), "none", normalize=True).any()


def test_vectors_of_half_precision_become_single_precision() -> None:
    half = PATCHES.astype(np.float16)
    np.testing.assert_allclose(vectors(half, "mean", datatype="FP16"), half.astype(np.float32).mean(axis=1), atol=1e-6)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (ImageFeatures("image-feature-extraction", ("gone",)), "expected an output 'gone', got out"),
        (ImageFeatures("image-feature-extraction", ("out",)), "an output for the pooling 'none', got FP32 (1, 9, 6)"),
        (
            ImageSegmentation("image-segmentation", ("out",), "classes", ("a",)),
            "expected 4 dimensions of the output 'out', got FP32 (1, 9, 6)",
        ),
    ],
)
def test_outputs_of_another_task_are_refused(task: ImageFeatures | ImageSegmentation, words: str) -> None:
    with pytest.raises(ModelError) as caught:
        postprocess_graph(task, PREPROCESS, [spec(1, 9, 6)])
    assert words in str(caught.value)


def test_masks_of_a_part_of_the_picture_are_refused() -> None:
    task = ImageSegmentation("image-segmentation", ("out",), "mask", ("a",))
    crop = ImagePreprocess(8, 8, 3, fit="crop", shorter_side=9)
    with pytest.raises(ModelError, match="expected the whole picture"):
        postprocess_graph(task, crop, [spec(1, 1, 8, 8)])


def test_a_detector_may_see_a_part_of_the_picture() -> None:
    task = ObjectDetection("object-detection", ("out",), "end-to-end", ("a",))
    crop = ImagePreprocess(8, 8, 3, fit="crop", shorter_side=9)
    assert postprocess_graph(task, crop, [spec(1, 9, 6)])
