"""Report: a run as one page that needs nothing beside it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onnxlet_training.page import artifact, classes, creations, curves, provenance
from onnxlet_training.page.markup import Html, Section, element, join
from onnxlet_training.page.summary import heading, tiles

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""The page itself forbids what it does not need: scripts, and everything from elsewhere."""


def write_report(folder: Path) -> Path:
    """Write `report.html` from a run's `run.json` and its pictures.

    Args:
        folder: The run's.

    Returns:
        The page.
    """
    record = json.loads((folder / "run.json").read_text("utf-8"))
    path = folder / "report.html"
    path.write_text(_page(record, folder), "utf-8")
    return path


def _sections(record: Mapping[str, Any], folder: Path) -> list[Section]:
    """The parts of the page in their order; those without data are left out."""
    evaluation = record["evaluation"]
    found = [
        curves.section(record["train"]),
        classes.confusion(evaluation),
        classes.mistakes(evaluation, folder),
        classes.scores(evaluation),
        classes.trust(evaluation),
        creations.reconstructions(evaluation, folder),
        creations.scores(evaluation, folder),
        creations.samples(folder),
        creations.text(evaluation),
        artifact.variants(record.get("variants", [])),
        artifact.export(record["export"], folder),
        provenance.section(record),
        provenance.command(record),
    ]
    return [section for section in found if section is not None]


def _page(record: Mapping[str, Any], folder: Path) -> str:
    sections = _sections(record, folder)
    main = element("main", *(section.to_html() for section in sections))
    footer = element("footer", "Made by onnxlet from run.json and the pictures beside it.")
    body = element("body", heading(record), tiles(record, folder), _contents(sections), main, footer)
    return f"<!doctype html>\n{element('html', _head(record), body, lang='en')}\n"


def _head(record: Mapping[str, Any]) -> Html:
    style = Path(__file__).with_name("report.css").read_text("utf-8")
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name_="color-scheme", content="light dark"),
        element("title", f"{record['recipe']}: a training run"),
        element("link", rel="icon", href="data:,"),
        element("style", Html(style)),
    )


def _contents(sections: Sequence[Section]) -> Html:
    links = join(element("a", section.title, href=f"#{section.anchor}") for section in sections)
    return element("nav", links, aria_label="contents")
