"""Words: the parts of a text or of a pair of texts, which are left out of it."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from onnxlet.record import Record
from onnxlet.tasks.rows import Batch, Items, Parameters

if TYPE_CHECKING:
    from onnxlet.tasks.task import Task
    from onnxlet.tasks.text_task import Tokenized

FIELDS = ("text", "text_pair")
"""The names of the texts of a pair."""

STAND_IN = "."
"""The text that stands for no text if a tokenizer makes no token of that."""

UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3040, 0x30FF),
    (0x3400, 0x9FFF),
    (0x20000, 0x3FFFF),
)
"""Characters of scripts without spaces between words: Thai, Lao, Burmese, Khmer, kana and Han."""


class Word(Record):
    """A part of a text: a word, a token of a script without spaces, or neighbours of a long text."""

    field: int
    """The position of the text in its pair."""
    start: int
    """The first character."""
    end: int
    """The character after the last one."""


class Words:
    """The words of one text or pair: what `shapley` leaves out."""

    noun = "words"

    def __init__(self, task: Task, value: Any, parameters: Parameters) -> None:
        """Divide a text into words.

        Args:
            task: The task of a model that classifies texts.
            value: A text, or an object with a pair of them.
            parameters: The parameters of the request.

        Raises:
            InvalidRequestError: the value is something else, or too long.
        """
        self._task = task
        self._parameters = parameters
        self._is_pair = isinstance(value, dict)
        self._texts = [value[name] for name in FIELDS if value.get(name) is not None] if self._is_pair else [value]
        self.row = task.prepare(Items([value]), parameters)
        self._words = _words(self._texts, self.row.context)

    def limit(self, at_most: int) -> None:
        """Join neighbours, so that there are about as many parts as the budget allows."""
        self._words = _joined(self._words, at_most)

    @property
    def count(self) -> int:
        """The number of words."""
        return len(self._words)

    def baseline(self) -> Batch:
        """Return the text without its words."""
        return self._without(())

    def mixtures(self, order: Sequence[int]) -> Iterator[Batch]:
        """Yield the text with one more of its words each time."""
        kept: set[int] = set()
        for number in order:
            kept.add(number)
            yield self._without(kept)

    def to_items(self, contributions: Sequence[float]) -> list[dict[str, Any]]:
        """Return a JSON object for each word with its contribution; `start` and `end` count characters."""
        return [
            {
                "word": self._texts[word.field][word.start : word.end],
                **({"field": FIELDS[word.field]} if self._is_pair else {}),
                "start": word.start,
                "end": word.end,
                "contribution": contribution,
            }
            for word, contribution in zip(self._words, contributions, strict=True)
        ]

    def _without(self, kept: Collection[int]) -> Batch:
        """Return the text with only these words as a batch; a space is where others are left out."""
        texts = [""] * len(self._texts)
        for number, word in enumerate(self._words):
            if number in kept:
                whole = self._texts[word.field]
                follows = number - 1 in kept and self._words[number - 1].field == word.field
                gap = whole[self._words[number - 1].end : word.start] if follows else " "
                texts[word.field] += gap + whole[word.start : word.end]
        batch = self._prepared([text.strip() for text in texts])
        if any(0 in tensor.shape for tensor in batch.inputs.values()):
            batch = self._prepared([STAND_IN] * len(texts))
        return batch

    def _prepared(self, texts: Sequence[str]) -> Batch:
        value: str | Mapping[str, str] = dict(zip(FIELDS, texts, strict=False)) if self._is_pair else texts[0]
        return self._task.prepare(Items([value]), self._parameters)


def _words(texts: Sequence[str], tokenized: Tokenized) -> list[Word]:
    """Return the words of the tokens that the model sees: a text that was cut ends with the last of them."""
    encoding: Any = tokenized.encodings[0]  # of a text: this task does not take tokens
    words: list[Word] = []
    for field, (begin, end) in zip(encoding.sequence_ids, encoding.offsets, strict=True):
        if field is None or not texts[field][begin:end].strip():
            continue
        text = texts[field]
        start = end - len(text[begin:end].lstrip())
        last = words[-1] if words else None
        if last is not None and last.field == field and (start < last.end or _is_inside(text, last.end, start)):
            words[-1] = Word(field, last.start, max(end, last.end))
        else:
            words.append(Word(field, start, end))
    return words


def _is_inside(text: str, end: int, start: int) -> bool:
    """Return whether one token ends and the next one starts inside of a word."""
    return end == start and all(_is_letter(character) for character in text[end - 1 : end + 1])


def _is_letter(character: str) -> bool:
    """Return whether a character is a letter, digit or mark of a script with spaces between its words."""
    if any(first <= ord(character) <= last for first, last in UNSPACED):
        return False
    return unicodedata.category(character)[0] in "LNM"


def _joined(words: Sequence[Word], at_most: int) -> list[Word]:
    """Return parts of equally many neighbours; no part crosses from one text of a pair to the other."""
    size = -(-len(words) // max(1, at_most))
    joined: list[Word] = []
    taken = 0
    for word in words:
        if joined and taken < size and joined[-1].field == word.field:
            joined[-1] = Word(word.field, joined[-1].start, word.end)
            taken += 1
        else:
            joined.append(word)
            taken = 1
    return joined
