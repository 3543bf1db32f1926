"""The app that the tests of the protocols send requests to."""

import uuid

import pytest
from onnx import TensorProto

from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet.web.app import App
from onnxlet_publishing.publish import publish
from tests.conftest import BUCKET
from tests.helpers import graphs


@pytest.fixture(scope="package")
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
