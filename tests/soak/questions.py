"""The questions: what is asked, in every form that the functions take, and what each edition answers to it."""

from __future__ import annotations

import io
import json
import uuid
import zlib
from base64 import b64encode
from dataclasses import dataclass, field, replace
from math import isclose
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from onnxlet.http import JSON, Request
from onnxlet.protocols.v2 import HEADER_LENGTH
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from onnxlet_cli.bench.payloads import v2_binary, v2_json, v2_path
from onnxlet_publishing.publish import store_all
from tests.soak.catalogue import CHAR, DIGITS, LARGE, LARGE_ROW, ROW

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.soak.catalogue import Catalogue, Ledger

VOLATILE = {"version", "versions", "model_version", "problem", "error"}
"""What the same answer of another version has otherwise: its number, and texts."""

TOLERANCE = 1e-4
"""Relative, and of probabilities absolute: another number of threads adds in another order."""

BOUNDARY = "soak"


@dataclass(frozen=True)
class Question:
    """One request, and what must come back."""

    kind: str
    """What it stands for in the report."""
    share: float
    """How often it is asked, beside the others."""
    method: str
    path: str
    """`{version}` in it stands for any version that was live."""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    model: str | None = None
    """Who answers; None where none does."""
    answers: tuple[object, ...] = ()
    """Of each edition, without what is volatile; nothing where only the status is known."""


def ask_all(catalogue: Catalogue) -> list[Question]:
    """Every question with its answers: those of an app in this process that knows one edition of each model.

    Raises:
        AssertionError: an app gives another status, or two editions the same answer, which would prove nothing.
    """
    count = max(map(len, catalogue.editions.values()))
    apps = [_app_of(catalogue, edition) for edition in range(count)]
    return [_with_answers(question, apps, catalogue) for question in _questions(catalogue)]


def problem(
    question: Question, pinned: int | None, status: int, headers: Mapping[str, str], body: bytes, ledger: Ledger
) -> str | None:
    """What is wrong with an answer, or None.

    Args:
        question: What was asked.
        pinned: The version that it was asked of, where it named one.
        status: The answer's.
        headers: The answer's, with names in lower case.
        body: The answer's.
        ledger: Which versions may answer.
    """
    if status != question.status:
        return f"status {status} and not {question.status}: {body[:300].decode(errors='replace')}"
    edition = 0
    if question.model is not None:
        name, version = headers["onnxlet-model"], int(headers["onnxlet-version"])
        if name != question.model or pinned not in {None, version}:
            return f"answered by {name} version {version}, asked was {question.model} {pinned or ''}"
        found = ledger.edition(name, version)
        if found is None:
            return f"answered by {name} version {version}, which was never live"
        edition = found
    if question.answers and not is_same(content(headers, body), question.answers[edition]):
        return f"another answer than that of edition {edition}: {body[:200]!r}"
    return None


def content(headers: Mapping[str, str], body: bytes) -> object:
    """What an answer says, without what is volatile."""
    if headers.get("content-encoding") == "gzip":
        body = zlib.decompress(body, 31)
    if HEADER_LENGTH in headers:
        split = int(headers[HEADER_LENGTH])
        return [_stable(json.loads(body[:split])), np.frombuffer(body[split:], np.float32)]
    if (headers.get("content-type") or "").startswith(JSON):
        return _stable(json.loads(body))
    return body


