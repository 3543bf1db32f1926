"""The batches: rows of tensors for a model, run as one tensor where the model's shapes allow it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onnxlet.contract import tensors
from onnxlet.contract.manifest import Manifest
from onnxlet.contract.tensors import ANY, Tensor
from onnxlet.errors import InferenceError, OnnxletError
from onnxlet.limits import MAX_JOINED_BYTES
from onnxlet.models.model import Model

Outputs = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Batch:
    """A tensor for each input of a model: one row, several, or one whole thing that has no rows."""

    inputs: Mapping[str, Tensor]
    rows: int | None
    """None where the inputs' first dimension does not count rows."""
    is_image: bool = False
    """Whether an image was sent, and not the tensor that it becomes."""


def run(model: Model, batches: Sequence[Batch]) -> list[Outputs]:
    """The outputs for each batch.

    Raises:
        InvalidTensorError, InferenceError: the model cannot run on one of them.
    """
    found = []
    for outcome in attempt(model, batches):
        if isinstance(outcome, OnnxletError):
            raise outcome
        found.append(outcome)
    return found


def attempt(model: Model, batches: Sequence[Batch]) -> list[Outputs | OnnxletError]:
    """The outputs for each batch, or why there are none: what one of them is does not touch the others."""
    outcomes: dict[int, Outputs | OnnxletError] = {}
    for group in _groups(model.manifest, batches):
        outcomes.update(zip(group, _run_group(model, [batches[index] for index in group]), strict=True))
    return [outcomes[index] for index in range(len(batches))]


def _groups(manifest: Manifest, batches: Sequence[Batch], at_most_bytes: int = MAX_JOINED_BYTES) -> list[list[int]]:
    """The batches that can run as one tensor, by their positions; a group ends with what reaches over its bound."""
    if not _keeps_rows(manifest):
        return [[index] for index in range(len(batches))]
    groups: dict[object, list[int]] = {}
    sizes: dict[object, int] = {}
    for index, batch in enumerate(batches):
        shape = _row_shape(batch) or index
        before_bytes = sizes.get(shape, 0)
        groups.setdefault((shape, before_bytes // at_most_bytes), []).append(index)
        sizes[shape] = before_bytes + sum(len(tensor.buffer) for tensor in batch.inputs.values())
    return list(groups.values())


def _keeps_rows(manifest: Manifest) -> bool:
    """Whether the first dimension of every input and output is one and the same, free and with a name."""
    first = {spec.shape[0] if spec.shape else None for spec in (*manifest.inputs, *manifest.outputs)}
    (name, *others) = first
    return not others and isinstance(name, str) and name != ANY


def _row_shape(batch: Batch) -> object | None:
    """Return what must be equal for batches to be joined; None for one that cannot be.

    A batch without elements is not joined, so that the rows of others do not hide its dimension of 0.
    """
    if batch.rows is None or any(
        tensor.shape[:1] != (batch.rows,) or 0 in tensor.shape for tensor in batch.inputs.values()
    ):
        return None
    return tuple(sorted((name, tensor.datatype.name, tensor.shape[1:]) for name, tensor in batch.inputs.items()))


def _run_group(model: Model, batches: Sequence[Batch]) -> list[Outputs | OnnxletError]:
    try:
        return [*_run_joined(model, batches)]
    except OnnxletError as error:
        if len(batches) == 1:
            return [error]
        return [outcome for batch in batches for outcome in _run_group(model, [batch])]


def _run_joined(model: Model, batches: Sequence[Batch]) -> list[Outputs]:
    names = batches[0].inputs
    outputs = model.run({name: tensors.join([batch.inputs[name] for batch in batches]) for name in names})
    if len(batches) == 1:
        return [outputs]
    counts = [batch.rows or 0 for batch in batches]
    for name, tensor in outputs.items():
        if tensor.shape[:1] != (sum(counts),):
            raise InferenceError(f'output "{name}": expected {sum(counts)} rows, got {tensor.shape}')
    parts = {name: tensors.split(tensor, counts) for name, tensor in outputs.items()}
    return [{name: parts[name][index] for name in parts} for index in range(len(batches))]
