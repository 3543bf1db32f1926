import json

from onnxlet.http import Request
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.web.app import App


def test_a_request_that_memory_has_no_room_for_is_a_413(registry: Registry) -> None:
    def too_large(_event: object) -> Request:
        raise MemoryError

    response = App(Settings(registry.store.url), lambda _line: None).handle({}, too_large)
    assert (response.status, json.loads(response.body)["code"]) == (413, "too_large")


def test_an_error_of_our_own_is_a_500_without_its_insides(app: App) -> None:
    def broken(_event: object) -> Request:
        raise RuntimeError("a secret")

    response = app.handle(None, broken)
    assert response.status == 500
    assert b"secret" not in response.body
