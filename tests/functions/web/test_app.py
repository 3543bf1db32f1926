import gzip
import io
import json
import threading
import uuid
import zlib
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto
from PIL import Image

from onnxlet.clouds import aws_http
from onnxlet.contract.alias import CANARY, SHADOW
from onnxlet.contract.tensors import DATATYPES
from onnxlet.http import Request, Response
from onnxlet.limits import MAX_BODY_BYTES, MAX_REQUEST_PIXELS, MIB
from onnxlet.memory import RESERVED_BYTES, Share
from onnxlet.protocols.v2 import HEADER_LENGTH
from onnxlet.record import replace
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet.web.app import App
from onnxlet_publishing.publish import publish
from tests.conftest import BUCKET
from tests.helpers import graphs
from tests.helpers.damage import damage


@pytest.fixture(scope="module")
def registry() -> Registry:
    registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
    for seed in range(2):
        publish(registry, graphs.digits_candidate(seed))
    publish(registry, graphs.digits_candidate(2), alias="beta")
    publish(registry, graphs.candidate("two", graphs.two_inputs()))
    publish(registry, graphs.candidate("gather", graphs.gather()))
    publish(registry, graphs.candidate("half", graphs.identity(TensorProto.FLOAT16)))
    publish(registry, graphs.candidate("anything", graphs.any_rank()))
    publish(registry, graphs.candidate("text", graphs.identity(TensorProto.STRING)))
    publish(registry, graphs.digits_candidate(name="staged"), alias=None)
    return registry


@pytest.fixture(scope="module")
def app(registry: Registry) -> App:
    return App(Settings(registry.store.url, model="digits"))


def png(size: tuple[int, int] = (28, 28), mode: str = "L") -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], len(mode)), np.uint8)
    buffer = io.BytesIO()
    Image.frombytes(mode, size, pixels.tobytes()).save(buffer, "PNG")
    return buffer.getvalue()


def get(app: App, path: str) -> tuple[int, Any]:
    response = app.handle(Request("GET", path))
    return response.status, json.loads(response.body)


def post(app: App, path: str, body: bytes | dict[str, Any], media_type: str = "", **query: str) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = app.handle(Request("POST", path, data, {"content-type": media_type}, query))
    return response.status, json.loads(response.body)


def tensor(name: str, data: object, datatype: str = "INT32", shape: object = (1, 2)) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


A_AND_B = [tensor("a", [5, 7]), tensor("b", [1, 2])]


class TestServer:
    def test_metadata_and_health(self, app: App) -> None:
        assert get(app, "/v2")[1]["name"] == "onnxlet"
        assert get(app, "/v2/health/live") == (200, {"live": True, "ready": True})
        assert get(app, "/v2/health/ready") == (200, {"live": True, "ready": True})

    def test_a_function_without_its_default_model_is_not_ready_and_says_why(self, registry: Registry) -> None:
        status, body = get(App(Settings(registry.store.url, model="nope")), "/v2/health/ready")
        assert (status, body["ready"], body["code"]) == (503, False, "model_not_found")

    def test_a_trailing_slash_does_not_matter(self, app: App) -> None:
        assert get(app, "/v2/")[0] == 200

    def test_an_unknown_path_is_a_404(self, app: App) -> None:
        for path in ("/v3", "/v2/models/digits/nope", "/predict/a/b"):
            status, body = get(app, path)
            assert (status, body["code"]) == (404, "not_found")

    def test_another_method_is_a_405_that_names_the_right_one(self, app: App) -> None:
        response = app.handle(Request("GET", "/v2/models/digits/infer"))
        body = json.loads(response.body)
        assert (response.status, body["code"], response.headers["allow"]) == (405, "method_not_allowed", "POST")
        assert "expected POST, got GET" in body["error"]


