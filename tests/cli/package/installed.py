"""The distributions of the running environment, as a source of packages that needs no network."""

import shutil
from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path

from onnxlet_cli.package.target import Target
from onnxlet_cli.package.wheels import Pin


def copy_installed(pins: Sequence[Pin], _target: Target, folder: Path) -> None:
    """As `wheels.fetch`, for this machine and this Python alone."""
    for pin in pins:
        found = distribution(pin.name)
        assert found.version == pin.version, "constraints.txt and requirements.txt name the same versions"
        for file in found.files or []:
            if ".." not in file.parts:
                path = folder / file
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(str(file.locate()), path)
