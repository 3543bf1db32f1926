"""Heads: which output of a classifier fits its labels, and what turns its numbers into probabilities.

The second is found by running the model on made-up rows, never by the name of its last operator: probabilities come out
of casts, quantization, functions, tree ensembles and sums of exponentials, too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from onnxlet.contract import tensors
from onnxlet.contract.manifest import PREPROCESS_INPUT, PREPROCESS_OUTPUT, Classification, ImagePreprocess
from onnxlet.contract.tensors import Tensor, TensorSpec
from onnxlet.errors import ArtifactError, InferenceError
from onnxlet.session import open_session
from training.graphs import is_single_score, preprocess_graph, to_tensor
from training.onnx_file import OnnxFile
from training.rewrite import with_joined_columns

if TYPE_CHECKING:
    from onnxlet.session import Session

AUTO = "auto"
"""The activation of a candidate about which nobody has said anything: running it decides."""

FLOATS = ("FP32", "FP64", "FP16")

ROWS = 40
"""How many made-up rows decide."""
ATTEMPTS = 200
"""How many are tried until there are so many: a row of words that a table does not know fails."""
TOGETHER = 8
"""How many rows run alone and as one batch."""
SCALES = (1.0, 0.0, 1e-2, 10.0, 1e-1, 100.0, 1e3)
"""Of the made-up numbers: small ones hide what large ones show, and the other way round."""
INTEGERS = (0, 1, 2, 5, 10)
WORDS = ("", "a", "one two three", "0", "1")
FREE_SIZES = (1, 8, 32, 224)
"""What is tried for the dimensions that a request decides, other than that of rows."""

RANGE_TOLERANCE = 5e-3
"""How far outside of 0 to 1 a probability may be: FP16 and 8 bits have steps of 1/256."""
SUM_TOLERANCE = 1e-2
BATCH_TOLERANCE = 1e-2
"""How far a row's numbers may change with the rows that run next to it."""

PROBABILITIES_MADE_BY = ("Softmax", "Sigmoid", "Normalizer", "TreeEnsembleClassifier", "TreeEnsemble", "ZipMap")
"""Operators that end in probabilities, for a model that cannot run on made-up rows."""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Finding:
    """What turns a head's numbers into probabilities, and how that is known."""

    activation: str
    reason: str
    is_sure: bool = True
    """Whether the model ran, so that nothing was assumed."""
    warning: str | None = None
    """What is wrong with the head, whatever the activation is."""

    def contradicts(self, classification: Classification) -> bool:
        """Return whether the model gave probabilities where scores are declared, or the other way round."""
        return self.is_sure and (self.activation == "none") != (classification.activation == "none")

    def describe(self, classification: Classification) -> str:
        """Return the activation of a classification with the reason for it, or against it."""
        declared = classification.activation
        if self.contradicts(classification):
            return f"activation {declared} as declared, although {self.reason}"
        return f"activation {declared}: {self.reason}"


def with_output(
    model: OnnxFile, labels: tuple[str, ...], activation: str, source: str
) -> tuple[OnnxFile, Classification]:
    """Choose the output that fits the labels.

    Returns:
        The model, with an output that joins columns if only columns fit, and its classification.

    Raises:
        ArtifactError: no output fits.
    """
    output = find_output(model.outputs, len(labels))
    if output is None:
        columns = _columns(model.outputs, labels)
        if not columns:
            declared = ", ".join(f'"{spec.name}" {spec}' for spec in model.outputs)
            raise ArtifactError(
                f"{source}: no output fits {len(labels)} labels: expected floating-point numbers (batch, {len(labels)})"
                f", got {declared}"
            )
        data, output = with_joined_columns(model.data, columns)
        model = replace(model, data=data, outputs=(*model.outputs, output))
    is_first = output == model.outputs[0]
    return model, Classification(labels, activation, None if is_first else output.name)


def find_output(outputs: tuple[TensorSpec, ...], classes: int) -> TensorSpec | None:
    """Return the output that has a number for each class, or of two classes for one; None where no output has."""
    floats = [spec for spec in outputs if spec.datatype.name in FLOATS]
    for fits in (_has_classes, _may_have_classes, _has_one_of_two):
        for spec in floats:
            if fits(spec, classes):
                return spec
    return None


def scores_of(model: OnnxFile, classification: Classification) -> TensorSpec:
    """Return the output that becomes labels."""
    return next(spec for spec in model.outputs if classification.output in {None, spec.name})


def check_output(model: OnnxFile, classification: Classification, source: str) -> None:
    """Refuse an output that does not fit the labels, or an activation that does not fit the output.

    Raises:
        ArtifactError: one of them does not fit.
    """
    output, classes = scores_of(model, classification), len(classification.labels)
    if find_output((output,), classes) is None:
        raise ArtifactError(
            f'{source}: output "{output.name}": expected floating-point numbers (batch, {classes}) for {classes} '
            f"labels, got {output}"
        )
    if _has_one_of_two(output, classes) and classification.activation == "softmax":
        raise ArtifactError(
            f'{source}: output "{output.name}": softmax needs a number for each of two labels, got {output}: '
            "take sigmoid"
        )


