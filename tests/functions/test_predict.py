"""Payloads and V1 requests through the whole app."""

import base64
import io
import json
import uuid
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto
from PIL import Image

from onnxlet.app import App
from onnxlet.config import MAX_INSTANCES, Settings, StorageSettings
from onnxlet.http import Request
from onnxlet.registry import Registry
from onnxlet.store import open_store
from tests import graphs
from tests.conftest import BUCKET
from training.publish import publish

JSON = "application/json"
NPY = "application/x-npy"


@pytest.fixture(scope="module")
def app(storage: StorageSettings) -> App:
    registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
    publish(registry, graphs.digits_candidate())
    publish(registry, graphs.candidate("two", graphs.two_inputs()))
    publish(registry, graphs.candidate("sums", graphs.sums()))
    publish(registry, graphs.candidate("text", graphs.identity(TensorProto.STRING)))
    publish(registry, graphs.candidate("half", graphs.identity(TensorProto.FLOAT16)))
    inputs = tuple(f"{scheme}://{BUCKET}/allowed" for scheme in ("s3", "gs"))
    return App(Settings(registry.store.url, "digits", inputs=inputs, storage=storage))


def picture(seed: int = 0, file_format: str = "PNG", size: tuple[int, int] = (28, 28)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, size[::-1], np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, file_format)
    return file.getvalue()


def npy(array: "np.ndarray") -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def post(app: App, path: str, body: Any, media_type: str = JSON) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = app.handle(Request("POST", path, data, {"content-type": media_type}))
    return response.status, json.loads(response.body)


def predictions(app: App, model: str, body: Any, media_type: str = JSON) -> Any:
    status, answer = post(app, f"/predict/{model}", body, media_type)
    assert status == 200, answer
    return answer["predictions"]


def v1(app: App, model: str, **document: Any) -> Any:
    status, answer = post(app, f"/v1/models/{model}:predict", document)
    assert status == 200, answer
    return answer


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class TestImages:
    @pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
    def test_an_image_needs_no_media_type(self, app: App, file_format: str) -> None:
        image = picture(file_format=file_format)
        told = predictions(app, "digits", image, f"image/{file_format.lower()}")
        for untold in ("", "application/octet-stream", "application/x-www-form-urlencoded"):
            assert predictions(app, "digits", image, untold) == told

    def test_many_in_json_are_answered_as_each_alone(self, app: App) -> None:
        images = [picture(seed, size=(20 + seed, 30)) for seed in range(4)]
        alone = [predictions(app, "digits", image, "image/png")[0] for image in images]
        for body in ([b64(image) for image in images], {"instances": [{"b64": b64(image)} for image in images]}):
            found = predictions(app, "digits", body)
            assert [row["label"] for row in found] == [row["label"] for row in alone]
            assert [row["probability"] for row in found] == pytest.approx([row["probability"] for row in alone])

    def test_many_in_a_form_are_answered_too(self, app: App) -> None:
        images = [picture(seed, file_format) for seed, file_format in enumerate(("PNG", "JPEG", "WEBP"))]
        parts = [
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n' + head + b"\r\n" + image + b"\r\n"
            for image, head in zip(images, (b"Content-Type: image/png\r\n", b"", b""), strict=True)
        ]
        found = predictions(app, "digits", b"".join(parts) + b"--x--\r\n", "multipart/form-data; boundary=x")
        assert len(found) == 3
        assert found[1]["label"] == predictions(app, "digits", images[1], "image/jpeg")[0]["label"]

    @given(st.binary(max_size=300))
    def test_a_form_carries_any_bytes(self, app: App, data: bytes) -> None:
        """Line ends and all: a text of one part comes back as it was."""
        text = b64(data).encode()  # UTF-8, with every pattern of line ends around it
        body = b"--x\r\nContent-Type: text/plain\r\n\r\n" + text + b"\n\r\r\n" + b"\r\n--x--\r\n"
        assert predictions(app, "text", body, "multipart/form-data; boundary=x") == [text.decode() + "\n\r\r\n"]

    @pytest.mark.parametrize(
        ("body", "media_type"),
        [
            (b"", "multipart/form-data; boundary=x"),
            (b"no boundary at all", "multipart/form-data; boundary=x"),
            (b"--x\r\n\r\nabc\r\n--x--", "multipart/form-data"),
            (b"--x\r\n\r\nabc\r\n--x--", "multipart/form-data; boundary=x"),
            (b"--x--\r\n", "multipart/form-data; boundary=x"),
        ],
    )
    def test_a_form_without_images_is_a_4xx(self, app: App, body: bytes, media_type: str) -> None:
        status, answer = post(app, "/predict/digits", body, media_type)
        assert 400 <= status < 500, answer


