"""The same bytes through both clouds' real runtimes must come back the same."""

import base64
import gzip
import http.client
import io
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import pytest
from PIL import Image

from onnxlet import session
from onnxlet.contract import layout
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet_cli.local.cloud_function import serve_cloud_function
from onnxlet_cli.local.function_url import serve_function_url
from onnxlet_cli.local.lambda_function import LambdaFunction
from onnxlet_cli.local.serve import LocalSettings, serve
from onnxlet_publishing.publish import publish
from tests.helpers import graphs
from tests.helpers.fake_gcs import FakeGcs
from tests.helpers.lambda_runtimes import BEHIND_THE_EMULATOR, Start


@dataclass(frozen=True)
class Exchange:
    """One request, and the status that it must get."""

    method: str
    path: str
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def png() -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").save(buffer, "PNG")
    return buffer.getvalue()


def infer(shape: list[int], name: str = "input", datatype: str = "FP32") -> bytes:
    data = [index % 7 / 7 for index in range(shape[0] * 784)]
    tensor = {"name": name, "shape": shape, "datatype": datatype, "data": data}
    return json.dumps({"id": "é", "inputs": [tensor]}).encode()


def v1() -> bytes:
    return json.dumps({"instances": [{"b64": base64.b64encode(png()).decode()}], "parameters": {"top_k": 2}}).encode()


def b64_list() -> bytes:
    return json.dumps([base64.b64encode(png()).decode()]).encode()


PNG = {"Content-Type": "image/png"}
JSON = {"Content-Type": "application/json"}
INFER = "/v2/models/digits/infer"

EXCHANGES = [
    Exchange("GET", "/v2", 200),
    Exchange("GET", "/v2/health/live", 200),
    Exchange("GET", "/v2/health/ready", 200),
    Exchange("GET", "/v2/models/digits", 200),
    Exchange("GET", "/v2/models/digits%40live", 200),
    Exchange("GET", "/v2/models/digits/versions/1/ready", 200),
    Exchange("POST", INFER, 200, infer([2, 28, 28, 1]), JSON),
    Exchange("POST", INFER, 200, infer([1, 28, 28, 1])),  # as tritonclient: without a content type
    Exchange("POST", INFER, 200, infer([1, 28, 28, 1]), {"Content-Type": "text/plain; charset=utf-8"}),
    Exchange("POST", "/v2/models/digits/versions/1/infer", 200, infer([1, 28, 28, 1]), JSON),
    Exchange("POST", "/predict/digits", 200, png(), PNG),
    Exchange("POST", "/predict?top_k=2", 200, png(), PNG),
    Exchange("POST", "/predict?top_k=2&top_k=x", 200, png(), PNG),
    Exchange("POST", "/predict/digits?top_k=a%20b", 400, png(), PNG),
    Exchange("POST", "/predict/digits", 400, b"", PNG),
    Exchange("POST", "/predict/digits", 200, png()),  # as curl --data-binary: the first bytes say what it is
    Exchange("POST", "/predict/digits", 415, b"what is this?"),
    Exchange("POST", "/predict/digits", 422, b"\xff\xd8\xff no image", {"Content-Type": "image/jpeg"}),
    Exchange("POST", INFER, 400, b"", JSON),
    Exchange("POST", INFER, 400, b"{", JSON),
    Exchange("POST", INFER, 400, b"\xff\xfe\x00", JSON),
    Exchange("POST", INFER, 400, infer([1, 28, 28, 1], name="pixels"), JSON),
    Exchange("POST", INFER, 400, infer([1, 28, 28, 1], datatype="FP64"), JSON),
    Exchange("POST", INFER, 400, infer([1, 784]), JSON),
    Exchange("GET", INFER, 405),
    Exchange("GET", "/", 200),
    Exchange("GET", "/openapi.json", 200),
    Exchange("GET", "/v1/models/digits", 200),
    Exchange("POST", "/v1/models/digits:predict", 200, v1(), JSON),
    Exchange("POST", "/v1/models/digits/versions/1:predict", 200, v1(), JSON),
    Exchange("POST", "/v2/repository/index", 200, b""),
    Exchange("POST", "/invocations", 200, v1(), JSON),
    Exchange("GET", "/elsewhere", 404),
    Exchange("GET", "/v2/models/nope", 404),
    Exchange("GET", "/v2/models/digits/versions/9", 404),
    Exchange("GET", "/v2/models/%2e%2e%2fetc", 404),
    Exchange("GET", "/v2/models/D%C3%AFgits", 400),
    Exchange("DELETE", "/v2/models/digits", 405),
    Exchange("POST", INFER, 200, gzip.compress(infer([1, 28, 28, 1])), {"Content-Encoding": "x-gzip"}),
    Exchange("POST", INFER, 415, infer([1, 28, 28, 1]), {"Content-Encoding": "br"}),
    Exchange("POST", "/predict", 200, b64_list(), {"Content-Type": "application/x-www-form-urlencoded"}),
    Exchange("POST", "/predict", 200, png(), {"Content-Type": "image/jpeg", "Cookie": "a=1"}),
    Exchange("POST", INFER, 400, infer([1, 28, 28, 1]).replace(b"0.0", b"NaN", 1).replace(b"FP32", b"INT32"), JSON),
]

