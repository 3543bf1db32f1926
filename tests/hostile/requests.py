"""The requests that the fuzzer makes, over all routes: valid ones, and what mutation makes of them.

As a script it answers so many of them in this process, and prints what came of it:

    python -m tests.hostile.requests REQUESTS SEED
"""

import gzip
import hashlib
import json
import logging
import math
import random
import sys
import tempfile
import zlib
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from onnxlet.clouds import aws_http
from onnxlet.contract import layout
from onnxlet.http import Request
from onnxlet.record import replace
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from onnxlet.web.endpoints import ROUTES
from onnxlet_publishing.publish import publish
from tests.helpers import graphs, task_models, ungated
from tests.hostile.bombs import object_bombs, peak_kib, pixel_and_decompression_bombs
from tests.hostile.mutation import TEXTS, mutate, mutate_document, mutate_text
from tests.hostile.operators import OPERATORS
from tests.hostile.task_requests import TASKS, post
from tests.test_clouds import png

SIDE = graphs.SIDE_PIXELS
LENGTH = "inference-header-content-length"
SETTLED = 0.1
"""The share of the requests after which memory has grown as far as it should."""

MAX_EVENT_BYTES = 6 * 2**20
"""Lambda's own bound."""

RUNTIME_FILE, RUNTIME = "fuzzed.mjs", b"export {};"
"""A file that stands for the runtime's: those have 14 MB, and come from a registry of packages."""

Seed = Callable[[], Request]


def v2_binary() -> Request:
    data = bytes(4 * SIDE * SIDE)
    tensor = {"name": "input", "datatype": "FP32", "shape": [1, SIDE, SIDE, 1]}
    document = {"inputs": [{**tensor, "parameters": {"binary_data_size": len(data)}}]}
    header = json.dumps(document | {"parameters": {"binary_data_output": True}}).encode()
    return Request("POST", "/v2/models/digits/infer", header + data, {LENGTH: str(len(header))})


def v2_raw() -> Request:
    return Request("POST", "/v2/models/digits/infer", bytes(4 * SIDE * SIDE), {LENGTH: "0"})


def v2_json() -> Request:
    tensor = {"name": "a", "datatype": "INT32", "shape": [1, 2], "data": [1, 2]}
    document = {"id": "1", "inputs": [tensor, tensor | {"name": "b"}], "outputs": [{"name": "sum"}]}
    return post("/v2/models/two/versions/1/infer", document)


def v2_texts() -> Request:
    tensor = {"name": "x", "datatype": "BYTES", "shape": [2], "data": ["a", "b"]}
    return post("/v2/models/texts@live/infer", {"inputs": [tensor], "parameters": {"binary_data_output": False}})


def v1_rows() -> Request:
    rows = [{"a": [1, 2], "b": [3, 4]}, {"a": [5, 6], "b": [7, 8]}]
    return post("/v1/models/two:predict", {"instances": rows, "parameters": {"top_k": 2}})


def v1_columns() -> Request:
    return post("/v1/models/two/versions/1:predict", {"inputs": {"a": [[1, 2]], "b": [[3, 4]]}})


def image() -> Request:
    return Request("POST", "/predict/digits", png(), {"content-type": "image/png"}, {"top_k": "3"})


def base64_image() -> Request:
    return post("/predict/digits", [{"b64": b64encode(png()).decode()}, b64encode(png()).decode()])


def multipart() -> Request:
    head = b'--b\r\nContent-Disposition: form-data; name="f"; filename="x.png"\r\nContent-Type: image/png\r\n\r\n'
    headers = {"content-type": "multipart/form-data; boundary=b"}
    return Request("POST", "/predict", head + png() + b"\r\n--b--\r\n", headers)


def npy() -> Request:
    shape = f"(1, {SIDE}, {SIDE}, 1)"
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    body = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(4 * SIDE * SIDE)
    return Request("POST", "/predict/digits", body, {"content-type": "application/x-npy"})


def text() -> Request:
    return Request("POST", "/predict/texts", b"a text", {"content-type": "text/plain"})


