"""The GPUs of a container's host, and the CUDA libraries that its driver needs."""

import re
from collections.abc import Mapping
from pathlib import Path

DEVICES = Path("/dev")
"""The folder in which Linux shows each NVIDIA GPU as a file: `nvidia0`, `nvidia1` ..."""
DRIVER = Path("/proc/driver/nvidia/version")
"""The file in which the host's NVIDIA driver states its version."""
COMPAT = Path("/usr/local/cuda/compat")
"""The folder in which NVIDIA's images keep a newer driver's libraries, for hosts with an older driver."""
_DRIVER_VERSION = re.compile(r"Kernel Module\b.*?\s(\d+)(?:\.\d+)+")
_LIBRARY_VERSION = re.compile(r"libcuda\.so\.(\d+)(?:\.\d+)+")


def count_gpus(environment: Mapping[str, str]) -> int:
    """Return the number of this machine's GPUs."""
    return len(list(Path(environment.get("DEVICES", DEVICES)).glob("nvidia[0-9]*")))


def compatibility_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the loader's path with CUDA's compatibility libraries first, if the host's driver is of an older branch.

    A driver of the same or a newer branch must not get these libraries: CUDA refuses the combination (error 803).

    Source: NVIDIA, "CUDA Compatibility"; NVIDIA Container Toolkit, the hook `enable-cuda-compat`, which not every host
    has; Amazon SageMaker developer guide, "Containers with custom CUDA".
    """
    folder = Path(environment.get("COMPAT", COMPAT))
    driver = _driver_branch(Path(environment.get("DRIVER", DRIVER)))
    branches = [match[1] for path in folder.glob("libcuda.so.*") if (match := _LIBRARY_VERSION.fullmatch(path.name))]
    if driver is None or not branches or driver >= max(map(int, branches)):
        return {}
    before = environment.get("LD_LIBRARY_PATH")
    return {"LD_LIBRARY_PATH": f"{folder}:{before}" if before else str(folder)}


def _driver_branch(path: Path) -> int | None:
    """Return the first number of the host driver's version; None if there is no driver."""
    try:
        match = _DRIVER_VERSION.search(path.read_text(errors="replace"))
    except OSError:
        return None
    return int(match[1]) if match else None
