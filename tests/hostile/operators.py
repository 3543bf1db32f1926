"""Operators: a model for each of many ONNX operators, and requests whose sizes and values no client should send.

As a script it serves the models of a registry by one cloud's own runtime, sends so many requests to it, asks a small
model beside them all the time, and prints what came of it:

    python -m tests.hostile.operators ROOT CLOUD REQUESTS SEED
"""

from __future__ import annotations

import http.client
import json
import math
import random
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from onnxlet.contract.tensors import pack_strings
from onnxlet.protocols.v2 import HEADER_LENGTH
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_cli.local.serve import CLOUDS
from onnxlet_publishing.publish import publish
from tests.helpers import graphs
from tests.soak.clients import require_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onnxlet.contract.manifest import Manifest
    from onnxlet.contract.tensors import TensorSpec

FLOAT, DOUBLE, INT64, INT32, BOOL, STRING, UINT8 = (
    TensorProto.FLOAT,
    TensorProto.DOUBLE,
    TensorProto.INT64,
    TensorProto.INT32,
    TensorProto.BOOL,
    TensorProto.STRING,
    TensorProto.UINT8,
)

Input = tuple[str, int, "list[int | str]"]

BYSTANDER = "bystander"

MAX_ELEMENTS = 8192
"""Of one tensor that is really sent: it is the sizes that must do harm, not the bytes."""

HUGE = (2**31 - 1, 2**31, 2**39, 2**62, 2**63 - 1, 2**64)
TIMEOUT_S = 60
CLIENTS = 3
MAX_SHOWN = 20

TROUBLE = ("an error inside the function", "was sent SIG", "terminate called", "Fatal Python error", "Traceback")
"""What a log says of a process that ended, or of an error that nobody foresaw."""


def graph(
    operator: str,
    inputs: Sequence[Input],
    weights: dict[str, Any] | None = None,
    *,
    order: Sequence[str] | None = None,
    gives: Sequence[int] = (FLOAT,),
    opset: int = 18,
    **attributes: Any,
) -> onnx.ModelProto:
    """Return a graph of one operator.

    Args:
        operator: Its name.
        inputs: What a request gives to it.
        weights: Its inputs that are fixed.
        order: The names of its inputs, where it is not those of a request and then the fixed ones.
        gives: The datatypes of its outputs.
        opset: The version of ONNX's operators.
        attributes: Those of the node.
    """
    names = [name for name, *_ in inputs] + list(weights or {}) if order is None else order
    outputs = [f"y{position}" for position in range(len(gives))]
    node = helper.make_node(operator, list(names), outputs, **attributes)
    return whole([node], inputs, list(zip(outputs, gives, strict=True)), weights, opset)


def whole(
    nodes: list[onnx.NodeProto],
    inputs: Sequence[Input],
    outputs: Sequence[tuple[str, int]],
    weights: dict[str, Any] | None = None,
    opset: int = 18,
) -> onnx.ModelProto:
    """Return a graph of several nodes; of its outputs nothing is declared but the datatype."""
    made = helper.make_graph(
        nodes,
        "operator",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(name, element, None) for name, element in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (weights or {}).items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def ones(*shape: int) -> Any:
    return np.ones(shape, np.float32)


def x(*shape: int | str, element: int = FLOAT, name: str = "x") -> Input:
    return name, element, list(shape)


def attention() -> onnx.ModelProto:
    """Return softmax(q k^T) v, of tensors that a request gives."""
    nodes = [
        helper.make_node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "kt"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["weights"], axis=-1),
        helper.make_node("MatMul", ["weights", "v"], ["y"]),
    ]
    inputs = [x("b", "t", "f", name="q"), x("b", "s", "f", name="k"), x("b", "s", "g", name="v")]
    return whole(nodes, inputs, [("y", FLOAT)])


