import gzip
import hashlib
import json
import shutil
import uuid
from pathlib import Path

import pytest

from onnxlet.contract import layout
from onnxlet.http import Request, Response
from onnxlet.record import replace
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from onnxlet_publishing.publish import publish
from tests.helpers import graphs

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


@pytest.fixture
def genuine(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A file of the runtime, as gzip; what is published has 14 MB."""
    content = b"export const env = {};" * 1000
    monkeypatch.setitem(layout.EDGE_FILES, RUNTIME, hashlib.sha256(content).hexdigest())
    return gzip.compress(content)


def put(app: App, data: bytes) -> None:
    app.service.traffic.models.registry.store.put_if_absent(layout.edge_key(RUNTIME), data)


def test_the_runtime_comes_compressed_as_the_registry_has_it(app: App, genuine: bytes) -> None:
    assert code(get(app, f"/edge/{RUNTIME}")) == (404, "not_found")
    put(app, genuine)
    for _ in range(2):
        response = get(app, f"/edge/{RUNTIME}")
        assert (response.status, response.body, response.headers["content-encoding"]) == (200, genuine, "gzip")
        assert response.content_type.startswith("text/javascript")
    assert code(get(app, "/edge/other.mjs")) == (404, "not_found")


def forged(genuine: bytes) -> dict[str, bytes]:
    content = gzip.decompress(genuine)
    return {
        "another file": gzip.compress(b"fetch('https://example.com')"),
        "one byte more": gzip.compress(content + b";"),
        "cut": genuine[:-9],
        "without its checksum": genuine[:-8],
        "another stream behind it": genuine + gzip.compress(b"fetch('https://example.com')"),
        "bytes behind it": genuine + b";",
        "not gzip": content,
        "nothing": b"",
        "a bomb": gzip.compress(bytes(2 * layout.MAX_EDGE_BYTES)),
        "more than is ever read": bytes(layout.MAX_EDGE_BYTES + 1),
    }


@pytest.mark.parametrize("kind", forged(gzip.compress(b"x")))
def test_a_forged_runtime_never_reaches_a_browser(app: App, genuine: bytes, kind: str) -> None:
    data = forged(genuine)[kind]
    put(app, data)
    response = get(app, f"/edge/{RUNTIME}")
    assert code(response) == (500, "invalid_artifact")
    assert "onnxlet edge" in json.loads(response.body)["error"]
    assert response.headers.get("cache-control") is None


def test_a_runtime_that_is_forged_after_it_was_handed_out_is_refused(app: App, genuine: bytes) -> None:
    put(app, genuine)
    assert get(app, f"/edge/{RUNTIME}").status == 200
    store = app.service.traffic.models.registry.store
    key = layout.edge_key(RUNTIME)
    store.replace(key, gzip.compress(b"alert(1)"), store.read(key).revision)
    assert code(get(app, f"/edge/{RUNTIME}")) == (500, "invalid_artifact")


def test_no_error_of_the_runtime_names_the_registry(tmp_path: Path) -> None:
    """Anybody may ask for it: without a key, too."""
    folder = tmp_path / "a-secret-bucket"
    registry = Registry(open_store(folder.as_uri(), create=True))
    publish(registry, graphs.digits_candidate())
    app = App(Settings(registry.store.url, edge=True), write_line=lambda _line: None)
    assert get(app, "/v2/health/ready").status == 200
    found = [get(app, f"/edge/{RUNTIME}")]
    put(app, b"forged")
    found.append(get(app, f"/edge/{RUNTIME}"))
    path = folder / layout.edge_key(RUNTIME)
    path.unlink()
    path.symlink_to(path)  # a file that cannot be read, whoever asks
    found.append(get(app, f"/edge/{RUNTIME}"))
    shutil.rmtree(folder)
    found.append(get(app, f"/edge/{RUNTIME}"))
    assert [response.status for response in found] == [404, 500, 503, 404]
    assert not [response.body for response in found if b"secret" in response.body]


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
