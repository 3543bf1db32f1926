"""Requests that generate."""

import json
from typing import Any

from onnxlet.http import Request, Response
from onnxlet.web.app import App


def ask(app: App, model: str, accept: str = "", **fields: Any) -> Response:
    body = json.dumps(fields).encode()
    return app.handle(Request("POST", f"/v2/models/{model}/generate", body, {"accept": accept}))


def text(app: App, model: str = "char", **fields: Any) -> dict[str, Any]:
    response = ask(app, model, **fields)
    assert response.status == 200, response.body
    answer: dict[str, Any] = json.loads(response.body)
    return answer
