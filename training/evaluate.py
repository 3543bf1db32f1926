"""Evaluate: how good a classifier is on data that training never saw."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from training.recipe import Labels

Probabilities = npt.NDArray[np.float32]
"""(count, classes)"""


@dataclass(frozen=True)
class ClassScore:
    """How well one class is told from the others."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    """Test examples of this class."""


@dataclass(frozen=True)
class Evaluation:
    """A classifier's measures on the test split; precision, recall and F1 are means over the classes."""

    accuracy: float
    precision: float
    recall: float
    f1: float
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Rows are true classes, columns predicted ones."""

    def metrics(self) -> dict[str, float]:
        """The figures that a manifest keeps."""
        return {"accuracy": self.accuracy, "precision": self.precision, "recall": self.recall, "f1": self.f1}

    def to_document(self) -> dict[str, Any]:
        """Everything, as `run.json` keeps it."""
        return asdict(self)


def evaluate(probabilities: Probabilities, truth: Labels, labels: tuple[str, ...]) -> Evaluation:
    """Hold predictions against the truth."""
    predicted = probabilities.argmax(axis=1)
    classes = np.arange(len(labels))
    figures = precision_recall_fscore_support(truth, predicted, labels=classes, zero_division=0)
    scores = tuple(
        ClassScore(label, float(precision), float(recall), float(f1), int(support))
        for label, precision, recall, f1, support in zip(labels, *figures, strict=True)
    )
    precision, recall, f1 = (float(np.mean(values)) for values in figures[:3])
    matrix = confusion_matrix(truth, predicted, labels=classes)
    confusion = tuple(tuple(int(count) for count in row) for row in matrix)
    return Evaluation(float(accuracy_score(truth, predicted)), precision, recall, f1, scores, confusion)
