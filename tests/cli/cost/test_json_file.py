from pathlib import Path

import pytest

from onnxlet_cli.cost.json_file import read_object
from onnxlet_publishing.errors import UsageError


def test_an_object_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": 1}')
    assert read_object(tmp_path / "a.json", "numbers") == {"a": 1}


@pytest.mark.parametrize(("text", "words"), [("{", "expected numbers, got: "), ("[1]", "got list instead of a JSON")])
def test_another_content_is_refused_with_what_is_expected(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UsageError, match=words):
        read_object(tmp_path / "a.json", "numbers")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.json: cannot be read: No such file"):
        read_object(tmp_path / "none.json", "numbers")
