import pytest

from onnxlet.errors import UnreadablePayloadError, UnsupportedMediaError
from onnxlet.media.texts import decode


@pytest.mark.parametrize(
    ("charset", "encoding"), [("utf-8", "utf-8-sig"), ("UTF-16", "utf-16"), ("windows-1252", "cp1252")]
)
def test_a_text_is_read_in_its_character_set(charset: str, encoding: str) -> None:
    assert decode("grüße".encode(encoding), f"text/plain; charset={charset}") == "grüße"


def test_other_bytes_and_character_sets_are_refused() -> None:
    with pytest.raises(UnsupportedMediaError, match="'utf-7'"):
        decode(b"text", "text/plain; charset=utf-7")
    with pytest.raises(UnreadablePayloadError, match="expected text as UTF-8"):
        decode(b"\xff", "text/plain")