FAMILIES = {
    "gru": {"x": [2, 1, 4]},
    "lstm": {"x": [2, 1, 4]},
    "attention": {"q": [1, 2, 3], "k": [1, 4, 3], "v": [1, 4, 2]},
    "einsum": {"x": [1, 2, 3]},
    "instance-normalization": {"x": [1, 1, 2, 2]},
    "layer-normalization": {"x": [1, 2, 4]},
    "group-normalization": {"x": [1, 4, 2, 2]},
    "conv": {"x": [1, 1, 3, 3]},
}
"""Operators of every family whose kernels do not survive all sizes, each with shapes that it takes."""


def operator(name: str) -> Request:
    """Return numbers for a model of one operator."""
    inputs = [
        {"name": each, "datatype": "FP32", "shape": shape, "data": [0.5] * math.prod(shape)}
        for each, shape in FAMILIES[name].items()
    ]
    return post(f"/v2/models/{name}/infer", {"inputs": inputs})


def compressed() -> Request:
    request = v2_json()
    body = gzip.compress(request.body, mtime=0)
    return replace(request, body=body, headers={"content-encoding": "gzip", "accept-encoding": "gzip"})


def deflated() -> Request:
    request = v1_rows()
    return replace(request, body=zlib.compress(request.body), headers={"content-encoding": "deflate"})


def generated_text() -> Request:
    parameters = {"length": 3, "temperature": 0.5, "top_k": 2, "seed": 1}
    return post("/v2/models/char/generate", {"text_input": "ab", "parameters": parameters})


def generated_image() -> Request:
    return post("/v2/models/generator/versions/1/generate", {"count": 1, "seed": 1}, accept="image/png")


def explained() -> Request:
    request = Request("POST", "/v2/models/digits/explain", png(), {"content-type": "image/png"})
    return replace(request, query={"budget_runs": "10", "target": "1"})


def invocation() -> Request:
    return post("/invocations", {"model": "two", "instances": [{"a": [1, 2], "b": [3, 4]}]})


def index() -> Request:
    return post("/v2/repository/index", {})


