import threading
from pathlib import Path

import pytest

from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet.web.app import App
from onnxlet_publishing.publish import publish
from tests.helpers import graphs
from tests.helpers.app_requests import A_AND_B, get, png, post, tensor
from tests.helpers.damage import damage


class TestServer:
    def test_metadata_and_health(self, app: App) -> None:
        assert get(app, "/v2")[1]["name"] == "onnxlet"
        assert get(app, "/v2/health/live") == (200, {"live": True, "ready": True})
        assert get(app, "/v2/health/ready") == (200, {"live": True, "ready": True})

    def test_a_function_without_its_default_model_is_not_ready_and_says_why(self, registry: Registry) -> None:
        status, body = get(App(Settings(registry.store.url, model="nope")), "/v2/health/ready")
        assert (status, body["ready"], body["code"]) == (503, False, "model_not_found")


class TestModels:
    def test_metadata_names_the_tensors(self, app: App) -> None:
        assert get(app, "/v2/models/digits") == (
            200,
            {
                "name": "digits",
                "versions": ["2"],
                "platform": "onnx_onnxv1",
                "inputs": [{"name": "input", "datatype": "FP32", "shape": [-1, 28, 28, 1]}],
                "outputs": [{"name": "output", "datatype": "FP32", "shape": [-1, 10]}],
            },
        )

    def test_a_version_or_an_alias_may_be_named(self, app: App) -> None:
        assert get(app, "/v2/models/digits/versions/1")[1]["versions"] == ["1"]
        assert get(app, "/v2/models/digits@beta")[1]["versions"] == ["3"]
        assert get(app, "/v2/models/digits@beta/ready") == (200, {"name": "digits", "ready": True})
        assert get(app, "/v2/models/digits/versions/2/ready")[0] == 200

    def test_versions_answer_differently(self, app: App) -> None:
        body = {"inputs": [tensor("input", [0.5] * 784, "FP32", [1, 28, 28, 1])]}
        answers = [post(app, f"/v2/models/digits/versions/{version}/infer", body)[1] for version in (1, 2)]
        assert [answer["model_version"] for answer in answers] == ["1", "2"]
        assert answers[0]["outputs"] != answers[1]["outputs"]

    @pytest.mark.parametrize(
        ("path", "words"),
        [
            ("/v2/models/nope", 'model "nope": not in the registry'),
            ("/v2/models/digits/versions/9", "no version 9; it has the versions 1, 2, 3"),
            ("/v2/models/digits@gamma", 'no alias "gamma"'),
            ("/v2/models/staged", 'no alias "live"; it has the versions 1'),
        ],
    )
    def test_what_is_not_there_is_a_404(self, app: App, path: str, words: str) -> None:
        status, body = get(app, path)
        assert (status, body["code"]) == (404, "model_not_found")
        assert words in body["error"]

    @pytest.mark.parametrize(
        "path", ["..", "Digits", "a" * 100, "digits@", "digits@1", "digits/versions/0", "digits/versions/x", "d%00"]
    )
    def test_an_impossible_name_is_a_400(self, app: App, path: str) -> None:
        status, body = get(app, f"/v2/models/{path}")
        assert (status, body["code"]) == (400, "invalid_name")

    def test_an_alias_with_a_version_is_a_400(self, app: App) -> None:
        assert get(app, "/v2/models/digits@live/versions/1")[1]["code"] == "invalid_request"

    def test_a_registry_that_is_not_there_is_a_404(self, tmp_path: Path) -> None:
        app = App(Settings((tmp_path / "nowhere").as_uri()))
        assert get(app, "/v2/models/digits")[1]["code"] == "bucket_not_found"

    @pytest.mark.parametrize("scheme", ["s3", "gs"])
    def test_a_missing_bucket_is_a_404(self, scheme: str, storage: StorageSettings) -> None:
        status, body = get(App(Settings(f"{scheme}://no-such-bucket/registry", storage=storage)), "/v2/models/digits")
        assert (status, body["code"]) == (404, "bucket_not_found")
        assert "\n" not in body["error"]

    def test_a_store_that_does_not_answer_is_a_503(self) -> None:
        app = App(Settings("s3://bucket/registry", storage=StorageSettings(s3_endpoint="http://127.0.0.1:9")))
        status, body = get(app, "/v2/models/digits")
        assert (status, body["code"]) == (503, "store_unavailable")
        assert "\n" not in body["error"]

    def test_a_damaged_artifact_is_never_served(self, tmp_path: Path) -> None:
        registry = Registry(open_store(tmp_path.as_uri()))
        manifest = publish(registry, graphs.digits_candidate())
        damage(tmp_path, manifest)
        status, body = get(App(Settings(registry.store.url)), "/v2/models/digits")
        assert (status, body["code"]) == (500, "invalid_artifact")

    def test_many_first_requests_load_the_model_once(self, registry: Registry) -> None:
        app = App(Settings(registry.store.url))
        found = []
        threads = [threading.Thread(target=lambda: found.append(app.service.find("digits").model)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 16
        assert len(set(map(id, found))) == 1


class TestTriton:
    """Triton's documents beside the protocol; its own client reads them in tests/test_tritonclient.py."""

    def test_the_index_lists_every_version(self, app: App) -> None:
        status, index = post(app, "/v2/repository/index", b"")
        assert status == 200
        digits = [entry for entry in index if entry["name"] == "digits"]
        assert [entry["version"] for entry in digits] == ["1", "2", "3"]
        assert {entry["state"] for entry in index} == {"READY"}
        assert get(app, "/v2/models")[1]["models"] == sorted({entry["name"] for entry in index})

    def test_the_configuration_names_the_tensors(self, app: App) -> None:
        config = get(app, "/v2/models/text/config")[1]
        assert config["input"] == [{"name": "x", "data_type": "TYPE_STRING", "dims": [-1]}]
        assert get(app, "/v2/models/digits/versions/1/config")[1]["backend"] == "onnxruntime"

    def test_what_was_answered_is_counted(self, registry: Registry) -> None:
        app = App(Settings(registry.store.url))
        post(app, "/v2/models/two/infer", {"inputs": A_AND_B})
        post(app, "/v2/models/two/infer", {"inputs": A_AND_B})
        post(app, "/v2/models/two/infer", {"inputs": A_AND_B[:1]})
        post(app, "/predict/digits", png(), "image/png")
        (two,) = get(app, "/v2/models/two/stats")[1]["model_stats"]
        assert (two["name"], two["version"], two["inference_count"]) == ("two", "1", 2)
        durations = two["inference_stats"]
        assert (durations["success"]["count"], durations["fail"]["count"]) == (2, 1)
        assert 0 < durations["compute_infer"]["ns"] < durations["success"]["ns"]
        assert [entry["name"] for entry in get(app, "/v2/models/stats")[1]["model_stats"]] == ["digits", "two"]
        assert get(app, "/v2/models/two/versions/7/stats")[1] == {"model_stats": []}