class TestMethods:
    @pytest.mark.parametrize("path", ["/", "/v2", "/v2/models/digits", "/openapi.json", "/playground/main.js", "/nope"])
    @pytest.mark.parametrize("accepted", [{}, {"accept-encoding": "gzip"}, {"accept": "text/html"}])
    def test_head_is_answered_as_get_without_its_body(self, app: App, path: str, accepted: dict[str, str]) -> None:
        got, head = (app.handle(Request(method, path, headers=accepted)) for method in ("GET", "HEAD"))
        assert (head.status, head.body, head.content_type) == (got.status, b"", got.content_type)
        assert head.headers["content-length"] == str(len(got.body))
        own = {"traceparent", "server-timing"}
        assert head.headers.keys() == got.headers.keys() | {"content-length"}
        assert all(head.headers[name] == value for name, value in got.headers.items() if name not in own)

    def test_options_names_the_methods_of_a_path(self, app: App) -> None:
        response = app.handle(Request("OPTIONS", "/v2/models/digits"))
        assert (response.status, response.body, response.headers["allow"]) == (204, b"", "GET, HEAD, OPTIONS")
        assert app.handle(Request("OPTIONS", "/predict")).headers["allow"] == "POST, OPTIONS"
        assert app.handle(Request("OPTIONS", "/nope")).status == 404

    def test_head_of_what_takes_a_body_is_a_405(self, app: App) -> None:
        response = app.handle(Request("HEAD", "/predict"))
        assert (response.status, response.body, response.headers["allow"]) == (405, b"", "POST")


class TestBasePath:
    @pytest.fixture
    def below(self, registry: Registry) -> App:
        return App(Settings(registry.store.url, model="digits", base_path="/ml/models"))

    @pytest.mark.parametrize("base", ["/ml/models", ""])
    def test_a_path_is_answered_with_its_base_and_without(self, below: App, base: str) -> None:
        assert get(below, f"{base}/v2/models/digits")[1]["name"] == "digits"
        assert get(below, f"{base}/")[1]["status"] == "alive"
        assert post(below, f"{base}/predict", png(), "image/png")[0] == 200
        assert get(below, f"{base}/nope")[0] == 404

    def test_another_path_is_not_cut(self, below: App) -> None:
        for path in ("/ml/modelsv2", "/ml/v2", "/ml", "/ML/models/v2", "/ml/models/ml/models/v2"):
            assert get(below, path)[0] == 404

    def test_the_description_names_it(self, below: App) -> None:
        assert get(below, "/ml/models/openapi.json")[1]["servers"] == [{"url": "/ml/models"}]
        assert "servers" not in get(below, "/openapi.json")[1]

    def test_the_page_stands_where_its_links_are_right(self, below: App) -> None:
        headers = {"accept": "text/html"}
        redirected = below.handle(Request("GET", "/ml/models", headers=headers))
        assert (redirected.status, redirected.headers["location"]) == (308, "/ml/models/")
        page = below.handle(Request("GET", redirected.headers["location"], headers=headers))
        assert (page.status, page.headers["vary"]) == (200, "accept, accept-encoding")
        assert get(below, "/ml/models")[1]["status"] == "alive"


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


