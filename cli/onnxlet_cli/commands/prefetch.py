"""`onnxlet prefetch`: prints the setting by which a function starts with one request less."""

from typing import Annotated

import typer

from onnxlet import session
from onnxlet.contract import expectation
from onnxlet_cli import output
from onnxlet_cli.options import RegistryOption
from onnxlet_cli.registry import open_registry


def prefetch(
    name: Annotated[str, typer.Argument(help="The function's default model.")],
    variant: Annotated[str | None, typer.Option(help="The function's ONNXLET_VARIANT, if it is set.")] = None,
    registry: RegistryOption = None,
) -> None:
    """Print the ONNXLET_PREFETCH value for a model: it saves one request per cold start.

    A value from before the last promotion is harmless: the function then starts as fast as without one.
    """
    manifest = open_registry(registry).resolve(name)
    output.print_line(expectation.to_text(manifest, variant, session.runtime().version))
