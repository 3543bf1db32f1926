"""The warm calls that a worker process prepares and times: those of the functions, and those of the baselines."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from onnxlet_cli.bench.payloads import (
    HEADER_LENGTH,
    Array,
    function_url_event,
    plain_json,
    read_plain_json,
    read_result,
    read_v2_binary,
    read_v2_json,
    v2_binary,
    v2_json,
    v2_path,
)

Call = Callable[[Any], Any]
"""A call that takes the parent's argument, which most calls ignore."""


def run_session(model: str, folder: Path, threads: int | None) -> Call:
    """Prepare `session.run` of onnxruntime's Python API on the model's file.

    Args:
        model: The file's name.
        folder: The file's folder.
        threads: The session's number of threads; None takes onnxruntime's default.
    """
    import onnxruntime  # the functions' own calls do without it

    options = onnxruntime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(folder / f"{model}.onnx"), options)
    feed, names = _inputs(folder), [output.name for output in session.get_outputs()]
    return lambda _: session.run(names, feed)[0]


def own_session(folder: Path) -> Call:
    """Prepare a run of the function's own session on the same tensors, without anything around it."""
    main = importlib.import_module("main")
    tensors = importlib.import_module("onnxlet.contract.tensors")
    loaded = main.app.service.find(None).model
    names = [spec.name for spec in loaded.manifest.outputs]
    inputs = {
        name: tensors.Tensor(tensors.BY_NUMPY[array.dtype.name], array.shape, array.data.cast("B"))
        for name, array in _inputs(folder).items()
    }

    def call(_: Any) -> Array:
        (output,) = loaded.session.run(inputs, names)
        return np.frombuffer(output.buffer, np.float32)

    return call


def own_handler(model: str, folder: Path, form: str) -> Call:
    """Prepare the function's `App.handle` on a request with a raw body, as the translator for Google Cloud makes it."""
    main = importlib.import_module("main")
    http = importlib.import_module("onnxlet.http")
    body, headers = (v2_binary if form == "binary" else v2_json)(_inputs(folder))
    return lambda _: main.app.handle(http.Request("POST", v2_path(model), body, headers))


def own_function(model: str, folder: Path, form: str) -> Call:
    """Prepare the function's `aws_http` on the event of a Function URL, in which a binary body is base64."""
    main = importlib.import_module("main")
    event = function_url_event(v2_path(model), *(v2_binary if form == "binary" else v2_json)(_inputs(folder)))
    return lambda _: main.aws_http(event, None)


def typical(folder: Path) -> Call:
    """Prepare the typical handler on the same tensors as plain JSON."""
    module = importlib.import_module("typical")
    event = function_url_event("/", *plain_json(_inputs(folder)))
    return lambda _: module.handler(event, None)


def own_objects() -> Call:
    """Prepare the function's `aws_objects` on the batches of a queue, one after another."""
    main = importlib.import_module("main")
    return lambda batches: [main.aws_objects(batch, None) for batch in batches]


def one_by_one() -> Call:
    """Prepare the typical handler for queues on the same batches."""
    module = importlib.import_module("one_by_one")
    return lambda batches: [module.handler(batch, None) for batch in batches]


FACTORIES: dict[str, Callable[[str, Path], Call]] = {
    "run": lambda model, folder: run_session(model, folder, threads=1),
    "run, default threads": lambda model, folder: run_session(model, folder, threads=None),
    "own session": lambda _model, folder: own_session(folder),
    "handle binary": lambda model, folder: own_handler(model, folder, "binary"),
    "handle json": lambda model, folder: own_handler(model, folder, "json"),
    "aws_http binary": lambda model, folder: own_function(model, folder, "binary"),
    "aws_http json": lambda model, folder: own_function(model, folder, "json"),
    "typical json": lambda _model, folder: typical(folder),
    "aws_objects": lambda _model, _folder: own_objects(),
    "one by one": lambda _model, _folder: one_by_one(),
}
"""Functions that prepare the call of each case, from a model's name and its folder in the cache."""


def output_of(result: Any) -> Array:
    """Return the model's output from the result of any of the calls."""
    if isinstance(result, np.ndarray):
        return result
    headers, body = read_result(result) if isinstance(result, dict) else (result.headers, result.body)
    if HEADER_LENGTH in headers:
        return read_v2_binary(headers, body)
    return read_v2_json(body) if b'"outputs"' in body[:200] else read_plain_json(body)


def _inputs(folder: Path) -> dict[str, Array]:
    return {path.stem.removeprefix("input-"): np.load(path) for path in folder.glob("input-*.npy")}
