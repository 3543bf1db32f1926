"""The deletion test: what a label's probability loses when the pixels that an explanation ranks highest are deleted.

Source: Petsiuk, Das and Saenko, "RISE", BMVC 2018, section 4.2 (the deletion game), at one point of its curve.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxlet.http import Request
from onnxlet.web.app import App
from onnxlet_training.tasks.classification import to_png

SHARE = 0.2
"""Of the pixels, that are deleted: set to 0, the black that the digits are written on."""
RUNS = 60


@dataclass(frozen=True)
class Deletion:
    """What the probability of the true class loses, the mean over all images."""

    ranked: float
    """Where the pixels are deleted that are ranked highest."""
    random: float
    """Where as many are, by chance."""


def deletion(app: App, model: str, images: npt.NDArray[np.uint8], truth: npt.NDArray[np.int64]) -> Deletion:
    """Delete pixels of grey images on black.

    Args:
        app: Which answers.
        model: A classifier whose labels are digits, of images of the size of these.
        images: (count, height, width, 1).
        truth: The label of each, (count,).
    """
    chance = np.random.default_rng(0)
    ranked, random = [], []
    for image, digit in zip(images, truth, strict=True):
        query = {"target": str(digit), "budget_runs": str(RUNS)}
        answer = _ask(app, f"/v2/models/{model}/explain", image, query)
        order = np.argsort(-np.array(answer["map"]["data"]), kind="stable")
        count = round(SHARE * image.size)
        before = answer["probability"]
        ranked.append(before - _probability(app, model, _without(image, order[:count]), digit))
        random.append(before - _probability(app, model, _without(image, chance.permutation(image.size)[:count]), digit))
    return Deletion(float(np.mean(ranked)), float(np.mean(random)))


def _without(image: npt.NDArray[np.uint8], positions: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    left = image.copy().reshape(-1)
    left[positions] = 0
    return left.reshape(image.shape)


def _probability(app: App, model: str, image: npt.NDArray[np.uint8], digit: int) -> float:
    (prediction,) = _ask(app, f"/predict/{model}", image, {"top_k": "10"})["predictions"]
    (found,) = (entry["probability"] for entry in prediction["top"] if entry["label"] == str(digit))
    return float(found)


def _ask(app: App, path: str, image: npt.NDArray[np.uint8], query: dict[str, str]) -> Any:
    response = app.handle(Request("POST", path, to_png(image), {"content-type": "image/png"}, query))
    assert response.status == 200, response.body
    return json.loads(response.body)
