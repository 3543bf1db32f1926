import pytest

from onnxlet.errors import UnreadablePayloadError
from onnxlet.limits import MAX_PART_HEADER_BYTES, MAX_PARTS
from onnxlet.media.multipart import Part, parse

FORM = "multipart/form-data; boundary=line"


def body(*parts: bytes) -> bytes:
    """Return a multipart body of parts, each with its headers."""
    return b"".join(b"--line\r\n" + part + b"\r\n" for part in parts) + b"--line--\r\n"


def test_fields_files_and_files_that_nobody_chose_are_told_apart() -> None:
    parts = (
        b'Content-Disposition: form-data; name="top_k"\r\n\r\n3',
        b'Content-Disposition: form-data; name="image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\nbytes',
        b'Content-Disposition: form-data; name="other"; filename=""\r\nContent-Type: application/octet-stream\r\n\r\n',
    )
    assert parse(FORM, body(*parts)) == [
        Part("", b"3", is_field=True),
        Part("image/png", b"bytes"),
        Part("application/octet-stream", b"", is_unfilled=True),
    ]


@pytest.mark.parametrize("media_type", [FORM, 'multipart/mixed; a=b; BOUNDARY="line"'])
def test_the_boundary_is_quoted_or_not(media_type: str) -> None:
    (part,) = parse(media_type, body(b"Content-Type: text/plain\r\n\r\nline--\r\n--lin"))
    assert part == Part("text/plain", b"line--\r\n--lin")


@pytest.mark.parametrize(
    ("encoding", "data"), [(b"base64", b"Ynl0\r\nZXM="), (b"BINARY", b"bytes"), (b"8bit", b"bytes"), (b"", b"bytes")]
)
def test_a_transfer_encoding_is_undone(encoding: bytes, data: bytes) -> None:
    (part,) = parse(FORM, body(b"Content-Transfer-Encoding: " + encoding + b"\r\n\r\n" + data))
    assert part.body == b"bytes"


@pytest.mark.parametrize(
    ("media_type", "data", "words"),
    [
        ("multipart/form-data", body(b"\r\n\r\nx"), "expected a multipart type with a boundary"),
        (f'multipart/form-data; boundary="{"x" * 71}"', b"", "expected a multipart type with a boundary"),
        (FORM, b"", f"expected 1 to {MAX_PARTS} parts between boundaries, got 0"),
        (FORM, body(*[b"\r\n"] * (MAX_PARTS + 1)), f"expected 1 to {MAX_PARTS} parts .*, got {MAX_PARTS + 1}"),
        (FORM, b"--line\r\n\r\n\r\nx\r\n--line", "ends before its last boundary"),
        (FORM, body(b"A: " + b"x" * MAX_PART_HEADER_BYTES + b"\r\n\r\n"), "expected an empty line"),
        (FORM, body(b"Content-Transfer-Encoding: base64\r\n\r\n?"), "expected a part as base64"),
        (FORM, body(b"Content-Transfer-Encoding: gzip\r\n\r\nx"), "expected base64 or binary, got b'gzip'"),
    ],
)
def test_a_malformed_body_is_refused(media_type: str, data: bytes, words: str) -> None:
    with pytest.raises(UnreadablePayloadError, match=words):
        parse(media_type, data)
