"""One file answered as the functions would, in this process."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson

from onnxlet import media
from onnxlet.app import App
from onnxlet.config import Settings, storage_from_environment
from onnxlet.errors import InvalidRequestError
from onnxlet.http import Request


def predict_file(registry_url: str, name: str, file: Path) -> dict[str, Any]:
    """Send a file through the app: JSON to `infer`, anything else to `predict`; raises as `ask`."""
    is_json = file.suffix.lower() == ".json"
    return ask(registry_url, f"/v2/models/{name}/infer" if is_json else f"/predict/{name}", file)


def ask(registry_url: str, path: str, file: Path, query: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """Post a file to a path of the app.

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
    app = App(settings, write_line=lambda _line: None)
    headers = {"content-type": media.media_type_of(file.name)}
    response = app.handle(Request("POST", path, body, headers, query))
    document: dict[str, Any] = orjson.loads(response.body)
    if response.status != 200:
        raise InvalidRequestError(f"{file}: {document['error']}")
    return document
