import json

import pytest

from onnxlet.explain.words import Word, _joined
from onnxlet.web.app import App
from tests.helpers.explanations import ask, explained


def test_each_word_has_what_it_adds_to_the_probability(app: App) -> None:
    answer = explained(app, "moods", b"a very good, bad day", "text/plain", target="there")
    assert (answer["label"], answer["probability"], answer["baseline_probability"]) == ("there", 0.375, 0.0)
    first = answer["contributions"][0]
    assert first == {"word": "good", "start": 7, "end": 11, "contribution": pytest.approx(0.5)}
    found = {item["word"]: item["contribution"] for item in answer["contributions"]}
    assert found == pytest.approx({"a": 0, "very": 0.125, "good": 0.5, ",": 0, "bad": -0.25, "day": 0}, abs=1e-6)


def test_a_pair_names_the_text_of_each_word(app: App) -> None:
    answer = explained(app, "moods", {"text": "good", "text_pair": "very bad"}, target="there")
    found = {(item["field"], item["word"]): item["contribution"] for item in answer["contributions"]}
    assert found == pytest.approx(
        {("text", "good"): 0.5, ("text_pair", "very"): 0.125, ("text_pair", "bad"): -0.25}, abs=1e-6
    )


def test_characters_of_a_script_without_spaces_are_words(app: App) -> None:
    answer = explained(app, "moods", "good雨雨 day", target="there")
    assert sorted((item["start"], item["word"]) for item in answer["contributions"]) == [
        (0, "good"),
        (4, "雨"),
        (5, "雨"),
        (7, "day"),
    ]


def test_a_long_text_is_explained_by_neighbours_within_the_budget(app: App) -> None:
    words = "good bad very day " * 4
    answer = explained(app, "moods", words, budget_runs=12, target="there")
    assert answer["runs"] <= 12
    assert 1 < len(answer["contributions"]) < 16
    total = sum(item["contribution"] for item in answer["contributions"])
    assert total == pytest.approx(answer["probability"] - answer["baseline_probability"], abs=1e-6)


def test_a_text_whose_words_say_nothing_has_no_reasons(app: App) -> None:
    answer = explained(app, "moods", {"text": ".", "text_pair": " "}, target="there")
    assert [(item["word"], item["contribution"]) for item in answer["contributions"]] == [(".", 0.0)]


def test_a_text_that_is_cut_is_explained_by_the_words_that_the_model_sees(app: App) -> None:
    text = "day " * 15 + "good bad"
    assert ask(app, "moods", text).status == 400
    answer = explained(app, "moods", text, target="there", truncate="true")
    assert answer["probability"] == 0.5
    assert max(item["end"] for item in answer["contributions"]) == len("day " * 15 + "good")


@pytest.mark.parametrize(
    ("body", "query", "words"),
    [
        ([5], {}, "expected a text"),
        (["good", "bad"], {}, "expected one row, got 2"),
        ("good", {"colour": "red"}, "parameter 'colour'"),
    ],
)
def test_what_is_no_text_is_a_400(app: App, body: object, query: dict[str, str], words: str) -> None:
    response = ask(app, "moods", body, **query)
    assert (response.status, words in json.loads(response.body)["error"]) == (400, True), response.body


def test_neighbours_are_joined_only_inside_of_one_text() -> None:
    words = [Word(0, 0, 1), Word(0, 2, 3), Word(0, 4, 5), Word(1, 0, 1), Word(1, 2, 3)]
    assert _joined(words, 5) == words
    assert _joined(words, 3) == [Word(0, 0, 3), Word(0, 4, 5), Word(1, 0, 3)]
    assert _joined(words, 0) == [Word(0, 0, 5), Word(1, 0, 3)]
