"""The options that most commands have."""

import math
from typing import Annotated, Literal

import typer

RegistryOption = Annotated[
    str | None,
    typer.Option("--registry", metavar="URL", envvar="ONNXLET_REGISTRY", help="Root URL: s3://, gs:// or file://."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
CloudName = Literal["aws", "gcp"]
"""The clouds that a command knows; another one is an error of usage, with the exit code 2."""


def finite(value: float | None) -> float | None:
    """Return an option's number, which may be missing; NaN and infinity pass the bounds that an option has."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"expected a finite number, got {value}")
    return value