class TestInfer:
    def test_tensors_in_tensors_out(self, app: App) -> None:
        status, body = post(app, "/v2/models/two/infer", {"id": "7", "inputs": A_AND_B})
        assert status == 200
        assert body == {
            "model_name": "two",
            "model_version": "1",
            "id": "7",
            "outputs": [
                {"name": "sum", "datatype": "INT32", "shape": [1, 2], "data": [6, 9]},
                {"name": "difference", "datatype": "INT32", "shape": [1, 2], "data": [4, 5]},
            ],
        }

    def test_only_the_wanted_outputs_come_back(self, app: App) -> None:
        request = {"inputs": A_AND_B, "outputs": [{"name": "difference"}]}
        assert [output["name"] for output in post(app, "/v2/models/two/infer", request)[1]["outputs"]] == ["difference"]

    def test_strings_pass_unchanged(self, app: App) -> None:
        words = ["", "a", "日本", "x" * 1000]
        request = {"inputs": [tensor("x", words, "BYTES", [4])]}
        assert post(app, "/v2/models/text/infer", request)[1]["outputs"][0]["data"] == words

    def test_unknown_fields_are_tolerated(self, app: App) -> None:
        # KServe's client sends model_name
        request = {"model_name": "two", "parameters": {"x": 1}, "inputs": A_AND_B}
        assert post(app, "/v2/models/two/infer", request)[0] == 200

    @pytest.mark.parametrize(
        ("inputs", "words"),
        [
            ([A_AND_B[0]], 'input "b": expected INT32 (batch, 2), got nothing'),
            ([*A_AND_B, tensor("c", [1, 2])], 'input "c": the model has no such input, expected a, b'),
            ([A_AND_B[0], tensor("b", [1, 2], "INT64")], 'input "b": expected INT32 (batch, 2), got INT64 (1, 2)'),
            ([A_AND_B[0], tensor("b", [1, 2], shape=[2])], 'input "b": expected INT32 (batch, 2), got INT32 (2,)'),
            ([A_AND_B[0], tensor("b", [1, 2, 3], shape=[1, 3])], "got INT32 (1, 3)"),
            ([A_AND_B[0], tensor("b", [1, 2, 3])], "expected 2 values for the shape (1, 2), got 3"),
            ([A_AND_B[0], tensor("b", [[1], [2]])], "expected data nested as the shape (1, 2)"),
            ([A_AND_B[0], tensor("b", [1, 2.5])], "expected INT32 values"),
            ([A_AND_B[0], tensor("b", [1, "x"])], "expected INT32 values"),
            ([A_AND_B[0], tensor("b", [1, 2**31])], "expected INT32 values"),
            ([A_AND_B[0], tensor("b", [1, None])], "expected INT32 values"),
            ([A_AND_B[0], tensor("b", [1, 2], shape=[1, -2])], "expected a shape of sizes"),
            ([A_AND_B[0], tensor("b", [1, 2], shape="12")], "expected a shape of sizes"),
            ([A_AND_B[0], tensor("b", [1, 2], "FLOAT")], "expected a datatype of BOOL"),
            ([A_AND_B[0], {"name": "b", "datatype": "INT32", "shape": [1, 2]}], "expected data"),
            ([*A_AND_B, A_AND_B[0]], 'input "a": given twice'),
        ],
    )
    def test_a_wrong_tensor_is_a_400_naming_the_input(self, app: App, inputs: object, words: str) -> None:
        status, body = post(app, "/v2/models/two/infer", {"inputs": inputs})
        assert (status, body["code"]) == (400, "invalid_tensor")
        assert words in body["error"]

    def test_a_shape_of_great_rank_is_answered_or_a_422(self, app: App) -> None:
        shape = [1] * 65
        status, body = post(app, "/v2/models/anything/infer", {"inputs": [tensor("x", [1.0], "FP32", shape)]})
        if status == 200:
            assert body["outputs"][0]["shape"] == shape
        else:
            assert (status, body["code"]) == (422, "inference_failed")

    def test_a_shape_whose_product_is_0_has_no_great_sizes_beside_it(self, app: App) -> None:
        request = {"inputs": [tensor("x", [], "FP32", [0, *[2**31] * 8])]}
        status, body = post(app, "/v2/models/anything/infer", request)
        assert (status, body["code"]) == (400, "invalid_tensor")

    @pytest.mark.parametrize("value", [1e39, -1e300, 10**400])
    def test_a_number_that_the_datatype_cannot_hold_is_a_400(self, app: App, value: float) -> None:
        request = {"inputs": [tensor("x", [0.5, value], "FP32", [2])]}
        status, body = post(app, "/v2/models/anything/infer", request)
        assert (status, body["code"].partition("_")[0]) == (400, "invalid")

    def test_an_error_is_one_short_line_whatever_it_quotes(self, app: App) -> None:
        for name in ("a\nb", "x" * 10**6):
            status, body = post(app, "/v2/models/two/infer", {"inputs": [tensor(name, [1, 2])]})
            assert status == 400
            assert "\n" not in body["error"]
            assert len(body["error"]) <= 1000

    @given(
        st.sampled_from(["two", "anything", "text", "half", "gather", "digits"]),
        st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "name": st.sampled_from(["a", "b", "x", "index", "input", ""]),
                    "datatype": st.sampled_from(sorted(DATATYPES)),
                    "shape": st.lists(st.sampled_from([0, 1, 2, 28, 2**31]), max_size=5),
                    "data": st.lists(st.sampled_from([0, 1, -1, 2**31, 0.5, 1e39, True, "x", None, []]), max_size=4),
                },
            ),
            max_size=3,
        ),
    )
    def test_no_request_is_a_5xx(self, app: App, model: str, inputs: list[dict[str, Any]]) -> None:
        status, _ = post(app, f"/v2/models/{model}/infer", {"inputs": inputs})
        assert status in {200, 400, 422}

    def test_an_unknown_output_is_a_400(self, app: App) -> None:
        request = {"inputs": A_AND_B, "outputs": [{"name": "product"}]}
        assert 'output "product"' in post(app, "/v2/models/two/infer", request)[1]["error"]

    def test_fp16_has_no_json_form(self, app: App) -> None:
        request = {"inputs": [tensor("x", [1.0], "FP16", [1])]}
        status, body = post(app, "/v2/models/half/infer", request)
        assert (status, body["code"]) == (400, "invalid_tensor")
        assert "FP16 has no JSON form" in body["error"]

    def test_what_onnx_runtime_cannot_run_is_a_422(self, app: App) -> None:
        status, body = post(app, "/v2/models/gather/infer", {"inputs": [tensor("index", [9], "INT64", [1])]})
        assert (status, body["code"]) == (422, "inference_failed")
        assert "\n" not in body["error"]

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"", "invalid_json"),
            (b"{", "invalid_json"),
            (b"\xff\xfe", "invalid_json"),
            (b"[]", "invalid_json"),
            (b"[" * 100_000, "invalid_json"),
            (b'{"inputs": 1}', "invalid_request"),
            (b'{"inputs": [1]}', "invalid_request"),
            (b'{"inputs": [{"name": 1}]}', "invalid_request"),
            (b'{"id": 1, "inputs": []}', "invalid_request"),
            (b'{"inputs": [], "outputs": {}}', "invalid_request"),
            (b"{}", "invalid_request"),
        ],
    )
    def test_what_is_no_infer_request_is_a_400(self, app: App, body: bytes, code: str) -> None:
        status, answer = post(app, "/v2/models/two/infer", body)
        assert (status, answer["code"]) == (400, code)


