"""Fill-mask: the most probable tokens for the masked words of a text, as in `transformers`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from onnxlet.contract import json_tensors
from onnxlet.contract.declarations import POSTPROCESS_OUTPUTS
from onnxlet.contract.tasks.declaration import OUTPUT
from onnxlet.contract.tasks.texts import COUNT, PICKED, FillMask
from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.errors import ArtifactError, InferenceError, InvalidRequestError
from onnxlet.limits import MAX_CANDIDATES, MAX_TOP_K, deadline, memory
from onnxlet.tasks.parameters import Parser, integer, texts
from onnxlet.tasks.rows import Batch, Parameters, Prediction, Rows
from onnxlet.tasks.task import Parts
from onnxlet.tasks.text_task import CUTTING, TextTask, Tokenized, text_of
from onnxlet.tasks.tokenizer import to_rows

if TYPE_CHECKING:
    from tokenizers import Encoding

    from onnxlet.contract.manifest import Manifest

DOCUMENT_BYTES, TOKEN_CHARACTERS = 500, 8
"""The memory of one answer, and of each token of the text that it repeats."""

WORD_BYTES = 84
"""The memory of a word of the vocabulary with its score, in tensors and as Python's numbers."""

DEFAULT_TOP_K = 5


class FillMaskTask(TextTask):
    """A text with masks to `[{"score", "token", "token_str", "sequence"}]`; with several masks, a list for each."""

    PARAMETERS: ClassVar[Mapping[str, Parser]] = {
        **CUTTING,
        "top_k": integer(1, MAX_TOP_K),
        "targets": texts(MAX_CANDIDATES),
    }
    declaration: FillMask

    def __init__(self, manifest: Manifest, parts: Parts) -> None:
        """Open the task and find the mask in the vocabulary.

        Raises:
            ArtifactError: the version has no tokenizer, or its vocabulary has no mask.
        """
        super().__init__(manifest, parts)
        mask = self.tokenizer.token_id(self.declaration.mask_token)
        if mask is None:
            raise ArtifactError(f"tokenizer: expected the mask {self.declaration.mask_token!r} in its vocabulary")
        self._mask = mask

    def prepare(self, rows: Rows, parameters: Parameters) -> Batch:
        """Return texts as a batch.

        Raises:
            InvalidRequestError: a value is not a text, has no mask, or is too long.
            UnsupportedMediaError, TooLargeError: the rows are no texts, or have too many characters or answers.
        """
        encodings, cut = self.tokenize([text_of(value) for value in self.values(rows)], parameters)
        masked = [self._masks(encoding.ids) for encoding in encodings]
        count = parameters.get("top_k", DEFAULT_TOP_K)
        for encoding, masks in zip(encodings, masked, strict=True):
            memory.take(len(masks) * count * (DOCUMENT_BYTES + TOKEN_CHARACTERS * len(encoding)))
        return self.to_batch(encodings, masked, cut)

    def answer(self, prediction: Prediction, parameters: Parameters) -> None:
        """Set the tokens for each mask of each text.

        Raises:
            InvalidRequestError: none of the targets has a token.
            TooLargeError, BusyError: there is no memory for the scores of all words.
            InferenceError: the output is not that of the task.
        """
        tokenized: Tokenized = prediction.batch.context
        output = prediction.outputs[self.declaration.output]
        if len(output.shape) != 3:
            raise InferenceError(
                f'output "{self.declaration.output}": expected (batch, tokens, words), got {output.shape}'
            )
        targets = self._targets(parameters)
        words = output.shape[2]
        count = words if targets is not None else min(words, parameters.get("top_k", DEFAULT_TOP_K))
        is_left = self.tokenization.padding_side == "left"
        places = [
            [row, position + is_left * (output.shape[1] - len(encoding))]
            for row, (encoding, masks) in enumerate(zip(tokenized.encodings, tokenized.items, strict=True))
            for position in masks
        ]
        inputs = {
            OUTPUT.format(0): output,
            PICKED: to_rows(places, 2, 0, DATATYPES["INT64"], "right"),
            COUNT: Tensor(DATATYPES["INT64"], (1,), memoryview(count.to_bytes(8, "little"))),
        }
        with memory.taken(WORD_BYTES * count * len(places)):
            indices, scores = map(json_tensors.to_nested, self.run_postprocess(inputs, POSTPROCESS_OUTPUTS))
            best = [self._best(*row, targets, parameters) for row in zip(indices, scores, strict=True)]
        prediction.answers = []
        for encoding, masks in zip(tokenized.encodings, tokenized.items, strict=True):
            own, best = best[: len(masks)], best[len(masks) :]
            filled = [
                self._filled(encoding, position, len(masks), row) for position, row in zip(masks, own, strict=True)
            ]
            prediction.answers.append(filled[0] if len(masks) == 1 else filled)

    def _masks(self, ids: Sequence[int]) -> list[int]:
        """Return the positions of the masks.

        Raises:
            InvalidRequestError: the text has no mask.
        """
        masks = [position for position, token in enumerate(ids) if token == self._mask]
        if not masks:
            raise InvalidRequestError(f"text: expected the mask {self.declaration.mask_token} in it, got none")
        return masks

    def _targets(self, parameters: Parameters) -> set[int] | None:
        """Return the tokens that the answer is limited to: a word that is not a token stands for its first one."""
        words = parameters.get("targets")
        if words is None:
            return None
        found: set[int] = set()
        for word in words:
            token = self.tokenizer.token_id(word)
            (encoding,) = self.tokenizer.encode([word], adds_specials=False) if token is None else (None,)
            found.update([token] if token is not None else encoding.ids[:1] if encoding is not None else [])
        if not found:
            raise InvalidRequestError("targets: expected a word that has a token, got none")
        return found

    def _best(
        self, indices: list[int], scores: list[float], targets: set[int] | None, parameters: Parameters
    ) -> list[tuple[int, float]]:
        ranked = [pair for pair in zip(indices, scores, strict=True) if targets is None or pair[0] in targets]
        return ranked[: parameters.get("top_k", DEFAULT_TOP_K)]

    def _filled(
        self, encoding: Encoding, position: int, masks: int, best: Sequence[tuple[int, float]]
    ) -> list[dict[str, Any]]:
        """Return the documents for one mask of a text; with several, the others stay in `sequence`."""
        deadline.check()
        documents = []
        for token, score in best:
            ids = [*encoding.ids[:position], token, *encoding.ids[position + 1 :]]
            kept = [number for number in ids if number != self.tokenization.pad_id]
            documents.append(
                {
                    "score": score,
                    "token": token,
                    "token_str": self.tokenizer.decode([token]),
                    "sequence": self.tokenizer.decode(kept, skips_specials=masks == 1),
                }
            )
        return documents
