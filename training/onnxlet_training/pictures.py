"""Pictures: PNG files of a run that the report shows."""

import itertools
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from onnxlet_training.recipe import Array, Images

CELL_PIXELS, GAP_PIXELS = 112, 8
SERIES_PIXELS, SMOOTHING = 160, 4
"""The side of a picture of a series, and how much larger it is drawn before it is scaled down."""
COLOURS = ("#2b5fd9", "#c8451b", "#0f7a54", "#8a4fc4", "#b3861b")


def write_sheet(images: Images, columns: int, path: Path) -> None:
    """Write images, (count, height, width, channels) with 1 or 3 channels, side by side into a PNG file."""
    step = CELL_PIXELS + GAP_PIXELS
    rows = -(-len(images) // columns)
    sheet = Image.new("RGBA", (columns * step - GAP_PIXELS, rows * step - GAP_PIXELS))
    for position, pixels in enumerate(images):
        row, column = divmod(position, columns)
        cell = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).resize(
            (CELL_PIXELS, CELL_PIXELS), Image.Resampling.NEAREST
        )
        sheet.paste(cell, (column * step, row * step))
    sheet.save(path, "PNG")


def write_series(series: Array, path: Path) -> None:
    """Write a small picture of a series, (time, features), with a line for each feature."""
    side = SERIES_PIXELS * SMOOTHING
    image = Image.new("RGBA", (side, side))
    draw = ImageDraw.Draw(image)
    low, high = float(series.min()), float(series.max())
    margin, spread = 0.06 * side, (high - low) or 1.0
    across = np.linspace(margin, side - margin, len(series))
    for values, colour in zip(series.T, itertools.cycle(COLOURS), strict=False):
        up: npt.NDArray[np.float64] = side - margin - (values - low) / spread * (side - 2 * margin)
        draw.line([(float(x), float(y)) for x, y in zip(across, up, strict=True)], colour, 2 * SMOOTHING, "curve")
    image.resize((SERIES_PIXELS, SERIES_PIXELS), Image.Resampling.LANCZOS).save(path, "PNG")
