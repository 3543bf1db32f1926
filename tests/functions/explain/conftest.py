"""The app whose classifiers the tests explain."""

import uuid

import pytest

from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from onnxlet_publishing.publish import publish_all
from tests.helpers import graphs, real_digits
from tests.helpers.explanations import additive, cropped, moods, product, square, strings


@pytest.fixture(scope="package")
def app() -> App:
    registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
    candidates = [
        additive(),
        product(),
        square(),
        cropped(),
        strings(),
        moods(),
        real_digits.regression(),
        graphs.digits_candidate(),
    ]
    publish_all(registry, [*candidates, graphs.candidate("sums", graphs.sums())])
    return App(Settings(registry.store.url), write_line=lambda _line: None)
