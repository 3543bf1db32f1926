"""Text classification: labels for a text, or for a pair of texts that belong together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from onnxlet.errors import InvalidRequestError
from onnxlet.tasks.parameters import Parser, choice
from onnxlet.tasks.rows import Batch, Parameters, Rows
from onnxlet.tasks.text_task import CUTTING, TextTask, text_or_pair

if TYPE_CHECKING:
    from onnxlet.contract.tasks.texts import TextClassification


class TextClassificationTask(TextTask):
    """A text, or `{"text", "text_pair"}`, to the labels of the manifest's classification, which the model gives."""

    PARAMETERS: ClassVar[Mapping[str, Parser]] = {
        **CUTTING,
        "function_to_apply": choice("none", "softmax", "sigmoid"),
    }
    declaration: TextClassification

    def prepare(self, rows: Rows, parameters: Parameters) -> Batch:
        """Return texts as a batch.

        Raises:
            InvalidRequestError: a value is neither a text nor a pair, or too long; or another activation than the
                model's is requested.
            UnsupportedMediaError, TooLargeError: the rows are no texts, or have too many characters.
        """
        classification = self.manifest.classification
        activation = "none" if classification is None else classification.activation
        wanted = parameters.get("function_to_apply", activation)
        if wanted != activation:
            raise InvalidRequestError(f"function_to_apply: this model answers with {activation}, got {wanted}")
        texts = [text_or_pair(value) for value in self.values(rows)]
        encodings, cut = self.tokenize(texts, parameters)
        return self.to_batch(encodings, texts, cut)
