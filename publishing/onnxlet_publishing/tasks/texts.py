"""Graphs of tasks of texts: pooling, normalising, and what makes scores of a model's outputs."""

from collections.abc import Mapping

import numpy as np
from onnx import TensorProto

from onnxlet.contract.declarations import POSTPROCESS_OUTPUTS, ImagePreprocess
from onnxlet.contract.tasks.declaration import MASK, OUTPUT, VECTORS, Declaration
from onnxlet.contract.tasks.texts import (
    COUNT,
    PICKED,
    POOLED,
    SCORES,
    FeatureExtraction,
    FillMask,
    TextRanking,
    TextTask,
    TokenClassification,
)
from onnxlet.contract.tensors import TensorSpec, shape_text
from onnxlet_publishing.errors import ModelError
from onnxlet_publishing.graph_builder import GraphBuilder, Shape
from onnxlet_publishing.onnx_file import OnnxFile
from onnxlet_publishing.optimize import MAIN_VARIANT, GraphForm

FLOATS = ("FP32", "FP16", "FP64")

OUTPUT0 = OUTPUT.format(0)


def build(task: Declaration, model: OnnxFile, _preprocess: ImagePreprocess | None = None) -> list[GraphForm]:
    """Return the graph after the model that a task declares, if it needs one.

    Raises:
        ModelError: the declaration does not fit the model's outputs.
    """
    assert isinstance(task, TextTask), "the module is that of the family of texts"
    data = postprocess_graph(task, {spec.name: spec for spec in model.outputs})
    return [] if data is None else [GraphForm("postprocess", MAIN_VARIANT, data)]


def postprocess_graph(task: TextTask, outputs: Mapping[str, TensorSpec]) -> bytes | None:
    """Return the graph after the model that a task declares; None if it needs no graph.

    Args:
        task: The declaration.
        outputs: The model's outputs, by name.

    Raises:
        ModelError: the model lacks an output that the task reads, or it has another datatype or rank.
    """
    missing = [name for name in task.outputs() if name not in outputs]
    if missing:
        raise ModelError(f'task {task.name}: expected the output "{missing[0]}", got {", ".join(outputs)}')
    if "postprocess" not in task.roles():
        return None
    spec = outputs[task.outputs()[0]]
    if isinstance(task, FeatureExtraction):
        return _vectors(task, spec)
    if isinstance(task, TokenClassification):
        return _token_scores(spec)
    if isinstance(task, TextRanking):
        return _pair_scores(spec)
    assert isinstance(task, FillMask), "the other tasks have no graph"
    return _words(spec)


def _vectors(task: FeatureExtraction, spec: TensorSpec) -> bytes:
    """Return the graph that pools the vectors of a text's tokens, and divides the result by its length."""
    if task.pooling == "none":
        shape = _shape(spec, ("batch", "d"), ("batch", "tokens", "d"))
    else:
        shape = _shape(spec, ("batch", "tokens", "d"))
    graph = GraphBuilder()
    vectors = graph.add("Cast", OUTPUT0, result="numbers", to=TensorProto.FLOAT)
    inputs = {OUTPUT0: (spec.datatype.onnx, shape)}
    if task.pooling != "none":
        inputs[MASK] = (TensorProto.INT64, ["batch", "tokens"])
        vectors = _POOLINGS[task.pooling](graph, vectors)
        shape = ["batch", "d"]
    pooled = graph.add("Identity", vectors, result=POOLED if task.normalize else VECTORS)
    made = {pooled: (TensorProto.FLOAT, shape)}
    if task.normalize:
        length = graph.add("ReduceL2", pooled, graph.integers(-1), keepdims=1)
        graph.add("Div", pooled, graph.add("Max", length, graph.constant([1e-12])), result=VECTORS)
        made[VECTORS] = (TensorProto.FLOAT, shape)
    return graph.to_bytes("postprocess", inputs, made)


def _mean(graph: GraphBuilder, vectors: str) -> str:
    """Add the mean of a text's tokens, as a product of matrices: the mask as one row by the vectors."""
    flags = graph.add("Cast", MASK, to=TensorProto.FLOAT)
    sums = graph.add("MatMul", graph.add("Unsqueeze", flags, graph.integers(1)), vectors)
    count = graph.add("ReduceSum", flags, graph.integers(1), keepdims=1)
    divisor = graph.add("Max", count, graph.constant([1e-9]))
    return graph.add("Div", graph.add("Squeeze", sums, graph.integers(1)), divisor)


