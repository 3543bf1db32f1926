"""Text ranking: how well texts answer a query, by a cross-encoder that reads each of them with the query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from onnxlet.contract import json_tensors
from onnxlet.contract.tasks.declaration import OUTPUT
from onnxlet.contract.tasks.texts import SCORES, TextRanking
from onnxlet.errors import InferenceError
from onnxlet.limits import MAX_CANDIDATES
from onnxlet.tasks.parameters import Parser, flag, integer
from onnxlet.tasks.rows import Batch, Parameters, Prediction, Rows
from onnxlet.tasks.text_task import CUTTING, TextTask, Tokenized, field_text, field_texts, fields_of


class TextRankingTask(TextTask):
    """`{"query", "texts"}` to `[{"index", "score"}]`, the best text first."""

    PARAMETERS: ClassVar[Mapping[str, Parser]] = {
        **CUTTING,
        "raw_scores": flag,
        "return_text": flag,
        "top_k": integer(1, MAX_CANDIDATES),
    }
    declaration: TextRanking

    def prepare(self, rows: Rows, parameters: Parameters) -> Batch:
        """Return each query with each of its texts as a batch of pairs.

        Raises:
            InvalidRequestError: a value is not an object with a query and texts, or a pair is too long.
            UnsupportedMediaError, TooLargeError: the rows are no texts, or have too many characters.
        """
        items = [_query_and_texts(value) for value in self.values(rows)]
        encodings, cut = self.tokenize([(query, text) for query, texts in items for text in texts], parameters)
        return self.to_batch(encodings, [texts for _, texts in items], cut)

    def answer(self, prediction: Prediction, parameters: Parameters) -> None:
        """Set the ranking of each query's texts.

        Raises:
            InferenceError: the output is not that of the task.
        """
        tokenized: Tokenized = prediction.batch.context
        tensor = prediction.outputs[self.declaration.output]
        if self.parts.postprocess is not None and not parameters.get("raw_scores", False):
            (tensor,) = self.run_postprocess({OUTPUT.format(0): tensor}, [SCORES])
        scores = json_tensors.to_values(tensor)
        if len(scores) != len(tokenized.encodings):
            raise InferenceError(
                f'output "{self.declaration.output}": expected a number for each pair, got {tensor.shape}'
            )
        prediction.answers = []
        start = 0
        for texts in tokenized.items:
            own = scores[start : start + len(texts)]
            start += len(texts)
            prediction.answers.append(_ranked(own, texts, parameters))


def _query_and_texts(value: object) -> tuple[str, list[str]]:
    fields = fields_of(value, ("query", "texts"))
    return field_text(fields, "query"), field_texts(fields, "texts", MAX_CANDIDATES)


def _ranked(scores: list[float], texts: list[str], parameters: Parameters) -> list[dict[str, Any]]:
    """Return the documents of a query's texts, the best first; equal scores keep the client's order."""
    best = sorted(range(len(texts)), key=lambda index: -scores[index])[: parameters.get("top_k", len(texts))]
    with_text = parameters.get("return_text", False)
    return [{"index": index, "score": scores[index], **({"text": texts[index]} if with_text else {})} for index in best]
