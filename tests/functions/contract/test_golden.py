import math
import struct
from array import array
from typing import Any

import orjson
import pytest

from onnxlet.contract.golden import MAX_BYTES, MAX_SAMPLES, PERIOD, Golden, Sample, repeated
from onnxlet.contract.json_tensors import from_values
from onnxlet.contract.tensors import DATATYPES, Tensor, from_bytes, pack_strings
from onnxlet.errors import ManifestError


def floats(*values: float) -> Tensor:
    data = struct.pack(f"<{len(values)}f", *values)
    return from_bytes("x", DATATYPES["FP32"], (len(values),), memoryview(data))


TEXT = from_values("x", DATATYPES["BYTES"], (2,), ["a", "日本"])
GOLDEN = Golden({"x": floats(1.5, -2)}, {"y": TEXT, "z": floats()})


def test_it_survives_being_written_and_read() -> None:
    assert Golden.from_json(GOLDEN.to_json(), "golden") == GOLDEN


NAN = math.nan
INFINITY = math.inf


@pytest.mark.parametrize(
    ("found", "expected", "difference"),
    [
        ((1.5, -2.0), (1.5, -2.0), 0.0),
        ((0.5, 0.25), (0.25, 0.25), 0.25),
        ((8.0, -8.0), (10.0, -10.0), 0.2),
        ((-0.0,), (0.0,), 0.0),
        ((NAN, 1.0), (NAN, 1.5), 0.5 / 1.5),
        ((INFINITY, 1.0), (INFINITY, 1.5), 0.5 / 1.5),
        ((1.0,), (NAN,), INFINITY),
        ((NAN,), (1.0,), INFINITY),
        ((1.0,), (INFINITY,), INFINITY),
        ((INFINITY,), (1.0,), INFINITY),
        ((-INFINITY,), (INFINITY,), INFINITY),
        ((1.0,), (1.0, 1.0), INFINITY),
    ],
)
def test_the_largest_difference_counts_relative_where_numbers_are_large(
    found: tuple[float, ...], expected: tuple[float, ...], difference: float
) -> None:
    golden = Golden({}, {"y": floats(*expected), "z": floats(1)})
    assert golden.difference({"y": floats(*found), "z": floats(1)}) == pytest.approx(difference)


def test_other_texts_and_other_datatypes_are_infinitely_far() -> None:
    golden = Golden({}, {"y": TEXT})
    assert golden.difference({"y": TEXT}) == 0.0
    assert golden.difference({"y": from_values("x", DATATYPES["BYTES"], (2,), ["a", "b"])}) == INFINITY
    assert Golden({}, {"y": floats(0)}).difference({"y": from_values("x", DATATYPES["INT32"], (1,), [0])}) == INFINITY


def test_without_outputs_nothing_differs() -> None:
    assert Golden({}, {}).difference({}) == 0.0


def item(**changes: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": "AAAAAA==", **changes}]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema": 3}, "golden.schema: expected 1"),
        ({"inputs": 1}, "golden.inputs: expected a list, got 1"),
        ({"inputs": [{"name": "x"}]}, "golden.inputs[0]: the field 'datatype' is missing"),
        (item(datatype="FP31"), "golden.inputs[0].datatype: expected one of"),
        (item(shape=[-1]), "golden.inputs[0].shape: expected sizes, got [-1]"),
        (item(shape=["1"]), "golden.inputs[0].shape: expected sizes, got ['1']"),
        (item(shape=[True]), "golden.inputs[0].shape: expected sizes, got [True]"),
        (item(shape=[2]), 'golden.inputs[0].data: expected the tensor as base64: input "x": expected 8 bytes'),
        (item(data="AAAAA="), "golden.inputs[0].data: expected the tensor as base64: "),
        (item(data="AA!AAAA=="), "golden.inputs[0].data: expected the tensor as base64"),
        (item(data="ÄAAAAA=="), "golden.inputs[0].data: expected the tensor as base64"),
        (item(data=1), "golden.inputs[0].data: expected a string"),
    ],
)
def test_what_breaks_the_contract_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ManifestError) as caught:
        Golden.from_json(orjson.dumps({**orjson.loads(GOLDEN.to_json()), **changes}), "golden")
    assert words in str(caught.value)


def test_a_tensor_of_no_elements_is_read() -> None:
    document = orjson.dumps({**orjson.loads(GOLDEN.to_json()), **item(shape=[0], data="")})
    assert Golden.from_json(document, "golden").inputs["x"].shape == (0,)


def ramp(*shape: int) -> Tensor:
    return from_bytes("x", DATATYPES["FP32"], shape, memoryview(array("f", range(math.prod(shape))).tobytes()))


PHOTO = repeated(DATATYPES["FP32"], (1, 3, 512, 512), array("f", range(PERIOD)).tobytes())
MASK = ramp(1, 512, 512)
LARGE = Golden({"x": PHOTO}, {"y": MASK}).reduced()


def test_what_repeats_fills_its_shape() -> None:
    assert bytes(repeated(DATATYPES["UINT8"], (2, 2), b"abc").buffer) == b"abca"
    assert bytes(repeated(DATATYPES["INT16"], (1,), b"abcd").buffer) == b"ab"