class TestPredict:
    @pytest.mark.parametrize(("size", "mode"), [((28, 28), "L"), ((300, 200), "RGB"), ((1, 1), "RGBA")])
    def test_an_image_gets_ranked_labels(self, app: App, size: tuple[int, int], mode: str) -> None:
        status, body = post(app, "/predict/digits", png(size, mode), "image/png")
        assert (status, body["model"], body["version"]) == (200, "digits", 2)
        (prediction,) = body["predictions"]
        probabilities = [entry["probability"] for entry in prediction["top"]]
        assert len(probabilities) == 5
        assert probabilities == sorted(probabilities, reverse=True)
        assert prediction["top"][0] == {"label": prediction["label"], "probability": prediction["probability"]}

    def test_the_answer_is_the_one_of_the_tensors(self, app: App) -> None:
        image = png()
        pixels = np.asarray(Image.open(io.BytesIO(image)), np.float32) / 255
        request = {"inputs": [tensor("input", pixels.ravel().tolist(), "FP32", [1, 28, 28, 1])]}
        (output,) = post(app, "/v2/models/digits/infer", request)[1]["outputs"]
        (prediction,) = post(app, "/predict/digits", image, "image/png", top_k="10")[1]["predictions"]
        assert len(prediction["top"]) == 10
        assert prediction["label"] == str(np.argmax(output["data"]))
        assert prediction["probability"] == pytest.approx(max(output["data"]), rel=1e-4)

    def test_a_jpeg_that_is_turned_by_its_camera_is_turned_back(self, app: App) -> None:
        image = Image.open(io.BytesIO(png()))
        turned, upright = io.BytesIO(), io.BytesIO()
        exif = Image.Exif()
        exif[0x0112] = 6  # the camera was held a quarter turn to the right
        image.transpose(Image.Transpose.ROTATE_90).save(turned, "JPEG", quality=100, exif=exif)
        image.save(upright, "JPEG", quality=100)
        answers = [post(app, "/predict/digits", file.getvalue(), "image/jpeg")[1] for file in (turned, upright)]
        labels = [answer["predictions"][0]["label"] for answer in answers]
        assert labels[0] == labels[1]

    def test_without_a_name_the_default_model_answers(self, app: App, registry: Registry) -> None:
        assert post(app, "/predict", png(), "image/png")[1]["model"] == "digits"
        status, body = post(App(Settings(registry.store.url)), "/predict", png(), "image/png")
        assert (status, body["code"]) == (404, "model_not_found")

    def test_media_types_may_have_parameters_and_capitals(self, app: App) -> None:
        assert post(app, "/predict/digits", png(), "Image/PNG; q=1")[0] == 200

    @pytest.mark.parametrize(
        ("body", "media_type", "status", "code"),
        [
            (b"", "image/png", 400, "invalid_request"),
            (b"I am no image", "image/png", 422, "unreadable_payload"),
            (png()[:200], "image/png", 422, "unreadable_payload"),
            (b"I am no image", "image/jpg", 422, "unreadable_payload"),
            (b"GIF89a" + bytes(99), "image/png", 415, "unsupported_media"),
            (b"what is this?", "", 415, "unsupported_media"),
            (b"what is this?", "application/pdf", 415, "unsupported_media"),
            (bytes(MAX_BODY_BYTES + 1), "image/png", 413, "too_large"),
        ],
    )
    def test_a_bad_payload_is_a_4xx(self, app: App, body: bytes, media_type: str, status: int, code: str) -> None:
        answer = post(app, "/predict/digits", body, media_type)
        assert (answer[0], answer[1]["code"]) == (status, code)

    def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(self, app: App) -> None:
        buffer = io.BytesIO()
        Image.new("1", (8000, 8000)).save(buffer, "PNG")
        status, body = post(app, "/predict/digits", buffer.getvalue(), "image/png")
        assert (status, body["code"]) == (413, "too_large")
        assert "8000 x 8000" in body["error"]

    def test_a_model_of_tensors_says_where_they_go(self, app: App) -> None:
        status, body = post(app, "/predict/two", png(), "image/png")
        assert (status, body["code"]) == (415, "unsupported_media")
        assert "/v2/models/two/infer" in body["error"]

    @pytest.mark.parametrize("top_k", ["0", "-1", "x", "", "1001", "²"])
    def test_an_impossible_top_k_is_a_400(self, app: App, top_k: str) -> None:
        assert post(app, "/predict/digits", png(), "image/png", top_k=top_k)[0] == 400


