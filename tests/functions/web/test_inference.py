import io
import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from onnxlet.contract.tensors import DATATYPES
from onnxlet.http import Request
from onnxlet.limits import MAX_BODY_BYTES
from onnxlet.protocols.v2 import HEADER_LENGTH
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.web.app import App
from tests.helpers.app_requests import A_AND_B, png, post, tensor


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
            (b"\0\0\0\x20ftypavif" + bytes(99), "image/png", 415, "unsupported_media"),
            (b"GIF89a" + bytes(99), "image/png", 422, "unreadable_payload"),
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


def test_a_cold_start_imports_no_protocol() -> None:
    lazy = "('onnxlet.protocols', 'onnxlet.explain', 'onnxlet.media', 'onnxlet.models.generation', 'PIL')"
    program = f"import sys, onnxlet.web.app; assert not [name for name in sys.modules if name.startswith({lazy})]"
    subprocess.run([sys.executable, "-c", program], check=True)
