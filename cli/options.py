"""The options that most commands have."""

from typing import Annotated

import typer

RegistryOption = Annotated[
    str | None,
    typer.Option("--registry", metavar="URL", envvar="ONNXLET_REGISTRY", help="Root URL: s3://, gs:// or file://."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
