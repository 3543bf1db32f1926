"""Sample inputs: tensors that fit a model's declarations, ordinary ones and extreme ones that may break the model.

A process and its child make the same inputs from the same declarations, so a number identifies a case.
"""

import math
import random
import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice, product, zip_longest
from typing import Any

from onnxlet.contract.golden import MAX_INPUT_BYTES, PERIOD, repeated
from onnxlet.contract.tensors import ANY, DataType, Tensor, TensorSpec, pack_strings

SIZES = (1, 2, 16, 32, 64, 224, 640, 16_000)
"""Sizes of free dimensions: a word, a patch, an image, a second of sound."""
ODD_SIZES = (1, 2, 3, 7, 33)
LARGE_SIZE = 1000

INTEGERS = (0, 1, 16_000)
"""Values of ordinary integers: an index or a flag, a length or a step, a sampling rate."""

MAX_ELEMENTS = 1_000_000
"""Largest number of elements of one input, unless its fixed dimensions make it larger."""

MAX_SHOWN = 4
"""Largest number of different values that a description lists."""

MAX_PAIRS = 1000
MAX_RANDOM = 1000
"""Largest numbers of cases with two values, and with random values."""

EXTREME_INTEGERS = (0, -1, 1, 2, -2, 3, 7, 100, -100, 2**31 - 1, -(2**31), 2**31, 2**62, 10**9)
EXTREME_FLOATS = (0.0, -1.0, 1.0, math.nan, math.inf, -math.inf, 0.5, 2.0, -100.0, 1e9, -(2.0**31), -(2.0**63), 2.0**63)
TEXTS = (b"", b"a", b"1", b"-1", b" ", "ä日本".encode(), b"\xff\xfe", b"x" * 10_000)
LARGEST_FLOATS = {"FP16": (65504.0, 6e-8), "FP32": (3.4028234e38, 1e-45), "FP64": (sys.float_info.max, 5e-324)}
"""The largest number and the smallest one above zero."""

PLAIN, RANDOM = "plain", "random"

Sizes = Mapping[tuple[int, int], int]
"""The sizes of free dimensions, by the positions of their input and of their axis in it."""

Fill = tuple[str, int] | int
"""The values of an input: the position of one extreme value, or `PLAIN` or `RANDOM` with a number that varies them."""


@dataclass(frozen=True)
class Case:
    """The sizes and values of all inputs of one run."""

    sizes: Sizes
    fills: tuple[Fill, ...]
    """The values of each input."""

    def inputs(self, specs: Sequence[TensorSpec]) -> dict[str, Tensor]:
        """Make the tensors."""
        return {
            spec.name: _fill(spec.datatype, _shape(spec, index, self.sizes), fill)
            for index, (spec, fill) in enumerate(zip(specs, self.fills, strict=True))
        }

    def describe(self, specs: Sequence[TensorSpec]) -> str:
        """Describe the inputs in words."""
        parts = []
        for index, (spec, fill) in enumerate(zip(specs, self.fills, strict=True)):
            shape = _shape(spec, index, self.sizes)
            values = _describe(spec.datatype, fill, math.prod(shape))
            parts.append(f"{spec.name} is {spec.datatype.name} {list(shape)} of {values}")
        return ", ".join(parts)


def ordinary(specs: Sequence[TensorSpec]) -> Iterator[Case]:
    """Yield cases that a model probably runs on, the smallest first: floats in [0, 1), and equal integers."""
    seen = []
    for size in SIZES:
        for sizes in _with_size(specs, size):
            if sizes in seen or not _fits(specs, sizes):
                continue
            seen.append(sizes)
            has_integers = any(spec.datatype.name.removeprefix("U").startswith("INT") for spec in specs)
            for integer in INTEGERS if has_integers else INTEGERS[:1]:
                yield Case(sizes, ((PLAIN, integer),) * len(specs))


def extreme(specs: Sequence[TensorSpec], base: Sizes) -> Iterator[Case]:
    """Yield cases that may break a model: extreme values, and odd sizes around those that it runs on.

    Args:
        specs: The model's inputs.
        base: Sizes of the free dimensions with which the model runs.
    """
    count = max(len(_extremes(spec.datatype)) for spec in specs)
    yield from (Case(base, (value,) * len(specs)) for value in range(count))
    odd = [sizes for sizes in _odd(specs, base) if _fits(specs, sizes)]
    in_turn = zip_longest(_of_odd_sizes(specs, odd), _of_pairs(specs, base, count), _at_random(specs, [base, *odd]))
    yield from (case for case in chain.from_iterable(in_turn) if case is not None)


def _of_odd_sizes(specs: Sequence[TensorSpec], odd: list[Sizes]) -> Iterator[Case]:
    """Yield ordinary numbers, zeros and minus ones of all odd sizes."""
    fills: tuple[Fill, ...] = ((PLAIN, 0), (PLAIN, 1), 0, 1)
    yield from (Case(sizes, (fill,) * len(specs)) for fill, sizes in product(fills, odd))


def _of_pairs(specs: Sequence[TensorSpec], base: Sizes, count: int) -> Iterator[Case]:
    """Yield one value in one input, and another in all others."""
    if len(specs) == 1:
        return
    combinations = list(product(range(count), range(count), range(len(specs))))
    random.Random(0).shuffle(combinations)  # noqa: S311 - no secret
    for one, others, index in combinations[:MAX_PAIRS]:
        yield Case(base, tuple(one if place == index else others for place in range(len(specs))))


