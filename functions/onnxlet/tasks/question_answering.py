"""Question answering: the part of a text that answers a question, as in `transformers`.

Source: transformers 4.57, `pipelines/question_answering.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from heapq import nlargest
from typing import TYPE_CHECKING, Any, ClassVar

from onnxlet.contract import json_tensors
from onnxlet.contract.tasks.texts import QuestionAnswering
from onnxlet.errors import InferenceError, InvalidRequestError
from onnxlet.record import Record
from onnxlet.tasks.parameters import Parser, flag, integer
from onnxlet.tasks.rows import Batch, Parameters, Prediction, Rows
from onnxlet.tasks.text_task import TextTask, Tokenized, field_text, fields_of
from onnxlet.tasks.tokenizer import FIRST, SECOND, Truncation

if TYPE_CHECKING:
    from tokenizers import Encoding

MAX_TOKENS = 384
"""Default length of the parts into which a long text is divided."""
MAX_STRIDE = 128
"""Default number of tokens that two parts share, at most half of a part."""
MAX_ANSWER_TOKENS = 15

MAX_TOP_K = 100
MAX_PARTS = 512
"""Parts into which the texts of one payload may be divided."""

NEVER = 1_000_000.0
"""A score above that of every answer."""


class QuestionAnsweringTask(TextTask):
    """`{"question", "context"}` to `{"answer", "score", "start", "end"}`; with `top_k` a list of them."""

    PARAMETERS: ClassVar[Mapping[str, Parser]] = {
        "align_to_words": flag,
        "doc_stride": integer(0, 100_000),
        "handle_impossible_answer": flag,
        "max_answer_len": integer(1, 1000),
        "max_question_len": integer(1, 100_000),
        "max_seq_len": integer(1, 100_000),
        "top_k": integer(1, MAX_TOP_K),
    }
    """`max_question_len` has no effect, as in transformers: only the context is divided."""
    declaration: QuestionAnswering

    def prepare(self, rows: Rows, parameters: Parameters) -> Batch:
        """Return each question with each part of its context as a batch of pairs.

        Raises:
            InvalidRequestError: a value is not an object with a question and a context, or the question is too long.
            UnsupportedMediaError, TooLargeError: the rows are no texts, or have too many characters.
        """
        values = [fields_of(value, ("question", "context")) for value in self.values(rows)]
        questions = [(_filled(value, "question"), _filled(value, "context")) for value in values]
        is_first = self._question_is_first
        at_most = min(self.tokenization.max_length, parameters.get("max_seq_len", MAX_TOKENS))
        stride = parameters.get("doc_stride", min(at_most // 2, MAX_STRIDE))
        limit = Truncation(at_most, self.tokenization.truncation_side, SECOND if is_first else FIRST, stride)
        pairs = [pair if is_first else pair[::-1] for pair in questions]
        parts = [[encoding, *encoding.overflowing] for encoding in self.tokenizer.encode_cut(pairs, limit)]
        encodings = [encoding for own in parts for encoding in own]
        if len(encodings) > MAX_PARTS:
            raise InvalidRequestError(
                f"context: expected at most {MAX_PARTS} parts of {at_most} tokens, got {len(encodings)}"
            )
        return self.to_batch(encodings, list(zip((context for _, context in questions), map(len, parts), strict=True)))

    def answer(self, prediction: Prediction, parameters: Parameters) -> None:
        """Set the answer to each question.

        Raises:
            InferenceError: an output is not that of the task.
        """
        tokenized: Tokenized = prediction.batch.context
        starts, ends = (self._scores(prediction, name) for name in (self.declaration.start, self.declaration.end))
        parts = zip(tokenized.encodings, starts, ends, strict=True)
        prediction.answers = []
        for context, count in tokenized.items:
            own = [part for _, part in zip(range(count), parts, strict=False)]
            prediction.answers.append(self._answered(context, own, parameters))

    @property
    def _question_is_first(self) -> bool:
        return self.tokenization.padding_side == "right"

    def _scores(self, prediction: Prediction, name: str) -> list[list[float]]:
        """Return an output's numbers for the tokens of each row, without those of the padding."""
        tokenized: Tokenized = prediction.batch.context
        tensor = prediction.outputs[name]
        if len(tensor.shape) != 2 or tensor.shape[0] != len(tokenized.encodings):
            raise InferenceError(f'output "{name}": expected (batch, tokens), got {tensor.shape}')
        rows = json_tensors.to_nested(tensor)
        is_left = self.tokenization.padding_side == "left"
        counts = map(len, tokenized.encodings)
        return [row[-count:] if is_left else row[:count] for row, count in zip(rows, counts, strict=True)]

    def _answered(
        self, context: str, parts: Sequence[tuple[Encoding, list[float], list[float]]], parameters: Parameters
    ) -> Any:
        """Return the best answer of all parts of a context, or a list of the best."""
        top_k = parameters.get("top_k", 1)
        is_aligned = parameters.get("align_to_words", True)
        count = 2 * top_k + 10 if is_aligned else top_k  # words that two answers share make one of them
        null_score = NEVER
        answers: list[dict[str, Any]] = []
        for encoding, starts, ends in parts:
            allowed = self._allowed(encoding)
            start, end = _probabilities(starts, allowed), _probabilities(ends, allowed)
            null_score = min(null_score, start[0] * end[0])
            start[0] = end[0] = 0.0
            for span in _spans(start, end, allowed, count, parameters.get("max_answer_len", MAX_ANSWER_TOKENS)):
                self._add(answers, span, encoding, context, is_aligned=is_aligned)
        if parameters.get("handle_impossible_answer", False):
            answers.append({"score": null_score, "start": 0, "end": 0, "answer": ""})
        best = sorted(answers, key=lambda answer: -answer["score"])[:top_k]
        if top_k > 1:
            return best
        return best[0] if best else {"score": 0.0, "start": 0, "end": 0, "answer": ""}

    def _allowed(self, encoding: Encoding) -> list[bool]:
        """Return for each token whether it may be in the answer, or says that there is no answer."""
        context, cls_token = int(self._question_is_first), self.declaration.cls_token
        return [
            sequence == context or token == cls_token
            for sequence, token in zip(encoding.sequence_ids, encoding.tokens, strict=True)
        ]

    def _add(
        self, answers: list[dict[str, Any]], span: _Span, encoding: Encoding, context: str, *, is_aligned: bool
    ) -> None:
        """Add a span to the answers, or its score to that of an answer with the same words."""
        start, end = self._characters(encoding, span, is_aligned=is_aligned)
        words = context[start:end]
        for answer in answers:
            if answer["answer"].lower() == words.lower():
                answer["score"] += span.score
                return
        answers.append({"score": span.score, "start": start, "end": end, "answer": words})

    def _characters(self, encoding: Encoding, span: _Span, *, is_aligned: bool) -> tuple[int, int]:
        """Return the first character of a span and the one after its last; if aligned, of its whole words."""
        if is_aligned:
            sequence = int(self._question_is_first)
            first, last = (encoding.token_to_word(token) for token in (span.start, span.end))
            begin = None if first is None else encoding.word_to_chars(first, sequence)
            finish = None if last is None else encoding.word_to_chars(last, sequence)
            if begin is not None and finish is not None:
                return begin[0], finish[1]
        return encoding.offsets[span.start][0], encoding.offsets[span.end][1]


