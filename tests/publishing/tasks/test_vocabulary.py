from dataclasses import replace

import pytest

from onnxlet.contract import json_tensors
from onnxlet.contract.declarations import Classification
from onnxlet.contract.tasks.texts import FeatureExtraction, FillMask, TextClassification, TextTask, Tokenization
from onnxlet.errors import ManifestError
from onnxlet.record import replace as replace_fields
from onnxlet.registry.registry import Registry
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.errors import ModelError
from onnxlet_publishing.gate import pass_gate
from onnxlet_publishing.publish import publish
from tests.helpers import texts
from tests.helpers.text_models import BERT, candidate
from tests.helpers.text_references import ENGLISH, MOODS

VECTORS = FeatureExtraction("feature-extraction", BERT, "last_hidden_state", "mean", normalize=True)
TOKENS = 243
EMBEDDER = candidate("feature-extraction", VECTORS)


def of_task(task: TextTask) -> Candidate:
    return replace(EMBEDDER, task=task)


def of_tokenization(**changes: object) -> Candidate:
    tokenization: Tokenization = replace_fields(BERT, **changes)
    return of_task(replace_fields(VECTORS, tokenization=tokenization))


def test_a_version_keeps_a_tokenized_text_as_its_golden_example(registry: Registry) -> None:
    manifest = publish(registry, EMBEDDER)
    golden = registry.golden(manifest)
    assert golden is not None
    ids = json_tensors.to_values(golden.inputs["input_ids"])
    assert (ids[0], ids[-1]) == (2, 3)
    assert manifest.task == VECTORS
    assert {artifact.role for artifact in manifest.artifacts} >= {"model", "postprocess", "tokenizer", "golden"}


def test_a_classifier_of_texts_is_published_with_its_activation_found_by_running_it() -> None:
    task = TextClassification("text-classification", BERT)
    found = pass_gate(candidate("text-classification", task, Classification(MOODS, "auto")))
    assert found.candidate.classification == Classification(MOODS, "softmax")


def test_a_tokenizer_of_another_model_is_refused() -> None:
    larger = replace(EMBEDDER, tokenizer=texts.tokenizer_json("wordpiece"))
    with pytest.raises(ModelError, match=rf"expected a tokenizer for the model's {TOKENS} tokens, got one with \d+"):
        pass_gate(larger)
    smaller = replace(EMBEDDER, tokenizer=texts.tokenizer_json("wordpiece", ENGLISH, 150))
    with pytest.raises(ModelError, match=f"expected a tokenizer for the model's {TOKENS} tokens, got one with 150"):
        pass_gate(smaller)


@pytest.mark.parametrize("changes", [{"pad_id": TOKENS}, {"pad_type_id": 9}])
def test_a_padding_that_the_model_does_not_take_is_refused(changes: dict[str, int]) -> None:
    padding = changes.get("pad_id", 0)
    with pytest.raises(ModelError, match=f"does not take token {TOKENS - 1}, .*, with the padding {padding}: expected"):
        pass_gate(of_tokenization(**changes))


def test_a_length_that_the_model_does_not_take_is_refused() -> None:
    assert pass_gate(of_tokenization(max_length=66))
    with pytest.raises(ModelError, match="the model does not take texts of 67 tokens: declare a shorter max_length"):
        pass_gate(of_tokenization(max_length=67))


@pytest.mark.parametrize(
    ("task", "error", "message"),
    [
        (replace_fields(VECTORS, output="pooled"), ModelError, 'expected the output "pooled", got last_hidden_state'),
        (
            FillMask("fill-mask", BERT, "last_hidden_state", "<m>"),
            Exception,
            "expected the mask '<m>' in its vocabulary",
        ),
    ],
)
def test_a_declaration_that_does_not_fit_is_refused(task: TextTask, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pass_gate(of_task(task))


def test_inputs_that_the_declaration_does_not_feed_are_refused() -> None:
    with pytest.raises(ManifestError, match="token_type_ids"):
        pass_gate(of_tokenization(inputs={"input_ids": "input_ids", "attention_mask": "attention_mask"}))


def test_inputs_that_are_not_rows_of_integers_are_refused() -> None:
    model = replace(EMBEDDER.model, inputs=tuple(replace_fields(spec, shape=("b",)) for spec in EMBEDDER.model.inputs))
    with pytest.raises(ModelError, match=r"a tokenizer feeds INT64 or INT32 \(batch, tokens\), got INT64 \(b,\)"):
        pass_gate(replace(EMBEDDER, model=model))
