import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from onnxlet.contract.tasks.texts import FeatureExtraction, Tokenization
from onnxlet.limits import memory
from onnxlet.models.model import Model
from onnxlet.record import replace
from onnxlet.tasks.rows import Items
from onnxlet.tasks.text_task import RUN_TOKENS
from onnxlet.tasks.tokenizer import TOKEN_BYTES
from onnxlet_publishing.onnx_file import read_onnx
from tests.helpers import graphs
from tests.helpers.text_models import BERT, opened


def embedder(at_most: int) -> Model:
    tokenization = replace(BERT, max_length=at_most)
    return opened(
        "feature-extraction", FeatureExtraction("feature-extraction", tokenization, "last_hidden_state", "mean")
    )


def widths(model: Model, words: list[int]) -> list[int]:
    """Return the padded length of texts of so many words, with two special tokens each."""
    items = Items(["a " * count for count in words]).each()
    return [batch.inputs["input_ids"].shape[1] for batch in model.align([model.prepare(item) for item in items])]


def test_texts_of_similar_lengths_are_padded_to_the_longest_of_them() -> None:
    assert widths(embedder(64), [1, 5, 30]) == [32, 32, 32]


def test_long_texts_are_not_padded_to_much_longer_ones() -> None:
    assert widths(embedder(1000), [1, 62, 63, 120, 500, 900]) == [64, 64, 122, 122, 502, 902]


def test_a_single_text_and_tensors_of_a_client_stay_as_they_are() -> None:
    model = embedder(64)
    assert widths(model, [3]) == [5]
    (sent,) = model.align([model.prepare(Items(["a"]))])
    sent.context = None
    assert model.align([sent, model.prepare(Items(["a b c"]))])[0] is sent


def test_a_run_has_a_bounded_number_of_tokens() -> None:
    model = embedder(64)
    assert model.task is not None
    row = model.prepare(Items(["a " * 62]))
    row_bytes = sum(tensor.buffer.nbytes for tensor in row.inputs.values())
    assert model.task.run_bytes == row_bytes * RUN_TOKENS // 64


def test_many_texts_have_the_answers_that_they_have_alone() -> None:
    model = embedder(64)
    texts = ["a " * (1 + index % 40) for index in range(200)]
    found = [answer for item in model.predict(Items(texts).each()) for answer in item.answers or []]
    alone = [model.predict([Items([text])])[0].answers for text in texts[:40]]
    np.testing.assert_allclose(found[:40], np.array(alone)[:, 0], atol=1e-5)
    assert len(found) == 200


def fixed(batch: int | str, tokens: int) -> Model:
    """Return an embedder whose graph has a fixed number of tokens, and of texts if `batch` is a number."""
    path = tempfile.mkdtemp() + "/fixed.onnx"
    onnx.save(
        graphs.model(
            [helper.make_node("Gather", ["table", "ids"], ["vectors"])],
            [("ids", TensorProto.INT64, [batch, tokens])],
            [("vectors", TensorProto.FLOAT, [batch, tokens, 2])],
            {"table": np.arange(600, dtype=np.float32).reshape(300, 2)},
        ),
        path,
    )
    tokenization = Tokenization({"input_ids": "ids"}, tokens, padded_length=tokens)
    task = FeatureExtraction("feature-extraction", tokenization, "vectors", "mean")
    return opened("feature-extraction", task, file=read_onnx(Path(path)))


@pytest.mark.parametrize("batch", [1, "batch"])
def test_a_model_of_a_fixed_shape_gets_padded_texts_as_many_at_a_time_as_it_takes(batch: int | str) -> None:
    model, texts = fixed(batch, 16), ["a b", "the quick brown fox", "a"]
    together = [item.answers for item in model.predict(Items(texts).each())]
    assert together == [model.predict([Items([text])])[0].answers for text in texts]
    sentences = {"source_sentence": texts[0], "sentences": texts}
    assert model.predict([Items([sentences])])[0].answers[0][0] == pytest.approx(1)  # type: ignore[index]


def test_the_memory_of_the_outputs_is_counted_before_the_model_runs() -> None:
    model = embedder(64)
    texts = Items(["a " * 62] * 100)
    inputs_bytes = sum(tensor.buffer.nbytes for tensor in model.prepare(texts).inputs.values())
    output_bytes, vectors_bytes = 100 * 64 * 16 * 4, 100 * 16 * 32
    with memory.Budget(10**9).share() as share:
        model.prepare(texts)
        assert share.size_bytes == 2 * inputs_bytes + output_bytes + vectors_bytes + TOKEN_BYTES * 100 * 64
