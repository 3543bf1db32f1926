"""The overlay: an image with its map over it, orange where a pixel supports the label and blue where it opposes it."""

from onnxlet.contract.tensors import Tensor
from onnxlet.explain.saliency import to_image

MIN_SIDE_PIXELS, MAX_SIDE_PIXELS = 224, 512
"""Bounds of the longer side: large enough to recognise, and small enough to send."""

FOR, AGAINST = (255, 110, 0), (0, 90, 255)
"""Colours that people with red-green blindness can tell apart, too."""

MAX_OPACITY = 190
"""The largest opacity, of 255: the image stays visible."""

MIN_SHARE = 0.2
"""The smallest coloured value, as a share of the strongest. Weaker values are mostly noise of the random masks."""


def draw(pixels: Tensor, saliency: Tensor) -> bytes:
    """Return a PNG file of an image, in grey, with its map in colour.

    Args:
        pixels: UINT8 (1, height, width, channels).
        saliency: The map, FP32 (height, width), of any height and width.
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
    height, width = saliency.shape
    heat = Image.frombytes("F", (width, height), bytes(saliency.buffer)).resize(image.size, Image.Resampling.BILINEAR)
    strongest = max(map(abs, saliency.buffer.cast("f").tolist())) or 1.0
    picture = image.convert("RGB")
    scale, offset = MAX_OPACITY / (1 - MIN_SHARE) / strongest, -MAX_OPACITY * MIN_SHARE / (1 - MIN_SHARE)
    for colour, sign in ((FOR, 1), (AGAINST, -1)):
        opacity = heat.point(lambda value, sign=sign: value * (sign * scale) + offset).convert("L")  # none below 0
        picture.paste(colour, (0, 0), opacity)
    file = BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
