"""The API keys: who is let in, to what, and what happens when it cannot be known."""

import json
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from onnxlet import deadline
from onnxlet.access.api_keys import MAX_REFRESH_S, MAX_STALE_S, ApiKeys
from onnxlet.clouds import aws_http
from onnxlet.contract import api_keys, layout
from onnxlet.contract.api_keys import Key, Keys
from onnxlet.errors import StoreError, UnauthenticatedError
from onnxlet.http import Request, Response
from onnxlet.record import replace
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import Revision, Store, Stored, open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet.web.app import App
from onnxlet.web.endpoints import ROUTES
from onnxlet_publishing.publish import publish_all
from tests.helpers import graphs
from tests.helpers.typical_requests import filled
from tests.test_clouds import png

NOW = datetime.now(UTC).replace(microsecond=0)
SUMS = b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}'


class Owner:
    """Who makes keys, and moves the document as the command does."""

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
        self.store.backend.put(layout.ACCESS_DOCUMENT, data)

    def remove(self) -> None:
        self.store.backend.delete(layout.ACCESS_DOCUMENT)


@pytest.fixture(scope="module")
def models() -> Store:
    registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
    names = {"sums": graphs.sums(), "two": graphs.two_inputs()}
    publish_all(registry, [graphs.candidate(name, proto) for name, proto in names.items()])
    return registry.store


@pytest.fixture
def owner(models: Store) -> Owner:
    found = Owner(models)
    found.write(Keys().to_json())
    return found


@pytest.fixture
def lines() -> list[Any]:
    return []


@pytest.fixture
def app(owner: Owner, lines: list[Any]) -> App:
    results = f"memory://{uuid.uuid4()}"
    settings = Settings(owner.store.url, "sums", results, requires_keys=True, refresh_s=0)
    return App(settings, lines.append)


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


def ask(
    app: App, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
) -> tuple[int, dict[str, Any]]:
    response = app.handle(Request("GET" if body is None else "POST", path, body or b"", headers or {}))
    return response.status, json.loads(response.body)


def code(app: App, headers: dict[str, str]) -> str | None:
    """Why these headers are not let in; None where they are."""
    found = ask(app, "/v2", headers)[1].get("code")
    return None if found is None else str(found)


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
        assert (response.status, json.loads(response.body)["code"]) == (401, "unauthenticated")
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


