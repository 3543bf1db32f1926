"""The command in an empty folder, and a sound registry of which each test may break a copy."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_cli.doctor import machine
from onnxlet_cli.doctor.versions import Examination
from onnxlet_publishing.publish import publish
from tests.helpers import forked, graphs
from tests.helpers.command import Command


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


@pytest.fixture
def onnxlet_environment() -> dict[str, str]:
    """The environment without the machine's AWS credentials."""
    hidden = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ONNXLET_"))}
    return {**kept, **hidden, "AWS_EC2_METADATA_DISABLED": "true", "COLUMNS": "200"}


@pytest.fixture
def onnxlet(tmp_path: Path, onnxlet_environment: dict[str, str]) -> Command:
    """Run the command in an empty folder."""

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        done = forked.run(list(arguments), tmp_path, {**onnxlet_environment, **more}, timeout=60)
        assert "Traceback" not in done.stderr
        return done

    return run
