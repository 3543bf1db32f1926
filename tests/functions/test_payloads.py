import pytest

from onnxlet.payloads import media_type_of


@pytest.mark.parametrize(
    ("key", "media_type"),
    [
        ("a.png", "image/png"),
        ("in/A.JPG", "image/jpeg"),
        ("a.b.jpeg", "image/jpeg"),
        ("a.webp", "image/webp"),
        ("a.npy", "application/x-npy"),
        ("a.gif", "gif"),
        ("folder.png/name", "name"),
        ("", ""),
    ],
)
def test_the_suffix_of_a_key_says_what_it_is(key: str, media_type: str) -> None:
    assert media_type_of(key) == media_type
