"""Plots: a run's curves and confusion matrix as PNG files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")  # no screen on a training machine

import numpy as np
from matplotlib import pyplot as plt

from training.evaluate import Evaluation

DPI = 120


def write_curves(history: Mapping[str, Sequence[float]], best_epoch: int, path: Path) -> None:
    """Loss and accuracy over the epochs, for the training and the validation split."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for axis, measure in zip(axes, ("loss", "accuracy"), strict=True):
        for name, label in ((measure, "training"), (f"val_{measure}", "validation")):
            axis.plot(range(1, len(history[name]) + 1), history[name], marker=".", label=label)
        axis.axvline(best_epoch, color="grey", linewidth=0.8, linestyle="--", label="kept")
        axis.set(xlabel="epoch", title=measure)
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.savefig(path, dpi=DPI)
    plt.close(figure)


def write_confusion(evaluation: Evaluation, path: Path) -> None:
    """Counts of true against predicted classes."""
    counts = np.array(evaluation.confusion)
    labels = [score.label for score in evaluation.classes]
    figure, axis = plt.subplots(figsize=(5.5, 5), layout="constrained")
    axis.imshow(counts, cmap="Blues")
    axis.set_xticks(range(len(labels)), labels)
    axis.set_yticks(range(len(labels)), labels)
    axis.set(xlabel="predicted", ylabel="true", title=f"test accuracy {evaluation.accuracy:.4f}")
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if count > counts.max() / 2 else "black"
            axis.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=9)
    figure.savefig(path, dpi=DPI)
    plt.close(figure)
