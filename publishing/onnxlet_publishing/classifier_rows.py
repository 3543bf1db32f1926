"""Sample rows: a child process runs a classifier on made-up rows, whose numbers show the classifier's activation.

The child imports neither onnx nor a framework, so that it is ready soon.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxlet.contract import json_tensors, tensors
from onnxlet.contract.declarations import PREPROCESS_INPUT, PREPROCESS_OUTPUT
from onnxlet.contract.tensors import DATATYPES, Tensor, TensorSpec
from onnxlet.errors import ArtifactError, OnnxletError
from onnxlet.limits import deadline
from onnxlet.session import open_session
from onnxlet_publishing import child_process
from onnxlet_publishing.child_process import MODEL, ResultCache
from onnxlet_publishing.errors import ModelError

PREPROCESS, QUESTION, NUMBERS, LAST_ROW, RESULT, REFUSAL = (
    "preprocess.onnx",
    "question.json",
    "numbers",
    "last-row",
    "result.json",
    "refusal",
)
"""The files through which the two processes communicate, in addition to `MODEL`."""

ROWS = 40
"""Rows that decide."""
MAX_ATTEMPTS = 200
"""Rows tried until `ROWS` of them ran: a row of words that a table does not know fails."""
BATCH_ROWS = 8
"""Rows that run one by one and as one batch, to compare the two."""
MAX_CHILDREN = 4
"""Children started until one reaches the end: each continues after the row that ended the one before."""
PATIENCE_S = 600.0
"""Time for one child."""
RUN_S = 60.0
"""Time for one run of the model."""

SCALES = (1.0, 0.0, 1e-2, 10.0, 1e-1, 100.0, 1e3)
"""Scales of the sample numbers: small numbers hide what large ones show, and vice versa."""
SIGNED_SHARE = 0.7
"""Share of the numeric inputs that get negative numbers too: pictures and counts have none."""
INTEGERS = (0, 1, 2, 5, 10)
WORDS = ("", "a", "one two three", "0", "1")
FREE_SIZES = (1, 8, 32, 224, 16_000)
"""Sizes tried for free dimensions other than the batch: numbers, tokens, pictures, and a second of sound."""
MAX_ELEMENTS = 10_000_000
"""Largest number of elements of a sample input that has free dimensions."""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Question:
    """The declarations of a classifier that a child needs."""

    inputs: Sequence[TensorSpec]
    output: str
    width: int
    """Number of values that the output has for each row."""
    categories: Sequence[str | int] = ()
    """Values that the graph was made for, if it lists them."""
    picture: tuple[int, int, int] | None = None
    """Height, width and channels of the pictures that become the input; None if the input is not made of pictures."""

    def to_json(self) -> str:
        """Return the document that the child reads."""
        return json.dumps({**asdict(self), "inputs": child_process.specs_to_json(self.inputs)})

    @classmethod
    def from_json(cls, text: str) -> "Question":
        """Read the document that the parent process sent."""
        document = json.loads(text)
        return cls(inputs=child_process.specs_from_json(document.pop("inputs")), **document)


@dataclass(frozen=True)
class RowsResult:
    """The numbers that a classifier gave for sample rows."""

    rows: Numbers
    """The finite numbers of rows that ran one by one, (rows, width); at most `ROWS` rows."""
    error: str = ""
    """Why the last row that failed did so."""
    difference: float = 0.0
    """Largest relative difference between a row's numbers and those of the same row in a batch."""


_results: ResultCache[RowsResult] = ResultCache()


def run(question: Question, model: bytes, preprocess: bytes | None) -> RowsResult:
    """Run sample rows in a child process.

    Args:
        question: The classifier.
        model: The classifier's graph.
        preprocess: The graph that makes the classifier's input of pictures, if it takes pictures.

    Raises:
        ModelError: ONNX Runtime does not load the graph, or the output has another width.
    """
    document = question.to_json()

    def run_children() -> RowsResult:
        with TemporaryDirectory() as path:
            folder = Path(path)
            (folder / MODEL).write_bytes(model)
            (folder / QUESTION).write_text(document)
            if preprocess is not None:
                (folder / PREPROCESS).write_bytes(preprocess)
            return _run_children(folder, question.width)

    return _results.get(model, (document, preprocess), run_children)


