"""`onnxlet package`: makes the zip that a cloud deploys."""

from pathlib import Path
from typing import Annotated

import typer

from onnxlet_cli import output
from onnxlet_cli.options import CloudName, JsonOption
from onnxlet_cli.package import summary
from onnxlet_cli.package.build import Options, build
from onnxlet_cli.package.target import parse_target


def package(
    cloud: Annotated[CloudName, typer.Option(help="aws (zip for Lambda) or gcp (source for Cloud Functions).")] = "aws",
    arch: Annotated[str | None, typer.Option(help="arm64 or x86_64 (default: arm64 for aws, x86_64 for gcp).")] = None,
    python: Annotated[str, typer.Option(metavar="X.Y", help="Python of the function's runtime.")] = "3.13",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the zip.")] = Path("dist"),
    without: Annotated[
        str, typer.Option(metavar="NAMES", help="Leave out: pillow, if no request sends an image.")
    ] = "",
    with_: Annotated[str, typer.Option("--with", metavar="NAMES", help="Add: text, for models that take texts.")] = "",
    engine: Annotated[
        str, typer.Option(help="c: only ONNX Runtime's library; python: its Python package, and numpy.")
    ] = "c",
    json: JsonOption = False,
) -> None:
    """Make the zip that a cloud deploys, and prove that it answers."""
    options = Options(parse_target(cloud, arch, python), out, engine, _names(without), _names(with_))
    built = build(options, output.print_note)
    lines = [summary.verdict(built), f"{built.path}  sha256 {built.sha256}", f"{built.bill}  CycloneDX"]
    if not json:
        for warning in built.warnings:
            output.print_warning(warning)
    output.show(summary.document(built, options), *lines, rows=summary.rows(built), json=json)


def _names(text: str) -> tuple[str, ...]:
    """Return names that are separated by commas."""
    return tuple(name.strip().lower() for name in text.split(",") if name.strip())
