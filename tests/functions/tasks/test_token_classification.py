from typing import Any

import pytest

from onnxlet.contract.tasks.texts import TokenClassification
from onnxlet.errors import InvalidRequestError
from onnxlet.record import replace
from tests.helpers.text_models import BERT, ROBERTA, answers, cases, opened
from tests.helpers.text_references import ENGLISH, ENTITIES, LONG

MODELS = {
    "token-classification": opened(
        "token-classification", TokenClassification("token-classification", BERT, "logits", ENTITIES, "[UNK]")
    ),
    "token-classification-bytes": opened(
        "token-classification-bytes", TokenClassification("token-classification", ROBERTA, "logits", ENTITIES, "<unk>")
    ),
}


def same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> bool:
    """Return whether entities are equal, except that their scores may differ by 1e-5."""
    return [{**entity, "score": pytest.approx(entity["score"], abs=1e-5)} for entity in expected] == found


@pytest.mark.parametrize("name", MODELS)
def test_entities_are_those_of_transformers(name: str) -> None:
    for case in cases(name):
        parameters = {"truncate": True, **case["parameters"]}
        (found,) = answers(MODELS[name], [case["inputs"]], parameters)
        assert same(found, case["answer"]), (case["inputs"], parameters)


def test_texts_of_one_request_have_the_answers_that_they_have_alone() -> None:
    model = MODELS["token-classification"]
    for text, found in zip(ENGLISH, answers(model, list(ENGLISH)), strict=True):
        assert same(found, answers(model, [text])[0])


def test_padding_on_the_left_changes_no_answer() -> None:
    declaration = TokenClassification("token-classification", replace(BERT, padding_side="left"), "logits", ENTITIES)
    found = answers(opened("token-classification", declaration), [ENGLISH[0], ENGLISH[6]])
    assert len(found) == 2
    assert all(ENGLISH[0][entity["start"] : entity["end"]] for entity in found[0])


def test_places_are_characters_of_the_text() -> None:
    text = "🙂 日本語 Zürich"
    (found,) = answers(MODELS["token-classification"], [text], {"ignore_labels": []})
    assert "".join(text[entity["start"] : entity["end"]] for entity in found).replace(" ", "") == text.replace(" ", "")


def test_without_a_strategy_neighbours_are_grouped() -> None:
    model = MODELS["token-classification"]
    assert answers(model, [ENGLISH[0]]) == answers(model, [ENGLISH[0]], {"aggregation_strategy": "simple"})


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"aggregation_strategy": "best"}, "aggregation_strategy: expected one of none, simple, first, average, max"),
        ({"stride": 8, "aggregation_strategy": "none"}, "stride: expected an aggregation_strategy other than none"),
        ({"stride": 62}, "expected more than 62 others"),
        ({"ignore_label": ["O"]}, "expected one of this model's parameters"),
    ],
)
def test_impossible_parameters_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        answers(MODELS["token-classification"], [LONG], parameters)
