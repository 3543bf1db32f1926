import numpy as np

from onnxlet.contract.declarations import (
    POSTPROCESS_INPUTS,
    POSTPROCESS_OUTPUTS,
    Classification,
)
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
