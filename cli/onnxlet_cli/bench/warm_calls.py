"""The warm calls that a worker process prepares and times: those of the functions, and those of the baselines."""

import importlib
from collections.abc import Callable, Mapping
from functools import partial
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
Form = Callable[[Mapping[str, Array]], tuple[bytes, dict[str, str]]]
"""Makes the body and the headers of a request from a model's inputs."""


Prepare = Callable[[str, Path], Call]
"""Prepares a call, from a model's name and its folder in the cache."""


def run_session(model: str, folder: Path, threads: int | None = None) -> Call:
    """Prepare `session.run` of onnxruntime's Python API, by default with its default number of threads."""
    import onnxruntime  # the functions' own calls do without it

    options = onnxruntime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(folder / f"{model}.onnx"), options)
    feed, names = _inputs(folder), [output.name for output in session.get_outputs()]
    return lambda _: session.run(names, feed)[0]


def own_session(_model: str, folder: Path) -> Call:
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


def own_handler(form: Form) -> Prepare:
    """Prepare the function's `App.handle` on a request with a raw body, as the translator for Google Cloud makes it."""

    def prepare(model: str, folder: Path) -> Call:
        main, http = importlib.import_module("main"), importlib.import_module("onnxlet.http")
        body, headers = form(_inputs(folder))
        return lambda _: main.app.handle(http.Request("POST", v2_path(model), body, headers))

    return prepare


def handler(module: str, name: str, form: Form) -> Prepare:
    """Prepare a handler on the event of a Function URL, in which a binary body is base64."""

    def prepare(model: str, folder: Path) -> Call:
        handle = getattr(importlib.import_module(module), name)
        event = function_url_event(v2_path(model), *form(_inputs(folder)))
        return lambda _: handle(event, None)

    return prepare


def batches(module: str, name: str) -> Prepare:
    """Prepare a handler on the batches of a queue, one after another."""

    def prepare(_model: str, _folder: Path) -> Call:
        handle = getattr(importlib.import_module(module), name)
        return lambda events: [handle(event, None) for event in events]

    return prepare


FACTORIES: dict[str, Prepare] = {
    "run": partial(run_session, threads=1),
    "run, default threads": run_session,
    "own session": own_session,
    "handle binary": own_handler(v2_binary),
    "handle json": own_handler(v2_json),
    "aws_http binary": handler("main", "aws_http", v2_binary),
    "aws_http json": handler("main", "aws_http", v2_json),
    "typical json": handler("typical", "handler", plain_json),
    "aws_objects": batches("main", "aws_objects"),
    "one by one": batches("one_by_one", "handler"),
}
"""Functions that prepare the call of each case."""


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