class _Span(Record):
    """Tokens that may be the answer."""

    score: float
    start: int
    """The position of the first token."""
    end: int
    """The position of the last token."""


def _filled(fields: Mapping[str, Any], name: str) -> str:
    text = field_text(fields, name)
    if not text:
        raise InvalidRequestError(f"{name}: expected a text, got an empty one")
    return text


def _probabilities(scores: Sequence[float], allowed: Sequence[bool]) -> list[float]:
    """Return the softmax over the allowed tokens; the probability of all others is 0."""
    masked = [score if is_allowed else -10_000.0 for score, is_allowed in zip(scores, allowed, strict=True)]
    largest = max(masked)
    powers = [math.exp(score - largest) for score in masked]
    total = sum(powers)
    return [power / total for power in powers]


def _spans(
    start: Sequence[float], end: Sequence[float], allowed: Sequence[bool], count: int, at_most: int
) -> list[_Span]:
    """Return the most probable spans of at most `at_most` tokens, the best first."""
    scored = (
        (start[first] * end[last], first, last)
        for first in range(len(start))
        if allowed[first] and start[first]
        for last in range(first, min(first + at_most, len(end)))
        if allowed[last] and end[last]
    )
    best = nlargest(count, scored, key=lambda span: span[0])
    return [_Span(*span) for span in best]
