from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from onnxlet.contract.tasks.texts import (
    FeatureExtraction,
    FillMask,
    QuestionAnswering,
    TextRanking,
    TextTask,
    TokenClassification,
)
from onnxlet.contract.tensors import BY_NUMPY, TensorSpec
from onnxlet.session import open_session
from onnxlet_publishing.errors import ModelError
from onnxlet_publishing.graphs import to_tensor
from onnxlet_publishing.tasks.texts import postprocess_graph
from tests.helpers.text_models import BERT

NUMBERS = np.random.default_rng(5)
VECTORS = NUMBERS.normal(size=(3, 5, 4)).astype(np.float32)
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 1, 1, 0]], np.int64)


def vectors(**settings: Any) -> FeatureExtraction:
    return FeatureExtraction("feature-extraction", BERT, "output", **settings)


def run(task: TextTask, output: npt.NDArray[Any], wanted: list[str], **inputs: npt.NDArray[Any]) -> list[Any]:
    shape: tuple[int | str, ...] = tuple(f"d{axis}" for axis in range(output.ndim))
    data = postprocess_graph(task, {"output": TensorSpec("output", BY_NUMPY[output.dtype.name], shape)})
    assert data is not None
    tensors = {name: to_tensor(array) for name, array in {"output0": output, **inputs}.items()}
    names = {"f": np.float32, "q": np.int64}
    return [
        np.frombuffer(made.buffer, names[made.datatype.code or ""]).reshape(made.shape)
        for made in open_session(data).run(tensors, wanted)
    ]


POOLED = {
    "mean": np.stack([row[mask == 1].mean(axis=0) for row, mask in zip(VECTORS, MASK, strict=True)]),
    "max": np.stack([row[mask == 1].max(axis=0) for row, mask in zip(VECTORS, MASK, strict=True)]),
    "cls": np.stack([row[mask == 1][0] for row, mask in zip(VECTORS, MASK, strict=True)]),
    "last": np.stack([row[mask == 1][-1] for row, mask in zip(VECTORS, MASK, strict=True)]),
}


@pytest.mark.parametrize("pooling", POOLED)
@pytest.mark.parametrize(("dtype", "atol"), [("float32", 1e-6), ("float16", 3e-3), ("float64", 1e-6)])
def test_tokens_are_pooled_without_the_padding(pooling: str, dtype: str, atol: float) -> None:
    (found,) = run(vectors(pooling=pooling), VECTORS.astype(dtype), ["vectors"], mask=MASK)
    np.testing.assert_allclose(found, POOLED[pooling], atol=atol)


def test_vectors_become_one_long_and_their_former_length_is_kept() -> None:
    found, pooled = run(vectors(pooling="mean", normalize=True), VECTORS, ["vectors", "pooled"], mask=MASK)
    np.testing.assert_allclose(pooled, POOLED["mean"], atol=1e-6)
    np.testing.assert_allclose(found, pooled / np.linalg.norm(pooled, axis=1, keepdims=True), atol=1e-6)


def test_a_vector_of_zeros_stays_one() -> None:
    (found,) = run(vectors(normalize=True), np.zeros((2, 4), np.float32), ["vectors"])
    np.testing.assert_array_equal(found, np.zeros((2, 4)))


def test_a_token_s_scores_sum_to_1() -> None:
    (found,) = run(TokenClassification("token-classification", BERT, "output", ("a", "b")), VECTORS * 50, ["scores"])
    powers = np.exp(VECTORS * 50 - (VECTORS * 50).max(axis=-1, keepdims=True))
    np.testing.assert_allclose(found, powers / powers.sum(axis=-1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize("shape", [(5, 1), (5,)])
def test_a_pair_s_score_is_between_0_and_1(shape: tuple[int, ...]) -> None:
    logits = np.array([-100, -1, 0, 1, 100], np.float32)
    (found,) = run(TextRanking("text-ranking", BERT, "output", "sigmoid"), logits.reshape(shape), ["scores"])
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-logits.astype(np.float64))), atol=1e-6)


def test_the_best_words_of_each_mask_are_picked() -> None:
    places, count = np.array([[0, 4], [2, 0]], np.int64), np.array([2], np.int64)
    task = FillMask("fill-mask", BERT, "output", "[MASK]")
    indices, scores = run(task, VECTORS, ["indices", "probabilities"], positions=places, k=count)
    picked = np.stack([VECTORS[0, 4], VECTORS[2, 0]])
    expected = np.exp(picked) / np.exp(picked).sum(axis=1, keepdims=True)
    np.testing.assert_array_equal(indices, np.argsort(-picked, axis=1)[:, :2])
    np.testing.assert_allclose(scores, -np.sort(-expected, axis=1)[:, :2], atol=1e-6)


@pytest.mark.parametrize(
    "task",
    [vectors(), TextRanking("text-ranking", BERT, "output"), QuestionAnswering("question-answering", BERT, "a", "b")],
    ids=lambda task: task.name,
)
def test_outputs_that_are_read_as_they_are_need_no_graph(task: TextTask) -> None:
    specs = {name: TensorSpec(name, BY_NUMPY["float32"], ("batch", 1)) for name in task.outputs()}
    assert postprocess_graph(task, specs) is None


def test_an_output_that_the_model_lacks_is_refused() -> None:
    specs = {"logits": TensorSpec("logits", BY_NUMPY["float32"], ("batch", 1))}
    with pytest.raises(ModelError, match='task feature-extraction: expected the output "output", got logits'):
        postprocess_graph(vectors(), specs)


@pytest.mark.parametrize(
    ("task", "datatype", "shape", "message"),
    [
        (vectors(pooling="mean"), "float32", ("b", 4), r"the shape \(batch, tokens, d\), got FP32 \(b, 4\)"),
        (vectors(normalize=True), "float32", ("b",), r"\(batch, d\) or \(batch, tokens, d\), got FP32 \(b,\)"),
        (vectors(pooling="cls"), "int64", ("b", "t", 4), "the task expects FP32, FP16, FP64 with the shape"),
        (vectors(pooling="cls"), "float32", None, "got FP32 of any rank"),
    ],
)
def test_an_output_that_does_not_fit_the_declaration_is_refused(
    task: TextTask, datatype: str, shape: Any, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        postprocess_graph(task, {"output": TensorSpec("output", BY_NUMPY[datatype], shape)})
