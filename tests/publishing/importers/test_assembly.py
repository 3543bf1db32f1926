"""What an importer found and what the user says instead become a candidate, or an error that names the option."""

from pathlib import Path
from typing import Any

import onnx
import pytest

from onnxlet.contract.declarations import ImagePreprocess
from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.importers import find, read
from onnxlet_publishing.importers.assembly import Import, assemble
from onnxlet_publishing.importers.settings import Findings, Found, Overrides, found_labels
from onnxlet_publishing.onnx_file import read_onnx
from tests.helpers import graphs

LABELS = tuple(map(str, range(graphs.CLASSES)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    onnx.save(graphs.classifier(), tmp_path / "digits.onnx")
    return tmp_path / "digits.onnx"


def imported(file: Path, settings: dict[str, Found], **overrides: Any) -> Import:
    (source,) = find(str(file))
    return assemble("digits", source, read_onnx(file), Findings("a drawing", settings), Overrides(**overrides))


def test_a_found_declaration_is_used_and_its_lines_name_the_options(file: Path) -> None:
    preprocess = ImagePreprocess(28, 28, 1)
    settings = {
        "task": Found("image-classification", "the name"),
        "labels": found_labels(LABELS, "names"),
        "preprocess": Found(preprocess, "imgsz", "28 x 28 grey"),
    }
    result = imported(file, settings)
    assert result.candidate.preprocess == preprocess
    assert result.candidate.classification is not None
    assert result.candidate.classification.labels == LABELS
    assert result.lines == (
        "a drawing",
        "task: image-classification (the name; --task)",
        "labels: 10 (0, 1, 2, 3, ...) (names; --labels)",
        "preprocess: 28 x 28 grey (imgsz; --preprocess)",
    )


def test_the_users_files_override_what_was_found(file: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("\n".join(f"digit {label}" for label in LABELS))
    (tmp_path / "image.json").write_text('{"height": 28, "width": 28, "channels": 1, "scale": 1.0}')
    settings = {"labels": found_labels(LABELS, "names"), "preprocess": Found(ImagePreprocess(28, 28, 1), "imgsz")}
    result = imported(file, settings, labels=tmp_path / "labels.txt", preprocess=tmp_path / "image.json")
    assert result.candidate.classification is not None
    assert result.candidate.classification.labels[0] == "digit 0"
    assert result.candidate.preprocess == ImagePreprocess(28, 28, 1, scale=1.0)
    assert result.lines == ("a drawing",)


def test_a_task_that_lacks_a_declaration_names_its_option(file: Path) -> None:
    with pytest.raises(UsageError, match="--labels: the task image-classification needs a file"):
        imported(file, {}, task="image-classification")
    with pytest.raises(UsageError, match="--preprocess: the task image-classification needs a file"):
        imported(file, {"labels": found_labels(LABELS, "names")}, task="image-classification")
    with pytest.raises(UsageError, match="--tokenizer: the task fill-mask needs the model's tokenizer"):
        imported(file, {}, task="fill-mask")


def test_an_unknown_task_is_refused_with_those_that_are_known(file: Path) -> None:
    with pytest.raises(UsageError, match=r"--task: expected one of image-classification, .*, got 'sentiment'"):
        imported(file, {}, task="sentiment")


def test_an_option_that_nothing_uses_is_refused(file: Path) -> None:
    (source,) = find(str(file))
    with pytest.raises(UsageError, match="--pooling: expected an option that a model without a task uses"):
        read(source, overrides=Overrides(pooling="mean"))
    with pytest.raises(UsageError, match="--normalize/--no-normalize: expected an option"):
        read(source, overrides=Overrides(normalize=False))
