"""The memory of this process: how much it takes, what requests may take of it, and how it goes back to the system.

What a request becomes is counted before it is decoded, against one budget of the process. Three rules keep requests
from waiting for each other for ever:

- A step (`taken`) gives its memory back when it ends, whatever others do. A request without room waits for such steps.
- What a request keeps (`take`) may stand in the way for longer. A request without room for that reason gives back all
  of its own, waits for its turn, and begins again alone.
- A request that needs more than the whole budget is refused at once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from typing import TypeVar

from onnxlet import deadline
from onnxlet.errors import BusyError, TooLargeError
from onnxlet.limits import MAX_REQUEST_PIXELS, MIB

RESERVED_BYTES = 128 * MIB
"""What is neither for models nor for what requests become: Python, the libraries, bodies on their way, and answers."""

MIN_SHARE = 16
"""The part of the memory, one in so many, that requests may always take, however much the models may."""

M_MMAP_THRESHOLD = -3
"""Of GNU's `malloc.h`: the size from which on a block is the system's own, and not a part of an arena."""

CGROUP_FOLDER = "/sys/fs/cgroup"

Result = TypeVar("Result")


class Budget:
    """The bytes that all requests and objects together may become. Safe for threads."""

    def __init__(self, size_bytes: int) -> None:
        """Take the size."""
        self.size_bytes = size_bytes
        self._changed = threading.Condition()
        self._turn = threading.Lock()
        self._taken_bytes = 0
        self._temporaries = 0
        self._alone: Share | None = None
        """Who has the budget alone, or waits until the others have given back what they hold."""

    @classmethod
    def of(cls, function_bytes: int | None, models_bytes: int | None) -> Budget:
        """Return the budget of a function: what its models and its libraries leave of its memory."""
        total_bytes = function_bytes or system_bytes()
        models_bytes = models_bytes or total_bytes // 2
        return cls(max(total_bytes // MIN_SHARE, total_bytes - models_bytes - RESERVED_BYTES))

    def run(self, work: Callable[[], Result]) -> Result:
        """Do work within the budget: at once beside others where there is room, else alone.

        Args:
            work: It may be begun a second time, as long as it has only decoded.

        Raises:
            TooLargeError: the work needs more than the whole budget.
            DeadlineError: others did not end in time.
        """
        try:
            with self.share():
                return work()
        except BusyError:
            pass  # what the work had decoded is forgotten with the error
        with self.alone():
            return work()

    @contextmanager
    def share(self) -> Iterator[Share]:
        """Count what the context decodes, and give all of it back in the end; who finds no room gets a BusyError."""
        share = Share(self)
        try:
            with share.counting():
                yield share
        finally:
            share.close()

    @contextmanager
    def alone(self) -> Iterator[Share]:
        """Do as `share` does, but after all others: nobody else takes anything meanwhile.

        Raises:
            DeadlineError: others did not end in time.
        """
        with deadline.locked(self._turn), self.share() as share:
            with self._changed:
                self._alone = share
            try:
                with self._changed:
                    while self._taken_bytes:
                        self._wait()
                yield share
            finally:
                with self._changed:
                    self._alone = None
                    self._changed.notify_all()

    def take(self, share: Share, size_bytes: int, *, is_temporary: bool) -> None:
        """Count more bytes for a share; see `take` and `taken`."""
        if share.size_bytes + size_bytes > self.size_bytes:
            raise TooLargeError(
                f"decoding this takes about {(share.size_bytes + size_bytes) // MIB} MiB of memory, expected at most "
                f"{self.size_bytes // MIB}: send less at once, or give the function more memory"
            )
        with self._changed:
            while not self._has_room(share, size_bytes):
                if not self._temporaries or self._alone is not None or share.is_closed:
                    raise BusyError("the function's memory is taken by other requests: try again")
                self._wait()
            self._taken_bytes += size_bytes
            if is_temporary:
                self._temporaries += 1
            else:
                share.size_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Take back what one step took."""
        with self._changed:
            self._taken_bytes -= size_bytes
            self._temporaries -= 1
            self._changed.notify_all()

    def close(self, share: Share) -> None:
        """Take back what a share keeps."""
        with self._changed:
            self._taken_bytes -= share.size_bytes
            share.size_bytes, share.is_closed = 0, True
            self._changed.notify_all()

    def _has_room(self, share: Share, size_bytes: int) -> bool:
        is_open = not share.is_closed and (self._alone is None or self._alone is share)
        return is_open and self._taken_bytes + size_bytes <= self.size_bytes

    def _wait(self) -> None:
        deadline.check()
        self._changed.wait(min(deadline.remaining_s(), threading.TIMEOUT_MAX))


