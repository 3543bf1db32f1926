import math

import pytest

from onnxlet.errors import InvalidJsonError, TooLargeError
from onnxlet.limits import MAX_JSON_LISTS, MAX_JSON_OBJECTS, MAX_JSON_TEXTS, MAX_JSON_VALUES, MIN_COUNTED_BYTES, memory
from onnxlet.media.json_body import parse_json


@pytest.mark.parametrize("body", [b'{"a": [1, 2.5, null]}', b'\xef\xbb\xbf{"a": [1, 2.5, null]}'])
def test_json_is_parsed_with_or_without_a_byte_order_mark(body: bytes) -> None:
    assert parse_json(body) == parse_json(memoryview(body)) == {"a": [1, 2.5, None]}


def test_the_tokens_of_pythons_own_writer_are_parsed() -> None:
    first, second, third = parse_json(b"[NaN, Infinity, -Infinity]")
    assert math.isnan(first)
    assert (second, third) == (math.inf, -math.inf)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body is not JSON"),
        (b"{", "the body is not JSON"),
        ('{"a": 1}'.encode("utf-16"), "expected UTF-8, got UTF-16"),
        (b"[NaN, 1e999]", "number out of range"),
        (b"[NaN, 99999999999999999999]", "the body is not JSON"),
        (b'[NaN, "\\ud800"]', "the body is not JSON"),
        (b"[NaN" + b"[" * 100_000, "the body is not JSON"),
    ],
)
def test_anything_else_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(InvalidJsonError, match=words):
        parse_json(body)


@pytest.mark.parametrize(
    ("sign", "at_most", "kind"),
    [
        (b",", MAX_JSON_VALUES, "values"),
        (b'""', MAX_JSON_TEXTS, "texts"),
        (b"[", MAX_JSON_LISTS, "lists"),
        (b"{", MAX_JSON_OBJECTS, "objects"),
    ],
)
def test_too_many_values_are_refused_before_they_are_parsed(sign: bytes, at_most: int, kind: str) -> None:
    with pytest.raises(TooLargeError, match=f"expected at most {at_most} {kind}, got {at_most + 1}: send binary data"):
        parse_json(sign * (at_most + 1) + b" " * MIN_COUNTED_BYTES)


def test_the_memory_of_a_large_body_is_taken_from_the_budget() -> None:
    body = b"[" + b"1," * MIN_COUNTED_BYTES + b"1]"
    with memory.Budget(10**12).share() as share:
        parse_json(body)
        assert share.size_bytes > 3 * len(body)