def _has_classes(spec: TensorSpec, classes: int) -> bool:
    return spec.shape is not None and len(spec.shape) == 2 and spec.shape[1] == classes


def _may_have_classes(spec: TensorSpec, _classes: int) -> bool:
    return spec.shape is None or (len(spec.shape) == 2 and isinstance(spec.shape[1], str))


def _has_one_of_two(spec: TensorSpec, classes: int) -> bool:
    return classes == 2 and is_single_score(spec)


def _columns(outputs: tuple[TensorSpec, ...], labels: tuple[str, ...]) -> list[TensorSpec]:
    """Return the outputs that hold one class's numbers each, in the order of the labels; none where that is not so.

    Source: sklearn-onnx, `zipmap="columns"`, which calls them by the class with an i (integers) or an s before it.
    """
    columns = [spec for spec in outputs if spec.datatype.name in FLOATS and is_single_score(spec)]
    if len(columns) != len(labels) or len({spec.datatype for spec in columns}) != 1:
        return []
    for start in (0, 1):
        by_class = {spec.name[start:]: spec for spec in columns}
        if set(by_class) == set(labels):
            return [by_class[label] for label in labels]
    return columns


def decide(
    model: OnnxFile,
    classification: Classification,
    preprocess: ImagePreprocess | None = None,
    data: bytes | None = None,
) -> Finding:
    """Find out what turns the numbers of a classifier's head into probabilities.

    Args:
        model: The model.
        classification: Its labels, and the output that becomes labels.
        preprocess: How images become its input, where they do.
        data: Another graph of the same model, instead of its own.

    Raises:
        ArtifactError: ONNX Runtime does not load the model, or the output has another number of classes.
    """
    head = _Head(model, classification, preprocess, open_session(model.data if data is None else data))
    numbers = head.rows()
    if not any(row.any() for row in numbers):
        return _assumed(model.made_by.get(head.output, ""), head.name_of_logits, head.last_error)
    finding = _judge(np.concatenate(numbers), head.name_of_logits)
    return replace(finding, warning=head.dependence())


def _assumed(made_by: str, logits: str, error: str) -> Finding:
    why = error or "it gave no finite numbers other than 0"
    activation = "none" if made_by in PROBABILITIES_MADE_BY else logits
    ends = f"the graph ends in {made_by}" if made_by else "the graph does not say how it ends"
    return Finding(
        activation, f"assumed, for {ends}: the model could not run on made-up rows ({why:.200})", is_sure=False
    )


def _judge(numbers: Numbers, logits: str) -> Finding:
    """Tell what rows of finite numbers are."""
    count = len(numbers)
    inside = (numbers >= -RANGE_TOLERANCE) & (numbers <= 1 + RANGE_TOLERANCE)
    if not inside.all():
        outside = int((~inside.all(axis=1)).sum())
        return Finding(logits, f"{outside} of {count} made-up rows gave numbers outside of 0 to 1, which are logits")
    if numbers.shape[1] == 1:
        return Finding("none", f"{count} of {count} made-up rows gave a number from 0 to 1, a probability")
    spoken = numbers[numbers.any(axis=1)]  # a row of zeros, rounded or underflown, says nothing of the sum
    is_coarse = len(np.unique(numbers)) <= 257  # 8 bits: each number may be half a step off
    tolerance = SUM_TOLERANCE + (numbers.shape[1] / 512 if is_coarse else 0)
    if (np.abs(spoken.sum(axis=1) - 1) <= tolerance).all():
        return Finding("none", f"{count} of {count} made-up rows gave numbers from 0 to 1 that sum to 1, probabilities")
    return Finding(
        "none",
        f"{count} of {count} made-up rows gave numbers from 0 to 1 that do not sum to 1, independent probabilities "
        "(sigmoid)",
    )


