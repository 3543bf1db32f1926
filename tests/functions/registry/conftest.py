"""A registry in each store that the tests know."""

import pytest

from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet.storage.connection import StorageSettings


@pytest.fixture
def registry(root: str, storage: StorageSettings) -> Registry:
    return Registry(open_store(root, storage, create=True))
