"""Heads: which output of a classifier fits its labels, and what turns its numbers into probabilities.

The second is found by running the model on made-up rows, never by the name of its last operator: probabilities come out
of casts, quantization, functions, tree ensembles and sums of exponentials, too.
"""

from dataclasses import dataclass, replace

import numpy as np

from onnxlet.contract.declarations import Classification, ImagePreprocess
from onnxlet.contract.tensors import TensorSpec
from onnxlet_publishing import classifier_rows
from onnxlet_publishing.errors import ModelError
from onnxlet_publishing.graph_rewrites import with_joined_columns
from onnxlet_publishing.graphs import is_single_score, preprocess_graph
from onnxlet_publishing.onnx_file import OnnxFile

AUTO = "auto"
"""The activation of a candidate about which nobody has said anything: running it decides."""

FLOATS = ("FP32", "FP64", "FP16")

RANGE_TOLERANCE = 5e-3
"""How far outside of 0 to 1 a probability may be: FP16 and 8 bits have steps of 1/256."""
SUM_TOLERANCE = 1e-2
BATCH_TOLERANCE = 1e-2
"""How far a row's numbers may change with the rows that run next to it."""

PROBABILITIES_MADE_BY = ("Softmax", "Sigmoid", "Normalizer", "TreeEnsembleClassifier", "TreeEnsemble", "ZipMap")
"""Operators that end in probabilities, for a model that cannot run on made-up rows."""


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
        ModelError: no output fits.
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
        ModelError: one of them does not fit.
    """
    output, classes = scores_of(model, classification), len(classification.labels)
    if find_output((output,), classes) is None:
        raise ModelError(
            f'{source}: output "{output.name}": expected floating-point numbers (batch, {classes}) for {classes} '
            f"labels, got {output}"
        )
    if _has_one_of_two(output, classes) and classification.activation == "softmax":
        raise ModelError(
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
        ModelError: ONNX Runtime does not load the model, or the output has another number of classes.
    """
    output = scores_of(model, classification)
    is_single = _has_one_of_two(output, len(classification.labels))
    answer = classifier_rows.run(
        classifier_rows.Question(
            inputs=model.inputs,
            output=output.name,
            width=1 if is_single else len(classification.labels),
            categories=model.categories,
            picture=None if preprocess is None else (preprocess.height, preprocess.width, preprocess.channels),
        ),
        model.data if data is None else data,
        None if preprocess is None else preprocess_graph(preprocess),
    )
    logits = "sigmoid" if is_single else "softmax"
    if not answer.rows.any():
        return _assumed(model.made_by.get(output.name, ""), logits, answer.error)
    return replace(_judge(answer.rows, logits), warning=_dependence(answer.difference))


def _dependence(difference: float) -> str | None:
    """Return what is wrong where a row's numbers depend on the rows next to it; None where nothing is."""
    if difference <= BATCH_TOLERANCE:
        return None
    return (
        f"the numbers of a row depend on the rows next to it ({difference:.2g} apart): a softmax over the wrong axis, "
        "perhaps; answers to several rows at once are not right"
    )


def _assumed(made_by: str, logits: str, error: str) -> Finding:
    why = error or "it gave no finite numbers other than 0"
    activation = "none" if made_by in PROBABILITIES_MADE_BY else logits
    ends = f"the graph ends in {made_by}" if made_by else "the graph does not say how it ends"
    return Finding(
        activation, f"assumed, for {ends}: the model could not run on made-up rows ({why:.200})", is_sure=False
    )


def _judge(numbers: classifier_rows.Numbers, logits: str) -> Finding:
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
