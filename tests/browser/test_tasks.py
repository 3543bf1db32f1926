"""The tasks in Chromium: the form and the answer of each, filled with the example that was published with the model."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.browser.playground import LOADING_MS, Playground
from tests.helpers.sounds import wav_of

pytestmark = pytest.mark.browser

PICTURES = ("object-detection", "image-segmentation", "image-feature-extraction", "picture-numbers")
SOUNDS = ("loudness", "speech", "spelling")
OTHERS = (
    *("text-classification", "token-classification", "fill-mask", "question-answering", "zero-shot-classification"),
    *("feature-extraction", "text-ranking", "choices", "people"),
)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture that is bright, and red on its left half."""
    path = tmp_path / "photo.png"
    picture = Image.new("RGB", (320, 200), (190, 190, 255))
    picture.paste((255, 190, 190), (0, 0, 160, 200))
    picture.save(path)
    return path


def ask(page: Playground, model: str) -> str:
    """Ask about the example that the form of the open model is filled with, and return what is answered."""
    kind = "picture" if model in PICTURES else "sound"
    name = f"Ask about this {kind}" if model in (*PICTURES, *SOUNDS) else "Ask"
    page.page.get_by_role("button", name=name, exact=True).click()
    side = page.side("in the cloud")
    side.wait_for()
    return str(side.inner_text())


@pytest.mark.parametrize("model", [*PICTURES, *SOUNDS, *OTHERS])
def test_the_example_of_a_version_fills_the_form_and_is_answered(page: Playground, served: str, model: str) -> None:
    page.open(served, model)
    assert f"{model} version 1, in the cloud" in ask(page, model)


def test_objects_have_boxes_over_the_picture_that_can_be_hidden(page: Playground, served: str, photo: Path) -> None:
    page.open(served, "object-detection")
    page.page.get_by_label("Picture:").set_input_files(photo)
    legend, boxes = page.page.locator(".legend li"), page.page.locator(".stage .box")
    boxes.first.wait_for()
    assert (legend.count(), boxes.count()) == (1, 1)
    picture, box = page.page.locator(".stage img").bounding_box(), boxes.first.bounding_box()
    assert picture is not None
    assert box is not None
    assert box["x"] == pytest.approx(picture["x"] + picture["width"] / 4, abs=2)
    assert box["width"] == pytest.approx(picture["width"] / 2, abs=2)
    legend.first.locator("input").uncheck()
    assert boxes.first.is_hidden()
    for _ in range(30):
        page.page.get_by_label("Smallest score").press("ArrowLeft")
    boxes.nth(1).wait_for()
    page.page.locator("#snippets:has-text('threshold=0.2')").wait_for()


def test_masks_lie_over_the_picture_with_a_legend(page: Playground, served: str, photo: Path) -> None:
    page.open(served, "image-segmentation")
    page.page.get_by_label("Picture:").set_input_files(photo)
    page.page.locator(".stage .mask").first.wait_for()
    assert page.page.locator(".stage .mask").count() == page.page.locator(".legend li").count() > 1
    assert page.page.locator(".legend li").all_inner_texts() == ["red", "blue"]


@pytest.mark.parametrize("model", [*PICTURES, "loudness", "choices", "people"])
def test_the_edge_gives_the_same_answer_as_the_cloud(page: Playground, served: str, model: str, photo: Path) -> None:
    page.open(served, model)
    page.choose("both")
    if model in PICTURES:
        page.page.get_by_label("Picture:").set_input_files(photo)
    else:
        ask(page, model)
    page.side("at the edge").wait_for(timeout=LOADING_MS)
    edge, cloud = (page.side(place).inner_text() for place in ("at the edge", "in the cloud"))
    assert edge.partition(f"{model} version 1")[0] == cloud.partition(f"{model} version 1")[0] != ""


def test_a_picture_without_labels_shows_the_output(page: Playground, served: str) -> None:
    page.open(served, "picture-numbers")
    assert "FP32 (3" in ask(page, "picture-numbers")


def test_a_vector_shows_its_length_and_first_numbers(page: Playground, served: str) -> None:
    page.open(served, "image-feature-extraction")
    assert "3 numbers" in ask(page, "image-feature-extraction")


