import onnx
from onnx import TensorProto

from onnxlet_cli.bench.graph_builder import GraphBuilder


def model(seed: int) -> onnx.ModelProto:
    graph = GraphBuilder(seed)
    clipped = graph.relu6(graph.relu6(graph.linear("input", (4, 3))))
    return graph.to_model({"input": (TensorProto.FLOAT, ("batch", 4))}, clipped, ("batch", 3))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    onnx.checker.check_model(model(0))
    assert model(0).SerializeToString() == model(0).SerializeToString()
    assert model(0).SerializeToString() != model(1).SerializeToString()


def test_equal_constants_are_stored_once() -> None:
    assert len(model(0).graph.initializer) == 4, "weights, bias, 0 and 6"
