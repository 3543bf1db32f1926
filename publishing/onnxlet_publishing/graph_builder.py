"""A builder of the small ONNX graphs before and after a model."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

OPSET = 18
"""The first opset in which `Resize` can smooth when it shrinks an image (`antialias`)."""
IR_VERSION = 10

Shape = list[int | str]
Tensors = Mapping[str, tuple[int, Shape]]
"""ONNX's element type and the shape of each tensor by name."""


class GraphBuilder:
    """The nodes and constants of one graph. The same calls give the same bytes."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix  # a graph inside of another one may not repeat its names
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, npt.NDArray[Any]] = {}

    def add(self, operator: str, *inputs: str, result: str = "", **attributes: Any) -> str:
        """Add an operator with one output; return the output's name, by default the operator's with a number."""
        return self.add_many(operator, inputs, [result or self._name(operator)], **attributes)[0]

    def add_many(self, operator: str, inputs: tuple[str, ...], outputs: list[str], **attributes: Any) -> list[str]:
        """Add an operator with several outputs; return their names."""
        self._nodes.append(helper.make_node(operator, list(inputs), outputs, **attributes))
        return outputs

    def constant(self, values: npt.ArrayLike, dtype: npt.DTypeLike = np.float32, *, name: str = "") -> str:
        """Add a constant; return its name. Constants without a name that are equal share one."""
        array = np.ascontiguousarray(np.asarray(values, dtype)).reshape(np.shape(values))
        if not name:
            for known, other in self._constants.items():
                if other.dtype == array.dtype and other.shape == array.shape and np.array_equal(other, array):
                    return known
            name = f"{self._prefix}constant_{len(self._constants)}"
        self._constants[name] = array
        return name

    def integers(self, *values: int) -> str:
        """Add a list of INT64 as a constant; return its name."""
        return self.constant(values, np.int64)

    def to_graph(self, name: str, inputs: Tensors, outputs: Tensors) -> onnx.GraphProto:
        """Return the graph, for instance as the body of a loop."""
        return helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info(key, *tensor) for key, tensor in inputs.items()],
            [helper.make_tensor_value_info(key, *tensor) for key, tensor in outputs.items()],
            [numpy_helper.from_array(array, key) for key, array in self._constants.items()],
        )

    def to_bytes(self, name: str, inputs: Tensors, outputs: Tensors) -> bytes:
        """Check the graph and return the bytes of its file."""
        graph = self.to_graph(name, inputs, outputs)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        onnx.checker.check_model(model, full_check=True)
        data: bytes = model.SerializeToString(deterministic=True)
        return data

    def _name(self, operator: str) -> str:
        return f"{self._prefix}{operator.lower()}_{len(self._nodes)}"
