from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import onnxlet
from onnxlet.record import EMPTY, Record, replace, to_dict

FUNCTIONS = Path(onnxlet.__file__).parents[1]


class Point(Record):
    """A point with a name."""

    x: int
    y: int = 0
    names: Mapping[str, str] = EMPTY

    @property
    def total(self) -> int:
        return self.x + self.y


class Named(Point):
    """A point with one field more."""

    label: str = "none"


class Line(Record):
    """Two points."""

    ends: tuple[Point, ...]


def test_fields_are_given_by_position_or_by_name() -> None:
    assert (Point(1, 2).x, Point(1, y=2).y, Point(x=1).y, Point(1).names) == (1, 2, 0, {})
    assert Point(1, 2).total == 3


def test_a_record_has_no_attribute_that_is_no_field() -> None:
    with pytest.raises(AttributeError):
        Point(1).z = 2  # type: ignore[attr-defined]


def test_two_records_are_equal_by_value_and_type() -> None:
    assert Point(1, 2) == Point(1, 2)
    assert Point(1, 2) != Point(2, 2)
    assert Point(1) != Named(1)


def test_a_record_with_hashable_fields_is_a_key() -> None:
    assert {Line(()): 1}[Line(())] == 1


def test_a_derived_record_has_the_fields_of_both() -> None:
    assert Named(1, 2, EMPTY, "a") == Named(1, 2, label="a")


def test_replace_changes_the_named_fields_only() -> None:
    assert replace(Point(1, 2), y=5) == Point(1, 5)
    with pytest.raises(TypeError, match="Point: unexpected z"):
        replace(Point(1), z=1)


@pytest.mark.parametrize(
    ("values", "named", "text"),
    [
        ((), {}, "Point: x has no value"),
        ((1, 2, {}, 4), {}, "Point: expected at most 3 values, got 4"),
        ((1,), {"z": 1}, "Point: unexpected z"),
        ((1,), {"x": 1}, "Point: unexpected x"),
    ],
)
def test_wrong_fields_are_named(values: tuple[object, ...], named: dict[str, object], text: str) -> None:
    with pytest.raises(TypeError, match=text):
        Point(*values, **named)  # type: ignore[arg-type]


def test_to_dict_goes_into_records_mappings_and_tuples() -> None:
    line = Line((Point(1, names={"de": "Punkt"}),))
    assert to_dict(line) == {"ends": [{"x": 1, "y": 0, "names": {"de": "Punkt"}}]}


def test_the_text_of_a_record_names_its_fields() -> None:
    assert repr(Point(1)) == "Point(x=1, y=0, names=mappingproxy({}))"


def test_a_record_can_be_pickled() -> None:
    line = Line((Point(1, names={}),))
    assert pickle.loads(pickle.dumps(line)) == line


def test_a_record_does_not_import_dataclasses() -> None:
    program = "import sys, onnxlet.record; print(*sys.modules.keys() & {'dataclasses', 'inspect'})"
    done = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, cwd=FUNCTIONS)
    assert (done.stdout.strip(), done.stderr) == ("", "")


class Read(Record):
    """A record that remembers what it was read from."""

    __slots__ = ("_source",)

    value: int


def test_a_further_slot_is_neither_compared_nor_copied() -> None:
    read = Read(1)
    object.__setattr__(read, "_source", "a file")
    assert read == Read(1)
    assert not hasattr(replace(read, value=2), "_source")