class TestChanges:
    def test_keys_come_and_go_without_a_redeploy(self, app: App, owner: Owner) -> None:
        first = owner.create()
        assert code(app, bearer(first)) is None
        second = owner.create()
        owner.revoke(first)
        assert (code(app, bearer(first)), code(app, bearer(second))) == ("unauthenticated", None)

    def test_the_document_is_asked_for_no_more_often_than_said(self, app: App, owner: Owner) -> None:
        text = owner.create()
        slow = App(replace(app.settings, refresh_s=1000), lambda _line: None)
        assert code(slow, bearer(text)) is None
        owner.revoke(text)
        assert code(slow, bearer(text)) is None
        assert slow.service.api_keys is not None
        assert slow.service.api_keys._refresh_s == MAX_REFRESH_S, "a pinned alias does not pin keys"
        slow.service.reopen()
        assert code(slow, bearer(text)) == "unauthenticated", "a snapshot knows nothing of now"

    def test_no_document_or_one_that_is_gone_lets_nobody_in(self, app: App, owner: Owner) -> None:
        text = owner.create()
        assert code(app, bearer(text)) is None
        owner.remove()
        assert code(app, bearer(text)) == "unauthenticated"
        owner.write(owner.keys.to_json())
        assert code(app, bearer(text)) is None

    @pytest.mark.parametrize("data", [b"", b"{", b'{"schema": 2, "keys": []}', b'{"schema": 1, "keys": [{}]}'])
    def test_a_document_that_cannot_be_read_lets_nobody_in_who_was_not_before(
        self, app: App, owner: Owner, data: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        text = owner.create()
        assert code(app, bearer(text)) is None
        owner.write(data)
        assert code(app, bearer(text)) is None
        assert "the API keys were not read: access/keys.json" in caplog.text
        status, answer = ask(App(app.settings, lambda _line: None), "/v2", bearer(text))
        assert (status, answer["code"]) == (503, "store_unavailable")
        assert owner.store.url not in answer["error"]
        assert "keys.json" not in answer["error"]


class TestStoreThatIsDown:
    """It is down as long as it has no such endpoint."""

    @pytest.fixture
    def stores(self, owner: Owner) -> list[Store]:
        return [owner.store]

    @pytest.fixture
    def down(self) -> Store:
        return open_store("s3://bucket", StorageSettings(s3_endpoint="http://127.0.0.1:9"))

    def test_those_who_were_let_in_are_for_an_hour(
        self, owner: Owner, stores: list[Store], down: Store, caplog: pytest.LogCaptureFixture
    ) -> None:
        text = owner.create()
        keys = ApiKeys(lambda: stores[0], lambda: stores[0], 0)
        request = Request("GET", "/v2", b"", bearer(text))
        assert keys.admit(request).name == "Ada"
        stores[0] = down
        assert keys.admit(request).name == "Ada"
        assert "the API keys were not read: s3://bucket/access/keys.json" in caplog.text
        keys._read_at_s -= MAX_STALE_S
        with pytest.raises(StoreError, match="it cannot be told now who may ask"):
            keys.admit(request)
        stores[0] = owner.store
        keys._ask_at_s = 0  # a second later
        assert keys.admit(request).name == "Ada"

    def test_nobody_is_at_first_and_strangers_do_not_ask_the_store_again_and_again(self, down: Store) -> None:
        asked: list[int] = []

        def opened() -> Store:
            asked.append(1)
            return down

        keys = ApiKeys(opened, opened, 0)
        for _ in range(20):
            with pytest.raises(StoreError):
                keys.admit(Request("GET", "/v2", b"", bearer(api_keys.generate()[1])))
        assert len(asked) == 1
        with pytest.raises(UnauthenticatedError):
            keys.admit(Request("GET", "/v2", b"", bearer("onnxlet_short")))

    def test_requests_that_come_at_once_ask_once(self, owner: Owner) -> None:
        text = owner.create()
        asked: list[int] = []
        barrier = threading.Barrier(8)

        def opened() -> Store:
            asked.append(1)
            return owner.store

        keys = ApiKeys(opened, opened, 60)

        def admit(_thread: int) -> str:
            barrier.wait()
            return keys.admit(Request("GET", "/v2", b"", bearer(text))).name

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(admit, range(8))) == {"Ada"}
        assert len(asked) == 1


