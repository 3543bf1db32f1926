"""Resampling: the nodes of a graph that takes the samples of a sound at another rate.

The filter is a sinc function under a Hann window, as `torchaudio.functional.resample` has it by default: the numbers
are the same. The rate of the sound is an input of the graph, so the filter is computed when the graph runs.

Source: Julius O. Smith, "Digital Audio Resampling"; torchaudio, `functional.py`, `_get_sinc_resample_kernel`.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

LOBES = 6
"""Zeros of the sinc function on each side of its middle, torchaudio's `lowpass_filter_width`."""
ROLL_OFF = 0.99
"""The frequency at which the filter ends, as a share of the highest one that both rates can hold."""

ROW_WIDTHS = 4
"""The length of a row of samples in half lengths of a filter, at least; a row must be longer than a filter."""
MAX_FILTERS = 1_000_000
"""Elements of the filters for all positions between two samples: rates without a common divisor need many more."""


class _Nodes:
    """Nodes of a graph, whose values get names below a prefix."""

    def __init__(self, prefix: str) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._prefix = prefix

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        output = f"{self._prefix}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, value: object, dtype: type) -> str:
        """Add a constant and return its name."""
        array: npt.NDArray[Any] = np.array(value, dtype)
        return self.add("Constant", value=numpy_helper.from_array(array))


def resampled(samples: str, rate: str, target: int, output: str) -> list[onnx.NodeProto]:
    """Return nodes from samples at any rate to samples at the rate `target`.

    Args:
        samples: The name of the samples, FP32 (samples,).
        rate: The name of their rate, INT64 (1,).
        target: The rate of the output, in samples a second.
        output: The name of the output, FP32 (samples,).
    """
    main = _Nodes(f"{output}/")
    zero, wanted = main.constant([0], np.int64), main.constant([target], np.int64)
    divisors = main.constant([number for number in range(1, target + 1) if target % number == 0], np.int64)
    divides = main.add("Equal", main.add("Mod", rate, divisors), zero)
    common = main.add("ReduceMax", main.add("Where", divides, divisors, zero), keepdims=1)
    before, after = main.add("Div", rate, common), main.add("Div", wanted, common)
    is_same = main.add("Equal", rate, wanted)
    many = main.add("Greater", main.add("Mul", before, after), main.constant([MAX_FILTERS], np.int64))
    shape = main.constant([], np.int64)
    is_simple = main.add("Reshape", main.add("Or", is_same, many), shape)
    branches = {
        "then_branch": _branch(_resized(samples, rate, target, f"{output}/resized"), f"{output}/resized"),
        "else_branch": _branch(_filtered(samples, before, after, f"{output}/filtered"), f"{output}/filtered"),
    }
    return [*main.nodes, helper.make_node("If", [is_simple], [output], **branches)]


def _branch(nodes: list[onnx.NodeProto], output: str) -> onnx.GraphProto:
    return helper.make_graph(
        nodes, output.replace("/", "_"), [], [helper.make_tensor_value_info(output, TensorProto.FLOAT, [None])]
    )


def _resized(samples: str, rate: str, target: int, output: str) -> list[onnx.NodeProto]:
    """Return nodes that interpolate with cubic functions; at the same rate they only copy."""
    part = _Nodes(f"{output}/")
    ratio = part.add("Div", part.constant([target], np.float32), part.add("Cast", rate, to=TensorProto.FLOAT))
    scales = part.add("Concat", part.constant([1, 1, 1], np.float32), ratio, axis=0)
    picture = part.add("Reshape", samples, part.constant([1, 1, 1, -1], np.int64))
    resized = part.add(
        "Resize",
        picture,
        "",
        scales,
        mode="cubic",
        coordinate_transformation_mode="asymmetric",
        antialias=1,
        exclude_outside=1,
    )
    flat = part.constant([-1], np.int64)
    return [*part.nodes, helper.make_node("Reshape", [resized, flat], [output])]


