"""The layers of `functions/`, read from the docstring of `onnxlet`, and the imports that they allow.

`python -m tests.helpers.architecture` writes `docs/architecture.md`.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import onnxlet

ROOT = Path(__file__).parents[2]
FUNCTIONS = ROOT / "functions"
PACKAGE = FUNCTIONS / "onnxlet"
PAGE = ROOT / "docs/architecture.md"

LIBRARIES = {
    "contract": {"orjson"},
    "storage": {"obstore"},
    "session": {"numpy", "onnxruntime"},  # the native engine imports neither
    "media": {"PIL", "orjson"},
    "tasks": {"tokenizers"},  # only models that take texts import it
    "explain": {"PIL"},
    "http": {"orjson"},
    "observe": {"orjson"},
    "web": {"orjson"},
    "clouds": {"orjson", "snapshot_restore_py"},  # Lambda's own runtime brings the second
}
"""The libraries outside the standard library that each layer may import: any other costs every cold start."""

UNCOUNTED = {"onnxlet", "record", "notices"}
"""What is as common as the standard library: the package's own attributes, and stand-ins for its modules."""

READS_ENVIRONMENT = {"main", "session", "storage"}
"""`main` hands the environment to `settings`, `session` switches ONNX Runtime's telemetry off, and the credentials in
`storage` follow the same variables as obstore."""

IMPORT_PACKAGES = ("onnxlet", "onnxlet_publishing", "onnxlet_training", "onnxlet_cli")
"""The project's import packages; each imports only itself and those before it."""


def layers() -> dict[str, str]:
    """Return each layer of `onnxlet` with its purpose, lowest first."""
    lines = (line.strip() for line in (onnxlet.__doc__ or "").splitlines() if line.startswith("    "))
    return {name: purpose.strip() for name, _, purpose in (line.partition(" ") for line in lines)}


def layer_of(path: Path) -> str:
    """Return the layer of a module of `functions/`: `main`, `onnxlet` itself, or a name from the map."""
    parts = path.relative_to(FUNCTIONS).with_suffix("").parts
    if parts[0] != "onnxlet":
        return parts[0]
    return "onnxlet" if parts[1] == "__init__" else parts[1]


def imported(source: str) -> Iterator[str]:
    """Yield the dotted names that a module imports, at its top and inside its functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_layers(source: str) -> set[str]:
    """Return the layers that a module imports from; `onnxlet` stands for the package's own attributes."""
    tops = [name.split(".") for name in imported(source) if name.split(".")[0] == "onnxlet"]
    return {
        parts[1]
        if (len(parts) > 1 and (PACKAGE / parts[1]).is_dir()) or (parts[1:2] and (PACKAGE / f"{parts[1]}.py").is_file())
        else "onnxlet"
        for parts in tops
    }


def violations(layer: str, source: str) -> list[str]:
    """Return one line for each forbidden import of a module, and one if it reads the environment unasked."""
    order = [*layers(), "main"]
    if layer not in order and layer != "onnxlet":
        return [f"{layer}: missing in the docstring of onnxlet"]
    allowed = {"onnxlet", *order[: order.index(layer) + 1]} if layer in order else {"onnxlet"}
    found = [f"{layer} imports {other}" for other in sorted(imported_layers(source) - allowed)]
    for name in imported(source):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names | {"onnxlet"} | LIBRARIES.get(layer, set()):
            found.append(f"{layer} imports {name}")
    if layer not in READS_ENVIRONMENT and any(map(_is_environment, ast.walk(ast.parse(source)))):
        found.append(f"{layer} reads the environment")
    return found


def arrows() -> dict[str, set[str]]:
    """Return for each layer the other layers that its modules import."""
    found: dict[str, set[str]] = {name: set() for name in layers()}
    for path in PACKAGE.rglob("*.py"):
        layer = layer_of(path)
        if layer in found:
            found[layer] |= imported_layers(path.read_text()) - {layer, *UNCOUNTED}
    return found


def page() -> str:
    """Return the text of `docs/architecture.md`."""
    order, found = layers(), arrows()
    rows = [
        f"| `{name}` | {purpose} | {', '.join(f'`{other}`' for other in order if other in found[name]) or '–'} |"
        for name, purpose in order.items()
    ]
    return "\n".join(
        [
            "# Architecture",
            "",
            "Four import packages depend on each other in one direction:",
            f"{' <- '.join(f'`{name}`' for name in IMPORT_PACKAGES)}.",
            "",
            "`functions/` is everything that is deployed. `main.py` holds the entry points of both clouds; the package",
            "`onnxlet` has the layers below, lowest first. A layer imports only from those above it in this table.",
            "An HTTP request passes `main`, `onnxlet.web.app.handle` and `onnxlet.models.model`.",
            "",
            "| layer | purpose | imports |",
            "|---|---|---|",
            *rows,
            "",
            f"There are {sum(map(len, found.values()))} imports between {len(order)} layers. Those of `record` and",
            "`notices` are not counted: they stand in for the standard library's `dataclasses` and `logging`. The map",
            "stands in the docstring of `functions/onnxlet/__init__.py`; `python -m tests.helpers.architecture` writes",
            "this page from it and from the imports, and `tests/test_architecture.py` compares both with the code.",
            "",
        ]
    )


def _is_environment(node: ast.AST) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.name if isinstance(node, ast.alias) else ""
    return name in {"environ", "environb", "getenv", "putenv"}


if __name__ == "__main__":
    PAGE.write_text(page())