def outer() -> onnx.ModelProto:
    """Return x x^T, whose size is the square of what a request gives."""
    nodes = [
        helper.make_node("Transpose", ["x"], ["z"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["x", "z"], ["y"]),
    ]
    return whole(nodes, [x("b", "t", "f")], [("y", FLOAT)])


def sequence_at() -> onnx.ModelProto:
    nodes = [
        helper.make_node("SplitToSequence", ["x"], ["parts"], axis=0),
        helper.make_node("SequenceAt", ["parts", "at"], ["y"]),
    ]
    return whole(nodes, [x("b", "n"), x(element=INT64, name="at")], [("y", FLOAT)])


IMAGE = x("b", "c", "h", "w")
GREY = x("b", 1, "h", "w")
ROWS = x("b", "n")
STEPS = x("t", "b", 4)
POSITIONS = x("n", element=INT64, name="i")
TABLE = np.arange(12, dtype=np.float32).reshape(3, 4)
PIXELS = np.arange(32, dtype=np.float32).reshape(1, 2, 4, 4)
KERNEL = {"w": ones(2, 1, 3, 3)}


def whole_numbers(*names: str) -> list[Input]:
    return [x("n", element=INT64, name=name) for name in names]


def recurrent(operator: str, gates: int) -> onnx.ModelProto:
    weights = {"W": ones(1, gates * 2, 4), "R": ones(1, gates * 2, 2)}
    return graph(operator, [STEPS], weights, gives=(FLOAT, FLOAT), hidden_size=2)


def recurrent_with_lengths(operator: str, gates: int) -> onnx.ModelProto:
    weights = {"W": ones(1, gates * 2, 4), "R": ones(1, gates * 2, 2)}
    lengths = x("b", element=INT32, name="lengths")
    return graph(operator, [STEPS, lengths], weights, order=["x", "W", "R", "", "lengths"], hidden_size=2)


def reduction(operator: str) -> onnx.ModelProto:
    return graph(operator, [ROWS, x("k", element=INT64, name="axes")])


def single(operator: str, **attributes: Any) -> onnx.ModelProto:
    return graph(operator, [ROWS], **attributes)


OPERATORS: dict[str, Callable[[], onnx.ModelProto]] = {
    "gru": lambda: recurrent("GRU", 3),
    "lstm": lambda: recurrent("LSTM", 4),
    "rnn": lambda: recurrent("RNN", 1),
    "gru-lengths": lambda: recurrent_with_lengths("GRU", 3),
    "lstm-lengths": lambda: recurrent_with_lengths("LSTM", 4),
    "attention": attention,
    "attention-node": lambda: graph(
        "Attention",
        [x("b", "t", 8, name="q"), x("b", "s", 8, name="k"), x("b", "s", 8, name="v")],
        opset=23,
        q_num_heads=2,
        kv_num_heads=2,
    ),
    "einsum": lambda: graph("Einsum", [x("b", "t", "f")], order=["x", "x"], equation="bij,bkj->bik"),
    "einsum-diagonal": lambda: graph("Einsum", [x("b", "n", "n")], equation="bii->bi"),
    "instance-normalization": lambda: graph("InstanceNormalization", [GREY], {"scale": ones(1), "bias": ones(1)}),
    "layer-normalization": lambda: graph("LayerNormalization", [x("b", "t", 4)], {"scale": ones(4)}),
    "group-normalization": lambda: graph(
        "GroupNormalization", [x("b", 4, "h", "w")], {"scale": ones(4), "bias": ones(4)}, num_groups=2, opset=21
    ),
    "batch-normalization": lambda: graph(
        "BatchNormalization", [GREY], {name: ones(1) for name in ("scale", "bias", "mean", "variance")}
    ),
    "lp-normalization": lambda: single("LpNormalization", axis=1),
    "lrn": lambda: graph("LRN", [IMAGE], size=3),
    "conv": lambda: graph("Conv", [GREY], KERNEL, pads=[1, 1, 1, 1]),
    "conv-strides": lambda: graph("Conv", [GREY], KERNEL, strides=[2, 2], dilations=[2, 2]),
    "conv-weights": lambda: graph("Conv", [IMAGE, x("o", "c", "kh", "kw", name="w")]),
    "conv-transpose": lambda: graph("ConvTranspose", [GREY], {"w": ones(1, 2, 3, 3)}, strides=[2, 2]),
    "conv-line": lambda: graph("Conv", [x("b", 1, "t")], {"w": ones(2, 1, 3)}),
    "max-pool": lambda: graph("MaxPool", [IMAGE], kernel_shape=[2, 2], pads=[1, 1, 1, 1]),
    "average-pool": lambda: graph("AveragePool", [IMAGE], kernel_shape=[3, 3], strides=[2, 2]),
    "global-average-pool": lambda: graph("GlobalAveragePool", [IMAGE]),
    "global-max-pool": lambda: graph("GlobalMaxPool", [IMAGE]),
    "matmul": lambda: graph("MatMul", [x("b", "t", "f"), x("b", "f", "g", name="z")]),
    "outer": outer,
    "gemm": lambda: graph("Gemm", [ROWS, x("n", "m", name="z")]),
    "matmul-integer": lambda: graph(
        "MatMulInteger", [x("b", "n", element=UINT8), x("n", "m", element=UINT8, name="z")], gives=(INT32,)
    ),
    "softmax": lambda: single("Softmax", axis=1),
    "log-softmax": lambda: single("LogSoftmax", axis=0),
    "reduce-mean": lambda: reduction("ReduceMean"),
    "reduce-max": lambda: reduction("ReduceMax"),
    "reduce-sum": lambda: reduction("ReduceSum"),
    "reduce-log-sum-exp": lambda: reduction("ReduceLogSumExp"),
    "arg-max": lambda: graph("ArgMax", [ROWS], gives=(INT64,), axis=1),
    "top-k": lambda: graph("TopK", [ROWS, x(1, element=INT64, name="k")], gives=(FLOAT, INT64)),
    "cum-sum": lambda: graph("CumSum", [ROWS, x(element=INT64, name="axis")]),
    "resize-sizes": lambda: graph(
        "Resize", [IMAGE, x(4, element=INT64, name="sizes")], order=["x", "", "", "sizes"], mode="linear"
    ),
    "resize-scales": lambda: graph("Resize", [IMAGE, x(4, name="scales")], order=["x", "", "scales"], mode="nearest"),
    "resize-cubic": lambda: graph(
        "Resize", [IMAGE, x(4, element=INT64, name="sizes")], order=["x", "", "", "sizes"], mode="cubic"
    ),
    "grid-sample": lambda: graph("GridSample", [IMAGE, x("b", "oh", "ow", 2, name="grid")]),
    "roi-align": lambda: graph(
        "RoiAlign",
        [x("r", 4, name="rois"), x("r", element=INT64, name="at")],
        {"x": PIXELS},
        order=["x", "rois", "at"],
        output_height=2,
        output_width=2,
    ),
    "non-max-suppression": lambda: graph(
        "NonMaxSuppression",
        [x("b", "n", 4, name="boxes"), x("b", "c", "n", name="scores"), x(1, element=INT64, name="most")],
        gives=(INT64,),
    ),
    "space-to-depth": lambda: graph("SpaceToDepth", [IMAGE], blocksize=2),
    "depth-to-space": lambda: graph("DepthToSpace", [IMAGE], blocksize=2),
    "pad": lambda: graph("Pad", [ROWS, x(4, element=INT64, name="pads")]),
    "pad-reflect": lambda: graph("Pad", [ROWS, x(4, element=INT64, name="pads")], mode="reflect"),
    "pad-edge": lambda: graph("Pad", [ROWS, x(4, element=INT64, name="pads")], mode="edge"),
    "slice": lambda: graph("Slice", [ROWS, *whole_numbers("starts", "ends", "axes", "steps")]),
    "tile": lambda: graph("Tile", [ROWS, x(2, element=INT64, name="repeats")]),
    "expand": lambda: graph("Expand", [ROWS, x("k", element=INT64, name="shape")]),
    "reshape": lambda: graph("Reshape", [ROWS, x("k", element=INT64, name="shape")]),
    "transpose": lambda: graph("Transpose", [IMAGE], perm=[3, 1, 0, 2]),
    "flatten": lambda: graph("Flatten", [IMAGE], axis=2),
    "squeeze": lambda: graph("Squeeze", [x("b", "n", "m"), x("k", element=INT64, name="axes")]),
    "unsqueeze": lambda: graph("Unsqueeze", [ROWS, x("k", element=INT64, name="axes")]),
    "concat": lambda: graph("Concat", [ROWS, x("b", "m", name="z")], axis=1),
    "split": lambda: graph("Split", [ROWS, x(2, element=INT64, name="parts")], gives=(FLOAT, FLOAT), axis=1),
    "gather": lambda: graph("Gather", [POSITIONS], {"table": TABLE}, order=["table", "i"]),
    "gather-nd": lambda: graph("GatherND", [x("n", "k", element=INT64, name="i")], {"t": TABLE}, order=["t", "i"]),
    "gather-elements": lambda: graph(
        "GatherElements", [x("n", "m", element=INT64, name="i")], {"table": TABLE}, order=["table", "i"]
    ),
    "scatter-nd": lambda: graph(
        "ScatterND",
        [x("n", "k", element=INT64, name="i"), x("n", name="u")],
        {"t": TABLE},
        order=["t", "i", "u"],
    ),
    "scatter-elements": lambda: graph(
        "ScatterElements",
        [x("n", "m", element=INT64, name="i"), x("n", "m", name="u")],
        {"t": TABLE},
        order=["t", "i", "u"],
    ),
    "one-hot": lambda: graph(
        "OneHot", [POSITIONS, x(1, element=INT64, name="depth")], {"values": np.array([0, 1], np.float32)}
    ),
    "range": lambda: graph("Range", [x(element=INT64, name=name) for name in ("a", "b", "c")], gives=(INT64,)),
    "constant-of-shape": lambda: graph("ConstantOfShape", [x("k", element=INT64)]),
    "eye-like": lambda: graph("EyeLike", [x("n", "m", element=INT64)], gives=(INT64,)),
    "trilu": lambda: graph("Trilu", [ROWS, x(element=INT64, name="k")]),
    "reverse-sequence": lambda: graph(
        "ReverseSequence", [ROWS, x("b", element=INT64, name="lengths")], batch_axis=0, time_axis=1
    ),
    "compress": lambda: graph("Compress", [ROWS, x("k", element=BOOL, name="keep")], axis=0),
    "non-zero": lambda: graph("NonZero", [ROWS], gives=(INT64,)),
    "unique": lambda: graph("Unique", [ROWS], gives=(FLOAT, INT64, INT64, INT64)),
    "where": lambda: graph("Where", [x("b", "n", element=BOOL, name="if"), ROWS, x("m", name="z")]),
    "sequence-at": sequence_at,
    "div": lambda: graph("Div", whole_numbers("a", "b"), gives=(INT64,)),
    "mod": lambda: graph("Mod", whole_numbers("a", "b"), gives=(INT64,)),
    "div-int32": lambda: graph("Div", [x("n", element=INT32, name=name) for name in "ab"], gives=(INT32,)),
    "fmod": lambda: graph("Mod", [x("n", name="a"), x("n", name="b")], fmod=1),
    "pow": lambda: graph("Pow", whole_numbers("a", "b"), gives=(INT64,)),
    "bit-shift": lambda: graph(
        "BitShift",
        [x("n", element=UINT8, name=name) for name in "ab"],
        gives=(UINT8,),
        direction="LEFT",
    ),
    "cast": lambda: graph("Cast", [ROWS], gives=(INT32,), to=INT32),
    "cast-text": lambda: graph("Cast", [x("n", element=STRING)], to=FLOAT),
    "quantize": lambda: graph(
        "QuantizeLinear",
        [ROWS, x(name="scale")],
        {"zero": np.array(3, np.uint8)},
        gives=(UINT8,),
    ),
    "dynamic-quantize": lambda: graph("DynamicQuantizeLinear", [ROWS], gives=(UINT8, FLOAT, UINT8)),
    "string-normalizer": lambda: graph(
        "StringNormalizer", [x("n", element=STRING)], gives=(STRING,), case_change_action="LOWER", stopwords=["a"]
    ),
    "string-split": lambda: graph(
        "StringSplit",
        [x("n", element=STRING)],
        gives=(STRING, INT64),
        opset=20,
        delimiter=" ",
    ),
    "regex": lambda: graph("RegexFullMatch", [x("n", element=STRING)], gives=(BOOL,), opset=20, pattern="(a+)+b"),
    "dft": lambda: graph("DFT", [x("b", "n", 1), x(element=INT64, name="length")], axis=1),
    "stft": lambda: graph(
        "STFT",
        [x("b", "n", 1), x(element=INT64, name="step"), x(element=INT64, name="length")],
        order=["x", "step", "", "length"],
    ),
    "hann-window": lambda: graph("HannWindow", [x(element=INT64, name="size")]),
    "mel-weights": lambda: graph(
        "MelWeightMatrix",
        [x(element=INT64, name=name) for name in ("bins", "length", "rate")],
        {"low": np.float32(0), "high": np.float32(8000)},
    ),
    "gelu": lambda: single("Gelu", opset=20),
    "erf": lambda: single("Erf"),
    "tanh": lambda: single("Tanh"),
    "exp-double": lambda: graph("Exp", [x("n", element=DOUBLE)], gives=(DOUBLE,)),
    "clip": lambda: graph("Clip", [ROWS, x(name="low"), x(name="high")]),
    "prelu": lambda: graph("PRelu", [ROWS, x("m", name="slope")]),
    "hardmax": lambda: single("Hardmax"),
    "det": lambda: graph("Det", [x("b", "n", "n")]),
}

SHORT = (
    "gru",
    "lstm-lengths",
    "rnn",
    "attention",
    "einsum",
    "instance-normalization",
    "layer-normalization",
    "conv",
    "resize-sizes",
    "range",
    "constant-of-shape",
    "string-normalizer",
)
"""Of each family one: what the default suite publishes."""


def publish_operators(root: str, names: Sequence[str]) -> dict[str, str]:
    """Publish a model for each of these operators, and the bystander's; return why some were refused, by name."""
    registry = Registry(open_store(root, create=True))
    publish(registry, graphs.candidate(BYSTANDER, graphs.sums()))
    refused = {}
    for name in names:
        try:
            publish(registry, graphs.candidate(name, OPERATORS[name]()))
        except Exception as error:  # whatever keeps one from being published is shown by its name
            refused[name] = repr(error)
    return refused


def sizes(specs: Sequence[TensorSpec], chance: random.Random) -> dict[str, list[int]]:
    """Return a shape for each input, mostly one that fits: then one with a size that is 0, another's or too large."""
    named: dict[str, int] = {}
    shapes = {
        spec.name: [
            named.setdefault(size, chance.choice((1, 1, 2, 3, 5, 17))) if isinstance(size, str) else size
            for size in spec.shape or ()
        ]
        for spec in specs
    }
    kind = chance.random()
    name = chance.choice(list(shapes))
    shape = shapes[name]
    if kind < 0.55 or not shape:
        return shapes
    axis = chance.randrange(len(shape))
    if kind < 0.7:
        shape[axis] = 0
    elif kind < 0.8:
        shape[axis] = chance.choice((1, 2, 4, 31))
    elif kind < 0.9:
        shape[axis] = chance.choice((256, 4096, MAX_ELEMENTS))
    elif kind < 0.95:
        shape[axis] = chance.choice(HUGE)
        if chance.random() < 0.5:
            shape[chance.randrange(len(shape))] = 0
    else:
        shapes[name] = shape[1:] if chance.random() < 0.5 else [*shape, chance.choice((0, 1, 2))]
    return shapes


FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 1e-39, -1e-310, 3e38, -3e38, 1e308, math.nan, math.inf, -math.inf)
NUMBERS = (0, 1, 2, -1, -2, 3, 4, 7, -100, -(2**40), 2**40, 2**62, 2**63 - 1, -(2**63))
"""As sizes they are small, or so large that Linux refuses the memory at once: what lies between would really be taken,
from the machine that runs the test."""
TEXTS = (b"", b"a", b"A b", "ü".encode(), b"\0", b"x" * 5000, b"a" * 40, b"-1e999", b"nan")


