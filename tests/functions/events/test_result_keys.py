import pytest

from onnxlet.events.messages import Inline, ObjectReference
from onnxlet.events.result_keys import MAX_PART_BYTES, MAX_READABLE_BYTES, is_result_key, readable, result_key
from onnxlet.record import replace


@pytest.mark.parametrize(
    "key",
    [
        "digit.png",
        "digit.png.json",
        "digit.png.digits-1.json",
        "digit.png.digits-1.0123456789abcde.json",
        "digit.png.digits-1.0123456789abcdeF.json",
        "digit.png.digits-0.0123456789abcdef.json",
        "digit.png.Digits-1.0123456789abcdef.json",
        "digit.png.digits-1.0123456789abcdef.json.png",
        "digit.png.digits-1.0123456789abcdef.json\n",
    ],
)
def test_other_keys_do_not_look_like_results(key: str) -> None:
    assert not is_result_key(key)


def test_each_version_of_an_object_and_of_a_model_has_a_key_of_its_own() -> None:
    source = ObjectReference("s3", "in", "a.png", "1")
    keys = {
        result_key(source, '"etag"', "digits", 1),
        result_key(source, '"other"', "digits", 1),
        result_key(source, '"etag"', "digits", 2),
        result_key(replace(source, version="2"), '"etag"', "digits", 1),
        result_key(Inline("//pubsub/a.png", "a.png", b"", ""), '"etag"', "digits", 1),
    }
    assert len(keys) == 5
    assert all(map(is_result_key, keys))


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("in/a photo 100%.png", "in/a photo 100%.png"),
        ("/a//./../b\n.png", "a/b_.png"),
        ("é" * 100, "é" * (MAX_PART_BYTES // 2)),
        ("日" * 60, "日" * (MAX_PART_BYTES // 3)),
        ("a/" * 1000, "a/" * (MAX_READABLE_BYTES // 2)),
    ],
)
def test_a_key_is_shortened_to_what_every_store_accepts(key: str, expected: str) -> None:
    assert readable(key) == expected
