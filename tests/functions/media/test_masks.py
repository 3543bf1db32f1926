from io import BytesIO

import numpy as np
from PIL import Image

from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.media import masks

PIXELS = np.zeros((2, 3, 4), np.uint8)
PIXELS[0, :, :2] = 255
PIXELS[1, :2] = 255
MASKS = Tensor(DATATYPES["UINT8"], PIXELS.shape, memoryview(PIXELS.tobytes()))


def test_each_mask_becomes_a_file_of_greys() -> None:
    files = [Image.open(BytesIO(file)) for file in masks.encode(MASKS)]
    assert [(file.format, file.mode) for file in files] == [("PNG", "L")] * 2
    for file, expected in zip(files, PIXELS, strict=True):
        np.testing.assert_array_equal(np.asarray(file), expected)


def test_the_first_masks_cover_the_others() -> None:
    image = Image.open(BytesIO(masks.draw(MASKS, (3, 4), [7, 2])))
    assert np.asarray(image).tolist() == [[7, 7, 2, 2], [7, 7, 2, 2], [7, 7, 0, 0]]


def test_the_colours_are_pascal_vocs_but_for_a_single_class_in_white() -> None:
    image = Image.open(BytesIO(masks.draw(MASKS, (3, 4), [1, 21])))
    palette = image.getpalette() or []
    assert [palette[3 * value : 3 * value + 3] for value in (0, 1, 2, 20, 21)] == [
        [0, 0, 0],
        [255, 255, 255],
        [0, 128, 0],
        [0, 64, 128],
        [128, 64, 128],
    ]


def test_nothing_is_a_black_picture() -> None:
    none = Tensor(DATATYPES["UINT8"], (0, 0, 0), memoryview(b""))
    assert masks.encode(none) == []
    image = Image.open(BytesIO(masks.draw(none, (3, 4), [])))
    assert (image.size, image.getcolors()) == ((4, 3), [(12, 0)])
