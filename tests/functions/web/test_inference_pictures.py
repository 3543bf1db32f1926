"""Tasks of pictures over HTTP."""

import uuid
from base64 import b64encode
from io import BytesIO

import pytest
from PIL import Image

from onnxlet.http import Request
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from tests.helpers.app_requests import post
from tests.helpers.image_files import encode
from tests.helpers.picture_models import DETECTION, SEGMENTATION, candidate
from tests.helpers.ungated import publish

PICTURE = encode(Image.new("RGB", (60, 40), "red"))


@pytest.fixture(scope="module")
def app() -> App:
    registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
    publish(registry, candidate(DETECTION, "objects"))
    publish(registry, candidate(SEGMENTATION, "colours"))
    return App(Settings(registry.store.url))


def test_objects_are_predictions(app: App) -> None:
    status, document = post(app, "/predict/objects", PICTURE, "image/png", threshold="0.2")
    assert (status, document["model"]) == (200, "objects")
    ((found,),) = document["predictions"]
    assert found == {
        "label": "dog",
        "score": pytest.approx(0.222, abs=0.01),
        "box": {"xmin": 15, "ymin": 5.71, "xmax": 45, "ymax": 36.19},
    }


def test_hugging_faces_clients_send_a_picture_as_it_is_or_as_base64(app: App) -> None:
    _, found = post(app, "/models/objects", PICTURE, "image/png", threshold="0.2")
    assert [item["label"] for item in found] == ["dog"]
    body = {"inputs": b64encode(PICTURE).decode(), "parameters": {"threshold": 0.2}}
    assert post(app, "/models/objects", body, "application/json") == (200, found)


def test_masks_are_documents_or_one_png(app: App) -> None:
    _, document = post(app, "/predict/colours", PICTURE, "image/png")
    assert [item["label"] for item in document["predictions"][0]] == ["red"]
    headers = {"content-type": "image/png", "accept": "image/png"}
    response = app.handle(Request("POST", "/predict/colours", PICTURE, headers, {}))
    assert response.content_type == "image/png"
    image = Image.open(BytesIO(response.body))
    assert (image.size, image.getcolors()) == ((60, 40), [(60 * 40, 1)])


def test_a_parameter_of_another_task_is_a_400(app: App) -> None:
    status, document = post(app, "/predict/objects", PICTURE, "image/png", top_k="3")
    assert (status, document["code"]) == (400, "invalid_request")
