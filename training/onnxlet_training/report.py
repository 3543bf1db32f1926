"""Report: one page about a run that needs no other file."""

import base64
import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from onnxlet_training.page import charts
from onnxlet_training.page.figures import duration, figure, label, percent, size

Record = Mapping[str, Any]
"""The content of `run.json`."""

LEFT_OUT = {"precision", "recall"}
"""Measures without a tile, as the table of classes has them."""

NOTES = {
    "f1": "over all classes",
    "auc": "each class against the rest",
    "calibration_error": "confidence against accuracy",
    "perplexity": "choices at each character",
    "reconstruction_error": "squared, mean over pixels",
    "anomaly_auc": "of a class never trained on",
    "feature_distance": "generated images to real ones",
    "feature_distance_of_real_images": "the least to expect",
    "characters": "different characters",
}
"""A note for each measure's tile."""

MAX_MATRIX = 40
"""The largest number of classes whose matrix can be read."""
STRONG = 0.5
"""The share of its row above which a cell is dark enough for light figures."""
SHORT_LABEL = 3
"""The longest label, in characters, that stands horizontally above a column."""

SERIES = {"training": "", "validation": "val_"}
"""The series of a measure, and the prefix of its name in the history."""
GROUPS = ("validation", "wrong")
"""The kinds of a histogram's groups, in their order."""


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading; the macro of the anchor's name in `sections.html` shows its data."""

    anchor: str
    title: str
    data: Any
    note: str = ""
    """An explanation for the reader."""


