"""Payloads and V1 requests through the whole app."""

import base64
import gzip
import io
import json
import math
import uuid
from typing import Any

import numpy as np
import obstore
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto
from PIL import Image

from onnxlet.http import Request
from onnxlet.limits import MAX_INSTANCES
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet.web.app import App
from onnxlet_publishing.publish import publish
from tests.conftest import BUCKET
from tests.helpers import graphs

JSON = "application/json"
NPY = "application/x-npy"


@pytest.fixture(scope="module")
def app(storage: StorageSettings) -> App:
    registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
    publish(registry, graphs.digits_candidate())
    publish(registry, graphs.candidate("two", graphs.two_inputs()))
    publish(registry, graphs.candidate("sums", graphs.sums()))
    publish(registry, graphs.candidate("text", graphs.identity(TensorProto.STRING)))
    publish(registry, graphs.candidate("people", graphs.columns()))
    publish(registry, graphs.candidate("alone", graphs.one_row()))
    publish(registry, graphs.candidate("doubles", graphs.doubles()))
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


FORM = "multipart/form-data; boundary=x"


def form(*parts: bytes) -> bytes:
    return b"".join(b"--x\r\n" + part + b"\r\n" for part in parts) + b"--x--\r\n"


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

    @pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
    @pytest.mark.parametrize("declared", ["image/gif", "image/*", "image/png; x=y", "text/plain", JSON, NPY, "a/b"])
    def test_the_first_bytes_are_believed_rather_than_a_header(self, app: App, file_format: str, declared: str) -> None:
        image = picture(file_format=file_format)
        assert predictions(app, "digits", image, declared) == predictions(app, "digits", image, "")
        part = f'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\nContent-Type: {declared}\r\n\r\n'
        form = part.encode() + image + b"\r\n--x--"
        assert predictions(app, "digits", form, "multipart/form-data; boundary=x") == predictions(
            app, "digits", image, ""
        )

    @pytest.mark.parametrize(
        ("head", "found"),
        [
            (b"GIF89a\1\0\1\0", "image/gif"),
            (b"BM\x8e\0\0\0\0\0\0\0", "image/bmp"),
            (b"II*\0\x08\0\0\0", "image/tiff"),
            (b"MM\0*\0\0\0\x08", "image/tiff"),
            (b"\0\0\0\x1cftypavif", "image/avif"),
            (b"\0\0\0\x18ftypheic", "image/heic"),
        ],
    )
    def test_an_image_of_another_format_is_called_by_its_name(self, app: App, head: bytes, found: str) -> None:
        body = head + bytes(100)
        for declared in ("", "image/png", "image/*", "application/octet-stream"):
            status, answer = post(app, "/predict/digits", body, declared)
            assert (status, answer["error"].endswith(f"got {found}")) == (415, True)
        status, answer = post(app, "/predict/digits", [b64(body)])
        assert (status, answer["error"].endswith(f"got {found}")) == (415, True)

    def test_an_array_of_pixels_may_come_as_base64(self, app: App) -> None:
        image = picture()
        pixels = np.asarray(Image.open(io.BytesIO(image)))[:, :, None]
        told = predictions(app, "digits", image, "")
        for instance in (b64(npy(pixels)), {"b64": b64(npy(pixels[None]))}):
            assert predictions(app, "digits", [instance, b64(image)]) == told * 2
        assert post(app, "/predict/digits", [b64(npy(np.stack([pixels] * 2)))])[0] == 400

    def test_base64_may_be_a_url_or_lines(self, app: App) -> None:
        image = picture()
        told = predictions(app, "digits", image, "")
        lines = base64.encodebytes(image).decode()
        for text in (f"data:image/png;base64,{b64(image)}", lines, f"data:;base64,{lines}"):
            assert predictions(app, "digits", [text]) == told

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

    def test_of_a_form_the_files_are_answered(self, app: App) -> None:
        """Not the fields beside them, nor the inputs for which nobody chose a file."""
        image = picture()
        disposition = 'Content-Disposition: form-data; name="f"'
        field = f"{disposition}\r\n\r\nAnna"
        unfilled = f'{disposition}; filename=""\r\nContent-Type: application/octet-stream\r\n\r\n'
        base64_part = f'{disposition}; filename="a.png"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
        filled = f'{disposition}; filename="a.png"\r\n\r\n'.encode() + image
        told = predictions(app, "digits", image, "")
        for parts in (
            [field.encode(), filled],
            [filled, field.encode(), unfilled.encode()],
            [(base64_part + base64.encodebytes(image).decode()).encode()],
            [f"{disposition}\r\n\r\n{b64(image)}\r\n".encode()],
            [f"{disposition}\r\n\r\n".encode() + image],
            [f'{disposition}\r\n\r\n{{"instances": ["{b64(image)}"]}}'.encode()],
        ):
            assert predictions(app, "digits", form(*parts), FORM) == told
        for parts in ([unfilled.encode()], [field.encode()], [unfilled.encode(), field.encode()]):
            assert 400 <= post(app, "/predict/digits", form(*parts), FORM)[0] < 500
        assert predictions(app, "sums", form(f"{disposition}\r\n\r\n[1, 2, 3]".encode()), FORM) == [6.0]

    def test_every_part_is_a_row_of_a_model_of_texts(self, app: App) -> None:
        disposition = 'Content-Disposition: form-data; name="f"'
        texts = ["[1]", "GIF89a is a format", '{"a": 1}', "é"]
        parts = [f"{disposition}\r\n\r\n{text}".encode() for text in texts]
        parts += [f'{disposition}; filename="a.txt"\r\nContent-Type: text/plain; charset=UTF-16\r\n\r\n'.encode()]
        parts[-1] += "grüße".encode("utf-16")
        assert predictions(app, "text", form(*parts), FORM) == [*texts, "grüße"]

    @pytest.mark.parametrize("encoding", ["quoted-printable", "base64"])
    def test_a_part_that_cannot_be_decoded_is_a_422(self, app: App, encoding: str) -> None:
        part = f'Content-Disposition: form-data; name="f"; filename="a"\r\nContent-Transfer-Encoding: {encoding}'
        assert post(app, "/predict/digits", form(f"{part}\r\n\r\n=!".encode()), FORM)[0] == 422

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


