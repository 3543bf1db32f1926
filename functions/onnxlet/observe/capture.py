"""The capture: what an operator may know of sampled answers, kept beside the results; the inputs only if he asks.

One document for each sampled request, under `capture/<model>/<version>/<day>/`: the labels, their probabilities, and
what `contract.reference` measures of the inputs.
"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from onnxlet.contract import json_tensors
from onnxlet.contract.document import to_json
from onnxlet.contract.golden import to_items
from onnxlet.contract.tensors import Tensor
from onnxlet.contract.training_statistics import measures
from onnxlet.models.batches import Batch, Outputs
from onnxlet.models.model import Model
from onnxlet.storage import Store

MAX_ROWS = 100
"""Of one request: the first ones."""

MAX_INPUT_BYTES = 4 * 1024 * 1024
"""Of one request's tensors, where they are kept: those of larger ones are not."""

SCHEMA = 1


def write(
    results: Store, model: Model, asked: Sequence[Batch], outputs: Sequence[Outputs], *, has_inputs: bool = False
) -> None:
    """Write the document of one request.

    Args:
        results: Where.
        model: Who answered.
        asked: What.
        outputs: What it answered to each.
        has_inputs: Whether the tensors that the model ran on are kept, too.

    Raises:
        OnnxletError: the store does not take it, or the answer has no labels that could be read.
    """
    now = datetime.now(UTC)
    name, version = model.manifest.model, model.manifest.version
    rows = [row for batch, found in zip(asked, outputs, strict=True) for row in _rows(model, batch.inputs, found)]
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "time": now.isoformat(timespec="seconds"),
        "model": name,
        "version": version,
        "rows": rows[:MAX_ROWS],
    }
    if has_inputs and sum(len(tensor.buffer) for batch in asked for tensor in batch.inputs.values()) <= MAX_INPUT_BYTES:
        document["inputs"] = [to_items(batch.inputs) for batch in asked]
    results.put_if_absent(f"{prefix(name, version, now)}/{os.urandom(16).hex()}.json", to_json(document))


def prefix(model: str, version: int, day: date) -> str:
    """Under which the documents of one version and one day, in UTC, lie."""
    return f"capture/{model}/{version}/{day:%Y-%m-%d}"


def _rows(model: Model, inputs: Mapping[str, Tensor], outputs: Outputs) -> Iterator[dict[str, Any]]:
    """What is known of each of the first rows."""
    count = _count(model, inputs)
    answers = _answers(model, outputs, count or 1)
    for place in range(min(count or 1, MAX_ROWS)):
        found: dict[str, float] = {}
        for name, tensor in inputs.items():
            found |= measures(name, tensor if count is None else _row(tensor, place))
        numbers = {name: value for name, value in found.items() if math.isfinite(value)}
        yield {**(answers[place] if answers else {}), "measures": numbers}


def _count(model: Model, inputs: Mapping[str, Tensor]) -> int | None:
    """How many rows there are; None where the inputs' first dimension does not count any."""
    has_rows = all(spec.shape and isinstance(spec.shape[0], str) for spec in model.manifest.inputs)
    counts = {tensor.shape[:1] for tensor in inputs.values()}
    return next(iter(counts))[0] if has_rows and len(counts) == 1 else None


def _row(tensor: Tensor, place: int) -> Tensor:
    size_bytes = math.prod(tensor.shape[1:]) * tensor.datatype.size_bytes
    return Tensor(tensor.datatype, tensor.shape[1:], tensor.buffer[place * size_bytes : (place + 1) * size_bytes])


def _answers(model: Model, outputs: Outputs, count: int) -> list[dict[str, Any]]:
    """The label and its probability for each row; nothing where there are no labels, or nobody asked for them."""
    classification, output = model.manifest.classification, outputs.get(model.manifest.class_output())
    if classification is None or output is None or output.shape[:1] != (count,):
        return []
    indices, probabilities = (json_tensors.to_values(tensor) for tensor in model.classify(output, 1))
    return [
        {"label": classification.labels[index], "confidence": probability}
        for index, probability in zip(indices, probabilities, strict=True)
    ]
