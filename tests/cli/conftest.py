"""A sound registry in a folder, of which each test may break a copy; and who looks at it."""

import shutil
from pathlib import Path

import pytest

from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_cli.doctor import machine
from onnxlet_cli.doctor.versions import Examination
from onnxlet_publishing.publish import publish
from tests.helpers import graphs


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions of `digits`, the second live."""
    folder = tmp_path_factory.mktemp("sound") / "registry"
    registry = Registry(open_store(folder.as_uri(), create=True))
    for seed in (0, 1):
        publish(registry, graphs.digits_candidate(seed))
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "registry"))


@pytest.fixture
def registry(folder: Path) -> Registry:
    return Registry(open_store(folder.as_uri()))


@pytest.fixture(scope="session")
def examination() -> Examination:
    return Examination(machine.pinned_onnxruntime())
