from typing import Any

import pytest

from onnxlet.contract.tasks.texts import ZeroShotClassification
from onnxlet.errors import InvalidRequestError
from tests.helpers.text_models import BERT, answers, cases, opened
from tests.helpers.text_references import ENGLISH

MODEL = opened(
    "zero-shot-classification", ZeroShotClassification("zero-shot-classification", BERT, "logits", entailment=2)
)


def test_labels_are_those_of_transformers() -> None:
    for case in cases("zero-shot-classification"):
        (found,) = answers(MODEL, [case["inputs"]], case["parameters"])
        assert found == {**case["answer"], "scores": pytest.approx(case["answer"]["scores"], abs=1e-5)}


def test_texts_of_one_request_have_the_answers_that_they_have_alone() -> None:
    parameters = {"candidate_labels": ["history", "sport", "food"]}
    for text, found in zip(ENGLISH, answers(MODEL, list(ENGLISH), parameters), strict=True):
        (alone,) = answers(MODEL, [text], parameters)
        assert found == {**alone, "scores": pytest.approx(alone["scores"], abs=1e-5)}


def test_a_template_is_a_text_and_never_a_program() -> None:
    with pytest.raises(InvalidRequestError, match=r"hypothesis_template: expected a sentence with \{\} in it"):
        answers(MODEL, ["a"], {"candidate_labels": ["b"], "hypothesis_template": "{0.__class__}"})


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "candidate_labels: expected the labels to choose from, got nothing"),
        ({"candidate_labels": []}, "candidate_labels: expected a list of 1 to 256 texts"),
        ({"candidate_labels": ["a"] * 257}, "candidate_labels: expected a list of 1 to 256 texts"),
    ],
)
def test_impossible_parameters_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        answers(MODEL, ["a"], parameters)
