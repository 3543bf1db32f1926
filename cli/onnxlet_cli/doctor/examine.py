"""The order in which things are looked at: the machine first, then what was named."""

from collections.abc import Iterator
from pathlib import Path

from onnxlet_cli.doctor import function, machine, package, registry, stack
from onnxlet_cli.doctor.finding import Finding, error
from onnxlet_cli.doctor.machine import Machine
from onnxlet_cli.doctor.versions import Examination
from onnxlet_cli.registry import DEFAULT_FOLDER

STACK = "STACK:"

UNLOADABLE = ("onnxruntime_missing", "onnxruntime_old", "wheel_platform")
"""Codes of a machine on which ONNX Runtime had better not be loaded."""


def examine(
    target: str | None, registry_url: str | None = None, memory_mib: int | None = None, here: Machine | None = None
) -> Iterator[Finding]:
    """Look at this machine, and at what is named.

    Args:
        target: A registry's URL or folder, a function's URL, `STACK:name` or a package; None for the registry that is
            set, or the default one where there is one.
        registry_url: The registry to hold a function or a stack against.
        memory_mib: Of the function that shall load the registry's models.
        here: This machine, by default as it is.
    """
    here = here or Machine.here()
    of_machine = list(machine.examine(here))
    yield from of_machine
    can_load = not any(each.severity == "error" and each.code in UNLOADABLE for each in of_machine)
    examination = Examination(machine.pinned_onnxruntime(here.requirements), memory_mib, can_load=can_load)
    if target is not None and target.startswith(STACK):
        opened = registry.open_at(registry_url) if registry_url else registry.Opened(None)
        yield from opened.findings
        yield from stack.examine(target.removeprefix(STACK), opened.registry, examination)
    elif target is not None and target.startswith(("http://", "https://")):
        opened = registry.open_at(registry_url) if registry_url else registry.Opened(None)
        yield from opened.findings
        yield from function.examine(target, opened.registry)
    elif target is not None and target.endswith(".zip"):
        yield from package.examine(Path(target))
    elif target is not None and target.endswith(".onnx"):
        remedy = f"onnxlet publish {target}, then onnxlet doctor"
        yield error("registry_url", target, "a model's file", "a registry, a function, a stack or a package", remedy)
    elif target or registry_url or DEFAULT_FOLDER.is_dir():
        opened = registry.open_at(target or registry_url)
        yield from opened.findings
        if opened.registry is not None:
            yield from registry.examine(opened.registry, examination)
