"""The saliency of pixels: how a label's probability goes along with how much of a pixel is seen.

Source: Petsiuk, Das and Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018: grids
of chance, enlarged smoothly, hide parts of the image. Each mask is followed by its opposite, so that what both see in
common cancels out (antithetic sampling: Hammersley and Morton 1956).
"""

from __future__ import annotations

import random
from array import array
from typing import TYPE_CHECKING, Any

from onnxlet.contract import tensors
from onnxlet.contract.manifest import CHANNELS
from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.errors import InvalidRequestError
from onnxlet.media import images
from onnxlet.models.batches import Batch

if TYPE_CHECKING:
    from PIL import Image

    from onnxlet.explain.runs import Runs
    from onnxlet.models.model import Model

CELLS = 7
"""Along each side of the image, as in the paper."""

SEED = 0


def saliency(model: Model, pixels: Tensor, runs: Runs) -> Tensor:
    """The map, FP32 (height, width): above 0 where seeing a pixel raises the probability, below where it lowers it.

    A value is the mean of what the probability gains by a mask over its opposite, weighted by how much of the pixel the
    mask shows, from 1 (all) to -1 (nothing). Masks act on pixels before they are preprocessed, at the model's size.

    Args:
        model: A classifier of images.
        pixels: UINT8 (1, height, width, channels), any height and width.
        runs: With which its label's probabilities are asked.

    Raises:
        InvalidRequestError: the budget is up before one mask and its opposite.
        UnsupportedMediaError: a function that was packaged without Pillow.
        InferenceError: the model cannot run on the masked image.
    """
    images.require_pillow()
    from PIL import Image, ImageChops

    declaration = model.manifest.preprocess
    assert declaration is not None, "the caller has looked"
    size = (declaration.width, declaration.height)
    image = to_image(pixels).resize(size, Image.Resampling.BILINEAR)
    background = Image.new(image.mode, size, blank(image))
    source = random.Random(SEED)  # noqa: S311 - to repeat, not to keep a secret
    total = Image.new("F", size)
    pairs = 0
    while (count := runs.room() // 2) > 0:
        seen = [_mask(size, source) for _ in range(count)]
        masks = [each for mask in seen for each in (mask, ImageChops.invert(mask))]
        found = runs.ask(_rows(model, [Image.composite(image, background, mask) for mask in masks]))
        if not found:
            break
        for mask, with_mask, with_opposite in zip(seen, found[::2], found[1::2], strict=True):
            total = _added(total, mask, with_mask - with_opposite)
        pairs += count
    if pairs == 0:
        raise InvalidRequestError("budget_ms: expected time for two more runs, but it was up after the first")
    means = array("f", (value / pairs for value in memoryview(total.tobytes()).cast("f")))
    return Tensor(DATATYPES["FP32"], (size[1], size[0]), memoryview(means).cast("B"))


def to_image(pixels: Tensor) -> Image.Image:
    """The first of decoded images, UINT8 (batch, height, width, channels), as Pillow has it."""
    from PIL import Image

    _, height, width, channels = pixels.shape
    return Image.frombytes(CHANNELS[channels], (width, height), bytes(pixels.buffer))


def blank(image: Image.Image) -> tuple[int, ...]:
    """What is put in the place of hidden pixels: the median colour of the edge, which mostly is the background's."""
    width = image.width
    colour = []
    for band in image.split():
        values = band.tobytes()
        edge = values[:width] + values[-width:] + values[::width] + values[width - 1 :: width]
        colour.append(sorted(edge)[len(edge) // 2])
    return tuple(colour)


def _mask(size: tuple[int, int], source: random.Random) -> Image.Image:
    """A random grid, each cell seen or hidden, enlarged smoothly to one cell more than the image and shifted."""
    from PIL import Image

    width, height = (-(-side // CELLS) for side in size)
    grid = bytes(255 if source.random() < 0.5 else 0 for _ in range((CELLS + 1) ** 2))
    large = ((CELLS + 1) * width, (CELLS + 1) * height)
    left, top = int(source.random() * width), int(source.random() * height)
    enlarged = Image.frombytes("L", (CELLS + 1, CELLS + 1), grid).resize(large, Image.Resampling.BILINEAR)
    return enlarged.crop((left, top, left + size[0], top + size[1]))


def _added(total: Image.Image, mask: Image.Image, gain: float) -> Image.Image:
    """The sum with one more mask: where it is 255 the gain is added, where it is 0 it is taken off."""
    from PIL import ImageMath

    def add(each: dict[str, Any]) -> Any:
        return each["total"] + each["mask"] * (2 * gain / 255) - gain

    return ImageMath.lambda_eval(add, total=total, mask=mask)  # type: ignore[no-any-return]


def _rows(model: Model, masked: list[Image.Image]) -> list[Batch]:
    """The masked images as the model takes them, one row each."""
    shape = (len(masked), masked[0].height, masked[0].width, len(masked[0].getbands()))
    joined = Tensor(DATATYPES["UINT8"], shape, memoryview(b"".join(image.tobytes() for image in masked)))
    ((name, tensor),) = model.to_inputs(joined).items()
    return [Batch({name: row}, 1, is_image=True) for row in tensors.split(tensor, [1] * len(masked))]
