"""Output heads: the output of a classifier that fits its labels, and the activation that makes it probabilities.

The activation is found by running the model on sample rows, not from the name of its last operator, because casts,
quantization, functions, tree ensembles and sums of exponentials give probabilities too.
"""

from dataclasses import dataclass, replace

import numpy as np

from onnxlet.contract.declarations import Classification, ImagePreprocess
from onnxlet.contract.tensors import TensorSpec
from onnxlet_publishing import classifier_rows
from onnxlet_publishing.errors import ModelError
from onnxlet_publishing.graph_rewrites import with_joined_columns
from onnxlet_publishing.graphs import is_single_score
from onnxlet_publishing.onnx_file import OnnxFile
from onnxlet_publishing.picture_graph import preprocess_graph

AUTO = "auto"
"""The activation of a candidate whose user has not declared one: running the model decides."""

FLOATS = ("FP32", "FP64", "FP16")

RANGE_TOLERANCE = 5e-3
"""Largest distance of a probability from the range 0 to 1: FP16 and 8-bit numbers have steps of 1/256."""
SUM_TOLERANCE = 1e-2
BATCH_TOLERANCE = 1e-2
"""Largest change of a row's numbers that other rows in its batch may cause."""

PROBABILITIES_MADE_BY = ("Softmax", "Sigmoid", "Normalizer", "TreeEnsembleClassifier", "TreeEnsemble", "ZipMap")
"""Operators that give probabilities, for a model that cannot run on sample rows."""


@dataclass(frozen=True)
class Finding:
    """The activation that turns an output into probabilities, and the reason for it."""

    activation: str
    reason: str
    is_sure: bool = True
    """Whether running the model showed the activation; otherwise it is assumed."""
    warning: str | None = None
    """A fault of the output that no activation repairs; None if there is no fault."""

    def contradicts(self, classification: Classification) -> bool:
        """Return whether the model gave probabilities although logits are declared, or vice versa."""
        return self.is_sure and (self.activation == "none") != (classification.activation == "none")

    def describe(self, classification: Classification) -> str:
        """Return a line with the declared activation, and the reason for it or against it."""
        declared = classification.activation
        if self.contradicts(classification):
            return f"activation {declared} as declared, although {self.reason}"
        return f"activation {declared}: {self.reason}"


def with_output(
    model: OnnxFile, labels: tuple[str, ...], activation: str, source: str
) -> tuple[OnnxFile, Classification]:
    """Choose the output that fits the labels.

    Returns:
        The model, with an added output if only joined columns fit, and its classification.

    Raises:
        ModelError: No output fits.
    """
    output = find_output(model.outputs, len(labels))
    if output is None:
        columns = _columns(model.outputs, labels)
        if not columns:
            declared = ", ".join(f'"{spec.name}" {spec}' for spec in model.outputs)
            raise ModelError(
                f"{source}: no output fits {len(labels)} labels: expected floating-point numbers (batch, {len(labels)})"
                f", got {declared}"
            )
        data, output = with_joined_columns(model.data, columns)
        model = replace(model, data=data, outputs=(*model.outputs, output))
    is_first = output == model.outputs[0]
    return model, Classification(labels, activation, None if is_first else output.name)


def find_output(outputs: tuple[TensorSpec, ...], classes: int) -> TensorSpec | None:
    """Return the output with a number for each class, or for one of two classes; None if there is no such output."""
    floats = [spec for spec in outputs if spec.datatype.name in FLOATS]
    for fits in (_has_classes, _may_have_classes, _has_one_of_two):
        for spec in floats:
            if fits(spec, classes):
                return spec
    return None


def scores_of(model: OnnxFile, classification: Classification) -> TensorSpec:
    """Return the output of a model that the classification turns into labels."""
    return next(spec for spec in model.outputs if classification.output in {None, spec.name})


def check_output(model: OnnxFile, classification: Classification, source: str) -> None:
    """Refuse an output that does not fit the labels, or an activation that does not fit the output.

    Raises:
        ModelError: The output or the activation does not fit.
    """
    output, classes = scores_of(model, classification), len(classification.labels)
    if find_output((output,), classes) is None:
        raise ModelError(
            f'{source}: output "{output.name}": expected floating-point numbers (batch, {classes}) for {classes} '
            f"labels, got {output}"
        )
    if _has_one_of_two(output, classes) and classification.activation == "softmax":
        raise ModelError(
            f'{source}: output "{output.name}": expected a number for each of two labels for softmax, got {output}: '
            "use sigmoid"
        )


