import tracemalloc

import pytest

from onnxlet.endpoints import ROUTES
from onnxlet.errors import MethodNotAllowedError, NotFoundError
from onnxlet.routes import MAX_REMEMBERED, Router


def test_a_path_is_found_however_often_it_is_asked_for() -> None:
    router = Router(ROUTES)
    for _ in range(2):
        route, arguments = router.find("POST", "/v1/models/digits/versions/3:predict")
        assert (route.pattern, arguments) == (
            "/v1/models/{model}/versions/{version}:predict",
            {"model": "digits", "version": "3"},
        )


def test_a_long_path_is_found_too() -> None:
    name = "a" * 10_000
    assert Router(ROUTES).find("GET", f"/v2/models/{name}")[1] == {"model": name}


def test_a_path_of_nobody_and_a_method_of_nobody_are_told() -> None:
    router = Router(ROUTES)
    with pytest.raises(NotFoundError):
        router.find("GET", "/elsewhere")
    with pytest.raises(MethodNotAllowedError):
        router.find("DELETE", "/v2/models/digits")


def test_what_is_remembered_of_the_clients_paths_is_bounded() -> None:
    """A server takes paths of any length: those of a million bytes must not be kept."""
    router = Router(ROUTES)
    tracemalloc.start()
    try:
        for number in range(2 * MAX_REMEMBERED):
            router.find("GET", f"/v2/models/{number:0>50}")
            router.find("GET", f"/v2/models/{number:0>100000}")
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held_bytes < 2 * 2**20
