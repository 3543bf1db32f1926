"""The memory of this process: how much it takes, and how what was freed goes back to the system."""

import os
from contextlib import suppress


def resident_bytes() -> int:
    """What this process takes now; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def give_back() -> None:
    """Let the C library return what was freed, which else it keeps and takes from again unseen."""
    import ctypes  # only a process that lets models go ever needs it

    with suppress(OSError, AttributeError):  # a C library other than GNU's
        ctypes.CDLL(None).malloc_trim(0)
