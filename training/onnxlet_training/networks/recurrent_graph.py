"""Recurrent Keras networks as ONNX graphs of the native LSTM and GRU operators.

tf2onnx turns Keras's GRU into a Loop, which ONNX Runtime runs many times slower. A sequential network of recurrent and
dense layers is small enough to be written node by node from its weights.

Source: ONNX operators, LSTM-14 and GRU-14; Keras 3, `layers.LSTM` and `layers.GRU` (gate orders, `reset_after`).
"""

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from onnxlet_publishing.graph_builder import IR_VERSION, OPSET
from onnxlet_training.recipe import INPUT, OUTPUT

LSTM_GATES = (0, 3, 1, 2)
"""The order of gates: Keras has input, forget, cell, output; ONNX has input, output, forget, cell."""

GRU_GATES = (0, 1, 2)
"""The order of gates: update, reset, hidden in both."""

ACTIVATIONS = {"relu": "Relu", "softmax": "Softmax", "sigmoid": "Sigmoid", "tanh": "Tanh"}


def is_recurrent(model: keras.Model) -> bool:
    """Return whether a network has a recurrent layer."""
    return any(type(layer).__name__ in {"LSTM", "GRU"} for layer in model.layers)


def recurrent_graph(model: keras.Model) -> bytes:
    """Return the ONNX file of a sequential recurrent network with the input (batch, time, features).

    Raises:
        ValueError: a layer, or one of its settings, is not supported.
    """
    _, time, features = model.input_shape
    graph = _Graph()
    last = graph.add("Transpose", [INPUT], perm=[1, 0, 2])  # ONNX has time first
    is_sequence = True
    for layer in model.layers:
        kind = type(layer).__name__
        if kind in {"LSTM", "GRU"}:
            last = graph.recurrent(layer, last)
            is_sequence = layer.return_sequences
        elif kind == "Dense" and not is_sequence:
            last = graph.dense(layer, last)
        elif kind == "Activation" and not is_sequence:
            last = graph.activation(layer, last)
        elif kind not in {"InputLayer", "Dropout"}:
            raise ValueError(f"layer {layer.name}: expected LSTM, GRU, Dense, Activation or Dropout, got {kind}")
    if is_sequence:
        raise ValueError("the last recurrent layer returns a sequence")
    graph.add("Identity", [last], output=OUTPUT)
    length = "time" if time is None else time
    inputs = [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", length, features])]
    outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", model.output_shape[-1]])]
    proto = helper.make_graph(graph.nodes, model.name, inputs, outputs, graph.initializers)
    model_proto = helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model_proto, full_check=True)
    data: bytes = model_proto.SerializeToString(deterministic=True)
    return data


@dataclass
class _Graph:
    """The nodes and weights of a graph under construction."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, operator: str, inputs: list[str], *, output: str | None = None, **attributes: Any) -> str:
        """Add a node with one output and return the output's name."""
        name = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def constant(self, array: npt.NDArray[Any], name: str) -> str:
        """Add weights and return their name."""
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def recurrent(self, layer: Any, previous: str) -> str:
        """Add an LSTM or GRU over (time, batch, features) and return its output of the same form, or (batch, units)."""
        kind = type(layer).__name__
        _require(layer, kind)
        kernel, recurrent_kernel, bias = (np.asarray(weights) for weights in layer.get_weights())
        gates = LSTM_GATES if kind == "LSTM" else GRU_GATES
        both = [bias, np.zeros_like(bias)] if bias.ndim == 1 else [bias[0], bias[1]]
        prefix = layer.name
        inputs = [
            previous,
            self.constant(_order(kernel.T, gates)[None], f"{prefix}_W"),
            self.constant(_order(recurrent_kernel.T, gates)[None], f"{prefix}_R"),
            self.constant(np.concatenate([_order(part, gates) for part in both])[None], f"{prefix}_B"),
        ]
        attributes: dict[str, Any] = {"linear_before_reset": 1} if kind == "GRU" else {}
        sequence, last = f"{prefix}_Y", f"{prefix}_Y_h"
        outputs = [sequence, ""] if layer.return_sequences else ["", last]
        self.nodes.append(helper.make_node(kind, inputs, outputs, hidden_size=layer.units, **attributes))
        axis = 1 if layer.return_sequences else 0  # the axis of directions, which has length 1
        axes = self.constant(np.array([axis], np.int64), f"{prefix}_axes")
        return self.add("Squeeze", [outputs[0] or outputs[1], axes])

    def dense(self, layer: Any, previous: str) -> str:
        """Add a dense layer over (batch, features) and return its output."""
        kernel, bias = (np.asarray(weights) for weights in layer.get_weights())
        weights = [self.constant(kernel, f"{layer.name}_W"), self.constant(bias, f"{layer.name}_B")]
        return self.activation(layer, self.add("Gemm", [previous, *weights]))

    def activation(self, layer: Any, last: str) -> str:
        """Add the activation of a layer and return its output."""
        activation = layer.activation.__name__
        if activation == "linear":
            return last
        if activation not in ACTIVATIONS:
            supported = ", ".join(("linear", *ACTIVATIONS))
            raise ValueError(f"layer {layer.name}: expected one of the activations {supported}, got {activation}")
        return self.add(ACTIVATIONS[activation], [last])


def _order(rows: npt.NDArray[Any], gates: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return rows, which come gate by gate, in ONNX's order of gates."""
    parts = np.split(rows, len(gates))
    return np.concatenate([parts[gate] for gate in gates])


def _require(layer: Any, kind: str) -> None:
    is_plain = layer.activation.__name__ == "tanh" and layer.recurrent_activation.__name__ == "sigmoid"
    if not is_plain or layer.go_backwards or not layer.use_bias or (kind == "GRU" and not layer.reset_after):
        raise ValueError(f"layer {layer.name}: this combination of settings of {kind} is not supported")
