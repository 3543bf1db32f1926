import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from onnxlet_training.report import write_report

HOSTILE = "</style><script>alert(\"x\")</script><img src='//evil' onerror=x>&"
VOID = {"img", "link", "meta"}


class Page(HTMLParser):
    """The parts of a page, in which every element must be closed by its own tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.references: list[str] = []
        self.anchors: set[str] = set()
        self.headings: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.references += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "action", "data"}]
        self.anchors |= {value or "" for name, value in attrs if name == "id"}
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def png() -> bytes:
    file = io.BytesIO()
    Image.new("L", (2, 2), 90).save(file, "PNG")
    return file.getvalue()


def record(**evaluation: Any) -> dict[str, Any]:
    return {
        "recipe": "digits",
        "title": "Handwritten digits",
        "command": ["onnxlet", "train", "digits", "--out", "a folder"],
        "options": {"data": None, "epochs": None, "seed": 7, "fast": False},
        "data_sha256": "ab" * 32,
        "frameworks": {"python": "3.11.7", "backend": "tensorflow", "keras": "3.15.1"},
        "git_revision": None,
        "train": {"duration_s": 200.0, "best_epoch": 2, "history": {"loss": [1.0, 0.5], "val_loss": [0.9, 0.6]}},
        "evaluation": evaluation,
        "export": [{"file": "model.onnx", "max_difference": 3e-7, "operators": {"Conv": 2, "Relu": 1}}],
        "variants": [],
    }


def classifier(label: str = "a") -> dict[str, Any]:
    score = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "auc": None, "support": 4}
    return {
        "accuracy": 0.875,
        "precision": 0.5,
        "recall": 0.5,
        "f1": 0.5,
        "auc": 0.75,
        "calibration_error": 0.05,
        "classes": [{**score, "label": label}, {**score, "label": "b"}],
        "confusion": [[3, 1], [0, 4]],
        "calibration": [{"confidence": 0.8, "accuracy": 0.75, "count": 8}],
        "roc": [[0.0, 0.0], [0.0, 0.8], [1.0, 1.0]],
        "least_sure": [
            {"position": 3, "picture": "examples/0.png", "truth": label, "predicted": "b", "probability": 0.93}
        ],
    }


def variant(**changes: Any) -> dict[str, Any]:
    original = {"name": "fp32", "size_bytes": 4000, "zipped_bytes": 3600, "accuracy": 0.875, "latency_ratio": 1.0}
    return {**original, "is_kept": True, "reason": "the original", **changes}


def write(folder: Path, document: dict[str, Any]) -> tuple[str, Page]:
    (folder / "run.json").write_text(json.dumps(document))
    path = write_report(folder)
    assert path == folder / "report.html"
    text = path.read_text("utf-8")
    return text, Page(text)


def write_example(folder: Path) -> None:
    (folder / "examples").mkdir()
    (folder / "examples/0.png").write_bytes(png())


def test_a_classifiers_page_has_all_of_its_sections(tmp_path: Path) -> None:
    write_example(tmp_path)
    int8 = variant(name="int8", size_bytes=1000, latency_ratio=1.2, accuracy=0.87, is_kept=False, reason="not faster")
    text, page = write(tmp_path, {**record(**classifier()), "variants": [variant(), int8]})
    assert page.headings == [
        "Training",
        "Confusion",
        "Worst mistakes",
        "Classes",
        "How far to trust it",
        "Variants",
        "ONNX",
        "Provenance",
        "Run it again",
    ]
    for words in ("87.5 %", "7 of 8 test examples", "4.0 times smaller", "-0.50 points", "not faster", "93%"):
        assert words in page.texts
    for words in ("ab" * 32, "not in a checkout", "3 min 20 s", "within 3e-07", "keras", "3.15.1"):
        assert words in text
    assert "onnxlet train digits --out 'a folder'" in page.texts


@pytest.mark.parametrize(
    ("picture", "heading"),
    [("samples.png", "Samples"), ("reconstructions.png", "Reconstructions")],
)
def test_a_picture_of_the_run_is_inside_of_the_page(tmp_path: Path, picture: str, heading: str) -> None:
    (tmp_path / picture).write_bytes(png())
    _, page = write(tmp_path, record())
    assert heading in page.headings
    assert any(reference.startswith("data:image/png;base64,iVBOR") for reference in page.references)


def test_scores_in_the_record_are_drawn_in_the_pages_colours(tmp_path: Path) -> None:
    (tmp_path / "scores.png").write_bytes(png())
    groups = {"seen in training": [0.75, 0.25], "never seen": [0.0, 1.0]}
    histogram = {"edges": [0.0, 10.0, 20.0], "groups": groups}
    _, page = write(tmp_path, record(anomaly="0", score_histogram=histogram))
    assert {"seen in training", "never seen"} <= set(page.texts)
    assert "img" not in page.tags


def test_a_text_is_shown_as_it_was_written(tmp_path: Path) -> None:
    _, page = write(tmp_path, record(perplexity=4.5, sample="two\nlines"))
    assert "two\nlines" in page.texts
    assert "4.5000" in page.texts


def test_what_there_is_nothing_to_say_of_is_left_out(tmp_path: Path) -> None:
    _, page = write(tmp_path, record(perplexity=12.0))
    assert page.headings == ["Training", "ONNX", "Provenance", "Run it again"]


def test_a_fast_run_says_that_it_is_one(tmp_path: Path) -> None:
    document = record()
    assert "warning" not in re.sub("<style>.*</style>", "", write(tmp_path, document)[0], flags=re.DOTALL)
    document["options"]["fast"] = True
    assert any(text.startswith("A fast run") for text in write(tmp_path, document)[1].texts)


def test_nothing_of_the_record_becomes_markup(tmp_path: Path) -> None:
    write_example(tmp_path)
    document = {
        **record(**classifier(HOSTILE), sample=HOSTILE, anomaly=HOSTILE),
        "recipe": HOSTILE,
        "title": HOSTILE,
        "command": ["onnxlet", HOSTILE],
        "options": {"data": HOSTILE, "epochs": None, "seed": 7, "fast": True},
        "data_sha256": HOSTILE,
        "git_revision": HOSTILE,
        "frameworks": {"backend": HOSTILE, HOSTILE: HOSTILE},
        "export": [{"file": "model.onnx", "max_difference": 0.0, "operators": {HOSTILE: 1}}],
        "variants": [variant(name=HOSTILE, reason=HOSTILE)],
    }
    document["train"]["history"] = {HOSTILE: [1.0, 2.0]}
    text, page = write(tmp_path, document)
    assert "<script" not in text
    assert not page.tags & {"script", "iframe", "object", "base", "form"}
    assert all(reference.startswith(("data:", "#")) for reference in page.references)
    assert page.texts.count(HOSTILE) >= 8


def test_the_page_refers_to_nothing_but_itself(tmp_path: Path) -> None:
    write_example(tmp_path)
    text, page = write(tmp_path, {**record(**classifier()), "variants": [variant()]})
    assert all(reference.startswith(("data:", "#")) for reference in page.references)
    assert {reference[1:] for reference in page.references if reference.startswith("#")} == page.anchors
    assert not re.search(r"https?:|@import|url\(", text)
    assert "default-src 'none'" in text.replace("&#x27;", "'")


def test_a_loss_that_is_no_number_leaves_a_gap_and_not_an_error(tmp_path: Path) -> None:
    document = record()
    document["train"]["history"] = {"loss": [1.0, float("nan"), 0.5], "other": [float("inf")] * 3}
    text, page = write(tmp_path, document)
    assert "Training" in page.headings
    assert 'points="nan' not in text
    assert ",nan" not in text


def test_one_epoch_is_enough(tmp_path: Path) -> None:
    document = record()
    document["train"].update(best_epoch=1, history={"loss": [0.0]})
    _, page = write(tmp_path, document)
    assert any(text.startswith("1 epoch in") for text in page.texts)


def test_a_matrix_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    count = 41
    score = {"precision": 1.0, "recall": 1.0, "f1": 1.0, "auc": 1.0, "support": 1}
    classes = [{**score, "label": str(index)} for index in range(count)]
    confusion = [[int(row == column) for column in range(count)] for row in range(count)]
    _, page = write(tmp_path, record(accuracy=1.0, classes=classes, confusion=confusion))
    assert "Confusion" not in page.headings
    assert "Classes" in page.headings


def test_a_run_without_validation_has_no_line_for_it_in_the_key(tmp_path: Path) -> None:
    document = record()
    assert "validation" in write(tmp_path, document)[1].texts
    document["train"]["history"] = {"loss": [1.0, 0.5]}
    _, page = write(tmp_path, document)
    assert "training" in page.texts
    assert "validation" not in page.texts
