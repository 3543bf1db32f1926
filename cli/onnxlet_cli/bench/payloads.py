"""The requests of the benchmark and the readers of their answers: V2 in binary and JSON form, plain JSON, photos."""

import io
import json
from collections.abc import Mapping
from email.message import Message
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxlet.contract.tensors import BY_NUMPY
from onnxlet_cli.errors import WrongAnswerError
from onnxlet_cli.local.function_url import from_result, to_event

Array = npt.NDArray[Any]

HEADER_LENGTH = "inference-header-content-length"
JSON = "application/json"
HOST = "bench.lambda-url.us-east-1.on.aws"
PHOTO_SIDE = 224
TOLERANCE = 2e-3
"""Largest relative difference between two correct answers: optimised graphs add in another order."""

VECTOR_TOLERANCE = 1e-4
"""Largest relative difference between two correct vectors of the same text."""

LABELS = tuple(f"class {number}" for number in range(1000))


def check_close(name: str, answer: Array, expected: Array, tolerance: float = TOLERANCE) -> None:
    """Compare an answer with the expected one.

    Raises:
        WrongAnswerError: They differ.
    """
    if answer.size != expected.size:
        raise WrongAnswerError(f"{name}: expected {expected.size} values, got {answer.size}")
    difference = float(np.abs(answer.reshape(-1) - expected.reshape(-1)).max() / np.abs(expected).max())
    if not difference <= tolerance:  # NaN is wrong, too
        raise WrongAnswerError(f"{name}: the answer is {difference:.2g} off the expected one")


def v2_path(model: str) -> str:
    """Return the path of a V2 request."""
    return f"/v2/models/{model}/infer"


def v2_binary(inputs: Mapping[str, Array]) -> tuple[bytes, dict[str, str]]:
    """Return the body and headers of a V2 request in binary form, which requests an answer in that form."""
    items = [
        {**_described(name, array), "parameters": {"binary_data_size": array.nbytes}} for name, array in inputs.items()
    ]
    head = json.dumps({"inputs": items, "parameters": {"binary_data_output": True}}).encode()
    body = head + b"".join(array.tobytes() for array in inputs.values())
    return body, {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(head))}


def v2_json(inputs: Mapping[str, Array]) -> tuple[bytes, dict[str, str]]:
    """Return the body and headers of a V2 request in JSON."""
    items = [{**_described(name, array), "data": array.reshape(-1).tolist()} for name, array in inputs.items()]
    return json.dumps({"inputs": items}).encode(), {"content-type": JSON}


def plain_json(inputs: Mapping[str, Array]) -> tuple[bytes, dict[str, str]]:
    """Return the body and headers of a typical handler's request: nested lists by the inputs' names."""
    return json.dumps({name: array.tolist() for name, array in inputs.items()}).encode(), {"content-type": JSON}


def photo(seed: int = 0) -> bytes:
    """Return a JPEG of 224 x 224 pixels with soft shapes and some noise, about as large as a photograph."""
    from PIL import Image

    random = np.random.default_rng(seed)
    soft = Image.fromarray(random.integers(0, 256, (9, 9, 3), np.uint8)).resize((PHOTO_SIDE, PHOTO_SIDE))
    noise = random.normal(0, 8, (PHOTO_SIDE, PHOTO_SIDE, 3))
    pixels = np.clip(np.asarray(soft) + noise, 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=85)
    return stream.getvalue()


def function_url_event(path: str, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the event in which a Function URL passes a request to the function."""
    message = Message()
    for name, value in {**headers, "content-length": str(len(body)), "host": HOST}.items():
        message[name] = value
    return to_event("POST", path, "", message, body)


def read_result(result: Any) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of a function's result.

    Raises:
        WrongAnswerError: The status is not 200.
    """
    status, headers, body = from_result(result)
    if status != 200:
        raise WrongAnswerError(f"expected status 200, got {status}: {body[:500].decode('utf-8', 'replace')}")
    return headers, body


def read_v2_binary(headers: Mapping[str, str], body: bytes) -> Array:
    """Return the one FP32 output of a V2 answer in binary form."""
    split = int(headers[HEADER_LENGTH])
    (item,) = json.loads(body[:split])["outputs"]
    return np.frombuffer(body[split:], np.float32).reshape(item["shape"])


def read_v2_json(body: bytes) -> Array:
    """Return the one output of a V2 answer in JSON."""
    (item,) = json.loads(body)["outputs"]
    return np.array(item["data"], np.float32).reshape(item["shape"])


def read_plain_json(body: bytes) -> Array:
    """Return the one output of a typical handler's answer."""
    (values,) = json.loads(body).values()
    return np.array(values, np.float32)


def read_label(document: dict[str, Any]) -> str:
    """Return the label that an answer of onnxlet or of a typical handler names first.

    Raises:
        WrongAnswerError: The answer names no label.
    """
    if "label" in document:
        return str(document["label"])
    if "predictions" not in document:
        raise WrongAnswerError(f"a photo: expected an answer with labels, got {document}")
    return str(document["predictions"][0]["top"][0]["label"])


def _described(name: str, array: Array) -> dict[str, Any]:
    return {"name": name, "datatype": BY_NUMPY[array.dtype.name].name, "shape": list(array.shape)}
