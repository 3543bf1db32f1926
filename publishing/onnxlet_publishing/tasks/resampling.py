"""Resampling: the part of a graph that takes the samples of a sound at another rate.

The filter is a sinc function under a Hann window, as `torchaudio.functional.resample` has it by default: the numbers
are the same. The rate of the sound is an input of the graph, so the filter is computed when the graph runs.

Source: Julius O. Smith, "Digital Audio Resampling"; torchaudio, `functional.py`, `_get_sinc_resample_kernel`.
"""

import math

import numpy as np
import onnx
from onnx import TensorProto

from onnxlet_publishing.graph_builder import GraphBuilder

LOBES = 6
"""Zeros of the sinc function on each side of its middle, torchaudio's `lowpass_filter_width`."""
ROLL_OFF = 0.99
"""The frequency at which the filter ends, as a share of the highest one that both rates can hold."""

ROW_WIDTHS = 4
"""The length of a row of samples in half lengths of a filter, at least; a row must be longer than a filter."""
MAX_FILTERS = 1_000_000
"""Elements of the filters for all positions between two samples: rates without a common divisor need many more."""


def resampled(graph: GraphBuilder, samples: str, rate: str, target: int) -> str:
    """Add what takes samples at any rate to samples at the rate `target`; return the name of the result.

    Args:
        graph: The graph.
        samples: The name of the samples, FP32 (samples,).
        rate: The name of their rate, INT64 (1,).
        target: The rate of the result, in samples a second.
    """
    zero, wanted = graph.integers(0), graph.integers(target)
    divisors = graph.integers(*(number for number in range(1, target + 1) if target % number == 0))
    divides = graph.add("Equal", graph.add("Mod", rate, divisors), zero)
    common = graph.add("ReduceMax", graph.add("Where", divides, divisors, zero), keepdims=1)
    before, after = graph.add("Div", rate, common), graph.add("Div", wanted, common)
    is_same = graph.add("Equal", rate, wanted)
    many = graph.add("Greater", graph.add("Mul", before, after), graph.integers(MAX_FILTERS))
    shape = graph.integers()
    is_simple = graph.add("Reshape", graph.add("Or", is_same, many), shape)
    simple, filtered = GraphBuilder("resized/"), GraphBuilder("filtered/")
    return graph.add(
        "If",
        is_simple,
        then_branch=_branch(simple, _resized(simple, samples, rate, target)),
        else_branch=_branch(filtered, _filtered(filtered, samples, before, after)),
    )


def _branch(part: GraphBuilder, output: str) -> onnx.GraphProto:
    return part.to_graph("branch", {}, {output: (TensorProto.FLOAT, ["resampled"])})


def _resized(part: GraphBuilder, samples: str, rate: str, target: int) -> str:
    """Add the interpolation with cubic functions, which at the same rate only copies."""
    ratio = part.add("Div", part.constant([target], np.float32), part.add("Cast", rate, to=TensorProto.FLOAT))
    scales = part.add("Concat", part.constant([1, 1, 1], np.float32), ratio, axis=0)
    picture = part.add("Reshape", samples, part.integers(1, 1, 1, -1))
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
    return part.add("Reshape", resized, part.integers(-1))


def _filtered(part: GraphBuilder, samples: str, before: str, after: str) -> str:
    """Add what makes `after` samples of `before` samples, each by a filter of its own.

    Rows of a few hundred samples are multiplied with a matrix of the filters of all positions. A filter also needs the
    samples that follow its row: those are at the beginning of the next row.
    """
    zero, one, two = (part.integers(number) for number in (0, 1, 2))
    count = part.add("Shape", samples)
    lowest, width = _width(part, before, after)
    least = part.add("Mul", width, part.integers(ROW_WIDTHS))
    times = part.add("Add", part.add("Div", least, before), one)
    before_row, after_row = part.add("Mul", before, times), part.add("Mul", after, times)
    filters = _filters(part, before_row, after_row, part.add("Mul", lowest, _double(part, times)), width)
    rows = part.add("Add", part.add("Div", count, before_row), two)
    end = part.add("Sub", part.add("Sub", part.add("Mul", rows, before_row), count), width)
    padded = part.add("Pad", samples, part.add("Concat", width, end, axis=0))
    matrix = part.add("Reshape", padded, part.add("Concat", rows, before_row, axis=0))
    last = part.integers(-1)
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
    return part.add("Slice", flat, zero, wanted)


def _width(part: GraphBuilder, before: str, after: str) -> tuple[str, str]:
    """Add what the filters depend on.

    Returns:
        The names of the number of zeros of the sinc function in `before` samples, FP64 (1,), and of half the length of
        a filter in samples, INT64 (1,).
    """
    lowest = part.add("Mul", _double(part, part.add("Min", before, after)), part.constant([ROLL_OFF], np.float64))
    lobes = part.add("Mul", part.constant([float(LOBES)], np.float64), _double(part, before))
    return lowest, part.add("Cast", part.add("Ceil", part.add("Div", lobes, lowest)), to=TensorProto.INT64)


def _filters(part: GraphBuilder, before: str, after: str, lowest: str, width: str) -> str:
    """Add the filters for each of `after` samples, and return their name: FP32 (2 * width + before, after)."""
    before_f, after_f = _double(part, before), _double(part, after)
    scalar = part.integers()
    start = part.add("Reshape", part.add("Neg", width), scalar)
    stop = part.add("Reshape", part.add("Add", width, before), scalar)
    zero, step = part.constant(0, np.int64), part.constant(1, np.int64)
    taken = part.add("Div", _double(part, part.add("Range", start, stop, step)), before_f)
    made = part.add("Range", zero, part.add("Reshape", after, scalar), step)
    made = part.add("Div", _double(part, made), after_f)
    column = part.add("Reshape", taken, part.integers(-1, 1))
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


def _double(part: GraphBuilder, value: str) -> str:
    return part.add("Cast", value, to=TensorProto.DOUBLE)
