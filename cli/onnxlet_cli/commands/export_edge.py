"""`onnxlet export-edge`: writes a static folder that runs a model in a browser."""

from pathlib import Path
from typing import Annotated

import typer

from onnxlet_cli import output
from onnxlet_cli.edge.export import export
from onnxlet_cli.options import JsonOption, RegistryOption
from onnxlet_cli.registry import open_registry


def export_edge(
    name: Annotated[str, typer.Argument(help="Name of the model.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or an empty folder.")],
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Write a static folder that runs a model in a browser, from any web server and offline."""
    manifest = export(open_registry(registry), name, folder)
    output.show(
        {"model": manifest.model, "version": manifest.version, "folder": str(folder)},
        f"{manifest.model} version {manifest.version} is in {folder}: python -m http.server --directory {folder}",
        json=json,
    )
