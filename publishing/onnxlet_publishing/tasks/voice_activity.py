"""Voice activity: a model of one window of a sound and a state becomes a graph for sounds of any length.

The graph cuts the sound into windows and runs the model on one after the other, with the state that it returned for the
one before. It takes several sounds of one length at a time.

Source: silero-vad, `utils_vad.py`, `OnnxWrapper`: version 5 also takes the end of the window before.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SAMPLES, PROBABILITIES = "samples", "probabilities"
"""The input of the graph, FP32 (batch, samples), and its output, FP32 (batch, windows)."""

SAMPLING_RATE = 16_000
WINDOW = 512
"""Samples for each probability."""

SMALLEST_OPSET = 13
"""The first opset in which axes and pads are inputs of the operators that are added here."""

PREFIX = "windows/"


@dataclass(frozen=True)
class WindowModel:
    """The tensors of a model that gives the probability of speech in one window."""

    window: str
    """The input with the samples, FP32 (batch, samples)."""
    rate: str | None
    """The input with the sampling rate, INT64 (); None if the model has no such input."""
    states: tuple[tuple[str, str, int, int], ...]
    """The input, the output, the number of layers and the size of each state, FP32 (layers, batch, size)."""
    probability: str
    """The output with the probability of speech, FP32 (batch, 1)."""
    context: int
    """Samples of the window before that the model takes too."""


def find_window_model(model: onnx.ModelProto) -> WindowModel | None:
    """Return the tensors of a model of Silero's kind; None for any other model.

    Version 5 has one state of 128 numbers, `state` and `stateN`; versions 3 and 4 have two of 64, `h`, `c`, `hn`, `cn`.
    """
    if any(opset.version < SMALLEST_OPSET for opset in model.opset_import if opset.domain in {"", "ai.onnx"}):
        return None
    inputs = {value.name: value for value in model.graph.input}
    outputs = [value.name for value in model.graph.output]
    for states, size, context in (((("state", "stateN"),), 128, 64), ((("h", "hn"), ("c", "cn")), 64, 0)):
        expected = {"input", *(name for name, _ in states)}
        if not expected <= set(inputs) <= {*expected, "sr"} or outputs[1:] != [name for _, name in states]:
            continue
        shapes = [_sizes(inputs[name]) for name, _ in states]
        if all(len(shape) == 3 and shape[0] > 0 and shape[2] == size for shape in shapes) and _is_free(inputs["input"]):
            return WindowModel(
                window="input",
                rate="sr" if "sr" in inputs else None,
                states=tuple((*names, shape[0], size) for names, shape in zip(states, shapes, strict=True)),
                probability=outputs[0],
                context=context,
            )
    return None


def over_windows(model: onnx.ModelProto, form: WindowModel) -> onnx.ModelProto:
    """Return the graph that runs a model on all windows of a sound, FP32 (batch, samples) to FP32 (batch, windows).

    A sound that does not end with a window is filled up with zeros.
    """
    body = onnx.GraphProto()
    body.CopyFrom(model.graph)
    del body.input[:], body.output[:]
    constants = _constants(form)
    before = [helper.make_node("Identity", [f"{PREFIX}rate"], [form.rate])] if form.rate else []
    nodes = [*before, *body.node]
    del body.node[:]
    body.node.extend(nodes)
    body.input.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [layers, None, size])
        for name, _, layers, size in form.states
    )
    body.input.append(helper.make_tensor_value_info(form.window, TensorProto.FLOAT, [None, form.context + WINDOW]))
    body.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [layers, None, size])
        for _, name, layers, size in form.states
    )
    body.output.append(helper.make_tensor_value_info(form.probability, TensorProto.FLOAT, [None, 1]))
    states = [f"{PREFIX}state{index}" for index in range(len(form.states))]
    scan = helper.make_node(
        "Scan",
        [*states, f"{PREFIX}taken"],
        [*(f"{name}_last" for name in states), f"{PREFIX}all"],
        body=body,
        num_scan_inputs=1,
    )
    graph = helper.make_graph(
        [*_cut(form), *_start(form, states), scan, *_joined()],
        model.graph.name or "voice_activity",
        [helper.make_tensor_value_info(SAMPLES, TensorProto.FLOAT, ["batch", SAMPLES])],
        [helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["batch", "windows"])],
        [numpy_helper.from_array(np.array(value, np.int64), f"{PREFIX}{name}") for name, value in constants.items()],
    )
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    whole.graph.CopyFrom(graph)
    return whole


def _constants(form: WindowModel) -> dict[str, object]:
    constants: dict[str, object] = {
        "rate": SAMPLING_RATE,
        "three_zeros": [0, 0, 0],
        "window": [WINDOW],
        "almost_window": [WINDOW - 1],
        "as_rows": [0, -1, WINDOW],
        "as_list": [0, -1],
        "context_start": [WINDOW - form.context],
        "last_axis": [2],
        "previous": [0, 1, 0, 0, -1, 0],
    }
    for index, (_, _, layers, size) in enumerate(form.states):
        constants |= {f"layers{index}": [layers], f"size{index}": [size]}
    return constants


def _cut(form: WindowModel) -> list[onnx.NodeProto]:
    """Return nodes from samples to windows, (windows, batch, context and samples)."""
    nodes = [
        _node("Shape", [f"!{SAMPLES}"], "batch", start=0, end=1),
        _node("Shape", [f"!{SAMPLES}"], "count", start=1, end=2),
        _node("Add", ["count", "almost_window"], "more"),
        _node("Div", ["more", "window"], "windows"),
        _node("Mul", ["windows", "window"], "filled_count"),
        _node("Sub", ["filled_count", "count"], "missing"),
        _node("Concat", ["three_zeros", "missing"], "pads", axis=0),
        _node("Pad", [f"!{SAMPLES}", "pads"], "filled"),
        _node("Reshape", ["filled", "as_rows"], "rows"),
    ]
    if form.context:
        nodes += [
            _node("Slice", ["rows", "context_start", "window", "last_axis"], "ends"),
            _node("Pad", ["ends", "previous"], "contexts"),
            _node("Concat", ["contexts", "rows"], "cut", axis=2),
        ]
    return [*nodes, _node("Transpose", ["cut" if form.context else "rows"], "taken", perm=[1, 0, 2])]


def _start(form: WindowModel, states: list[str]) -> list[onnx.NodeProto]:
    """Return nodes that make states of zeros."""
    nodes = []
    for index in range(len(form.states)):
        nodes.append(_node("Concat", [f"layers{index}", "batch", f"size{index}"], f"shape{index}", axis=0))
        nodes.append(helper.make_node("ConstantOfShape", [f"{PREFIX}shape{index}"], [states[index]]))
    return nodes


def _joined() -> list[onnx.NodeProto]:
    """Return nodes from the probabilities of each window, (windows, batch, 1), to the output."""
    return [
        _node("Transpose", ["all"], "turned", perm=[1, 0, 2]),
        helper.make_node("Reshape", [f"{PREFIX}turned", f"{PREFIX}as_list"], [PROBABILITIES]),
    ]


def _node(operator: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
    """Return a node between names below the prefix; a name after an exclamation mark is taken as it is."""
    names = [name[1:] if name.startswith("!") else f"{PREFIX}{name}" for name in inputs]
    return helper.make_node(operator, names, [f"{PREFIX}{output}"], **attributes)


def _sizes(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Return the sizes of an input, 0 for a free one."""
    return tuple(int(size.dim_value) for size in value.type.tensor_type.shape.dim)


def _is_free(value: onnx.ValueInfoProto) -> bool:
    return value.type.tensor_type.elem_type == TensorProto.FLOAT and _sizes(value) in {(0, 0), (1, 0)}