def elements(spec: TensorSpec, count: int, chance: random.Random) -> Any:
    """Return so many values of an input's datatype, as an array: small ones, or extreme ones among them."""
    if spec.datatype.name == "BYTES":
        return [chance.choice(TEXTS) for _ in range(count)]
    kind = np.dtype(spec.datatype.numpy)
    values: Sequence[float] = (0, 1) if kind.kind == "b" else FLOATS if kind.kind == "f" else NUMBERS
    kind_of_values = chance.random()
    if kind_of_values < 0.3:
        values = values[:4]
    elif kind_of_values < 0.5:
        values = values[2:5] if kind.kind == "f" else values[1:3]  # sizes and steps that are possible
    drawn = [chance.choice(values) for _ in range(min(count, 64))] or [0]
    with np.errstate(over="ignore"):
        array = np.array(drawn, np.float64 if kind.kind == "f" else object)
        found = (
            array.astype(kind) if kind.kind == "f" else np.array([_wrapped(int(each), kind) for each in drawn], kind)
        )
    return np.resize(found, count)


def _wrapped(value: int, kind: Any) -> int:
    """Return a number cut to the range of a datatype."""
    if kind.kind == "b":
        return value & 1
    limits = np.iinfo(kind)
    return min(max(value, int(limits.min)), int(limits.max))


