"""`onnxlet predict`: answers a file in this process, with the functions' own code."""

import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import orjson
import typer

from onnxlet.contract import layout
from onnxlet.http import Request
from onnxlet.limits import MAX_EXPLAIN_RUNS, MAX_LENGTH
from onnxlet.media import media_types
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.web.app import App
from onnxlet_cli import output
from onnxlet_cli.options import JsonOption, RegistryOption
from onnxlet_cli.predictions import prediction_lines
from onnxlet_cli.registry import open_registry
from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.google_identity import storage_of

STDIN = Path("-")


def predict(
    name: Annotated[str, typer.Argument(help="Name of the model: NAME, NAME@ALIAS or NAME@VERSION.")],
    file: Annotated[
        Path | None,
        typer.Argument(
            help="A file that the model's task takes, an array (.npy), rows as JSON, or a V2 request; - reads standard "
            "input. Without it, the version's own example."
        ),
    ] = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Answer a file in this process, with the functions' own code."""
    opened = open_registry(registry)
    answer = predict_example(opened, name) if file is None else predict_file(opened.store.url, name, file)
    lines = [f"  {line}" for prediction in answer.get("predictions", []) for line in prediction_lines(prediction)]
    is_v2 = "predictions" not in answer
    title = "" if is_v2 else f"{answer['model']} version {answer['version']}"
    output.show(answer, title, *lines, json=json or is_v2)


def predict_file(registry_url: str, name: str, file: Path) -> dict[str, Any]:
    """Return the app's answer to a file: to a V2 request by `infer`, to anything else by `predict`.

    Args:
        registry_url: The registry's root.
        name: `NAME`, `NAME@ALIAS` or `NAME@VERSION`.
        file: The payload; `-` is the standard input.

    Raises:
        UsageError: The file cannot be read, or the app refuses it.
    """
    body = _read(file)
    model, version = _split(name)
    path = model if version is None else f"{model}/versions/{version}"
    path = f"/v2/models/{path}/infer" if _is_v2(body) else f"/predict/{path}"
    return _post(registry_url, path, str(file), body, _media_type(file, body), {})


def predict_example(registry: Registry, name: str) -> dict[str, Any]:
    """Return the app's answer to a version's own example; raises as `predict_file`, also if there is no example."""
    reference, version = _split(name)
    model, _, alias = reference.partition("@")
    manifest = registry.resolve(model, alias or layout.LIVE) if version is None else registry.version(model, version)
    example = registry.example(manifest)
    if example is None:
        raise UsageError(f"{name}: this version was published without an example: name a file to predict")
    query = {
        key: ",".join(value) if isinstance(value, list) else str(value) for key, value in example.parameters.items()
    }
    path = f"/predict/{manifest.model}/versions/{manifest.version}"
    return _post(registry.store.url, path, name, example.body, example.media_type, query)


def _split(name: str) -> tuple[str, int | None]:
    """Return the model and the version of `NAME@VERSION`; the whole name and None for `NAME` and `NAME@ALIAS`."""
    model, _, version = name.partition("@")
    return (model, int(version)) if version.isdecimal() else (name, None)


def post_file(
    registry_url: str, path: str, file: Path, query: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """Post a file to a path of the app and return the response's document; raises as `predict_file`."""
    body = _read(file)
    return _post(registry_url, path, str(file), body, _media_type(file, body), query)


def _post(
    registry_url: str, path: str, source: str, body: bytes, media_type: str, query: Mapping[str, str]
) -> dict[str, Any]:
    settings = Settings(
        registry_url,
        storage=storage_of(registry_url),
        explain_runs=MAX_EXPLAIN_RUNS,
        generate_length=MAX_LENGTH,
    )
    app = App(settings, write_line=lambda _line: None)
    response = app.handle(Request("POST", path, body, {"content-type": media_type}, query))
    document: dict[str, Any] = orjson.loads(response.body)
    if response.status != 200:
        raise UsageError(f"{source}: {document['error']}")
    return document


def _read(file: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == STDIN else file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error


def _media_type(file: Path, body: bytes) -> str:
    """Return the media type of a file by its name, or of the standard input by its first byte."""
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
    return isinstance(inputs, list) and all(isinstance(item, dict) and "name" in item for item in inputs)
