"""Requests to an app, with the documents of their responses."""

import io
import json
from typing import Any

import numpy as np
from PIL import Image

from onnxlet.http import Request
from onnxlet.web.app import App


def png(size: tuple[int, int] = (28, 28), mode: str = "L") -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], len(mode)), np.uint8)
    buffer = io.BytesIO()
    Image.frombytes(mode, size, pixels.tobytes()).save(buffer, "PNG")
    return buffer.getvalue()


def get(app: App, path: str) -> tuple[int, Any]:
    response = app.handle(Request("GET", path))
    return response.status, json.loads(response.body)


def post(app: App, path: str, body: bytes | dict[str, Any], media_type: str = "", **query: str) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = app.handle(Request("POST", path, data, {"content-type": media_type}, query))
    return response.status, json.loads(response.body)


def tensor(name: str, data: object, datatype: str = "INT32", shape: object = (1, 2)) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


A_AND_B = [tensor("a", [5, 7]), tensor("b", [1, 2])]
