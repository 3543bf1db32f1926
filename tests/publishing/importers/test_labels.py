"""The labels that a user brings, in every form in which people write them."""

import json
from pathlib import Path

import pytest

from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.importers.labels import read_labels

BOM = b"\xef\xbb\xbf"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "labels"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"zero\none\n", ("zero", "one")),
        (b"zero\r\none", ("zero", "one")),
        (BOM + b"zero\none\n\n\n", ("zero", "one")),
        ("a\u2028b\nc\u0085d\ne\u000cf\ni\rj\n".encode(), ("a\u2028b", "c\u0085d", "e\u000cf", "i\rj")),
        (b'["zero", "one"]', ("zero", "one")),
        (BOM + b' ["zero", "one"]\n', ("zero", "one")),
        (b'{"1": "one", "0": "zero"}', ("zero", "one")),
        (b'{"model_type": "vit", "id2label": {"0": "zero", "1": "one"}}', ("zero", "one")),
        (json.dumps({place: f"l{place}" for place in range(11)}).encode(), tuple(f"l{place}" for place in range(11))),
        ("Größe\n日本\n".encode(), ("Größe", "日本")),
        (b"crane\ncrane\n", ("crane", "crane")),
    ],
)  # fmt: skip
def test_labels_are_read_as_people_write_them(path: Path, data: bytes, expected: tuple[str, ...]) -> None:
    path.write_bytes(data)
    assert read_labels(path) == expected


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file has no labels"),
        (b"\n \n", "the file has no labels"),
        (b"[]", "the file has no labels"),
        (b"{}", "the file has no labels"),
        (b"zero\n\none\n", "label 1 of 0 to 2 is empty"),
        (b'["zero", " "]', "label 1 of 0 to 1 is empty"),
        (b'["zero", 1]', "not all labels are strings"),
        (b'{"0": "zero", "1": 1}', "not all labels are strings"),
        (b'{"0": "zero", "2": "two"}', "the class 1 of 0 to 1 is missing"),
        (b'{"zero": 0, "one": 1}', "the class 0 of 0 to 1 is missing"),
        (b'["zero",', "a JSON list"),
        ("zero\n".encode("utf-16"), "expected a label on each line"),
    ],
)
def test_what_is_no_list_of_labels_is_refused(path: Path, data: bytes, words: str) -> None:
    path.write_bytes(data)
    with pytest.raises(UsageError, match=words) as caught:
        read_labels(path)
    assert str(path) in str(caught.value)
