"""The choice of an importer: what a path is, who recognises it, and what happens if several do."""

from pathlib import Path

import pytest

from onnxlet_publishing import importers
from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.importers import find, read
from onnxlet_publishing.importers.settings import Findings
from onnxlet_publishing.importers.source import Source
from onnxlet_publishing.onnx_file import OnnxFile
from tests.helpers import graphs


class Recognises:
    """An importer that recognises every model."""

    def __init__(self, what: str) -> None:
        self._what = what

    def recognise(self, _source: Source, _model: OnnxFile) -> Findings:
        return Findings(self._what)


def write(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(graphs.sums().SerializeToString())
    return path


def test_a_folder_has_a_model_for_each_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="got none"):
        find(str(tmp_path))
    for name in ("b.onnx", "A b.onnx"):
        write(tmp_path / name)
    assert [(source.name, source.origin) for source in find(str(tmp_path))] == [
        ("a-b", "A b.onnx"),
        ("b", "b.onnx"),
    ]
    (source,) = find(str(tmp_path), "b.onnx")
    assert source.file == tmp_path / "b.onnx"
    with pytest.raises(UsageError, match="no such file or folder"):
        find(str(tmp_path / "nothing"))


def test_a_model_without_a_kind_is_served_as_tensors_and_that_is_said(tmp_path: Path) -> None:
    (source,) = find(str(write(tmp_path / "m.onnx")))
    assert read(source).lines == ("an ONNX file without a known task: requests and answers are tensors (--task)",)


def test_a_model_that_several_importers_recognise_needs_a_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source,) = find(str(write(tmp_path / "m.onnx")))
    monkeypatch.setattr(importers, "IMPORTERS", {"one": Recognises("the one kind"), "two": Recognises("the other")})
    with pytest.raises(
        UsageError, match=r"got the one kind \(--importer one\) and the other \(--importer two\): choose one"
    ):
        read(source)
    assert read(source, importer="two").lines[0].startswith("the other")
    assert read(source, importer="plain").lines[0].startswith("an ONNX file")


def test_an_importer_that_does_not_recognise_the_model_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source,) = find(str(write(tmp_path / "m.onnx")))
    monkeypatch.setattr(importers, "IMPORTERS", {"one": Recognises("the one kind")})
    with pytest.raises(UsageError, match="--importer: expected one of one, plain, got 'none'"):
        read(source, importer="none")
