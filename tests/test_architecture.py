"""The layers of `functions/`, the direction among the import packages, and what is pinned for the functions."""

import ast
import re
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest

from onnxlet_cli.doctor.libraries import OLDEST_ONNXRUNTIME, parse_version
from onnxlet_cli.package.slim import ASKED_FOR
from onnxlet_cli.package.wheels import read_pins
from tests.helpers.architecture import (
    FUNCTIONS,
    IMPORT_PACKAGES,
    PACKAGE,
    PAGE,
    ROOT,
    arrows,
    imported,
    layer_of,
    layers,
    page,
    violations,
)

FOLDERS = dict(zip(IMPORT_PACKAGES, ("functions", "publishing", "training", "cli"), strict=True))
MAX_ENTRIES = 22
MAX_ARROWS = 100


@pytest.mark.parametrize("path", sorted(FUNCTIONS.rglob("*.py")), ids=lambda path: str(path.relative_to(FUNCTIONS)))
def test_a_module_imports_only_from_its_own_layer_and_those_below(path: Path) -> None:
    assert violations(layer_of(path), path.read_text()) == []


def test_the_map_names_exactly_the_layers_that_exist() -> None:
    assert sorted(layers()) == sorted({layer_of(path) for path in PACKAGE.rglob("*.py")} - {"onnxlet"})


def test_the_package_is_small_enough_to_know() -> None:
    entries = [path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"]
    assert len(entries) <= MAX_ENTRIES
    assert sum(map(len, arrows().values())) <= MAX_ARROWS


def test_the_page_on_the_architecture_is_the_one_that_the_code_gives() -> None:
    assert PAGE.read_text() == page(), "write it again: python -m tests.helpers.architecture"


@pytest.mark.parametrize(
    ("layer", "source"),
    [
        ("contract", "from onnxlet.registry.registry import Registry"),
        ("contract", "import onnxlet.storage"),
        ("registry", "from onnxlet.web import app"),
        ("session", "from onnxlet.web.app import App"),
        ("clouds", "import boto3"),
        ("clouds", "import flask"),
        ("models", "def f():\n    import numpy"),
        ("protocols", "from onnxlet_publishing.graphs import preprocess_graph"),
        ("protocols", "from onnxlet import service"),
        ("web", "from onnxlet.events import objects"),
        ("web", "import os\nos.environ['X']"),
        ("registry", "import os\nos.getenv('X')"),
        ("registry", "from os import environ"),
        ("models", "from os import getenv as get"),
        ("registry", "from . import app"),
        ("session", "if TYPE_CHECKING:\n    import torch"),
        ("newcomer", ""),
    ],
)
def test_a_planted_violation_is_found(layer: str, source: str) -> None:
    assert len(violations(layer, source)) == 1


def runs_a_session(source: str) -> bool:
    """Return whether a module runs one of a model's graphs itself."""
    return any(
        isinstance(node, ast.Attribute)
        and node.attr == "run"
        and isinstance(node.value, ast.Attribute)
        and node.value.attr in {"session", "preprocess", "postprocess"}
        for node in ast.walk(ast.parse(source))
    )


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_a_model_and_its_task_run_graphs(path: Path) -> None:
    """So that each tensor is compared with its declaration: ONNX Runtime does not survive all of them."""
    assert runs_a_session(path.read_text()) == (path in {PACKAGE / "models/model.py", PACKAGE / "tasks/task.py"})


def wrong_direction(package: str, source: str) -> set[str]:
    """Return the import packages that a module of this one must not import, but does."""
    later = IMPORT_PACKAGES[IMPORT_PACKAGES.index(package) + 1 :]
    return {name.partition(".")[0] for name in imported(source)} & {*later}


@pytest.mark.parametrize("package", IMPORT_PACKAGES)
def test_the_import_packages_depend_on_each_other_in_one_direction(package: str) -> None:
    modules = sorted((ROOT / FOLDERS[package] / package).rglob("*.py"))
    assert modules
    assert {str(path): found for path in modules if (found := wrong_direction(package, path.read_text()))} == {}


def test_a_planted_import_in_the_wrong_direction_is_found() -> None:
    assert wrong_direction("onnxlet_publishing", "from onnxlet_training.run import run") == {"onnxlet_training"}
    assert wrong_direction("onnxlet_training", "import onnxlet_cli.main") == {"onnxlet_cli"}


def test_deployed_and_tested_versions_are_the_same() -> None:
    tested = set((ROOT / "constraints.txt").read_text().splitlines())
    files = sorted(FUNCTIONS.glob("requirements*.txt"))
    assert len(files) == 2
    assert {str(pin) for file in files for pin in read_pins(file)} <= tested


def onnx_runtimes(requirements: str, constraints: str, project: str) -> list[str]:
    """The versions of ONNX Runtime that are deployed on any Python, tested, and allowed at least."""
    pinned = re.findall(r"^onnxruntime==([^ \n]+)", f"{requirements}\n{constraints}", re.MULTILINE)
    return [*pinned, *re.findall(r'"onnxruntime>=([^",;]+)', project)]


def test_no_onnx_runtime_is_older_than_those_that_start_on_lambdas_arm64() -> None:
    """Without /sys/devices/system/cpu, which Lambda does not have, the Python package of the older ones aborts."""
    files = (FUNCTIONS / "requirements.txt", ROOT / "constraints.txt", ROOT / "pyproject.toml")
    versions = onnx_runtimes(*(file.read_text() for file in files))
    assert len(versions) >= len(files)
    assert min(map(parse_version, versions)) >= OLDEST_ONNXRUNTIME == (1, 26)


def test_an_onnx_runtime_that_is_too_old_is_found_wherever_it_is_named() -> None:
    pin = "onnxruntime==1.31.1 ; python_full_version >= '3.13' \\\n    --hash=sha256:0\nonnxruntime==1.25.1 \\\n"
    assert onnx_runtimes(pin, "onnx==1.9\nonnxruntime==1.24", '"onnxruntime>=1.23", # why') == [
        *("1.31.1", "1.25.1"),
        *("1.24", "1.23"),
    ]


def test_all_that_is_deployed_is_pinned_with_its_hashes() -> None:
    """Also what it asks for, on any Python: GCP's pip refuses what has no hash."""
    pins = {pin.name: pin for pin in read_pins(FUNCTIONS / "requirements.txt")}
    assert all(len(set(pin.hashes)) == len(pin.hashes) > 0 for pin in pins.values())
    asked = {name for pin in pins for name in asked_for(pin)}
    assert asked <= pins.keys()
    assert asked == {*ASKED_FOR, "numpy"}
    (named,) = re.findall(r"^DEPLOYED := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(named.split()) == pins.keys() - {*ASKED_FOR}


def test_what_functions_for_texts_have_in_addition_is_pinned_with_its_hashes() -> None:
    """Without what it asks for, which no function imports: `onnxlet package` installs it alone."""
    pins = read_pins(FUNCTIONS / "requirements-text.txt")
    assert all(len(set(pin.hashes)) == len(pin.hashes) > 0 for pin in pins)
    (named,) = re.findall(r"^DEPLOYED_TEXT := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert named.split() == [pin.name for pin in pins]


def asked_for(name: str) -> Iterator[str]:
    """What a distribution needs without extras, on some Python."""
    for text in requires(name) or []:
        if "extra ==" not in text:
            yield re.match(r"[A-Za-z0-9._-]+", text)[0].lower().replace("_", "-")  # type: ignore[index]
