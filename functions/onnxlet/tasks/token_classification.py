"""Token classification: the entities of a text, such as names and places, as in `transformers`.

Source: transformers 4.57, `pipelines/token_classification.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from onnxlet.contract import json_tensors
from onnxlet.contract.tasks.declaration import OUTPUT
from onnxlet.contract.tasks.texts import SCORES, TokenClassification
from onnxlet.errors import InferenceError, InvalidRequestError
from onnxlet.limits import MAX_CANDIDATES
from onnxlet.record import Record
from onnxlet.tasks import entities
from onnxlet.tasks.entities import NONE, SIMPLE, STRATEGIES, Token
from onnxlet.tasks.parameters import Parser, choice, integer, texts
from onnxlet.tasks.rows import Batch, Parameters, Prediction, Rows
from onnxlet.tasks.text_task import CUTTING, TextTask, Tokenized, text_of
from onnxlet.tasks.tokenizer import Truncation

if TYPE_CHECKING:
    from tokenizers import Encoding


class TokenClassificationTask(TextTask):
    """A text to `[{"entity_group", "score", "word", "start", "end"}]`, whose places are characters of the text."""

    PARAMETERS: ClassVar[Mapping[str, Parser]] = {
        **CUTTING,
        "aggregation_strategy": choice(*STRATEGIES),
        "ignore_labels": texts(MAX_CANDIDATES, at_least=0),
        "stride": integer(0, 100_000),
    }
    declaration: TokenClassification

    def prepare(self, rows: Rows, parameters: Parameters) -> Batch:
        """Return texts as a batch; with `stride`, a long text as several rows that overlap.

        Raises:
            InvalidRequestError: a value is not a text, or too long.
            UnsupportedMediaError, TooLargeError: the rows are no texts, or have too many characters.
        """
        values = [text_of(value) for value in self.values(rows)]
        stride = parameters.get("stride")
        if stride is None:
            encodings, cut = self.tokenize(values, parameters)
            return self.to_batch(encodings, [_Text(value, 1) for value in values], cut)
        if parameters.get("aggregation_strategy", SIMPLE) == NONE:
            raise InvalidRequestError("stride: expected an aggregation_strategy other than none, which joins the parts")
        limit = Truncation(self.tokenization.max_length, self.tokenization.truncation_side, stride=stride)
        parts = [[encoding, *encoding.overflowing] for encoding in self.tokenizer.encode_cut(values, limit)]
        items = [_Text(value, len(own)) for value, own in zip(values, parts, strict=True)]
        return self.to_batch([encoding for own in parts for encoding in own], items)

    def answer(self, prediction: Prediction, parameters: Parameters) -> None:
        """Set the entities of each text.

        Raises:
            InferenceError: the output is not that of the task.
        """
        tokenized: Tokenized = prediction.batch.context
        output = prediction.outputs[self.declaration.output]
        labels = len(self.declaration.labels)
        if len(output.shape) != 3 or output.shape[2] != labels:
            raise InferenceError(
                f'output "{self.declaration.output}": expected (batch, tokens, {labels}), got {output.shape}'
            )
        scores = json_tensors.to_nested(self.run_postprocess({OUTPUT.format(0): output}, [SCORES])[0])
        strategy = parameters.get("aggregation_strategy", SIMPLE)
        ignored = set(parameters.get("ignore_labels", ["O"]))
        encodings = zip(tokenized.encodings, scores, strict=True)
        prediction.answers = []
        for text in tokenized.items:
            found = []
            for _, (encoding, rows) in zip(range(text.rows), encodings, strict=False):
                tokens = list(self._tokens(text.text, encoding, self._unpadded(rows, encoding)))
                found += entities.find(tokens, self.declaration.labels, strategy, ignored, self.tokenizer.join)
            prediction.answers.append(entities.without_overlaps(found) if text.rows > 1 else found)

    def _unpadded(self, rows: list[list[float]], encoding: Encoding) -> list[list[float]]:
        count = len(encoding)
        return rows[-count:] if self.tokenization.padding_side == "left" else rows[:count]

    def _tokens(self, text: str, encoding: Encoding, scores: Sequence[list[float]]) -> Iterator[Token]:
        """Yield the tokens of a text that are not special."""
        is_word_aware = self.tokenizer.is_word_aware
        specials, offsets, words = encoding.special_tokens_mask, encoding.offsets, encoding.tokens
        for index, token_scores in enumerate(scores):
            if specials[index]:
                continue
            (start, end), word = offsets[index], words[index]
            if word == self.declaration.unk_token:
                yield Token(text[start:end], token_scores, start, end, index, False)
            elif is_word_aware:
                yield Token(word, token_scores, start, end, index, len(word) != end - start)
            else:
                is_subword = start > 0 and " " not in text[start - 1 : start + 1]
                yield Token(word, token_scores, start, end, index, is_subword)


class _Text(Record):
    """A client's text, and the number of rows that it became."""

    text: str
    rows: int
