import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from training.report import write_report

HOSTILE = '<script>alert("x")</script>'
VOID = {"meta", "img", "br", "line", "polyline", "circle"}


class Balanced(HTMLParser):
    """Every tag is closed by its own, and what pages refer to is remembered."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.headings: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def png() -> bytes:
    file = io.BytesIO()
    Image.new("L", (2, 2), 90).save(file, "PNG")
    return file.getvalue()


def record(**evaluation: Any) -> dict[str, Any]:
    return {
        "recipe": "digits",
        "title": HOSTILE,
        "command": ["onnxlet", "train", "digits", "--out", HOSTILE],
        "options": {"seed": 7},
        "data_sha256": "ab" * 32,
        "frameworks": {"backend": "tensorflow", "keras": "3"},
        "git_revision": None,
        "train": {"duration_s": 3.0, "best_epoch": 2, "history": {"loss": [1.0, 0.5], "val_loss": [0.9, 0.6]}},
        "evaluation": evaluation,
        "export": [{"file": "model.onnx", "max_difference": 3e-7, "operators": {"Conv": 2}}],
        "variants": [],
    }


CLASSIFIER = {
    "accuracy": 0.75,
    "confusion": [[3, 1], [0, 4]],
    "classes": [
        {"label": label, "precision": 0.5, "recall": 0.5, "f1": 0.5, "auc": None, "support": 4}
        for label in (HOSTILE, "b")
    ],
    "calibration": [{"confidence": 0.8, "accuracy": 0.75, "count": 8}],
    "least_sure": [{"picture": "examples/0.png", "truth": HOSTILE, "predicted": "b", "probability": 0.9}],
}
VARIANT = {
    "name": "int8",
    "size_bytes": 1000,
    "zipped_bytes": 900,
    "accuracy": 0.74,
    "latency_ratio": 0.5,
    "is_kept": True,
    "reason": "2.0 times as fast",
}


def write(folder: Path, document: dict[str, Any]) -> tuple[str, Balanced]:
    (folder / "run.json").write_text(json.dumps(document))
    page = write_report(folder).read_text()
    parsed = Balanced()
    parsed.feed(page)
    assert parsed.open == []
    return page, parsed


def test_a_classifiers_page_has_all_of_its_sections(tmp_path: Path) -> None:
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples/0.png").write_bytes(png())
    page, parsed = write(tmp_path, {**record(**CLASSIFIER), "variants": [VARIANT]})
    assert parsed.headings == [
        "Loss",
        "Confusion",
        "Calibration",
        "Classes",
        "Worst mistakes and least sure",
        "Variants, measured in one run",
        "Where it comes from",
        "Run it again",
    ]
    for words in ("0.75", "test accuracy", "2.0 times as fast", "ab" * 32, "2 Conv", "epoch 2 kept"):
        assert words in page


@pytest.mark.parametrize(
    ("picture", "heading"),
    [
        ("samples.png", "Images that the network made"),
        ("scores.png", "How strange the network finds what it has seen and what it has not"),
        ("reconstructions.png", "Test images, and what the network makes of them"),
    ],
)
def test_a_picture_of_the_run_is_inside_of_the_page(tmp_path: Path, picture: str, heading: str) -> None:
    (tmp_path / picture).write_bytes(png())
    _, parsed = write(tmp_path, record())
    assert heading in parsed.headings
    assert all(source.startswith("data:image/png;base64,") for source in parsed.sources)


def test_what_there_is_nothing_to_say_of_is_left_out(tmp_path: Path) -> None:
    _, parsed = write(tmp_path, record(perplexity=12.0))
    assert parsed.headings == ["Loss", "Where it comes from", "Run it again"]


def test_nothing_of_the_record_becomes_markup_and_nothing_is_fetched(tmp_path: Path) -> None:
    page, _ = write(tmp_path, {**record(**CLASSIFIER, sample=HOSTILE), "variants": [{**VARIANT, "reason": HOSTILE}]})
    assert "<script" not in page
    assert not re.search(r"https?://", page)
