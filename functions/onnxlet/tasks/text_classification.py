"""Text classification: labels for a text, or for a pair of texts that belong together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from onnxlet.tasks import classification
from onnxlet.tasks.parameters import Parser
from onnxlet.tasks.rows import Batch, Parameters, Prediction, Rows
from onnxlet.tasks.text_task import CUTTING, TextTask, text_or_pair

if TYPE_CHECKING:
    from onnxlet.contract.tasks.texts import TextClassification


class TextClassificationTask(TextTask):
    """A text, or `{"text", "text_pair"}`, to the labels of the manifest's classification, which the model gives."""

    PARAMETERS: ClassVar[Mapping[str, Parser]] = {
        **CUTTING,
        **classification.PARAMETERS,
    }
    declaration: TextClassification

    def prepare(self, rows: Rows, parameters: Parameters) -> Batch:
        """Return texts as a batch.

        Raises:
            InvalidRequestError: a value is neither a text nor a pair, or too long.
            UnsupportedMediaError, TooLargeError: the rows are no texts, or have too many characters.
        """
        texts = [text_or_pair(value) for value in self.values(rows)]
        encodings, cut = self.tokenize(texts, parameters)
        return self.to_batch(encodings, texts, cut)

    def answer(self, prediction: Prediction, parameters: Parameters) -> None:
        """Apply another function than the declared one to the output, if the client asks for that."""
        classification.apply_function(self.manifest, prediction, parameters)
