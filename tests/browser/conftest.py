"""A real browser, and functions that serve a trained model and small ones of every kind."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="make browser installs it")

from playwright.sync_api import Browser, sync_playwright
from rich.console import Console

from onnxlet.contract import api_keys, layout
from onnxlet.contract.api_keys import Key, Keys
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_cli.edge import npm, runtime
from onnxlet_cli.local.cloud_function import serve_cloud_function
from onnxlet_cli.local.serve import LocalSettings, serve
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.publish import publish_all
from onnxlet_training.recipe import Options
from onnxlet_training.recipes import find_recipe
from onnxlet_training.run import run
from tests.browser.playground import Playground
from tests.helpers import graphs, tables, task_models
from tests.helpers.explanations import moods

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")

QUIET = [
    "--no-sandbox",  # a container's root cannot have one
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",  # a microphone that beeps
]
"""Of its own accord Chromium asks for updates and the like, which is none of the page's doing."""

AXE = npm.Package(
    "axe-core", "4.14.1", "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
)

EPOCHS = 8
"""Of `digits`, enough to know a digit that is drawn with a mouse."""


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    found = Registry(open_store((tmp_path_factory.mktemp("playground") / "registry").as_uri(), create=True))
    run(find_recipe("digits"), Options(epochs=EPOCHS), found, tmp_path_factory.mktemp("run"), Console(quiet=True))
    sums = graphs.candidate("sums", graphs.sums())
    publish_all(found, [graphs.char_candidate(), graphs.generator_candidate(), sums, graphs.halves_candidate("rows")])
    publish_all(found, _task_candidates())
    runtime.install(found.store)
    return found


def _task_candidates() -> list[Candidate]:
    """Return a model of each task, and one of pictures without a task."""
    tasks = [candidate for candidate in task_models.candidates() if candidate.name not in {"digits", "sums"}]
    vectors = next(candidate for candidate in tasks if candidate.name == "image-feature-extraction")
    numbers = replace(vectors, name="picture-numbers", task=None)
    return [*tasks, numbers, moods(), tables.people_candidate()]


@pytest.fixture(scope="session")
def served(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = LocalSettings(registry.store.url, "digits", 0, edge=True)
    with serve("gcp", settings, tmp_path_factory.mktemp("log") / "log") as served_at:
        yield served_at


@pytest.fixture(scope="session")
def gated(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Functions that ask for a key, and one that is good."""
    key_id, key = api_keys.generate()
    keys = Keys([Key(key_id, "a browser", api_keys.digest(key), datetime.now(UTC))])
    registry.store.put_if_absent(layout.API_KEYS_DOCUMENT, keys.to_json())
    environment = {"ONNXLET_REGISTRY": registry.store.url, "ONNXLET_ACCESS": "keys", "ONNXLET_EDGE": "1"}
    log = (tmp_path_factory.mktemp("log") / "gated").open("wb")
    with log, serve_cloud_function("gcp_http", environment, log=log) as url:
        yield url, key


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no Chromium at {CHROMIUM}: CHROMIUM names another")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core's script, which finds what keeps people with disabilities from a page."""
    return npm.fetch(AXE, ["axe.min.js"])[0].decode()


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["wide", "narrow"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Playground]:
    """A private window, on a wide and on a narrow screen, that at the end must have said nothing wrong."""
    width, height = request.param
    context = browser.new_context(viewport={"width": width, "height": height})
    page = Playground(context.new_page())
    yield page
    context.close()
    assert page.complaints == []
