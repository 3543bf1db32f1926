import uuid
from typing import Any

import pytest

from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from onnxlet_publishing.publish import publish
from tests.helpers import graphs
from tests.helpers.payload_requests import picture, post


@pytest.fixture(scope="module")
def app() -> App:
    registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
    publish(registry, graphs.digits_candidate())
    publish(registry, graphs.candidate("sums", graphs.sums()))
    return App(Settings(registry.store.url, "digits"))


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
