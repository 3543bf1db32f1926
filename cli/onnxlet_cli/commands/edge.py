"""`onnxlet edge`: puts the runtime for browsers into a registry."""

from onnxlet.contract import layout
from onnxlet_cli import output
from onnxlet_cli.edge.runtime import forged, install
from onnxlet_cli.options import JsonOption, RegistryOption
from onnxlet_cli.registry import open_registry

MIB = 1024 * 1024


def edge(registry: RegistryOption = None, json: JsonOption = False) -> None:
    """Put ONNX Runtime's build for browsers into the registry; functions with ONNXLET_EDGE=1 serve it.

    Files that differ from the published ones are named and replaced.
    """
    target = open_registry(registry)
    replaced = forged(target.store)
    for key in replaced:
        output.print_warning(f"{key}: not the published file of {layout.EDGE_RUNTIME}; replaced. Find out who wrote it")
    size_bytes = sum(map(len, install(target.store).values()))
    output.show(
        {"runtime": layout.EDGE_RUNTIME, "registry": target.store.url, "replaced": replaced},
        f"{layout.EDGE_RUNTIME} is in {target.store.url} ({size_bytes / MIB:.1f} MiB)",
        json=json,
    )