Question = tuple[str, bytes, dict[str, str]]
"""A path, a body and the headers of a POST."""


def question(manifest: Manifest, chance: random.Random) -> Question:
    """Return a request for a model, in one of the forms in which tensors come."""
    shapes = sizes(manifest.inputs, chance)
    found = {}
    for spec in manifest.inputs:
        count = math.prod(shapes[spec.name])
        found[spec.name] = elements(spec, count if count <= MAX_ELEMENTS else chance.choice((0, 1, 64)), chance)
    form = chance.choice((_as_binary, _as_binary, _as_json, _as_columns, _as_file))
    return form(manifest, shapes, found)


def _as_binary(manifest: Manifest, shapes: dict[str, list[int]], found: dict[str, Any]) -> Question:
    items, parts = [], []
    for spec in manifest.inputs:
        values = found[spec.name]
        data = bytes(pack_strings(values)) if isinstance(values, list) else values.tobytes()
        parts.append(data)
        items.append(
            {
                "name": spec.name,
                "datatype": spec.datatype.name,
                "shape": shapes[spec.name],
                "parameters": {"binary_data_size": len(data)},
            }
        )
    document = {"inputs": items, "parameters": {"binary_data_output": True}}
    header = json.dumps(document).encode()
    path = f"/v2/models/{manifest.model}/infer"
    return (
        path,
        b"".join([header, *parts]),
        {HEADER_LENGTH: str(len(header)), "content-type": "application/octet-stream"},
    )


