import pytest

from onnxlet_cli.bench.objects import StoredObject, respond

DATA = bytes(range(100))
STORED = StoredObject.keep(
    DATA, {"ETag": '"abc"', "Content-Type": "text/plain", "x-amz-meta-a": "b", "Connection": "close"}
)


def test_a_whole_object_has_its_own_headers_and_no_others() -> None:
    part = respond(STORED, {})
    assert (part.status, part.offset, part.size) == (200, 0, 100)
    assert part.headers == {
        "etag": '"abc"',
        "content-type": "text/plain",
        "x-amz-meta-a": "b",
        "accept-ranges": "bytes",
        "content-length": "100",
    }


@pytest.mark.parametrize(
    ("asked", "offset", "size"),
    [("bytes=0-9", 0, 10), ("bytes=90-", 90, 10), ("bytes=95-200", 95, 5), ("bytes=-7", 93, 7), ("bytes=-200", 0, 100)],
)
def test_a_range_is_answered_with_its_bounds(asked: str, offset: int, size: int) -> None:
    part = respond(STORED, {"range": asked})
    assert (part.status, part.offset, part.size) == (206, offset, size)
    assert part.headers["content-range"] == f"bytes {offset}-{offset + size - 1}/100"
    assert part.headers["content-length"] == str(size)


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_range_behind_the_end_is_a_416_with_the_size(asked: str) -> None:
    part = respond(STORED, {"range": asked})
    assert (part.status, part.headers["content-range"]) == (416, "bytes */100")


@pytest.mark.parametrize("asked", ["", "bytes=-", "lines=1-2", "bytes=1-2,5-6"])
def test_what_is_no_single_range_gives_the_whole(asked: str) -> None:
    assert respond(STORED, {"range": asked}).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if-none-match": '"abc"'}, 304),
        ({"if-none-match": "abc"}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"other"'}, 200),
        ({"if-match": '"abc"'}, 200),
        ({"if-match": '"other"'}, 412),
        ({"if-match": '"abc"', "range": "bytes=0-0"}, 206),
    ],
)
def test_conditions_compare_the_entity_tag(headers: dict[str, str], status: int) -> None:
    assert respond(STORED, headers).status == status
