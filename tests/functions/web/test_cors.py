import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from onnxlet.contract import layout
from onnxlet.contract.api_keys import Keys
from onnxlet.http import Request, Response
from onnxlet.protocols.v2 import HEADER_LENGTH
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import MAX_RESPONSE_BYTES, App
from onnxlet.web.cors import EXPOSED
from onnxlet_publishing.publish import publish
from tests.helpers import graphs

LISTED = "https://app.example.com"
OTHER = "https://evil.example"
ALLOWED = "access-control-allow-origin"


@pytest.fixture(scope="module")
def registry() -> Registry:
    found = Registry(open_store(f"memory://{uuid.uuid4()}"))
    publish(found, graphs.candidate("two", graphs.two_inputs()))
    publish(found, graphs.candidate("text", graphs.identity(8)))
    found.store.put_if_absent(layout.API_KEYS_DOCUMENT, Keys().to_json())
    return found


@pytest.fixture
def answer(registry: Registry) -> Callable[..., Response]:
    def answer(
        method: str,
        path: str,
        origin: str | None,
        origins: str = f"http://localhost:3000, {LISTED}",
        **settings: object,
    ) -> Response:
        parsed = Settings.from_environment({"ONNXLET_REGISTRY": "memory://x", "ONNXLET_CORS_ORIGINS": origins})
        app = App(Settings(registry.store.url, cors_origins=parsed.cors_origins, **settings))  # type: ignore[arg-type]
        headers = {} if origin is None else {"origin": origin}
        return app.handle(Request(method, path, headers=headers))

    return answer


def preflight(app: App, path: str, origin: str = LISTED, **more: str) -> Response:
    asked = {"origin": origin, "access-control-request-method": "POST"}
    more = {name.replace("_", "-"): value for name, value in more.items()}
    return app.handle(Request("OPTIONS", path, headers={**asked, **more}))


def test_without_the_setting_nothing_is_added(registry: Registry) -> None:
    app = App(Settings(registry.store.url))
    response = app.handle(Request("GET", "/v2", headers={"origin": LISTED}))
    assert not any(name.startswith("access-control") or name == "vary" for name in response.headers)
    assert preflight(app, "/v2").headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2", 200),
        ("GET", "/elsewhere", 404),
        ("DELETE", "/v2", 405),
        ("HEAD", "/v2", 200),
        ("POST", "/v2/models/two/infer", 400),
        ("OPTIONS", "/v2", 204),
    ],
)
def test_a_listed_origin_alone_may_read_any_answer(
    answer: Callable[..., Response], method: str, path: str, status: int
) -> None:
    for origin, allowed in ((LISTED, LISTED), ("http://localhost:3000", "http://localhost:3000"), (OTHER, None)):
        response = answer(method, path, origin)
        assert (response.status, response.headers.get(ALLOWED)) == (status, allowed)
        assert "origin" in response.headers["vary"]
    assert "origin" in answer(method, path, None).headers["vary"], "a cache would give it to a page, too"


@pytest.mark.parametrize(
    "origin",
    ["null", f"{LISTED}:443", f"{LISTED}.evil.example", LISTED.upper(), f"{LISTED}/", f"{LISTED}, {OTHER}", "*", ""],
)
def test_an_origin_that_is_only_like_a_listed_one_may_not(answer: Callable[..., Response], origin: str) -> None:
    assert ALLOWED not in answer("GET", "/v2", origin).headers


def test_every_origin_may_where_the_operator_wrote_so_and_never_with_credentials(
    answer: Callable[..., Response],
) -> None:
    for origin in (OTHER, "null", None):
        headers = answer("GET", "/v2", origin, "*").headers
        assert headers[ALLOWED] == "*"
        assert "access-control-allow-credentials" not in headers
    assert "access-control-allow-credentials" not in answer("GET", "/v2", LISTED).headers


def test_headers_that_clients_read_are_shown(answer: Callable[..., Response]) -> None:
    response = answer("GET", "/v2/models/two", LISTED)
    shown = response.headers["access-control-expose-headers"].split(", ")
    ours = {name for name in response.headers if name not in {"vary", "x-content-type-options", "cache-control"}}
    assert {name for name in ours if not name.startswith("access-control")} <= set(shown)
    assert HEADER_LENGTH in shown
    assert "*" not in EXPOSED


