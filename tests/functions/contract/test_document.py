import hashlib
from collections.abc import Callable
from operator import methodcaller
from typing import Any

import orjson
import pytest

from onnxlet.contract.canonical_json import canonical
from onnxlet.contract.document import MAX_DOCUMENT_BYTES, Document, content_bytes, to_json, to_sealed_json
from onnxlet.errors import ManifestError
from tests.helpers.damage import every_flip

Read = Callable[[Document], Any]


@pytest.mark.parametrize(
    ("read", "value", "found"),
    [
        (methodcaller("text", "field"), "x" * 1024, "x" * 1024),
        (methodcaller("text", "field", at_most=2), "ab", "ab"),
        (methodcaller("optional_text", "field"), "a", "a"),
        (methodcaller("optional_text", "field"), None, None),
        (methodcaller("integer", "field", 1, 5), 1, 1),
        (methodcaller("integer", "field", 1, 5), 5, 5),
        (methodcaller("integer", "field", 0), 2**53, 2**53),
        (methodcaller("optional_integer", "field", 3), 3, 3),
        (methodcaller("optional_integer", "field", 3), None, None),
        (methodcaller("boolean", "field"), False, False),
        (methodcaller("number", "field"), -1.5, -1.5),
        (methodcaller("numbers", "field", (1, 3)), [1, 2, 3.5], (1.0, 2.0, 3.5)),
        (methodcaller("choice", "field", ("a", "b")), "b", "b"),
        (methodcaller("texts", "field"), ["a", ""], ("a", "")),
        (methodcaller("text_map", "field"), {"a": "b"}, {"a": "b"}),
        (methodcaller("number_map", "field"), {"a": 1.5}, {"a": 1.5}),
        (methodcaller("items", "field"), [1, "a"], [1, "a"]),
        (methodcaller("integers", "field", 1), [1, 5], (1, 5)),
        (methodcaller("integers", "field", 1), [], ()),
        (methodcaller("optional_document", "field"), None, None),
    ],
)
def test_a_field_of_the_right_form_is_taken(read: Read, value: object, found: object) -> None:
    assert read(Document({"field": value}, "place")) == found


@pytest.mark.parametrize(
    ("read", "value", "words"),
    [
        (methodcaller("text", "field"), "", "a string of 1 to 1024 characters, got ''"),
        (methodcaller("text", "field", at_most=2), "abc", "a string of 1 to 2 characters, got 'abc'"),
        (methodcaller("optional_text", "field"), 0, "a string of 1 to 1024 characters, got 0"),
        (methodcaller("integer", "field", 1, 5), 0, "an integer from 1 to 5, got 0"),
        (methodcaller("integer", "field", 1, 5), 6, "an integer from 1 to 5, got 6"),
        (methodcaller("integer", "field", 1, 5), True, "an integer from 1 to 5, got True"),
        (methodcaller("integer", "field", 1, 5), 2.0, "an integer from 1 to 5, got 2.0"),
        (methodcaller("integer", "field", 0), 2**53 + 1, f"an integer from 0 to {2**53}, got {2**53 + 1}"),
        (methodcaller("optional_integer", "field", 3), 2, f"an integer from 3 to {2**53}, got 2"),
        (methodcaller("boolean", "field"), 1, "true or false, got 1"),
        (methodcaller("number", "field"), "1", "a number, got '1'"),
        (methodcaller("number", "field"), True, "a number, got True"),
        (methodcaller("numbers", "field", (1, 3)), [1, 2], "a list of 1 or 3 numbers, got [1, 2]"),
        (methodcaller("numbers", "field", (1, 3)), [True], "a list of 1 or 3 numbers, got [True]"),
        (methodcaller("numbers", "field", (1, 3)), "1", "a list of 1 or 3 numbers, got '1'"),
        (methodcaller("choice", "field", ("a", "b")), "c", "one of a, b, got 'c'"),
        (methodcaller("choice", "field", ("a", "b")), ["a"], "one of a, b, got ['a']"),
        (methodcaller("texts", "field"), ["a", 1], "a list of strings, got ['a', 1]"),
        (methodcaller("texts", "field"), "ab", "a list of strings, got 'ab'"),
        (methodcaller("text_map", "field"), {"a": 1}, "an object of strings, got {'a': 1}"),
        (methodcaller("text_map", "field"), None, "an object of strings, got None"),
        (methodcaller("number_map", "field"), {"a": "1"}, "an object of numbers, got {'a': '1'}"),
        (methodcaller("number_map", "field"), [1], "an object of numbers, got [1]"),
        (methodcaller("items", "field"), {}, "a list, got {}"),
        (methodcaller("integers", "field", 1), [1, 0], "a list of integers from 1, got [1, 0]"),
        (methodcaller("integers", "field", 1), [True], "a list of integers from 1, got [True]"),
        (methodcaller("integers", "field", 1), 1, "a list of integers from 1, got 1"),
        (methodcaller("require_schema", 1), 1, "1 (another onnxlet may have written this), got None"),
    ],
)
def test_a_field_of_another_form_is_refused_with_its_path_and_what_it_holds(
    read: Read, value: object, words: str
) -> None:
    with pytest.raises(ManifestError) as caught:
        read(Document({"field": value}, "place"))
    assert str(caught.value) in {f"place.field: expected {words}", f"place.schema: expected {words}"}


