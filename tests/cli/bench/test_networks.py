import onnx

from onnxlet_cli.bench.networks import TEXT_TOKENS, embedder, mobile


def test_mobile_is_as_large_as_mobilenet() -> None:
    graph = mobile()
    onnx.checker.check_model(graph)
    assert 13.5e6 < graph.ByteSize() < 14.5e6


def test_the_embedder_is_as_large_as_minilm_and_gives_a_vector_for_each_token() -> None:
    graph = embedder()
    onnx.checker.check_model(graph)
    assert 90.0e6 < graph.ByteSize() < 91.0e6
    assert [spec.name for spec in graph.graph.input] == ["input_ids", "attention_mask", "token_type_ids"]
    (output,) = graph.graph.output
    assert [dimension.dim_param or dimension.dim_value for dimension in output.type.tensor_type.shape.dim] == [
        "batch",
        "tokens",
        384,
    ]
    assert TEXT_TOKENS in {tensor.dims[0] for tensor in graph.graph.initializer if tensor.dims}
