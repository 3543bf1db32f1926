from typing import Any

import pytest

from onnxlet.contract.tasks.texts import FillMask
from onnxlet.errors import ArtifactError, InvalidRequestError, TooLargeError
from onnxlet.limits import memory
from onnxlet.record import replace
from tests.helpers.text_models import BERT, answers, cases, opened

MODEL = opened("fill-mask", FillMask("fill-mask", BERT, "logits", "[MASK]"))


def close(expected: Any) -> Any:
    """Return an answer whose scores compare within 1e-5."""
    if isinstance(expected, list):
        return [close(item) for item in expected]
    return {**expected, "score": pytest.approx(expected["score"], abs=1e-5)}


def test_words_are_those_of_transformers() -> None:
    for case in cases("fill-mask"):
        (found,) = answers(MODEL, [case["inputs"]], case["parameters"])
        assert found == close(case["answer"]), case


def test_texts_of_one_request_have_the_answers_that_they_have_alone() -> None:
    texts = [case["inputs"] for case in cases("fill-mask")]
    for text, found in zip(texts, answers(MODEL, texts), strict=True):
        assert found == close(answers(MODEL, [text])[0])


def test_padding_on_the_left_finds_the_masks() -> None:
    # The words differ, since BERT's positions are absolute: the tokens of both texts are compared instead.
    model = opened("fill-mask", FillMask("fill-mask", replace(BERT, padding_side="left"), "logits", "[MASK]"))
    short, long = answers(model, ["a [MASK]", "a b c d e f g [MASK] and [MASK]"])
    assert answers(model, ["a [MASK]"])[0][0]["sequence"].startswith("a ")
    assert [item["sequence"][:1] for item in short] == ["a"] * 5
    assert [len(row) for row in long] == [5, 5]


def test_a_text_without_a_mask_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match=r"text: expected the mask \[MASK\] in it, got none"):
        answers(MODEL, ["no mask"])


def test_targets_without_a_token_are_refused() -> None:
    with pytest.raises(InvalidRequestError, match="targets: expected a word that has a token, got none"):
        answers(MODEL, ["a [MASK]"], {"targets": ["\u200b"]})


def test_the_scores_of_all_words_are_counted_for_targets() -> None:
    text, budget = "[MASK] " * 40, memory.Budget(800 * 1024)
    with budget.share():
        answers(MODEL, [text], {"top_k": 1})
        with pytest.raises(TooLargeError, match="of memory, expected at most"):
            answers(MODEL, [text], {"top_k": 1, "targets": ["a"]})


def test_a_mask_that_the_vocabulary_lacks_is_refused_when_the_model_is_opened() -> None:
    with pytest.raises(ArtifactError, match="tokenizer: expected the mask '<mask>' in its vocabulary"):
        opened("fill-mask", FillMask("fill-mask", BERT, "logits", "<mask>"))
