from typing import Any

import numpy as np
import pytest

from onnxlet_publishing.graphs import Graph
from onnxlet_training.networks.recurrent_graph import is_recurrent, recurrent_graph

pytestmark = pytest.mark.training


def network(*layers: Any) -> Any:
    import keras

    return keras.Sequential([keras.Input((7, 3)), *layers])


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_the_graph_answers_as_the_network_does(kind: str) -> None:
    from keras import layers

    layer = getattr(layers, kind)
    model = network(layer(5, return_sequences=True), layers.Dropout(0.5), layer(4), layers.Dense(2, "softmax"))
    assert is_recurrent(model)
    rows = np.random.default_rng(0).normal(size=(6, 7, 3)).astype(np.float32)
    graph = Graph(recurrent_graph(model))
    np.testing.assert_allclose(graph.run({"input": rows}, "output"), model.predict(rows, verbose=0), atol=1e-5)


def test_what_the_graph_cannot_say_is_refused() -> None:
    from keras import layers

    assert not is_recurrent(network(layers.Flatten(), layers.Dense(2)))
    for stack, words in (
        ((layers.LSTM(4), layers.Dense(2, "selu")), "expected one of the activations linear, relu"),
        ((layers.LSTM(4, return_sequences=True), layers.Flatten()), "got Flatten"),
        ((layers.LSTM(4, return_sequences=True),), "returns a sequence"),
        ((layers.GRU(4, reset_after=False),), "combination of settings of GRU is not supported"),
    ):
        with pytest.raises(ValueError, match=words):
            recurrent_graph(network(*stack))
