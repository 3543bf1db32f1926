"""The benchmark's models as files in a cache: each graph, an input and the answer to expect, made once."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onnxlet_cli.bench import networks
from onnxlet_cli.bench.options import CACHE
from onnxlet_cli.bench.payloads import Array, check_close

REVISION = 1
"""Of what stands in the cache; another one makes it anew."""

TOKENS = 64
"""Of the sentence that `text` is asked about."""


@dataclass(frozen=True)
class Network:
    """A network that can be made, and what it is asked."""

    build: Callable[[], Any]
    """Gives the ONNX model."""
    shape: tuple[int, ...]
    """Of the one row of inputs that is sent."""


NETWORKS = {
    "tiny": Network(networks.tiny, (1, 64)),
    "cnn": Network(networks.cnn, (1, 3, 32, 32)),
    "mobile": Network(networks.mobile, (1, 3, 224, 224)),
    "resnet50": Network(networks.resnet50, (1, 3, 224, 224)),
    "text": Network(networks.text, (1, TOKENS)),
}


@dataclass(frozen=True)
class BenchModel:
    """One model of the benchmark, on the disk."""

    name: str
    path: Path
    """The ONNX file."""
    inputs: dict[str, Path]
    """The `.npy` file of each input, one row."""
    expected: Array
    """The answer of ONNX Runtime's defaults to these inputs, (1, width)."""

    def arrays(self) -> dict[str, Array]:
        """The inputs."""
        return {name: np.load(path) for name, path in self.inputs.items()}

    def check(self, answer: Array) -> None:
        """Compare an answer with the expected one.

        Raises:
            WrongAnswerError: it is another.
        """
        check_close(self.name, answer, self.expected)


def load_model(name: str, cache: Path = CACHE) -> BenchModel:
    """A model from the cache; made, and asked once, where it is not there yet."""
    folder = (cache / f"{name}-{REVISION}").absolute()
    path, answer = folder / f"{name}.onnx", folder / "expected.npy"
    if not answer.exists():  # it is written last
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, NETWORKS[name].build().SerializeToString())
        _write_arrays(path, NETWORKS[name].shape, answer)
    inputs = {file.stem.removeprefix("input-"): file for file in sorted(folder.glob("input-*.npy"))}
    return BenchModel(name, path, inputs, np.load(answer))


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that another process sees whole or not at all."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(data)
    part.replace(path)


def _write_arrays(path: Path, shape: tuple[int, ...], answer: Path) -> None:
    """Write inputs of this shape, and what ONNX Runtime's defaults answer to them."""
    import onnxruntime  # as all that is heavy, only where a model is made

    session = onnxruntime.InferenceSession(str(path))
    random = np.random.default_rng(0)
    feed = {spec.name: _made_up(spec.name, spec.type, shape, random) for spec in session.get_inputs()}
    for name, array in feed.items():
        np.save(path.with_name(f"input-{name}.npy"), array)
    (expected,) = session.run(None, feed)
    np.save(answer, expected)


def _made_up(name: str, kind: str, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    if kind == "tensor(float)":
        return random.standard_normal(shape, np.float32)
    is_mask = "mask" in name
    return np.ones(shape, np.int64) if is_mask else random.integers(1000, networks.TEXT_TOKENS, shape)
