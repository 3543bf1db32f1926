"""The curves: how each measure went over the epochs."""

from collections.abc import Mapping
from typing import Any

from onnxlet_training import charts
from onnxlet_training.page.markup import Html, Section, element

KINDS = {"training": "", "validation": "val_"}
"""The series of a measure, and what stands before its name in the history."""


def section(train: Mapping[str, Any]) -> Section | None:
    """A chart for each measure."""
    history = train["history"]
    found = []
    for name in (name for name in history if not name.startswith("val_")):
        series = {kind: history[prefix + name] for kind, prefix in KINDS.items() if prefix + name in history}
        chart = charts.curves(name, series, train["best_epoch"])
        if chart is not None:
            found.append(element("figure", element("figcaption", name.replace("_", " ")), chart, class_="panel"))
    if not found:
        return None
    body = element("div", *found, class_="charts")
    return Section("curves", "Training", Html(_key(history) + body))


def _key(history: Mapping[str, Any]) -> Html:
    has_validation = any(name.startswith("val_") for name in history)
    marks = [("line", "training", "training")]
    marks += [("line", "validation", "validation")] if has_validation else []
    return key(*marks, ("mark", "", "the epoch whose weights were kept"))


def key(*marks: tuple[str, str, str]) -> Html:
    """What the lines of a chart are: for each its shape, its kind and its name."""
    items = [element("li", element("i", class_=f"{shape} {kind}".strip()), name) for shape, kind, name in marks]
    return element("ul", *items, class_="key")
