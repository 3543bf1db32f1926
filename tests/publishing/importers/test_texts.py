"""Tasks of texts that only the user's options declare, for a model without a folder."""

import json
from pathlib import Path
from typing import Any

import onnx
import pytest

from onnxlet_publishing.errors import ModelError, UsageError
from onnxlet_publishing.importers import find, read
from onnxlet_publishing.importers.settings import Overrides
from tests.helpers import hugging_face
from tests.helpers.hugging_face import encoder

VECTORS = ("last_hidden_state", None)


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    (tmp_path / "t.json").write_text(json.dumps(hugging_face.tokenizer()))
    return tmp_path / "t.json"


def task_of(folder: Path, model: onnx.ModelProto, **overrides: Any) -> Any:
    onnx.save(model, folder / "m.onnx")
    (source,) = find(str(folder / "m.onnx"))
    return read(source, overrides=Overrides(**overrides)).candidate.task


def test_a_file_with_a_tokenizer_is_a_task_of_texts(tmp_path: Path, tokenizer: Path) -> None:
    task = task_of(tmp_path, encoder(VECTORS), task="feature-extraction", tokenizer=tokenizer, max_length=16)
    assert (task.pooling, task.tokenization.max_length, task.tokenization.pad_id) == ("mean", 16, 0)
    pooled = task_of(tmp_path, encoder(("e", 4)), task="feature-extraction", tokenizer=tokenizer, max_length=16)
    assert (pooled.output, pooled.pooling) == ("e", "none")


def test_the_length_is_asked_for_if_nothing_says_it(tmp_path: Path, tokenizer: Path) -> None:
    with pytest.raises(UsageError, match="--max-length: expected the most tokens that the model takes"):
        task_of(tmp_path, encoder(VECTORS), task="feature-extraction", tokenizer=tokenizer)
    task = task_of(tmp_path, encoder(VECTORS, length=12), task="feature-extraction", tokenizer=tokenizer)
    assert task.tokenization.max_length == 12


def test_labels_come_from_a_file(tmp_path: Path, tokenizer: Path) -> None:
    options: dict[str, Any] = {"task": "text-classification", "tokenizer": tokenizer, "max_length": 8}
    with pytest.raises(UsageError, match="--labels: the task needs the names of its classes"):
        task_of(tmp_path, encoder(("logits", 2)), **options)
    (tmp_path / "labels.txt").write_text("bad\ngood\n")
    assert task_of(tmp_path, encoder(("logits", 2)), labels=tmp_path / "labels.txt", **options) is not None


def test_a_model_of_other_tensors_is_refused(tmp_path: Path, tokenizer: Path) -> None:
    model = encoder(VECTORS, inputs=("input_ids", "bbox"))
    with pytest.raises(
        ModelError, match=r"m\.onnx: expected the input input_ids and others of .*, got input_ids, bbox"
    ):
        task_of(tmp_path, model, task="feature-extraction", tokenizer=tokenizer, max_length=8)


def test_two_outputs_are_the_start_and_the_end_of_an_answer(tmp_path: Path, tokenizer: Path) -> None:
    options: dict[str, Any] = {"task": "question-answering", "tokenizer": tokenizer, "max_length": 8}
    task = task_of(tmp_path, encoder(("end_logits", None), ("start_logits", None)), **options)
    assert (task.start, task.end, task.cls_token) == ("start_logits", "end_logits", "[CLS]")
    task = task_of(tmp_path, encoder(("a", None), ("b", None)), **options)
    assert (task.start, task.end) == ("a", "b")
    with pytest.raises(ModelError, match="expected two outputs, for the start and the end of an answer, got a"):
        task_of(tmp_path, encoder(("a", None)), **options)


def test_entities_know_the_token_of_unknown_words(tmp_path: Path, tokenizer: Path) -> None:
    (tmp_path / "labels.txt").write_text("O\nB-PER\n")
    options: dict[str, Any] = {"tokenizer": tokenizer, "max_length": 8, "labels": tmp_path / "labels.txt"}
    task = task_of(tmp_path, encoder(("logits", 2)), task="token-classification", **options)
    assert (task.labels, task.unk_token) == (("O", "B-PER"), "[UNK]")


def test_a_masked_word_needs_a_token(tmp_path: Path) -> None:
    document = hugging_face.tokenizer()
    document["added_tokens"].pop()
    del document["model"]["vocab"]["[MASK]"]
    (tmp_path / "t.json").write_text(json.dumps(document))
    with pytest.raises(UsageError, match=r"expected a token for a masked word, \[MASK\] or <mask>, got none"):
        task_of(tmp_path, encoder(VECTORS), task="fill-mask", tokenizer=tmp_path / "t.json", max_length=8)
