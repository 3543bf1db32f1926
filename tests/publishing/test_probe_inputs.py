import numpy as np
import pytest

from onnxlet.contract.tensors import DATATYPES, Tensor, TensorSpec
from onnxlet_publishing import probe_inputs


def spec(datatype: str, *shape: int | str) -> TensorSpec:
    return TensorSpec("x", DATATYPES[datatype], shape)


@pytest.mark.parametrize("datatype", DATATYPES)
def test_every_datatype_has_ordinary_and_extreme_values(datatype: str) -> None:
    specs = [spec(datatype, "n", 3)]
    ordinary = next(probe_inputs.ordinary(specs))
    cases = [ordinary, *probe_inputs.extreme(specs, ordinary.sizes)]
    assert len({_content(case.inputs(specs)["x"]) for case in cases}) >= min(len(cases), 10)
    assert all(case.inputs(specs)["x"].datatype is DATATYPES[datatype] for case in cases)
    assert [case.inputs(specs) for case in cases] == [case.inputs(specs) for case in cases], "a child makes the same"


def _content(tensor: Tensor) -> tuple[tuple[int, ...], bytes]:
    return tensor.shape, bytes(tensor.buffer)


def test_sizes_of_equal_and_of_other_names_are_also_made_to_differ() -> None:
    specs = [spec("FP32", "n", 2), spec("FP32", "n", 2), spec("INT64", "m")]
    shapes = [
        tuple(tensor.shape[0] for tensor in case.inputs(_named(specs)).values())
        for case in probe_inputs.extreme(_named(specs), next(probe_inputs.ordinary(_named(specs))).sizes)
    ]
    assert any(len(set(sizes)) == 3 for sizes in shapes)
    assert min(map(min, shapes)) == 1, "functions refuse sizes of 0"
    assert max(map(max, shapes)) == probe_inputs.LARGE_SIZE


def _named(specs: list[TensorSpec]) -> list[TensorSpec]:
    return [TensorSpec(f"x{index}", each.datatype, each.shape) for index, each in enumerate(specs)]


def test_sample_inputs_inputs_are_bounded_but_for_what_is_fixed() -> None:
    many = [spec("FP32", *("abcdef"))]
    sizes = [case.inputs(many)["x"].shape for case in probe_inputs.ordinary(many)]
    assert max(np.prod(shape) for shape in sizes) <= probe_inputs.MAX_ELEMENTS
    fixed = [spec("FP32", "n", 3, 640, 640)]
    assert [case.inputs(fixed)["x"].shape for case in probe_inputs.ordinary(fixed)] == [(1, 3, 640, 640)]


def test_a_case_says_what_it_is() -> None:
    specs = [TensorSpec("a", DATATYPES["INT8"], (1,)), TensorSpec("b", DATATYPES["BYTES"], (2,))]
    case = probe_inputs.Case({}, (1, 7))
    assert case.describe(specs).startswith("a is INT8 [1] of 0, b is BYTES [2] of b'xxx")
    drawn = probe_inputs.Case({}, ((probe_inputs.RANDOM, 1), (probe_inputs.PLAIN, 0))).describe(specs)
    assert drawn.startswith("a is INT8 [1] of ")
    many = probe_inputs.Case({}, ((probe_inputs.PLAIN, 0), (probe_inputs.RANDOM, 0))).describe(
        [spec("FP32", 9), spec("FP16", 9)]
    )
    assert many == "x is FP32 [9] of values in [0, 1), x is FP16 [9] of random extreme values"
    assert drawn.endswith("b is BYTES [2] of b''")
