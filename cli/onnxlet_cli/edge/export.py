"""Export: a static folder with page, runtime and one version, which answers from any web server, and offline."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import orjson

from onnxlet.contract import layout
from onnxlet.contract.artifact import GRAPH_ROLES, ONNX
from onnxlet.contract.manifest import Manifest
from onnxlet.registry.registry import Registry
from onnxlet.web import playground
from onnxlet_cli.edge import runtime
from onnxlet_publishing.errors import UsageError

MODEL = "model"
"""The folder of the version's files, which `playground/export.js` reads."""

EXAMPLE = "example.json"
"""The version's example in that folder."""

REPLACED = {
    "<body>": '<body data-exported="true">',
    '<p>What you draw, drop or type is sent only to this function. <a href="openapi.json">All routes</a></p>': (
        "<p>Nothing that you draw, drop or type leaves this browser.</p>"
    ),
    ' All routes are described in <a href="openapi.json">openapi.json</a>.': "",
}
"""Texts of the functions' page, and their replacements for a page without a function."""


def export(registry: Registry, name: str, folder: Path, fetch: Callable[[], runtime.Files] | None = None) -> Manifest:
    """Write a folder with the live version of a model, and return the version's manifest.

    The registry keeps the runtime from the first export on; see `runtime.install`.

    Raises:
        UsageError: The folder is not empty, or the model needs more than its graphs.
        ModelNotFoundError, ArtifactError, StoreError: The version or the runtime cannot be read.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder}: expected a new or an empty folder")
    manifest = registry.resolve(name)
    reason = _needs_functions(manifest)
    if reason is not None:
        raise UsageError(f'model "{name}" {reason} only in the functions')
    files = runtime.install(registry.store, fetch)
    _write_page(folder)
    (folder / "edge").mkdir()
    for file in layout.EDGE_FILES:
        (folder / "edge" / file).write_bytes(gzip.decompress(files[file]))
    _write_version(folder / MODEL, registry, manifest)
    return manifest


def _needs_functions(manifest: Manifest) -> str | None:
    """Return what a browser cannot do of a model's work; None if the model's graphs do all of it."""
    if manifest.generation is not None:
        return "generates: the loop around its graph runs"
    if manifest.takes() == "text":
        return "takes texts: its tokenizer runs"
    if manifest.task_name() == "voice-activity-detection":
        return "hears speech: the rules for its parts run"
    return None


def _write_page(folder: Path) -> None:
    pages = folder / "playground"
    pages.mkdir(parents=True)
    for name in playground.names():
        shutil.copyfile(Path(playground.FOLDER) / name, pages / name)
    index = (pages / playground.INDEX).read_text()
    (pages / playground.INDEX).unlink()
    for served, exported in REPLACED.items():
        assert served in index, f"the page no longer says: {served}"
        index = index.replace(served, exported)
    (folder / playground.INDEX).write_text(index)


def _write_version(folder: Path, registry: Registry, manifest: Manifest) -> None:
    folder.mkdir()
    (folder / "manifest.json").write_bytes(orjson.dumps(manifest.to_document()))
    for artifact in manifest.artifacts:
        if artifact.role in GRAPH_ROLES and artifact.format == ONNX:
            (folder / f"{artifact.sha256}.onnx").write_bytes(registry.artifacts.read(artifact))
    example = manifest.artifact("example")
    if example is not None:
        (folder / EXAMPLE).write_bytes(registry.artifacts.read(example))
