"""The arrows between the rooms, read from the imports: who may import whom, inside and outside."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest

from cli.doctor.libraries import OLDEST_ONNXRUNTIME, parse_version
from cli.package.slim import ASKED_FOR
from cli.package.wheels import read_pins

ROOT = Path(__file__).parents[1]
FUNCTIONS = ROOT / "functions"
PACKAGE = FUNCTIONS / "onnxlet"

MAY_IMPORT = {
    "onnxlet": set(),
    "errors": set(),
    "contract": {"errors"},
    "places": {"errors"},
    "cors": {"errors"},
    "config": {"contract", "cors", "errors", "places"},
    "http": {"config", "errors", "memory"},
    "deadline": {"errors"},
    "multipart": {"config", "errors"},
    "credentials": {"config", "errors"},
    "store": {"config", "credentials", "deadline", "errors", "places"},
    "disk_cache": {"contract", "errors"},
    "artifacts": {"contract", "deadline", "disk_cache", "errors", "store"},
    "registry": {"artifacts", "config", "contract", "disk_cache", "errors", "store"},
    "session": {"contract", "deadline", "errors"},
    "prefetch": {"artifacts", "config", "contract", "errors", "registry", "session", "store"},
    "model": {"contract", "errors", "images", "registry", "session"},
    "memory": {"config", "deadline", "errors"},
    "models": {"contract", "deadline", "errors", "memory", "model", "registry", "session"},
    "traffic": {"contract", "deadline", "errors", "model", "models", "store"},
    "batches": {"config", "contract", "errors", "model"},
    "image_files": {"config", "errors"},
    "images": {"contract", "errors", "image_files", "memory"},
    "npy": {"config", "contract", "errors"},
    "media": {"images", "npy"},
    "instances": {"batches", "config", "contract", "deadline", "errors", "images", "media", "memory", "model", "npy"},
    "payloads": {
        "batches",
        "config",
        "contract",
        "deadline",
        "errors",
        "http",
        "images",
        "instances",
        "media",
        "model",
        "multipart",
    },
    "generate": {"config", "contract", "errors", "images", "model"},
    "explain": {"batches", "config", "contract", "deadline", "errors", "images", "instances", "model", "payloads"},
    "references": {"config", "errors", "http", "store"},
    "v2": {"config", "contract", "deadline", "errors", "http", "onnxlet"},
    "triton": {"contract"},
    "capture": {"batches", "contract", "model", "store"},
    "quota": {"contract", "deadline", "errors", "store"},
    "access": {"contract", "deadline", "errors", "http", "quota", "store"},
    "service": {
        "access",
        "batches",
        "capture",
        "config",
        "contract",
        "disk_cache",
        "errors",
        "memory",
        "model",
        "models",
        "prefetch",
        "references",
        "registry",
        "session",
        "store",
        "traffic",
        "triton",
    },
    "exchange": {"batches", "config", "contract", "errors", "http", "model", "service", "traffic"},
    "edge": {"contract", "errors", "http", "service", "store"},
    "playground": {"errors", "http"},
    "openapi": {"config", "contract", "onnxlet", "media", "routes"},
    "endpoints": {
        "batches",
        "config",
        "contract",
        "edge",
        "errors",
        "exchange",
        "explain",
        "generate",
        "http",
        "instances",
        "media",
        "model",
        "openapi",
        "payloads",
        "playground",
        "routes",
        "triton",
        "v2",
    },
    "routes": {"config", "errors", "http"},
    "telemetry": {"config", "errors"},
    "app": {
        "config",
        "contract",
        "cors",
        "deadline",
        "endpoints",
        "errors",
        "exchange",
        "http",
        "model",
        "prefetch",
        "routes",
        "service",
        "telemetry",
    },
    "sources": {"errors"},
    "events": {
        "batches",
        "config",
        "contract",
        "deadline",
        "endpoints",
        "errors",
        "memory",
        "model",
        "payloads",
        "places",
        "references",
        "service",
        "sources",
        "telemetry",
    },
    "summary": {"contract", "service"},
    "aws": {"config", "errors", "http", "sources"},
    "gcp": {"config", "errors", "http", "sources"},
    "snapshot": {"app"},
    "main": {"app", "aws", "config", "events", "gcp", "prefetch", "snapshot", "summary"},
}
"""The rooms of `functions/`, and all that each may import of the others."""

LIBRARIES = {
    "contract": {"orjson"},
    "store": {"obstore"},
    "session": {"numpy", "onnxruntime"},  # the native engine neither
    "images": {"PIL"},
    "explain": {"PIL"},
    "snapshot": {"snapshot_restore_py"},  # of Lambda's own runtime
    "http": {"orjson"},
    "telemetry": {"orjson"},
    "aws": {"orjson"},
    "app": {"orjson"},
}
"""What each room may import beside the standard library: anything else costs every cold start."""

READS_ENVIRONMENT = {"main", "session", "credentials"}
"""`main` hands the environment to `config`; `session` switches ONNX Runtime's telemetry off; `credentials` reads what
obstore reads by itself."""

NEVER_IN_TRAINING = {"main", "onnxlet.aws", "onnxlet.gcp", "cli"}


def imported(source: str) -> Iterator[str]:
    """The dotted names that a module imports, at its top and inside its functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def violations(room: str, source: str) -> list[str]:
    """What is wrong with a module of `functions/`: one line for each import that its room may not make."""
    if room not in MAY_IMPORT:
        return [f"{room}: not in the table of rooms"]
    found = []
    for name in imported(source):
        top, _, rest = name.partition(".")
        if top == "onnxlet":
            other = rest.partition(".")[0]
            other = other if other in MAY_IMPORT else "onnxlet"
            if other != room and other not in MAY_IMPORT[room]:
                found.append(f"{room} imports {name}")
        elif not is_standard(top) and top not in LIBRARIES.get(room, set()):
            found.append(f"{room} imports {name}")
    if room not in READS_ENVIRONMENT and any(map(is_environment, ast.walk(ast.parse(source)))):
        found.append(f"{room} reads the environment")
    return found


