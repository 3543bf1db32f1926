"""Text task: what all tasks of texts share. It tokenizes texts, cuts long ones if it may, and pads those of one run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from onnxlet.contract.tasks.texts import TextTask as TextDeclaration
from onnxlet.contract.tensors import Dimension
from onnxlet.errors import ArtifactError, InvalidRequestError, UnsupportedMediaError, json_word
from onnxlet.limits import memory
from onnxlet.tasks import tokenizer
from onnxlet.tasks.parameters import Parser, choice, flag
from onnxlet.tasks.rows import Batch, Items, Parameters, Rows
from onnxlet.tasks.task import Parts, Task
from onnxlet.tasks.tokenizer import LONGEST, Text, TokenIds, Truncation

if TYPE_CHECKING:
    from tokenizers import Encoding

    from onnxlet.contract.manifest import Manifest

CUTTING: Mapping[str, Parser] = {
    "truncate": flag,
    "truncation": flag,
    "truncation_direction": choice("left", "right", "Left", "Right"),
}
"""The parameters of every task of texts: whether a text that is too long is cut, and on which side."""

SHARED_LENGTH = 64
"""Length in tokens up to which all texts run as one tensor; a longer text shares it with those half as long or more."""

RUN_TOKENS = 4096
"""Tokens of one run of the model, padding included: more do not make a CPU faster, and attention takes memory."""


class Tokenized:
    """The context of a batch: the tokens of each row, and what the task needs to answer."""

    __slots__ = ("cut", "encodings", "items")

    def __init__(self, encodings: Sequence[Encoding | TokenIds], items: Sequence[Any], cut: Sequence[int]) -> None:
        self.encodings = encodings
        self.items = items
        """The part of each of the client's values that the task needs to answer."""
        self.cut = cut
        """The positions of the rows whose text was cut."""


class TextTask(Task):
    """The base of tasks of texts."""

    declaration: Any
    """The task's declaration, of the subclass's own type."""

    def __init__(self, manifest: Manifest, parts: Parts) -> None:
        """Open the task.

        Raises:
            ArtifactError: the version has no tokenizer.
        """
        super().__init__(manifest, parts)
        if not isinstance(manifest.task, TextDeclaration) or parts.tokenizer is None:
            raise ArtifactError(f'model "{manifest.model}": expected a task of texts with a tokenizer')
        self.declaration = manifest.task
        self.tokenization = manifest.task.tokenization
        self.tokenizer = parts.tokenizer
        self._specs = {spec.name: spec for spec in manifest.inputs}
        takes_one = any(spec.shape is not None and spec.shape[:1] == (1,) for spec in manifest.inputs)
        self.run_bytes = 1 if takes_one else RUN_TOKENS * sum(spec.datatype.size_bytes for spec in manifest.inputs)

    def align(self, batches: Sequence[Batch]) -> Sequence[Batch]:
        """Return the batches padded so that those with texts of similar lengths can run as one tensor."""
        if len(batches) < 2 or self.tokenization.padded_length:
            return batches
        lengths: dict[int, int] = {}
        for batch in batches:
            if isinstance(batch.context, Tokenized):
                length = _longest(batch.context)
                group = _group(length)
                lengths[group] = max(length, lengths.get(group, 0))
        return [self._padded(batch, lengths) for batch in batches]

    def tokenize(
        self, texts: Sequence[Text], parameters: Parameters, strategy: str = LONGEST
    ) -> tuple[list[Encoding], list[int]]:
        """Return the tokens of each text, and the positions of those that were cut.

        Raises:
            InvalidRequestError: a text is longer than the model takes, and neither the request nor the declaration
                says that it is cut.
            TooLargeError: the texts have too many characters.
        """
        encodings = self.tokenizer.encode(texts)
        at_most = self.tokenization.max_length
        long = [position for position, encoding in enumerate(encodings) if len(encoding) > at_most]
        if not long:
            return encodings, []
        if not parameters.get("truncate", parameters.get("truncation", self.tokenization.truncates)):
            place = f"text {long[0]}" if len(texts) > 1 else "text"
            raise InvalidRequestError(
                f"{place}: expected at most {at_most} tokens, got {len(encodings[long[0]])}: send a shorter text, or "
                "the parameter truncate=true to have it cut"
            )
        side = parameters.get("truncation_direction", self.tokenization.truncation_side).lower()
        cut = self.tokenizer.encode_cut([texts[position] for position in long], Truncation(at_most, side, strategy))
        for position, encoding in zip(long, cut, strict=True):
            encodings[position] = encoding
        return encodings, long

    def to_batch(
        self, encodings: Sequence[Encoding | TokenIds], items: Sequence[Any], cut: Sequence[int] = ()
    ) -> Batch:
        """Return the batch of tokenized texts, padded to the longest of them.

        Raises:
            TooLargeError, BusyError: there is no memory for the model's outputs.
        """
        length = tokenizer.padded_length(encodings, self.tokenization)
        memory.take(self.answer_bytes(len(encodings), length))
        return self._batch(Tokenized(encodings, items, cut), length)

    def answer_bytes(self, rows: int, length: int) -> int:
        """Return the memory that the model's outputs take until the texts are answered.

        Args:
            rows: The number of texts.
            length: The number of tokens of each.
        """
        return sum(
            spec.datatype.size_bytes * rows * math.prod(size_of(size, length) for size in (spec.shape or ())[1:])
            for spec in self.manifest.outputs
        )

    def values(self, rows: Rows) -> Sequence[Any]:
        """Return the client's values.

        Raises:
            UnsupportedMediaError: the rows are pictures or sounds.
        """
        if not isinstance(rows, Items):
            raise UnsupportedMediaError(f'model "{self.manifest.model}" takes a text, got something else')
        return rows.values

    def _batch(self, tokenized: Tokenized, length: int) -> Batch:
        inputs = tokenizer.to_inputs(tokenized.encodings, length, self.tokenization, self._specs)
        return Batch(inputs, len(tokenized.encodings), context=tokenized)

    def _padded(self, batch: Batch, lengths: Mapping[int, int]) -> Batch:
        """Return a batch padded to the length of its group."""
        if not isinstance(batch.context, Tokenized):
            return batch
        length = _longest(batch.context)
        padded = lengths[_group(length)]
        return batch if length == padded else self._batch(batch.context, padded)


