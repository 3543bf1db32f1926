import uuid

import pytest

from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import Store, open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet.web.app import App
from onnxlet_publishing.publish import publish
from tests.conftest import BUCKET
from tests.helpers import graphs


@pytest.fixture(params=["s3", "gs"])
def scheme(request: pytest.FixtureRequest) -> str:
    scheme: str = request.param
    return scheme


@pytest.fixture
def results(scheme: str, storage: StorageSettings) -> Store:
    return open_store(f"{scheme}://{BUCKET}/results-{uuid.uuid4()}", storage)


@pytest.fixture
def app(results: Store, storage: StorageSettings) -> App:
    url = f"memory://{uuid.uuid4()}"
    publish(Registry(open_store(url)), graphs.digits_candidate())
    return App(Settings(url, "digits", results.url, storage=storage))
