import gzip
import json
import uuid
from dataclasses import replace

import pytest

from onnxlet.app import App
from onnxlet.config import Settings
from onnxlet.contract import layout
from onnxlet.http import Request, Response
from onnxlet.registry import Registry
from onnxlet.store import open_store
from tests import graphs
from training.publish import publish

RUNTIME = "ort.wasm.min.mjs"


@pytest.fixture
def app() -> App:
    registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
    publish(registry, graphs.digits_candidate())
    return App(Settings(registry.store.url, edge=True), write_line=lambda _line: None)


def get(app: App, path: str) -> Response:
    return app.handle(Request("GET", path))


def code(response: Response) -> tuple[int, str]:
    return response.status, json.loads(response.body)["code"]


def graph_path(app: App, role: str = "model", form: str = "onnx") -> str:
    manifest = app.service.manifest("digits")
    sha256 = next(item.sha256 for item in manifest.artifacts if item.role == role and item.format == form)
    return f"/v2/models/digits/versions/1/artifacts/{sha256}"


def test_a_browser_gets_the_graphs_that_any_runtime_loads(app: App) -> None:
    manifest = app.service.manifest("digits")
    for role in ("preprocess", "model", "postprocess"):
        response = get(app, graph_path(app, role))
        artifact = manifest.artifact(role)
        assert artifact is not None
        assert len(response.body) == artifact.size_bytes
        assert "immutable" in response.headers["cache-control"]


def test_neither_the_golden_example_nor_another_form_nor_another_version_is_handed_out(app: App) -> None:
    assert code(get(app, graph_path(app, "golden", "json"))) == (404, "not_found")
    assert code(get(app, graph_path(app, form="ort"))) == (404, "not_found")
    assert code(get(app, graph_path(app).replace("versions/1", "versions/2"))) == (404, "model_not_found")


def test_the_runtime_comes_compressed_as_the_registry_has_it(app: App) -> None:
    assert code(get(app, f"/edge/{RUNTIME}")) == (404, "not_found")
    stored = gzip.compress(b"export const env = {};" * 1000)
    app.service.traffic.models.registry.store.put_if_absent(layout.edge_key(RUNTIME), stored)
    response = get(app, f"/edge/{RUNTIME}")
    assert (response.status, response.body, response.headers["content-encoding"]) == (200, stored, "gzip")
    assert response.content_type.startswith("text/javascript")
    assert code(get(app, "/edge/other.mjs")) == (404, "not_found")


def test_a_function_keeps_its_models_to_itself_unless_told_otherwise(app: App) -> None:
    closed = App(replace(app.settings, edge=False), write_line=lambda _line: None)
    assert code(get(closed, graph_path(app))) == (403, "forbidden")
    assert code(get(closed, f"/edge/{RUNTIME}")) == (403, "forbidden")
    assert "edge" in json.loads(get(app, "/v2").body)["extensions"]
    assert "edge" not in json.loads(get(closed, "/v2").body)["extensions"]


def test_a_manifest_is_read_without_loading_its_version(app: App) -> None:
    for path in ("/v2/models/digits/manifest", "/v2/models/digits/versions/1/manifest"):
        document = json.loads(get(app, path).body)
        assert (document["model"], document["version"]) == ("digits", 1)
    assert app.service.traffic.models.loaded() == []
