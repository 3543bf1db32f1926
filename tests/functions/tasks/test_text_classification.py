import math

import pytest

from onnxlet.contract.declarations import Classification
from onnxlet.contract.tasks.texts import TextClassification
from onnxlet.errors import InvalidRequestError
from onnxlet.record import replace
from onnxlet.tasks.rows import Items
from tests.helpers.text_models import BERT, cases, opened, predictions
from tests.helpers.text_references import LONG, MOODS

MODEL = opened(
    "text-classification", TextClassification("text-classification", BERT), Classification(MOODS, "softmax", "logits")
)


def test_labels_are_those_of_transformers() -> None:
    for case in cases("text-classification"):
        (item,) = predictions(MODEL, [case["inputs"]], {"top_k": 3})
        assert item.labels is not None
        found = dict(item.labels[0])
        assert found == pytest.approx({each["label"]: each["score"] for each in case["answer"]}, abs=1e-5)
        assert item.labels[0][0][0] == case["answer"][0]["label"]


def test_texts_of_one_request_have_the_answers_that_they_have_alone() -> None:
    texts = [case["inputs"] for case in cases("text-classification")]
    together = predictions(MODEL, texts)
    assert {tuple(item.batch.inputs["input_ids"].shape[1:]) for item in together} == {
        (together[0].batch.inputs["input_ids"].shape[1],)
    }
    for text, item in zip(texts, together, strict=True):
        (alone,) = predictions(MODEL, [text])
        assert item.labels is not None
        assert alone.labels is not None
        assert dict(item.labels[0]) == pytest.approx(dict(alone.labels[0]), abs=1e-5)


def test_several_texts_may_be_one_item() -> None:
    texts = [case["inputs"] for case in cases("text-classification")]
    (item,) = MODEL.predict([Items(texts)])
    assert item.labels is not None
    assert [labels[0][0] for labels in item.labels] == [
        case["answer"][0]["label"] for case in cases("text-classification")
    ]


def test_a_long_text_is_refused_with_both_lengths_unless_it_is_cut() -> None:
    with pytest.raises(
        InvalidRequestError, match=r"text: expected at most 64 tokens, got \d\d\d: send a shorter text, or"
    ):
        predictions(MODEL, [LONG])
    for name in ("truncate", "truncation"):
        (item,) = predictions(MODEL, [LONG], {name: True})
        assert item.batch.inputs["input_ids"].shape == (1, 64)
        assert item.batch.context.cut == [0]
    (right,) = predictions(MODEL, [LONG], {"truncate": True})
    (left,) = predictions(MODEL, [LONG], {"truncate": True, "truncation_direction": "Left"})
    assert right.batch.inputs["input_ids"].buffer != left.batch.inputs["input_ids"].buffer


def test_the_long_text_among_several_is_named() -> None:
    with pytest.raises(InvalidRequestError, match="text 1: expected at most 64 tokens"):
        MODEL.predict([Items(["short", LONG])])


def test_a_declaration_may_cut_texts_unasked_and_a_request_may_forbid_it() -> None:
    declaration = TextClassification("text-classification", replace(BERT, truncates=True))
    model = opened("text-classification", declaration, Classification(MOODS, "softmax", "logits"))
    (item,) = predictions(model, [LONG])
    assert item.batch.context.cut == [0]
    with pytest.raises(InvalidRequestError, match="expected at most 64 tokens"):
        predictions(model, [LONG], {"truncate": False})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, "expected a text, got number"),
        (["a"], "expected a text, got list"),
        ({"text": 3}, "text: expected a text, got number"),
        ({"text": "a", "text_pair": ["b"]}, "text_pair: expected a text, got list"),
        ({"txt": "a"}, r"expected an object with the fields text, text_pair \(optional\), got one with txt"),
    ],
)
def test_another_value_than_a_text_is_refused(value: object, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        predictions(MODEL, [value])


def test_another_function_than_the_declared_one_may_be_applied() -> None:
    (declared,) = predictions(MODEL, ["a"])
    (same,) = predictions(MODEL, ["a"], {"function_to_apply": "softmax"})
    (none,) = predictions(MODEL, ["a"], {"function_to_apply": "none"})
    assert same.labels == declared.labels
    assert none.labels is not None
    assert declared.labels is not None
    powers = {label: math.exp(score) for label, score in none.labels[0]}
    expected = {label: power / sum(powers.values()) for label, power in powers.items()}
    assert dict(declared.labels[0]) == pytest.approx(expected)
