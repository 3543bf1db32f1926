"""Evaluate: the quality of a classifier on data that training never saw."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support, roc_auc_score, roc_curve

from onnxlet_training.recipe import Labels

Probabilities = npt.NDArray[np.float32]
"""Probabilities, (count, classes)."""

CALIBRATION_BINS = 10
ROC_POINTS = 51


@dataclass(frozen=True)
class ClassScore:
    """The scores of one class against all others."""

    label: str
    precision: float
    recall: float
    f1: float
    auc: float | None
    """The area under the ROC curve; None if the examples are all of this class, or none of them."""
    support: int
    """The number of test examples of this class."""


@dataclass(frozen=True)
class CalibrationBin:
    """Predictions of about the same confidence, with the share of correct ones as accuracy."""

    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True)
class Evaluation:
    """A classifier's measures on the test split; precision, recall, F1 and AUC are means over the classes."""

    accuracy: float
    precision: float
    recall: float
    f1: float
    auc: float | None
    calibration_error: float
    """The expected calibration error (Naeini et al. 2015): the mean gap between confidence and accuracy, in [0, 1]."""
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    """The counts of test examples; rows are true classes, columns are predicted ones."""
    calibration: tuple[CalibrationBin, ...]
    roc: tuple[tuple[float, float], ...]
    """The mean ROC curve of the classes: false and true positive rates of each against all others; may be empty."""

    def metrics(self) -> dict[str, float]:
        """Return the figures of the manifest."""
        names = ("accuracy", "precision", "recall", "f1", "auc", "calibration_error")
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value is not None}

    def to_document(self) -> dict[str, Any]:
        """Return all measures, as `run.json` keeps them."""
        return asdict(self)


def evaluate(probabilities: Probabilities, truth: Labels, labels: tuple[str, ...]) -> Evaluation:
    """Compare predictions with the true classes."""
    predicted = probabilities.argmax(axis=1)
    classes = np.arange(len(labels))
    figures = precision_recall_fscore_support(truth, predicted, labels=classes, zero_division=0)
    areas = [_auc(probabilities[:, index], truth == index) for index in classes]
    scores = tuple(
        ClassScore(label, float(precision), float(recall), float(f1), area, int(support))
        for label, area, precision, recall, f1, support in zip(labels, areas, *figures, strict=True)
    )
    precision, recall, f1 = (float(np.mean(values)) for values in figures[:3])
    known_areas = [area for area in areas if area is not None]
    bins = _calibration(probabilities.max(axis=1), predicted == truth)
    matrix = confusion_matrix(truth, predicted, labels=classes)
    return Evaluation(
        accuracy=float(accuracy_score(truth, predicted)),
        precision=precision,
        recall=recall,
        f1=f1,
        auc=float(np.mean(known_areas)) if known_areas else None,
        calibration_error=sum(group.count * abs(group.confidence - group.accuracy) for group in bins) / len(truth),
        classes=scores,
        confusion=tuple(tuple(int(count) for count in row) for row in matrix),
        calibration=bins,
        roc=_roc(probabilities, truth),
    )


def _auc(scores: npt.NDArray[np.float32], is_class: npt.NDArray[np.bool_]) -> float | None:
    return float(roc_auc_score(is_class, scores)) if is_class.any() and not is_class.all() else None


def _roc(probabilities: Probabilities, truth: Labels) -> tuple[tuple[float, float], ...]:
    """Return the mean of the classes' ROC curves at fixed false positive rates; empty with one class only."""
    rates = np.linspace(0, 1, ROC_POINTS)
    curves = [
        np.interp(rates, *roc_curve(truth == index, probabilities[:, index])[:2])
        for index in np.unique(truth)
        if (truth != index).any()
    ]
    if not curves:
        return ()
    means = np.mean(curves, axis=0)
    return ((0.0, 0.0), *((float(rate), float(mean)) for rate, mean in zip(rates, means, strict=True)))


def _calibration(confidence: npt.NDArray[np.float32], is_right: npt.NDArray[np.bool_]) -> tuple[CalibrationBin, ...]:
    """Group predictions by confidence into bins of equal width, without empty bins."""
    places = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    return tuple(
        CalibrationBin(float(confidence[inside].mean()), float(is_right[inside].mean()), int(inside.sum()))
        for inside in (places == place for place in range(CALIBRATION_BINS))
        if inside.any()
    )
