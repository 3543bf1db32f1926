"""`onnxlet canary`: lets another version answer a share of the requests."""

from typing import Annotated

import typer

from onnxlet.contract import alias
from onnxlet_cli import output
from onnxlet_cli.options import JsonOption, RegistryOption, WeightOption
from onnxlet_cli.registry import open_registry
from onnxlet_publishing.errors import UsageError


def canary(
    name: Annotated[str, typer.Argument(help="Name of the model.")],
    version: Annotated[int, typer.Argument(min=1, help="Version that answers a share of the requests.")],
    weight: WeightOption = "10%",
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Let a version answer a share of the requests until another version is promoted."""
    set_share(registry, name, version, alias.CANARY, weight, json=json)


def set_share(registry: str | None, name: str, version: int, action: str, weight: str, *, json: bool) -> None:
    """Give a version its share of the requests as `alias.CANARY` or `alias.SHADOW`, and print it."""
    share = parse_weight(weight)
    manifest = open_registry(registry).share(name, version, action, share)
    document = {"model": manifest.model, "version": manifest.version, action: share}
    line = f"{manifest.model} version {manifest.version} is the {action} of {share:.4g} of the requests"
    output.show(document, line if share else f"{manifest.model} has no {action} any more", json=json)


def parse_weight(text: str) -> float:
    """Return a share of one from `10%` or `0.1`.

    Raises:
        UsageError: The text is neither.
    """
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError as error:
        raise UsageError(f"--weight {text}: expected a share like 10% or 0.1") from error
