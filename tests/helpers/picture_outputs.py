"""Outputs of detectors and segmenters, as a network with some confident, overlapping objects would give them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx

from onnxlet.contract.tensors import DATATYPES, TensorSpec
from onnxlet.session import open_session
from onnxlet_publishing.graphs import to_tensor

SIDE = 320
"""The height and the width of the network's input in pixels."""

Floats = npt.NDArray[np.float32]


def boxes(count: int, seed: int) -> Floats:
    """Return centres, widths and heights in pixels, in groups that overlap."""
    random = np.random.default_rng(seed)
    middles = random.uniform(20, SIDE - 20, (count // 6 + 1, 2)).repeat(6, axis=0)[:count]
    sizes = random.uniform(30, 120, (count // 6 + 1, 2)).repeat(6, axis=0)[:count]
    jitter = random.normal(0, 5, (count, 4))
    return (np.concatenate([middles, sizes], axis=1) + jitter).astype(np.float32)


def yolov8(count: int, classes: int, seed: int = 0, coefficients: int = 0) -> Floats:
    """Return (1, 4 + classes + coefficients, count)."""
    random = np.random.default_rng(seed + 1)
    scores = random.beta(0.4, 1.6, (count, classes))
    rest = random.normal(0, 1, (count, coefficients))
    return np.concatenate([boxes(count, seed), scores, rest], axis=1).T[None].astype(np.float32)


def yolov5(count: int, classes: int, seed: int = 0) -> Floats:
    """Return (1, count, 5 + classes)."""
    random = np.random.default_rng(seed + 2)
    scores = random.beta(0.8, 0.8, (count, 1 + classes))
    return np.concatenate([boxes(count, seed), scores], axis=1)[None].astype(np.float32)


def end_to_end(count: int, classes: int, seed: int = 0) -> Floats:
    """Return (1, count, 6), the best first."""
    random = np.random.default_rng(seed + 3)
    found = boxes(count, seed)
    corners = np.concatenate([found[:, :2] - found[:, 2:] / 2, found[:, :2] + found[:, 2:] / 2], axis=1)
    scores = np.sort(random.beta(0.6, 1, count))[::-1]
    return np.concatenate([corners, scores[:, None], random.integers(0, classes, (count, 1))], axis=1)[None].astype(
        np.float32
    )


def detr(count: int, classes: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Return logits (1, count, classes) and boxes (1, count, 4) from 0 to 1."""
    logits = np.random.default_rng(seed + 4).normal(0, 2.5, (1, count, classes))
    return logits.astype(np.float32), np.clip(boxes(count, seed)[None] / SIDE, 0, 1)


def prototypes(seed: int = 0, coefficients: int = 32) -> Floats:
    """Return smooth prototypes of masks, (1, coefficients, side / 4, side / 4)."""
    return _smooth((coefficients, 8, 8), SIDE // 4, seed + 5)


def logits(classes: int, side: int, seed: int = 0) -> Floats:
    """Return smooth logits for each class and pixel, (1, classes, side, side)."""
    return _smooth((classes, 6, 6), side, seed + 6)


def _smooth(shape: tuple[int, int, int], side: int, seed: int) -> Floats:
    """Return a coarse grid of random numbers, enlarged linearly along both axes."""
    grid = np.random.default_rng(seed).normal(0, 1, shape)
    positions = np.linspace(0, shape[1] - 1, side)
    low = np.minimum(positions.astype(int), shape[1] - 2)
    part = positions - low
    rows = grid[:, low] * (1 - part)[:, None] + grid[:, low + 1] * part[:, None]
    plane = rows[:, :, low] * (1 - part) + rows[:, :, low + 1] * part
    return np.ascontiguousarray(plane[None], np.float32)


def run(data: bytes, outputs: Sequence[Floats], size: tuple[int, int], **thresholds: float) -> list[np.ndarray]:
    """Run a postprocess graph in the functions' runtime.

    Args:
        data: The graph.
        outputs: The model's outputs.
        size: The height and the width of the picture.
        thresholds: The other inputs by name.
    """
    inputs = {f"output{index}": to_tensor(output) for index, output in enumerate(outputs)}
    inputs["size"] = to_tensor(np.array(size, np.int64))
    inputs |= {name: to_tensor(np.array([value], np.float32)) for name, value in thresholds.items()}
    names = [output.name for output in onnx.load_from_string(data).graph.output]
    results = open_session(data).run(inputs, names)
    return [np.frombuffer(found.buffer, found.datatype.numpy).reshape(found.shape) for found in results]


def specs(outputs: Sequence[Floats]) -> list[TensorSpec]:
    """Return the declarations of a model's outputs, `first` and `second`."""
    return [
        TensorSpec(name, DATATYPES["FP32"], output.shape)
        for name, output in zip(("first", "second"), outputs, strict=False)
    ]