def test_a_large_example_is_stored_small_and_read_as_it_was() -> None:
    with pytest.raises(ManifestError, match=rf"golden example: expected at most {MAX_BYTES} bytes, got \d+"):
        Golden({"x": PHOTO}, {"y": MASK}).to_json()
    data = LARGE.to_json()
    assert len(data) <= MAX_BYTES / 4
    assert orjson.loads(data)["schema"] == 2
    assert Golden.from_json(data, "golden") == LARGE


def test_what_fits_is_stored_whole_as_older_functions_read_it() -> None:
    document = orjson.loads(Golden({"x": repeated(DATATYPES["UINT8"], (2 * PERIOD,), b"a" * PERIOD)}, {}).to_json())
    assert (document["schema"], "period" in document["inputs"][0], "random" in document) == (1, False, False)


def test_an_input_that_does_not_repeat_is_bounded_too() -> None:
    with pytest.raises(ManifestError, match="golden example: expected at most"):
        Golden({"x": ramp(MAX_BYTES // 4)}, {}).to_json()


def test_samples_meet_every_column_and_row() -> None:
    sample = Sample.of(ramp(64, 64), 300)
    places = [int(value) for value in struct.unpack(f"<{sample.elements.shape[0]}f", sample.elements.buffer)]
    assert len(places) <= 300
    assert {place % 64 for place in places} == {place // 64 for place in places} == set(range(64))


def test_samples_are_few_however_many_outputs_there_are() -> None:
    many = Golden({}, {f"y{index}": ramp(10_000) for index in range(16)}, random=("z",)).reduced()
    assert sum(sample.elements.shape[0] for sample in many.samples.values()) <= MAX_SAMPLES
    assert (many.outputs, many.random, len(many.compared)) == ({}, ("z",), 16)


def test_only_samples_are_compared() -> None:
    step = LARGE.samples["y"].step
    for place, difference in ((0, 1.0), (step, 1.0), (1, 0.0), (step - 1, 0.0)):
        values = array("f", MASK.buffer.cast("f"))
        values[place] += max(1.0, values[place])
        assert LARGE.difference({"y": Tensor(MASK.datatype, MASK.shape, memoryview(values).cast("B"))}) == difference


def test_samples_of_another_shape_or_datatype_are_infinitely_far() -> None:
    assert LARGE.difference({"y": MASK}) == 0.0
    assert LARGE.difference({"y": Tensor(MASK.datatype, (512, 512, 1), MASK.buffer)}) == INFINITY
    assert LARGE.difference({"y": Tensor(DATATYPES["INT32"], MASK.shape, MASK.buffer)}) == INFINITY


def test_texts_are_sampled() -> None:
    texts = from_values("x", DATATYPES["BYTES"], (7,), list("abcdefg"))
    sample = Sample.of(texts, 4)
    assert (sample.step, bytes(sample.elements.buffer)) == (2, bytes(pack_strings([b"a", b"c", b"e", b"g"])))
    assert Golden.from_json(Golden({}, {}, {"y": sample}).to_json(), "golden").samples == {"y": sample}


def test_random_outputs_are_named_and_not_compared() -> None:
    golden = Golden({"x": floats(1)}, {"y": floats(1)}, random=("noise",))
    assert golden.compared == ["y"]
    assert Golden.from_json(golden.to_json(), "golden") == golden


def test_half_precision_is_compared_as_numbers() -> None:
    one, next_to_one, two = (
        Tensor(DATATYPES["FP16"], (1,), memoryview(struct.pack("<e", value))) for value in (1.0, 1 + 2**-10, 2.0)
    )
    golden = Golden({}, {"y": one})
    assert golden.difference({"y": next_to_one}) == 2**-10
    assert golden.difference({"y": two}) == 1.0


def sampled(**changes: Any) -> dict[str, Any]:
    output = {"name": "y", "datatype": "FP32", "shape": [3], "step": 3, "data": "AAAAAA==", **changes}
    return {"schema": 2, "outputs": [output]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"random": "y"}, "golden.random: expected a list of strings"),
        ({"schema": 2, **item(shape=[3], period=0)}, "golden.inputs[0].period: expected an integer from 1"),
        ({"schema": 2, **item(shape=[3], period=2)}, "golden.inputs[0].data: expected the tensor as base64"),
        ({"schema": 2, **item(shape=[0], period=1)}, "golden.inputs[0].shape: expected 1 to 67108864 bytes"),
        ({"schema": 2, **item(shape=[2**24 + 1], period=1)}, "golden.inputs[0].shape: expected 1 to 67108864 bytes"),
        ({"schema": 2, **item(datatype="BYTES", period=1)}, "golden.inputs[0].shape: expected 1 to 67108864 bytes"),
        (sampled(step=0), "golden.outputs[0].step: expected an integer from 1"),
        (sampled(step=2), "golden.outputs[0].data: expected the tensor as base64"),
    ],
)
def test_a_reduced_example_that_breaks_the_contract_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ManifestError) as caught:
        Golden.from_json(orjson.dumps({**orjson.loads(GOLDEN.to_json()), **changes}), "golden")
    assert words in str(caught.value)


def test_an_input_as_large_as_a_reader_makes_is_read() -> None:
    document = {**orjson.loads(GOLDEN.to_json()), "schema": 2, **item(shape=[2**24], period=1)}
    assert Golden.from_json(orjson.dumps(document), "golden").inputs["x"].shape == (2**24,)
