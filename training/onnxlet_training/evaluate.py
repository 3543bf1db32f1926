"""Evaluate: the quality of a classifier on data that training never saw."""

from typing import Any

import numpy as np
import numpy.typing as npt

from onnxlet_training.recipe import Labels

Probabilities = npt.NDArray[np.float32]
"""Probabilities, (count, classes)."""

CALIBRATION_BINS = 10
ROC_POINTS = 51


METRICS = ("accuracy", "precision", "recall", "f1", "auc", "calibration_error")
"""The measures that are figures of the manifest, if they are known."""


def evaluate(probabilities: Probabilities, truth: Labels, labels: tuple[str, ...]) -> dict[str, Any]:
    """Compare predictions with the true classes, and return all measures, as `run.json` keeps them.

    - `precision`, `recall`, `f1`, `auc`: means over the classes; `auc` is None if only one class occurs.
    - `calibration_error`: the mean gap between confidence and accuracy, in [0, 1] (Naeini et al. 2015).
    - `classes`: the scores of each class against all others; its `support` is its number of test examples.
    - `confusion`: the counts of test examples; rows are true classes, columns are predicted ones.
    - `calibration`: groups of predictions of about the same confidence.
    - `roc`: the mean ROC curve of the classes: false and true positive rates of each against all others; may be empty.
    """
    from sklearn import metrics  # takes seconds, which a command that is refused need not wait

    predicted = probabilities.argmax(axis=1)
    classes = np.arange(len(labels))
    figures = metrics.precision_recall_fscore_support(truth, predicted, labels=classes, zero_division=0)
    areas = [_auc(probabilities[:, index], truth == index) for index in classes]
    scores = [
        {
            "label": label,
            "precision": float(precision),
            "recall": float(recall),
            "f1": float(f1),
            "auc": area,
            "support": int(support),
        }
        for label, area, precision, recall, f1, support in zip(labels, areas, *figures, strict=True)
    ]
    known_areas = [area for area in areas if area is not None]
    bins = _calibration(probabilities.max(axis=1), predicted == truth)
    gaps = sum(group["count"] * abs(group["confidence"] - group["accuracy"]) for group in bins)
    return {
        "accuracy": float(metrics.accuracy_score(truth, predicted)),
        **{name: float(np.mean(values)) for name, values in zip(("precision", "recall", "f1"), figures, strict=False)},
        "auc": float(np.mean(known_areas)) if known_areas else None,
        "calibration_error": gaps / len(truth),
        "classes": scores,
        "confusion": metrics.confusion_matrix(truth, predicted, labels=classes).tolist(),
        "calibration": bins,
        "roc": _roc(probabilities, truth),
    }


def _auc(scores: npt.NDArray[np.float32], is_class: npt.NDArray[np.bool_]) -> float | None:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(is_class, scores)) if is_class.any() and not is_class.all() else None


def _roc(probabilities: Probabilities, truth: Labels) -> list[tuple[float, float]]:
    """Return the mean of the classes' ROC curves at fixed false positive rates; empty with one class only."""
    from sklearn.metrics import roc_curve

    rates = np.linspace(0, 1, ROC_POINTS)
    curves = [
        np.interp(rates, *roc_curve(truth == index, probabilities[:, index])[:2])
        for index in np.unique(truth)
        if (truth != index).any()
    ]
    if not curves:
        return []
    means = np.mean(curves, axis=0)
    return [(0.0, 0.0), *zip(rates.tolist(), means.tolist(), strict=True)]


def _calibration(confidence: npt.NDArray[np.float32], is_right: npt.NDArray[np.bool_]) -> list[dict[str, float]]:
    """Group predictions by confidence into bins of equal width, without empty bins."""
    places = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    return [
        {
            "confidence": float(confidence[inside].mean()),
            "accuracy": float(is_right[inside].mean()),
            "count": int(inside.sum()),
        }
        for inside in (places == place for place in range(CALIBRATION_BINS))
        if inside.any()
    ]
