"""Feature extraction: a vector for each text, and how similar texts are by the cosine of their vectors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Sized
from operator import mul
from typing import Any, ClassVar

from onnxlet.contract import json_tensors
from onnxlet.contract.tasks.declaration import MASK, OUTPUT, VECTORS
from onnxlet.contract.tasks.texts import POOLED, FeatureExtraction
from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.errors import InferenceError, InvalidRequestError, UnsupportedMediaError
from onnxlet.limits import MAX_CANDIDATES
from onnxlet.tasks.parameters import Parser, flag, integer, text
from onnxlet.tasks.rows import Batch, Parameters, Prediction, Rows
from onnxlet.tasks.text_task import CUTTING, TextTask, Tokenized, field_text, field_texts, fields_of, size_of, text_of
from onnxlet.tasks.tokenizer import TokenIds, to_rows

Vector = list[float]

MAX_DIMENSIONS = 65_536

NUMBER_BYTES = 32
"""The memory of one number of an answer in JSON."""


class FeatureExtractionTask(TextTask):
    """Texts to vectors; `{"source_sentence", "sentences"}` to similarities."""

    PARAMETERS: ClassVar[Mapping[str, Parser]] = {
        **CUTTING,
        "normalize": flag,
        "dimensions": integer(1, MAX_DIMENSIONS),
        "prompt_name": text(at_most=1024),
    }
    declaration: FeatureExtraction

    def prepare(self, rows: Rows, parameters: Parameters) -> Batch:
        """Return texts with their prompt as a batch.

        Raises:
            InvalidRequestError: a value is neither a text nor an object of sentences, or a text is too long.
            UnsupportedMediaError, TooLargeError: the rows are no texts, or have too many characters.
        """
        self._check_dimensions(parameters)
        values = self.values(rows)
        if any(isinstance(value, list) for value in values):
            return self._to_token_batch(values)
        items = [_sentences(value) for value in values]
        prompt = self._prompt(parameters)
        texts = [prompt + text for item in items for text in item.texts]
        encodings, cut = self.tokenize(texts, parameters)
        return self.to_batch(encodings, [prompt, *items], cut)

    def answer(self, prediction: Prediction, parameters: Parameters) -> None:
        """Set a vector for each text, or the list of similarities for each object of sentences.

        Raises:
            InferenceError: the output is not that of the task.
            UnsupportedMediaError: the model gives a vector for each token, and sentences are to be compared.
        """
        tokenized: Tokenized = prediction.batch.context
        prompt, *items = tokenized.items
        vectors = self._vectors(prediction, tokenized.encodings, prompt, parameters)
        answers: list[Any] = []
        start = 0
        for item in items:
            own = vectors[start : start + len(item.texts)]
            start += len(item.texts)
            if item.are_compared:
                require_one_vector(self.manifest.model, own[0])
            answers.append([cosine(own[0], other) for other in own[1:]] if item.are_compared else own[0])
        prediction.answers = answers

    def answer_bytes(self, rows: int, length: int) -> int:
        """Return the memory that the model's outputs take, and the numbers of the vectors in JSON."""
        (spec,) = (spec for spec in self.manifest.outputs if spec.name == self.declaration.output)
        sizes = [size_of(size, length) for size in (spec.shape or ())[1:]]
        numbers = math.prod(sizes if self.declaration.pooling == "none" else sizes[-1:])
        return super().answer_bytes(rows, length) + NUMBER_BYTES * rows * numbers

    def _to_token_batch(self, values: Sequence[object]) -> Batch:
        """Return lists of the model's own tokens, which OpenAI's protocol allows, as a batch; they are not changed.

        Raises:
            InvalidRequestError: a list has too many tokens, none, or a number that is not a token.
        """
        words, at_most = self.tokenizer.vocabulary_size, self.tokenization.max_length
        for value in values:
            if not isinstance(value, list) or not all(type(token) is int and 0 <= token < words for token in value):
                raise InvalidRequestError(f"expected texts, or lists of tokens from 0 to {words - 1}")
            if not 0 < len(value) <= at_most:
                raise InvalidRequestError(f"expected a list of 1 to {at_most} tokens, got {len(value)}")
        tokens = [TokenIds(value) for value in values if isinstance(value, list)]
        return self.to_batch(tokens, ["", *(_Sentences([""], are_compared=False) for _ in tokens)])

    def _prompt(self, parameters: Parameters) -> str:
        """Return the text to put before a client's."""
        prompts = self.declaration.prompts
        name = parameters.get("prompt_name", self.declaration.default_prompt)
        if name is None:
            return ""
        if name not in prompts:
            raise InvalidRequestError(
                f"prompt_name: expected one of {', '.join(prompts) or '(no prompt)'}, got {name!r}"
            )
        return prompts[name]

    def _check_dimensions(self, parameters: Parameters) -> None:
        """Refuse a length of vectors that the model was not trained for."""
        wanted, trained = parameters.get("dimensions"), self.declaration.dimensions
        if wanted is not None and wanted not in trained:
            expected = (
                f"one of {', '.join(map(str, trained))}" if trained else "no value: the model has only one length"
            )
            raise InvalidRequestError(f"dimensions: expected {expected}, got {wanted}")

    def _vectors(
        self, prediction: Prediction, encodings: Sequence[Sized], prompt: str, parameters: Parameters
    ) -> list[Any]:
        """Return a vector for each text; without pooling, a list with a vector for each of its tokens."""
        declaration = self.declaration
        tensor = prediction.outputs[declaration.output]
        normalizes = parameters.get("normalize", declaration.normalize)
        if self.parts.postprocess is not None:
            inputs = {OUTPUT.format(0): tensor}
            if declaration.pooling != "none":
                inputs[MASK] = self._mask(encodings, prompt, tensor)
            output = VECTORS if normalizes or not declaration.normalize else POOLED
            (tensor,) = self.run_postprocess(inputs, [output])
        if len(tensor.shape) not in {2, 3} or tensor.shape[0] != len(encodings):
            raise InferenceError(f'output "{declaration.output}": expected {len(encodings)} rows, got {tensor.shape}')
        if len(tensor.shape) == 3:
            return _per_token(tensor, self._mask(encodings, "", tensor))
        size = parameters.get("dimensions")
        vectors = [vector[:size] for vector in json_tensors.to_nested(tensor)]
        is_normal = normalizes and declaration.normalize and size is None
        return [normalized(vector) for vector in vectors] if normalizes and not is_normal else vectors

    def _mask(self, encodings: Sequence[Sized], prompt: str, output: Tensor) -> Tensor:
        """Return the mask of the tokens that are pooled: all but the padding and, if declared, the prompt."""
        skipped = 0
        if prompt and not self.declaration.pools_prompt:
            (encoded,) = self.tokenizer.encode([prompt])
            skipped = len(encoded) - encoded.special_tokens_mask[-1]
        masks = [[0] * min(skipped, len(encoding)) + [1] * (len(encoding) - skipped) for encoding in encodings]
        return to_rows(masks, output.shape[1], 0, DATATYPES["INT64"], self.tokenization.padding_side)