class StallingStore(Store):
    """A store that reads nothing again until it may."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.url, store.backend)
        self.asked, self.goes_on = threading.Event(), threading.Event()

    @deadline.bounded
    def read_if_changed(self, key: str, revision: Revision) -> Stored | None:
        self.asked.set()
        assert self.goes_on.wait(60)
        return super().read_if_changed(key, revision)


class TestStoreThatStalls:
    """It takes a question and says nothing."""

    @pytest.fixture
    def store(self, owner: Owner) -> StallingStore:
        return StallingStore(owner.store)

    def test_whoever_asks_it_is_let_in_with_half_of_the_time_left(self, owner: Owner, store: StallingStore) -> None:
        request = Request("GET", "/v2", b"", bearer(owner.create()))
        keys = ApiKeys(lambda: store, lambda: store, 0)
        assert keys.admit(request).name == "Ada"
        with deadline.within(1):
            assert keys.admit(request).name == "Ada"
            assert store.asked.is_set()
            assert deadline.remaining_s() > 0
        store.goes_on.set()

    def test_the_others_do_not_wait(self, owner: Owner, store: StallingStore) -> None:
        request = Request("GET", "/v2", b"", bearer(owner.create()))
        keys = ApiKeys(lambda: store, lambda: store, 0)
        keys.admit(request)
        admitted: list[str] = []

        def admit() -> None:
            admitted.append(keys.admit(request).name)

        threads = [threading.Thread(target=admit, daemon=True) for _ in range(5)]
        threads[0].start()
        assert store.asked.wait(60)
        for thread in threads[1:]:
            thread.start()
        for thread in threads[1:]:
            thread.join(30)
        assert admitted == ["Ada"] * 4, "the first one still waits for the store"
        store.goes_on.set()
        threads[0].join(60)
        assert len(admitted) == 5


class TestCost:
    """A request that runs a model often takes more of the quota, and nothing where there is less left."""

    @pytest.fixture
    def app(self, lines: list[Any]) -> App:
        registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
        publish_all(registry, [graphs.char_candidate(), graphs.generator_candidate(), graphs.digits_candidate()])
        results = f"memory://{uuid.uuid4()}"
        return App(Settings(registry.store.url, "digits", results, requires_keys=True, refresh_s=0), lines.append)

    @pytest.fixture
    def owner(self, app: App) -> Owner:
        return Owner(open_store(app.settings.registry))

    def generate(self, app: App, headers: dict[str, str], length: int) -> int:
        body = json.dumps({"text_input": "a", "length": length}).encode()
        return ask(app, "/v2/models/char/generate", headers, body)[0]

    def left(self, app: App, headers: dict[str, str]) -> int:
        """Spend what is left, one request each."""
        statuses = [ask(app, "/v2", headers)[0] for _ in range(30)]
        assert statuses == sorted(statuses)
        return statuses.count(200)

    @pytest.mark.parametrize(("length", "cost"), [(98, 1), (99, 2), (198, 2), (199, 3), (999, 11)])
    def test_a_text_costs_one_more_for_each_hundred_tokens(
        self, app: App, owner: Owner, length: int, cost: int
    ) -> None:
        headers = bearer(owner.create(quota=20))
        assert self.generate(app, headers, length) == 200
        assert self.left(app, headers) == 20 - cost

    def test_what_is_left_of_the_quota_is_not_spent_on_what_costs_more(
        self, app: App, owner: Owner, lines: list[Any]
    ) -> None:
        headers = bearer(owner.create(quota=5))
        assert self.generate(app, headers, 999) == 429
        assert "run_ms" not in lines[-1], "nothing ran"
        assert self.left(app, headers) == 4

    def test_an_explanation_costs_what_it_may_run(self, app: App, owner: Owner) -> None:
        headers = {**bearer(owner.create(quota=12)), "content-type": "image/png"}
        for runs, status in ((300, 200), (1000, 429), (3, 200)):
            query = {"budget_runs": str(runs)}
            request = Request("POST", "/v2/models/digits/explain", png(), headers, query)
            assert app.handle(request).status == status
        assert self.left(app, headers) == 12 - 4 - 1 - 1

    def test_pictures_and_answers_cost_one(self, app: App, owner: Owner) -> None:
        headers = bearer(owner.create(quota=4))
        body = json.dumps({"count": 8, "seed": 1}).encode()
        assert ask(app, "/v2/models/generator/generate", headers, body)[0] == 200
        assert app.handle(Request("POST", "/predict", png(), {**headers, "content-type": "image/png"})).status == 200
        assert self.left(app, headers) == 2

    def test_who_has_no_quota_asks_nobody(self, app: App, owner: Owner) -> None:
        nowhere = App(replace(app.settings, results=None), lambda _line: None)
        assert self.generate(nowhere, bearer(owner.create()), 999) == 200


class TestQuota:
    def test_it_is_a_429_that_says_when_to_come_again(self, app: App, owner: Owner) -> None:
        headers = bearer(owner.create(quota=2))
        assert [code(app, headers) for _ in range(4)] == [None, None, "quota_exceeded", "quota_exceeded"]
        response = app.handle(Request("GET", "/v2", b"", headers))
        assert response.status == 429
        assert 0 < int(response.headers["retry-after"]) <= 24 * 3600 + 1
        assert code(app, bearer(owner.create())) is None, "of another key"

    def test_two_instances_share_it(self, app: App, owner: Owner) -> None:
        headers = bearer(owner.create(quota=3))
        other = App(app.settings, lambda _line: None)
        answers = [code(each, headers) for each in (app, other, app, other, app)]
        assert answers.count(None) == 3

    def test_without_a_place_to_count_it_is_refused(self, app: App, owner: Owner) -> None:
        nowhere = App(replace(app.settings, results=None), lambda _line: None)
        status, answer = ask(nowhere, "/v2", bearer(owner.create(quota=3)))
        assert (status, answer["code"]) == (500, "invalid_settings")
        assert "ONNXLET_RESULTS" in answer["error"]
        assert code(nowhere, bearer(owner.create())) is None

    def test_a_store_that_is_down_is_a_503_for_keys_with_a_quota_alone(self, app: App, owner: Owner) -> None:
        storage = StorageSettings(s3_endpoint="http://127.0.0.1:9")
        half = App(replace(app.settings, results="s3://bucket", storage=storage), lambda _line: None)
        assert ask(half, "/v2", bearer(owner.create(quota=3)))[0] == 503
        assert code(half, bearer(owner.create())) is None


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
        "print([name for name in sys.modules if 'onnxlet.access.api_keys' in name or 'onnxlet.access.quota' in name "
        "or 'contract.access' in name])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"
