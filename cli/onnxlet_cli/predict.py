"""One file answered as the functions would, in this process."""

import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson

from onnxlet.errors import InvalidRequestError
from onnxlet.http import Request
from onnxlet.limits import MAX_EXPLAIN_RUNS, MAX_LENGTH
from onnxlet.media import media_types
from onnxlet.settings import Settings
from onnxlet.web.app import App
from onnxlet_publishing.google_identity import storage_of

STDIN = Path("-")


def predict_file(registry_url: str, name: str, file: Path) -> dict[str, Any]:
    """Send a file through the app: a V2 request to `infer`, anything else to `predict`; raises as `ask`.

    Args:
        registry_url: The registry's root.
        name: `NAME`, `NAME@ALIAS` or `NAME@VERSION`.
        file: The payload; `-` is the standard input.
    """
    body = _read(file)
    model, _, reference = name.partition("@")
    path = f"{model}/versions/{reference}" if reference.isdecimal() else name
    return _post(registry_url, f"/v2/models/{path}/infer" if _is_v2(body) else f"/predict/{path}", file, body, {})


def ask(registry_url: str, path: str, file: Path, query: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """Post a file to a path of the app.

    Returns:
        The response's document.

    Raises:
        InvalidRequestError: the file cannot be read, or the functions refuse it.
    """
    return _post(registry_url, path, file, _read(file), query)


def _post(registry_url: str, path: str, file: Path, body: bytes, query: Mapping[str, str]) -> dict[str, Any]:
    settings = Settings(
        registry_url,
        storage=storage_of(registry_url),
        explain_runs=MAX_EXPLAIN_RUNS,
        generate_length=MAX_LENGTH,
    )
    app = App(settings, write_line=lambda _line: None)
    response = app.handle(Request("POST", path, body, {"content-type": _media_type(file, body)}, query))
    document: dict[str, Any] = orjson.loads(response.body)
    if response.status != 200:
        raise InvalidRequestError(f"{file}: {document['error']}")
    return document


def _read(file: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == STDIN else file.read_bytes()
    except OSError as error:
        raise InvalidRequestError(f"{file}: cannot be read: {error.strerror}") from error


def _media_type(file: Path, body: bytes) -> str:
    """Return what the file's name says; of the standard input, what its first byte says."""
    if file != STDIN:
        return media_types.media_type_of(file.name)
    return media_types.JSON if body.lstrip()[:1] in (b"{", b"[") else "application/octet-stream"


def _is_v2(body: bytes) -> bool:
    """Return whether a body is a V2 infer request: `{"inputs": [{"name": ...}, ...]}`."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    inputs = document.get("inputs") if isinstance(document, dict) else None
    return isinstance(inputs, list) and all(isinstance(each, dict) and "name" in each for each in inputs)
