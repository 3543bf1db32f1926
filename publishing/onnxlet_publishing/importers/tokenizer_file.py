"""A tokenizer file: what publishing reads in the `tokenizer.json` of Hugging Face's tokenizers."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from onnxlet_publishing.errors import UsageError


class TokenizerFile:
    """The content of a `tokenizer.json`."""

    def __init__(self, data: bytes, path: str) -> None:
        """Read the content.

        Raises:
            UsageError: The content is not a tokenizer's.
        """
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path}: expected the tokenizer.json of a tokenizer, got no JSON: {error}") from error
        if not isinstance(document, dict) or not isinstance(document.get("model"), dict):
            raise UsageError(f"{path}: expected the tokenizer.json of a tokenizer, got another JSON document")
        if not _has_tokens(document):
            raise UsageError(f"{path}: expected tokens with their numbers in the tokenizer.json, got another document")
        self.data = data
        self._document = document

    def token_of(self, tokens: Iterable[object]) -> str | None:
        """Return the first of some tokens that the vocabulary has; None if it has none of them."""
        return next((token for token in tokens if isinstance(token, str) and self.id_of(token) is not None), None)

    def id_of(self, token: str) -> int | None:
        """Return the number of a token; None if the vocabulary does not have it."""
        for added in self._document.get("added_tokens") or ():
            if added["content"] == token:
                return int(added["id"])
        vocabulary = self._document["model"].get("vocab")
        if isinstance(vocabulary, Mapping):
            return vocabulary.get(token)
        entries = vocabulary if isinstance(vocabulary, list) else []  # Unigram: [token, score] by number
        return next((number for number, entry in enumerate(entries) if entry[:1] == [token]), None)

    def max_length(self) -> int | None:
        """Return the length to which the file itself truncates; None if it does not."""
        truncation: dict[str, Any] = self._document.get("truncation") or {}
        return truncation.get("max_length")


def _has_tokens(document: Mapping[str, Any]) -> bool:
    """Return whether the parts of a document that are read have the form of a tokenizer's."""
    added, vocabulary = document.get("added_tokens") or [], document["model"].get("vocab") or {}
    if isinstance(vocabulary, dict):
        is_vocabulary = all(type(number) is int for number in vocabulary.values())
    else:
        is_vocabulary = isinstance(vocabulary, list) and all(isinstance(entry, list) for entry in vocabulary)
    truncation = document.get("truncation") or {}
    return (
        is_vocabulary
        and isinstance(truncation, dict)
        and isinstance(added, list)
        and all(isinstance(token, dict) and _is_token(token) for token in added)
    )


def _is_token(added: Mapping[str, Any]) -> bool:
    return isinstance(added.get("content"), str) and type(added.get("id")) is int
