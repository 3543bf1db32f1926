"""A CPU quota for a process, by a cgroup of its own where the machine allows one: what a small function gets.

Source: Linux, `Documentation/admin-guide/cgroup-v2.rst` (`cpu.max`) and `scheduler/sched-bwc.rst` (`cpu.cfs_quota_us`).
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from onnxlet.errors import SettingsError

CGROUPS = Path("/sys/fs/cgroup")
PERIOD_US = 100_000
"""The kernel's default."""


@contextmanager
def limited(process_id: int, cpus: float) -> Iterator[None]:
    """Give a process a share of the CPUs while the context lasts.

    Args:
        process_id: Whose; all of its threads share it.
        cpus: How many CPUs' time; 0.29 is what Lambda gives to 512 MB.

    Raises:
        SettingsError: the machine does not allow it.
    """
    quota_us = int(cpus * PERIOD_US)
    try:
        folder = _make(quota_us)
        (folder / "cgroup.procs").write_text(str(process_id))
    except OSError as error:
        raise SettingsError(f"a CPU quota: this machine does not allow one ({error.strerror})") from error
    try:
        yield
    finally:
        with suppress(OSError):  # the process may have ended
            (folder.parent / "cgroup.procs").write_text(str(process_id))
        _remove(folder)


def _make(quota_us: int) -> Path:
    """A new group with a quota, in the second version of cgroups or, where that has no CPU controller, the first."""
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
    for _ in range(20):  # it is busy while the kernel still moves the last thread
        try:
            folder.rmdir()
        except OSError:
            time.sleep(0.05)
        else:
            return
