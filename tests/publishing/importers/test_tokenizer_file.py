"""Tokenizer files: tokens and numbers in every form in which `tokenizers` writes a vocabulary."""

import json
from typing import Any

import pytest

from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.importers.tokenizer_file import TokenizerFile
from tests.helpers import hugging_face


def open_file(**changes: Any) -> TokenizerFile:
    return TokenizerFile(json.dumps({**hugging_face.tokenizer(), **changes}).encode(), "t.json")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"added_tokens": None},
        {"added_tokens": [], "model": {"type": "Unigram", "vocab": [["<s>", 0.0], ["[PAD]", -1.5], ["[MASK]", -2.0]]}},
        {"added_tokens": [{"id": 4, "content": "[MASK]"}], "model": {"type": "BPE", "vocab": {"a": 0}}},
    ],
)
def test_a_token_is_found_by_its_text(changes: dict[str, Any]) -> None:
    tokenizer = open_file(**changes)
    assert tokenizer.token_of((None, "<mask>", "[MASK]")) == "[MASK]"
    assert tokenizer.id_of("[MASK]") == (2 if "Unigram" in str(changes) else 4)
    assert tokenizer.token_of(("<nothing>",)) is None


def test_the_files_own_truncation_is_a_length() -> None:
    assert open_file().max_length() is None
    assert open_file(truncation={"max_length": 128, "strategy": "LongestFirst"}).max_length() == 128


@pytest.mark.parametrize(
    "changes",
    [
        {"added_tokens": {"a": 1}},
        {"added_tokens": ["a"]},
        {"added_tokens": [{"id": "4", "content": "a"}]},
        {"added_tokens": [{"id": 4}]},
        {"truncation": [1]},
        {"model": {"vocab": {"a": "0"}}},
        {"model": {"vocab": ["a"]}},
        {"model": {"vocab": 1}},
    ],
)
def test_tokens_in_another_form_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"t\.json: expected tokens with their numbers in the tokenizer\.json"):
        open_file(**changes)


@pytest.mark.parametrize("data", [b"{", b"[]", b"{}", b'{"model": 1}', b"\xff"])
def test_what_is_no_tokenizer_is_refused(data: bytes) -> None:
    with pytest.raises(UsageError, match=r"t\.json: expected the tokenizer\.json of a tokenizer, got"):
        TokenizerFile(data, "t.json")
