"""An app whose default model is `digits`, with three versions of it and models of other kinds."""

import uuid

import pytest
from onnx import TensorProto

from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from onnxlet_publishing.publish import publish
from tests.helpers import graphs


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
