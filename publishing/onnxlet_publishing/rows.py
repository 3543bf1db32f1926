"""Rows: a child process runs a classifier on made-up rows: a kernel can end the process instead of giving an error.

It imports little, to be ready soon: neither onnx nor a framework.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxlet import deadline
from onnxlet.contract import tensors
from onnxlet.contract.manifest import PREPROCESS_INPUT, PREPROCESS_OUTPUT
from onnxlet.contract.tensors import DATATYPES, Tensor, TensorSpec
from onnxlet.errors import ArtifactError, OnnxletError
from onnxlet.session import open_session
from onnxlet_publishing.findings import Findings

MODEL, PREPROCESS, QUESTION, FOUND, TRIED, ANSWER, REFUSAL = (
    "model.onnx",
    "preprocess.onnx",
    "question.json",
    "rows",
    "tried",
    "answer.json",
    "refusal",
)
"""The files by which the two processes speak."""

ROWS = 40
"""How many made-up rows decide."""
ATTEMPTS = 200
"""How many are tried until there are so many: a row of words that a table does not know fails."""
TOGETHER = 8
"""How many rows run alone and as one batch."""
MAX_CHILDREN = 4
"""How often the rows after one that ended the process are tried."""
PATIENCE_S = 600.0
RUN_S = 60.0
"""The time of one run."""

SCALES = (1.0, 0.0, 1e-2, 10.0, 1e-1, 100.0, 1e3)
"""Of the made-up numbers: small ones hide what large ones show, and the other way round."""
SIGNED_SHARE = 0.7
"""How many of the inputs of numbers have negative ones: pictures and counts have none."""
INTEGERS = (0, 1, 2, 5, 10)
WORDS = ("", "a", "one two three", "0", "1")
FREE_SIZES = (1, 8, 32, 224)
"""What is tried for the dimensions that a request decides, other than that of rows."""
MAX_ELEMENTS = 10_000_000
"""The most elements of one made-up input whose sizes are free."""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Question:
    """What a child must know of a classifier."""

    inputs: Sequence[TensorSpec]
    output: str
    width: int
    """The numbers that the output has for each row."""
    categories: Sequence[str | int] = ()
    """Values that the graph was made for, where it lists them."""
    picture: tuple[int, int, int] | None = None
    """The height, width and channels of pictures, where these become the input."""

    def to_json(self) -> str:
        """Return the document that the child reads."""
        inputs = [(spec.name, spec.datatype.name, spec.shape) for spec in self.inputs]
        return json.dumps({**asdict(self), "inputs": inputs})

    @classmethod
    def from_json(cls, text: str) -> "Question":
        """Read the parent's document."""
        document = json.loads(text)
        inputs = [
            TensorSpec(name, DATATYPES[datatype], None if shape is None else tuple(shape))
            for name, datatype, shape in document.pop("inputs")
        ]
        return cls(inputs=inputs, **document)


@dataclass(frozen=True)
class Answer:
    """What a child has found."""

    rows: Numbers
    """The finite numbers of rows that ran alone, (rows, width); at most `ROWS`."""
    error: str = ""
    """Why the last row that failed did so."""
    difference: float = 0.0
    """How far the numbers of a row are from those that it has next to other rows."""


_findings: Findings[Answer] = Findings()


def run(question: Question, model: bytes, preprocess: bytes | None) -> Answer:
    """Run made-up rows in a child process.

    Args:
        question: What the classifier is.
        model: Its graph.
        preprocess: The graph that makes its input of pictures, where there is one.

    Raises:
        ArtifactError: ONNX Runtime does not load the graph, or the output has another width.
    """
    asked = question.to_json()

    def find() -> Answer:
        with TemporaryDirectory() as path:
            folder = Path(path)
            (folder / MODEL).write_bytes(model)
            (folder / QUESTION).write_text(asked)
            if preprocess is not None:
                (folder / PREPROCESS).write_bytes(preprocess)
            return _ask(folder, question.width)

    return _findings.get(model, (asked, preprocess), find)


