"""Explain: what of an image, or which numbers of a row, made a classifier answer as it did.

Nothing is asked of the model but answers, so that any ONNX graph can be explained: images by random masks (`saliency`),
numbers by sampled Shapley values (`shapley`). Both run within the budget that the request gives.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from onnxlet.contract.manifest import PREPROCESS_INPUT, Classification
from onnxlet.contract.tensors import Tensor
from onnxlet.errors import InvalidRequestError, TooLargeError, UnsupportedMediaError
from onnxlet.explain import saliency, shapley
from onnxlet.explain.overlay import overlay
from onnxlet.explain.runs import Runs
from onnxlet.limits import DEFAULT_EXPLAIN_RUNS, MAX_EXPLAIN_MS, MAX_EXPLAIN_NUMBERS, MIN_EXPLAIN_RUNS
from onnxlet.media import images
from onnxlet.models.batches import Batch
from onnxlet.models.model import Model
from onnxlet.protocols import payloads
from onnxlet.protocols.instances import Fetch

DEFAULT_RUNS = 500
DEFAULT_MS = 5000


@dataclass(frozen=True, slots=True)
class ExplainRequest:
    """What to explain."""

    row: Batch
    """Of a model of images the pixels, UINT8 (1, height, width, channels) of any height and width."""
    target: int | None
    """The position of a label; None for the one that the model says."""
    budget_runs: int
    """Rows through the model, at most."""
    budget_ms: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a classifier answers as it does."""

    document: dict[str, Any]
    """Beside the model's name and version."""
    overlay: bytes | None
    """A PNG file, where an image is explained."""
    runs: int


def parse_explain(
    model: Model,
    query: Mapping[str, str],
    media_type: str,
    body: bytes,
    fetch: Fetch = payloads.no_references,
    most_runs: int = DEFAULT_EXPLAIN_RUNS,
) -> ExplainRequest:
    """Read a request; the arguments from `media_type` to `fetch` are those of `payloads.decode`.

    Args:
        model: A classifier.
        query: The budget, and the label.
        media_type: What the body is.
        body: The row.
        fetch: What reads the objects that the body names.
        most_runs: How many rows may run for one request.

    Raises:
        TooLargeError: a row of more numbers than are explained.
        InvalidRequestError: several rows, no label of the model, or a budget outside its range.
        UnsupportedMediaError: the model is no classifier, or takes no such payload here.
        OnnxletError: as `payloads.decode`.
    """
    name, classification = model.manifest.model, model.manifest.classification
    if classification is None:
        raise UnsupportedMediaError(f'model "{name}" has no labels, its manifest says: only classifiers are explained')
    has_images = model.manifest.preprocess is not None
    rows = payloads.decode(
        replace(model, preprocess=_OneImage(), keeps_images=True) if has_images else model, media_type, body, fetch
    )
    if len(rows) != 1 or rows[0].rows not in {1, None}:
        raise InvalidRequestError(f"expected one row, got {sum(1 if row.rows is None else row.rows for row in rows)}")
    if has_images and not rows[0].is_image:
        raise UnsupportedMediaError(f'model "{name}" is explained by images, not by tensors: send what it was made of')
    numbers = sum(math.prod(tensor.shape) for tensor in rows[0].inputs.values())
    if not has_images and numbers > MAX_EXPLAIN_NUMBERS:
        raise TooLargeError(f"a row of {numbers} numbers: at most {MAX_EXPLAIN_NUMBERS} are explained")
    return ExplainRequest(
        row=rows[0],
        target=_parse_target(query.get("target"), classification),
        budget_runs=_parse_integer(query, "budget_runs", min(DEFAULT_RUNS, most_runs), MIN_EXPLAIN_RUNS, most_runs),
        budget_ms=_parse_integer(query, "budget_ms", DEFAULT_MS, 1, MAX_EXPLAIN_MS),
    )


def explain(model: Model, request: ExplainRequest) -> Explanation:
    """Explain one row; the same request gets the same explanation, unless its time is up before its runs are.

    Raises:
        InvalidRequestError: a budget that is too small to say anything.
        InferenceError: the model cannot run on the row, or on changed copies of it.
    """
    runs = Runs(model, request.budget_runs, request.budget_ms / 1000)
    if model.manifest.preprocess is not None:
        return _explain_image(model, request, runs)
    probability = runs.begin(request.row, request.target)
    found = shapley.contributions(request.row, shapley.zeros(request.row), probability, runs)
    document = {"baseline_probability": found.baseline_probability, "contributions": found.to_items()}
    return Explanation({**_answer(model, runs, probability), **document, **_spent(runs)}, None, runs.count)


def _explain_image(model: Model, request: ExplainRequest, runs: Runs) -> Explanation:
    (pixels,) = request.row.inputs.values()
    declaration = model.manifest.preprocess
    assert declaration is not None, "the caller has looked"
    probability = runs.begin(
        Batch(model.to_inputs(images.shrunk(pixels, declaration)), 1, is_image=True), request.target
    )
    found = saliency.saliency(model, pixels, runs)
    item = {
        "name": "map",
        "datatype": found.datatype.name,
        "shape": found.shape,
        "data": found.buffer.cast("f").tolist(),
    }
    document = {**_answer(model, runs, probability), "map": item, **_spent(runs)}
    return Explanation(document, overlay(pixels, found), runs.count)


def _answer(model: Model, runs: Runs, probability: float) -> dict[str, Any]:
    classification = model.manifest.classification
    assert classification is not None, "parse_explain has looked"
    return {"label": classification.labels[runs.target], "probability": probability}


def _spent(runs: Runs) -> dict[str, Any]:
    return {"runs": runs.count, "milliseconds": runs.elapsed_s() * 1000}


class _OneImage:
    """In place of a preprocessing: leaves an image's pixels as they are; a second one would only fill memory."""

    def __init__(self) -> None:
        self._is_taken = False

    def run(self, inputs: Mapping[str, Tensor], _outputs: Sequence[str]) -> list[Tensor]:
        if self._is_taken:
            raise InvalidRequestError("expected one row, got several images")
        self._is_taken = True
        return [inputs[PREPROCESS_INPUT]]


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
