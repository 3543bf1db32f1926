"""Vocabulary: whether a tokenizer is that of the model, and whether the model takes texts as long as it declares."""

import onnx

from onnxlet.contract.tasks.texts import IDS, Tokenization
from onnxlet.contract.tensors import Tensor, TensorSpec
from onnxlet.errors import OnnxletError
from onnxlet.models.model import Model
from onnxlet.tasks.tokenizer import TokenIds, to_inputs
from onnxlet_publishing.errors import ModelError
from onnxlet_publishing.graph_walk import inlined
from onnxlet_publishing.onnx_file import OnnxFile

INTEGERS = ("INT64", "INT32")
"""The datatypes of an input for tokens."""

MAX_TRIED_TOKENS = 2048
"""The longest text that is tried: attention takes memory by the square of the length."""

MIN_SHARE = 0.9
"""The share of the model's vectors for tokens that a tokenizer uses; the rest pads them to a round number."""


def check_inputs(tokenization: Tokenization, inputs: tuple[TensorSpec, ...], source: str) -> None:
    """Refuse a model whose inputs are not rows of integers.

    Raises:
        ModelError: An input has another datatype or rank.
    """
    for spec in inputs:
        is_row = spec.shape is not None and len(spec.shape) == 2
        if spec.name in tokenization.inputs.values() and not (is_row and spec.datatype.name in INTEGERS):
            raise ModelError(
                f'{source}: input "{spec.name}": a tokenizer feeds {" or ".join(INTEGERS)} (batch, tokens), got {spec}'
            )


def check_vocabulary(tokenization: Tokenization, model: Model, file: OnnxFile, source: str) -> None:
    """Run a model on the tokenizer's last token with padding, and on as many tokens as it declares to take.

    Raises:
        ModelError: The model does not take them, or has far more tokens than the tokenizer.
    """
    task = model.task
    assert task is not None, "the caller has checked it"
    assert task.parts.tokenizer is not None, "a task of texts has a tokenizer"
    last = task.parts.tokenizer.last_id
    rows = _rows_of_embedding(file, tokenization.inputs[IDS])
    if rows is not None and not MIN_SHARE * rows <= last + 1 <= rows:
        raise ModelError(f"{source}: expected a tokenizer for the model's {rows} tokens, got one with {last + 1}")
    length = tokenization.padded_length or min(tokenization.max_length, 2)
    try:
        model.run(_inputs(model, tokenization, [last], length))
    except OnnxletError as error:
        raise ModelError(
            f"{source}: the model does not take token {last}, the tokenizer's last, with the padding "
            f"{tokenization.pad_id}: expected the tokenizer of this model: {error}"
        ) from error
    length = tokenization.padded_length or min(tokenization.max_length, MAX_TRIED_TOKENS)
    try:
        model.run(_inputs(model, tokenization, [last] * min(tokenization.max_length, length), length))
    except OnnxletError as error:
        raise ModelError(
            f"{source}: the model does not take texts of {length} tokens: declare a shorter max_length: {error}"
        ) from error


def _inputs(model: Model, tokenization: Tokenization, ids: list[int], length: int) -> dict[str, Tensor]:
    specs = {spec.name: spec for spec in model.manifest.inputs}
    return to_inputs([TokenIds(ids)], length, tokenization, specs)


def _rows_of_embedding(file: OnnxFile, name: str) -> int | None:
    """Return the number of tokens for which a model has vectors; None if the graph does not show it."""
    graph = inlined(onnx.load_from_string(file.data)).graph
    names = {name}
    sizes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in names:
            names.add(node.output[0])
        if node.op_type == "Gather" and node.input[1] in names and len(sizes.get(node.input[0], ())) == 2:
            return int(sizes[node.input[0]][0])
    return None
