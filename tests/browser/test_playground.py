"""The playground in Chromium: drawn, dropped and typed questions, answered by the functions and by the browser."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image

from onnxlet.registry.registry import Registry
from onnxlet_cli.edge.export import export
from tests.browser.playground import LOADING_MS, ONE, Playground

pytestmark = pytest.mark.browser

MAX_DIFFERENCE = 1e-4
"""Between the probabilities of the cloud and of the edge."""


def test_a_drawn_digit_gets_the_same_label_from_the_cloud_and_from_the_edge(page: Playground, served: str) -> None:
    page.open(served)
    page.draw(ONE)
    assert next(iter(page.answer("in the cloud"))) == "1"
    page.choose("both")
    edge, cloud = page.answer("at the edge"), page.answer("in the cloud")
    assert next(iter(edge)) == next(iter(cloud)) == "1"
    assert edge == pytest.approx(cloud, abs=MAX_DIFFERENCE)
    assert page.hosts == {urlsplit(served).netloc}


def test_auto_asks_the_edge_when_it_is_loaded_and_the_cloud_where_that_is_not_sure(
    page: Playground, served: str
) -> None:
    page.open(served)
    page.choose("edge")
    page.draw(ONE)
    page.answer("at the edge")
    page.choose("auto")
    page.answer("at the edge")
    page.page.get_by_label("Minimum certainty").fill("1")
    page.page.get_by_label("Minimum certainty").press("Tab")
    page.answer("in the cloud")
    assert "used because the edge was only" in page.side("in the cloud").inner_text()


def test_the_digit_can_be_drawn_with_the_keyboard_alone(page: Playground, served: str) -> None:
    page.open(served)
    for _ in range(20):
        page.page.keyboard.press("Tab")
        if page.page.evaluate("document.activeElement.tagName") == "CANVAS":
            break
    for key, times in (("ArrowUp", 11), ("Space", 1), ("ArrowDown", 22), ("Space", 1)):
        for _ in range(times):
            page.page.keyboard.press(key)
    assert next(iter(page.answer("in the cloud"))) == "1"
    page.page.keyboard.press("Delete")
    page.page.locator(".bars").wait_for(state="detached")


def test_a_broken_file_is_an_error_in_words(page: Playground, served: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    page.expected.add("/predict/digits")
    page.open(served)
    page.page.get_by_label("Picture:").set_input_files(broken)
    assert "image/png" in page.problem()
    page.choose("edge")
    page.page.get_by_role("alert").filter(has_text="cannot read this file as a picture").wait_for(timeout=LOADING_MS)


@pytest.mark.parametrize("target", ["canvas", "h1", ".drop", "footer"])
def test_a_picture_may_be_dropped_anywhere_on_the_page(
    page: Playground, served: str, tmp_path: Path, target: str
) -> None:
    page.open(served)
    Image.new("L", (28, 28)).save(tmp_path / "black.png")
    page.drop(tmp_path / "black.png", target)
    page.page.get_by_role("img", name="Your picture").wait_for()
    assert page.answer("in the cloud")
    assert page.page.url == f"{served}/"


def test_a_file_that_is_dropped_on_a_model_without_files_is_an_error_in_words(
    page: Playground, served: str, tmp_path: Path
) -> None:
    page.open(served, "sums")
    Image.new("L", (28, 28)).save(tmp_path / "black.png")
    page.drop(tmp_path / "black.png", "main")
    assert page.problem() == "sums does not take files"
    assert page.page.url == f"{served}/"


def test_a_form_for_tensors_has_an_example_filled_in(page: Playground, served: str) -> None:
    page.open(served, "sums")
    page.page.get_by_role("button", name="Ask").click()
    assert re.search(r"total\s+FP32", page.side("in the cloud").inner_text())
    page.choose("both")
    page.side("at the edge").locator("table").wait_for(timeout=LOADING_MS)
    tables = page.page.locator("table")
    assert tables.nth(0).inner_text() == tables.nth(1).inner_text()


def test_a_text_comes_piece_by_piece_and_the_same_seed_gives_the_same(page: Playground, served: str) -> None:
    page.open(served, "char")
    page.page.get_by_label("Length").fill("40")
    page.page.get_by_role("button", name="Generate").click()
    page.page.locator(".text:not(:has-text('…'))").wait_for()
    first = page.page.locator(".text").inner_text()
    page.page.get_by_role("button", name="Generate").click()
    page.page.locator("#status:has-text('Asking')").wait_for(state="detached")
    page.page.locator(".text:not(:has-text('…'))").wait_for()
    assert page.page.locator(".text").inner_text() == first
    assert len(first) > 40


def test_a_generator_gives_a_sheet_of_pictures(page: Playground, served: str) -> None:
    page.open(served, "generator")
    page.page.get_by_role("button", name="Generate").click()
    page.page.locator(".sheet img").nth(15).wait_for()
    assert page.page.locator(".sheet img").count() == 16


def test_an_explanation_is_shown_over_the_picture(page: Playground, served: str) -> None:
    page.open(served)
    page.draw(ONE)
    page.answer("in the cloud")
    page.page.get_by_role("button", name="Why?").click()
    page.page.get_by_role("img", name="Evidence for 1").wait_for()
    assert "runs of the model" in page.page.locator("#explanation").inner_text()


def test_an_explanation_of_numbers_names_its_baseline(page: Playground, served: str) -> None:
    page.open(served, "rows")
    page.page.get_by_role("button", name="Ask").click()
    page.answer("in the cloud")
    page.page.get_by_role("button", name="Why?").click()
    caption = page.page.locator("#explanation figcaption")
    caption.wait_for()
    assert "the difference from the baseline of zeros, which gets" in caption.inner_text()


def test_a_gated_function_is_unlocked_by_its_key(page: Playground, gated: tuple[str, str]) -> None:
    url, key = gated
    page.expected.add("/v2")
    page.page.goto(url)
    assert "expected a valid API key" in page.problem()
    page.page.get_by_label("This function requires a key").fill(key)
    page.page.get_by_role("button", name="Use this key").click()
    page.choose_model("digits")
    page.draw(ONE)
    page.choose("both")
    assert next(iter(page.answer("at the edge"))) == "1"


def test_the_code_beside_an_answer_asks_the_same(page: Playground, served: str) -> None:
    page.open(served)
    page.draw(ONE)
    page.answer("in the cloud")
    assert f"curl '{served}/predict/digits'" in page.page.locator("#snippets").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(page: Playground, served: str, axe: str, scheme: str) -> None:
    page.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.open(served)
    page.draw(ONE)
    page.choose("both")
    page.answer("at the edge")
    assert page.findings(axe) == []
    for model in ("sums", "char", "generator"):
        page.open(served, model)
        assert page.findings(axe) == []


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """`python -m http.server`, as a person serves a folder."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            port = re.search(r"port (\d+)", process.stdout.readline())
            assert port is not None
            yield f"http://127.0.0.1:{port[1]}/"
        finally:
            process.terminate()


def test_an_exported_folder_answers_from_any_web_server(page: Playground, registry: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "edge"
    export(registry, "digits", folder)
    with web_server(folder) as url:
        page.open(url)
        page.draw(ONE)
        answer = page.answer("at the edge")
        assert next(iter(answer)) == "1"
        assert page.hosts == {urlsplit(url).netloc}
        assert page.page.locator("footer").inner_text() == "Nothing that you draw, drop or type leaves this browser."
        assert page.page.get_by_role("link").count() == 0
