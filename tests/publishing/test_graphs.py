import numpy as np

from onnxlet.contract.declarations import (
    POSTPROCESS_INPUTS,
    POSTPROCESS_OUTPUTS,
    Classification,
)
from onnxlet.contract.tensors import DATATYPES, TensorSpec
from onnxlet_publishing.graphs import Graph, postprocess_graph


def test_softmax_is_applied_only_where_it_is_declared() -> None:
    scores = np.array([[1.0, 3.0, 2.0]], np.float32)
    output, k = POSTPROCESS_INPUTS
    probabilities = POSTPROCESS_OUTPUTS[1]
    labels = ("a", "b", "c")

    def best(activation: str) -> np.ndarray:
        graph = Graph(postprocess_graph(Classification(labels, activation)))
        return graph.run({output: scores, k: np.array([3], np.int64)}, probabilities)

    np.testing.assert_allclose(best("none"), [[3, 2, 1]])
    softmax = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose(best("softmax"), -np.sort(-softmax), atol=1e-6)


def test_one_label_has_one_probability() -> None:
    output, k = POSTPROCESS_INPUTS
    spec = TensorSpec("y", DATATYPES["FP32"], ("batch", 1))
    graph = Graph(postprocess_graph(Classification(("spam",), "sigmoid"), spec))
    found = graph.run({output: np.zeros((1, 1), np.float32), k: np.ones(1, np.int64)}, POSTPROCESS_OUTPUTS[1])
    np.testing.assert_allclose(found, np.array([[0.5]]))