WITHOUT_BODY = [
    Exchange("HEAD", "/v2/models/digits", 200),
    Exchange("HEAD", "/", 200, b"", {"Accept": "text/html"}),
    Exchange("HEAD", "/elsewhere", 404),
    Exchange("HEAD", INFER, 405),
    Exchange("OPTIONS", INFER, 204),
]

Answer = tuple[int, str, bytes]


def send(url: str, exchange: Exchange) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    connection.request(exchange.method, exchange.path, exchange.body or None, exchange.headers)
    reply = connection.getresponse()
    answer = reply.status, reply.headers["content-type"], reply.read()
    connection.close()
    return answer


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = (tmp_path_factory.mktemp("clouds") / "registry").as_uri()
    publish(Registry(open_store(url, create=True)), graphs.digits_candidate())
    return url


@pytest.fixture(scope="module")
def answers(registry: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Answer]]:
    """What each cloud answers to `EXCHANGES` and `WITHOUT_BODY`."""
    logs, found = tmp_path_factory.mktemp("logs"), {}
    for cloud in ("aws", "gcp"):
        with serve(cloud, LocalSettings(registry, "digits", 0), log=logs / f"{cloud}.log") as served_at:
            found[cloud] = [send(served_at, exchange) for exchange in EXCHANGES + WITHOUT_BODY]
    return found


@pytest.mark.parametrize("index", range(len(EXCHANGES)), ids=lambda index: f"{EXCHANGES[index].path}-{index}")
def test_both_clouds_give_the_same_bytes(answers: dict[str, list[Answer]], index: int) -> None:
    assert answers["aws"][index] == answers["gcp"][index]
    status, content_type, body = answers["aws"][index]
    assert (status, content_type) == (EXCHANGES[index].status, "application/json")
    document = json.loads(body)
    if status != 200:
        assert document["error"]
        assert document["code"]
        assert "\n" not in document["error"]


@pytest.mark.parametrize("index", range(len(WITHOUT_BODY)))
def test_both_clouds_give_the_same_status_where_there_is_no_body(answers: dict[str, list[Answer]], index: int) -> None:
    for found in answers.values():
        status, _, body = found[len(EXCHANGES) + index]
        assert (status, body) == (WITHOUT_BODY[index].status, b"")


