"""Batches: the joining of rows that a model can run as one tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from onnxlet.contract import tensors
from onnxlet.contract.manifest import Manifest
from onnxlet.contract.tensors import ANY, Tensor
from onnxlet.errors import InferenceError, OnnxletError
from onnxlet.limits import MAX_JOINED_BYTES
from onnxlet.tasks.rows import Batch, Outputs

Run = Callable[[Mapping[str, Tensor]], Outputs]
"""Runs a model on a tensor for each of its inputs."""


def attempt(
    manifest: Manifest, run: Run, batches: Sequence[Batch], at_most_bytes: int = MAX_JOINED_BYTES
) -> list[Outputs | OnnxletError]:
    """Run a model on batches, joined where its shapes allow that.

    Args:
        manifest: The model's manifest.
        run: Runs the model once.
        batches: The batches.
        at_most_bytes: The size of the inputs that run as one tensor.

    Returns:
        For each batch its outputs, or the error that this batch causes.
    """
    outcomes: dict[int, Outputs | OnnxletError] = {}
    run_divided = partial(_run_divided, run, at_most_bytes)
    for group in _groups(manifest, batches, at_most_bytes):
        is_own = batches[group[0]].context is None  # tensors that the client sent run as they are
        own = [batches[index] for index in group]
        outcomes.update(zip(group, _run_group(run if is_own else run_divided, own), strict=True))
    return [outcomes[index] for index in range(len(batches))]


def _groups(manifest: Manifest, batches: Sequence[Batch], at_most_bytes: int = MAX_JOINED_BYTES) -> list[list[int]]:
    """Return the positions of the batches that can run as one tensor, group by group.

    A group ends with the batch that exceeds the bound.
    """
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
    """Return whether all inputs and outputs have the same first dimension, which is free and has a name."""
    first = {spec.shape[0] if spec.shape else None for spec in (*manifest.inputs, *manifest.outputs)}
    (name, *others) = first
    return not others and isinstance(name, str) and name != ANY


def _row_shape(batch: Batch) -> object | None:
    """Return what must be equal for batches to be joined; None for a batch that must run separately.

    A batch without elements runs separately, so that the rows of others do not hide its dimension of 0.
    """
    if batch.rows is None or any(
        tensor.shape[:1] != (batch.rows,) or 0 in tensor.shape for tensor in batch.inputs.values()
    ):
        return None
    return tuple(sorted((name, tensor.datatype.name, tensor.shape[1:]) for name, tensor in batch.inputs.items()))


def _run_group(run: Run, batches: Sequence[Batch]) -> list[Outputs | OnnxletError]:
    """Run batches as one; if that fails, run them one by one to find the faulty ones."""
    try:
        return [*_run_joined(run, batches)]
    except OnnxletError as error:
        if len(batches) == 1:
            return [error]
        return [outcome for batch in batches for outcome in _run_group(run, [batch])]


def _run_divided(run: Run, at_most_bytes: int, inputs: Mapping[str, Tensor]) -> Outputs:
    """Run a model on a task's rows, as many at a time as fit into a size, and at least one; join its outputs."""
    rows = min((tensor.shape[0] if tensor.shape else 1) for tensor in inputs.values())
    row_bytes = sum(tensor.buffer.nbytes for tensor in inputs.values()) // max(rows, 1)
    step = max(1, at_most_bytes // max(row_bytes, 1))
    if rows <= step:
        return run(inputs)
    counts = [min(step, rows - start) for start in range(0, rows, step)]
    parts = {name: tensors.split(tensor, counts) for name, tensor in inputs.items()}
    outputs = [run({name: parts[name][index] for name in parts}) for index in range(len(counts))]
    return {name: tensors.join([part[name] for part in outputs]) for name in outputs[0]}


def _run_joined(run: Run, batches: Sequence[Batch]) -> list[Outputs]:
    names = batches[0].inputs
    outputs = run({name: tensors.join([batch.inputs[name] for batch in batches]) for name in names})
    if len(batches) == 1:
        return [outputs]
    counts = [batch.rows or 0 for batch in batches]
    for name, tensor in outputs.items():
        if tensor.shape[:1] != (sum(counts),):
            raise InferenceError(f'output "{name}": expected {sum(counts)} rows, got {tensor.shape}')
    parts = {name: tensors.split(tensor, counts) for name, tensor in outputs.items()}
    return [{name: parts[name][index] for name in parts} for index in range(len(batches))]