def _at_random(specs: Sequence[TensorSpec], all_sizes: list[Sizes]) -> Iterator[Case]:
    """Yield random extreme values in every input."""
    for number in range(MAX_RANDOM):
        sizes = all_sizes[number // 2 % len(all_sizes)] if number % 2 else all_sizes[0]
        yield Case(sizes, tuple((RANDOM, number * len(specs) + index) for index in range(len(specs))))


def _free(specs: Sequence[TensorSpec]) -> list[tuple[int, int]]:
    """Return the places of free dimensions, by input and axis; an input of any rank has one."""
    return [
        (index, axis)
        for index, spec in enumerate(specs)
        for axis, size in enumerate((ANY,) if spec.shape is None else spec.shape)
        if isinstance(size, str)
    ]


def _name(specs: Sequence[TensorSpec], place: tuple[int, int]) -> object:
    """Return the key of a free dimension: dimensions with the same key have the same size."""
    shape = specs[place[0]].shape
    name = ANY if shape is None else shape[place[1]]
    return place if name == ANY else name


def _with_size(specs: Sequence[TensorSpec], size: int) -> Iterator[Sizes]:
    """Yield one size for the free dimensions except the first of each input (a batch), for all, and for one name."""
    places = _free(specs)
    yield {place: size if place[1] or len(specs[place[0]].shape or (ANY,)) == 1 else 1 for place in places}
    yield dict.fromkeys(places, size)
    names = list(dict.fromkeys(_name(specs, place) for place in places))
    for name in names if len(names) < MAX_NAMES else ():
        yield {place: size if _name(specs, place) == name else 1 for place in places}


MAX_NAMES = 9
"""Number of different names up to which each is also tried separately."""


def _odd(specs: Sequence[TensorSpec], base: Sizes) -> Iterator[Sizes]:
    """Yield sizes that a model's author may not have thought of."""
    places = _free(specs)
    for size in ODD_SIZES if places else ():
        yield dict.fromkeys(places, size)
    if len(places) > 1:  # all different, even those with the same name
        yield {place: 2 + number for number, place in enumerate(places)}
        yield {place: 1 + len(places) - number for number, place in enumerate(places)}
    for place in places:
        for size in (1, 2, base[place] + 1, base[place] + 7, LARGE_SIZE):
            yield {**base, place: size}


def _fits(specs: Sequence[TensorSpec], sizes: Sizes) -> bool:
    """Return whether inputs of these sizes are small enough to be made."""
    counts = [math.prod(_shape(spec, index, sizes)) for index, spec in enumerate(specs)]
    smallest = [math.prod(_shape(spec, index, {})) for index, spec in enumerate(specs)]
    return all(count <= max(MAX_ELEMENTS, least) for count, least in zip(counts, smallest, strict=True)) and all(
        count * (spec.datatype.size_bytes or 4) <= MAX_INPUT_BYTES for count, spec in zip(counts, specs, strict=True)
    )


def _shape(spec: TensorSpec, index: int, sizes: Sizes) -> tuple[int, ...]:
    """Return the shape of an input; a free dimension without a size is 1."""
    shape = (ANY,) if spec.shape is None else spec.shape
    return tuple(sizes.get((index, axis), 1) if isinstance(size, str) else size for axis, size in enumerate(shape))


def _fill(datatype: DataType, shape: tuple[int, ...], fill: Fill) -> Tensor:
    count = math.prod(shape)
    values = _values(datatype, fill, min(count, PERIOD))
    if not datatype.size_bytes:
        return Tensor(datatype, shape, pack_strings(islice(_cycle(values), count)))
    code = datatype.code or "e"
    return repeated(datatype, shape, struct.pack(f"<{len(values)}{code}", *values))


def _cycle(values: list[Any]) -> Iterator[Any]:
    while values:
        yield from values


def _values(datatype: DataType, fill: Fill, count: int) -> list[Any]:
    """Return at most `count` values, which the caller repeats if the input has more elements."""
    extremes = _extremes(datatype)
    if isinstance(fill, int):
        return [extremes[fill % len(extremes)]]
    kind, number = fill
    if kind == RANDOM:
        return random.Random(number).choices(extremes, k=count)  # noqa: S311 - no secret
    if datatype.name.startswith("FP"):
        floats = random.Random(number)  # noqa: S311 - no secret
        return [floats.random() for _ in range(count)]
    if datatype.name == "BYTES":
        return [b""]
    return [min(number, max(extremes))]


@cache
def _extremes(datatype: DataType) -> tuple[Any, ...]:
    """Return the values of a datatype that are most likely to break a model."""
    if datatype.name == "BYTES":
        return TEXTS
    if datatype.name == "BOOL":
        return (False, True)
    if datatype.name.startswith("FP"):
        largest, smallest = LARGEST_FLOATS[datatype.name]
        small = (value for value in EXTREME_FLOATS if not abs(value) > largest or math.isinf(value))
        return (*small, largest, -largest, smallest)
    bits = 8 * datatype.size_bytes
    least, most = (0, 2**bits - 1) if datatype.name.startswith("U") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return tuple(dict.fromkeys((least, *(value for value in EXTREME_INTEGERS if least <= value <= most), most)))


def _describe(datatype: DataType, fill: Fill, count: int) -> str:
    values = _values(datatype, fill, min(count, PERIOD))
    if len(values) > MAX_SHOWN:
        return "values in [0, 1)" if isinstance(fill, tuple) and fill[0] == PLAIN else "random extreme values"
    text = ", ".join(map(repr, values))
    return text if len(text) <= 80 else f"{text[:77]}..."