def size_of(dimension: Dimension, length: int) -> int:
    """Return the size of an output's dimension, which is the number of tokens if the model does not fix it."""
    return length if isinstance(dimension, str) else dimension


def text_of(value: object) -> str:
    """Return a value that must be a text.

    Raises:
        InvalidRequestError: it is something else, or empty.
    """
    if not isinstance(value, str):
        raise InvalidRequestError(f"expected a text, got {json_word(value)}")
    return value


def text_or_pair(value: object) -> Text:
    """Return a text, or the pair of texts of `{"text": ..., "text_pair": ...}`.

    Raises:
        InvalidRequestError: the value is something else.
    """
    if not isinstance(value, dict):
        return text_of(value)
    fields = fields_of(value, ("text",), ("text_pair",))
    first = field_text(fields, "text")
    return first if fields.get("text_pair") is None else (first, field_text(fields, "text_pair"))


def fields_of(value: object, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Any]:
    """Return an object that has these fields and no others.

    Raises:
        InvalidRequestError: the value is something else.
    """
    if isinstance(value, dict) and set(required) <= set(value) <= {*required, *optional}:
        return value
    got = f"one with {', '.join(value)[:80] or 'no field'}" if isinstance(value, dict) else json_word(value)
    known = ", ".join([*required, *(f"{name} (optional)" for name in optional)])
    raise InvalidRequestError(f"expected an object with the fields {known}, got {got}")


def field_text(fields: Mapping[str, Any], name: str) -> str:
    """Return a field that must be a text.

    Raises:
        InvalidRequestError: it is something else.
    """
    if not isinstance(fields[name], str):
        raise InvalidRequestError(f"{name}: expected a text, got {json_word(fields[name])}")
    text: str = fields[name]
    return text


def field_texts(fields: Mapping[str, Any], name: str, at_most: int) -> list[str]:
    """Return a field that must be a list of texts.

    Raises:
        InvalidRequestError: it is something else, is empty, or has too many texts.
    """
    texts = fields[name]
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InvalidRequestError(f"{name}: expected a list of texts, got {json_word(texts)}")
    if not 0 < len(texts) <= at_most:
        raise InvalidRequestError(f"{name}: expected 1 to {at_most} texts, got {len(texts)}")
    return texts


def _longest(tokenized: Tokenized) -> int:
    return max(map(len, tokenized.encodings))


def _group(length: int) -> int:
    """Return the group of a length: all lengths up to `SHARED_LENGTH`, or those between two powers of two."""
    return max(SHARED_LENGTH, 1 << (length - 1).bit_length())
