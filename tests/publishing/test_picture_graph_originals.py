"""Preprocess graphs compared with the libraries that models are trained with."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxlet.contract.declarations import PREPROCESS_INPUT, PREPROCESS_OUTPUT, ImagePreprocess
from onnxlet_publishing.graphs import Graph
from onnxlet_publishing.picture_graph import preprocess_graph
from tests.helpers import originals

SIZES = [(480, 640), (1080, 1920), (333, 500), (500, 333), (31, 77), (640, 640), (1, 300), (97, 4)]
"""Heights and widths."""


def picture(height: int, width: int) -> np.ndarray:
    """Return a picture with smooth and with rough parts."""
    smooth = np.add.outer(np.linspace(0, 120, height), np.linspace(0, 130, width))[:, :, None]
    rough = np.random.default_rng(height).integers(0, 40, (height, width, 3))
    return np.asarray(smooth * [1, 0.7, 0.4] + rough, np.uint8)


def preprocess(declaration: ImagePreprocess, image: np.ndarray) -> np.ndarray:
    found = Graph(preprocess_graph(declaration)).run({PREPROCESS_INPUT: image[None]}, PREPROCESS_OUTPUT)
    return np.asarray(found[0])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("fit", "centre"), [("letterbox", True), ("pad", False)])
def test_a_letterbox_is_ultralytics(size: tuple[int, int], fit: str, centre: bool, tmp_path: Path) -> None:
    letterbox = originals.ultralytics("data.augment", tmp_path).LetterBox((320, 416), center=centre)
    image = picture(*size)
    expected = letterbox(image=image).astype(np.float32)
    declared = ImagePreprocess(320, 416, 3, scale=1.0, fit=fit, pad_value=114, antialias=False)
    difference = np.abs(preprocess(declared, image) - expected)
    assert difference.max() <= 1
    assert difference.mean() <= 0.15


PROCESSORS: list[tuple[str, dict[str, Any], ImagePreprocess]] = [
    (
        "ViTImageProcessor",
        {"size": {"height": 64, "width": 48}},
        ImagePreprocess(64, 48, 3, "NCHW", 1 / 255, (0.5,), (0.5,)),
    ),
    (
        "CLIPImageProcessor",
        {"size": {"shortest_edge": 72}, "crop_size": {"height": 64, "width": 64}},
        ImagePreprocess(
            *(64, 64, 3, "NCHW", 1 / 255),
            *((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
            fit="crop",
            shorter_side=72,
            resampling="bicubic",
        ),
    ),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("name", "settings", "declared"), PROCESSORS, ids=[case[0] for case in PROCESSORS])
def test_pixels_are_those_of_transformers_slow_processors(
    size: tuple[int, int], name: str, settings: dict[str, Any], declared: ImagePreprocess
) -> None:
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    image = picture(*size)
    processor = getattr(transformers, name)(**settings)
    (expected,) = processor(image, return_tensors="np", input_data_format="channels_last")["pixel_values"]
    worst = 2 if declared.resampling == "bicubic" else 1  # of 255, after the two axes
    assert np.abs(preprocess(declared, image) - expected).max() <= worst / 255 / min(declared.std) + 1e-5
