"""API keys on both clouds' real runtimes: made by the command, asked with, and revoked while the function runs."""

import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException
from typer.testing import CliRunner

from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_cli.local.serve import serve_http
from onnxlet_cli.main import app
from onnxlet_publishing.publish import publish_all
from tests.helpers import graphs

REFRESH_S = 0.5
QUOTA = 3


class Deployed:
    """A function that asks for keys, and the registry that it reads."""

    def __init__(self, url: str, registry: str) -> None:
        self.url = url
        self.registry = registry

    def keys(self, *arguments: str) -> Any:
        """What `onnxlet keys` prints for machines."""
        return json.loads(CliRunner().invoke(app, ["keys", *arguments, "--registry", self.registry, "--json"]).stdout)

    def ask(self, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], dict[str, Any]]:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        connection.request("GET", path, headers=headers)
        reply = connection.getresponse()
        answer = reply.status, {name.lower(): value for name, value in reply.getheaders()}, json.loads(reply.read())
        connection.close()
        return answer


@pytest.fixture(scope="module", params=["aws", "gcp"])
def function(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder: Path = tmp_path_factory.mktemp("keys")
    registry = (folder / "registry").as_uri()
    named = {"two": graphs.two_inputs(), "sums": graphs.sums()}
    candidates = [graphs.candidate(name, proto) for name, proto in named.items()]
    publish_all(Registry(open_store(registry, create=True)), candidates)
    environment = {
        "ONNXLET_REGISTRY": registry,
        "ONNXLET_RESULTS": (folder / "results").as_uri(),
        "ONNXLET_ACCESS": "keys",
        "ONNXLET_REFRESH_S": str(REFRESH_S),
    }
    with (folder / "log").open("wb") as log, serve_http(request.param, environment, log) as url:
        yield Deployed(url, registry)
    text = (folder / "log").read_text()
    assert '"code":"unauthenticated"' in text
    assert "onnxlet_" not in text, "a key"


def test_a_key_is_made_asked_with_and_revoked(function: Deployed) -> None:
    assert function.ask("/v2", {})[0] == 401
    created = function.keys("create", "Ada", "--models", "two", "--quota", str(QUOTA))
    key = {"authorization": f"Bearer {created['key']}"}
    wait_for(function, key, 200)
    status, headers, _ = function.ask("/v2/models/two", {"x-api-key": created["key"]})
    assert (status, headers["cache-control"], headers["x-content-type-options"]) == (200, "no-store", "nosniff")
    assert function.ask("/v2/models/sums", key)[2]["code"] == "forbidden"
    status, headers, answer = function.ask("/v2/models/two", key)
    assert (status, answer["code"]) == (429, "quota_exceeded")
    assert int(headers["retry-after"]) > 0
    other = {"x-api-key": function.keys("create", "another")["key"]}
    wait_for(function, other, 200)
    function.keys("revoke", other["x-api-key"].split("_")[1])
    revoked_at = time.monotonic()
    wait_for(function, other, 401)
    assert time.monotonic() - revoked_at < REFRESH_S + 5, "a slow machine's answer, and no more"


def test_nvidias_client_shows_a_key_as_a_header(function: Deployed) -> None:
    key = function.keys("create", "triton")["key"]
    wait_for(function, {"x-api-key": key}, 200)
    client = InferenceServerClient(urlsplit(function.url).netloc)
    inputs = [InferInput(name, [1, 2], "INT32") for name in ("a", "b")]
    for each in inputs:
        each.set_data_from_numpy(np.array([[5, 7]], np.int32))
    with pytest.raises(InferenceServerException, match="expected a valid API key"):
        client.infer("two", inputs)
    found = client.infer("two", inputs, headers={"Authorization": f"Bearer {key}"}).as_numpy("sum")
    client.close()
    np.testing.assert_array_equal(found, [[10, 14]])


def wait_for(function: Deployed, headers: dict[str, str], status: int) -> None:
    """Ask until the function has looked at its keys again; what is refused before takes nothing of a quota."""
    deadline = time.monotonic() + REFRESH_S + 20
    while (found := function.ask("/v2", headers)[0]) != status:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
