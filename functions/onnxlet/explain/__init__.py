"""Explanations: which pixels, numbers, columns or words made a classifier answer as it did.

An explanation needs only the model's answers, so any ONNX graph can be explained: images by random masks (`saliency`),
the values of a row and the words of a text by sampled Shapley values (`shapley`). All stay within the budget that the
request gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from onnxlet.errors import InvalidRequestError, TooLargeError, UnsupportedMediaError
from onnxlet.explain import saliency, shapley, values
from onnxlet.explain.overlay import draw
from onnxlet.explain.runs import Runs
from onnxlet.explain.values import Values
from onnxlet.limits import DEFAULT_EXPLAIN_RUNS, MAX_EXPLAIN_MS, MAX_EXPLAIN_NUMBERS, MIN_EXPLAIN_RUNS
from onnxlet.media import images
from onnxlet.models.model import Model
from onnxlet.protocols import payloads
from onnxlet.record import EMPTY, Record
from onnxlet.tasks.rows import Batch, Images, Items, Rows

if TYPE_CHECKING:
    from onnxlet.contract.declarations import Classification
    from onnxlet.contract.tensors import Tensor
    from onnxlet.explain.shapley import Contributions
    from onnxlet.protocols.reader import Reader

DEFAULT_RUNS = 500
DEFAULT_MS = 5000

OWN_PARAMETERS = ("target", "budget_runs", "budget_ms")
"""The query parameters of an explanation; all others are the task's."""

EXPLAINED_BY = {"picture": "images", "text": "texts"}
"""The rows that are explained for models that do not take tensors from people."""

WALKS = 2
"""The orders in which the words of a text are left out at least: one, and its reverse."""


class ExplainRequest(Record):
    """A row to explain, and the budget for it."""

    row: Images | Batch | Items
    """One row of tensors, one image of any height and width, or one text or row of a table."""
    target: int | None
    """The position of a label; None for the label that the model gives."""
    budget_runs: int
    """The largest number of rows to run through the model."""
    budget_ms: int
    parameters: Mapping[str, str] = EMPTY
    """The task's own parameters."""


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
    """The contribution of each number, column or word; None for an image."""
    pixels: Tensor | None = None
    """The explained image, UINT8 (1, height, width, channels); None for other rows."""
    saliency: Tensor | None = None
    """The contribution of each pixel, FP32 (height, width) in the model's size; None for other rows."""

    def to_document(self) -> dict[str, Any]:
        """Return the JSON document, without the model's name and version."""
        reasons: dict[str, Any] = {}
        if self.contributions is not None:
            reasons = {
                "baseline_probability": self.contributions.baseline_probability,
                "contributions": self.contributions.items,
            }
        if self.saliency is not None:
            data = self.saliency.buffer.cast("f").tolist()
            form = {"datatype": self.saliency.datatype.name, "shape": self.saliency.shape}
            reasons = {"map": {"name": "map", **form, "data": data}}
        document = {"label": self.label, "probability": self.probability, **reasons}
        return {**document, "runs": self.runs, "milliseconds": self.milliseconds}

    def overlay(self) -> bytes | None:
        """Return a PNG file of the image with its map; None for other rows."""
        return None if self.pixels is None or self.saliency is None else draw(self.pixels, self.saliency)


