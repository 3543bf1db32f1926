import tracemalloc

import pytest

from onnxlet.errors import MethodNotAllowedError, NotFoundError
from onnxlet.web.endpoints import ROUTES
from onnxlet.web.routes import MAX_CACHED_PATHS, Router


def test_a_path_is_found_however_often_it_is_asked_for() -> None:
    router = Router(ROUTES)
    for _ in range(2):
        route, arguments = router.find("POST", "/v1/models/digits/versions/3:predict")
        assert (route.pattern, arguments) == (
            "/v1/models/{model}/versions/{version}:predict",
            {"model": "digits", "version": "3"},
        )


def test_a_path_that_no_model_can_have_is_not_even_compared() -> None:
    with pytest.raises(NotFoundError, match="expected a path of at most 1024 characters, got 10011"):
        Router(ROUTES).find("GET", f"/v2/models/{'a' * 10_000}")


def test_a_path_of_nobody_and_a_method_of_nobody_are_told() -> None:
    router = Router(ROUTES)
    with pytest.raises(NotFoundError):
        router.find("GET", "/elsewhere")
    with pytest.raises(MethodNotAllowedError):
        router.find("DELETE", "/v2/models/digits")


def test_what_is_answered_to_get_is_answered_to_head() -> None:
    router = Router(ROUTES)
    for path in ("/", "/v2/models/digits", "/openapi.json", "/playground/main.js"):
        assert router.find("HEAD", path) == router.find("GET", path)
    with pytest.raises(MethodNotAllowedError):
        router.find("HEAD", "/predict/digits")


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/predict/digits", ["POST"]),
        ("/v2", ["GET", "HEAD"]),
        ("/v2/models/stats", ["GET", "HEAD"]),  # which is also the path of a model called stats
    ],
)
def test_the_methods_of_a_path_are_named_once(path: str, methods: list[str]) -> None:
    router = Router(ROUTES)
    with pytest.raises(MethodNotAllowedError) as caught:
        router.find("PUT", path)
    assert caught.value.headers == {"allow": ", ".join(methods)}
    route, arguments = router.find("OPTIONS", path)
    assert route.endpoint(None, **arguments).headers == {"allow": ", ".join([*methods, "OPTIONS"])}
    with pytest.raises(NotFoundError):
        router.find("OPTIONS", "/elsewhere")


def test_what_is_remembered_of_the_clients_paths_is_bounded() -> None:
    router = Router(ROUTES)
    tracemalloc.start()
    try:
        for number in range(2 * MAX_CACHED_PATHS):
            router.find("GET", f"/v2/models/{number:0>50}")
            router.find("GET", f"/v2/models/{number:0>1000}")
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held_bytes < 4 * 2**20