class TestNpy:
    def test_pixels_are_an_image(self, app: App) -> None:
        image = picture()
        pixels = np.asarray(Image.open(io.BytesIO(image)))[:, :, None]
        told = predictions(app, "digits", image, "image/png")
        assert predictions(app, "digits", npy(pixels), NPY) == told
        assert predictions(app, "digits", npy(pixels[None]), "") == told
        assert len(predictions(app, "digits", npy(np.stack([pixels] * 3)), NPY)) == 3

    def test_the_models_own_tensor_is_labelled_too(self, app: App) -> None:
        array = np.zeros((2, 28, 28, 1), np.float32)
        assert [set(row) for row in predictions(app, "digits", npy(array), NPY)] == [
            {"label", "probability", "top"}
        ] * 2

    def test_rows_may_be_given_alone(self, app: App) -> None:
        assert predictions(app, "sums", npy(np.array([1, 2, 3], np.float32)), NPY) == [6.0]
        assert predictions(app, "sums", npy(np.ones((2, 3), np.float32)), NPY) == [3.0, 3.0]

    @pytest.mark.parametrize(
        ("model", "array", "status"),
        [
            ("digits", np.zeros((5, 5, 3), np.uint8), 400),
            ("digits", np.zeros((5, 5), np.uint8), 400),
            ("sums", np.zeros((2, 3), np.float64), 400),
            ("sums", np.zeros((2, 4), np.float32), 400),
            ("sums", np.float32(1), 400),
            ("two", np.zeros((1, 2), np.int32), 415),
        ],
    )
    def test_an_array_that_does_not_fit_is_a_4xx(self, app: App, model: str, array: "np.ndarray", status: int) -> None:
        assert post(app, f"/predict/{model}", npy(array), NPY)[0] == status


class TestText:
    def test_text_is_one_string(self, app: App) -> None:
        assert predictions(app, "text", "grüße".encode(), "text/plain; charset=utf-8") == ["grüße"]

    def test_a_model_of_numbers_takes_none(self, app: App) -> None:
        assert post(app, "/predict/sums", b"text", "text/plain")[0] == 415
        assert post(app, "/predict/text", b"\xff", "text/plain")[0] == 422


class TestReferences:
    @pytest.mark.parametrize("scheme", ["s3", "gs"])
    def test_an_object_inside_an_allowed_prefix_is_read(self, app: App, storage: StorageSettings, scheme: str) -> None:
        image, key = picture(3), f"allowed/{uuid.uuid4()}/a digit, 100%.png"
        open_store(f"{scheme}://{BUCKET}", storage).put_if_absent(key, image)
        reference = {"image_path": f"{scheme}://{BUCKET}/{key}"}
        told = predictions(app, "digits", image, "image/png")
        assert predictions(app, "digits", reference) == told
        assert predictions(app, "digits", [reference, {"b64": b64(image)}]) == told * 2
        assert v1(app, "digits", instances=[reference])["predictions"] == told

    @pytest.mark.parametrize(
        "url",
        [
            f"s3://{BUCKET}/elsewhere/cat.png",
            f"s3://{BUCKET}/allowed-not/cat.png",
            f"s3://{BUCKET}/allowed/../elsewhere/cat.png",
            f"s3://{BUCKET}/allowed//cat.png",
            f"s3://{BUCKET}/allowed/./cat.png",
            f"s3://{BUCKET}/allowed/",
            f"s3://{BUCKET}/allowed",
            f"s3://{BUCKET}/allowed/a\0b",
            f"S3://{BUCKET}/allowed/cat.png",
            f"s3:/{BUCKET}/allowed/cat.png",
            "s3://another/allowed/cat.png",
            f"s3://{BUCKET}@evil/allowed/cat.png",
            "file:///etc/passwd",
            "/etc/passwd",
            "http://169.254.169.254/latest/meta-data/",
            f"https://storage.googleapis.com/{BUCKET}/allowed/cat.png",
            "memory://x/allowed",
            "",
            "é" * 3000,
        ],
    )
    def test_anything_else_is_forbidden(self, app: App, url: str) -> None:
        for path, body in (
            ("/predict/digits", {"image_path": url}),
            ("/v1/models/digits:predict", {"instances": [{"image_path": url}]}),
        ):
            status, answer = post(app, path, body)
            assert (status, answer["code"]) == (403, "forbidden")

    def test_an_object_that_is_not_there_is_a_404(self, app: App) -> None:
        status, answer = post(app, "/predict/digits", {"image_path": f"s3://{BUCKET}/allowed/nothing.png"})
        assert (status, answer["code"]) == (404, "object_not_found")

    def test_nothing_is_allowed_where_nothing_is_set(self, app: App) -> None:
        closed = App(Settings(app.settings.registry, "digits"))
        assert post(closed, "/predict", {"image_path": f"s3://{BUCKET}/allowed/a.png"})[0] == 403