def _ask(folder: Path, width: int) -> Answer:
    """Start children until one has come to its end."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    first, ended = 0, ""
    for _ in range(MAX_CHILDREN):
        command = [sys.executable, "-m", __name__, str(folder), str(first)]
        try:
            done = subprocess.run(command, env=environment, capture_output=True, timeout=PATIENCE_S, check=False)
        except subprocess.TimeoutExpired:
            ended = f"it did not end in {PATIENCE_S:.0f} s"
            break
        if done.returncode > 0:
            refusal = folder / REFUSAL
            said = refusal.read_text() if refusal.exists() else done.stderr.decode(errors="replace")[-300:].strip()
            raise ArtifactError(said)
        if done.returncode == 0:
            break
        ended = f"it ends the process, with signal {-done.returncode}"
        first = int((folder / TRIED).read_text() or 0) + 1 if (folder / TRIED).exists() else ATTEMPTS
    found = (folder / FOUND).read_bytes() if (folder / FOUND).exists() else b""
    whole = len(found) // (8 * width) * 8 * width
    document = json.loads((folder / ANSWER).read_text()) if (folder / ANSWER).exists() else {"error": ended}
    return Answer(np.frombuffer(found[:whole], np.float64).reshape(-1, width), **document)


class _Child:
    """The child's side: runs rows, and writes down what came of each before the next."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._question = question = Question.from_json((folder / QUESTION).read_text())
        self._session = open_session((folder / MODEL).read_bytes())
        self._preprocess = None if question.picture is None else open_session((folder / PREPROCESS).read_bytes())
        self._words = [value for value in question.categories if isinstance(value, str)] or WORDS
        self._integers = [value for value in question.categories if isinstance(value, int)] or INTEGERS
        self._free_size: int | None = None
        """The first size of free dimensions with which a row ran."""
        self._error = ""

    def run(self, first: int) -> None:
        """Run rows, from the one with this number on, then some of them as one batch."""
        found = self._folder / FOUND
        left = ROWS - (found.stat().st_size // (8 * self._question.width) if found.exists() else 0)
        with found.open("ab") as file:
            for number in range(first, ATTEMPTS):
                if left == 0:
                    break
                (self._folder / TRIED).write_text(str(number))
                numbers = self._attempt(number)
                if numbers is not None and np.isfinite(numbers).all():
                    file.write(numbers.tobytes())
                    file.flush()
                    left -= len(numbers)
        (self._folder / TRIED).write_text(str(ATTEMPTS))
        difference = self._difference() if first <= ATTEMPTS else 0.0
        (self._folder / ANSWER).write_text(json.dumps({"error": self._error, "difference": difference}))

    def _attempt(self, number: int) -> Numbers | None:
        """Run one row: a picture or tensors, the same ones for the same number."""
        random = np.random.default_rng(number)
        if self._preprocess is not None and number % 2:
            return self._numbers(self._picture(random))
        size = FREE_SIZES[number % len(FREE_SIZES)] if self._free_size is None else self._free_size
        if not self._is_possible(size):
            return None
        numbers = self._numbers(self._row(random, SCALES[number % len(SCALES)], size))
        if numbers is not None and self._free_size is None:
            self._free_size = size
        return numbers

    def _difference(self) -> float:
        """Return how far the numbers of rows alone are from those of the same rows in one batch.

        The rows are of one scale: what dynamic quantization rounds depends on the largest number of all.
        """
        inputs = self._question.inputs
        if self._free_size is None or not all(spec.shape and isinstance(spec.shape[0], str) for spec in inputs):
            return 0.0
        random = np.random.default_rng(ATTEMPTS)
        rows = [self._row(random, SCALES[0], self._free_size) for _ in range(TOGETHER)]
        apart = [numbers for row in rows if (numbers := self._numbers(row)) is not None]
        together = self._numbers({spec.name: tensors.join([row[spec.name] for row in rows]) for spec in inputs})
        if together is None or len(together) != len(apart):
            return 0.0
        alone = np.concatenate(apart)
        finite = np.isfinite(alone) & np.isfinite(together)
        difference = np.abs(together - alone)[finite] / np.maximum(1, np.abs(alone[finite]))
        return float(difference.max(initial=0))

    def _is_possible(self, size: int) -> bool:
        return all(
            prod(_shape(spec, size)) <= max(MAX_ELEMENTS, prod(_shape(spec, 1))) for spec in self._question.inputs
        )

    def _row(self, random: np.random.Generator, scale: float, size: int) -> dict[str, Tensor]:
        return {spec.name: self._tensor(spec, random, scale, size) for spec in self._question.inputs}

    def _tensor(self, spec: TensorSpec, random: np.random.Generator, scale: float, size: int) -> Tensor:
        shape, name = _shape(spec, size), spec.datatype.name
        values: npt.NDArray[Any]
        if name == "BYTES":
            words = [self._words[place] for place in random.integers(0, len(self._words), prod(shape))]
            return tensors.from_values(spec.name, spec.datatype, shape, words)
        if name.startswith("FP"):
            is_signed = random.random() < SIGNED_SHARE
            values = scale * (random.normal(size=shape) if is_signed else random.random(shape))
        elif name == "BOOL":
            values = random.integers(0, 2, shape)
        else:
            values = random.choice(np.array(self._integers, np.int64), shape)
        return Tensor(spec.datatype, shape, memoryview(np.asarray(values).astype(spec.datatype.numpy).tobytes()))

    def _picture(self, random: np.random.Generator) -> dict[str, Tensor]:
        """Make a picture of one colour, of noise, or between."""
        assert self._preprocess is not None, "the caller has looked"
        assert self._question.picture is not None, "it came with the graph"
        low, high = sorted(random.integers(0, 256, 2))
        shape = (1, *self._question.picture)
        pixels = random.integers(low, high + 1, shape, np.uint8)
        tensor = Tensor(DATATYPES["UINT8"], shape, memoryview(pixels.tobytes()))
        (made,) = self._preprocess.run({PREPROCESS_INPUT: tensor}, [PREPROCESS_OUTPUT])
        return {self._question.inputs[0].name: made}

    def _numbers(self, inputs: Mapping[str, Tensor]) -> Numbers | None:
        """Return the output, a row of numbers for each row; None where the model cannot run on these inputs."""
        try:
            with deadline.within(RUN_S):
                (tensor,) = self._session.run(inputs, [self._question.output])
        except (OnnxletError, MemoryError) as error:
            self._error = " ".join(str(error).split())
            return None
        numbers = np.frombuffer(tensor.buffer, tensor.datatype.numpy).astype(np.float64)
        width, rows = self._question.width, tensor.shape[0] if tensor.shape else 1
        if len(numbers) != rows * width:
            raise ArtifactError(
                f'output "{self._question.output}": expected {width} numbers in a row, got the shape {tensor.shape}'
            )
        return numbers.reshape(rows, width)


def _shape(spec: TensorSpec, size: int) -> tuple[int, ...]:
    """Return the shape of one row, where free dimensions other than the first have a size."""
    if spec.shape is None or spec.shape == ():
        return () if spec.shape == () else (1,)
    first, *others = spec.shape
    return (
        first if isinstance(first, int) else 1,
        *(other if isinstance(other, int) else size for other in others),
    )


def main(folder: str, first: str) -> None:
    """Run in a child."""
    with suppress(ImportError):  # where there is no such limit
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        _Child(Path(folder)).run(int(first))
    except ArtifactError as error:
        (Path(folder) / REFUSAL).write_text(str(error))
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
