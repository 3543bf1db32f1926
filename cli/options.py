"""The options that most commands have."""

from typing import Annotated, Literal

import typer

RegistryOption = Annotated[
    str | None,
    typer.Option("--registry", metavar="URL", envvar="ONNXLET_REGISTRY", help="Root URL: s3://, gs:// or file://."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
CloudName = Literal["aws", "gcp"]
"""The clouds that a command knows; another one is an error of usage, with the exit code 2."""
