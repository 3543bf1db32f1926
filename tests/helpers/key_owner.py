"""An owner of API keys, who changes their document as the command does, and requests with such keys."""

import json
from datetime import UTC, datetime
from typing import Any

from onnxlet.contract import api_keys, layout
from onnxlet.contract.api_keys import Key, Keys
from onnxlet.http import Request
from onnxlet.storage import Store
from onnxlet.web.app import App

NOW = datetime.now(UTC).replace(microsecond=0)


class Owner:
    """The owner of a registry and of the API keys in it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.keys = Keys()

    def create(self, **bounds: Any) -> str:
        key_id, text = api_keys.generate()
        self.put(Key(key_id, "Ada", api_keys.digest(text), NOW, **bounds))
        return text

    def revoke(self, text: str) -> None:
        key = self.keys.find(text, NOW)
        assert key is not None
        self.put(api_keys.revoked(key, NOW))

    def put(self, key: Key) -> None:
        self.keys = self.keys.with_key(key)
        self.write(self.keys.to_json())

    def write(self, data: bytes) -> None:
        self.store.backend.put(layout.API_KEYS_DOCUMENT, data)

    def remove(self) -> None:
        self.store.backend.delete(layout.API_KEYS_DOCUMENT)


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


def ask(
    app: App, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
) -> tuple[int, dict[str, Any]]:
    response = app.handle(Request("GET" if body is None else "POST", path, body or b"", headers or {}))
    return response.status, json.loads(response.body)


def code(app: App, headers: dict[str, str]) -> str | None:
    """Return the code of the error by which these headers are refused; None if they are admitted."""
    found = ask(app, "/v2", headers)[1].get("code")
    return None if found is None else str(found)