SURROGATE = "\ud800"
EVENT: dict[str, Any] = {
    "rawPath": "/v2",
    "rawQueryString": "a=b",
    "headers": {"accept": "*/*"},
    "requestContext": {"http": {"method": "GET"}, "requestId": "1"},
    "body": "",
}


@pytest.mark.parametrize(
    "changed",
    [
        {"requestContext": {"http": {"method": f"GET{SURROGATE}"}}},
        {"rawPath": f"/v2/models/{SURROGATE}"},
        {"rawQueryString": f"top_k={SURROGATE}"},
        {"headers": {"x-request-id": SURROGATE, "traceparent": SURROGATE}},
        {"headers": {"authorization": f"Bearer {SURROGATE}"}},
        {"headers": {"content-type": f"multipart/form-data; boundary={SURROGATE}"}},
        {"headers": {SURROGATE: "x"}},
        {"requestContext": {"http": {"method": "POST"}, "requestId": SURROGATE}},
        {"body": SURROGATE},
        {"body": SURROGATE, "isBase64Encoded": True},
    ],
)
@pytest.mark.parametrize("requires_keys", [False, True])
def test_a_lone_surrogate_anywhere_in_an_event_is_a_400(
    registry: Registry, capsys: pytest.CaptureFixture[str], changed: dict[str, Any], requires_keys: bool
) -> None:
    """JSON may write one, and the log and the stores take none."""
    app = App(Settings(registry.store.url, requires_keys=requires_keys))
    response = app.handle(EVENT | changed, aws_http.to_request)
    assert (response.status, json.loads(response.body)["code"]) == (400, "invalid_request")
    assert json.loads(capsys.readouterr().out)["status"] == 400


def test_a_log_that_cannot_be_written_does_not_take_the_answer_away(registry: Registry) -> None:
    def broken(_line: Any) -> None:
        raise OSError(28, "No space left on device")

    assert App(Settings(registry.store.url), broken).handle(Request("GET", "/v2")).status == 200


def test_a_request_that_memory_has_no_room_for_is_a_413(registry: Registry) -> None:
    def too_large(_event: object) -> Request:
        raise MemoryError

    response = App(Settings(registry.store.url), lambda _line: None).handle({}, too_large)
    assert (response.status, json.loads(response.body)["code"]) == (413, "too_large")