def _run_children(folder: Path, width: int) -> RowsResult:
    """Start children until one reaches the end."""
    first, reason = 0, ""
    for _ in range(MAX_CHILDREN):
        status = _run_child(folder, first)
        if status is None:
            reason = f"it did not end in {PATIENCE_S:.0f} s"
            break
        if status > 0:
            refusal = folder / REFUSAL
            raise ModelError(refusal.read_text() if refusal.exists() else child_process.last_words(folder))
        if status == 0:
            break
        reason = f"it ends the process, with signal {-status}"
        first = int((folder / LAST_ROW).read_text() or 0) + 1 if (folder / LAST_ROW).exists() else MAX_ATTEMPTS
    data = (folder / NUMBERS).read_bytes() if (folder / NUMBERS).exists() else b""
    row_bytes = 8 * width
    data = data[: len(data) // row_bytes * row_bytes]
    document = json.loads((folder / RESULT).read_text()) if (folder / RESULT).exists() else {"error": reason}
    return RowsResult(np.frombuffer(data, np.float64).reshape(-1, width), **document)


def _run_child(folder: Path, first: int) -> int | None:
    """Run a child from the row `first` to its end; return its exit status, or None if it took too long."""
    with child_process.start(__name__, folder, str(first)) as child:
        try:
            return child.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            return None


class _Child:
    """The child's side: it runs rows, and writes the result of each to a file before the next."""

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
        """Run rows from the one with the number `first`, then some of them as one batch."""
        file_path = self._folder / NUMBERS
        left = ROWS - (file_path.stat().st_size // (8 * self._question.width) if file_path.exists() else 0)
        with file_path.open("ab") as file:
            for number in range(first, MAX_ATTEMPTS):
                if left == 0:
                    break
                (self._folder / LAST_ROW).write_text(str(number))
                numbers = self._attempt(number)
                if numbers is not None and np.isfinite(numbers).all():
                    file.write(numbers.tobytes())
                    file.flush()
                    left -= len(numbers)
        (self._folder / LAST_ROW).write_text(str(MAX_ATTEMPTS))
        difference = self._difference() if first <= MAX_ATTEMPTS else 0.0
        (self._folder / RESULT).write_text(json.dumps({"error": self._error, "difference": difference}))

    def _attempt(self, number: int) -> Numbers | None:
        """Run one row, a picture or tensors; the same number gives the same row."""
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
        """Return how far the numbers of single rows are from those of the same rows in one batch.

        All rows have one scale: dynamic quantization rounds by the largest number of the whole batch.
        """
        inputs = self._question.inputs
        if self._free_size is None or not all(spec.shape and isinstance(spec.shape[0], str) for spec in inputs):
            return 0.0
        random = np.random.default_rng(MAX_ATTEMPTS)
        rows = [self._row(random, SCALES[0], self._free_size) for _ in range(BATCH_ROWS)]
        parts = [numbers for row in rows if (numbers := self._numbers(row)) is not None]
        batch = self._numbers({spec.name: tensors.join([row[spec.name] for row in rows]) for spec in inputs})
        if batch is None or len(batch) != len(parts):
            return 0.0
        single = np.concatenate(parts)
        finite = np.isfinite(single) & np.isfinite(batch)
        difference = np.abs(batch - single)[finite] / np.maximum(1, np.abs(single[finite]))
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
            words = [self._words[index] for index in random.integers(0, len(self._words), prod(shape))]
            return json_tensors.from_values(spec.name, spec.datatype, shape, words)
        if name.startswith("FP"):
            is_signed = random.random() < SIGNED_SHARE
            values = scale * (random.normal(size=shape) if is_signed else random.random(shape))
        elif name == "BOOL":
            values = random.integers(0, 2, shape)
        else:
            values = random.choice(np.array(self._integers, np.int64), shape)
        return Tensor(spec.datatype, shape, memoryview(np.asarray(values).astype(spec.datatype.numpy).tobytes()))

    def _picture(self, random: np.random.Generator) -> dict[str, Tensor]:
        """Make the input of a random picture: of one colour, of noise, or something between."""
        assert self._preprocess is not None, "the caller has checked it"
        assert self._question.picture is not None, "it came with the preprocess graph"
        low, high = sorted(random.integers(0, 256, 2))
        shape = (1, *self._question.picture)
        pixels = random.integers(low, high + 1, shape, np.uint8)
        tensor = Tensor(DATATYPES["UINT8"], shape, memoryview(pixels.tobytes()))
        (model_input,) = self._preprocess.run({PREPROCESS_INPUT: tensor}, [PREPROCESS_OUTPUT])
        return {self._question.inputs[0].name: model_input}

    def _numbers(self, inputs: Mapping[str, Tensor]) -> Numbers | None:
        """Return the output, (rows, width); None if the model cannot run on these inputs."""
        try:
            with deadline.within(RUN_S):
                (tensor,) = self._session.run(inputs, [self._question.output])
        except (OnnxletError, MemoryError) as error:
            self._error = " ".join(str(error).split())
            return None
        numbers = np.frombuffer(tensor.buffer, tensor.datatype.numpy).astype(np.float64)
        width, rows = self._question.width, tensor.shape[0] if tensor.shape else 1
        if len(numbers) != rows * width:
            raise ModelError(
                f'output "{self._question.output}": expected {width} numbers in a row, got the shape {tensor.shape}'
            )
        return numbers.reshape(rows, width)


def _shape(spec: TensorSpec, size: int) -> tuple[int, ...]:
    """Return the shape of one row; free dimensions other than the first get `size`."""
    if spec.shape is None or spec.shape == ():
        return () if spec.shape == () else (1,)
    first, *others = spec.shape
    return (
        first if isinstance(first, int) else 1,
        *(other if isinstance(other, int) else size for other in others),
    )


def main(folder: str, first: str) -> None:
    """Run the child's side."""
    child_process.forbid_core_dumps()
    try:
        _Child(Path(folder)).run(int(first))
    except (ArtifactError, ModelError) as error:
        (Path(folder) / REFUSAL).write_text(str(error))
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
