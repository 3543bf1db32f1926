import json
import uuid
from urllib.request import urlopen

import pytest

from onnxlet.http import Request, Response
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet.web.app import App
from tests.conftest import BUCKET
from tests.helpers.app_requests import tensor


class TestSpill:
    """An answer over the platform's limit."""

    def ask(self, app: App) -> Response:
        body = json.dumps({"inputs": [tensor("x", [1] * 2_000_000, "FP32", [2_000_000])]}).encode()
        return app.handle(Request("POST", "/v2/models/anything/infer", body))

    @pytest.mark.parametrize("scheme", ["s3", "gs"])
    def test_it_becomes_an_object_that_anybody_with_the_url_reads(
        self, registry: Registry, storage: StorageSettings, scheme: str
    ) -> None:
        results = f"{scheme}://{BUCKET}/results-{uuid.uuid4()}"
        settings = Settings(registry.store.url, results=results, storage=storage, platform="lambda")
        response = self.ask(App(settings))
        document = json.loads(response.body)
        assert (response.status, document["code"]) == (303, "spilled")
        assert document["object"].startswith(f"{results}/responses/")
        stored = open_store(results, storage).read(document["object"].removeprefix(f"{results}/")).data
        assert len(json.loads(stored)["outputs"][0]["data"]) == 2_000_000
        if scheme == "s3":
            assert response.headers["location"] == document["url"]
            assert urlopen(document["url"]).read() == stored

    def test_without_a_place_it_is_a_413_that_says_what_to_do(self, registry: Registry) -> None:
        response = self.ask(App(Settings(registry.store.url, platform="lambda")))
        assert response.status == 413
        assert "set ONNXLET_RESULTS" in json.loads(response.body)["error"]

    def test_elsewhere_the_limit_is_another(self, registry: Registry) -> None:
        assert self.ask(App(Settings(registry.store.url))).status == 200
