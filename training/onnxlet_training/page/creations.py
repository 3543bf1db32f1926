"""Creations: what a network drew or wrote."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnxlet_training import charts
from onnxlet_training.page.curves import key
from onnxlet_training.page.markup import Html, Section, element, picture

KINDS = ("validation", "wrong")
"""The classes of a histogram's groups, in their order."""


def reconstructions(evaluation: Mapping[str, Any], folder: Path) -> Section | None:
    """Test images, and what the network makes of them."""
    path = folder / "reconstructions.png"
    if not path.is_file():
        return None
    body = element("div", picture(path, "test images above their reconstructions", "sheet"), class_="panel")
    note = "A row of test images, and below each what the network made of it."
    if "anomaly" in evaluation:
        note += f" The lower two rows are of the class {evaluation['anomaly']}, which was kept out of training."
    return Section("reconstructions", "Reconstructions", body, note)


def scores(evaluation: Mapping[str, Any], folder: Path) -> Section | None:
    """How strange the network finds what it has seen in training, and what it has not."""
    found, path = evaluation.get("score_histogram"), folder / "scores.png"
    if found:
        groups = found["groups"]
        kinds = dict(zip(groups, KINDS, strict=False))
        body = charts.histogram("score", found["edges"], {kinds[name]: groups[name] for name in kinds})
        body = Html(key(*(("line", kind, name) for name, kind in kinds.items())) + body)
    elif path.is_file():
        body = picture(path, "distribution of the scores", "sheet")
    else:
        return None
    note = "The score of test images of the classes that were trained on, and of the one that was not."
    return Section("scores", "Anomaly score", element("div", body, class_="panel"), note)


def samples(folder: Path) -> Section | None:
    """Images that the network made of random numbers."""
    path = folder / "samples.png"
    if not path.is_file():
        return None
    body = element("div", picture(path, "images made of random numbers", "sheet"), class_="panel")
    return Section(
        "samples", "Samples", body, "Images that the network made of random numbers; none is picked by hand."
    )


def text(evaluation: Mapping[str, Any]) -> Section | None:
    """A text that the network wrote."""
    sample = evaluation.get("sample")
    if not sample:
        return None
    body = element("blockquote", sample, class_="panel")
    return Section("text", "A text", body, "Written by the network, one character after another.")
