import gzip
import re

import pytest

from onnxlet.errors import NotFoundError
from onnxlet.web import playground

MAX_COMPRESSED_BYTES = 60_000
REFERENCE = re.compile(r"""(?:href|src)="(playground/[^"]+)"|(?:from |import |import\(|URL\()"\./([^"]+)\"""")


def text(name: str) -> str:
    return playground.serve(name).body.decode()


def test_the_whole_page_is_small() -> None:
    assert sum(len(gzip.compress(text(name).encode())) for name in playground.names()) < MAX_COMPRESSED_BYTES


def test_every_file_that_the_page_names_is_there_and_no_other() -> None:
    found = {playground.INDEX}
    for name in playground.names():
        for page, module in REFERENCE.findall(text(name)):
            found.add(page.removeprefix("playground/") or module)
    assert found == playground.names()


def test_nothing_of_the_page_comes_from_elsewhere_or_is_a_script_inside_of_it() -> None:
    for name in playground.names():
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg\")|//cdn|<script>|style=\"|\son\w+=\"", text(name)), (
            name
        )


def test_a_page_says_what_a_browser_may_do_with_it() -> None:
    response = playground.serve(playground.INDEX)
    assert response.content_type == "text/html; charset=utf-8"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert response.headers["permissions-policy"] == "camera=(self), geolocation=(), microphone=(self)"


@pytest.mark.parametrize("name", ["__init__.py", "../app.py", "missing.js", ""])
def test_no_other_file_is_served(name: str) -> None:
    with pytest.raises(NotFoundError, match="expected one of answers"):
        playground.serve(name)
