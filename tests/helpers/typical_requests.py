"""Requests as users send them, for every route, and what the description at /openapi.json says of their answers."""

import io
import json
import uuid
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs
import numpy as np
import numpy.typing as npt
from onnx import TensorProto
from PIL import Image

from onnxlet.http import JSON, Request, Response
from onnxlet.media.media_types import MULTIPART, NPY, TEXT
from onnxlet.protocols.v2 import HEADER_LENGTH
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from onnxlet.web.endpoints import ROUTES, repository_index
from onnxlet.web.inference import (
    embeddings,
    explain,
    generate,
    hugging_face,
    infer,
    invoke,
    predict,
    predict_v1,
    rerank,
)
from onnxlet.web.openapi import describe
from onnxlet.web.routes import Endpoint, Route
from onnxlet_publishing.publish import publish_all
from tests.helpers import graphs, task_models

BINARY = "application/octet-stream"

DOCUMENT = describe()


def resolved(value: dict[str, Any]) -> dict[str, Any]:
    """Return a part of the description, or what it refers to."""
    if "$ref" not in value:
        return value
    _, _, kind, name = value["$ref"].split("/")
    component: dict[str, Any] = DOCUMENT["components"][kind][name]
    return component


def operation_of(route: Route) -> dict[str, Any]:
    """Return the description of a route."""
    operation: dict[str, Any] = DOCUMENT["paths"][route.pattern][route.method.lower()]
    return operation


def answers_of(route: Route, status: str = "200") -> dict[str, Any]:
    """Return the media types that a route answers with, each with its schema."""
    content: dict[str, Any] = resolved(operation_of(route)["responses"][status])["content"]
    return content


@dataclass(frozen=True)
class Typical:
    """A request as users send it, to whichever route leads to its endpoint."""

    model: str
    body: Any
    media_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    gives: str = JSON
    """The media type of its answer."""

    def request(self, pattern: str) -> Request:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        return Request("POST", filled(pattern, self.model), body, {"content-type": self.media_type, **self.headers})


def filled(pattern: str, model: str) -> str:
    return pattern.replace("{model}", model).replace("{version}", "1")


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (28, 28), 7).save(buffer, "PNG")
    return buffer.getvalue()


def npy(values: object) -> bytes:
    return npy_of(np.array(values, np.float32))


