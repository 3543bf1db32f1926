"""Zero-shot classification: labels that the client names, by a model that says whether a text entails a sentence.

Source: transformers 4.57, `pipelines/zero_shot_classification.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from onnxlet.contract import json_tensors
from onnxlet.contract.tasks.texts import ZeroShotClassification
from onnxlet.errors import InferenceError, InvalidRequestError, TooLargeError
from onnxlet.limits import MAX_CANDIDATES, MAX_TEXT_CHARACTERS
from onnxlet.tasks.parameters import Parser, flag, text, texts
from onnxlet.tasks.rows import Batch, Parameters, Prediction, Rows
from onnxlet.tasks.text_task import CUTTING, TextTask, Tokenized, text_of
from onnxlet.tasks.tokenizer import FIRST

TEMPLATE = "This example is {}."
PLACE = "{}"
"""The place of a label in the template."""


class ZeroShotClassificationTask(TextTask):
    """A text and the parameter `candidate_labels` to `{"sequence", "labels", "scores"}`, the best label first."""

    PARAMETERS: ClassVar[Mapping[str, Parser]] = {
        **CUTTING,
        "candidate_labels": texts(MAX_CANDIDATES),
        "hypothesis_template": text(at_most=1000),
        "multi_label": flag,
    }
    declaration: ZeroShotClassification

    def prepare(self, rows: Rows, parameters: Parameters) -> Batch:
        """Return each text with the sentence of each label as a batch of pairs.

        Raises:
            InvalidRequestError: there are no labels, the template has no place for them, or a text is too long.
            UnsupportedMediaError, TooLargeError: the rows are no texts, or have too many characters.
        """
        labels = parameters.get("candidate_labels")
        if labels is None:
            raise InvalidRequestError("candidate_labels: expected the labels to choose from, got nothing")
        template = parameters.get("hypothesis_template", TEMPLATE)
        if PLACE not in template:
            raise InvalidRequestError(
                f"hypothesis_template: expected a sentence with {PLACE} in it, got {template!r:.80}"
            )
        places = template.count(PLACE)
        count = sum(len(template) + places * len(label) for label in labels)
        if count > MAX_TEXT_CHARACTERS:
            raise TooLargeError(
                f"candidate_labels: expected at most {MAX_TEXT_CHARACTERS} characters in the template, got {count}"
            )
        sentences = [template.replace(PLACE, label) for label in labels]
        values = [text_of(value) for value in self.values(rows)]
        pairs = [(value, sentence) for value in values for sentence in sentences]
        encodings, cut = self.tokenize(pairs, parameters, FIRST)
        return self.to_batch(encodings, values, cut)

    def answer(self, prediction: Prediction, parameters: Parameters) -> None:
        """Set the labels of each text with their scores.

        Raises:
            InferenceError: the output is not that of the task.
        """
        tokenized: Tokenized = prediction.batch.context
        tensor = prediction.outputs[self.declaration.output]
        entailment, rows = self.declaration.entailment, len(tokenized.encodings)
        if len(tensor.shape) != 2 or tensor.shape[0] != rows or tensor.shape[1] <= max(entailment, 1):
            raise InferenceError(f'output "{self.declaration.output}": expected ({rows}, classes), got {tensor.shape}')
        logits = json_tensors.to_nested(tensor)
        labels = parameters["candidate_labels"]
        is_multiple = parameters.get("multi_label", False) or len(labels) == 1
        prediction.answers = []
        for index, value in enumerate(tokenized.items):
            own = logits[index * len(labels) : (index + 1) * len(labels)]
            scores = _independent(own, entailment) if is_multiple else _softmax([row[entailment] for row in own])
            prediction.answers.append(_document(value, labels, scores))


def _independent(logits: Sequence[Sequence[float]], entailment: int) -> list[float]:
    """Return for each label how probable it is that the text entails it, and does not contradict it."""
    contradiction = -1 if entailment == 0 else 0
    return [_softmax([row[contradiction], row[entailment]])[1] for row in logits]


def _softmax(values: Sequence[float]) -> list[float]:
    largest = max(values)
    powers = [math.exp(value - largest) for value in values]
    return [power / sum(powers) for power in powers]


def _document(value: str, labels: Sequence[str], scores: Sequence[float]) -> dict[str, Any]:
    """Return the document of a text; of equal labels the last comes first, as in transformers."""
    best = sorted(range(len(labels)), key=lambda index: (scores[index], index), reverse=True)
    return {
        "sequence": value,
        "labels": [labels[index] for index in best],
        "scores": [scores[index] for index in best],
    }
