"""The machine and the versions that figures belong to: without them no figure says anything."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "onnxlet",
    "onnxruntime",
    "numpy",
    "obstore",
    "orjson",
    "pillow",
    "awslambdaric",
    "functions-framework",
    "boto3",
    "moto",
    "keras",
    "tensorflow",
    "tensorflow-cpu",
)

CPU_INFO = Path("/proc/cpuinfo")
MEMORY_INFO = Path("/proc/meminfo")


def describe() -> dict[str, Any]:
    """The machine: CPU, cores, memory, kernel, Python and the versions of what is measured."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "flags": [flag for flag in ("avx2", "avx512f", "avx512_vnni", "amx_tile") if flag in _field(CPU_INFO, "flags")],
        "memory_gib": round(int(_field(MEMORY_INFO, "MemTotal").split()[0] or 0) / 1024**2, 1),
        "load": [round(load, 2) for load in os.getloadavg()],
        "kernel": platform.release(),
        "system": platform.system(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name)) is not None},
    }


def _cpu() -> str:
    return _field(CPU_INFO, "model name") or platform.processor() or platform.machine()


def _field(path: Path, name: str) -> str:
    """What a file of /proc says under a name, for the first time; `0` where it does not."""
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "0")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
