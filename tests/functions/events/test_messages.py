from typing import Any

import pytest

from onnxlet.events.messages import Inline, ObjectReference


def test_an_objects_url_is_not_encoded() -> None:
    reference = ObjectReference("s3", "in", "a photo 100%+1.png")
    assert (reference.bucket_url, reference.url) == ("s3://in", "s3://in/a photo 100%+1.png")


@pytest.mark.parametrize("fields", [(None, "a"), ("in", 1), ("in", "a\ud800"), ("in", "a", 7), ("in", b"a")])
def test_a_reference_has_strings_that_utf8_can_encode(fields: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match="expected strings"):
        ObjectReference("s3", *fields)


def test_so_has_a_payloads_media_type() -> None:
    for media_type in (None, "\udfff"):
        with pytest.raises(TypeError, match="expected strings"):
            Inline("//pubsub/1", "messages/1", b"", media_type)  # type: ignore[arg-type]
