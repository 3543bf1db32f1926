"""Requests to an app: payloads, forms and V1 documents."""

import base64
import io
import json
from typing import Any

import numpy as np
from PIL import Image

from onnxlet.http import Request
from onnxlet.web.app import App

JSON = "application/json"
NPY = "application/x-npy"
FORM = "multipart/form-data; boundary=x"


def picture(seed: int = 0, file_format: str = "PNG", size: tuple[int, int] = (28, 28)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, size[::-1], np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, file_format)
    return file.getvalue()


def npy(array: "np.ndarray") -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def post(app: App, path: str, body: Any, media_type: str = JSON) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = app.handle(Request("POST", path, data, {"content-type": media_type}))
    return response.status, json.loads(response.body)


def form(*parts: bytes) -> bytes:
    return b"".join(b"--x\r\n" + part + b"\r\n" for part in parts) + b"--x--\r\n"


def predictions(app: App, model: str, body: Any, media_type: str = JSON) -> Any:
    status, answer = post(app, f"/predict/{model}", body, media_type)
    assert status == 200, answer
    return answer["predictions"]


def v1(app: App, model: str, **document: Any) -> Any:
    status, answer = post(app, f"/v1/models/{model}:predict", document)
    assert status == 200, answer
    return answer


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