class _Head:
    """A classifier's output, on made-up rows."""

    def __init__(
        self, model: OnnxFile, classification: Classification, preprocess: ImagePreprocess | None, session: "Session"
    ) -> None:
        self._inputs = model.inputs
        self._session = session
        self._classes = len(classification.labels)
        self._random = np.random.default_rng(0)
        self._words = [value for value in model.categories if isinstance(value, str)] or WORDS
        self._integers = [value for value in model.categories if isinstance(value, int)] or INTEGERS
        self._free_size = FREE_SIZES[0]
        self._preprocess = preprocess
        self._pixels_session = None if preprocess is None else open_session(preprocess_graph(preprocess))
        spec = scores_of(model, classification)
        self.output = spec.name
        self.name_of_logits = "sigmoid" if _has_one_of_two(spec, self._classes) else "softmax"
        self.last_error = ""
        """Why the last row that failed did so."""

    def rows(self) -> list[Numbers]:
        """Return the finite numbers of made-up rows, each run alone; fewer than `ROWS` where most rows fail."""
        self._choose_free_size()
        found: list[Numbers] = []
        for inputs in islice(self._questions(), ATTEMPTS):
            numbers = self._run(inputs)
            if numbers is not None and np.isfinite(numbers).all():
                found.append(numbers)
            if len(found) == ROWS:
                break
        return found

    def dependence(self) -> str | None:
        """Return what is wrong where a row's numbers depend on the rows next to it; None where nothing is.

        The rows are of one scale: what dynamic quantization rounds depends on the largest number of all.
        """
        if not all(spec.shape and isinstance(spec.shape[0], str) for spec in self._inputs):
            return None
        rows = [self._question(SCALES[0]) for _ in range(TOGETHER)]
        apart = [self._run(row) for row in rows]
        together = self._run({spec.name: tensors.join([row[spec.name] for row in rows]) for spec in self._inputs})
        if together is None or any(numbers is None for numbers in apart):
            return None
        alone = np.concatenate([numbers for numbers in apart if numbers is not None])
        if together.shape != alone.shape:
            return None
        finite = np.isfinite(alone) & np.isfinite(together)
        difference = np.abs(together - alone)[finite] / np.maximum(1, np.abs(alone[finite]))
        if difference.max(initial=0) <= BATCH_TOLERANCE:
            return None
        return (
            f"the numbers of a row depend on the rows next to it ({difference.max():.2g} apart): a softmax over the "
            "wrong axis, perhaps; answers to several rows at once are not right"
        )

    def _choose_free_size(self) -> None:
        for self._free_size in FREE_SIZES:
            if self._run(self._question(SCALES[0])) is not None:
                return
        self._free_size = FREE_SIZES[0]

    def _questions(self) -> Iterator[dict[str, Tensor]]:
        """Make rows up without end: pictures where images are taken, and tensors of several scales."""
        while True:
            for scale in SCALES:
                yield self._question(scale)
                if self._preprocess is not None:
                    yield self._picture(self._preprocess)

    def _question(self, scale: float) -> dict[str, Tensor]:
        return {spec.name: self._made_up(spec, scale) for spec in self._inputs}

    def _made_up(self, spec: TensorSpec, scale: float) -> Tensor:
        first, *others = spec.shape or (1,)
        sizes = [first if isinstance(first, int) else 1]
        sizes += [size if isinstance(size, int) else self._free_size for size in others]
        shape = () if spec.shape == () else tuple(sizes)
        if spec.datatype.name == "BYTES":
            words = self._random.choice(np.array(self._words, object), shape)
            return tensors.from_values(spec.name, spec.datatype, shape, [str(word) for word in np.ravel(words)])
        return to_tensor(np.asarray(self._numbers(spec, shape, scale)).astype(spec.datatype.numpy))

    def _numbers(self, spec: TensorSpec, shape: tuple[int, ...], scale: float) -> npt.NDArray[Any]:
        if spec.datatype.name == "BOOL":
            return self._random.integers(0, 2, shape)
        if spec.datatype.name not in FLOATS:
            return self._random.choice(np.array(self._integers, np.int64), shape)
        is_signed = self._random.random() < 0.7  # pictures and counts are not
        return scale * (self._random.normal(size=shape) if is_signed else self._random.random(shape))

    def _picture(self, declaration: ImagePreprocess) -> dict[str, Tensor]:
        """A picture of one colour, of noise, or between."""
        assert self._pixels_session is not None, "the caller has looked"
        shape = (1, declaration.height, declaration.width, declaration.channels)
        low, high = sorted(self._random.integers(0, 256, 2))
        pixels = self._random.integers(low, high + 1, shape, np.uint8)
        (tensor,) = self._pixels_session.run({PREPROCESS_INPUT: to_tensor(pixels)}, [PREPROCESS_OUTPUT])
        return {self._inputs[0].name: tensor}

    def _run(self, inputs: Mapping[str, Tensor]) -> Numbers | None:
        """Return the head's numbers, a row for each; None where the model cannot run on these inputs."""
        try:
            (tensor,) = self._session.run(inputs, [self.output])
        except InferenceError as error:
            self.last_error = " ".join(str(error).split())
            return None
        numbers = np.frombuffer(tensor.buffer, tensor.datatype.numpy).astype(np.float64)
        classes = 1 if self.name_of_logits == "sigmoid" else self._classes
        rows = tensor.shape[0] if tensor.shape else 1
        if len(numbers) != rows * classes:
            raise ArtifactError(
                f'output "{self.output}": expected {classes} numbers in a row for {self._classes} labels, '
                f"got the shape {tensor.shape}"
            )
        return numbers.reshape(rows, classes)
