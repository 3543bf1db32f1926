"""The frozen answers are those of the installed transformers and sentence-transformers."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import text_references, texts
from tests.helpers.text_models import FOLDER

pytest.importorskip("torch", reason="needs `make torch`")
pytest.importorskip("sentence_transformers", reason="needs `pip install sentence-transformers`")


def close(expected: Any) -> Any:
    """Return a document whose numbers compare within 1e-5."""
    if isinstance(expected, dict):
        return {key: close(value) for key, value in expected.items()}
    if isinstance(expected, list):
        return [close(value) for value in expected]
    return pytest.approx(expected, abs=1e-5) if isinstance(expected, float) else expected


def test_the_original_libraries_answer_as_they_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = {path.parent.name: path.read_bytes() for path in FOLDER.glob("*/tokenizer.json")}
    kinds = {"wordpiece": frozen["fill-mask"], "byte-level": frozen["token-classification-bytes"]}
    monkeypatch.setattr(texts, "tokenizer_json", lambda kind, *_: kinds[kind])
    text_references.write_all(tmp_path)
    for name in frozen:
        found = json.loads((tmp_path / name / "cases.json").read_text())
        assert found == close(json.loads((FOLDER / name / "cases.json").read_text())), name
