"""The overlay: an image with its map over it, orange where a pixel speaks for the label and blue where against it."""

from onnxlet.contract.tensors import Tensor
from onnxlet.explain.saliency import to_image

MIN_SIDE_PIXELS, MAX_SIDE_PIXELS = 224, 512
"""Of the longer side: enough to see, and no more than is worth sending."""

FOR, AGAINST = (255, 110, 0), (0, 90, 255)
"""Told apart by people who do not see red, or green, too."""

MAX_OPACITY = 190
"""Of 255: the image stays to be seen below."""

MIN_SHARE = 0.2
"""Of the strongest pixel's value: what is weaker is mostly the masks' chance, and is not coloured."""


def overlay(pixels: Tensor, found: Tensor) -> bytes:
    """A PNG file of the image, in grey, with its map; the strongest pixel has `MAX_OPACITY`.

    Args:
        pixels: UINT8 (1, height, width, channels).
        found: The map, FP32 (height, width), of any height and width.
    """
    from io import BytesIO

    from PIL import Image

    image = to_image(pixels).convert("L")
    longer = max(image.size)
    if longer < MIN_SIDE_PIXELS:
        factor = -(-MIN_SIDE_PIXELS // longer)
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    elif longer > MAX_SIDE_PIXELS:
        image.thumbnail((MAX_SIDE_PIXELS, MAX_SIDE_PIXELS), Image.Resampling.BILINEAR)
    height, width = found.shape
    heat = Image.frombytes("F", (width, height), bytes(found.buffer)).resize(image.size, Image.Resampling.BILINEAR)
    strongest = max(map(abs, found.buffer.cast("f").tolist())) or 1.0
    picture = image.convert("RGB")
    scale, offset = MAX_OPACITY / (1 - MIN_SHARE) / strongest, -MAX_OPACITY * MIN_SHARE / (1 - MIN_SHARE)
    for colour, sign in ((FOR, 1), (AGAINST, -1)):
        opacity = heat.point(lambda value, sign=sign: value * (sign * scale) + offset).convert("L")  # none below 0
        picture.paste(colour, (0, 0), opacity)
    file = BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
