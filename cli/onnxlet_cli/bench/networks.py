"""The benchmark's six networks: real architectures with random weights, since only sizes and operators matter."""

import onnx
from onnx import TensorProto

from onnxlet_cli.bench.graph_builder import RESIDUAL_SCALE, GraphBuilder, Shape

SEED = 5
CLASSES = 1000

Image = dict[str, tuple[int, Shape]]


def tiny() -> onnx.ModelProto:
    """Build a multilayer perceptron of 64, 32 and 10 units; 10 KB."""
    graph = GraphBuilder(SEED)
    hidden = graph.node("Relu", graph.linear("input", (64, 32), gain=2.0))
    scores = graph.linear(hidden, (32, 10))
    return graph.to_model({"input": (TensorProto.FLOAT, ("batch", 64))}, scores, ("batch", 10))


def cnn() -> onnx.ModelProto:
    """Build a network of six convolutions on 3x32x32 pixels, as for CIFAR-10; 1 MB."""
    graph = GraphBuilder(SEED)
    source, incoming = "input", 3
    for outgoing in (32, 64, 128):
        source = graph.node("Relu", graph.conv(source, (incoming, outgoing), 3))
        source = graph.node("Relu", graph.conv(source, (outgoing, outgoing), 3))
        source = graph.node("MaxPool", source, kernel_shape=[2, 2], strides=[2, 2])
        incoming = outgoing
    return graph.to_model(_image(32), graph.classifier(source, (incoming, 10)), ("batch", 10))


def mobile() -> onnx.ModelProto:
    """Build MobileNetV2 on 3x224x224 pixels, its batch normalisation folded as exporters do; 14 MB.

    Source: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", arXiv 1801.04381, table 2.
    """
    graph = GraphBuilder(SEED)
    source = graph.relu6(graph.conv("input", (3, 32), 3, stride=2))
    incoming = 32
    stages = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for expansion, outgoing, repeats, first_stride in stages:
        for position in range(repeats):
            stride = first_stride if position == 0 else 1
            source = _inverted_residual(graph, source, (incoming, outgoing), expansion, stride)
            incoming = outgoing
    source = graph.relu6(graph.conv(source, (incoming, 1280), 1))
    return graph.to_model(_image(224), graph.classifier(source, (1280, CLASSES)), ("batch", CLASSES))


def _inverted_residual(graph: GraphBuilder, source: str, channels: tuple[int, int], expansion: int, stride: int) -> str:
    """Add a block of MobileNetV2: widen, filter each channel, narrow, and add the input if the shapes allow."""
    incoming, outgoing = channels
    wide = incoming * expansion
    hidden = source if expansion == 1 else graph.relu6(graph.conv(source, (incoming, wide), 1))
    hidden = graph.relu6(graph.conv(hidden, (wide, wide), 3, stride, groups=wide))
    is_residual = stride == 1 and incoming == outgoing
    narrow = graph.conv(hidden, (wide, outgoing), 1, gain=RESIDUAL_SCALE if is_residual else 1.0)
    return graph.node("Add", source, narrow) if is_residual else narrow


def resnet50() -> onnx.ModelProto:
    """Build ResNet-50 on 3x224x224 pixels, its batch normalisation folded; 102 MB.

    Source: "Deep Residual Learning for Image Recognition", arXiv 1512.03385, table 1, with the stride in the
    3x3 convolution as all libraries have it today.
    """
    graph = GraphBuilder(SEED)
    source = graph.node("Relu", graph.conv("input", (3, 64), 7, stride=2))
    source = graph.node("MaxPool", source, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    incoming = 64
    for width, repeats in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for position in range(repeats):
            stride = 2 if position == 0 and width > 64 else 1
            source = _bottleneck(graph, source, incoming, width, stride)
            incoming = 4 * width
    return graph.to_model(_image(224), graph.classifier(source, (incoming, CLASSES)), ("batch", CLASSES))


def _bottleneck(graph: GraphBuilder, source: str, incoming: int, width: int, stride: int) -> str:
    """Add a block of ResNet-50: narrow, filter, widen, and add the input."""
    outgoing = 4 * width
    hidden = graph.node("Relu", graph.conv(source, (incoming, width), 1))
    hidden = graph.node("Relu", graph.conv(hidden, (width, width), 3, stride))
    hidden = graph.conv(hidden, (width, outgoing), 1, gain=RESIDUAL_SCALE)
    around = source if incoming == outgoing else graph.conv(source, (incoming, outgoing), 1, stride, gain=1.0)
    return graph.node("Relu", graph.node("Add", hidden, around))


TEXT_LAYERS = 6
TEXT_HEADS = 12
TEXT_TOKENS = 30_522
TEXT_POSITIONS = 512

IDS: tuple[int, Shape] = (TensorProto.INT64, ("batch", "tokens"))


def text() -> onnx.ModelProto:
    """Build DistilBERT with a head for two classes, on INT64 ids and mask of any length; 267 MB.

    Source: Sanh et al., "DistilBERT, a distilled version of BERT", arXiv 1910.01108.
    """
    graph, width = GraphBuilder(SEED), 768
    hidden = _encoder(graph, width)
    first = graph.node("Gather", hidden, graph.constant(0, int), axis=1)
    pooled = graph.node("Relu", graph.linear(first, (width, width), gain=2.0))
    inputs = dict.fromkeys(("input_ids", "attention_mask"), IDS)
    return graph.to_model(inputs, graph.linear(pooled, (width, 2)), ("batch", 2))


def embedder() -> onnx.ModelProto:
    """Build the encoder of all-MiniLM-L6-v2: INT64 ids, mask and types of any length to a vector per token; 90 MB.

    Source: Wang et al., "MiniLM: Deep Self-Attention Distillation", arXiv 2002.10957.
    """
    graph, width = GraphBuilder(SEED), 384
    hidden = _encoder(graph, width, has_types=True)
    inputs = dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), IDS)
    return graph.to_model(inputs, hidden, ("batch", "tokens", width))


