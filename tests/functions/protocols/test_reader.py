"""Arrays, and objects that requests name."""

import gzip
import io
import uuid

import numpy as np
import obstore
import pytest
from PIL import Image

from onnxlet.limits import MAX_INSTANCES
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet.web.app import App
from tests.conftest import BUCKET
from tests.helpers.payload_requests import NPY, b64, npy, picture, post, predictions, v1


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

    def test_a_model_of_one_row_gets_them_one_after_another(self, app: App) -> None:
        assert predictions(app, "alone", npy(np.arange(6, dtype=np.float32).reshape(2, 3)), NPY) == [3.0, 12.0]
        assert v1(app, "alone", instances=[[0, 1, 2], [3, 4, 5]]) == {"predictions": [3.0, 12.0]}
        assert post(app, "/predict/alone", npy(np.zeros((MAX_INSTANCES + 1, 3), np.float32)), NPY)[0] == 413

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

    def test_an_object_that_was_uploaded_compressed_is_read_as_it_was(self, app: App, storage: StorageSettings) -> None:
        image, key = picture(3), f"allowed/{uuid.uuid4()}/noext"
        backend = open_store(f"s3://{BUCKET}", storage).backend
        obstore.put(backend, key, gzip.compress(image), attributes={"Content-Encoding": "gzip"})
        found = predictions(app, "digits", {"image_path": f"s3://{BUCKET}/{key}"})
        assert found == predictions(app, "digits", image, "")

    def test_an_object_that_is_not_there_is_a_404(self, app: App) -> None:
        status, answer = post(app, "/predict/digits", {"image_path": f"s3://{BUCKET}/allowed/nothing.png"})
        assert (status, answer["code"]) == (404, "object_not_found")

    def test_nothing_is_allowed_where_nothing_is_set(self, app: App) -> None:
        closed = App(Settings(app.settings.registry, "digits"))
        assert post(closed, "/predict", {"image_path": f"s3://{BUCKET}/allowed/a.png"})[0] == 403
