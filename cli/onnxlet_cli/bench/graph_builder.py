"""A builder of ONNX graphs with seeded random weights, which needs no framework."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
IR_VERSION = 10
RESIDUAL_SCALE = 0.3
"""Scale of the last weights of a residual branch, with which deep networks stay finite without training."""

Shape = tuple[int | str, ...]
Weights = npt.NDArray[np.float32]


class GraphBuilder:
    """The nodes and weights of one graph; the same seed and the same calls give the same bytes."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator with one output; return the output's name."""
        name = f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], name, **attributes))
        return name

    def constant(self, values: npt.ArrayLike, dtype: type[Any] = np.float32) -> str:
        """Add a constant, unless the same one exists; return its name."""
        array = np.asarray(values, dtype)
        name = f"constant_{array.dtype.name}_{'_'.join(map(str, array.reshape(-1)))}_{array.ndim}"
        self._constants.setdefault(name, numpy_helper.from_array(array, name))
        return name

    def weights(self, shape: tuple[int, ...], deviation: float, mean: float = 0.0) -> str:
        """Add normally distributed FP32 weights; return their name."""
        name = f"weights_{len(self._constants)}"
        values: Weights = self._random.standard_normal(shape, np.float32) * np.float32(deviation) + np.float32(mean)
        self._constants[name] = numpy_helper.from_array(values, name)
        return name

    def conv(
        self, source: str, channels: tuple[int, int], kernel: int, stride: int = 1, groups: int = 1, gain: float = 2.0
    ) -> str:
        """Add a convolution with a bias, as an exporter writes it that folds the batch normalisation into it.

        The source is (batch, channels[0], height, width). The gain is the ratio of output to input variance: 2 before
        a ReLU, which halves it, otherwise 1 ("Delving Deep into Rectifiers", arXiv 1502.01852).
        """
        incoming, outgoing = channels
        shape = (outgoing, incoming // groups, kernel, kernel)
        weights = self.weights(shape, (gain / (shape[1] * kernel * kernel)) ** 0.5)
        bias = self.weights((outgoing,), 0.05)
        around = [kernel // 2] * 4
        sizes = {"kernel_shape": [kernel, kernel], "strides": [stride, stride], "pads": around}
        return self.node("Conv", source, weights, bias, group=groups, **sizes)

    def relu6(self, source: str) -> str:
        """Add a clip of values to 0 to 6."""
        return self.node("Clip", source, self.constant(0.0), self.constant(6.0))

    def linear(self, source: str, features: tuple[int, int], gain: float = 1.0) -> str:
        """Add `source @ weights + bias` on the last axis, as exporters write it for more than two axes."""
        incoming, outgoing = features
        product = self.node("MatMul", source, self.weights(features, (gain / incoming) ** 0.5))
        return self.node("Add", product, self.weights((outgoing,), 0.02))

    def classifier(self, source: str, features: tuple[int, int]) -> str:
        """Add the end of an image classifier: the mean of each channel, and a score for each class."""
        incoming, outgoing = features
        flat = self.node("Flatten", self.node("GlobalAveragePool", source))
        weights = self.weights((incoming, outgoing), (4.0 / incoming) ** 0.5)
        return self.node("Gemm", flat, weights, self.weights((outgoing,), 0.05))

    def to_model(self, inputs: Mapping[str, tuple[int, Shape]], output: str, shape: Shape) -> onnx.ModelProto:
        """Return the model of all nodes, whose output is called `output` and is FP32.

        The inputs have ONNX's element type and the shape of each; `output` names the result that becomes the output.
        """
        self._nodes.append(helper.make_node("Identity", [output], ["output"], "end"))
        graph = helper.make_graph(
            self._nodes,
            "bench",
            [helper.make_tensor_value_info(name, *value) for name, value in inputs.items()],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
            list(self._constants.values()),
        )
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, producer_name="onnxlet bench", opset_imports=opsets, ir_version=IR_VERSION)
