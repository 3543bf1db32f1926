"""The options that several commands have."""

import math
from pathlib import Path
from typing import Annotated, Literal

import typer

RegistryOption = Annotated[
    str | None,
    typer.Option(
        "--registry",
        metavar="URL",
        envvar="ONNXLET_REGISTRY",
        help="The registry: an s3://, gs:// or file:// URL, or a folder (default: .onnxlet/registry).",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
StageOption = Annotated[bool, typer.Option("--stage", help="Publish without making the version live.")]
SignOption = Annotated[
    Path | None,
    typer.Option(
        "--sign", metavar="KEY.pem", help="Sign with this Ed25519 key, made by `openssl genpkey -algorithm ed25519`."
    ),
]
WeightOption = Annotated[str, typer.Option("--weight", metavar="SHARE", help="10% or 0.1; 0 ends it.")]
CloudName = Literal["aws", "gcp"]
"""The clouds; any other name is a usage error with exit code 2."""


def finite(value: float | None) -> float | None:
    """Return an option's number, or None; refuse NaN and infinity, which pass typer's bounds."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"expected a finite number, got {value}")
    return value
