import numpy as np
import onnx
import pytest
from PIL import Image

from onnxlet.contract.declarations import (
    POSTPROCESS_INPUTS,
    POSTPROCESS_OUTPUTS,
    PREPROCESS_INPUT,
    PREPROCESS_OUTPUT,
    Classification,
    ImagePreprocess,
)
from onnxlet_publishing.graphs import Graph, postprocess_graph, preprocess_graph


def preprocess(declaration: ImagePreprocess, images: np.ndarray) -> np.ndarray:
    return Graph(preprocess_graph(declaration)).run({PREPROCESS_INPUT: images}, PREPROCESS_OUTPUT)


def test_an_image_of_the_right_size_is_only_scaled() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), np.uint8)
    result = preprocess(ImagePreprocess(28, 28, 1), images)
    np.testing.assert_allclose(result, images / 255, atol=1e-6)


def test_mean_and_std_apply_to_each_channel_in_either_layout() -> None:
    mean, std = (0.5, 0.4, 0.3), (0.1, 0.2, 0.4)
    images = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 3), np.uint8)
    expected = (images / 255 - mean) / std
    nhwc = preprocess(ImagePreprocess(8, 8, 3, mean=mean, std=std), images)
    nchw = preprocess(ImagePreprocess(8, 8, 3, layout="NCHW", mean=mean, std=std), images)
    np.testing.assert_allclose(nhwc, expected, atol=1e-5)
    np.testing.assert_allclose(nchw, expected.transpose(0, 3, 1, 2), atol=1e-5)


@pytest.mark.parametrize("size", [(7, 9), (28, 28), (200, 60)])
def test_an_image_of_any_size_is_resized(size: tuple[int, int]) -> None:
    images = np.full((1, *size, 3), 51, np.uint8)
    result = preprocess(ImagePreprocess(28, 30, 3), images)
    assert result.shape == (1, 28, 30, 3)
    np.testing.assert_allclose(result, 0.2, atol=1e-5)


def test_shrinking_averages_instead_of_skipping_pixels() -> None:
    stripes = np.where(np.arange(64) % 8 == 0, 255, 0).astype(np.uint8)  # one column of eight is white
    images = np.broadcast_to(stripes[np.newaxis, np.newaxis, :, np.newaxis], (1, 64, 64, 1))
    result = preprocess(ImagePreprocess(8, 8, 1), images)
    np.testing.assert_allclose(result[:, :, 1:-1], 1 / 8, atol=0.5 / 255)  # at the edges the filter is cut off


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("target", [(16, 16), (28, 28), (64, 5), (1, 1), (224, 200)])
@pytest.mark.parametrize(
    "size", [(77, 100), (224, 224), (333, 16), (16, 333), (1, 1), (300, 1), (1, 300), (9, 7), (2, 3)]
)
def test_an_image_is_resized_as_pillow_does_it_at_its_border_too(
    size: tuple[int, int], target: tuple[int, int], channels: int, layout: str
) -> None:
    width, height = target
    pixels = np.random.default_rng(size[0]).choice([0, 255], (size[1], size[0], channels)).astype(np.uint8)
    declaration = ImagePreprocess(height, width, channels, layout=layout, scale=1.0)
    (found,) = preprocess(declaration, pixels[None])
    image = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
    wanted = np.asarray(image.resize(target, Image.Resampling.BILINEAR)).reshape(height, width, channels)
    upright = found if layout == "NHWC" else found.transpose(1, 2, 0)
    assert np.abs(upright - wanted).max() <= 1


def test_pixels_become_floating_point_only_at_the_models_size() -> None:
    graph = onnx.load_from_string(preprocess_graph(ImagePreprocess(8, 8, 3))).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.index("Resize") < kinds.index("Cast")


def test_more_rows_than_one_batch_are_all_run() -> None:
    images = np.random.default_rng(2).integers(0, 256, (600, 4, 4, 1), np.uint8)
    np.testing.assert_allclose(preprocess(ImagePreprocess(4, 4, 1), images), images / 255, atol=1e-6)


def test_softmax_is_applied_only_where_it_is_declared() -> None:
    scores = np.array([[1.0, 3.0, 2.0]], np.float32)
    output, k = POSTPROCESS_INPUTS
    probabilities = POSTPROCESS_OUTPUTS[1]
    labels = ("a", "b", "c")

    def best(activation: str) -> np.ndarray:
        graph = Graph(postprocess_graph(Classification(labels, activation)))
        return graph.run({output: scores, k: np.array([3], np.int64)}, probabilities)

    np.testing.assert_allclose(best("none"), [[3, 2, 1]])
    softmax = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose(best("softmax"), -np.sort(-softmax), atol=1e-6)