class TestMediaTypes:
    @pytest.mark.parametrize(
        "declared",
        [
            "",
            "application/octet-stream",
            "binary/octet-stream",
            "application/x-www-form-urlencoded",
            "text/plain",
            "Text/Plain; charset=UTF-8",
            "text/json",
            "application/vnd.api+json",
            "application/geo+json; charset=utf-8",
            "application/json; charset=utf-8",
            " APPLICATION/JSON ;charset=ISO-8859-1",
            "application/json, application/json",
        ],
    )
    def test_json_is_known_by_every_name_that_clients_have_for_it(self, app: App, declared: str) -> None:
        for body in (b"[[1, 2, 3]]", b"\n [[1,2,3]]", b'\xef\xbb\xbf{"instances": [[1, 2, 3]]}'):
            assert predictions(app, "sums", body, declared) == [6.0]

    def test_json_sent_as_text_is_a_text_for_a_model_of_texts(self, app: App) -> None:
        assert predictions(app, "text", b"[[1]]", "text/plain") == ["[[1]]"]

    @pytest.mark.parametrize("declared", ["application/xml", "text/csv", "application/jsonlines", "application/zip"])
    def test_another_media_type_is_a_415_that_names_it(self, app: App, declared: str) -> None:
        status, answer = post(app, "/predict/sums", b"[[1, 2, 3]]", declared)
        assert (status, answer["error"].endswith(declared)) == (415, True)


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


class TestText:
    def test_text_is_one_string(self, app: App) -> None:
        assert predictions(app, "text", "grüße".encode(), "text/plain; charset=utf-8") == ["grüße"]

    @pytest.mark.parametrize(
        ("charset", "encoding"),
        [
            ("utf-8", "utf-8-sig"),
            ("UTF8", "utf-8"),
            ('"utf-8"', "utf-8"),
            ("us-ascii", "utf-8"),
            ("ISO-8859-1", "latin-1"),
            ("windows-1252", "cp1252"),
            ("utf-16", "utf-16"),
        ],
    )
    def test_text_is_read_in_its_character_set(self, app: App, charset: str, encoding: str) -> None:
        media_type = f"Text/Plain; format=flowed; charset={charset}"
        assert predictions(app, "text", "grüße".encode(encoding), media_type) == ["grüße"]

    def test_another_character_set_is_refused(self, app: App) -> None:
        assert post(app, "/predict/text", b"text", "text/plain; charset=utf-7")[0] == 415
        assert post(app, "/predict/text", b"t", "text/plain; charset=utf-16")[0] == 422

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
            ("sums", {"instances": None}),
            ("sums", {"instances": [1, 2, 3]}),
            ("two", {"instances": [{"a": [1, None], "b": [1, 2]}]}),
            ("people", {"instances": [30]}),
            ("people", {"instances": [{"age": {}, "height": 1, "name": "a"}]}),
            ("people", {"instances": [{"age": 1, "height": 1, "name": None}]}),
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


