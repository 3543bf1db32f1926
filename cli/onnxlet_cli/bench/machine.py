"""The machine and the library versions that the figures belong to."""

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
    """Return the CPU, cores, memory, kernel and Python of this machine, and the versions of what is measured."""
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
        "packages": {name: installed for name in PACKAGES if (installed := _version(name)) is not None},
    }


def _cpu() -> str:
    return _field(CPU_INFO, "model name") or platform.processor() or platform.machine()


def _field(path: Path, name: str) -> str:
    """Return the first value under a name in a file of /proc; `0` if the file has no such name."""
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "0")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