def _max(graph: GraphBuilder, vectors: str) -> str:
    """Add the largest number of a text's tokens in each dimension."""
    is_token = graph.add("Unsqueeze", graph.add("Cast", MASK, to=TensorProto.BOOL), graph.integers(2))
    kept = graph.add("Where", is_token, vectors, graph.constant([-np.inf]))
    return graph.add("ReduceMax", kept, graph.integers(1), keepdims=0)


def _first(graph: GraphBuilder, vectors: str) -> str:
    """Add the vector of a text's first token."""
    return _token(graph, vectors, is_last=0)


def _last(graph: GraphBuilder, vectors: str) -> str:
    """Add the vector of a text's last token."""
    return _token(graph, vectors, is_last=1)


def _token(graph: GraphBuilder, vectors: str, is_last: int) -> str:
    flags = graph.add("Cast", MASK, to=TensorProto.INT32)
    position = graph.add("ArgMax", flags, axis=1, keepdims=1, select_last_index=is_last)
    return graph.add("GatherND", vectors, position, batch_dims=1)


_POOLINGS = {"mean": _mean, "max": _max, "cls": _first, "last": _last}


def _token_scores(spec: TensorSpec) -> bytes:
    """Return the graph from each token's numbers to probabilities."""
    shape = _shape(spec, ("batch", "tokens", "labels"))
    graph = GraphBuilder()
    graph.add("Softmax", graph.add("Cast", OUTPUT0, to=TensorProto.FLOAT), result=SCORES, axis=-1)
    return graph.to_bytes("postprocess", {OUTPUT0: (spec.datatype.onnx, shape)}, {SCORES: (TensorProto.FLOAT, shape)})


def _pair_scores(spec: TensorSpec) -> bytes:
    """Return the graph from one number for each pair of texts to a score from 0 to 1."""
    shape = _shape(spec, ("batch", 1), ("batch",))
    graph = GraphBuilder()
    column = graph.add("Reshape", graph.add("Cast", OUTPUT0, to=TensorProto.FLOAT), graph.integers(-1))
    graph.add("Sigmoid", column, result=SCORES)
    return graph.to_bytes(
        "postprocess", {OUTPUT0: (spec.datatype.onnx, shape)}, {SCORES: (TensorProto.FLOAT, ["batch"])}
    )


def _words(spec: TensorSpec) -> bytes:
    """Return the graph from the numbers of all tokens to the most probable words for those that are masked."""
    shape = _shape(spec, ("batch", "tokens", "words"))
    indices, probabilities = POSTPROCESS_OUTPUTS
    graph = GraphBuilder()
    picked = graph.add("Cast", graph.add("GatherND", OUTPUT0, PICKED), to=TensorProto.FLOAT)
    scores = graph.add("Softmax", picked, axis=-1)
    graph.add_many("TopK", (scores, COUNT), [probabilities, indices], axis=-1)
    return graph.to_bytes(
        "postprocess",
        {
            OUTPUT0: (spec.datatype.onnx, shape),
            PICKED: (TensorProto.INT64, ["masks", 2]),
            COUNT: (TensorProto.INT64, [1]),
        },
        {indices: (TensorProto.INT64, ["masks", "k"]), probabilities: (TensorProto.FLOAT, ["masks", "k"])},
    )


def _shape(spec: TensorSpec, *expected: tuple[str | int, ...]) -> Shape:
    """Return the expected shape of an output's rank, with the names that the graph gives its dimensions.

    Raises:
        ModelError: the output has another rank, or its datatype is not a float.
    """
    shapes = [shape for shape in expected if spec.shape is not None and len(shape) == len(spec.shape)]
    if not shapes or spec.datatype.name not in FLOATS:
        wanted = " or ".join(map(shape_text, expected))
        raise ModelError(
            f'output "{spec.name}": the task expects {", ".join(FLOATS)} with the shape {wanted}, got {spec}'
        )
    return list(shapes[0])
