"""Large images are resized as Pillow resizes them."""

import numpy as np
import pytest
from PIL import Image

from onnxlet.contract.declarations import ImagePreprocess
from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.media.images import decode as decode_image
from onnxlet.media.images import shrunk
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
    found = decode_image(encode(image), "image/png", COLOR, is_whole=True)
    assert to_array(found)[0].tolist() == np.asarray(image).tolist()


def test_an_image_stays_as_it_is_where_the_model_takes_more_pixels() -> None:
    assert decode(encode(noise(800, 600)), ImagePreprocess(1024, 1024, 3)).shape == (1, 600, 800, 3)


@pytest.mark.parametrize("size", [(28, 28), (600, 800)])
def test_pixels_are_resized_as_an_image_of_them(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    found = to_array(shrunk(Tensor(DATATYPES["UINT8"], pixels.shape, memoryview(pixels.tobytes())), COLOR))
    assert found.tolist() == [decode(encode(Image.fromarray(each)), COLOR)[0].tolist() for each in pixels]
