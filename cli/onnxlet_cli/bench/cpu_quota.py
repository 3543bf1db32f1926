"""A CPU quota for a process, like that of a small function, by a cgroup of its own if the machine allows one.

Source: Linux, `Documentation/admin-guide/cgroup-v2.rst` (`cpu.max`) and `scheduler/sched-bwc.rst` (`cpu.cfs_quota_us`).
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from onnxlet_publishing.errors import MachineError

CGROUPS = Path("/sys/fs/cgroup")
PERIOD_US = 100_000
"""The kernel's default period."""


@contextmanager
def limited(process_id: int, cpus: float) -> Iterator[None]:
    """Give a process, with all its threads, a number of CPUs while the context lasts.

    Raises:
        MachineError: The machine does not allow a quota.
    """
    quota_us = int(cpus * PERIOD_US)
    try:
        folder = _make(quota_us)
        (folder / "cgroup.procs").write_text(str(process_id))
    except OSError as error:
        raise MachineError(f"CPU quota: this machine does not allow one ({error.strerror})") from error
    try:
        yield
    finally:
        with suppress(OSError):  # the process may have ended
            (folder.parent / "cgroup.procs").write_text(str(process_id))
        _remove(folder)


def _make(quota_us: int) -> Path:
    """Make a cgroup with a quota: in cgroups v2, or in v1 if v2 has no CPU controller."""
    name = f"onnxlet-bench-{os.getpid()}-{time.monotonic_ns()}"
    controllers = CGROUPS / "cgroup.controllers"
    if controllers.exists() and "cpu" in controllers.read_text().split():
        (CGROUPS / "cgroup.subtree_control").write_text("+cpu")
        folder = CGROUPS / name
        folder.mkdir()
        (folder / "cpu.max").write_text(f"{quota_us} {PERIOD_US}")
        return folder
    folder = CGROUPS / "cpu" / name
    folder.mkdir()
    (folder / "cpu.cfs_period_us").write_text(str(PERIOD_US))
    (folder / "cpu.cfs_quota_us").write_text(str(quota_us))
    return folder


def _remove(folder: Path) -> None:
    for _ in range(20):  # the group is busy until the kernel has moved the last thread
        try:
            folder.rmdir()
        except OSError:
            time.sleep(0.05)
        else:
            return
