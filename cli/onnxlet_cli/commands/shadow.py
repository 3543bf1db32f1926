"""`onnxlet shadow`: gives another version copies of the requests."""

from typing import Annotated

import typer

from onnxlet.contract import alias
from onnxlet_cli.commands.canary import set_share
from onnxlet_cli.options import JsonOption, RegistryOption, WeightOption


def shadow(
    name: Annotated[str, typer.Argument(help="Name of the model.")],
    version: Annotated[int, typer.Argument(min=1, help="Version that gets copies of the requests.")],
    weight: WeightOption = "100%",
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Give a version copies of the requests until another version is promoted; its answers are only logged."""
    set_share(registry, name, version, alias.SHADOW, weight, json=json)
