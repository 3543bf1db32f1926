"""Captured samples: facts about some answers, stored with the results; inputs only if the operator asks for them.

Each sampled request has one document under `capture/<model>/<version>/<day>/`: the labels, their probabilities, and the
measures of the inputs that `contract.training_statistics` defines.
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
from onnxlet.models.model import Model
from onnxlet.storage import Store
from onnxlet.tasks.rows import Batch, Outputs

MAX_ROWS = 100
"""The first rows of a request, which are captured; further rows are not."""

MAX_INPUT_BYTES = 4 * 1024 * 1024
"""The size of a request's tensors up to which they are captured."""

SCHEMA = 1


def write(
    results: Store, model: Model, batches: Sequence[Batch], outputs: Sequence[Outputs], *, has_inputs: bool = False
) -> None:
    """Write the document of one request.

    Args:
        results: The store that the document is written to.
        model: The model that answered.
        batches: The request's batches.
        outputs: The model's outputs for each batch.
        has_inputs: Whether the tensors that the model ran on are captured, too.

    Raises:
        OnnxletError: the store refuses the document, or the labels cannot be read from the outputs.
    """
    now = datetime.now(UTC)
    name, version = model.manifest.model, model.manifest.version
    rows = [row for batch, out in zip(batches, outputs, strict=True) for row in _rows(model, batch.inputs, out)]
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "time": now.isoformat(timespec="seconds"),
        "model": name,
        "version": version,
        "rows": rows[:MAX_ROWS],
    }
    if (
        has_inputs
        and sum(len(tensor.buffer) for batch in batches for tensor in batch.inputs.values()) <= MAX_INPUT_BYTES
    ):
        document["inputs"] = [to_items(batch.inputs) for batch in batches]
    results.put_if_absent(f"{prefix(name, version, now)}/{os.urandom(16).hex()}.json", to_json(document))


def prefix(model: str, version: int, day: date) -> str:
    """Return the prefix of the documents of a version on a day in UTC."""
    return f"capture/{model}/{version}/{day:%Y-%m-%d}"


def _rows(model: Model, inputs: Mapping[str, Tensor], outputs: Outputs) -> Iterator[dict[str, Any]]:
    """Yield the label and the measures of each of the first rows."""
    count = _count(model, inputs)
    answers = _answers(model, outputs, count or 1)
    for place in range(min(count or 1, MAX_ROWS)):
        values: dict[str, float] = {}
        for name, tensor in inputs.items():
            values |= measures(name, tensor if count is None else _row(tensor, place))
        numbers = {name: value for name, value in values.items() if math.isfinite(value)}
        yield {**(answers[place] if answers else {}), "measures": numbers}


def _count(model: Model, inputs: Mapping[str, Tensor]) -> int | None:
    """Return the number of rows; None if the inputs' first dimension does not count rows."""
    has_rows = all(spec.shape and isinstance(spec.shape[0], str) for spec in model.manifest.inputs)
    counts = {tensor.shape[:1] for tensor in inputs.values()}
    return next(iter(counts))[0] if has_rows and len(counts) == 1 else None


def _row(tensor: Tensor, place: int) -> Tensor:
    size_bytes = math.prod(tensor.shape[1:]) * tensor.datatype.size_bytes
    return Tensor(tensor.datatype, tensor.shape[1:], tensor.buffer[place * size_bytes : (place + 1) * size_bytes])


def _answers(model: Model, outputs: Outputs, count: int) -> list[dict[str, Any]]:
    """Return the label and its probability for each row; nothing if there are no labels or none were requested."""
    classification, output = model.manifest.classification, outputs.get(model.manifest.class_output())
    if classification is None or output is None or output.shape[:1] != (count,):
        return []
    indices, probabilities = (json_tensors.to_values(tensor) for tensor in model.classify(output, 1))
    return [
        {"label": classification.labels[index], "confidence": probability}
        for index, probability in zip(indices, probabilities, strict=True)
    ]
