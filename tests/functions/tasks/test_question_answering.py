from typing import Any

import pytest

from onnxlet.contract.tasks.texts import QuestionAnswering
from onnxlet.errors import InvalidRequestError
from tests.helpers.text_models import BERT, answers, cases, opened
from tests.helpers.text_references import QUESTIONS

MODEL = opened(
    "question-answering", QuestionAnswering("question-answering", BERT, "start_logits", "end_logits", "[CLS]")
)


def close(expected: Any) -> Any:
    """Return an answer whose scores compare within 1e-5."""
    if isinstance(expected, list):
        return [close(item) for item in expected]
    return {**expected, "score": pytest.approx(expected["score"], abs=1e-5)}


def test_answers_are_those_of_transformers() -> None:
    for case in cases("question-answering"):
        (found,) = answers(MODEL, [case["inputs"]], case["parameters"])
        assert found == close(case["answer"]), case


def test_questions_of_one_request_have_the_answers_that_they_have_alone() -> None:
    parameters = {"max_seq_len": 40, "doc_stride": 12}
    for question, found in zip(QUESTIONS, answers(MODEL, list(QUESTIONS), parameters), strict=True):
        assert found == close(answers(MODEL, [question], parameters)[0])


def test_a_long_context_is_divided_without_being_asked() -> None:
    question = {"question": "Who?", "context": QUESTIONS[1]["context"]}
    (found,) = answers(MODEL, [question])
    assert question["context"][found["start"] : found["end"]] == found["answer"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("who?", "expected an object with the fields question, context, got string"),
        ({"question": "who?"}, "expected an object with the fields question, context, got one with question"),
        ({"question": "", "context": "a"}, "question: expected a text, got an empty one"),
        ({"question": "who?", "context": ["a"]}, "context: expected a text, got list"),
        ({"question": "word " * 80, "context": "a b c"}, "not to be cut to 64 tokens"),
    ],
)
def test_another_value_than_a_question_and_a_context_is_refused(value: object, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        answers(MODEL, [value])


def test_a_context_of_too_many_parts_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="expected at most 512 parts of 16 tokens"):
        answers(MODEL, [{"question": "a", "context": "a " * 9000}], {"max_seq_len": 16, "doc_stride": 8})
