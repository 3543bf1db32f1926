"""One file answered as the functions would, in this process."""

import os
from pathlib import Path
from typing import Any

import orjson

from onnxlet import payloads
from onnxlet.app import App
from onnxlet.config import Settings, storage_from_environment
from onnxlet.errors import InvalidRequestError
from onnxlet.http import JSON, Request


def predict_file(registry_url: str, name: str, file: Path) -> dict[str, Any]:
    """Send a file through the app: JSON to `infer`, anything else to `predict`.

    Returns:
        The answer's document.

    Raises:
        InvalidRequestError: the file cannot be read, or the functions refuse it.
    """
    try:
        body = file.read_bytes()
    except OSError as error:
        raise InvalidRequestError(f"{file}: cannot be read: {error.strerror}") from error
    settings = Settings(registry_url, storage=storage_from_environment(os.environ))
    is_json = file.suffix.lower() == ".json"
    path = f"/v2/models/{name}/infer" if is_json else f"/predict/{name}"
    media_type = JSON if is_json else payloads.media_type_of(file.name)
    app = App(settings, write_line=lambda _line: None)
    response = app.handle(Request("POST", path, body, {"content-type": media_type}))
    document: dict[str, Any] = orjson.loads(response.body)
    if response.status != 200:
        raise InvalidRequestError(f"{file}: {document['error']}")
    return document
