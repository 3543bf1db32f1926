"""`onnxlet serve`: runs the functions of a cloud on this machine."""

import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from onnxlet_cli import output
from onnxlet_cli.edge.runtime import is_installed
from onnxlet_cli.local import serve as local
from onnxlet_cli.options import CloudName, RegistryOption
from onnxlet_cli.registry import only_model, open_registry


def serve(
    cloud: Annotated[CloudName, typer.Option(help="gcp (functions-framework) or aws (awslambdaric).")] = "gcp",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8080,
    model: Annotated[
        str | None, typer.Option(envvar="ONNXLET_MODEL", help="Model to load at once and for requests without a name.")
    ] = None,
    inbox: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder whose new files become object events.")
    ] = None,
    outbox: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the results (default: next to the inbox).")
    ] = None,
    registry: RegistryOption = None,
) -> None:
    """Run the functions on this machine until Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM, too, must stop the processes started here
    source = open_registry(registry)
    if model is not None:
        source.resolve(model)  # the functions would start, and answer every request with an error
    settings = local.LocalSettings(
        registry=source.store.url,
        model=model or only_model(source),
        port=port,
        inbox=inbox,
        outbox=outbox,
        edge=is_installed(source.store),
        results=os.environ.get("ONNXLET_RESULTS") or None,
    )
    with local.serve(cloud, settings) as url:
        output.print_line(f"Serving {source.store.url} at {url} (Ctrl-C stops)")
        local.wait()
