"""Pages of another origin in Chromium: the listed one predicts and reads errors, another one is told nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_cli.local.cloud_function import serve_cloud_function
from onnxlet_cli.local.http import Handler, serving
from onnxlet_publishing.publish import publish_all
from tests.helpers import graphs

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

ASK = """async ([url, init]) => {
  try {
    const reply = await fetch(url, init);
    return {status: reply.status, version: reply.headers.get("onnxlet-version"), answer: await reply.json()};
  } catch (error) {
    return {error: String(error)};
  }
}"""
"""Asks as a page's script does; gives what it may read."""

PREDICT = {
    "method": "POST",
    "headers": {"content-type": "application/json", "x-api-key": "any"},  # which no browser sends without a preflight
    "body": "[[1, 2, 3]]",
}


class EmptyPage(Handler):
    """A web server's one page."""

    def do_GET(self) -> None:
        self.reply(200, b"<!doctype html><title>A page</title>", {"content-type": "text/html"})


@pytest.fixture
def asking(browser: "Browser", tmp_path: Path) -> Iterator[Any]:
    """Asks a function from a page of a listed origin, and from one of another; gives what each may read."""
    registry = Registry(open_store((tmp_path / "registry").as_uri(), create=True))
    publish_all(registry, [graphs.candidate("sums", graphs.sums())])
    with serving(EmptyPage) as listed, serving(EmptyPage) as other, (tmp_path / "log").open("wb") as log:
        environment = {"ONNXLET_REGISTRY": registry.store.url, "ONNXLET_CORS_ORIGINS": listed}
        with serve_cloud_function("gcp_http", environment, log=log) as url:

            def ask(path: str, init: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
                found = []
                for origin in (listed, other):
                    page = browser.new_page()
                    page.goto(origin)
                    found.append(page.evaluate(ASK, [f"{url}{path}", init]))
                    page.close()
                return found[0], found[1]

            yield ask


def test_a_listed_origin_predicts_and_another_cannot(asking: Any) -> None:
    listed, other = asking("/predict/sums", PREDICT)
    assert (listed["status"], listed["version"]) == (200, "1"), listed
    assert listed["answer"]["predictions"]
    assert other.keys() == {"error"}
    assert "Failed to fetch" in other["error"]


def test_a_listed_origin_reads_an_error_and_another_cannot(asking: Any) -> None:
    for path, init, status in (
        ("/elsewhere", PREDICT, 404),
        ("/predict/sums", {**PREDICT, "body": "{"}, 400),
        ("/v2/models/nope", {"method": "GET"}, 404),
    ):
        listed, other = asking(path, init)
        assert listed["status"] == status
        assert listed["answer"]["error"]
        assert other.keys() == {"error"}
