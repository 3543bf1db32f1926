"""Models to explain, and requests for explanations."""

import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers

from onnxlet.contract.declarations import Classification, ImagePreprocess
from onnxlet.contract.example import Example
from onnxlet.contract.tasks.texts import TextClassification, Tokenization
from onnxlet.http import Request, Response
from onnxlet.web.app import App
from onnxlet_publishing.candidate import Candidate
from onnxlet_training.tasks.classification import to_png
from tests.helpers import graphs

WEIGHTS = np.array([[0.5, -0.25, 0.125, 0.0]], np.float32).T
"""Of the second class; the first has what is left to 1."""


def additive() -> Candidate:
    """FP32 (batch, 4) to two scores that are sums: the contribution of a number is its weight times its value."""
    proto = graphs.model(
        [
            helper.make_node("MatMul", ["x", "weights"], ["second"]),
            helper.make_node("Sub", ["one", "second"], ["first"]),
            helper.make_node("Concat", ["first", "second"], ["output"], axis=1),
        ],
        [("x", TensorProto.FLOAT, ["batch", 4])],
        [("output", TensorProto.FLOAT, ["batch", 2])],
        {"weights": WEIGHTS, "one": np.ones((1, 1), np.float32)},
    )
    return with_labels(graphs.candidate("additive", proto))


def product() -> Candidate:
    """INT32 a and b, both (1, 1) and never more rows, to the scores 1 - ab and ab."""
    proto = graphs.model(
        [
            helper.make_node("Mul", ["a", "b"], ["whole"]),
            helper.make_node("Cast", ["whole"], ["second"], to=TensorProto.FLOAT),
            helper.make_node("Sub", ["one", "second"], ["first"]),
            helper.make_node("Concat", ["first", "second"], ["output"], axis=1),
        ],
        [(name, TensorProto.INT32, [1, 1]) for name in ("a", "b")],
        [("output", TensorProto.FLOAT, [1, 2])],
        {"one": np.ones((1, 1), np.float32)},
    )
    return with_labels(graphs.candidate("product", proto))


def square() -> Candidate:
    """RGB images of 28 x 14 pixels: `there` is as probable as the 8 x 4 pixels in the middle of the left are red."""
    weights = np.zeros((14, 28, 3), np.float32)
    weights[5:9, 4:12, 0] = 1 / 32
    proto = graphs.model(
        [
            helper.make_node("Flatten", ["x"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["second"]),
            helper.make_node("Sub", ["one", "second"], ["first"]),
            helper.make_node("Concat", ["first", "second"], ["output"], axis=1),
        ],
        [("x", TensorProto.FLOAT, ["batch", 14, 28, 3])],
        [("output", TensorProto.FLOAT, ["batch", 2])],
        {"weights": weights.reshape(-1, 1), "one": np.ones((1, 1), np.float32)},
    )
    return replace(with_labels(graphs.candidate("square", proto)), preprocess=ImagePreprocess(14, 28, 3))


def cropped() -> Candidate:
    """As `square`, for the middle of pictures whose shorter side becomes 28 pixels."""
    crop = ImagePreprocess(14, 28, 3, fit="crop", shorter_side=28)
    return replace(square(), name="cropped", preprocess=crop)


def strings() -> Candidate:
    """One text to its length's share of nothing: any classifier of texts."""
    proto = graphs.model(
        [helper.make_node("Shape", ["x"], ["size"]), helper.make_node("Expand", ["half", "shape"], ["output"])],
        [("x", TensorProto.STRING, [1])],
        [("output", TensorProto.FLOAT, [1, 2])],
        {"half": np.full((1, 1), 0.5, np.float32), "shape": np.array([1, 2], np.int64)},
    )
    return with_labels(graphs.candidate("strings", proto))


def moods() -> Candidate:
    """Texts by words: `there` is as probable as the numbers of a text's words add up to; `bad` takes what `good` adds.

    The tokenizer adds no special tokens, so that an empty text has no token.
    """
    vocabulary = {"[UNK]": 0, "good": 1, "bad": 2, "very": 3, "雨": 4}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Split("雨", "isolated")]
    )
    proto = graphs.model(
        [
            helper.make_node("Gather", ["values", "input_ids"], ["each"]),
            helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["each", "mask"], ["kept"]),
            helper.make_node("ReduceSum", ["kept", "axes"], ["second"], keepdims=1),
            helper.make_node("Sub", ["one", "second"], ["first"]),
            helper.make_node("Concat", ["first", "second"], ["output"], axis=1),
        ],
        [(name, TensorProto.INT64, ["batch", "tokens"]) for name in ("input_ids", "attention_mask")],
        [("output", TensorProto.FLOAT, ["batch", 2])],
        {
            "values": np.array([0, 0.5, -0.25, 0.125, 0.0625], np.float32),
            "one": np.ones((1, 1), np.float32),
            "axes": np.array([1], np.int64),
        },
    )
    tokenization = Tokenization({name: name for name in ("input_ids", "attention_mask")}, 16)
    return replace(
        with_labels(graphs.candidate("moods", proto)),
        task=TextClassification("text-classification", tokenization),
        tokenizer=tokenizer.to_str().encode(),
        example=Example("text/plain", b"good"),
    )


def with_labels(candidate: Candidate) -> Candidate:
    return replace(candidate, classification=Classification(("absent", "there")))


def ask(
    app: App, model: str, body: Any, media_type: str = "application/json", accept: str = "", **query: object
) -> Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": media_type, "accept": accept}
    texts = {name: str(value) for name, value in query.items()}
    return app.handle(Request("POST", f"/v2/models/{model}/explain", data, headers, texts))


def explained(app: App, model: str, body: Any, media_type: str = "application/json", **query: object) -> dict[str, Any]:
    response = ask(app, model, body, media_type, "", **query)
    assert response.status == 200, response.body
    answer: dict[str, Any] = json.loads(response.body)
    return answer


def red(height: int = 14, width: int = 28) -> bytes:
    """A PNG file, white but for a red place that covers what `square` looks at."""
    pixels = np.full((14, 28, 3), 255, np.uint8)
    pixels[5:9, 4:12] = (255, 0, 0)
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def dark(height: int = 14, width: int = 28) -> bytes:
    """As `red`, on black."""
    pixels = np.array(Image.open(io.BytesIO(red(height, width))))
    pixels[(pixels == 255).all(axis=2)] = 0
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def npy(array: npt.NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def values(answer: dict[str, Any]) -> npt.NDArray[np.float64]:
    return np.array(answer["map"]["data"]).reshape(answer["map"]["shape"])


def png() -> bytes:
    return to_png(np.random.default_rng(0).integers(0, 256, (28, 28, 1), np.uint8))