class TestRows:
    def test_one_input_takes_bare_values_or_its_name(self, app: App) -> None:
        assert v1(app, "sums", instances=[[1, 2, 3], [4, 5, 6]]) == {"predictions": [6.0, 15.0]}
        assert v1(app, "sums", instances=[{"x": [1, 2, 3]}]) == {"predictions": [6.0]}

    def test_several_inputs_and_outputs_go_by_name(self, app: App) -> None:
        rows = [{"a": [1, 2], "b": [3, 4]}, {"a": [5, 6], "b": [7, 8]}]
        assert v1(app, "two", instances=rows)["predictions"] == [
            {"sum": [4, 6], "difference": [-2, -2]},
            {"sum": [12, 14], "difference": [-2, -2]},
        ]

    def test_tensors_get_values_and_images_get_labels(self, app: App) -> None:
        (row,) = v1(app, "digits", instances=[np.zeros((28, 28, 1)).tolist()])["predictions"]
        assert len(row) == 10
        assert sum(row) == pytest.approx(1)
        (label,) = v1(app, "digits", instances=[{"b64": b64(picture())}], parameters={"top_k": 2})["predictions"]
        assert len(label["top"]) == 2

    def test_strings_may_be_bytes(self, app: App) -> None:
        assert v1(app, "text", instances=["a", {"b64": b64("é".encode())}]) == {"predictions": ["a", "é"]}

    def test_a_version_may_be_named(self, app: App) -> None:
        assert post(app, "/v1/models/sums/versions/1:predict", {"instances": [[1, 1, 1]]}) == (
            200,
            {"predictions": [3.0]},
        )
        assert post(app, "/v1/models/sums/versions/2:predict", {"instances": [[1, 1, 1]]})[0] == 404

    @pytest.mark.parametrize(
        ("model", "document"),
        [
            ("sums", {}),
            ("sums", {"instances": []}),
            ("sums", {"instances": {}}),
            ("sums", {"instances": [[1, 2]]}),
            ("sums", {"instances": [["a", "b", "c"]]}),
            ("sums", {"instances": [[1, 2, 3], [1, 2]]}),
            ("sums", {"instances": [[[1], [2, 3]]]}),
            ("sums", {"instances": [None]}),
            ("sums", {"instances": [{"y": [1, 2, 3]}]}),
            ("sums", {"instances": [{"x": {"b64": "AAAA"}}]}),
            ("sums", {"instances": [[1, 2, 3]] * (MAX_INSTANCES + 1)}),
            ("two", {"instances": [[1, 2]]}),
            ("two", {"instances": [{"a": [1, 2]}]}),
            ("two", {"inputs": [1, 2]}),
            ("text", {"instances": [{"b64": "no base64!"}]}),
            ("text", {"instances": [1]}),
            ("half", {"instances": [[1.0]]}),
            ("digits", {"instances": ["no base64!"]}),
            ("digits", {"instances": [{"b64": 1}]}),
            ("digits", {"instances": [{"image_path": 1}]}),
            ("digits", {"instances": [{"b64": "AAAA"}], "parameters": {"top_k": "many"}}),
            ("digits", {"instances": [{"b64": "AAAA"}], "parameters": [1]}),
        ],
    )
    def test_what_does_not_fit_is_a_4xx(self, app: App, model: str, document: Any) -> None:
        status, answer = post(app, f"/v1/models/{model}:predict", document)
        assert 400 <= status < 500, answer
        assert set(answer) == {"error", "code"}

    def test_deep_nesting_is_a_4xx(self, app: App) -> None:
        for model in ("sums", "text"):
            body = b'{"instances":' + b"[" * 900 + b"]" * 900 + b"}"
            assert post(app, f"/v1/models/{model}:predict", body)[0] == 400


class TestColumns:
    def test_whole_tensors_in_whole_tensors_out(self, app: App) -> None:
        assert v1(app, "sums", inputs=[[1, 2, 3], [4, 5, 6]]) == {"outputs": [6.0, 15.0]}
        columns = {"a": [[1, 2], [5, 6]], "b": [[3, 4], [7, 8]]}
        expected = {"sum": [[4, 6], [12, 14]], "difference": [[-2, -2], [-2, -2]]}
        assert v1(app, "two", inputs=columns) == {"outputs": expected}

    def test_an_empty_batch_is_a_400(self, app: App) -> None:
        status, answer = post(app, "/v1/models/text:predict", {"inputs": []})
        assert (status, answer["code"]) == (400, "invalid_tensor")
        assert (
            answer["error"] == 'input "x": expected BYTES (n,), got BYTES (0,): each free dimension must be at least 1'
        )


class TestInvocations:
    """What a direct invocation of the Lambda function says."""

    def test_a_v2_request_is_known_by_its_tensors(self, app: App) -> None:
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}
        status, answer = post(app, "/invocations", {"model": "sums", "inputs": [tensor]})
        assert (status, answer["outputs"][0]["data"]) == (200, [6.0])

    def test_a_v1_request_is_the_other_kind(self, app: App) -> None:
        assert post(app, "/invocations", {"model": "sums", "instances": [[1, 2, 3]]}) == (200, {"predictions": [6.0]})
        assert post(app, "/invocations", {"model": "sums", "inputs": [[1, 2, 3]]}) == (200, {"outputs": [6.0]})

    def test_a_payload_is_for_the_default_model(self, app: App) -> None:
        assert post(app, "/invocations", picture(), "image/png")[1]["model"] == "digits"

    @pytest.mark.parametrize("document", [{}, {"inputs": 1, "model": 2}, {"model": "sums"}])
    def test_anything_else_is_a_400(self, app: App, document: Any) -> None:
        assert post(app, "/invocations", document)[0] == 400
