import uuid
from typing import Any

import pytest

from onnxlet.contract.api_keys import Keys
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import Store, open_store
from onnxlet.web.app import App
from onnxlet_publishing.publish import publish_all
from tests.helpers import graphs
from tests.helpers.key_owner import Owner


@pytest.fixture(scope="module")
def models() -> Store:
    registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
    names = {"sums": graphs.sums(), "two": graphs.two_inputs()}
    publish_all(registry, [graphs.candidate(name, proto) for name, proto in names.items()])
    return registry.store


@pytest.fixture
def owner(models: Store) -> Owner:
    found = Owner(models)
    found.write(Keys().to_json())
    return found


@pytest.fixture
def lines() -> list[Any]:
    return []


@pytest.fixture
def app(owner: Owner, lines: list[Any]) -> App:
    results = f"memory://{uuid.uuid4()}"
    settings = Settings(owner.store.url, "sums", results, requires_keys=True, refresh_s=0)
    return App(settings, lines.append)
