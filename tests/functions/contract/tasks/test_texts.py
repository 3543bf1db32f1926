from typing import Any

import orjson
import pytest

from onnxlet.contract.document import Document
from onnxlet.contract.tasks import texts
from onnxlet.contract.tasks.texts import (
    FeatureExtraction,
    FillMask,
    QuestionAnswering,
    TextClassification,
    TextRanking,
    TextTask,
    TokenClassification,
    Tokenization,
    ZeroShotClassification,
)
from onnxlet.errors import ManifestError

TOKENIZATION = Tokenization({"input_ids": "ids", "attention_mask": "mask"}, 256, "left", "left", True, 256, 3, 1, True)
DECLARATIONS = [
    TextClassification("text-classification", TOKENIZATION),
    TokenClassification("token-classification", TOKENIZATION, "logits", ("O", "B-PER"), "[UNK]"),
    FeatureExtraction(
        "sentence-similarity", TOKENIZATION, "hidden", "mean", True, {"query": "q: "}, "query", False, (64, 128)
    ),
    TextRanking("text-ranking", TOKENIZATION, "logits", "sigmoid"),
    FillMask("fill-mask", TOKENIZATION, "logits", "[MASK]"),
    QuestionAnswering("question-answering", TOKENIZATION, "starts", "ends", "[CLS]"),
    ZeroShotClassification("zero-shot-classification", TOKENIZATION, "logits", 2),
]
VECTORS = DECLARATIONS[2]


def parse(content: dict[str, Any]) -> TextTask:
    return texts.parse(Document(orjson.loads(orjson.dumps(content)), "task"))


def changed(task: TextTask, field: str, value: object) -> dict[str, Any]:
    place, _, inner = field.rpartition(".")
    document: dict[str, Any] = orjson.loads(orjson.dumps(task.to_document()))
    (document[place] if place else document)[inner] = value
    return document


@pytest.mark.parametrize("task", DECLARATIONS, ids=lambda task: task.name)
def test_a_declaration_survives_being_written_and_read(task: TextTask) -> None:
    assert parse(task.to_document()) == task


def test_most_settings_may_be_left_out() -> None:
    tokenization = {"inputs": {"input_ids": "input_ids"}, "max_length": 512}
    found = parse({"name": "feature-extraction", "tokenization": tokenization, "output": "last_hidden_state"})
    expected = Tokenization({"input_ids": "input_ids"}, 512, padding_side="right", truncates=False, pad_id=0)
    assert found == FeatureExtraction("feature-extraction", expected, "last_hidden_state", pooling="none")


def test_it_names_the_tensors_and_artifacts_that_it_needs() -> None:
    assert [(task.inputs(), task.outputs(), task.roles()) for task in DECLARATIONS] == [
        (("ids", "mask"), (), ("tokenizer",)),
        (("ids", "mask"), ("logits",), ("tokenizer", "postprocess")),
        (("ids", "mask"), ("hidden",), ("tokenizer", "postprocess")),
        (("ids", "mask"), ("logits",), ("tokenizer", "postprocess")),
        (("ids", "mask"), ("logits",), ("tokenizer", "postprocess")),
        (("ids", "mask"), ("starts", "ends"), ("tokenizer",)),
        (("ids", "mask"), ("logits",), ("tokenizer",)),
    ]


def test_vectors_that_are_used_as_they_are_need_no_graph() -> None:
    assert FeatureExtraction("feature-extraction", TOKENIZATION, "vectors").roles() == ("tokenizer",)
    assert TextRanking("text-ranking", TOKENIZATION, "logits").roles() == ("tokenizer",)


@pytest.mark.parametrize(
    ("task", "field", "value", "message"),
    [
        (VECTORS, "name", "poetry", "task.name: expected one of text-classification, "),
        (VECTORS, "pooling", "median", "task.pooling: expected one of none, mean, cls, last, max"),
        (VECTORS, "normalize", 1, "task.normalize: expected true or false, got 1"),
        (VECTORS, "default_prompt", "other", "task.default_prompt: expected one of the prompts query"),
        (VECTORS, "prompts", dict.fromkeys(map(str, range(65)), "p"), "task.prompts: expected at most 64 prompts"),
        (VECTORS, "dimensions", [0], "task.dimensions: expected a list of integers from 1"),
        (VECTORS, "poolin", "mean", "task: the field 'poolin' is unknown"),
        (VECTORS, "tokenization.max_len", 5, "task.tokenization: the field 'max_len' is unknown"),
        (VECTORS, "tokenization.inputs", {"attention_mask": "m"}, "an input of the model for input_ids"),
        (VECTORS, "tokenization.inputs", {"input_ids": "a", "attention_mask": "a"}, "an input of the model for"),
        (VECTORS, "tokenization.inputs", {"input_ids": "a", "pixels": "b"}, "an input of the model for input_ids"),
        (VECTORS, "tokenization.max_length", 0, "task.tokenization.max_length: expected an integer from 1"),
        (VECTORS, "tokenization.padded_length", 255, "padded_length: expected an integer from 256 to"),
        (VECTORS, "tokenization.padding_side", "top", "padding_side: expected one of right, left"),
        (DECLARATIONS[1], "labels", [], "task.labels: expected at least one label"),
        (DECLARATIONS[3], "activation", "softmax", "task.activation: expected one of none, sigmoid"),
        (DECLARATIONS[4], "mask_token", "", "task.mask_token: expected a string of 1 to"),
        (DECLARATIONS[6], "entailment", -1, "task.entailment: expected an integer from 0"),
    ],
)
def test_a_malformed_declaration_is_refused_by_the_name_of_its_field(
    task: TextTask, field: str, value: object, message: str
) -> None:
    with pytest.raises(ManifestError) as error:
        parse(changed(task, field, value))
    assert message in str(error.value)
