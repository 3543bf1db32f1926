"""The commands `edge` and `export-edge`: models in browsers."""

from pathlib import Path
from typing import Annotated

import typer

from onnxlet.contract import layout
from onnxlet_cli import output
from onnxlet_cli.edge.export import export
from onnxlet_cli.edge.runtime import forged, install
from onnxlet_cli.options import JsonOption, RegistryOption
from onnxlet_cli.registry import open_registry

MIB = 1024 * 1024


def edge(registry: RegistryOption = None, json: JsonOption = False) -> None:
    """Put ONNX Runtime's build for browsers into the registry; functions with ONNXLET_EDGE=1 hand it out.

    Files that are not the published ones are replaced, and named.
    """
    target = open_registry(registry)
    replaced = forged(target.store)
    for key in replaced:
        output.print_warning(
            f"{key}: is not the file of {layout.EDGE_RUNTIME} and will be replaced: who has written it?"
        )
    size_bytes = sum(map(len, install(target.store).values()))
    if json:
        output.print_json({"runtime": layout.EDGE_RUNTIME, "registry": target.store.url, "replaced": replaced})
    else:
        output.print_line(f"{layout.EDGE_RUNTIME} is in {target.store.url} ({size_bytes / MIB:.1f} MiB)")


def export_edge(
    name: Annotated[str, typer.Argument(help="The model.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")],
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Write a static folder that answers in a browser: from any web server, and offline."""
    manifest = export(open_registry(registry), name, folder)
    if json:
        output.print_json({"model": manifest.model, "version": manifest.version, "folder": str(folder)})
        return
    output.print_line(
        f"{manifest.model} version {manifest.version} is in {folder}: python -m http.server --directory {folder}"
    )
