"""Report: a run as one page that needs nothing beside it: measures, curves, examples, variants, provenance."""

import base64
import json
import shlex
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from training import charts

TILES = {
    "accuracy": "test accuracy",
    "f1": "mean F1",
    "auc": "mean AUC",
    "calibration_error": "calibration error",
    "perplexity": "perplexity",
    "reconstruction_error": "reconstruction error",
    "anomaly_auc": "anomaly AUC",
    "feature_distance": "feature distance",
    "feature_distance_of_real_images": "between real images",
}
"""The measures that are shown large, in this order."""

PICTURES = {
    "reconstructions.png": "Test images, and what the network makes of them",
    "scores.png": "How strange the network finds what it has seen and what it has not",
    "samples.png": "Images that the network made",
}
MAX_CLASSES = 30
"""Of a confusion matrix that can still be read."""


def write_report(folder: Path) -> Path:
    """Write `report.html` from a run's `run.json` and its pictures.

    Returns:
        The page.
    """
    record = json.loads((folder / "run.json").read_text())
    evaluation = record["evaluation"]
    parts = [
        _tiles(evaluation),
        _pair(*_curves(record["train"])),
        _pair(_confusion(evaluation), _calibration(evaluation)),
        _classes(evaluation),
        _examples(evaluation, folder),
        *(_picture(folder / name, title) for name, title in PICTURES.items()),
        _sample(evaluation),
        _variants(record.get("variants", [])),
        _provenance(record),
        _section("Run it again", f"<pre>{escape(shlex.join(record['command']))}</pre>"),
    ]
    style = Path(__file__).with_name("report.css").read_text()
    title = f"{record['recipe']}: a training run"
    path = folder / "report.html"
    path.write_text(
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body><main>"
        f'<h1>{escape(record["title"])}</h1><p class="lead">{escape(_lead(record))}</p>'
        f"{''.join(parts)}</main></body></html>\n"
    )
    return path


def _lead(record: Mapping[str, Any]) -> str:
    train = record["train"]
    epochs = len(next(iter(train["history"].values())))
    framework = record["frameworks"].get("backend", "")
    course = f"{epochs} epochs in {train['duration_s']:.0f} s on {framework}, epoch {train['best_epoch']} kept"
    return f"Recipe {record['recipe']}, {course}"


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _pair(*sections: str) -> str:
    """Sections side by side where the page is wide enough."""
    found = [section for section in sections if section]
    return f'<div class="pair">{"".join(found)}</div>' if found else ""


def _tiles(evaluation: Mapping[str, Any]) -> str:
    found = [
        f'<div class="tile"><b>{evaluation[name]:.4g}</b><span>{label}</span></div>'
        for name, label in TILES.items()
        if isinstance(evaluation.get(name), int | float)
    ]
    return f'<div class="tiles">{"".join(found)}</div>'


def _curves(train: Mapping[str, Any]) -> list[str]:
    """A chart for each measure, training and validation together."""
    history = train["history"]
    sections = []
    for name in (name for name in history if not name.startswith("val_")):
        series = {"training": history[name]}
        if f"val_{name}" in history:
            series["validation"] = history[f"val_{name}"]
        colours = zip(series, ("first", "second"), strict=False)
        key = "".join(f'<i style="background:var(--{colour})"></i>{label}' for label, colour in colours)
        chart = charts.lines(series, train["best_epoch"])
        sections.append(_section(name.capitalize(), f'{chart}<p class="key">{key}, the kept epoch dashed</p>'))
    return sections


def _confusion(evaluation: Mapping[str, Any]) -> str:
    counts = evaluation.get("confusion")
    if not counts or len(counts) > MAX_CLASSES:
        return ""
    labels = [escape(each["label"]) for each in evaluation["classes"]]
    head = "<tr><th></th>" + "".join(f"<th>{label}</th>" for label in labels) + "</tr>"
    rows = "".join(f"<tr><th>{label}</th>{_cells(row)}</tr>" for label, row in zip(labels, counts, strict=True))
    table = f'<div class="scroll"><table class="matrix">{head}{rows}</table></div>'
    return _section("Confusion", f'{table}<p class="key">Rows are true classes, columns what was predicted.</p>')