class _Sentences:
    """One value of a client: a text, or a sentence and those that it is compared with."""

    __slots__ = ("are_compared", "texts")

    def __init__(self, texts: Sequence[str], *, are_compared: bool) -> None:
        self.texts = texts
        self.are_compared = are_compared


def _sentences(value: object) -> _Sentences:
    if not isinstance(value, dict):
        return _Sentences([text_of(value)], are_compared=False)
    fields = fields_of(value, ("source_sentence", "sentences"))
    others = field_texts(fields, "sentences", MAX_CANDIDATES)
    return _Sentences([field_text(fields, "source_sentence"), *others], are_compared=True)


def require_one_vector(model: str, vector: Sequence[Any]) -> None:
    """Refuse the answer to a text that has a vector for each of its tokens.

    Raises:
        UnsupportedMediaError: the model does not pool the vectors.
    """
    if vector and isinstance(vector[0], list):
        raise UnsupportedMediaError(
            f'model "{model}" gives a vector for each token, not for each text: publish it with --pooling mean'
        )


def _per_token(tensor: Tensor, mask: Tensor) -> list[list[Vector]]:
    """Return the vectors of each text's tokens, without those of the padding."""
    length = tensor.shape[1]
    flags = json_tensors.to_values(mask)
    rows: list[list[Vector]] = json_tensors.to_nested(tensor)
    return [
        [vector for vector, is_kept in zip(row, flags[index * length : (index + 1) * length], strict=True) if is_kept]
        for index, row in enumerate(rows)
    ]


def normalized(vector: Vector) -> Vector:
    """Return a vector divided by its length; a vector of zeros stays as it is."""
    length = math.sqrt(sum(map(mul, vector, vector)))
    return [number / max(length, 1e-12) for number in vector]


def cosine(one: Vector, other: Vector) -> float:
    """Return the cosine of the angle between two vectors; rounding may not lead out of -1 to 1."""
    return max(-1.0, min(1.0, math.fsum(map(mul, normalized(one), normalized(other)))))