def _as_json(manifest: Manifest, shapes: dict[str, list[int]], found: dict[str, Any]) -> Question:
    items = [
        {
            "name": spec.name,
            "datatype": spec.datatype.name,
            "shape": shapes[spec.name],
            "data": _values(found[spec.name]),
        }
        for spec in manifest.inputs
    ]
    return f"/v2/models/{manifest.model}/infer", json.dumps({"inputs": items}).encode(), JSON


def _as_columns(manifest: Manifest, shapes: dict[str, list[int]], found: dict[str, Any]) -> Question:
    columns = {}
    for spec in manifest.inputs:
        values, shape = _values(found[spec.name]), shapes[spec.name]
        if math.prod(shape) == len(values) and len(shape) < 32 and max(shape, default=0) <= MAX_ELEMENTS:
            values = np.array(values, dtype=object).reshape(shape).tolist()
        columns[spec.name] = values
    return f"/v1/models/{manifest.model}:predict", json.dumps({"inputs": columns}).encode(), JSON


def _as_file(manifest: Manifest, shapes: dict[str, list[int]], found: dict[str, Any]) -> Question:
    spec = manifest.inputs[0]
    values = found[spec.name]
    if len(manifest.inputs) > 1 or isinstance(values, list):
        return _as_binary(manifest, shapes, found)
    descr = np.dtype(spec.datatype.numpy).str
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {tuple(shapes[spec.name])}, }}".ljust(117) + "\n"
    body = b"\x93NUMPY\x01\0" + len(text).to_bytes(2, "little") + text.encode() + values.tobytes()
    return f"/predict/{manifest.model}", body, {"content-type": "application/x-npy"}


