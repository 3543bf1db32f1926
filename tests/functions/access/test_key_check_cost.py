"""API keys with a quota, and what requests cost of it."""

import json
import uuid
from typing import Any

import pytest

from onnxlet.http import Request
from onnxlet.record import replace
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet.web.app import App
from onnxlet_publishing.publish import publish_all
from tests.helpers import graphs
from tests.helpers.key_owner import Owner, ask, bearer, code
from tests.test_clouds import png


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