class TestForms:
    """The forms of JSON that clients write."""

    def test_a_column_takes_a_bare_value_for_each_row(self, app: App) -> None:
        rows = [{"age": 30, "height": 1.5, "name": "Anna"}, {"age": [7], "height": None, "name": {"b64": b64(b"Bo")}}]
        expected = [
            {"older": [31], "taller": [2.5], "named": ["Anna"]},
            {"older": [8], "taller": [None], "named": ["Bo"]},
        ]
        assert v1(app, "people", instances=rows)["predictions"] == expected
        columns = {"age": [30.0, 7], "height": [[1.5], [None]], "name": ["Anna", "Bo"]}
        assert v1(app, "people", inputs=columns)["outputs"] == {
            "older": [[31], [8]],
            "taller": [[2.5], [None]],
            "named": [["Anna"], ["Bo"]],
        }
        nulled = {"instances": None, "parameters": None, "inputs": columns}
        assert "outputs" in v1(app, "people", **nulled)

    @pytest.mark.parametrize("path", ["/v1/models/doubles:predict", "/v2/models/doubles/infer", "/predict/doubles"])
    @pytest.mark.parametrize(
        "data", ["[null, NaN, 1]", "[NaN, Infinity, -Infinity]", "[1.5, null, -0.0]", "[9007199254740993, 1e308, 2]"]
    )
    def test_what_is_not_a_number_comes_to_the_model_as_it_is(self, app: App, path: str, data: str) -> None:
        tensor = f'{{"name": "x", "datatype": "FP64", "shape": [1, 3], "data": {data}}}'
        body = f'{{"inputs": [{tensor}]}}' if path.startswith("/v2") else f'{{"instances": [{data}]}}'
        status, answer = post(app, path, body.encode())
        assert status == 200, answer
        found = answer["outputs"][0]["data"] if path.startswith("/v2") else answer["predictions"][0]
        values = [math.nan if value is None else value for value in json.loads(data)]
        assert found == [math.isnan(value) + 2 * math.isinf(value) + 4 * (value == 1) for value in values]

    def test_a_row_without_its_brackets_is_one_row_where_it_can_be_nothing_else(self, app: App) -> None:
        assert predictions(app, "sums", [1, 2, 3]) == [6.0]
        assert predictions(app, "alone", [1, 2, 3]) == [6.0]
        assert predictions(app, "text", ["a", "b"]) == ["a", "b"]
        status, answer = post(app, "/v1/models/sums:predict", {"instances": [1, 2, 3]})
        assert (status, "each row needs its own brackets" in answer["error"]) == (400, True)
        assert 400 <= post(app, "/predict/sums", [1, 2])[0] < 500
        assert 400 <= post(app, "/predict/digits", [1, 2])[0] < 500

    def test_numbers_of_json_are_numbers_whatever_their_point(self, app: App) -> None:
        two = {"a": [1.0, 2e0], "b": [0, -0.0]}
        assert v1(app, "two", instances=[two])["predictions"] == [{"sum": [1, 2], "difference": [1, 2]}]
        status, answer = post(app, "/v1/models/two:predict", {"instances": [{"a": [1, 2.5], "b": [0, 0]}]})
        assert (status, answer["error"]) == (400, 'input "a": expected INT32 values, got 2.5 at position 1')
        top_k: Any
        for top_k in (2, 2.0, "2"):
            (row,) = v1(app, "digits", instances=[b64(picture())], parameters={"top_k": top_k})["predictions"]
            assert len(row["top"]) == 2
        for top_k in (2.5, 0.0, -1, True, [], "2.0"):
            document = {"instances": [b64(picture())], "parameters": {"top_k": top_k}}
            assert post(app, "/v1/models/digits:predict", document)[0] == 400

    def test_errors_speak_of_json_and_not_of_python(self, app: App) -> None:
        words: set[str] = set()
        documents: tuple[Any, ...] = (None, True, 1, "a", [], {})
        for document in documents:
            for body in (document, {"instances": document}, {"instances": [document]}, {"inputs": document}):
                for path in ("/v1/models/sums:predict", "/v2/models/sums/infer", "/predict/sums", "/invocations"):
                    words |= set(post(app, path, body)[1].get("error", "").replace(",", "").split())
        assert not words & {"NoneType", "dict", "str", "bool", "int", "float", "None", "True"}
        assert {"null", "boolean", "number", "string", "list", "object"} <= words


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
