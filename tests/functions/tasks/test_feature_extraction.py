from typing import Any

import numpy as np
import pytest

from onnxlet.contract.tasks.texts import FeatureExtraction
from onnxlet.errors import InvalidRequestError, UnsupportedMediaError
from onnxlet.models.model import Model
from onnxlet.record import replace
from tests.helpers.text_models import BERT, answers, cases, opened
from tests.helpers.text_references import ENGLISH

TOKENIZATION = replace(BERT, max_length=24, truncates=True)
CASES = cases("feature-extraction")
TEXTS = list(ENGLISH)


def embedder(**settings: Any) -> Model:
    tokenization = settings.pop("tokenization", TOKENIZATION)
    declaration = FeatureExtraction("feature-extraction", tokenization, "last_hidden_state", **settings)
    return opened("feature-extraction", declaration)


@pytest.mark.parametrize("case", [case for case in CASES if "pooling" in case], ids=lambda case: case["pooling"])
@pytest.mark.parametrize("padding_side", ["right", "left"])
def test_vectors_are_those_of_sentence_transformers(case: dict[str, Any], padding_side: str) -> None:
    # A model with absolute positions answers differently with padding on the left, unless each text runs alone.
    tokenization = replace(TOKENIZATION, padding_side=padding_side)
    model = embedder(pooling=case["pooling"], normalize=True, tokenization=tokenization)
    found = answers(model, TEXTS) if padding_side == "right" else [answers(model, [text])[0] for text in TEXTS]
    np.testing.assert_allclose(found, case["answer"], atol=1e-5)


def test_a_prompt_that_is_not_pooled_is_left_out_as_by_sentence_transformers() -> None:
    (case,) = (case for case in CASES if "prompt" in case)
    prompts = {"query": case["prompt"]}
    model = embedder(pooling="mean", prompts=prompts, pools_prompt=False)
    np.testing.assert_allclose(answers(model, TEXTS, {"prompt_name": "query"}), case["answer"], atol=1e-5)
    default = embedder(pooling="mean", prompts=prompts, default_prompt="query", pools_prompt=False)
    np.testing.assert_allclose(answers(default, TEXTS), case["answer"], atol=1e-5)
    assert answers(model, TEXTS) != answers(default, TEXTS)


def test_normalize_may_be_switched_by_a_request() -> None:
    plain, normal = embedder(pooling="mean"), embedder(pooling="mean", normalize=True)
    np.testing.assert_allclose(answers(normal, TEXTS, {"normalize": False}), answers(plain, TEXTS), atol=1e-6)
    np.testing.assert_allclose(answers(plain, TEXTS, {"normalize": True}), answers(normal, TEXTS), atol=1e-6)


def test_dimensions_cut_a_vector_and_make_it_one_long_again() -> None:
    model = embedder(pooling="mean", normalize=True, dimensions=(4, 8))
    whole, cut = np.array(answers(model, TEXTS)), np.array(answers(model, TEXTS, {"dimensions": 4}))
    np.testing.assert_allclose(cut, whole[:, :4] / np.linalg.norm(whole[:, :4], axis=1, keepdims=True), atol=1e-6)
    plain = embedder(pooling="mean", dimensions=(4,))
    assert [len(vector) for vector in answers(plain, TEXTS, {"dimensions": 4})] == [4] * len(TEXTS)


def test_without_pooling_each_token_has_a_vector() -> None:
    found = answers(embedder(), TEXTS)
    pooled = answers(embedder(pooling="mean"), TEXTS)
    for vectors, mean in zip(found, pooled, strict=True):
        np.testing.assert_allclose(np.mean(vectors, axis=0), mean, atol=1e-5)
    assert len({len(vectors) for vectors in found}) > 2


def test_sentences_are_compared_by_the_cosine() -> None:
    model = embedder(pooling="mean")
    (found,) = answers(model, [{"source_sentence": TEXTS[0], "sentences": TEXTS}])
    vectors = np.array(answers(model, TEXTS))
    lengths = np.linalg.norm(vectors, axis=1)
    np.testing.assert_allclose(found, vectors @ vectors[0] / lengths / lengths[0], atol=1e-5)
    assert found[0] == pytest.approx(1)


def test_vectors_of_tokens_cannot_be_compared() -> None:
    with pytest.raises(UnsupportedMediaError, match="gives a vector for each token, not for each text: publish it"):
        answers(embedder(), [{"source_sentence": "a", "sentences": ["b"]}])


def test_texts_and_sentences_may_be_mixed_in_one_request() -> None:
    model = embedder(pooling="mean", normalize=True)
    found = answers(model, [TEXTS[0], {"source_sentence": TEXTS[1], "sentences": TEXTS[2:4]}, TEXTS[4]])
    np.testing.assert_allclose(found[2], answers(model, [TEXTS[4]])[0], atol=1e-6)
    assert len(found[1]) == 2


@pytest.mark.parametrize(
    ("value", "parameters", "message"),
    [
        ("a", {"prompt_name": "passage"}, "prompt_name: expected one of query, got 'passage'"),
        ("a", {"dimensions": 5}, "dimensions: expected one of 4, 8, got 5"),
        ({"source_sentence": "a"}, {}, "expected an object with the fields source_sentence, sentences"),
        ({"source_sentence": "a", "sentences": [1]}, {}, "sentences: expected a list of texts, got list"),
        (1, {}, "expected a text, got number"),
        ([], {}, "expected a list of 1 to 24 tokens, got 0"),
        ([1] * 25, {}, "expected a list of 1 to 24 tokens, got 25"),
        ([400_000], {}, "expected texts, or lists of tokens from 0 to"),
        (["a"], {}, "expected texts, or lists of tokens from 0 to"),
    ],
)
def test_impossible_requests_are_refused(value: object, parameters: dict[str, Any], message: str) -> None:
    model = embedder(pooling="mean", prompts={"query": "q: "}, dimensions=(4, 8))
    with pytest.raises(InvalidRequestError, match=message):
        answers(model, [value], parameters)


def test_a_model_of_one_length_refuses_another() -> None:
    with pytest.raises(
        InvalidRequestError, match="dimensions: expected no value: the model has only one length, got 4"
    ):
        answers(embedder(pooling="mean"), ["a"], {"dimensions": 4})


def test_the_model_s_own_tokens_may_be_sent_instead_of_a_text() -> None:
    model = embedder(pooling="mean", normalize=True)
    assert model.task is not None
    encoded = [model.task.parts.tokenizer.encode([text])[0].ids for text in TEXTS[:3]]  # type: ignore[union-attr]
    np.testing.assert_allclose(answers(model, encoded), answers(model, TEXTS[:3]), atol=1e-6)