JSON = {"content-type": "application/json"}


def _values(found: Any) -> list[Any]:
    return [each.decode("utf-8", "replace") for each in found] if isinstance(found, list) else found.tolist()


@dataclass
class Tally:
    """What came of the requests."""

    statuses: dict[str, Counter[str]] = field(default_factory=dict)
    """By model."""
    failures: list[str] = field(default_factory=list)
    """The first answers that are no answer, and no mistake of the client."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, model: str, status: str, what: str) -> None:
        with self.lock:
            self.statuses.setdefault(model, Counter())[status] += 1
            if status == "dropped" or int(status) >= 500:
                self.failures.append(f"{model}: {status}: {what}"[:1500])


class Client:
    """One connection, opened anew where the other side has closed it before a request."""

    def __init__(self, url: str) -> None:
        self._address = require_loopback(url)

    def ask(self, question: Question) -> tuple[str, bytes]:
        """Return the status of an answer and its body; `dropped` where none came."""
        path, body, headers = question
        connection = http.client.HTTPConnection(self._address, timeout=TIMEOUT_S)
        try:
            connection.request("POST", path, body, headers)
            reply = connection.getresponse()
            return str(reply.status), reply.read()
        except (OSError, http.client.HTTPException) as error:
            return "dropped", repr(error).encode()
        finally:
            connection.close()


def attack(url: str, manifests: Sequence[Manifest], count: int, seed: int, tally: Tally) -> None:
    """Send so many requests, to one model after another."""
    client, chance = Client(url), random.Random(seed)
    for number in range(count):
        manifest = manifests[number % len(manifests)]
        asked = question(manifest, chance)
        status, body = client.ask(asked)
        tally.add(manifest.model, status, f"{asked[0]} {asked[1][:600]!r} -> {body[:300]!r}")


def stand_by(url: str, is_over: threading.Event, tally: Tally) -> None:
    """Ask a small model all the time."""
    client = Client(url)
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}
    asked = f"/v2/models/{BYSTANDER}/infer", json.dumps({"inputs": [tensor]}).encode(), JSON
    while not is_over.wait(0.01):
        status, body = client.ask(asked)
        tally.add(BYSTANDER, status, body[:300].decode("utf-8", "replace"))


def fuzz(root: str, cloud: str, count: int, seed: int) -> dict[str, Any]:
    """Serve the registry's models by a cloud's own runtime, and ask them; return what came of it."""
    registry = Registry(open_store(root))
    manifests = [registry.resolve(name) for name in registry.models() if name != BYSTANDER]
    asked = [each for each in manifests if not each.crashes]  # of the others the publish gate has warned
    tally, is_over = Tally(), threading.Event()
    environment = {"ONNXLET_REGISTRY": root, "ONNXLET_REFRESH_S": "1000000", "ONNXLET_TIMEOUT_S": str(TIMEOUT_S)}
    with tempfile.TemporaryFile() as log, CLOUDS[cloud][0](environment, 0, log) as url:
        bystander = threading.Thread(target=stand_by, args=(url, is_over, tally))
        shares = [count // CLIENTS + (number < count % CLIENTS) for number in range(CLIENTS)]
        orders = [random.Random(seed + number).sample(asked, len(asked)) for number in range(CLIENTS)]
        clients = [
            threading.Thread(target=attack, args=(url, order, share, seed * CLIENTS + number, tally))
            for number, (share, order) in enumerate(zip(shares, orders, strict=True))
        ]
        bystander.start()
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        is_over.set()
        bystander.join()
        log.seek(0)
        written = log.read().decode("utf-8", "replace").splitlines()
    return {
        "operators": len(asked),
        "warned": sorted({each.model for each in manifests} - {each.model for each in asked}),
        "statuses": dict(sum((each for name, each in tally.statuses.items() if name != BYSTANDER), Counter())),
        "bystander": dict(tally.statuses.get(BYSTANDER, Counter())),
        "by_operator": {name: dict(each) for name, each in tally.statuses.items()},
        "failures": tally.failures[:MAX_SHOWN],
        "inside": [line for line in written if any(sign in line for sign in TROUBLE)][:MAX_SHOWN],
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(fuzz(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