def npy_of(array: npt.NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npy_header(text: str) -> bytes:
    """A .npy file, version 2.0, of this header and no data."""
    header = text.encode()
    return b"\x93NUMPY\x02\x00" + len(header).to_bytes(4, "little") + header


def in_parts(content: bytes, media_type: str) -> bytes:
    return b"--x\r\nContent-Type: %s\r\n\r\n%s\r\n--x--" % (media_type.encode(), content)


PICTURE = {"b64": b64encode(png()).decode()}
TENSORS = [{"name": name, "datatype": "INT32", "shape": [1, 2], "data": [5, 7]} for name in ("a", "b")]
INPUTS = {"inputs": TENSORS}
AS_BYTES = {**INPUTS, "parameters": {"binary_data_output": True}}
SUM_AND_BYTES = {**INPUTS, "id": "7", "outputs": [{"name": "sum", "parameters": {"binary_data": True}}]}
BY_NAME = {"a": [5, 7], "b": [1, 2]}
COLUMNS = {"inputs": {"a": [[5, 7]], "b": [[1, 2]]}}
ROWS = {"instances": [[1, 2, 3], [4, 5, 6]]}
RAW = {HEADER_LENGTH: "0"}

TYPICAL: dict[Endpoint, list[Typical]] = {
    infer: [
        Typical("two", INPUTS),
        Typical("two", AS_BYTES, gives=BINARY),
        Typical("two", SUM_AND_BYTES, gives=BINARY),
        Typical("sums", np.ones((2, 3), np.float32).tobytes(), BINARY, RAW, gives=BINARY),
    ],
    generate: [
        Typical("char", {"text_input": "ab", "length": 5, "temperature": 0.5, "top_k": 2, "seed": 3}),
        Typical("char", {"text_input": "ab", "parameters": {"length": 5}}),
        Typical("generator", {"count": 2, "seed": 3}),
        Typical("generator", {"seed": 3}, headers={"accept": "image/png"}, gives="image/png"),
    ],
    predict_v1: [
        Typical("sums", ROWS),
        Typical("two", {"instances": [BY_NAME]}),
        Typical("two", COLUMNS),
        Typical("digits", {"instances": [PICTURE], "parameters": {"top_k": 2}}),
    ],
    predict: [
        Typical("digits", png(), "image/png"),
        Typical("digits", png(), BINARY),
        Typical("digits", in_parts(png(), "image/png"), f"{MULTIPART}; boundary=x"),
        Typical("digits", npy(np.zeros((28, 28, 1))), NPY),
        Typical("digits", PICTURE),
        Typical("digits", PICTURE["b64"]),
        Typical("digits", {"instances": [PICTURE, PICTURE]}),
        Typical("digits", [PICTURE]),
    ],
    hugging_face: [
        Typical("digits", png(), "image/png"),
        Typical("digits", {"inputs": PICTURE["b64"], "parameters": {"top_k": 2}}),
        Typical("digits", {"inputs": [PICTURE["b64"]]}),
    ],
    embeddings: [
        Typical("", {"model": "feature-extraction", "input": ["a", "b"]}),
        Typical("", {"model": "feature-extraction", "input": "a", "encoding_format": "base64"}),
    ],
    rerank: [
        Typical("", {"model": "feature-extraction", "query": "a", "documents": ["b", {"text": "c"}], "top_n": 1}),
    ],
    invoke: [
        Typical("", {"model": "two", **INPUTS}),
        Typical("", {"model": "two", **AS_BYTES}, gives=BINARY),
        Typical("", {"model": "two", **COLUMNS}),
        Typical("", {"model": "sums", **ROWS}),
        Typical("", png(), "image/png"),
    ],
    explain: [
        Typical("digits", png(), "image/png"),
        Typical("digits", png(), BINARY),
        Typical("digits", npy_of(np.zeros((28, 28, 1), np.uint8)), NPY),
        Typical("digits", {"instances": [PICTURE]}),
        Typical("digits", png(), "image/png", {"accept": "image/png"}, gives="image/png"),
        Typical("halves", [[1.5]]),
        Typical("halves", {"x": [1.5]}),
    ],
    repository_index: [Typical("", b"")],
}
"""For each endpoint that takes a POST."""

ONLY_WITH_A_NAME = [
    Typical("sums", npy([1, 2, 3]), NPY),
    Typical("sums", [[1, 2, 3]]),
    Typical("two", BY_NAME),
    Typical("text", b"good morning", TEXT),
    Typical("text", "good morning"),
]
"""Payloads that fit other models than the default one."""


def typical_of(route: Route) -> list[Typical]:
    has_name = route.endpoint is predict and "{model}" in route.pattern
    return [*TYPICAL[route.endpoint], *(ONLY_WITH_A_NAME if has_name else [])]


POSTS = [route for route in ROUTES if route.method == "POST"]


def label(value: object) -> str:
    """What a test of a route, or of a request, is called."""
    if isinstance(value, Route):
        return f"{value.method} {value.pattern}"
    assert isinstance(value, Typical)
    return f"{value.model} {value.media_type} {str(value.body)[:40]}"


def validate(schema: object, value: object) -> None:
    assert isinstance(schema, dict)
    jsonschema_rs.validate({**schema, "components": DOCUMENT["components"]}, value)


def check_answer(route: Route, response: Response) -> None:
    """Hold an answer against what the description says of its route."""
    content = answers_of(route, "200" if response.status == 200 else "default")
    assert response.content_type in content
    if response.content_type == JSON:
        validate(content[JSON]["schema"], json.loads(response.body))


def typical_app() -> App:
    """Return an app with a model of each kind; the classifier `digits` is its default."""
    registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
    named = {"text": graphs.identity(TensorProto.STRING), "two": graphs.two_inputs(), "sums": graphs.sums()}
    candidates = [graphs.candidate(name, proto) for name, proto in named.items()]
    candidates += [
        graphs.digits_candidate(),
        graphs.halves_candidate(),
        graphs.char_candidate(),
        graphs.generator_candidate(),
        task_models.text_candidate("feature-extraction"),
    ]
    publish_all(registry, candidates)
    return App(Settings(registry.store.url, "digits"), write_line=lambda _line: None)
