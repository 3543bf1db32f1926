"""The benchmark's models in a cache of files: each graph, its inputs and its expected output, made once."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onnxlet_cli.bench import networks, wordpiece
from onnxlet_cli.bench.options import CACHE
from onnxlet_cli.bench.payloads import Array, check_close

REVISION = 1
"""Revision of the cache; a different one makes its files again."""

TOKENS = 64
"""Length of the sentence that is sent to `embedder` and `text`, its two special tokens included."""


NETWORKS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "tiny": (networks.tiny, (1, 64)),
    "cnn": (networks.cnn, (1, 3, 32, 32)),
    "mobile": (networks.mobile, (1, 3, 224, 224)),
    "resnet50": (networks.resnet50, (1, 3, 224, 224)),
    "embedder": (networks.embedder, (1, TOKENS)),
    "text": (networks.text, (1, TOKENS)),
}
"""The function that builds each ONNX model, and the shape of the one row of inputs that is sent."""


@dataclass(frozen=True)
class BenchModel:
    """A model of the benchmark on the disk."""

    name: str
    path: Path
    """The ONNX file."""
    inputs: dict[str, Path]
    """The `.npy` file of each input, which has one row."""
    expected: Array
    """The output of ONNX Runtime with its defaults for these inputs, one row."""

    def arrays(self) -> dict[str, Array]:
        """Return the inputs."""
        return {name: np.load(path) for name, path in self.inputs.items()}

    def check(self, answer: Array) -> None:
        """Compare an output with the expected one.

        Raises:
            WrongAnswerError: They differ.
        """
        check_close(self.name, answer, self.expected)


def load_model(name: str, cache: Path = CACHE) -> BenchModel:
    """Return a model from the cache, and make it if it is missing."""
    folder = (cache / f"{name}-{REVISION}").absolute()
    path, answer = folder / f"{name}.onnx", folder / "expected.npy"
    if not answer.exists():  # the file that is written last
        folder.mkdir(parents=True, exist_ok=True)
        build, shape = NETWORKS[name]
        write_whole(path, build().SerializeToString())
        _write_arrays(path, shape, answer)
    inputs = {file.stem.removeprefix("input-"): file for file in sorted(folder.glob("input-*.npy"))}
    return BenchModel(name, path, inputs, np.load(answer))


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that another process sees all of it or nothing."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(data)
    part.replace(path)


def _write_arrays(path: Path, shape: tuple[int, ...], answer: Path) -> None:
    """Write inputs of this shape, and the output of ONNX Runtime with its defaults."""
    import onnxruntime  # heavy, and needed only to make a model

    session = onnxruntime.InferenceSession(str(path))
    random = np.random.default_rng(0)
    feed = {spec.name: _random_input(spec.name, spec.type, shape, random) for spec in session.get_inputs()}
    for name, array in feed.items():
        np.save(path.with_name(f"input-{name}.npy"), array)
    (expected,) = session.run(None, feed)
    np.save(answer, expected)


def _random_input(name: str, kind: str, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    if kind == "tensor(float)":
        return random.standard_normal(shape, np.float32)
    if name != "input_ids":
        return np.full(shape, "mask" in name, np.int64)
    ids = random.integers(wordpiece.FIRST_WORD, wordpiece.FIRST_PIECE, shape)
    ids[:, 0], ids[:, -1] = wordpiece.CLS, wordpiece.SEP
    return ids