def _filtered(samples: str, before: str, after: str, output: str) -> list[onnx.NodeProto]:
    """Return nodes that filter: `before` samples become `after` samples, each by a filter of its own.

    Rows of a few hundred samples are multiplied with a matrix of the filters of all positions. A filter also needs the
    samples that follow its row: those are at the beginning of the next row.
    """
    part = _Nodes(f"{output}/")
    zero, one, two = (part.constant([number], np.int64) for number in (0, 1, 2))
    count = part.add("Shape", samples)
    lowest, width = _width(part, before, after)
    least = part.add("Mul", width, part.constant([ROW_WIDTHS], np.int64))
    times = part.add("Add", part.add("Div", least, before), one)
    before_row, after_row = part.add("Mul", before, times), part.add("Mul", after, times)
    filters = _filters(part, before_row, after_row, part.add("Mul", lowest, _double(part, times)), width)
    rows = part.add("Add", part.add("Div", count, before_row), two)
    end = part.add("Sub", part.add("Sub", part.add("Mul", rows, before_row), count), width)
    padded = part.add("Pad", samples, part.add("Concat", width, end, axis=0))
    matrix = part.add("Reshape", padded, part.add("Concat", rows, before_row, axis=0))
    last = part.constant([-1], np.int64)
    both, first_axis, second_axis = part.add("Mul", width, two), zero, one
    own = part.add("Slice", matrix, zero, last, first_axis)
    following = part.add("Slice", part.add("Slice", matrix, one, rows, first_axis), zero, both, second_axis)
    long = part.add("Add", before_row, both)
    products = part.add(
        "Add",
        part.add("MatMul", own, part.add("Slice", filters, zero, before_row, first_axis)),
        part.add("MatMul", following, part.add("Slice", filters, before_row, long, first_axis)),
    )
    wanted = part.add("Div", part.add("Sub", part.add("Add", part.add("Mul", count, after), before), one), before)
    flat = part.add("Reshape", products, last)
    return [*part.nodes, helper.make_node("Slice", [flat, zero, wanted], [output])]


def _width(part: _Nodes, before: str, after: str) -> tuple[str, str]:
    """Add what the filters depend on.

    Returns:
        The names of the number of zeros of the sinc function in `before` samples, FP64 (1,), and of half the length of
        a filter in samples, INT64 (1,).
    """
    lowest = part.add("Mul", _double(part, part.add("Min", before, after)), part.constant([ROLL_OFF], np.float64))
    lobes = part.add("Mul", part.constant([float(LOBES)], np.float64), _double(part, before))
    return lowest, part.add("Cast", part.add("Ceil", part.add("Div", lobes, lowest)), to=TensorProto.INT64)


def _filters(part: _Nodes, before: str, after: str, lowest: str, width: str) -> str:
    """Add the filters for each of `after` samples, and return their name: FP32 (2 * width + before, after)."""
    before_f, after_f = _double(part, before), _double(part, after)
    scalar = part.constant([], np.int64)
    start = part.add("Reshape", part.add("Neg", width), scalar)
    stop = part.add("Reshape", part.add("Add", width, before), scalar)
    zero, step = part.constant(0, np.int64), part.constant(1, np.int64)
    taken = part.add("Div", _double(part, part.add("Range", start, stop, step)), before_f)
    made = part.add("Range", zero, part.add("Reshape", after, scalar), step)
    made = part.add("Div", _double(part, made), after_f)
    column = part.add("Reshape", taken, part.constant([-1, 1], np.int64))
    distance = part.add("Mul", part.add("Sub", column, made), lowest)
    lobes = part.constant(float(LOBES), np.float64)
    distance = part.add("Clip", distance, part.add("Neg", lobes), lobes)
    cosine = part.add("Cos", part.add("Mul", distance, part.constant(math.pi / LOBES / 2, np.float64)))
    angle = part.add("Mul", distance, part.constant(math.pi, np.float64))
    is_middle = part.add("Equal", angle, part.constant(0.0, np.float64))
    unity = part.constant(1.0, np.float64)
    sinc = part.add("Where", is_middle, unity, part.add("Div", part.add("Sin", angle), angle))
    height = part.add("Mul", part.add("Mul", cosine, cosine), part.add("Div", lowest, before_f))
    return part.add("Cast", part.add("Mul", sinc, height), to=TensorProto.FLOAT)


def _double(part: _Nodes, value: str) -> str:
    return part.add("Cast", value, to=TensorProto.DOUBLE)