@pytest.mark.parametrize("start_function", BEHIND_THE_EMULATOR, indirect=True)
def test_behind_awss_own_emulator_the_bytes_are_the_same(
    answers: dict[str, list[Answer]], registry: str, start_function: Start, tmp_path: Path
) -> None:
    environment = {"ONNXLET_REGISTRY": registry, "ONNXLET_MODEL": "digits"}
    with (
        (tmp_path / "log").open("wb") as log,
        start_function("main.aws_http", environment, log) as function,
        serve_function_url(function.invoke) as url,
    ):
        for exchange, expected in zip(EXCHANGES + WITHOUT_BODY, answers["aws"], strict=True):
            assert send(url, exchange) == expected, exchange


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_head_says_how_long_the_answer_to_get_is(cloud: str, tmp_path: Path) -> None:
    with serve(cloud, LocalSettings(tmp_path.as_uri(), None, 0), log=tmp_path / "log") as served_at:
        lengths = []
        for method in ("GET", "HEAD"):
            connection = http.client.HTTPConnection(urlsplit(served_at).netloc, timeout=60)
            connection.request(method, "/v2")
            reply = connection.getresponse()
            lengths.append(reply.headers.get_all("content-length"))
            connection.close()
    assert lengths[0] == lengths[1]


@contextmanager
def started(cloud: str, environment: dict[str, str], log: IO[bytes]) -> Iterator[str]:
    """A cloud's HTTP function, to which nothing was sent yet."""
    if cloud == "gcp":
        with serve_cloud_function("gcp_http", environment, log=log) as url:
            yield url
    else:
        with LambdaFunction("main.aws_http", environment, log) as function, serve_function_url(function.invoke) as url:
            yield url


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_the_default_model_is_loaded_before_the_first_request(cloud: str, tmp_path: Path) -> None:
    fake = FakeGcs("models")
    with fake.serving() as endpoint, (tmp_path / "log").open("wb") as log:
        registry = Registry(open_store("gs://models", StorageSettings(gcs_endpoint=endpoint)))
        manifest = publish(registry, graphs.digits_candidate())
        blobs = {layout.blob_key(each.sha256) for each in manifest.best(runtime=session.runtime())}
        environment = {"STORAGE_EMULATOR_HOST": endpoint, "ONNXLET_REGISTRY": "gs://models", "ONNXLET_MODEL": "digits"}
        with started(cloud, environment, log) as url:
            wait_until(lambda: blobs <= set(fake.read_keys), "the model was not fetched")
            fake.read_keys.clear()
            status, _, body = send(url, Exchange("POST", "/predict", 200, png(), PNG))
    assert status == 200, body
    assert fake.read_keys == []


@pytest.mark.parametrize(("cloud", "scheme"), [("aws", "s3"), ("gcp", "gs")])
def test_a_file_dropped_into_the_inbox_is_answered_in_the_outbox(cloud: str, scheme: str, tmp_path: Path) -> None:
    url = (tmp_path / "registry").as_uri()
    publish(Registry(open_store(url, create=True)), graphs.digits_candidate())
    inbox = tmp_path / "inbox"
    settings = LocalSettings(url, "digits", 0, inbox)
    with serve(cloud, settings, log=tmp_path / "log") as served_at:
        (inbox / "a folder").mkdir()
        (inbox / "a folder/photo 100%.png").write_bytes(png())
        (inbox / "broken.png").write_bytes(b"I am no image")
        results = await_results(tmp_path / "outbox", 2)
        reference = json.dumps({"image_path": f"{scheme}://inbox/a folder/photo 100%.png"}).encode()
        status, _, body = send(served_at, Exchange("POST", "/predict", 200, reference, JSON))
    assert (status, json.loads(body)["predictions"]) == (
        200,
        results[f"{scheme}://inbox/a folder/photo 100%.png"]["predictions"],
    )
    good = results[f"{scheme}://inbox/a folder/photo 100%.png"]
    assert (good["model"], good["version"]) == ("digits", 1)
    assert good["predictions"][0]["label"] in set("0123456789")  # type: ignore[index]
    assert results[f"{scheme}://inbox/broken.png"]["code"] == "unreadable_payload"


def await_results(outbox: Path, count: int) -> dict[str, dict[str, object]]:
    """The results by their source, as soon as there are `count`."""
    wait_until(lambda: len(list(outbox.rglob("*.json"))) >= count, f"not all of {count} results came")
    documents = [json.loads(file.read_text()) for file in outbox.rglob("*.json")]
    return {document["source"]: document for document in documents}


def wait_until(is_true: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + 30
    while not is_true():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)