def asked(pattern: str) -> Request:
    """A route that takes no body."""
    headers = {"accept": "text/html", "x-request-id": "1", "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    file = "main.js" if pattern.startswith("/playground/") else RUNTIME_FILE
    names = {"{model}": "digits", "{version}": "1", "{file}": file, "{sha256}": graph_sha256()}
    path = pattern
    for name, value in names.items():
        path = path.replace(name, value)
    return Request("GET", path, headers=headers)


@cache
def graph_sha256() -> str:
    """Of a graph that a browser may fetch: the same of each publication."""
    artifact = publish(Registry(open_store("memory://hostile")), graphs.digits_candidate()).artifact("model")
    assert artifact is not None
    return artifact.sha256


BODIES: tuple[Seed, ...] = (
    v2_binary,
    v2_raw,
    v2_json,
    v2_texts,
    v1_rows,
    v1_columns,
    image,
    base64_image,
    multipart,
    npy,
    text,
    compressed,
    deflated,
    generated_text,
    generated_image,
    explained,
    invocation,
    index,
    *TASKS,
    *(partial(operator, name) for name in FAMILIES),
)
SEEDS: tuple[Seed, ...] = (*BODIES, *(partial(asked, route.pattern) for route in ROUTES if route.method == "GET"))
"""Requests that are answered, of every route."""


def serve(root: str) -> App:
    """An app with a model of each kind."""
    registry = Registry(open_store(root))
    for candidate in (
        graphs.digits_candidate(),
        graphs.candidate("two", graphs.two_inputs()),
        graphs.candidate("texts", graphs.identity(8)),
        graphs.char_candidate(),
        graphs.generator_candidate(),
        *(graphs.candidate(name, OPERATORS[name]()) for name in FAMILIES),
    ):
        publish(registry, candidate)
    for candidate in task_models.candidates()[1:]:
        ungated.publish(registry, candidate)
    layout.EDGE_FILES[RUNTIME_FILE] = hashlib.sha256(RUNTIME).hexdigest()
    registry.store.put_if_absent(layout.edge_key(RUNTIME_FILE), gzip.compress(RUNTIME))
    settings = Settings(root, model="digits", inputs=(f"s3://{'x' * 20}/in",), refresh_s=1e6, edge=True)
    return App(settings, write_line=lambda _line: None)


@cache
def bombs() -> tuple[Request, ...]:
    """Requests that ask for too much; they take seconds to make."""
    return tuple((pixel_and_decompression_bombs() | object_bombs()).values())


def malformed(chance: random.Random) -> Request:
    """A request with something wrong in it, most of the time."""
    request = chance.choice(SEEDS)()
    if chance.random() < 0.002:
        return chance.choice(bombs())
    if request.method == "POST" and chance.random() < 0.75:
        return mutate_body(request, chance)
    match chance.randrange(4):
        case 0:
            return replace(request, method=chance.choice(["GET", "POST", "PUT", "", "get", "OPTIONS", "\0", "X" * 999]))
        case 1:
            return replace(request, path=mutate_text(request.path, chance))
        case 2:
            return replace(request, headers=mutate_map(request.headers, chance))
        case _:
            return replace(request, query=mutate_map({"top_k": "1"}, chance))


def mutate_body(request: Request, chance: random.Random) -> Request:
    """The request with a change in its body: in what it says where that is JSON, else, or as often, in its bytes."""
    try:
        document = json.loads(request.body)
    except ValueError:
        return mutate_encoded(request, chance)
    if chance.random() < 0.3:
        return replace(request, body=mutate(request.body, chance))
    return replace(request, body=json.dumps(mutate_document(document, chance)).encode("utf-8", "replace"))


def mutate_encoded(request: Request, chance: random.Random) -> Request:
    """The same of a body that is JSON and bytes, or compressed."""
    length = int(request.headers.get(LENGTH, "0"))
    if length and chance.random() < 0.7:
        document = mutate_document(json.loads(request.body[:length]), chance)
        header = json.dumps(document).encode()
        return replace(request, body=header + request.body[length:], headers={LENGTH: str(len(header))})
    encoding = request.headers.get("content-encoding")
    if encoding and chance.random() < 0.7:
        inner = zlib.decompress(request.body, 47)
        changed = mutate(inner, chance)
        return replace(request, body=gzip.compress(changed) if encoding == "gzip" else zlib.compress(changed))
    return replace(request, body=mutate(request.body, chance))


def mutate_map(values: Any, chance: random.Random) -> dict[str, str]:
    """Headers or parameters with one changed or added."""
    names = (*values, "content-type", "content-encoding", LENGTH, "accept-encoding", "onnxlet-key", "x-amzn-trace-id")
    name = chance.choice(names)
    return {**values, name: mutate_text(values.get(name, chance.choice(TEXTS)), chance)}


def to_event(request: Request, chance: random.Random) -> dict[str, Any]:
    """The request as Lambda gives it, with something wrong in that, too."""
    event = {
        "rawPath": request.path,
        "rawQueryString": "top_k=1&x=%ff",
        "headers": dict(request.headers),
        "requestContext": {"http": {"method": request.method}, "requestId": "1", "stage": "$default"},
        "body": b64encode(request.body).decode(),
        "isBase64Encoded": True,
    }
    found = mutate_document(event, chance) if chance.random() < 0.5 else event
    return found if isinstance(found, dict) else event


class Traces(logging.Handler):
    """Keeps the log's records of what nobody foresaw."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.found.append(repr(record.exc_info[1]))


def answer(app: App, chance: random.Random) -> int:
    """Ask for one malformed answer, and look at its form."""
    request = malformed(chance)
    response = app.handle(request)
    if chance.random() < 0.2 and len(request.body) < MAX_EVENT_BYTES:
        event = to_event(request, chance)
        response = app.handle(event, aws_http.to_request)
        aws_http.from_response(response, event)
    if response.status >= 400:
        document = json.loads(response.body)
        if isinstance(document["error"], dict):  # in OpenAI's form
            document = {"code": document["error"]["code"], "error": document["error"]["message"]}
        assert document["code"], request
        assert "\n" not in document["error"], request
    return response.status


def main(count: int, seed: int) -> None:
    traces = Traces()
    logging.getLogger().addHandler(traces)
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        app = serve(Path(folder).as_uri())
        statuses: Counter[int] = Counter()
        settled_kib = 0
        for number in range(count):
            statuses[answer(app, chance)] += 1
            if number == int(count * SETTLED):
                for bomb in bombs():
                    app.handle(bomb)
                settled_kib = peak_kib()
        whole = [app.handle(seed()).status for seed in SEEDS]
    grown_mib = (peak_kib() - settled_kib) / 1024
    found = {
        "statuses": statuses,
        "traces": traces.found,
        "peak_mib": peak_kib() / 1024,
        "grown_mib": grown_mib,
        "whole": whole,
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
