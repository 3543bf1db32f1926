"""`onnxlet rollback`: makes the version live that was live before."""

from typing import Annotated

import typer

from onnxlet_cli import output
from onnxlet_cli.options import JsonOption, RegistryOption
from onnxlet_cli.registry import open_registry


def rollback(
    name: Annotated[str, typer.Argument(help="Name of the model.")],
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Make the version live that was live before."""
    manifest = open_registry(registry).rollback(name)
    output.show(output.version_document(manifest, is_live=True), output.version_line(manifest, is_live=True), json=json)
