"""Pages of other origins and both clouds' real runtimes: what a browser asks before a request, and what it may read."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_cli.local.serve import serve_http
from onnxlet_cli.main import app
from onnxlet_publishing.publish import publish_all
from tests.helpers import graphs
from tests.helpers.damage import damage

LISTED = "https://app.example.com"
INFER = "/v2/models/two/infer"
TENSORS = json.dumps(
    {"inputs": [{"name": name, "datatype": "INT32", "shape": [1, 2], "data": [5, 7]} for name in ("a", "b")]}
).encode()
TOO_MANY_LISTS = b"[" * 1_000_001


class Deployed:
    """A function behind a base path that asks for keys and lists one origin, and a key."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.key = key

    def ask(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> tuple[int, dict[str, str]]:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        connection.request(method, path, body or None, headers)
        reply = connection.getresponse()
        answer = reply.status, {name.lower(): value for name, value in reply.getheaders()}
        reply.read()
        connection.close()
        return answer


@pytest.fixture(scope="module", params=["aws", "gcp"])
def function(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder: Path = tmp_path_factory.mktemp("cors")
    registry = Registry(open_store((folder / "registry").as_uri(), create=True))
    publish_all(registry, [graphs.candidate("two", graphs.two_inputs()), graphs.candidate("broken", graphs.sums())])
    damage(folder / "registry", registry.resolve("broken"))
    arguments = ["keys", "create", "a page", "--registry", registry.store.url, "--json"]
    key = json.loads(CliRunner().invoke(app, arguments).stdout)["key"]
    environment = {
        "ONNXLET_REGISTRY": registry.store.url,
        "ONNXLET_ACCESS": "keys",
        "ONNXLET_BASE_PATH": "/ml",
        "ONNXLET_CORS_ORIGINS": f"http://localhost:3000 {LISTED}",
    }
    with (folder / "log").open("wb") as log, serve_http(request.param, environment, log) as url:
        yield Deployed(url, key)


@pytest.mark.parametrize("path", [INFER, f"/ml{INFER}", "/ml/elsewhere", "/"])
def test_a_preflight_needs_no_key_whatever_its_path(function: Deployed, path: str) -> None:
    asked = {
        "Origin": LISTED,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-api-key",
    }
    status, headers = function.ask("OPTIONS", path, asked)
    assert (status, headers["access-control-allow-origin"]) == (204, LISTED)
    assert headers["access-control-allow-headers"] == "content-type,x-api-key"
    assert "POST" in headers["access-control-allow-methods"]
    assert "origin" in headers["vary"]
    status, headers = function.ask("OPTIONS", path, {**asked, "Origin": "https://evil.example"})
    assert status == 204
    assert not any(name.startswith("access-control") for name in headers)


@pytest.mark.parametrize(
    ("path", "body", "has_key", "status"),
    [
        (f"/ml{INFER}", TENSORS, True, 200),
        (INFER, TENSORS, True, 200),
        (INFER, TENSORS, False, 401),
        ("/ml/elsewhere", TENSORS, True, 404),
        ("/v2/models/nope/infer", TENSORS, True, 404),
        (INFER, TOO_MANY_LISTS, True, 413),
        ("/v2/models/broken/infer", TENSORS, True, 500),
    ],
)
def test_a_page_of_a_listed_origin_may_read_answers_and_errors(
    function: Deployed, path: str, body: bytes, has_key: bool, status: int
) -> None:
    sent = {"Origin": LISTED, "Content-Type": "application/json"} | ({"x-api-key": function.key} if has_key else {})
    found, headers = function.ask("POST", path, sent, body)
    assert (found, headers["access-control-allow-origin"]) == (status, LISTED)
    assert "onnxlet-version" in headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in headers
    found, headers = function.ask("POST", path, {**sent, "Origin": "https://evil.example"}, body)
    assert (found, headers.get("access-control-allow-origin")) == (status, None)