def _cells(row: Sequence[int]) -> str:
    total = sum(row) or 1
    cells = []
    for count in row:
        strong = ' class="strong"' if count / total > 0.55 else ""
        cells.append(f'<td{strong} style="--share:{count / total:.3f}">{count or ""}</td>')
    return "".join(cells)


def _calibration(evaluation: Mapping[str, Any]) -> str:
    bins = evaluation.get("calibration")
    if not bins:
        return ""
    points = [(each["confidence"], each["accuracy"], each["count"]) for each in bins]
    note = '<p class="key">On the dashed line a confidence keeps its word; larger dots hold more examples.</p>'
    return _section("Calibration", charts.reliability(points) + note)


def _classes(evaluation: Mapping[str, Any]) -> str:
    classes = evaluation.get("classes")
    if not classes:
        return ""
    rows = [
        [each["label"], *(_figure(each[name]) for name in ("precision", "recall", "f1", "auc")), str(each["support"])]
        for each in classes
    ]
    return _section("Classes", _table(["class", "precision", "recall", "F1", "AUC", "test examples"], rows))


def _examples(evaluation: Mapping[str, Any], folder: Path) -> str:
    """The test examples of whose true class the network was least sure."""
    figures = []
    for each in evaluation.get("least_sure", []):
        path = folder / each["picture"]
        if not path.exists():
            continue
        is_right = each["predicted"] == each["truth"]
        verdict = f'<span class="{"yes" if is_right else "no"}">{escape(each["predicted"])}</span>'
        caption = f"{verdict} {each['probability']:.3f}<br>is {escape(each['truth'])}"
        figures.append(f'<figure><img src="{_data(path)}" alt=""><figcaption>{caption}</figcaption></figure>')
    return (
        _section("Worst mistakes and least sure", f'<div class="examples">{"".join(figures)}</div>') if figures else ""
    )


def _picture(path: Path, title: str) -> str:
    if not path.exists():
        return ""
    return _section(title, f'<div class="wide"><img src="{_data(path)}" alt="{escape(title, quote=True)}"></div>')


def _sample(evaluation: Mapping[str, Any]) -> str:
    text = evaluation.get("sample")
    return _section("A text that the network wrote", f"<pre>{escape(text)}</pre>") if text else ""


def _variants(variants: Sequence[Mapping[str, Any]]) -> str:
    if not variants:
        return ""
    rows = [
        [
            each["name"],
            f"{each['size_bytes']:,}",
            f"{each['zipped_bytes']:,}",
            _figure(each["accuracy"]),
            f"{each['latency_ratio']:.2f}",
            "published" if each["is_kept"] else "left out",
            each["reason"],
        ]
        for each in variants
    ]
    head = ["variant", "bytes", "zipped", "accuracy", "time for one row", "", "why"]
    return _section("Variants, measured in one run", _table(head, rows, text_columns=(6,)))


def _provenance(record: Mapping[str, Any]) -> str:
    facts = {
        "data, SHA-256": record["data_sha256"],
        "seed": record["options"]["seed"],
        "code": record["git_revision"] or "not in a checkout",
        **{f"version of {name}": version for name, version in record["frameworks"].items() if name != "backend"},
    }
    for each in record["export"]:
        operators = ", ".join(f"{count} {name}" for name, count in each["operators"].items())
        facts[each["file"]] = f"within {each['max_difference']:.2g} of the network; {operators}"
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items())
    return _section("Where it comes from", f"<dl>{items}</dl>")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], text_columns: tuple[int, ...] = ()) -> str:
    def cell(tag: str, column: int, text: str) -> str:
        kind = ' class="text"' if column in text_columns else ""
        return f"<{tag}{kind}>{escape(text)}</{tag}>"

    lines = [[cell("th", column, text) for column, text in enumerate(head)]]
    lines += [[cell("td", column, text) for column, text in enumerate(row)] for row in rows]
    body = "".join("<tr>" + "".join(line) + "</tr>" for line in lines)
    return f'<div class="scroll"><table>{body}</table></div>'


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _data(path: Path) -> str:
    """A picture inside of the page."""
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
