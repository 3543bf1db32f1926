"""Payloads that are images, alone and in forms."""

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from onnxlet.web.app import App
from tests.helpers.payload_requests import FORM, JSON, NPY, b64, form, npy, picture, post, predictions


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