class TestMemory:
    """What a request becomes when it is decoded is counted before it is."""

    BUDGET_BYTES = 16 * MIB

    @pytest.fixture
    def small(self, registry: Registry) -> App:
        settings = Settings(registry.store.url, model="digits", memory_bytes=MIB)
        return App(replace(settings, function_bytes=RESERVED_BYTES + MIB + self.BUDGET_BYTES))

    def image(self, side: int) -> bytes:
        buffer = io.BytesIO()
        Image.new("RGB", (side, side)).save(buffer, "PNG")
        return buffer.getvalue()

    def test_an_image_that_never_fits_is_a_413_that_says_what_fits(self, small: App) -> None:
        status, document = post(small, "/predict/digits", self.image(2000), "image/png")
        assert (status, document["code"]) == (413, "too_large")
        assert "MiB of memory, expected at most 16" in document["error"]
        assert post(small, "/predict/digits", self.image(1000), "image/png")[0] == 200

    def test_json_that_becomes_too_much_is_a_413(self, small: App) -> None:
        body = json.dumps([[0.5] * 784] * 700).encode()
        status, document = post(small, "/predict/digits", body, "application/json")
        assert (status, document["code"]) == (413, "too_large")
        assert "MiB of memory" in document["error"]

    def test_a_body_that_inflates_too_much_is_a_413(self, small: App) -> None:
        body = gzip.compress(bytes(10 * MIB))
        response = small.handle(Request("POST", "/predict/digits", body, {"content-encoding": "gzip"}))
        assert response.status == 413

    def test_numbers_that_become_too_much_are_a_413(self, small: App) -> None:
        file = io.BytesIO()
        np.save(file, np.zeros((4000, 28, 28, 1), np.float32))
        assert post(small, "/predict/digits", file.getvalue(), "application/x-npy")[0] == 413

    def test_images_of_many_pixels_in_one_request_are_a_413(self, app: App) -> None:
        image = io.BytesIO()
        Image.new("RGB", (7000, 7000)).save(image, "WEBP", lossless=True, quality=0, method=0)
        assert len(image.getvalue()) < 50
        body = [{"b64": b64encode(image.getvalue()).decode()}] * (MAX_REQUEST_PIXELS // 7000**2 + 1)
        status, document = post(app, "/predict/digits", json.dumps(body).encode(), "application/json")
        assert (status, document["code"]) == (413, "too_large")
        assert "pixels in all" in document["error"]

    def test_requests_at_once_are_all_answered_one_after_the_other(self, small: App) -> None:
        body = json.dumps([{"b64": b64encode(self.image(900)).decode()}] * 5).encode()
        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(lambda _: post(small, "/predict/digits", body, "application/json")[0], range(24)))
        assert statuses == [200] * 24
        with small.service.budget.share() as share:
            share.take(self.BUDGET_BYTES)

    def test_a_request_that_gets_no_memory_in_time_is_a_504(self, small: App) -> None:
        with small.service.budget.share() as share:
            share.take(self.BUDGET_BYTES)
            request = Request("POST", "/predict/digits", self.image(900), {"content-type": "image/png"})
            assert small.handle(request, remaining_s=0.7).status == 504
            innocent = Request("GET", "/v2/health/ready")
            assert small.handle(innocent).status == 200
        assert small.handle(request).status == 200

    def test_a_compressed_body_is_inflated_once_more_where_the_request_begins_again(self, small: App) -> None:
        body = gzip.compress(json.dumps([{"b64": b64encode(self.image(900)).decode()}]).encode())
        headers = {"content-encoding": "gzip", "content-type": "application/json"}
        others = Share(small.service.budget)
        others.take(self.BUDGET_BYTES - MIB)
        timer = threading.Timer(0.1, others.close)
        timer.start()
        assert small.handle(Request("POST", "/predict/digits", body, headers)).status == 200
        timer.join()


def test_an_error_of_our_own_is_a_500_without_its_insides(app: App) -> None:
    def broken(_event: object) -> Request:
        raise RuntimeError("a secret")

    response = app.handle(None, broken)
    assert response.status == 500
    assert b"secret" not in response.body


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


