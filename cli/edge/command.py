"""The commands `edge` and `export-edge`: models in browsers."""

from pathlib import Path
from typing import Annotated

import typer

from cli import output
from cli.edge.export import export
from cli.edge.runtime import install
from cli.options import RegistryOption
from cli.registry import open_registry
from onnxlet.contract import layout

MIB = 1024 * 1024


def edge(registry: RegistryOption = None) -> None:
    """Put ONNX Runtime's build for browsers into the registry; functions with ONNXLET_EDGE=1 hand it out."""
    target = open_registry(registry)
    size_bytes = sum(map(len, install(target.store).values()))
    output.print_line(f"{layout.EDGE_RUNTIME} is in {target.store.url} ({size_bytes / MIB:.1f} MiB)")


def export_edge(
    name: Annotated[str, typer.Argument(help="The model.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")],
    registry: RegistryOption = None,
) -> None:
    """Write a static folder that answers in a browser: from any web server, and offline."""
    manifest = export(open_registry(registry), name, folder)
    output.print_line(
        f"{manifest.model} version {manifest.version} is in {folder}: python -m http.server --directory {folder}"
    )