@pytest.mark.parametrize(
    "read",
    [methodcaller(name, "field") for name in ("text", "number", "texts", "items", "document")]
    + [methodcaller("integer", "field", 1), methodcaller("choice", "field", ("a",))],
)
def test_a_missing_field_is_named(read: Read) -> None:
    with pytest.raises(ManifestError, match=r"^place: the field 'field' is missing$"):
        read(Document({}, "place"))


@pytest.mark.parametrize(
    ("name", "found"),
    [("optional_text", None), ("optional_document", None), ("text_map", {}), ("number_map", {})],
)
def test_a_field_that_need_not_be_there_is_empty(name: str, found: object) -> None:
    assert methodcaller(name, "field")(Document({}, "place")) == found


def test_what_is_inside_is_named_by_its_whole_path() -> None:
    document = Document({"one": {"a": 1}, "many": [{}, {"a": 1}]}, "place")
    one, other = document.document("one"), document.optional_document("one")
    assert other is not None
    assert (one.path, one.content, other.path) == ("place.one", {"a": 1}, "place.one")
    assert [item.path for item in document.documents("many")] == ["place.many[0]", "place.many[1]"]
    with pytest.raises(ManifestError, match=r"place\.many\[0\]: expected a JSON object, got 5"):
        list(Document({"many": [5]}, "place").documents("many"))


def test_a_long_value_is_cut_in_the_error() -> None:
    assert str(Document({"field": "x" * 78}, "place").error("field", "less")).endswith(f"got '{'x' * 78}'")
    assert str(Document({"field": "x" * 79}, "place").error("field", "less")).endswith(f"got '{'x' * 76}...")


def test_a_document_may_be_as_large_as_the_bound() -> None:
    data = b"{}".ljust(MAX_DOCUMENT_BYTES)
    assert Document.parse(data, "place").content == {}
    with pytest.raises(ManifestError, match=f"place: expected at most {len(data)} bytes, got {len(data) + 1}"):
        Document.parse(data + b" ", "place")


def test_the_same_content_is_the_same_bytes() -> None:
    assert to_json({"b": 1, "a": [2]}) == to_json({"a": [2], "b": 1}) == b'{\n  "a": [\n    2\n  ],\n  "b": 1\n}'


CONTENT = {"schema": 2, "labels": ["cat", "dög"], "scale": 1 / 255, "inner": {"b": None, "a": 2**53}}
OLD = {**CONTENT, "schema": 1}


def unsealed(data: bytes, at_most: int = MAX_DOCUMENT_BYTES) -> Document:
    return Document.parse_sealed(data, "manifest", at_most)


@pytest.mark.parametrize("content", [CONTENT, OLD])
def test_a_sealed_document_gives_its_content_back(content: dict[str, Any]) -> None:
    assert unsealed(to_sealed_json(content)).content == content


def test_a_document_of_before_there_were_digests_is_read() -> None:
    assert unsealed(to_json(OLD)).content == OLD


