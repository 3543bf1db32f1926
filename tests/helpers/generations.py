"""Requests that generate."""

import json
import uuid
from typing import Any

from onnxlet.http import Request, Response
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from onnxlet_publishing.publish import publish
from tests.helpers import graphs


def generating_app() -> App:
    """Return an app with a text model in each encoding, an image model in each layout, and a classifier."""
    registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
    publish(registry, graphs.char_candidate("index", "char"))
    publish(registry, graphs.char_candidate("one_hot", "one-hot"))
    publish(registry, graphs.generator_candidate("NHWC", "generator"))
    publish(registry, graphs.generator_candidate("NCHW", "planar"))
    publish(registry, graphs.digits_candidate())
    return App(Settings(registry.store.url))


def ask(app: App, model: str, accept: str = "", **fields: Any) -> Response:
    body = json.dumps(fields).encode()
    return app.handle(Request("POST", f"/v2/models/{model}/generate", body, {"accept": accept}))


def text(app: App, model: str = "char", **fields: Any) -> dict[str, Any]:
    response = ask(app, model, **fields)
    assert response.status == 200, response.body
    answer: dict[str, Any] = json.loads(response.body)
    return answer
