"""API keys: who is admitted, and to what."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from onnxlet.clouds import aws_http
from onnxlet.contract import api_keys
from onnxlet.http import Request, Response
from onnxlet.record import replace
from onnxlet.settings import Settings
from onnxlet.web.app import App
from onnxlet.web.endpoints import ROUTES
from onnxlet.web.error_responses import OPENAI_PATHS
from tests.helpers.key_owner import NOW, Owner, ask, bearer, code
from tests.helpers.typical_requests import filled

SUMS = b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}'


OF_THE_PAGE = ("/playground/{file}", "/edge/{file}")
GATED = [route for route in ROUTES if route.pattern not in OF_THE_PAGE]


class TestWhoIsLetIn:
    def test_the_page_alone_is_for_everybody_and_asks_for_a_key_itself(self, app: App) -> None:
        for path in ("/", "/playground/main.js"):
            assert app.handle(Request("GET", path, headers={"accept": "text/html"})).status == 200
        assert app.handle(Request("POST", "/playground/main.js")).status == 401
        assert app.handle(Request("GET", "/v2/models", headers={"accept": "text/html"})).status == 401

    @pytest.mark.parametrize("route", GATED, ids=lambda route: f"{route.method} {route.pattern}")
    def test_no_route_answers_without_a_key(self, app: App, owner: Owner, route: Any) -> None:
        owner.create()
        request = Request(route.method, filled(route.pattern, "sums"))
        response = app.handle(request)
        document = json.loads(response.body)
        error = document["error"] if route.pattern in OPENAI_PATHS else document
        assert (response.status, error["code"]) == (401, "unauthenticated")
        assert response.headers["www-authenticate"] == "Bearer"
        assert "onnxlet-model" not in response.headers

    def test_nor_does_a_path_or_a_method_that_is_not_there(self, app: App) -> None:
        for request in (Request("GET", "/nowhere"), Request("BREW", "/v2")):
            assert app.handle(request).status == 401

    @pytest.mark.parametrize(
        "headers",
        [
            lambda text: {"authorization": f"Bearer {text}"},
            lambda text: {"authorization": f"bearer   {text} "},
            lambda text: {"x-api-key": text},
            lambda text: {"x-api-key": text, "authorization": "AWS4-HMAC-SHA256 Credential=..."},
            lambda text: {"x-api-key": text, "authorization": "Bearer a.google.token"},
            lambda text: {"x-api-key": "of-an-api-gateway", "authorization": f"Bearer {text}"},
        ],
    )
    def test_a_key_is_shown_in_either_header_beside_a_clouds_own(
        self, app: App, owner: Owner, headers: Callable[[str], dict[str, str]]
    ) -> None:
        assert code(app, headers(owner.create())) is None

    @pytest.mark.parametrize(
        "headers",
        [
            lambda _text: {},
            lambda text: {"authorization": text},
            lambda text: {"authorization": f"Basic {text}"},
            lambda text: {"authorization": f"Bearer {text}, Bearer {text}"},
            lambda text: {"x-api-key": f"Bearer {text}"},
            lambda text: {"cookie": f"x-api-key={text}"},
            lambda text: {"x-api-key": text[:-1]},
            lambda text: {"x-api-key": text * 1000},
        ],
    )
    def test_anything_else_is_no_key(self, app: App, owner: Owner, headers: Callable[[str], dict[str, str]]) -> None:
        assert code(app, headers(owner.create())) == "unauthenticated"

    def test_a_key_in_the_query_is_none(self, app: App, owner: Owner) -> None:
        text = owner.create()
        query = {"key": text, "api_key": text, "x-api-key": text, "authorization": f"Bearer {text}"}
        assert app.handle(Request("GET", "/v2", query=query)).status == 401

    def test_why_a_key_is_not_good_is_not_told_apart(self, app: App, owner: Owner) -> None:
        expired = owner.create(expires_at=NOW - timedelta(seconds=1))
        revoked = owner.create()
        owner.revoke(revoked)
        good = owner.create()
        unknown = api_keys.generate()[1]
        wrong = good.rpartition("_")[0] + unknown[-65:]
        bad = [{}, *map(bearer, (expired, revoked, unknown, wrong, "onnxlet_", "x"))]
        responses = [app.handle(Request("GET", "/v2", b"", headers)) for headers in bad]
        assert len({(response.status, response.body) for response in responses}) == 1
        assert responses[0].status == 401
        assert code(app, bearer(good)) is None

    def test_nothing_of_the_body_is_looked_at_before(self, app: App) -> None:
        bomb = Request("POST", "/predict", b"no gzip", {"content-encoding": "gzip"})
        assert app.handle(bomb).status == 401

    def test_a_direct_invocation_has_no_headers_and_is_refused_as_any_other(self, app: App, owner: Owner) -> None:
        text = owner.create()
        assert app.handle(json.loads(SUMS), aws_http.to_request).status == 401
        context = {"http": {"method": "POST"}, "stage": "$default"}
        event = {"rawPath": "/invocations", "requestContext": context, "body": SUMS.decode(), "headers": bearer(text)}
        assert app.handle(event, aws_http.to_request).status == 200

    def test_an_open_function_asks_nobody(self, owner: Owner, lines: list[Any]) -> None:
        app = App(Settings(owner.store.url, "sums"), lines.append)
        response = app.handle(Request("GET", "/v2"))
        assert response.status == 200
        assert "cache-control" not in response.headers
        assert lines[0]["key"] is None

    def test_what_needs_a_key_is_kept_by_no_cache(self, app: App, owner: Owner) -> None:
        for headers in ({}, bearer(owner.create())):
            assert app.handle(Request("GET", "/v2", b"", headers)).headers["cache-control"] == "no-store"


class TestModels:
    """A key for one model."""

    @pytest.fixture
    def headers(self, owner: Owner) -> dict[str, str]:
        return bearer(owner.create(models=("two", "absent")))

    @pytest.mark.parametrize(
        "route", [route for route in ROUTES if "{model}" in route.pattern], ids=lambda route: route.pattern
    )
    def test_every_route_that_names_another_refuses_it(self, app: App, headers: dict[str, str], route: Any) -> None:
        body = SUMS.replace(b"inputs", b"instances") if "predict" in route.pattern else SUMS
        for name in ("sums", "sums@live", "nope"):
            request = Request(route.method, filled(route.pattern, name), body, headers)
            status, answer = read(app.handle(request))
            assert (status, answer["code"]) == (403, "forbidden"), answer

    @pytest.mark.parametrize("path", ["/invocations", "/predict"])
    def test_the_default_model_is_one_too(self, app: App, headers: dict[str, str], path: str) -> None:
        assert ask(app, path, headers, SUMS)[0] == 403
        assert ask(app, "/invocations", headers, b'{"model": "sums", %s' % SUMS[1:])[0] == 403

    def test_its_own_answers_as_it_would_anybody(self, app: App, headers: dict[str, str]) -> None:
        assert ask(app, "/v2/models/two", headers)[0] == 200
        assert ask(app, "/v2/models/two@live/versions/1/ready", headers)[1]["code"] == "invalid_request"
        assert ask(app, "/v2/models/absent", headers)[1]["code"] == "model_not_found"

    def test_lists_have_only_its_own(self, app: App, owner: Owner, headers: dict[str, str]) -> None:
        everything = bearer(owner.create())
        for path in ("/v2/models/sums/infer", "/v2/models/two/infer"):
            ask(app, path, everything, SUMS)  # counted, answered or not

        def listed(headers: dict[str, str]) -> list[set[str]]:
            index = app.handle(Request("POST", "/v2/repository/index", b"", headers))
            return [
                set(ask(app, "/v2/models", headers)[1]["models"]),
                set(ask(app, "/v1/models", headers)[1]["models"]),
                {row["name"] for row in json.loads(index.body)},
                {row["name"] for row in ask(app, "/v2/models/stats", headers)[1]["model_stats"]},
            ]

        assert listed(everything) == [{"sums", "two"}] * 4
        assert listed(headers) == [{"two"}] * 4

    def test_readiness_says_nothing_of_a_default_model_of_others(self, app: App, headers: dict[str, str]) -> None:
        unready = App(replace(app.settings, model="nope"), lambda _line: None)
        assert ask(unready, "/v2/health/ready", headers) == (200, {"live": True, "ready": True})


def read(response: Response) -> tuple[int, dict[str, Any]]:
    return response.status, json.loads(response.body)


def test_the_line_names_the_key_by_its_identifier(app: App, owner: Owner, lines: list[Any]) -> None:
    text = owner.create()
    ask(app, "/v2", bearer(text))
    ask(app, "/v2", bearer(api_keys.generate()[1]))
    assert [line["key"] for line in lines] == [text.split("_")[1], None]
    assert [line["code"] for line in lines] == [None, "unauthenticated"]
    assert "onnxlet_" not in json.dumps(lines)


def test_a_wrong_setting_opens_nothing() -> None:
    for text, requires_keys in ((None, False), ("", False), ("open", False), ("keys", True)):
        environment = {"ONNXLET_REGISTRY": "s3://b"} | ({} if text is None else {"ONNXLET_ACCESS": text})
        assert Settings.from_environment(environment).requires_keys == requires_keys
    for text in ("key", "KEYS", "closed", " keys"):
        with pytest.raises(Exception, match="ONNXLET_ACCESS: expected open or keys"):
            Settings.from_environment({"ONNXLET_REGISTRY": "s3://b", "ONNXLET_ACCESS": text})


def test_a_function_without_the_gatedoes_not_import_it(tmp_path: Path) -> None:
    import subprocess
    import sys

    program = (
        "import sys; from onnxlet.web.app import App; from onnxlet.settings import Settings; "
        f"App(Settings({tmp_path.as_uri()!r})); "
        "print([name for name in sys.modules if 'onnxlet.access.key_check' in name or 'onnxlet.access.quota' in name "
        "or 'contract.access' in name])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"