def test_the_digest_of_schema_1_is_of_what_orjson_writes() -> None:
    content = {**OLD, "small": 3e-05, "whole": 1.0}
    digest = hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()
    assert unsealed(to_json({**content, "digest": digest})).content == content
    assert content_bytes(content) != canonical(content)


def test_a_document_of_now_without_its_digest_is_refused() -> None:
    with pytest.raises(ManifestError, match=r"manifest: expected content with the SHA-256 None, got [0-9a-f]{64}"):
        unsealed(to_json(CONTENT))


def test_a_document_that_was_written_anew_with_the_same_content_is_read() -> None:
    for content in (CONTENT, OLD):
        assert unsealed(to_json(orjson.loads(to_sealed_json(content)))).content == content


def test_any_flipped_bit_is_found_or_changes_nothing() -> None:
    data = to_sealed_json(CONTENT)
    found = 0
    for flipped in every_flip(data):
        try:
            assert unsealed(flipped).content == CONTENT
        except ManifestError:
            found += 1
    assert found > 8 * len(data) * 0.99, "the others write the same number or text in another way"


@pytest.mark.parametrize("digest", ["0" * 64, "", 1, [], {"a": 1}])
@pytest.mark.parametrize("content", [CONTENT, OLD])
def test_another_digest_is_refused(digest: object, content: dict[str, Any]) -> None:
    with pytest.raises(ManifestError, match="manifest: expected content with the SHA-256"):
        unsealed(orjson.dumps({**content, "digest": digest}))


@pytest.mark.parametrize("schema", [1, 2])
def test_a_document_that_is_nested_too_deep_for_a_digest_is_refused(schema: int) -> None:
    deep = b"[" * 500 + b"]" * 500
    data = b'{"schema": %d, "digest": "0", "deep": %s}' % (schema, deep)
    with pytest.raises(ManifestError, match=r"manifest: document: expected (content that )?JSON"):
        unsealed(data)


def test_an_unknown_schema_is_named_before_its_digest() -> None:
    for schema in (3, True, None, "2", [2]):
        with pytest.raises(ManifestError, match=r"schema: expected 1 or 2 \(another onnxlet may have written this"):
            unsealed(orjson.dumps({**CONTENT, "schema": schema, "digest": "of another kind"}))


def test_what_a_reader_would_refuse_as_too_large_is_not_written() -> None:
    size_bytes = len(to_sealed_json(CONTENT))
    data = to_sealed_json(CONTENT, size_bytes)
    assert unsealed(data, size_bytes).content == CONTENT
    words = f"document: expected at most {size_bytes - 1} bytes, got {size_bytes}"
    for remedy, ending in (("", ""), ("take less", ": take less")):
        with pytest.raises(ManifestError) as caught:
            to_sealed_json(CONTENT, size_bytes - 1, remedy)
        assert str(caught.value) == words + ending
    with pytest.raises(ManifestError, match=f"manifest: expected at most {size_bytes - 1} bytes, got {size_bytes}"):
        unsealed(data, size_bytes - 1)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -(2**53) - 1, 2**53 + 1, "\ud800", {"\ud800": 1}, {1}])
def test_what_no_reader_would_take_back_is_not_written(value: object) -> None:
    with pytest.raises(ManifestError, match="document: expected"):
        to_sealed_json({"schema": 2, "value": value})
    with pytest.raises(ManifestError, match="document: expected"):
        to_sealed_json({"schema": 1, "value": {1}})


@pytest.mark.parametrize(
    ("content", "all_of_them", "words"),
    [
        ({"a": 1, "b": 2}, True, None),
        ({"a": 1}, False, None),
        ({"a": 1}, True, "place: the field 'b' is missing"),
        ({"a": 1, "d": 1, "c": 1}, False, "place: the field 'c' is unknown"),
    ],
)
def test_a_document_has_the_fields_that_it_may_have(
    content: dict[str, int], all_of_them: bool, words: str | None
) -> None:
    try:
        Document(content, "place").require_fields(("a", "b"), all_of_them=all_of_them)
    except ManifestError as error:
        assert str(error) == words
    else:
        assert words is None
