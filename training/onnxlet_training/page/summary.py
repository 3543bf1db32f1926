"""The summary: what was trained, and its figures at a glance."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnxlet_training.page.markup import Html, element, join

LABELS = {
    "f1": "mean F1",
    "auc": "mean AUC",
    "anomaly_auc": "anomaly AUC",
    "feature_distance_of_real_images": "feature distance, real",
    "characters": "alphabet",
}
"""The names of measures that are not their own in words."""

NOTES = {
    "f1": "over all classes",
    "auc": "each class against the rest",
    "calibration_error": "confidence against accuracy",
    "perplexity": "choices at each character",
    "reconstruction_error": "squared, mean over pixels",
    "anomaly_auc": "of a class never trained on",
    "feature_distance": "made images to real ones",
    "feature_distance_of_real_images": "the least to expect",
    "characters": "different characters",
}

LEFT_OUT = {"precision", "recall"}
"""Measures that stand in a table further down."""

SHARES = {"accuracy", "calibration_error"}
"""Measures shown in percent."""


def heading(record: Mapping[str, Any]) -> Html:
    """The title, and how it came about in a line."""
    train, backend = record["train"], record["frameworks"].get("backend")
    epochs = max(map(len, train["history"].values()), default=0)
    facts = [f"{epochs} {'epoch' if epochs == 1 else 'epochs'} in {duration(train['duration_s'])}"]
    facts += [f"on {backend}"] if backend else []
    text = f"{' '.join(facts)}; the weights of epoch {train['best_epoch']} were kept."
    is_fast = record["options"].get("fast")
    warning = element("p", "A fast run: little data and few epochs, to see that everything works.", class_="warning")
    return element(
        "header",
        element("p", "Training run · ", element("b", record["recipe"]), class_="eyebrow"),
        element("h1", record.get("title") or record["recipe"]),
        element("p", text, class_="lead"),
        warning if is_fast else "",
    )


def tiles(record: Mapping[str, Any], folder: Path) -> Html:
    """The measures on the test split, then the size of the model."""
    evaluation = record["evaluation"]
    found = [
        _tile(LABELS.get(name, name.replace("_", " ")), _figure(name, value), _note(name, evaluation))
        for name, value in evaluation.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and name not in LEFT_OUT
    ]
    path = folder / record["export"][0]["file"] if record["export"] else folder
    if path.is_file():
        found.append(_tile("model", size(path.stat().st_size), path.name))
    return element("div", *found, class_="tiles")


def duration(seconds: float) -> str:
    """In the unit in which it is read: `4.5 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(size_bytes: int) -> str:
    """As files are spoken of: `142.8 kB`."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= scale:
            return f"{size_bytes / scale:.1f} {unit}"
    return f"{size_bytes} bytes"


def percent(share: float) -> str:
    """With two decimals, but never a round 100 for less than all."""
    rounded = round(share * 100, 2)
    return f"{min(rounded, 99.99) if share < 1 else rounded:.4g} %"


def _tile(label: str, figure: str, note: str) -> Html:
    return element(
        "div",
        element("span", label, class_="label"),
        element("span", figure, class_="figure"),
        element("span", note, class_="small"),
        class_="tile",
    )


def _figure(name: str, value: float) -> str:
    if name in SHARES and math.isfinite(value):
        return percent(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}" if 0.001 <= abs(value) < 10 else f"{value:.4g}"


def _note(name: str, evaluation: Mapping[str, Any]) -> Html | str:
    confusion = evaluation.get("confusion")
    if name == "accuracy" and confusion:
        right = sum(row[place] for place, row in enumerate(confusion))
        return join([f"{right:,} of {sum(map(sum, confusion)):,} test examples"])
    return NOTES.get(name, "on the test split")
