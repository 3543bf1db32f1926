"""Real handwritten digits, and a classifier of them that is fitted in a second."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper

from onnxlet.contract.declarations import Classification, ImagePreprocess
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.graphs import Graph
from onnxlet_publishing.picture_graph import preprocess_graph
from onnxlet_training.training_statistics import compute_statistics
from tests.helpers import graphs

Digits = npt.NDArray[np.uint8]
"""(count, 8, 8, 1): white on black."""

TRAINED, REFERENCE = slice(0, 1000), slice(1000, 1397)
UNSEEN = slice(1397, 1797)
"""Of the images: what the classifier learns, what its reference is made of, and what neither has seen."""


def load() -> tuple[Digits, npt.NDArray[np.int64]]:
    """All 1,797, in an order of chance: the writers follow one another in the file.

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
    """
    from sklearn.datasets import load_digits

    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    images = np.round(found.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    return images[order], found.target.astype(np.int64)[order]


def regression(name: str = "regression") -> Candidate:
    """A logistic regression, with the reference that `onnxlet train` would give it."""
    from sklearn.linear_model import LogisticRegression

    images, truth = load()
    declaration = ImagePreprocess(8, 8, 1)
    features = Graph(preprocess_graph(declaration)).run({"images": images[:1397]}, "tensor")
    flat = features.reshape(-1, 64)
    fitted = LogisticRegression(max_iter=300).fit(flat[TRAINED], truth[TRAINED])
    proto = graphs.model(
        [
            helper.make_node("Flatten", ["input"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["scores"]),
            helper.make_node("Add", ["scores", "bias"], ["logits"]),
        ],
        [("input", TensorProto.FLOAT, ["batch", 8, 8, 1])],
        [("logits", TensorProto.FLOAT, ["batch", 10])],
        {"weights": fitted.coef_.T.astype(np.float32), "bias": fitted.intercept_.astype(np.float32)},
    )
    return replace(
        graphs.candidate(name, proto),
        preprocess=declaration,
        classification=Classification(tuple("0123456789"), "softmax"),
        training_statistics=compute_statistics({"input": features[REFERENCE]}, fitted.predict_proba(flat[REFERENCE])),
    )
