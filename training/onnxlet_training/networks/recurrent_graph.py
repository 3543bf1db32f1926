"""Recurrent Keras networks as ONNX graphs of the native LSTM and GRU operators.

tf2onnx makes a Loop of Keras's GRU, which ONNX Runtime runs many times slower. A sequential network of recurrent and
dense layers is small enough to be written down node by node, from its weights.

Source: ONNX operators, LSTM-14 and GRU-14; Keras 3, `layers.LSTM` and `layers.GRU` (gate orders, `reset_after`).
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from onnxlet_publishing.graphs import IR_VERSION, OPSET
from onnxlet_training.recipe import INPUT, OUTPUT

if TYPE_CHECKING:
    import keras

LSTM_GATES = (0, 3, 1, 2)
"""Keras keeps input, forget, cell, output; ONNX wants input, output, forget, cell."""

GRU_GATES = (0, 1, 2)
"""Both keep update, reset, hidden."""

ACTIVATIONS = {"relu": "Relu", "softmax": "Softmax", "sigmoid": "Sigmoid", "tanh": "Tanh"}


def is_recurrent(model: "keras.Model") -> bool:
    """Whether a network is a sequence of layers of which one is recurrent."""
    return any(type(layer).__name__ in {"LSTM", "GRU"} for layer in model.layers)


def recurrent_graph(model: "keras.Model") -> bytes:
    """The ONNX file of a recurrent network; its input is (batch, time, features).

    Raises:
        ValueError: a layer, or a setting of one, that has no counterpart here.
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
            raise ValueError(f"layer {layer.name}: {kind} has no form here")
    if is_sequence:
        raise ValueError("the last recurrent layer returns a sequence")
    graph.add("Identity", [last], output=OUTPUT)
    length = "time" if time is None else time
    inputs = [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", length, features])]
    outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", model.output_shape[-1]])]
    proto = helper.make_graph(graph.nodes, model.name, inputs, outputs, graph.initializers)
    found = helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(found, full_check=True)
    data: bytes = found.SerializeToString(deterministic=True)
    return data


@dataclass
class _Graph:
    """The nodes and weights so far."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, operator: str, inputs: list[str], *, output: str | None = None, **attributes: Any) -> str:
        """Add a node with one output; returns that output's name."""
        name = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def constant(self, array: npt.NDArray[Any], name: str) -> str:
        """Add weights; returns their name."""
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def recurrent(self, layer: Any, previous: str) -> str:
        """An LSTM or GRU over (time, batch, features); gives the same form, or (batch, units) at the last step."""
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
        axis = 1 if layer.return_sequences else 0  # of the directions, of which there is one
        axes = self.constant(np.array([axis], np.int64), f"{prefix}_axes")
        return self.add("Squeeze", [outputs[0] or outputs[1], axes])

    def dense(self, layer: Any, previous: str) -> str:
        """A dense layer over (batch, features)."""
        kernel, bias = (np.asarray(weights) for weights in layer.get_weights())
        weights = [self.constant(kernel, f"{layer.name}_W"), self.constant(bias, f"{layer.name}_B")]
        return self.activation(layer, self.add("Gemm", [previous, *weights]))

    def activation(self, layer: Any, last: str) -> str:
        """What a layer does at its end."""
        activation = layer.activation.__name__
        if activation == "linear":
            return last
        if activation not in ACTIVATIONS:
            raise ValueError(f"layer {layer.name}: activation {activation} has no form here")
        return self.add(ACTIVATIONS[activation], [last])


def _order(rows: npt.NDArray[Any], gates: tuple[int, ...]) -> npt.NDArray[Any]:
    """Rows that come gate by gate, in ONNX's order of the gates."""
    parts = np.split(rows, len(gates))
    return np.concatenate([parts[gate] for gate in gates])


def _require(layer: Any, kind: str) -> None:
    is_plain = layer.activation.__name__ == "tanh" and layer.recurrent_activation.__name__ == "sigmoid"
    if not is_plain or layer.go_backwards or not layer.use_bias or (kind == "GRU" and not layer.reset_after):
        raise ValueError(f"layer {layer.name}: this setting of {kind} has no form here")
