"""Plots: a run's figures as PNG files."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")  # no screen on a training machine

import numpy as np
import numpy.typing as npt
from matplotlib import pyplot as plt

DPI = 120


def write_curves(history: Mapping[str, Sequence[float]], best_epoch: int, path: Path) -> None:
    """Each measure over the epochs, for the training and the validation split."""
    measures = [name for name in history if not name.startswith("val_")]
    figure, axes = plt.subplots(
        1, len(measures), figsize=(4.5 * len(measures), 3.5), layout="constrained", squeeze=False
    )
    for axis, measure in zip(axes[0], measures, strict=True):
        for name, label in ((measure, "training"), (f"val_{measure}", "validation")):
            if name in history:
                axis.plot(range(1, len(history[name]) + 1), history[name], marker=".", label=label)
        axis.axvline(best_epoch, color="grey", linewidth=0.8, linestyle="--", label="kept")
        axis.set(xlabel="epoch", title=measure)
        axis.grid(alpha=0.3)
    axes[0][0].legend()
    figure.savefig(path, dpi=DPI)
    plt.close(figure)


def write_confusion(evaluation: Mapping[str, Any], path: Path) -> None:
    """Counts of true against predicted classes, of an evaluation's document."""
    counts = np.array(evaluation["confusion"])
    labels = [score["label"] for score in evaluation["classes"]]
    figure, axis = plt.subplots(figsize=(5.5, 5), layout="constrained")
    axis.imshow(counts, cmap="Blues")
    axis.set_xticks(range(len(labels)), labels)
    axis.set_yticks(range(len(labels)), labels)
    axis.set(xlabel="predicted", ylabel="true", title=f"test accuracy {evaluation['accuracy']:.4f}")
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if count > counts.max() / 2 else "black"
            axis.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=9)
    figure.savefig(path, dpi=DPI)
    plt.close(figure)


def write_series(series: npt.NDArray[Any], path: Path) -> None:
    """A small picture of a series, (time, features)."""
    figure, axis = plt.subplots(figsize=(1.6, 1.6), layout="constrained")
    axis.plot(series, linewidth=1.2)
    axis.set_axis_off()
    figure.savefig(path, dpi=DPI, transparent=True)
    plt.close(figure)


def write_sheet(images: npt.NDArray[np.uint8], columns: int, path: Path) -> None:
    """Images side by side.

    Args:
        images: (count, height, width, channels).
        columns: How many in a row.
        path: The PNG file.
    """
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(columns, rows), layout="constrained", squeeze=False)
    for axis, image in itertools.zip_longest(axes.flat, images):
        axis.set_axis_off()
        if image is not None:
            axis.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255)
    figure.savefig(path, dpi=DPI, transparent=True)
    plt.close(figure)


def write_histogram(groups: Mapping[str, npt.NDArray[Any]], title: str, path: Path) -> None:
    """How a measure is distributed in each of some groups."""
    figure, axis = plt.subplots(figsize=(5.5, 3.5), layout="constrained")
    edges = np.histogram_bin_edges(np.concatenate(list(groups.values())), bins=30)
    for label, values in groups.items():
        axis.hist(values, bins=edges.tolist(), alpha=0.6, density=True, label=label)
    axis.set(xlabel=title, yticks=[])
    axis.legend()
    figure.savefig(path, dpi=DPI)
    plt.close(figure)