def write_report(folder: Path) -> Path:
    """Write `report.html` from `run.json` and the pictures in a run's folder, and return the page's path."""
    record = json.loads((folder / "run.json").read_text("utf-8"))
    templates = jinja2.FileSystemLoader(Path(__file__).with_name("page"))
    environment = jinja2.Environment(
        autoescape=True, loader=templates, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(duration=duration, percent=percent, size=size)
    page = environment.get_template("report.html").render(
        record=record,
        epochs=max(map(len, record["train"]["history"].values()), default=0),
        tiles=list(_tiles(record, folder)),
        sections=list(_sections(record, folder)),
    )
    path = folder / "report.html"
    path.write_text(page, "utf-8")
    return path


def _tiles(record: Record, folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield label, figure and note of each measure on the test split, then of the model's size."""
    evaluation, exports = record["evaluation"], record["export"]
    notes = dict(NOTES)
    if confusion := evaluation.get("confusion"):
        right = sum(row[place] for place, row in enumerate(confusion))
        notes["accuracy"] = f"{right:,} of {sum(map(sum, confusion)):,} test examples"
    for name, value in evaluation.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and name not in LEFT_OUT:
            yield label(name), figure(name, value), notes.get(name, "on the test split")
    if exports and (folder / exports[0]["file"]).is_file():
        yield "model", size((folder / exports[0]["file"]).stat().st_size), exports[0]["file"]


def _sections(record: Record, folder: Path) -> Iterator[Section]:
    """Yield the sections in their order, without those that the run has no data for."""
    evaluation = record["evaluation"]
    yield from _curves(record["train"])
    if evaluation.get("classes"):
        yield from _classes(evaluation, folder)
    yield from _trust(evaluation)
    yield from _creations(evaluation, folder)
    if record.get("variants"):
        note = "Measured in one run and compared with the original; time is a ratio to the original's: less is faster."
        yield Section("variants", "Variants", record["variants"], note)
    if record["export"]:
        yield Section("export", "ONNX", [_file(exported, folder) for exported in record["export"]])
    yield _provenance(record)
    yield Section("repeat", "Run it again", shlex.join(record["command"]))


def _curves(train: Record) -> Iterator[Section]:
    history = train["history"]
    found = []
    for name in (name for name in history if not name.startswith("val_")):
        series = {kind: history[prefix + name] for kind, prefix in SERIES.items() if prefix + name in history}
        chart = charts.curves(name, series, train["best_epoch"])
        if chart is not None:
            found.append((name.replace("_", " "), chart))
    has_validation = any(name.startswith("val_") for name in history)
    key = [("line", kind, kind) for kind in SERIES if kind == "training" or has_validation]
    key.append(("mark", "", "the epoch whose weights were kept"))
    if found:
        yield Section("curves", "Training", {"charts": found, "key": key})


def _classes(evaluation: Record, folder: Path) -> Iterator[Section]:
    classes, counts = evaluation["classes"], evaluation.get("confusion")
    labels = [score["label"] for score in classes]
    if counts and len(counts) <= MAX_MATRIX:
        is_long = max(map(len, labels)) > SHORT_LABEL
        note = "A row for each true class, a column for each predicted one; stronger colours are larger shares."
        data = {"counts": counts, "labels": labels, "is_long": is_long, "strong": STRONG}
        yield Section("confusion", "Confusion", data, note)
    examples = evaluation.get("least_sure", [])
    shown = [{**example, "png": png} for example in examples if (png := _png(folder / example["picture"]))]
    if shown:
        wrong = any(example["predicted"] != example["truth"] for example in examples)
        title = "Worst mistakes" if wrong else "No mistakes; the least certain"
        note = "The test examples whose true class got the lowest probabilities, with the class that was predicted."
        yield Section("mistakes", title, shown, note)
    means = {name: evaluation.get(name) for name in ("precision", "recall", "f1", "auc")}
    total = sum(score["support"] for score in classes)
    yield Section("classes", "Classes", [*classes, {"label": "mean", **means, "support": total}])


def _trust(evaluation: Record) -> Iterator[Section]:
    """Yield the ROC curve and the reliability diagram."""
    points, bins, area, error = (evaluation.get(name) for name in ("roc", "calibration", "auc", "calibration_error"))
    found = []
    if points and area is not None:
        text = "The share of a class that is recognized, against the share of the others that is taken for it."
        found.append((f"ROC, mean of the classes: area {area:.4f}", charts.roc(points), text))
    if bins:
        title = "Calibration" if error is None else f"Calibration: error {percent(error)}"
        text = (
            "The share of correct predictions against their confidence; below the dashed line the model is too "
            "confident. Larger dots are more examples."
        )
        found.append((title, charts.reliability(bins), text))
    if found:
        yield Section("trust", "How far to trust it", found)


def _creations(evaluation: Record, folder: Path) -> Iterator[Section]:
    """Yield what a network drew or wrote."""
    reconstructions, samples = _png(folder / "reconstructions.png"), _png(folder / "samples.png")
    histogram, sample = evaluation.get("score_histogram"), evaluation.get("sample")
    if reconstructions:
        note = "A row of test images, each above the network's reconstruction of it."
        if "anomaly" in evaluation:
            note += f" The lower two rows are of the class {evaluation['anomaly']}, which was kept out of training."
        yield Section("reconstructions", "Reconstructions", reconstructions, note)
    if histogram:
        kinds = dict(zip(histogram["groups"], GROUPS, strict=False))
        shares = {kinds[name]: histogram["groups"][name] for name in kinds}
        chart = charts.histogram("score", histogram["edges"], shares)
        note = "The score of test images, of the classes in training and of the one kept out of it."
        key = [("line", kind, name) for name, kind in kinds.items()]
        yield Section("scores", "Anomaly score", {"chart": chart, "key": key}, note)
    if samples:
        note = "Images that the network generated from random numbers, without any selection."
        yield Section("samples", "Samples", samples, note)
    if sample:
        yield Section("text", "A text", sample, "Written by the network, one character at a time.")


def _file(exported: Record, folder: Path) -> Record:
    path = folder / exported["file"]
    operators = sorted(exported["operators"].items(), key=lambda item: -item[1])
    return {**exported, "operators": operators, "size_bytes": path.stat().st_size if path.is_file() else None}


def _provenance(record: Record) -> Section:
    options, frameworks = record["options"], record["frameworks"]
    facts = [
        ("data", options.get("data") or "the recipe's own"),
        ("SHA-256 of the data", record["data_sha256"]),
        ("seed", options["seed"]),
        ("requested epochs", options.get("epochs")),
        ("code", record.get("git_revision") or "not in a checkout"),
        ("training time", duration(record["train"]["duration_s"])),
        ("backend", frameworks.get("backend")),
    ]
    versions = [(name, version) for name, version in frameworks.items() if name != "backend"]
    return Section("provenance", "Provenance", {"facts": facts, "versions": versions})


def _png(path: Path) -> str | None:
    """Return a PNG file in base64; None if there is no file."""
    return base64.b64encode(path.read_bytes()).decode() if path.is_file() else None
