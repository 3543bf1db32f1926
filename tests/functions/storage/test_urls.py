from pathlib import Path

import pytest

from onnxlet.errors import InvalidNameError
from onnxlet.storage import urls


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("s3://b", "s3://b"),
        ("s3://b/", "s3://b"),
        ("gs://my_bucket.example.com/in/a b/é/", "gs://my_bucket.example.com/in/a b/é"),
        ("s3://b/a+b/~x/...", "s3://b/a+b/~x/..."),
        ("/folder", "file:///folder"),
        ("/a b/é/", "file:///a%20b/%C3%A9"),
        ("//a/./b/../c", "file:///a/c"),
        ("file:///a%20b/", "file:///a%20b"),
        ("file://localhost/a b", "file:///a%20b"),
        ("file:///a/../b", "file:///b"),
        ("file:///100%25", "file:///100%25"),
        ("file:///", "file:///"),
        ("memory://x/", "memory://x"),
    ],
)
def test_a_place_has_one_form(text: str, url: str) -> None:
    assert urls.parse(text) == url
    assert urls.parse(url) == url


@pytest.mark.parametrize(
    "text",
    [
        *["", "bucket", "folder/x", "S3://b", "s3:/b", "http://b", " s3://b", "s3://b "],
        *[
            "s3://",
            "s3:///x",
            "s3://B",
            "s3://b:80",
            "s3://user@b",
            "s3://b?x",
            "s3://b#x",
            "s3://b%61",
            "s3://-b",
            "s3://é",
        ],
        *[
            "s3://b//",
            "s3://b//in",
            "s3://b/in//",
            "s3://b/in//r",
            "s3://b/./in",
            "s3://b/in/.",
            "s3://b/../b",
            "s3://b/..",
        ],
        *["s3://b/%69n", "s3://b/in?x=1", "s3://b/in#y", "s3://b/in\\r", "s3://b/in\n", "s3://b/\x7f", "s3://b/\ud800"],
        *["gs://b//in", "gs://b/in/%2e%2e/x", "file://host/x", "file:///x?y", "file:///x#y", "file://x", "/a\0b"],
    ],
)
def test_a_spelling_that_could_hide_a_place_is_refused(text: str) -> None:
    with pytest.raises(InvalidNameError, match="expected"):
        urls.parse(text)


@pytest.mark.parametrize(
    ("url", "outer", "is_inside"),
    [
        ("s3://b/in", "s3://b", True),
        ("s3://b/in", "s3://b/in", True),
        ("s3://b/in/x", "s3://b/in", True),
        ("s3://b/in-x", "s3://b/in", False),
        ("s3://b", "s3://b/in", False),
        ("s3://bb", "s3://b", False),
        ("gs://b/in", "s3://b", False),
    ],
)
def test_one_place_lies_inside_another_by_its_parts(url: str, outer: str, *, is_inside: bool) -> None:
    assert urls.is_inside(url, outer) is is_inside


def test_a_cloud_url_has_a_bucket_and_a_prefix() -> None:
    assert urls.split("s3://b") == ("s3", "b", "")
    assert urls.split("gs://b/in/x") == ("gs", "b", "in/x")


def test_a_folder_is_found_again(tmp_path: Path) -> None:
    folder = tmp_path / "a b%25 é"
    assert urls.parse(str(folder)) == folder.as_uri()
    assert urls.file_path(folder.as_uri()) == str(folder)
    strange = "/tmp/\udcff"  # a name that is no UTF-8
    assert urls.file_path(urls.parse(strange)) == strange