class Share:
    """What one request or object has decoded."""

    def __init__(self, budget: Budget) -> None:
        """Begin with nothing."""
        self.size_bytes = 0
        self.pixels = 0
        self.is_closed = False
        self._budget = budget

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count here what the context decodes."""
        token = _share.set(self)
        try:
            yield
        finally:
            _share.reset(token)

    def take(self, size_bytes: int) -> None:
        """Keep so many bytes more."""
        self._budget.take(self, size_bytes, is_temporary=False)

    @contextmanager
    def taken(self, size_bytes: int) -> Iterator[None]:
        """Use so many bytes as long as the context lasts."""
        self._budget.take(self, size_bytes, is_temporary=True)
        try:
            yield
        finally:
            self._budget.give_back(size_bytes)

    def close(self) -> None:
        """Give back what is kept; what comes later, from a thread that nobody waits for any more, finds no room."""
        self._budget.close(self)


_share: ContextVar[Share | None] = ContextVar("share", default=None)
"""Of the request or object that this thread works on; None where nothing is counted, as in training."""


def take(size_bytes: int) -> None:
    """Count what is about to be decoded and kept for the rest of the request.

    Raises:
        TooLargeError: the request takes more than the whole budget.
        BusyError: there is no room beside what others keep.
        DeadlineError: there was no room in time.
    """
    share = _share.get()
    if share is not None:
        share.take(size_bytes)


@contextmanager
def taken(size_bytes: int) -> Iterator[None]:
    """Count what one step takes, as long as the context lasts; inside of it nothing else may be counted.

    Raises:
        TooLargeError, BusyError, DeadlineError: as `take`.
    """
    share = _share.get()
    if share is None:
        yield
    else:
        with share.taken(size_bytes):
            yield


def count_pixels(pixels: int) -> None:
    """Count the pixels of an image that is about to be decoded.

    Raises:
        TooLargeError: the images of the request have too many in all.
    """
    share = _share.get()
    if share is not None:
        share.pixels += pixels
        if share.pixels > MAX_REQUEST_PIXELS:
            raise TooLargeError(f"the images have more than {MAX_REQUEST_PIXELS} pixels in all: send fewer at once")


def system_bytes() -> int:
    """Return the memory that this process may take: its control group's limit, or all that the machine has."""
    machine_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine_bytes, *_group_limits()])


def _group_limits() -> list[int]:
    """Return the limits of this process's control groups, of version 1 and 2, from the outermost in."""
    found = []
    for path in _group_files():
        with suppress(OSError, ValueError), open(path, encoding="ascii") as file:  # "max" is no number
            found.append(int(file.read()))
    return found


def _group_files() -> list[str]:
    names = {"": "memory.max", "memory": "memory.limit_in_bytes"}
    folders = [("", "/"), ("memory", "/")]  # where a container sees its own group as the root
    with suppress(OSError), open("/proc/self/cgroup", encoding="utf-8") as file:
        folders += [(kind, path) for _, kind, path in (line.strip().split(":", 2) for line in file) if kind in names]
    return [f"{CGROUP_FOLDER}/{kind}{path}/{names[kind]}" for kind, path in folders]


def resident_bytes() -> int:
    """What this process takes now; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


@cache
def return_large_blocks() -> None:
    """Let the C library return each large block when it is freed, from whichever thread.

    By itself it learns from freed blocks, up to 32 MiB, that such sizes come often, and keeps them for each thread.
    """
    import ctypes  # only a process that is sent images ever needs it

    with suppress(OSError, AttributeError):  # a C library other than GNU's
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, MIB)


def give_back() -> None:
    """Let the C library return what was freed, which else it keeps and takes from again unseen."""
    import ctypes  # only a process that lets models go ever needs it

    with suppress(OSError, AttributeError):  # a C library other than GNU's
        ctypes.CDLL(None).malloc_trim(0)
