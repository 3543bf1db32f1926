"""The saliency of pixels: how a label's probability depends on how much of each pixel is visible.

Random grids, enlarged smoothly, hide parts of the image. Each mask is followed by its opposite, so that the effects
that both have in common cancel out (antithetic sampling: Hammersley and Morton 1956).

Source: Petsiuk, Das and Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018.
"""

from __future__ import annotations

import random
from array import array
from typing import TYPE_CHECKING, Any

from onnxlet.contract import tensors
from onnxlet.contract.declarations import CHANNELS
from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.errors import InvalidRequestError
from onnxlet.media import images
from onnxlet.tasks.rows import Batch

if TYPE_CHECKING:
    from PIL import Image

    from onnxlet.explain.runs import Runs
    from onnxlet.models.model import Model

CELLS = 7
"""The number of a mask's cells along each side of the image, as in the paper."""

SEED = 0


def saliency(model: Model, pixels: Tensor, runs: Runs) -> Tensor:
    """Return the map, FP32 (height, width): positive where showing a pixel raises the probability.

    A value is the mean gain in probability of a mask over its opposite, weighted by how much of the pixel the mask
    shows, from 1 (all) to -1 (nothing). Masks hide pixels before preprocessing, in the model's size.

    Args:
        model: A classifier of images.
        pixels: UINT8 (1, height, width, channels), any height and width.
        runs: The runs, which have begun with the image itself.

    Raises:
        InvalidRequestError: the budget ends before one mask and its opposite have run.
        UnsupportedMediaError: the function was packaged without Pillow.
        InferenceError: the model cannot run on the masked image.
    """
    images.require_pillow()
    from PIL import Image, ImageChops

    declaration = model.manifest.preprocess
    assert declaration is not None, "the caller has checked it"
    image = to_image(pixels)
    size = declaration.resized(*image.size)
    image = image.resize(size, Image.Resampling.BILINEAR)
    background = Image.new(image.mode, size, blank(image))
    source = random.Random(SEED)  # noqa: S311 - to repeat, not to keep a secret
    total = Image.new("F", size)
    pairs = 0
    while (count := runs.room() // 2) > 0:
        masks = [_mask(size, source) for _ in range(count)]
        pairs_of_masks = [either for mask in masks for either in (mask, ImageChops.invert(mask))]
        masked = [Image.composite(image, background, mask) for mask in pairs_of_masks]
        probabilities = runs.ask(_rows(model, masked))
        if not probabilities:
            break
        for mask, with_mask, with_opposite in zip(masks, probabilities[::2], probabilities[1::2], strict=True):
            total = _add(total, mask, with_mask - with_opposite)
        pairs += count
    if pairs == 0:
        raise InvalidRequestError("budget_ms: expected time for two more runs after the first, got less: ask for more")
    means = array("f", (value / pairs for value in memoryview(total.tobytes()).cast("f")))
    return Tensor(DATATYPES["FP32"], (size[1], size[0]), memoryview(means).cast("B"))


def to_image(pixels: Tensor) -> Image.Image:
    """Return the first of decoded images, UINT8 (batch, height, width, channels), as an image of Pillow."""
    from PIL import Image

    _, height, width, channels = pixels.shape
    return Image.frombytes(CHANNELS[channels], (width, height), bytes(pixels.buffer))


def blank(image: Image.Image) -> tuple[int, ...]:
    """Return the colour that hides pixels: the median colour of the edge, which is mostly background."""
    width = image.width
    colour = []
    for band in image.split():
        values = band.tobytes()
        edge = values[:width] + values[-width:] + values[::width] + values[width - 1 :: width]
        colour.append(sorted(edge)[len(edge) // 2])
    return tuple(colour)


def _mask(size: tuple[int, int], source: random.Random) -> Image.Image:
    """Return a random grid, enlarged smoothly to one cell more than the image, and shifted at random."""
    from PIL import Image

    width, height = (-(-side // CELLS) for side in size)
    grid = bytes(255 if source.random() < 0.5 else 0 for _ in range((CELLS + 1) ** 2))
    large = ((CELLS + 1) * width, (CELLS + 1) * height)
    left, top = int(source.random() * width), int(source.random() * height)
    enlarged = Image.frombytes("L", (CELLS + 1, CELLS + 1), grid).resize(large, Image.Resampling.BILINEAR)
    return enlarged.crop((left, top, left + size[0], top + size[1]))


def _add(total: Image.Image, mask: Image.Image, gain: float) -> Image.Image:
    """Return the sum with one more mask: the gain is added where the mask is 255, and subtracted where it is 0."""
    from PIL import ImageMath

    def add(bands: dict[str, Any]) -> Any:
        return bands["total"] + bands["mask"] * (2 * gain / 255) - gain

    return ImageMath.lambda_eval(add, total=total, mask=mask)  # type: ignore[no-any-return]


def _rows(model: Model, masked: list[Image.Image]) -> list[Batch]:
    """Return masked images as the model's input, one batch for each."""
    shape = (len(masked), masked[0].height, masked[0].width, len(masked[0].getbands()))
    joined = Tensor(DATATYPES["UINT8"], shape, memoryview(b"".join(image.tobytes() for image in masked)))
    ((name, tensor),) = model.to_inputs(joined).items()
    return [Batch({name: row}, 1, is_image=True) for row in tensors.split(tensor, [1] * len(masked))]
