"""The order of the checks: the machine first, then the target."""

from collections.abc import Iterator
from pathlib import Path

from onnxlet_cli.doctor import function, machine, package, registry, stack
from onnxlet_cli.doctor.finding import Finding, error
from onnxlet_cli.doctor.machine import Machine
from onnxlet_cli.doctor.versions import Examination
from onnxlet_cli.registry import DEFAULT_FOLDER

STACK = "STACK:"

UNLOADABLE = ("onnxruntime_missing", "onnxruntime_old", "wheel_platform")
"""The codes of errors that make loading ONNX Runtime unsafe."""


def examine(
    target: str | None, registry_url: str | None = None, memory_mib: int | None = None, here: Machine | None = None
) -> Iterator[Finding]:
    """Check this machine and a target.

    Args:
        target: A registry's URL or folder, a function's URL, `STACK:name` or a package; None for the registry that is
            set, or the default one if it exists.
        registry_url: The registry that a function or a stack is compared with.
        memory_mib: The memory of the function that will load the registry's models.
        here: The properties of this machine, which None reads.
    """
    here = here or Machine.here()
    machine_findings = list(machine.examine(here))
    yield from machine_findings
    can_load = not any(finding.severity == "error" and finding.code in UNLOADABLE for finding in machine_findings)
    examination = Examination(machine.pinned_onnxruntime(here.requirements), memory_mib, can_load=can_load)
    if target and target.startswith((STACK, "http://", "https://")):
        opened = (yield from registry.open_at(registry_url)) if registry_url else None
        if target.startswith(STACK):
            yield from stack.examine(target.removeprefix(STACK), opened, examination)
        else:
            yield from function.examine(target, opened)
    elif target and target.endswith(".zip"):
        yield from package.examine(Path(target))
    elif target and target.endswith(".onnx"):
        remedy = f"onnxlet publish {target}, then onnxlet doctor"
        yield error("registry_url", target, "a model's file", "a registry, a function, a stack or a package", remedy)
    elif target or registry_url or DEFAULT_FOLDER.is_dir():
        opened = yield from registry.open_at(target or registry_url)
        if opened is not None:
            yield from registry.examine(opened, examination)
