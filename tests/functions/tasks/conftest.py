"""The app with a model for each task of tables and sounds."""

import uuid

import pytest

from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from tests.helpers import sounds, tables
from tests.helpers.ungated import publish


@pytest.fixture(scope="package")
def app() -> App:
    registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
    for candidate in (
        tables.sums_candidate(),
        tables.sums_candidate("one-by-one", batch=1),
        tables.people_candidate(),
        tables.choices_candidate(),
        tables.choices_candidate("probable", label=None),
        sounds.loudness_candidate(),
        sounds.speech_candidate(),
    ):
        publish(registry, candidate)
    return App(Settings(registry.store.url))