def _has_classes(spec: TensorSpec, classes: int) -> bool:
    return spec.shape is not None and len(spec.shape) == 2 and spec.shape[1] == classes


def _may_have_classes(spec: TensorSpec, _classes: int) -> bool:
    return spec.shape is None or (len(spec.shape) == 2 and isinstance(spec.shape[1], str))


def _has_one_of_two(spec: TensorSpec, classes: int) -> bool:
    return classes == 2 and is_single_score(spec)


def _columns(outputs: tuple[TensorSpec, ...], labels: tuple[str, ...]) -> list[TensorSpec]:
    """Return the outputs that each hold one class's numbers, in the order of the labels; an empty list without them.

    Source: sklearn-onnx, `zipmap="columns"`, which names them by the class, after an i (integers) or an s.
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
    """Find the activation that turns the output of a classifier into probabilities.

    Args:
        model: The model.
        classification: Its labels, and the output that becomes labels.
        preprocess: The preprocessing of images; None if the model does not take images.
        data: Another graph of the same model, to run instead.

    Raises:
        ModelError: ONNX Runtime does not load the model, or the output has another number of classes.
    """
    output = scores_of(model, classification)
    is_single = _has_one_of_two(output, len(classification.labels))
    result = classifier_rows.run(
        classifier_rows.Question(
            inputs=model.inputs,
            output=output.name,
            width=1 if is_single else len(classification.labels),
            categories=model.categories,
            picture=None if preprocess is None else (preprocess.height, preprocess.width, preprocess.channels),
        ),
        model.data if data is None else data,
        None if preprocess is None else preprocess_graph(preprocess, model.inputs[0].datatype),
    )
    logits = "sigmoid" if is_single else "softmax"
    if not result.rows.any():
        return _assumed(model.made_by.get(output.name, ""), logits, result.error)
    return replace(_classify(result.rows, logits), warning=_batch_warning(result.difference))


def _batch_warning(difference: float) -> str | None:
    """Return a warning if a row's numbers depend on the other rows of its batch, else None."""
    if difference <= BATCH_TOLERANCE:
        return None
    return (
        f"the numbers of a row depend on the other rows of its batch ({difference:.2g} apart), perhaps because of a "
        "softmax over the wrong axis: answers to several rows at once are wrong"
    )


def _assumed(made_by: str, logits: str, error: str) -> Finding:
    reason = error or "it gave no finite numbers other than 0"
    activation = "none" if made_by in PROBABILITIES_MADE_BY else logits
    ends = f"the graph ends in {made_by}" if made_by else "the graph does not say how it ends"
    return Finding(
        activation, f"assumed, because {ends}: the model could not run on sample rows ({reason:.200})", is_sure=False
    )


def _classify(numbers: classifier_rows.Numbers, logits: str) -> Finding:
    """Return what rows of finite numbers are: logits, probabilities or independent probabilities."""
    count = len(numbers)
    inside = (numbers >= -RANGE_TOLERANCE) & (numbers <= 1 + RANGE_TOLERANCE)
    if not inside.all():
        outside = int((~inside.all(axis=1)).sum())
        return Finding(logits, f"{outside} of {count} sample rows gave numbers outside 0 to 1, which are logits")
    if numbers.shape[1] == 1:
        return Finding("none", f"{count} of {count} sample rows gave a number from 0 to 1, a probability")
    nonzero = numbers[numbers.any(axis=1)]  # a row of zeros, rounded or underflown, does not show the sum
    is_coarse = len(np.unique(numbers)) <= 257  # 8-bit numbers: each may be half a step off
    tolerance = SUM_TOLERANCE + (numbers.shape[1] / 512 if is_coarse else 0)
    if (np.abs(nonzero.sum(axis=1) - 1) <= tolerance).all():
        return Finding("none", f"{count} of {count} sample rows gave numbers from 0 to 1 that sum to 1, probabilities")
    return Finding(
        "none",
        f"{count} of {count} sample rows gave numbers from 0 to 1 that do not sum to 1, independent probabilities "
        "(sigmoid)",
    )
