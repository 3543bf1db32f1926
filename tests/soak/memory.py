"""The memory of the function's process, as the kernel counts it, while the load lasts."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PROCESSES = Path("/proc")
EVERY_S = 1.0
FIRST_MINUTE_S = 60.0
WINDOW_S = 30.0
"""Over which a median is taken: a model that is loaded just now makes a peak, and says nothing of growth."""


@dataclass(frozen=True)
class Sample:
    """One look at the process."""

    at_s: float
    """Since the load began."""
    rss_bytes: int
    """All that is resident."""
    uss_bytes: int
    """What no other process shares."""


class Watch(threading.Thread):
    """Looks at a process again and again, until it is told to stop; where the process is gone, it ends all."""

    def __init__(self, process_id: int, is_over: threading.Event, each_time: Callable[[], None]) -> None:
        """Take the process, and what else is to be done each time."""
        super().__init__(name="memory")
        self.samples: list[Sample] = []
        self.is_lost = False
        self._process_id = process_id
        self._is_over = is_over
        self._each_time = each_time

    def run(self) -> None:
        started_s = time.monotonic()
        while not self._is_over.wait(EVERY_S):
            try:
                self.samples.append(read(self._process_id, time.monotonic() - started_s))
            except OSError:
                self.is_lost = True
                self._is_over.set()
            self._each_time()


def read(process_id: int, at_s: float = 0.0) -> Sample:
    """Look at a process.

    Raises:
        OSError: it is gone.
    """
    found = {}
    for line in (PROCESSES / str(process_id) / "smaps_rollup").read_text().splitlines()[1:]:
        name, _, amount = line.partition(":")
        found[name] = int(amount.split()[0]) * 1024
    return Sample(at_s, found["Rss"], found["Private_Clean"] + found["Private_Dirty"])


def growth(samples: Sequence[Sample], amount: Callable[[Sample], int]) -> float | None:
    """What the memory is at the end, as a share of what it was after the first minute; None where that is too soon."""
    end_s = samples[-1].at_s if samples else 0.0
    if end_s < FIRST_MINUTE_S + 2 * WINDOW_S:
        return None
    return median(amount(each) for each in samples if each.at_s > end_s - WINDOW_S) / after_first_minute(
        samples, amount
    )


def after_first_minute(samples: Sequence[Sample], amount: Callable[[Sample], int]) -> float:
    """The bytes then, of a run that was long enough."""
    return median(amount(each) for each in samples if FIRST_MINUTE_S <= each.at_s < FIRST_MINUTE_S + WINDOW_S)


def descendants(process_id: int) -> set[int]:
    """The processes that a process has started, and those that they have."""
    found: set[int] = set()
    with suppress(OSError):  # one that has just ended
        for task in (PROCESSES / str(process_id) / "task").iterdir():
            found |= {int(child) for child in (task / "children").read_text().split()}
    return found.union(*map(descendants, found))


def largest_of(processes: set[int]) -> int:
    """The one that takes most: of a server and its workers, the one that has loaded the models."""
    return max(processes, key=lambda each: read(each).uss_bytes)


def own_descendants() -> set[int]:
    """Those of this process."""
    return descendants(os.getpid())