def is_environment(node: ast.AST) -> bool:
    """Whether a node names the process's environment: as an attribute of `os`, or imported from there."""
    name = node.attr if isinstance(node, ast.Attribute) else node.name if isinstance(node, ast.alias) else ""
    return name in {"environ", "environb", "getenv", "putenv"}


def is_standard(top: str) -> bool:
    return top in sys.stdlib_module_names


def room_of(path: Path) -> str:
    parts = path.relative_to(FUNCTIONS).with_suffix("").parts
    if parts == ("onnxlet", "__init__"):
        return "onnxlet"
    return parts[0] if parts[0] != "onnxlet" else parts[1]


@pytest.mark.parametrize("path", sorted(FUNCTIONS.rglob("*.py")), ids=lambda path: str(path.relative_to(FUNCTIONS)))
def test_a_room_imports_only_what_its_arrows_allow(path: Path) -> None:
    assert violations(room_of(path), path.read_text()) == []


def runs_a_session(source: str) -> bool:
    """Whether a module runs one of a model's graphs itself."""
    return any(
        isinstance(node, ast.Attribute)
        and node.attr == "run"
        and isinstance(node.value, ast.Attribute)
        and node.value.attr in {"session", "preprocess", "postprocess"}
        for node in ast.walk(ast.parse(source))
    )


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_a_model_runs_its_graphs(path: Path) -> None:
    """So that each tensor is compared with its declaration: ONNX Runtime does not survive all of them."""
    assert runs_a_session(path.read_text()) == (path == PACKAGE / "model.py")


def test_the_table_has_no_cycle() -> None:
    left = dict(MAY_IMPORT)
    while left:
        free = {room for room, others in left.items() if not others & left.keys()}
        assert free, f"a cycle among {sorted(left)}"
        left = {room: others for room, others in left.items() if room not in free}


def test_the_table_names_no_room_that_is_gone() -> None:
    assert set(MAY_IMPORT) == {room_of(path) for path in FUNCTIONS.rglob("*.py")}


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("contract", "from onnxlet.registry import Registry"),
        ("contract", "import onnxlet.store"),
        ("registry", "from onnxlet import app"),
        ("session", "from onnxlet.app import App"),
        ("aws", "import boto3"),
        ("gcp", "import flask"),
        ("models", "def f():\n    import numpy"),
        ("payloads", "from training.graphs import preprocess_graph"),
        ("app", "import os\nos.environ['X']"),
        ("store", "import os\nos.getenv('X')"),
        ("registry", "from os import environ"),
        ("models", "from os import getenv as get"),
        ("registry", "from . import app"),
        ("config", "from onnxlet import newcomer"),
        ("session", "if TYPE_CHECKING:\n    import torch"),
        ("newcomer", ""),
    ],
)
def test_a_planted_violation_is_found(room: str, source: str) -> None:
    assert len(violations(room, source)) == 1


@pytest.mark.parametrize("path", sorted((ROOT / "training").rglob("*.py")), ids=lambda path: path.stem)
def test_training_knows_no_cloud_and_no_command(path: Path) -> None:
    found = {name for name in imported(path.read_text()) if name.startswith(tuple(NEVER_IN_TRAINING))}
    assert found == set()


def test_deployed_and_tested_versions_are_the_same() -> None:
    tested = set((ROOT / "constraints.txt").read_text().splitlines())
    assert {str(pin) for pin in read_pins(FUNCTIONS / "requirements.txt")} <= tested


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


def asked_for(name: str) -> Iterator[str]:
    """What a distribution needs without extras, on some Python."""
    for text in requires(name) or []:
        if "extra ==" not in text:
            yield re.match(r"[A-Za-z0-9._-]+", text)[0].lower().replace("_", "-")  # type: ignore[index]
