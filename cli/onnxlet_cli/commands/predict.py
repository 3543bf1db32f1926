"""`onnxlet predict`: answers a file in this process, with the functions' own code."""

import sys
from collections.abc import Mapping, Sequence
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
from onnxlet_cli.predictions import answer_lines, prediction_lines
from onnxlet_cli.registry import open_registry
from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.google_identity import storage_of

STDIN = Path("-")


def predict(
    name: Annotated[str, typer.Argument(help="Name of the model: NAME, NAME@ALIAS or NAME@VERSION.")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files that the model's task takes, arrays (.npy), rows as JSON, or V2 requests; - reads standard "
            "input. Without a file, the version's own example.",
        ),
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            help="A parameter of the task, such as top_k=3 or candidate_labels=red,green.", metavar="NAME=VALUE"
        ),
    ] = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Answer files in this process, with the functions' own code."""
    opened = open_registry(registry)
    parameters = dict(map(_parse_parameter, parameter or []))
    if not files:
        _show(predict_example(opened, name, parameters), json=json)
    elif len(files) == 1:
        _show(predict_file(opened.store.url, name, files[0], parameters), json=json)
    else:
        _show_each(opened.store.url, name, files, parameters, json=json)


def predict_file(
    registry_url: str, name: str, file: Path, parameters: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """Return the app's answer to a file: to a V2 request by `infer`, to anything else by `predict`.

    Args:
        registry_url: The registry's root.
        name: `NAME`, `NAME@ALIAS` or `NAME@VERSION`.
        file: The payload; `-` is the standard input.
        parameters: The parameters of the task.

    Raises:
        UsageError: The file cannot be read, or the app refuses it.
    """
    return _predict_file(_app(registry_url), name, file, parameters)


def predict_example(
    registry: Registry, name: str, parameters: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
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
    return _post(_app(registry.store.url), path, name, example.body, example.media_type, {**query, **parameters})


def _split(name: str) -> tuple[str, int | None]:
    """Return the model and the version of `NAME@VERSION`; the whole name and None for `NAME` and `NAME@ALIAS`."""
    model, _, version = name.partition("@")
    return (model, int(version)) if version.isdecimal() else (name, None)


def post_file(
    registry_url: str, path: str, file: Path, query: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """Post a file to a path of the app and return the response's document; raises as `predict_file`."""
    body = _read(file)
    return _post(_app(registry_url), path, str(file), body, _media_type(file, body), query)


def _predict_file(app: App, name: str, file: Path, parameters: Mapping[str, str]) -> dict[str, Any]:
    body = _read(file)
    model, version = _split(name)
    path = model if version is None else f"{model}/versions/{version}"
    path = f"/v2/models/{path}/infer" if _is_v2(body) else f"/predict/{path}"
    return _post(app, path, str(file), body, _media_type(file, body), parameters)


def _show(answer: dict[str, Any], *, json: bool) -> None:
    """Print one answer; tensors are printed as JSON."""
    is_v2 = "predictions" not in answer
    title = "" if is_v2 else f"{answer['model']} version {answer['version']}"
    output.show(answer, title, *_lines(answer), json=json or is_v2)


def _show_each(
    registry_url: str, name: str, files: Sequence[Path], parameters: Mapping[str, str], *, json: bool
) -> None:
    """Print the answer to each of several files; a file without an answer does not keep the others from theirs.

    Raises:
        Exit: A file has no answer.
    """
    app, answers, has_failed = _app(registry_url), [], False
    for file in files:
        try:
            answer = _predict_file(app, name, file, parameters)
        except UsageError as error:
            output.print_error(error)
            has_failed = True
            continue
        answers.append({"file": str(file), **answer})
        if not json:
            output.show(answer, str(file), *_lines(answer), json=False)
    if json:
        output.print_json(answers)
    if has_failed:
        raise typer.Exit(1)


def _lines(answer: dict[str, Any]) -> list[str]:
    if "predictions" in answer:
        return [f"  {line}" for line in answer_lines(answer["predictions"])]
    return [f"  {line}" for tensor in answer.get("outputs", []) for line in prediction_lines(tensor)]


def _parse_parameter(text: str) -> tuple[str, str]:
    """Return the name and the value of `NAME=VALUE`.

    Raises:
        UsageError: There is no name or no equals sign.
    """
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise UsageError(f"--parameter: expected NAME=VALUE, got {text!r}")
    return name, value


def _app(registry_url: str) -> App:
    settings = Settings(
        registry_url,
        storage=storage_of(registry_url),
        explain_runs=MAX_EXPLAIN_RUNS,
        generate_length=MAX_LENGTH,
    )
    return App(settings, write_line=lambda _line: None)


def _post(app: App, path: str, source: str, body: bytes, media_type: str, query: Mapping[str, str]) -> dict[str, Any]:
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
    """Return the media type of a file by its name; else JSON or text, if the bytes are that."""
    suffix = media_types.media_type_of(file.name)
    if suffix in media_types.MEDIA_TYPES:
        return suffix
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return suffix
    try:
        is_json = isinstance(orjson.loads(body), dict | list)
    except orjson.JSONDecodeError:
        is_json = False
    return media_types.JSON if is_json else media_types.TEXT if text.strip() else suffix


def _is_v2(body: bytes) -> bool:
    """Return whether a body is a V2 infer request: `{"inputs": [{"name": ...}, ...]}`."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    inputs = document.get("inputs") if isinstance(document, dict) else None
    return isinstance(inputs, list) and all(isinstance(item, dict) and "name" in item for item in inputs)
