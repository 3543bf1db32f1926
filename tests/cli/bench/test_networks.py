import onnx

from onnxlet_cli.bench.networks import mobile


def test_mobile_is_as_large_as_mobilenet() -> None:
    graph = mobile()
    onnx.checker.check_model(graph)
    assert 13.5e6 < graph.ByteSize() < 14.5e6