def parse_explain(
    reader: Reader, query: Mapping[str, str], media_type: str, body: bytes, most_runs: int = DEFAULT_EXPLAIN_RUNS
) -> ExplainRequest:
    """Read a request.

    Args:
        reader: The reader for the model, which keeps the size of images.
        query: The budget, the label, and the task's own parameters.
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
    row = _explainable(reader, _one_row(payloads.decode(reader, media_type, body).rows))
    return ExplainRequest(
        row=row,
        target=_parse_target(query.get("target"), classification),
        budget_runs=_parse_integer(query, "budget_runs", min(DEFAULT_RUNS, most_runs), MIN_EXPLAIN_RUNS, most_runs),
        budget_ms=_parse_integer(query, "budget_ms", DEFAULT_MS, 1, MAX_EXPLAIN_MS),
        parameters={name: query[name] for name in query if name not in OWN_PARAMETERS},
    )


def explain(model: Model, request: ExplainRequest) -> Explanation:
    """Explain one row. The same request gets the same explanation unless its time ends before its runs do.

    Raises:
        InvalidRequestError: the budget is too small for any explanation.
        InferenceError: the model cannot run on the row, or on changed copies of it.
    """
    runs = Runs(model, request.budget_runs, request.budget_ms / 1000)
    if isinstance(request.row, Images):
        probability, reasons = _explain_image(model, request.row, request.target, runs)
    elif model.manifest.takes() == "text":
        probability, reasons = _explain_text(model, request, runs)
    else:
        probability, reasons = _explain_values(model, request, runs)
    classification = model.manifest.classification
    assert classification is not None, "parse_explain has checked it"
    label = classification.labels[runs.target]
    return Explanation(label, probability, runs.count, runs.elapsed_s() * 1000, **reasons)


def _explain_image(model: Model, image: Images, target: int | None, runs: Runs) -> tuple[float, dict[str, Any]]:
    """Return the label's probability, and the fields of the explanation."""
    declaration = model.manifest.preprocess
    assert declaration is not None, "parse_explain has checked it"
    inputs = model.to_inputs(images.shrunk(image.pixels, declaration))
    probability = runs.begin(Batch(inputs, 1, is_image=True), target)
    return probability, {"pixels": image.pixels, "saliency": saliency.saliency(model, image.pixels, runs)}


def _explain_values(model: Model, request: ExplainRequest, runs: Runs) -> tuple[float, dict[str, Any]]:
    """Return the label's probability, and the fields of the explanation."""
    row, columns = request.row, getattr(model.manifest.task, "columns", ())
    if isinstance(row, Items):
        row = model.prepare(row, model.parse_parameters(request.parameters))
        _require_few(row)
    assert isinstance(row, Batch), "an image is explained otherwise"
    probability = runs.begin(row, request.target)
    return probability, {"contributions": shapley.contributions(Values(row, columns), probability, runs)}


def _explain_text(model: Model, request: ExplainRequest, runs: Runs) -> tuple[float, dict[str, Any]]:
    """Return the label's probability, and the fields of the explanation."""
    from onnxlet.explain.words import Words  # few requests explain texts

    assert isinstance(request.row, Items), "parse_explain has checked it"
    assert model.task is not None, "a model that takes texts has a task"
    (value,) = request.row.values
    words = Words(model.task, value, model.parse_parameters(request.parameters))
    probability = runs.begin(words.row, request.target)
    words.limit(runs.affordable() // WALKS)
    return probability, {"contributions": shapley.contributions(words, probability, runs)}


def _explainable(reader: Reader, row: Rows) -> Images | Batch | Items:
    """Return a row, if it is of a kind that can be explained.

    Raises:
        UnsupportedMediaError: the row is a sound, or tensors for a model of pictures or texts.
        TooLargeError: the row has too many numbers.
    """
    name, takes = reader.manifest.model, reader.manifest.takes()
    if not isinstance(row, Batch | Images | Items):
        raise UnsupportedMediaError(f'model "{name}" takes a {takes}, which cannot be explained')
    if isinstance(row, Batch):
        if takes in EXPLAINED_BY:
            raise UnsupportedMediaError(
                f'model "{name}" is explained by {EXPLAINED_BY[takes]}, not by tensors: send what it was made of'
            )
        _require_few(row)
    return row


def _require_few(row: Batch) -> None:
    numbers = values.count(row)
    if numbers > MAX_EXPLAIN_NUMBERS:
        raise TooLargeError(f"a row of {numbers} numbers: at most {MAX_EXPLAIN_NUMBERS} are explained")


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
