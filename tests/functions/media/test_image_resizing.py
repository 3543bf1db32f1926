"""Large images are resized as Pillow resizes them, or as the preprocess graph does."""

import numpy as np
import pytest
from PIL import Image

from onnxlet.contract.declarations import PREPROCESS_INPUT, PREPROCESS_OUTPUT, ImagePreprocess
from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.media import images
from onnxlet.media.image_resizing import Resizing
from onnxlet.media.images import decode as decode_image
from onnxlet.media.images import shrunk
from onnxlet.record import replace
from onnxlet_publishing.graphs import Graph
from onnxlet_publishing.picture_graph import preprocess_graph
from tests.helpers.image_files import COLOR, STORED, decode, encode, exif, noise, to_array

SHAPES = [(800, 600), (600, 800), (3001, 97), (97, 3001), (5, 60_000), (60_000, 5), (513, 512), (9, 30_000)]

TARGETS = [(28, 28), (224, 224), (5, 64), (64, 5), (1, 1)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_large_image_is_resized_as_pillow_does_it(
    shape: tuple[int, int], target: tuple[int, int], channels: int
) -> None:
    image = noise(*shape, "L" if channels == 1 else "RGB")
    width, height = target
    found = decode(encode(image, compress_level=1), ImagePreprocess(height, width, channels)).astype(int)
    wanted = np.asarray(image.resize(target, Image.Resampling.BILINEAR)).reshape(1, height, width, channels)
    assert np.abs(found - wanted).max() <= 1


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("shape", [(800, 600), (9, 40_000), (40_000, 9)])
def test_a_large_image_is_resized_as_if_it_were_turned_first(shape: tuple[int, int], orientation: int) -> None:
    upright = noise(*shape, "L")
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](np.asarray(upright))))
    found = decode(encode(stored, exif=exif(orientation=orientation)), ImagePreprocess(20, 30, 1))
    wanted = np.asarray(upright.resize((30, 20), Image.Resampling.BILINEAR))
    assert np.abs(found[0, :, :, 0].astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK"])
def test_a_large_image_of_any_mode_comes_in_the_models_size(mode: str) -> None:
    file_format = "JPEG" if mode == "CMYK" else "PNG"
    data = encode(Image.new(mode, (700, 600)), file_format)
    assert decode(data, COLOR, f"image/{file_format.lower()}").shape == (1, 28, 28, 3)


def test_an_explanation_gets_all_pixels_of_a_large_image() -> None:
    image = noise(800, 600)
    found, _ = decode_image(encode(image), "image/png", COLOR, is_whole=True)
    assert to_array(found)[0].tolist() == np.asarray(image).tolist()


def test_an_image_stays_as_it_is_where_the_model_takes_more_pixels() -> None:
    assert decode(encode(noise(800, 600)), ImagePreprocess(1024, 1024, 3)).shape == (1, 600, 800, 3)


@pytest.mark.parametrize("size", [(28, 28), (600, 800)])
def test_pixels_are_resized_as_an_image_of_them(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    found = to_array(shrunk(Tensor(DATATYPES["UINT8"], pixels.shape, memoryview(pixels.tobytes())), COLOR))
    assert found.tolist() == [decode(encode(Image.fromarray(each)), COLOR)[0].tolist() for each in pixels]


FITS = [
    ImagePreprocess(64, 48, 3, fit="letterbox", pad_value=114.0),
    ImagePreprocess(64, 48, 3, fit="letterbox", pad_value=114.0, antialias=False),
    ImagePreprocess(64, 48, 3, fit="pad", resampling="bicubic"),
    ImagePreprocess(64, 48, 3, fit="crop", shorter_side=72),
    ImagePreprocess(48, 48, 3, fit="crop", shorter_side=56, resampling="bicubic", margins="even"),
    ImagePreprocess(64, 48, 3, antialias=False),
]


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("shape", [(800, 600), (600, 801), (1003, 270)])
@pytest.mark.parametrize("declaration", FITS, ids=lambda declaration: str(declaration.to_document()))
def test_a_large_image_becomes_what_the_graph_makes_of_all_its_pixels(
    declaration: ImagePreprocess, shape: tuple[int, int], orientation: int
) -> None:
    upright = np.asarray(noise(*shape))
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    graph = Graph(preprocess_graph(replace(declaration, scale=1.0)))
    small, size = decode_image(encode(stored, exif=exif(orientation=orientation)), "image/png", declaration)
    assert size == (shape[1], shape[0])
    found = graph.run({PREPROCESS_INPUT: to_array(small)}, PREPROCESS_OUTPUT)
    wanted = graph.run({PREPROCESS_INPUT: upright[None]}, PREPROCESS_OUTPUT)
    assert np.abs(found - wanted).max() <= 2
    assert np.abs(found - wanted).mean() <= 0.4
    assert abs((found - wanted).mean()) <= 0.1  # rounding prefers no direction


def test_a_letterbox_keeps_the_ratio_of_the_sides_of_a_large_image() -> None:
    letterbox = ImagePreprocess(64, 48, 3, fit="letterbox")
    assert decode(encode(noise(800, 600)), letterbox).shape == (1, 36, 48, 3)
    assert decode(encode(noise(600, 1200)), letterbox).shape == (1, 64, 32, 3)


def test_an_image_that_would_become_larger_is_left_to_the_graph() -> None:
    crop = ImagePreprocess(64, 64, 3, fit="crop", shorter_side=64)
    assert decode(encode(noise(10_000, 30)), crop).shape == (1, 30, 10_000, 3)


def test_the_graphs_memory_for_an_image_that_becomes_larger_is_counted() -> None:
    crop = ImagePreprocess(64, 64, 3, fit="crop", shorter_side=64)
    pixels = Tensor(DATATYPES["UINT8"], (1, 1, 1000, 3), memoryview(bytes(3000)))
    assert images.graph_bytes(pixels, crop) == 40 * (1000 + 64 * 64_000)
    assert images.graph_bytes(pixels, ImagePreprocess(64, 64, 3)) == 40 * 1000


def test_a_sampled_pixel_is_blended_of_the_four_around_its_centre() -> None:
    image = Image.fromarray(np.arange(0, 250, 10, dtype=np.uint8).reshape(5, 5))
    resizing = Resizing((2, 2), antialias=False)  # centres at 0.75 and 3.25 of each axis
    found = np.asarray(resizing.apply(image, lambda part: part, "L", is_turned=False))
    assert np.abs(found.astype(int) - [[45, 70], [170, 195]]).max() <= 1


def test_a_sampled_image_may_become_longer_on_one_axis() -> None:
    image = noise(900, 300)
    found = np.asarray(Resizing((60, 400), antialias=False).apply(image, lambda part: part, "RGB", is_turned=False))
    graph = Graph(preprocess_graph(ImagePreprocess(400, 60, 3, scale=1.0, antialias=False)))
    wanted = graph.run({PREPROCESS_INPUT: np.asarray(image)[None]}, PREPROCESS_OUTPUT)
    assert np.abs(found - wanted).max() <= 2