def is_same(found: object, expected: object) -> bool:
    """Whether two contents are equal, numbers within a tolerance."""
    if isinstance(found, np.ndarray) and isinstance(expected, np.ndarray):
        return found.shape == expected.shape and np.allclose(found, expected, TOLERANCE, TOLERANCE)
    if isinstance(found, float) and isinstance(expected, float):
        return isclose(found, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    if isinstance(found, dict) and isinstance(expected, dict):
        return found.keys() == expected.keys() and all(is_same(found[key], expected[key]) for key in found)
    if isinstance(found, list) and isinstance(expected, list):
        return len(found) == len(expected) and all(map(is_same, found, expected))
    return found == expected


def _questions(catalogue: Catalogue) -> Iterator[Question]:
    yield from _image_questions()
    for number, name in enumerate(catalogue.rows):
        yield from _row_questions(name, 1 / (1 + number))  # some are asked far more than others
    yield from _other_questions()
    if LARGE in catalogue.editions:
        x = np.ones((1, LARGE_ROW), np.float32)
        yield Question("large model", 3, "POST", v2_path(LARGE), *v2_binary({"x": x}), model=LARGE)


def _image_questions() -> Iterator[Question]:
    png, jpeg = _image("PNG"), _image("JPEG")
    images = np.random.default_rng(0).random((2, 28, 28, 1)).astype(np.float32)
    array = io.BytesIO()
    np.save(array, images)
    form = b"".join(
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=a\r\nContent-Type: image/{kind}\r\n\r\n".encode()
        + data
        + b"\r\n"
        for kind, data in (("png", png), ("jpeg", jpeg))
    )
    instances = json.dumps({"instances": [{"b64": b64encode(png).decode()}], "parameters": {"top_k": 2}}).encode()
    binary = v2_binary({"input": images})
    predict, versions = f"/predict/{DIGITS}", f"/v2/models/{DIGITS}/versions/{{version}}"

    def post(
        kind: str, share: float, path: str, body: bytes, headers: Mapping[str, str], status: int = 200
    ) -> Question:
        return Question(kind, share, "POST", path, body, headers, status, DIGITS)

    yield post("PNG", 8, predict, png, {"content-type": "image/png"})
    yield post("JPEG", 6, "/predict?top_k=3", jpeg, {"content-type": "image/jpeg"})
    yield post("npy", 6, predict, array.getvalue(), {"content-type": "application/x-npy"})
    media_type = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    yield post("multipart", 4, predict, form + f"--{BOUNDARY}--\r\n".encode(), media_type)
    yield post("V1 image", 4, f"/v1/models/{DIGITS}:predict", instances, {"content-type": JSON})
    yield post("V2 JSON", 8, v2_path(DIGITS), *v2_json({"input": images}))
    yield post("V2 binary", 8, v2_path(DIGITS), *binary)
    yield post("V2 binary of a version", 4, f"{versions}/infer", *binary)
    yield post("refused", 1, predict, b"\xff\xd8\xff no image", {"content-type": "image/jpeg"}, 422)
    for path in (f"/v2/models/{DIGITS}", f"/v2/models/{DIGITS}/config", f"/v1/models/{DIGITS}", f"{versions}/ready"):
        yield Question("metadata", 1, "GET", path, model=DIGITS)


def _row_questions(name: str, share: float) -> Iterator[Question]:
    row = np.ones((1, ROW), np.float32)
    body, headers = v2_json({"x": row})
    zipped = zlib.compressobj(1, wbits=31)
    zipped_body = zipped.compress(body) + zipped.flush()
    both_ways = {**headers, "content-encoding": "gzip", "accept-encoding": "gzip"}
    instances = json.dumps({"instances": row.tolist()}).encode()
    yield Question("row, V2 binary", 8 * share, "POST", v2_path(name), *v2_binary({"x": row}), model=name)
    yield Question("row, gzip", 3 * share, "POST", v2_path(name), zipped_body, both_ways, model=name)
    yield Question(
        "row, V1", share, "POST", f"/v1/models/{name}:predict", instances, {"content-type": JSON}, model=name
    )


def _other_questions() -> Iterator[Question]:
    json_type = {"content-type": JSON}
    text = json.dumps({"text_input": "ab", "length": 20, "temperature": 0, "seed": 1}).encode()
    yield Question("generate", 6, "POST", f"/v2/models/{CHAR}/generate", text, json_type, model=CHAR)
    yield Question("refused", 1, "POST", v2_path(DIGITS), b'{"inputs": [', json_type, 400)
    yield Question("refused", 1, "POST", v2_path("nobody"), *v2_json({"x": np.ones(1, np.float32)}), status=404)
    yield Question("refused", 1, "GET", v2_path(DIGITS), status=405)
    for path in ("/v2", "/v2/health/live", "/openapi.json", "/"):
        yield Question("metadata", 0.5, "GET", path)
    yield Question("metadata", 0.5, "GET", "/v2/health/ready", model=DIGITS)
    yield Question("lists", 0.2, "POST", "/v2/repository/index")
    yield Question("lists", 0.2, "GET", "/v2/models/stats")
    yield Question("lists", 0.2, "GET", "/v2/models")


def _app_of(catalogue: Catalogue, edition: int) -> App:
    """An app that knows one edition of each model: the last one where there are fewer."""
    url = f"memory://{uuid.uuid4()}"
    store_all(Registry(open_store(url)), [found[min(edition, len(found) - 1)] for found in catalogue.editions.values()])
    return App(Settings(url, model=DIGITS), write_line=lambda _line: None)


def _with_answers(question: Question, apps: list[App], catalogue: Catalogue) -> Question:
    found = []
    for app in apps[: len(catalogue.editions[question.model]) if question.model else 1]:
        path, _, query = question.path.format(version=1).partition("?")
        parameters = dict([query.split("=")]) if query else {}
        response = app.handle(Request(question.method, path, question.body, question.headers, parameters))
        assert response.status == question.status, (question, response.body)
        found.append(content({**response.headers, "content-type": response.content_type}, response.body))
    if question.method == "POST" and question.model and question.status == 200:
        assert not any(is_same(one, other) for one in found for other in found if one is not other), question.kind
    return replace(question, answers=() if question.kind == "lists" else tuple(found))


def _stable(document: Any) -> Any:
    if isinstance(document, dict):
        return {key: _stable(value) for key, value in document.items() if key not in VOLATILE}
    return [_stable(value) for value in document] if isinstance(document, list) else document


def _image(form: str) -> bytes:
    stream = io.BytesIO()
    Image.linear_gradient("L").save(stream, form)
    return stream.getvalue()