def test_entities_are_marked_in_the_text(page: Playground, served: str) -> None:
    page.open(served, "token-classification")
    page.page.get_by_label("Text", exact=True).fill("😀 Anna lives in Paris.")
    ask(page, "token-classification")
    marks = page.page.locator(".marked mark")
    assert marks.count() == page.page.locator(".entities li").count() > 0
    words = marks.first.evaluate("mark => mark.firstChild.textContent")
    assert page.page.locator(".entities b").first.inner_text() == words.strip()


def test_words_for_a_mask_have_bars(page: Playground, served: str) -> None:
    page.open(served, "fill-mask")
    page.page.get_by_label("Text with [MASK]").fill("It is ")
    page.page.get_by_role("button", name="Insert [MASK]").click()
    ask(page, "fill-mask")
    assert len(page.answer("in the cloud")) == 5


def test_an_answer_is_marked_in_its_text(page: Playground, served: str) -> None:
    page.open(served, "question-answering")
    ask(page, "question-answering")
    answer = page.page.locator(".side .big").evaluate("line => line.firstChild.textContent")
    assert page.page.locator(".marked mark").inner_text() == answer


def test_labels_of_the_reader_are_ranked(page: Playground, served: str) -> None:
    page.open(served, "zero-shot-classification")
    page.page.get_by_label("Labels, with").fill("one thing, another")
    page.page.get_by_label("Several labels may be true").check()
    ask(page, "zero-shot-classification")
    assert page.answer("in the cloud").keys() == {"one thing", "another"}


def test_two_texts_are_compared(page: Playground, served: str) -> None:
    page.open(served, "feature-extraction")
    page.page.get_by_role("button", name="Add a text").click()
    first = page.page.get_by_role("textbox", name="Text 1").input_value()
    page.page.get_by_role("textbox", name="Text 2").fill(first)
    answer = ask(page, "feature-extraction")
    assert page.page.locator(".similarity").all_inner_texts() == ["1.000"] * 4
    assert "Vector 2" in answer
    page.page.get_by_role("button", name="Remove text 2").click()
    page.page.get_by_role("button", name="Ask", exact=True).click()
    page.page.get_by_text("Vector 2").wait_for(state="detached")
    assert "Vector" in page.side("in the cloud").inner_text()


def test_documents_are_ranked_by_a_query(page: Playground, served: str) -> None:
    page.open(served, "text-ranking")
    page.page.get_by_role("button", name="Add a document").click()
    page.page.get_by_role("textbox", name="Document 3").fill("A third one.")
    ask(page, "text-ranking")
    assert page.page.locator(".ranking li").count() == 3
    assert "A third one." in page.page.locator(".ranking").inner_text()


def test_a_long_text_is_cut_only_if_the_reader_says_so(page: Playground, served: str) -> None:
    page.open(served, "moods")
    page.expected.add("/predict/moods")
    page.page.get_by_label("Text", exact=True).fill("good " + "day " * 20)
    page.page.get_by_role("button", name="Ask", exact=True).click()
    assert "expected at most 16 tokens" in page.problem()
    page.page.get_by_label("Cut a text").check()
    ask(page, "moods")
    assert page.answer("in the cloud")["there"] == pytest.approx(0.5)


def test_the_words_of_a_text_are_coloured_by_what_they_add(page: Playground, served: str) -> None:
    page.open(served, "moods")
    page.page.get_by_label("Text", exact=True).fill("A very good day, bad coffee")
    ask(page, "moods")
    page.page.get_by_role("button", name="Why?").click()
    page.page.locator("#explanation mark").first.wait_for()
    shares = dict(
        page.page.locator("#explanation mark").evaluate_all(
            "marks => marks.map((mark) => [mark.textContent, [mark.className, mark.title]])"
        )
    )
    assert shares["good"] == ["against", "-50.0 %"]
    assert shares["bad"] == ["for", "+25.0 %"]


def test_a_row_of_a_table_is_explained_by_column(page: Playground, served: str) -> None:
    page.open(served, "choices")
    page.page.get_by_label("one number").fill("2")
    ask(page, "choices")
    page.page.get_by_role("button", name="Why?").click()
    page.page.locator("#explanation table").wait_for()
    assert page.page.locator("#explanation tbody th").all_inner_texts() in (["one", "two"], ["two", "one"])


