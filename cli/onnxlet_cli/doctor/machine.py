"""The machine: its Python, ONNX Runtime and other wheels, and the settings that a function would have here."""

import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from onnxlet.errors import SettingsError
from onnxlet.settings import Settings
from onnxlet_cli.assets import functions_folder
from onnxlet_cli.doctor.finding import Finding, error, ok, warning
from onnxlet_cli.doctor.libraries import HEADER_BYTES, OLDEST_ONNXRUNTIME, examine_machines, is_library, parse_version
from onnxlet_cli.package.build import REQUIREMENTS
from onnxlet_cli.package.wheels import read_pins
from onnxlet_cli.registry import DEFAULT_FOLDER
from onnxlet_publishing.errors import MachineError

OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 14)

MACHINES = {"arm64": "aarch64", "amd64": "x86_64"}
"""The names that some systems give to processors, with the names in ELF."""

FOLDERS = {"onnxruntime": "onnxruntime", "numpy": "numpy", "obstore": "obstore", "orjson": "orjson", "pillow": "PIL"}
"""The folder of each distribution that has compiled libraries."""


@dataclass(frozen=True)
class Machine:
    """The properties of a machine."""

    python: tuple[int, int]
    system: str
    """The value of `sys.platform`."""
    processor: str
    """The processor's name in ELF."""
    folders: tuple[Path, ...]
    """The folders of installed distributions."""
    requirements: Path
    """The file with the functions' pins."""
    environment: Mapping[str, str]

    @classmethod
    def here(cls) -> "Machine":
        """Return this machine."""
        python, name = sys.version_info[:2], platform.machine()
        folders = tuple(Path(entry) for entry in sys.path if entry)
        requirements = functions_folder() / REQUIREMENTS
        return cls(python, sys.platform, MACHINES.get(name.lower(), name), folders, requirements, os.environ)


def pinned_onnxruntime(requirements: Path | None = None) -> str | None:
    """Return the version of ONNX Runtime that is deployed; None if it is unknown."""
    path = requirements or functions_folder() / REQUIREMENTS
    try:
        return next((pin.version for pin in read_pins(path) if pin.name == "onnxruntime"), None)
    except MachineError:
        return None


def examine(machine: Machine) -> Iterator[Finding]:
    """Check Python, ONNX Runtime, the wheels and their versions, and the settings."""
    yield _python(machine)
    yield _onnxruntime(machine)
    yield from _libraries(machine)
    yield from _pins(machine)
    yield from _settings(machine)


def examine_settings(environment: Mapping[str, str], where: str) -> Iterator[Finding]:
    """Check whether functions accept an environment: nothing malformed, and no results inside the inputs."""
    try:
        settings = Settings.from_environment(environment)
    except SettingsError as problem:
        if problem.is_loop:
            remedy = "give the results a bucket or a prefix of their own"
            yield error("settings_loop", where, str(problem), "results outside of all inputs", remedy)
        else:
            expected = "settings as docs/serving.md has them"
            yield error("settings", where, str(problem), expected, "correct the variable")
    else:
        yield ok("settings", where, f"registry {settings.registry}, model {settings.model or '-'}")


def _python(machine: Machine) -> Finding:
    found = ".".join(map(str, machine.python))
    if machine.python < OLDEST_PYTHON:
        return error("python_old", "this machine", f"Python {found}", "3.11 or newer", "make a venv of a newer Python")
    if machine.python > NEWEST_PYTHON:
        newest = ".".join(map(str, NEWEST_PYTHON))
        expected = f"3.11 to {newest}, for which all wheels are there"
        return warning("python_new", "this machine", f"Python {found}", expected, f"make a venv of {newest}")
    return ok("python", "this machine", f"Python {found} on {machine.system} {machine.processor}")


def _onnxruntime(machine: Machine) -> Finding:
    # Read without an import: a wrong ONNX Runtime ends the process that imports it.
    found = _version(machine, "onnxruntime")
    install = f"pip install 'onnxruntime=={pinned_onnxruntime(machine.requirements) or '1.31.1'}'"
    if found is None:
        return error("onnxruntime_missing", "this machine", "no onnxruntime", "onnxruntime 1.26 or newer", install)
    if parse_version(found) < OLDEST_ONNXRUNTIME:
        if machine.processor == "aarch64":
            what = f"onnxruntime {found}, which aborts at import on arm64 (#10038)"
            return error("onnxruntime_old", "this machine", what, "1.26 or newer", install)
        what = f"onnxruntime {found}, which copies weights that newer ones map"
        return warning("onnxruntime_old", "this machine", what, "1.26 or newer", install)
    return ok("onnxruntime", "this machine", f"onnxruntime {found}")


def _libraries(machine: Machine) -> Iterator[Finding]:
    if machine.system != "linux":
        return
    for name, folder in FOLDERS.items():
        root = next((entry / folder for entry in machine.folders if (entry / folder).is_dir()), None)
        if root is None:
            continue
        files = [path for path in sorted(root.rglob("*")) if is_library(path.name) and path.is_file()]
        headers = ((str(path), _head(path)) for path in files)
        remedy = f"pip install --force-reinstall --only-binary=:all: {name}"
        found = list(examine_machines(headers, machine.processor, name, remedy))
        yield from found or [ok("wheel_platform", name, f"libraries for {machine.processor}: {len(files)}")]


def _pins(machine: Machine) -> Iterator[Finding]:
    try:
        pins = read_pins(machine.requirements)
    except MachineError as problem:
        remedy = "install onnxlet again"
        yield warning("pins_unknown", str(machine.requirements), str(problem), "the functions' pins", remedy)
        return
    others = [(pin, found) for pin in pins if (found := _version(machine, pin.name)) not in {None, pin.version}]
    for pin, found in others:
        what = f"{pin.name} {found}"
        if pin.name == "onnxruntime":
            what += ", whose own form of a graph no function loads: cold starts of what is published here are slower"
        yield warning("pin_differs", "this machine", what, f"{pin.version}, which is deployed", f"pip install {pin}")
    if not others:
        yield ok("pins", "this machine", "the versions that are deployed")


def _settings(machine: Machine) -> Iterator[Finding]:
    if any(name.startswith("ONNXLET_") for name in machine.environment):
        known = {"ONNXLET_REGISTRY": str(DEFAULT_FOLDER.absolute()), **machine.environment}
        yield from examine_settings(known, "this environment")


def _version(machine: Machine, name: str) -> str | None:
    folders = [str(folder) for folder in machine.folders]
    found = next(iter(importlib.metadata.distributions(name=name, path=folders)), None)
    return None if found is None else found.version


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEADER_BYTES)