class TestHalfPrecision:
    """FP16 has no JSON form."""

    def test_who_sends_bytes_gets_bytes(self, app: App) -> None:
        values = np.arange(3, dtype=np.float16).tobytes()
        tensor = {"name": "x", "datatype": "FP16", "shape": [3], "parameters": {"binary_data_size": len(values)}}
        header = json.dumps({"inputs": [tensor]}).encode()
        request = Request("POST", "/v2/models/half/infer", header + values, {HEADER_LENGTH: str(len(header))})
        response = app.handle(request)
        assert response.body[int(response.headers[HEADER_LENGTH]) :] == values


class TestRawBinary:
    def ask(self, app: App, model: str, body: bytes) -> Any:
        response = app.handle(Request("POST", f"/v2/models/{model}/infer", body, {HEADER_LENGTH: "0"}))
        return response if response.status == 200 else json.loads(response.body)

    def test_the_body_is_the_tensor(self, app: App) -> None:
        response = self.ask(app, "half", np.arange(5, dtype=np.float16).tobytes())
        split = int(response.headers[HEADER_LENGTH])
        (output,) = json.loads(response.body[:split])["outputs"]
        assert output["shape"] == [5]
        assert np.frombuffer(response.body[split:], np.float16).tolist() == [0, 1, 2, 3, 4]

    @pytest.mark.parametrize(("model", "body"), [("half", b"123"), ("two", bytes(8)), ("anything", bytes(4))])
    def test_what_does_not_fit_is_a_400(self, app: App, model: str, body: bytes) -> None:
        assert self.ask(app, model, body)["code"] == "invalid_tensor"


class TestCompression:
    @pytest.mark.parametrize(("accepted", "window_bits"), [("gzip", 31), ("deflate", 15), ("br, GZIP;q=0.5", 31)])
    def test_a_client_that_takes_it_gets_a_smaller_body(self, app: App, accepted: str, window_bits: int) -> None:
        request = Request("GET", "/openapi.json", headers={"accept-encoding": accepted})
        response, plain = app.handle(request), app.handle(Request("GET", "/openapi.json"))
        assert zlib.decompress(response.body, window_bits) == plain.body
        assert len(response.body) < len(plain.body) / 2
        assert not response.is_text

    def test_others_and_small_bodies_are_left_alone(self, app: App) -> None:
        for path, accepted in (("/openapi.json", "br"), ("/v2", "gzip")):
            response = app.handle(Request("GET", path, headers={"accept-encoding": accepted}))
            assert "content-encoding" not in response.headers
            json.loads(response.body)


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


class TestOperator:
    def test_each_request_is_one_line_without_its_payload(self, registry: Registry) -> None:
        lines: list[Any] = []
        app = App(Settings(registry.store.url, "digits"), lines.append)
        secret = b"\x89PNG\r\n\x1a\nsecret"
        headers = {"content-type": "image/png", "x-request-id": "r-1", "authorization": "secret"}
        app.handle(Request("POST", "/predict", secret, headers))
        response = app.handle(Request("POST", "/predict", png(), {"x-request-id": "r-2"}))
        first, second = lines
        assert (first["status"], first["code"], first["refused"], first["cold"]) == (422, "unreadable_payload", 1, True)
        assert (second["status"], second["model"], second["version"], second["rows"]) == (200, "digits", 2, 1)
        assert (second["request_id"], second["cold"], second["route"]) == ("r-2", False, "/predict")
        assert {"load_ms", "decode_ms", "run_ms", "encode_ms"} <= set(second)
        assert second["milliseconds"] > second["decode_ms"] > 0
        assert second["request_bytes"] == len(png())
        assert second["response_bytes"] == len(response.body)
        assert "secret" not in json.dumps(lines)

    def test_each_answer_says_who_made_it_and_how(self, app: App) -> None:
        trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
        headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01", "x-request-id": "r-1"}
        response = app.handle(Request("POST", "/predict", png(), headers))
        assert response.headers["onnxlet-model"] == "digits"
        assert response.headers["onnxlet-version"] == "2"
        assert response.headers["x-request-id"] == "r-1"
        assert response.headers["traceparent"].startswith(f"00-{trace_id}-")
        assert {entry.split(";")[0] for entry in response.headers["server-timing"].split(", ")} == {
            "load",
            "decode",
            "run",
            "encode",
            "total",
        }
