import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from onnxlet.contract.alias import CANARY, SHADOW
from onnxlet.http import Request, Response
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from onnxlet_publishing.publish import publish
from tests.helpers import graphs
from tests.helpers.app_requests import png, post, tensor


class TestShares:
    """Canary and shadow, through HTTP."""

    @pytest.fixture
    def lines(self) -> list[Any]:
        return []

    @pytest.fixture
    def shared(self, lines: list[Any]) -> tuple[Registry, App]:
        registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
        for seed in range(2):
            publish(registry, graphs.digits_candidate(seed), alias="live" if seed == 0 else None)
        return registry, App(Settings(registry.store.url, "digits", refresh_s=0), lines.append)

    def version(self, app: App, headers: dict[str, str], request_id: str | None = None) -> str:
        body = {"id": request_id, "inputs": [tensor("input", [0.5] * 784, "FP32", [1, 28, 28, 1])]}
        request = Request("POST", "/v2/models/digits/infer", json.dumps(body).encode(), headers)
        response = app.handle(request)
        version: str = json.loads(response.body)["model_version"]
        assert response.headers["onnxlet-version"] == version
        return version

    @pytest.mark.parametrize("name", ["onnxlet-key", "x-request-id", None])
    def test_a_canary_keeps_its_clients(self, shared: tuple[Registry, App], name: str | None) -> None:
        registry, app = shared
        registry.share("digits", 2, CANARY, 0.5)
        keys = [f"client-{number}" for number in range(40)]
        asked = [
            [self.version(app, {name: key} if name else {}, None if name else key) for key in keys] for _ in range(2)
        ]
        assert asked[0] == asked[1]
        assert set(asked[0]) == {"1", "2"}

    def test_a_shadow_is_asked_and_logged_and_changes_nothing(
        self, shared: tuple[Registry, App], lines: list[Any]
    ) -> None:
        registry, app = shared
        before = post(app, "/predict", png(), "image/png")
        registry.share("digits", 2, SHADOW, 1)
        lines.clear()
        assert post(app, "/predict", png(), "image/png") == before
        line, shadow = lines
        assert (line["version"], line["status"]) == (1, 200)
        assert (shadow["version"], shadow["shadow_version"], shadow["shadow_status"]) == (1, 2, 200)
        answers = [before]
        registry.promote("digits", 2)
        answers.append(post(app, "/predict", png(), "image/png"))
        labels = [[row["label"] for row in answer["predictions"]] for _, answer in answers]
        assert [shadow["labels"], shadow["shadow_labels"]] == labels

    def test_a_shadow_that_fails_changes_nothing(self, lines: list[Any]) -> None:
        registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
        publish(registry, graphs.digits_candidate())
        publish(registry, graphs.candidate("digits", graphs.two_inputs()), alias=None)
        registry.share("digits", 2, SHADOW, 1)
        app = App(Settings(registry.store.url, "digits"), lines.append)
        assert post(app, "/predict", png(), "image/png")[0] == 200
        assert (lines[1]["shadow_status"], lines[1]["shadow_code"]) == (415, "unsupported_media")


class TestEndlessShadow:
    """A shadow that would never end, beside a version that answers at once."""

    @pytest.fixture
    def lines(self) -> list[Any]:
        return []

    def ask(self, size: int, write_line: Callable[[Any], None], **settings: Any) -> Response:
        registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
        publish(registry, graphs.candidate("counting", graphs.counting(is_endless=False)))
        publish(registry, graphs.candidate("counting", graphs.counting(is_endless=True)), alias=None)
        registry.share("counting", 2, SHADOW, 1)
        app = App(Settings(registry.store.url, **settings), write_line)
        inputs = [tensor("n", [10**12], "INT64", []), tensor("x", [1.5] * size, "FP32", [size])]
        request = Request("POST", "/v2/models/counting/infer", json.dumps({"inputs": inputs}).encode())
        return app.handle(request, remaining_s=25)

    def test_it_is_ended_soon_after_the_answer_is_made(self, lines: list[Any]) -> None:
        assert self.ask(1, lines.append).status == 200
        line, shadow = lines
        assert (line["status"], line["version"]) == (200, 1)
        assert (shadow["shadow_status"], shadow["shadow_code"]) == (504, "deadline_exceeded")
        assert shadow["shadow_ms"] < 15_000, "it might take 25 s, and what the answer took twice is much less"

    def test_an_answer_that_must_be_stored_is_stored_before(self, lines: list[Any]) -> None:
        results = f"memory://{uuid.uuid4()}"
        response = self.ask(2_000_000, lines.append, platform="lambda", results=results)
        assert (response.status, json.loads(response.body)["code"]) == (303, "spilled")
        assert [each.get("shadow_code") for each in lines] == [None, "deadline_exceeded"]
        assert lines[0]["milliseconds"] < 15_000

    def test_nothing_that_goes_wrong_beside_it_is_an_error_of_the_answer(self) -> None:
        def write_line(line: Any) -> None:
            if "shadow_status" in line:
                raise MemoryError

        assert self.ask(1, write_line).status == 200
