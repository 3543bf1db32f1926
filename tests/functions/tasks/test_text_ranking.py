import pytest

from onnxlet.contract.tasks.texts import TextRanking
from onnxlet.errors import InvalidRequestError
from onnxlet.record import replace
from tests.helpers.text_models import BERT, answers, cases, opened
from tests.helpers.text_references import ENGLISH, PAIRS

TOKENIZATION = replace(BERT, max_length=48, truncates=True)
MODEL = opened("text-ranking", TextRanking("text-ranking", TOKENIZATION, "logits", "sigmoid"))


def test_rankings_are_those_of_sentence_transformers() -> None:
    for case in cases("text-ranking"):
        (found,) = answers(MODEL, [case["inputs"]])
        assert found == [
            {"index": each["corpus_id"], "score": pytest.approx(each["score"], abs=1e-5)} for each in case["answer"]
        ]


def test_raw_scores_are_the_model_s_numbers() -> None:
    raw = opened("text-ranking", TextRanking("text-ranking", TOKENIZATION, "logits"))
    assert answers(MODEL, PAIRS, {"raw_scores": True}) == answers(raw, PAIRS)
    assert answers(MODEL, PAIRS) != answers(raw, PAIRS)


def test_the_best_texts_are_returned_if_asked() -> None:
    (found,) = answers(MODEL, PAIRS[:1], {"top_k": 2, "return_text": True})
    assert len(found) == 2
    assert all(each["text"] == PAIRS[0]["texts"][each["index"]] for each in found)


def test_queries_of_one_request_have_the_answers_that_they_have_alone() -> None:
    for pair, found in zip(PAIRS, answers(MODEL, PAIRS), strict=True):
        (alone,) = answers(MODEL, [pair])
        assert [each["index"] for each in found] == [each["index"] for each in alone]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (ENGLISH[0], "expected an object with the fields query, texts, got string"),
        ({"query": "a", "texts": "b"}, "texts: expected a list of texts, got string"),
        ({"query": "a", "texts": []}, "texts: expected 1 to 256 texts, got 0"),
        ({"query": "a", "texts": ["b"] * 257}, "texts: expected 1 to 256 texts, got 257"),
        ({"query": 1, "texts": ["b"]}, "query: expected a text, got number"),
    ],
)
def test_another_value_than_a_query_and_texts_is_refused(value: object, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        answers(MODEL, [value])
