"""Explanations: which pixels of an image, or which numbers of a row, made a classifier answer as it did.

An explanation needs only the model's answers, so any ONNX graph can be explained: images by random masks (`saliency`),
numbers by sampled Shapley values (`shapley`). Both stay within the budget that the request gives.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from onnxlet.errors import InvalidRequestError, TooLargeError, UnsupportedMediaError
from onnxlet.explain import saliency, shapley
from onnxlet.explain.overlay import draw
from onnxlet.explain.runs import Runs
from onnxlet.limits import DEFAULT_EXPLAIN_RUNS, MAX_EXPLAIN_MS, MAX_EXPLAIN_NUMBERS, MIN_EXPLAIN_RUNS
from onnxlet.media import images
from onnxlet.models.model import Model
from onnxlet.protocols import payloads
from onnxlet.record import Record
from onnxlet.tasks.rows import Batch, Images, Rows

if TYPE_CHECKING:
    from onnxlet.contract.declarations import Classification
    from onnxlet.contract.tensors import Tensor
    from onnxlet.explain.shapley import Contributions
    from onnxlet.protocols.reader import Reader

DEFAULT_RUNS = 500
DEFAULT_MS = 5000


class ExplainRequest(Record):
    """A row to explain, and the budget for it."""

    row: Images | Batch
    """One row, or one image of any height and width."""
    target: int | None
    """The position of a label; None for the label that the model gives."""
    budget_runs: int
    """The largest number of rows to run through the model."""
    budget_ms: int


class Explanation(Record):
    """Why a classifier answers as it does."""

    label: str
    """The explained label."""
    probability: float
    """The label's probability."""
    runs: int
    """The number of rows that ran through the model."""
    milliseconds: float
    contributions: Contributions | None = None
    """The contribution of each number of the row; None for an image."""
    pixels: Tensor | None = None
    """The explained image, UINT8 (1, height, width, channels); None for a row of numbers."""
    saliency: Tensor | None = None
    """The contribution of each pixel, FP32 (height, width) in the model's size; None for a row of numbers."""

    def to_document(self) -> dict[str, Any]:
        """Return the JSON document, without the model's name and version."""
        reasons: dict[str, Any] = {}
        if self.contributions is not None:
            reasons = {
                "baseline_probability": self.contributions.baseline_probability,
                "contributions": self.contributions.to_items(),
            }
        if self.saliency is not None:
            data = self.saliency.buffer.cast("f").tolist()
            form = {"datatype": self.saliency.datatype.name, "shape": self.saliency.shape}
            reasons = {"map": {"name": "map", **form, "data": data}}
        document = {"label": self.label, "probability": self.probability, **reasons}
        return {**document, "runs": self.runs, "milliseconds": self.milliseconds}

    def overlay(self) -> bytes | None:
        """Return a PNG file of the image with its map; None for a row of numbers."""
        return None if self.pixels is None or self.saliency is None else draw(self.pixels, self.saliency)


def parse_explain(
    reader: Reader, query: Mapping[str, str], media_type: str, body: bytes, most_runs: int = DEFAULT_EXPLAIN_RUNS
) -> ExplainRequest:
    """Read a request.

    Args:
        reader: The reader for the model, which keeps the size of images.
        query: The budget, and the label.
        media_type: The declared type of the body.
        body: The row, as `payloads.decode` takes it.
        most_runs: The largest number of rows to run for one request.

    Raises:
        TooLargeError: the row has more numbers than can be explained.
        InvalidRequestError: several rows, a label that the model does not have, or a budget outside its range.
        UnsupportedMediaError: the model is not a classifier, or its payloads of this kind cannot be explained.
        OnnxletError: as `payloads.decode`.
    """
    name, classification = reader.manifest.model, reader.manifest.classification
    if classification is None:
        raise UnsupportedMediaError(f'model "{name}" has no labels, its manifest says: only classifiers are explained')
    row = _one_row(payloads.decode(reader, media_type, body))
    if not isinstance(row, Batch | Images):
        raise UnsupportedMediaError(
            f'model "{name}" takes a {reader.manifest.takes()}: only images and numbers are explained'
        )
    if isinstance(row, Batch):
        if reader.manifest.preprocess is not None:
            raise UnsupportedMediaError(
                f'model "{name}" is explained by images, not by tensors: send what it was made of'
            )
        numbers = sum(math.prod(tensor.shape) for tensor in row.inputs.values())
        if numbers > MAX_EXPLAIN_NUMBERS:
            raise TooLargeError(f"a row of {numbers} numbers: at most {MAX_EXPLAIN_NUMBERS} are explained")
    return ExplainRequest(
        row=row,
        target=_parse_target(query.get("target"), classification),
        budget_runs=_parse_integer(query, "budget_runs", min(DEFAULT_RUNS, most_runs), MIN_EXPLAIN_RUNS, most_runs),
        budget_ms=_parse_integer(query, "budget_ms", DEFAULT_MS, 1, MAX_EXPLAIN_MS),
    )


def explain(model: Model, request: ExplainRequest) -> Explanation:
    """Explain one row. The same request gets the same explanation unless its time ends before its runs do.

    Raises:
        InvalidRequestError: the budget is too small for any explanation.
        InferenceError: the model cannot run on the row, or on changed copies of it.
    """
    runs = Runs(model, request.budget_runs, request.budget_ms / 1000)
    if isinstance(request.row, Images):
        pixels, declaration = request.row.pixels, model.manifest.preprocess
        assert declaration is not None, "parse_explain has checked it"
        inputs = model.to_inputs(images.shrunk(pixels, declaration))
        probability = runs.begin(Batch(inputs, 1, is_image=True), request.target)
        reasons: dict[str, Any] = {"pixels": pixels, "saliency": saliency.saliency(model, pixels, runs)}
    else:
        probability = runs.begin(request.row, request.target)
        baseline = shapley.zeros(request.row)
        reasons = {"contributions": shapley.contributions(request.row, baseline, probability, runs)}
    classification = model.manifest.classification
    assert classification is not None, "parse_explain has checked it"
    label = classification.labels[runs.target]
    return Explanation(label, probability, runs.count, runs.elapsed_s() * 1000, **reasons)


def _one_row(rows: Iterable[Rows]) -> Rows:
    """Return the only row; refuse a second image before its pixels are kept in addition to those of the first.

    Raises:
        InvalidRequestError: there are several rows.
    """
    decoded: list[Rows] = []
    has_image = False
    for item in rows:
        if isinstance(item, Images):
            if has_image:
                raise InvalidRequestError("expected one row, got several images")
            has_image = True
        decoded.append(item)
    if len(decoded) != 1 or decoded[0].rows not in {1, None}:
        count = sum(1 if row.rows is None else row.rows for row in decoded)
        raise InvalidRequestError(f"expected one row, got {count}")
    return decoded[0]


def _parse_target(label: str | None, classification: Classification) -> int | None:
    if label is None:
        return None
    if label not in classification.labels:
        known = ", ".join(classification.labels)
        raise InvalidRequestError(f"target: expected one of {known:.400}, got {label!r:.80}")
    return classification.labels.index(label)


def _parse_integer(query: Mapping[str, str], name: str, default: int, at_least: int, at_most: int) -> int:
    text = query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not at_least <= int(text) <= at_most:
        raise InvalidRequestError(f"{name}: expected a number from {at_least} to {at_most}, got {text[:80]!r}")
    return int(text)
