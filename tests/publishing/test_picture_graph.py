import hashlib
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from onnxlet.contract.declarations import PREPROCESS_INPUT, PREPROCESS_OUTPUT, ImagePreprocess
from onnxlet.contract.tensors import DATATYPES
from onnxlet.record import replace
from onnxlet.session import open_session
from onnxlet_publishing.graphs import Graph, to_tensor
from onnxlet_publishing.picture_graph import preprocess_graph


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


ROUGH = np.random.default_rng(7).integers(0, 256, (45, 83, 3), np.uint8)
"""A picture whose margins are not whole numbers."""


def reference(declaration: ImagePreprocess) -> np.ndarray:
    """Return the pixels of `ROUGH` as Pillow resizes them, and as torchvision crops or a loop pads them."""
    resampling = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[declaration.resampling]
    size = declaration.resized(ROUGH.shape[1], ROUGH.shape[0])
    resized = np.asarray(Image.fromarray(ROUGH).resize(size, resampling))
    if declaration.fit == "crop":
        rests = size[1] - declaration.height, size[0] - declaration.width
        top, left = (rest // 2 if declaration.margins == "floor" else round(rest / 2) for rest in rests)
        return resized[top : top + declaration.height, left : left + declaration.width]
    canvas = np.full((declaration.height, declaration.width, 3), declaration.pad_value)
    top, left = (declaration.height - size[1]) // 2, (declaration.width - size[0]) // 2
    top, left = (top, left) if declaration.fit == "letterbox" else (0, 0)
    canvas[top : top + size[1], left : left + size[0]] = resized
    return canvas


@pytest.mark.parametrize("resampling", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    "fields",
    [
        {"fit": "letterbox", "pad_value": 114.0},
        {"fit": "letterbox", "pad_value": 0.5},
        {"fit": "pad"},
        {"fit": "crop", "shorter_side": 36},
        {"fit": "crop", "shorter_side": 37},
        {"fit": "crop", "shorter_side": 39, "margins": "even"},
        {"fit": "crop", "shorter_side": 37, "margins": "even"},
        {"fit": "stretch"},
    ],
    ids=str,
)
@pytest.mark.parametrize("sides", [(32, 32), (36, 20), (30, 36)])
def test_a_picture_is_fitted_to_the_models_size(
    fields: dict[str, Any], sides: tuple[int, int], resampling: str
) -> None:
    declaration = ImagePreprocess(*sides, 3, scale=1.0, resampling=resampling, **fields)
    (found,) = preprocess(declaration, ROUGH[None])
    assert np.abs(found - reference(declaration)).max() <= 1


def test_without_antialiasing_a_pixel_is_made_of_the_four_around_its_centre() -> None:
    declaration = ImagePreprocess(10, 20, 3, scale=1.0, antialias=False)
    (found,) = preprocess(declaration, ROUGH[None])
    rows, columns = ((np.arange(count) + 0.5) * size / count - 0.5 for count, size in ((10, 45), (20, 83)))
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    down, right = (rows - top)[:, None, None], (columns - left)[None, :, None]
    corners = [[ROUGH[top + i][:, left + j] for j in (0, 1)] for i in (0, 1)]
    upper, lower = (first * (1 - right) + second * right for first, second in corners)
    assert np.abs(found - (upper * (1 - down) + lower * down)).max() <= 0.5 + 1e-4


def test_pictures_of_one_batch_are_fitted_alike() -> None:
    declaration = ImagePreprocess(32, 32, 3, fit="letterbox", pad_value=114.0)
    flipped = ROUGH[:, ::-1]
    both = preprocess(declaration, np.stack([ROUGH, flipped]))
    np.testing.assert_array_equal(both[:1], preprocess(declaration, ROUGH[None]))
    np.testing.assert_array_equal(both[1:], preprocess(declaration, flipped[None]))


def test_the_mean_is_in_the_models_order_of_colours() -> None:
    rgb = ImagePreprocess(45, 83, 3, layout="NCHW", mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    bgr = replace(rgb, colours="BGR", mean=(0.3, 0.2, 0.1), std=(0.7, 0.6, 0.5))
    np.testing.assert_array_equal(preprocess(bgr, ROUGH[None])[:, ::-1], preprocess(rgb, ROUGH[None]))


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_the_model_may_take_whole_pixels_or_half_precision(layout: str) -> None:
    declaration = ImagePreprocess(45, 83, 3, layout=layout, scale=1.0)
    wanted = ROUGH[None] if layout == "NHWC" else ROUGH[None].transpose(0, 3, 1, 2)
    for name in ("UINT8", "FP16"):
        session = open_session(preprocess_graph(declaration, DATATYPES[name]))
        (found,) = session.run({PREPROCESS_INPUT: to_tensor(ROUGH[None])}, [PREPROCESS_OUTPUT])
        assert found.datatype.name == name
        pixels = np.frombuffer(found.buffer, DATATYPES[name].numpy).reshape(found.shape)
        np.testing.assert_array_equal(pixels, wanted)


def test_whole_pixels_are_rounded_and_clipped() -> None:
    declaration = ImagePreprocess(1, 4, 1, scale=1.5)
    session = open_session(preprocess_graph(declaration, DATATYPES["UINT8"]))
    images = np.array([0, 1, 3, 200], np.uint8).reshape(1, 1, 4, 1)
    (found,) = session.run({PREPROCESS_INPUT: to_tensor(images)}, [PREPROCESS_OUTPUT])
    assert list(found.buffer) == [0, 2, 4, 255]


def test_a_declaration_of_before_gives_the_same_bytes() -> None:
    data = preprocess_graph(ImagePreprocess(28, 28, 1))
    assert hashlib.sha256(data).hexdigest() == "92f02abc7bd072a1ae71b7932ad9576def673dede94b09f370e4fc60c3a93f6b"


def test_pixels_become_floating_point_only_at_the_models_size() -> None:
    graph = onnx.load_from_string(preprocess_graph(ImagePreprocess(8, 8, 3))).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.index("Resize") < kinds.index("Cast")


def test_more_rows_than_one_batch_are_all_run() -> None:
    images = np.random.default_rng(2).integers(0, 256, (600, 4, 4, 1), np.uint8)
    np.testing.assert_allclose(preprocess(ImagePreprocess(4, 4, 1), images), images / 255, atol=1e-6)