def test_rows_of_a_table_are_pasted_as_csv(page: Playground, served: str, tmp_path: Path) -> None:
    page.open(served, "choices")
    page.page.get_by_text("Several rows").click()
    area = page.page.get_by_label("Rows as CSV")
    assert area.input_value().startswith("one,two\n")
    area.fill("two,one\n1,2\n3,4\n5,6\n")
    ask(page, "choices")
    assert page.page.locator(".side tbody tr").count() == 3
    file = tmp_path / "rows.csv"
    file.write_text("one,two\n1,2\n3,4\n")
    page.drop(file, "main", "text/csv")
    page.page.locator(".side tbody tr").nth(2).wait_for(state="detached")


def test_a_form_has_a_field_for_each_column_with_its_type(page: Playground, served: str) -> None:
    page.open(served, "people")
    for name, words in (("age whole number", "41"), ("height number", "1.5"), ("name text", "Anna")):
        page.page.get_by_label(name).fill(words)
    answer = ask(page, "people")
    assert "Anna" in answer
    assert "2.5" in answer


def test_parts_with_speech_are_marked_in_the_waveform(page: Playground, served: str, tmp_path: Path) -> None:
    samples = np.zeros(3 * 16_000)
    samples[16_000:32_000] = 0.9 * np.sign(np.sin(np.arange(16_000)))
    (tmp_path / "speech.wav").write_bytes(wav_of(samples, 16_000))
    page.open(served, "speech")
    page.page.get_by_label("Sound:").set_input_files(tmp_path / "speech.wav")
    page.page.locator(".side .segments li").wait_for()
    assert page.page.locator(".side .waveform .part").count() == 1
    assert page.page.locator(".side .segments li").inner_text() == "0.96 – 2.05 s"


def test_a_sound_can_be_recorded(page: Playground, served: str) -> None:
    page.open(served, "speech")
    page.page.get_by_role("button", name="Record").click()
    page.page.get_by_text("Recording … 1 s").wait_for()
    page.page.get_by_role("button", name="Stop").click()
    page.side("in the cloud").wait_for()
    assert float(page.page.locator("#shown figcaption").inner_text().removesuffix(" s")) >= 1
    assert "@sound.wav" in page.page.locator("#snippets").inner_text()


def test_a_file_that_is_no_sound_is_an_error_in_words(page: Playground, served: str, photo: Path) -> None:
    page.open(served, "speech")
    page.page.get_by_label("Sound:").set_input_files(photo)
    assert page.problem() == "This browser cannot read this file as a sound."


SNIPPETS = [
    ("object-detection", "huggingface_hub", "["),
    ("text-classification", "Python", "predictions"),
    ("feature-extraction", "openai", "["),
    ("zero-shot-classification", "huggingface_hub", "weather"),
    ("zero-shot-classification", "Python", "weather"),
    ("question-answering", "huggingface_hub", "start"),
    ("text-ranking", "Rerank", "relevance_score"),
    ("choices", "huggingface_hub", "["),
    ("sums", "tritonclient", "["),
    ("loudness", "Python", "quiet"),
]


@pytest.mark.parametrize(("model", "client", "words"), SNIPPETS)
def test_the_code_next_to_an_answer_runs(
    page: Playground, served: str, model: str, client: str, words: str, tmp_path: Path
) -> None:
    page.open(served, model)
    for tick in page.page.locator(".tick input").all():
        tick.check()
    ask(page, model)
    page.page.locator("#code").wait_for()
    lines = page.page.get_by_label(f"This request with {client}").inner_text()
    if page.page.locator("#code a").count():
        with page.page.expect_download() as download:
            page.page.locator("#code a").click()
        download.value.save_as(tmp_path / download.value.suggested_filename)
    done = subprocess.run([sys.executable, "-c", lines], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, words in done.stdout) == (0, True), done.stdout + done.stderr


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("model", [*PICTURES, *SOUNDS, *OTHERS, "moods"])
def test_axe_finds_nothing_serious_in_any_task(
    page: Playground, served: str, axe: str, scheme: str, model: str
) -> None:
    page.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.open(served, model)
    ask(page, model)
    if page.page.get_by_role("button", name="Why?").count():
        page.page.get_by_role("button", name="Why?").click()
        page.page.locator("#explanation figure").wait_for()
    assert page.findings(axe) == []
    assert page.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