@pytest.mark.parametrize("path", ["/v2/models/two/infer", "/elsewhere", "/ml/v2/models/two/infer", "/"])
def test_a_preflight_is_answered_for_any_path_without_a_key(registry: Registry, path: str) -> None:
    lines: list[Mapping[str, Any]] = []
    settings = Settings(registry.store.url, cors_origins=(LISTED,), base_path="/ml", requires_keys=True)
    response = preflight(
        App(settings, lines.append), path, access_control_request_headers="authorization,content-type,x-api-key"
    )
    assert (response.status, response.body) == (204, b"")
    assert response.headers[ALLOWED] == LISTED
    assert response.headers["access-control-allow-methods"] == "GET, HEAD, POST"
    assert response.headers["access-control-allow-headers"] == "authorization,content-type,x-api-key"
    assert int(response.headers["access-control-max-age"]) > 0
    assert response.headers["vary"].startswith("origin, access-control-request-method")
    assert lines[0]["message"] == "OPTIONS (preflight) 204"


def test_a_preflight_of_an_origin_that_is_not_listed_allows_nothing(registry: Registry) -> None:
    app = App(Settings(registry.store.url, cors_origins=(LISTED,)))
    response = preflight(app, "/v2", OTHER, access_control_request_headers="x-api-key")
    assert response.status == 204
    assert not any(name.startswith("access-control") for name in response.headers)
    assert "origin" in response.headers["vary"]


@pytest.mark.parametrize("asked", ["", "a b", "a,,b", 'x-a, "b"', "x-a\r\nset-cookie: a=1", "é"])
def test_a_preflight_for_headers_that_have_no_such_names_allows_no_header(registry: Registry, asked: str) -> None:
    app = App(Settings(registry.store.url, cors_origins=(LISTED,)))
    response = preflight(app, "/v2", access_control_request_headers=asked)
    assert response.headers[ALLOWED] == LISTED
    assert "access-control-allow-headers" not in response.headers


def test_what_only_looks_like_a_preflight_needs_a_key(registry: Registry) -> None:
    app = App(Settings(registry.store.url, cors_origins=(LISTED,), requires_keys=True))
    for headers in ({"origin": LISTED}, {"access-control-request-method": "POST"}):
        assert app.handle(Request("OPTIONS", "/v2", headers=headers)).status == 401
    asked = {"origin": LISTED, "access-control-request-method": "POST"}
    assert app.handle(Request("GET", "/v2", headers=asked)).status == 401


def test_a_page_may_read_that_it_has_no_key(registry: Registry) -> None:
    app = App(Settings(registry.store.url, cors_origins=(LISTED,), requires_keys=True))
    response = app.handle(Request("GET", "/v2", headers={"origin": LISTED}))
    assert (response.status, response.headers[ALLOWED]) == (401, LISTED)
    assert "www-authenticate" in response.headers["access-control-expose-headers"]


def test_a_page_may_read_an_error_inside_the_function_and_a_time_that_is_over(registry: Registry) -> None:
    app = App(Settings(registry.store.url, cors_origins=(LISTED,)))
    late = app.handle(Request("GET", "/v2/models/two", headers={"origin": LISTED}), remaining_s=0.0)
    assert (late.status, late.headers[ALLOWED]) == (504, LISTED)
    broken = App(Settings("memory://nothing here", cors_origins=("*",)))

    def fail(_event: object) -> Request:
        raise RuntimeError

    response = broken.handle(None, fail)
    assert (response.status, response.headers[ALLOWED]) == (500, "*")


def test_a_compressed_answer_varies_by_both(registry: Registry) -> None:
    app = App(Settings(registry.store.url, cors_origins=(LISTED,)))
    response = app.handle(Request("GET", "/openapi.json", headers={"origin": LISTED, "accept-encoding": "gzip"}))
    assert response.headers["vary"] == "accept-encoding, origin"
    assert response.headers["content-encoding"] == "gzip"


def test_a_page_is_told_where_a_large_answer_is_and_not_sent_there(registry: Registry, tmp_path: Path) -> None:
    """A browser follows a redirect to another host as the origin `null`, which no bucket allows."""
    body = b'["' + b"a" * MAX_RESPONSE_BYTES["lambda"] + b'"]'

    settings = Settings(
        registry.store.url, results=tmp_path.as_uri(), cors_origins=(LISTED,), platform="lambda", model="text"
    )
    app = App(settings)
    app.service.results.sign = lambda key, lifetime: f"https://bucket/{key}?{lifetime}"  # type: ignore[method-assign]

    def ask(origin: str | None) -> Response:
        headers = {"content-type": "application/json"} | ({} if origin is None else {"origin": origin})
        return app.handle(Request("POST", "/predict", body, headers))

    for origin, is_sent in ((None, True), (OTHER, True), (LISTED, False)):
        response = ask(origin)
        assert (response.status, "location" in response.headers) == (303, is_sent), response.body[:300]
