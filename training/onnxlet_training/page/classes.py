"""The classes: which are taken for which, how sure a classifier may be, and where it was most wrong."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onnxlet_training import charts
from onnxlet_training.page.markup import Html, Section, element, picture, table
from onnxlet_training.page.summary import percent

MAX_MATRIX = 40
"""Classes; the matrix of more cannot be read."""
STRONG = 0.5
"""From this share of its row on, a cell is dark enough for light figures."""
SHORT_LABEL = 3
"""Characters; longer labels stand upright above a column."""


def confusion(evaluation: Mapping[str, Any]) -> Section | None:
    """True against predicted classes."""
    counts, classes = evaluation.get("confusion"), evaluation.get("classes")
    if not counts or not classes or len(counts) > MAX_MATRIX:
        return None
    labels = [each["label"] for each in classes]
    is_long = max(map(len, labels)) > SHORT_LABEL
    rows = [
        [
            element("th", label, scope="row"),
            *(_cell(count, sum(row), place == column) for column, count in enumerate(row)),
        ]
        for place, (label, row) in enumerate(zip(labels, counts, strict=True))
    ]
    matrix = table(["", *labels], rows, "matrix upright" if is_long else "matrix")
    note = "A row for each true class, a column for each predicted one; the stronger, the larger its share of the row."
    return Section("confusion", "Confusion", element("div", matrix, class_="panel"), note)


def scores(evaluation: Mapping[str, Any]) -> Section | None:
    """Precision, recall, F1 and AUC of each class, and their means."""
    classes = evaluation.get("classes")
    if not classes:
        return None
    names = ("precision", "recall", "f1", "auc")
    rows = [_score(each["label"], [each[name] for name in names], each["support"]) for each in classes]
    means = _score("mean", [evaluation.get(name) for name in names], sum(each["support"] for each in classes))
    body = table(["class", "precision", "recall", "F1", "AUC", "count"], [*rows, means], "scores")
    return Section("classes", "Classes", element("div", body, class_="panel"))


def trust(evaluation: Mapping[str, Any]) -> Section | None:
    """The ROC curve and the reliability diagram, side by side."""
    points, bins, area = (evaluation.get(name) for name in ("roc", "calibration", "auc"))
    found = []
    if points and area is not None:
        title = f"ROC, mean of the classes: area {area:.4f}"
        found.append(
            _chart(
                title,
                charts.roc([(x, y) for x, y in points]),
                "The share of a class that is found, against the share of the others that is taken for it.",
            )
        )
    if bins:
        error = evaluation.get("calibration_error")
        title = "Calibration" if error is None else f"Calibration: error {percent(error)}"
        chart = charts.reliability([(each["confidence"], each["accuracy"], each["count"]) for each in bins])
        text = "How many were right, against how sure it was; below the dashed line it was too sure."
        found.append(_chart(title, chart, f"{text} Larger dots hold more examples."))
    return Section("trust", "How sure it may be", element("div", *found, class_="charts")) if found else None


def mistakes(evaluation: Mapping[str, Any], folder: Path) -> Section | None:
    """The test examples of whose true class the network was least sure, as pictures."""
    examples = evaluation.get("least_sure", [])
    found = [_example(each, folder / each["picture"]) for each in examples if (folder / each["picture"]).is_file()]
    if not found:
        return None
    wrong = sum(each["predicted"] != each["truth"] for each in examples)
    title = "Worst mistakes" if wrong else "No mistakes; the least sure"
    note = "Test examples of whose true class it was least sure, the worst first: what it said, and how sure it was."
    return Section("mistakes", title, element("div", *found, class_="examples"), note)


def _cell(count: int, total: int, is_right: bool) -> Html:
    share = count / total if total else 0.0
    kind = ["right" if is_right else "wrong"] + (["strong"] if share > STRONG else [])
    return element("td", str(count) if count else "", class_=" ".join(kind), style=f"--share:{share:.3f}")


def _score(label: str, values: Sequence[float | None], support: int) -> list[Html]:
    cells = [element("td", "-" if value is None else f"{value:.4f}", style=_bar(value)) for value in values]
    return [element("th", label, scope="row"), *cells, element("td", f"{support:,}")]


def _bar(value: float | None) -> str | None:
    return None if value is None else f"--share:{value:.3f}"


def _chart(title: str, chart: Html, text: str) -> Html:
    return element("figure", element("figcaption", title), chart, element("p", text, class_="small"), class_="panel")


def _example(example: Mapping[str, Any], path: Path) -> Html:
    truth, predicted = example["truth"], example["predicted"]
    is_right = truth == predicted
    said = element("b", predicted, class_="good" if is_right else "bad")
    caption = element(
        "figcaption",
        element("span", said, " ", element("span", f"{example['probability']:.0%}", class_="small")),
        element("span", "right" if is_right else "is ", "" if is_right else element("b", truth), class_="small"),
    )
    return element("figure", picture(path, f"{truth}, predicted {predicted}"), caption)