def _encoder(graph: GraphBuilder, width: int, *, has_types: bool = False) -> str:
    """Add BERT's encoder, which makes a vector of this width for each token."""
    words = graph.node("Gather", graph.weights((TEXT_TOKENS, width), 1.0), "input_ids")
    length = graph.node("Shape", "input_ids", start=1, end=2)
    zero, one = graph.constant([0], int), graph.constant([1], int)
    first_positions = graph.node("Slice", graph.weights((TEXT_POSITIONS, width), 0.5), zero, length, zero, one)
    hidden = graph.node("Add", words, first_positions)
    if has_types:
        hidden = graph.node("Add", hidden, graph.node("Gather", graph.weights((2, width), 0.5), "token_type_ids"))
    hidden = _normalised(graph, hidden, width)
    mask = graph.node("Cast", "attention_mask", to=TensorProto.FLOAT)
    mask = graph.node("Unsqueeze", mask, graph.constant([1, 2], int))
    hidden_from = graph.node("Mul", graph.node("Sub", graph.constant(1.0), mask), graph.constant(-10000.0))
    for _ in range(TEXT_LAYERS):
        hidden = _normalised(graph, graph.node("Add", hidden, _attention(graph, hidden, hidden_from, width)), width)
        hidden = _normalised(graph, graph.node("Add", hidden, _feed_forward(graph, hidden, width)), width)
    return hidden


def _attention(graph: GraphBuilder, source: str, hidden_from: str, width: int) -> str:
    """Add self-attention of twelve heads; `hidden_from` is added to the scores, to hide what the mask hides."""
    size = width // TEXT_HEADS
    split = graph.constant([0, -1, TEXT_HEADS, size], int)

    def heads(order: list[int]) -> str:
        projected = graph.linear(source, (width, width))
        return graph.node("Transpose", graph.node("Reshape", projected, split), perm=order)

    query, key, value = heads([0, 2, 1, 3]), heads([0, 2, 3, 1]), heads([0, 2, 1, 3])
    scaled = graph.node("Div", query, graph.constant(size**0.5))
    scores = graph.node("Add", graph.node("MatMul", scaled, key), hidden_from)
    seen = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), value)
    merged = graph.node("Transpose", seen, perm=[0, 2, 1, 3])
    return graph.linear(graph.node("Reshape", merged, graph.constant([0, -1, width], int)), (width, width))


def _feed_forward(graph: GraphBuilder, source: str, width: int) -> str:
    """Add two layers with a GELU between them, written out as exporters do."""
    wide = graph.linear(source, (width, 4 * width))
    error = graph.node("Erf", graph.node("Div", wide, graph.constant(2**0.5)))
    doubled = graph.node("Mul", wide, graph.node("Add", error, graph.constant(1.0)))
    return graph.linear(graph.node("Mul", doubled, graph.constant(0.5)), (4 * width, width))


def _normalised(graph: GraphBuilder, source: str, width: int) -> str:
    scale, bias = graph.weights((width,), 0.02, mean=1.0), graph.weights((width,), 0.02)
    return graph.node("LayerNormalization", source, scale, bias, axis=-1, epsilon=1e-12)


def _image(side: int) -> Image:
    return {"input": (TensorProto.FLOAT, ("batch", 3, side, side))}
