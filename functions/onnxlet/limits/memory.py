"""Memory: how much this process uses, how much of it requests may use, and how it returns to the system.

The size of what a request will become is counted before it is decoded, against one budget of the process. Three rules
prevent deadlocks between requests:

- A step (`taken`) always gives its memory back when it ends. A request that finds too little memory waits for steps.
- Memory that a request keeps until it ends (`take`) may block others for longer. A request that finds too little memory
  for that reason gives all of its own back, waits for its turn, and starts again while no other request takes memory.
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

from onnxlet.errors import BusyError, TooLargeError
from onnxlet.limits import MAX_REQUEST_PIXELS, MIB, deadline

RESERVED_BYTES = 128 * MIB
"""Memory for Python, the libraries, and the bodies of requests and responses; neither models nor the budget get it."""

MIN_SHARE = 16
"""The budget is never less than this fraction, 1/16, of the memory, however much the models may take."""

M_MMAP_THRESHOLD = -3
"""A parameter of GNU's `mallopt`: the size from which a block is mapped by the system and not part of an arena."""

CGROUP_FOLDER = "/sys/fs/cgroup"

Result = TypeVar("Result")


class Budget:
    """The bytes that all requests and objects together may take. Safe for threads."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._changed = threading.Condition()
        self._turn = threading.Lock()
        self._taken_bytes = 0
        self._temporaries = 0
        self._alone: Share | None = None
        """The only share that may take memory now, or that waits until all others have given theirs back."""

    @classmethod
    def of(cls, function_bytes: int | None, models_bytes: int | None) -> Budget:
        """Return the budget of a function: the memory that its models and libraries leave."""
        total_bytes = function_bytes or system_bytes()
        models_bytes = models_bytes or total_bytes // 2
        return cls(max(total_bytes // MIN_SHARE, total_bytes - models_bytes - RESERVED_BYTES))

    def run(self, work: Callable[[], Result]) -> Result:
        """Run a function within the budget: together with others if there is enough memory, else on its own.

        Args:
            work: The function. It may run a second time, and must have no effect before it has taken its memory.

        Raises:
            TooLargeError: the function needs more than the whole budget.
            DeadlineError: other requests did not end in time.
        """
        try:
            with self.share():
                return work()
        except BusyError:
            pass  # the error also frees what the function had decoded
        with self.alone():
            return work()

    def open_share(self) -> Share:
        """Return a share that counts what one object is decoded to, until it is closed."""
        return Share(self)

    @contextmanager
    def share(self) -> Iterator[Share]:
        """Count what the context decodes, and give all of it back at its end.

        Raises:
            BusyError: too little memory is left. Raised inside the context.
        """
        share = self.open_share()
        try:
            with share.counting():
                yield share
        finally:
            share.close()

    @contextmanager
    def alone(self) -> Iterator[Share]:
        """Count like `share`, but start when all others have ended, and let no other take memory meanwhile.

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
        """Count more bytes for a share; see the functions `take` and `taken`."""
        if share.size_bytes + size_bytes > self.size_bytes:
            raise TooLargeError(
                f"decoding this takes about {(share.size_bytes + size_bytes) // MIB} MiB of memory, expected at most "
                f"{self.size_bytes // MIB}: send less at once, or give the function more memory"
            )
        with self._changed:
            while not self._has_room(share, size_bytes):
                if not self._temporaries or self._alone is not None or share.is_closed:
                    raise BusyError("other requests use all of the function's memory: try again")
                self._wait()
            self._taken_bytes += size_bytes
            if is_temporary:
                self._temporaries += 1
            else:
                share.size_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Take back the bytes of a step."""
        with self._changed:
            self._taken_bytes -= size_bytes
            self._temporaries -= 1
            self._changed.notify_all()

    def close(self, share: Share) -> None:
        """Take back all bytes that a share keeps."""
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
    """The memory that one request or object takes."""

    def __init__(self, budget: Budget) -> None:
        self.size_bytes = 0
        self.pixels = 0
        self.is_closed = False
        self._budget = budget

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count what the context decodes for this share."""
        token = _share.set(self)
        try:
            yield
        finally:
            _share.reset(token)

    def take(self, size_bytes: int) -> None:
        """Count bytes that the request keeps until it ends."""
        self._budget.take(self, size_bytes, is_temporary=False)

    @contextmanager
    def taken(self, size_bytes: int) -> Iterator[None]:
        """Count bytes while the context lasts."""
        self._budget.take(self, size_bytes, is_temporary=True)
        try:
            yield
        finally:
            self._budget.give_back(size_bytes)

    def close(self) -> None:
        """Give all bytes back. Threads that outlive the request cannot take memory any more."""
        self._budget.close(self)


_share: ContextVar[Share | None] = ContextVar("share", default=None)
"""The share of the request or object that this thread works on; None if nothing is counted, as in training."""


def take(size_bytes: int) -> None:
    """Count bytes that are about to be decoded and kept for the rest of the request.

    Raises:
        TooLargeError: the request needs more than the whole budget.
        BusyError: other requests keep too much of the memory.
        DeadlineError: no memory became free in time.
    """
    share = _share.get()
    if share is not None:
        share.take(size_bytes)


@contextmanager
def taken(size_bytes: int) -> Iterator[None]:
    """Count the bytes of one step while the context lasts; nothing else may be counted inside of it.

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
        TooLargeError: the images of the request have too many pixels in all.
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
    limits = []
    for path in _group_files():
        with suppress(OSError, ValueError), open(path, encoding="ascii") as file:  # the text "max" is not a number
            limits.append(int(file.read()))
    return limits


def _group_files() -> list[str]:
    names = {"": "memory.max", "memory": "memory.limit_in_bytes"}
    folders = [("", "/"), ("memory", "/")]  # a container sees its own group as the root
    with suppress(OSError), open("/proc/self/cgroup", encoding="utf-8") as file:
        folders += [(kind, path) for _, kind, path in (line.strip().split(":", 2) for line in file) if kind in names]
    return [f"{CGROUP_FOLDER}/{kind}{path}/{names[kind]}" for kind, path in folders]


def resident_bytes() -> int:
    """Return the bytes that this process uses now; 0 if the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


@cache
def return_large_blocks() -> None:
    """Let the C library return each large block to the system when any thread frees it.

    By default it raises its threshold to the size of freed blocks, up to 32 MiB, and then keeps such blocks per thread.
    """
    import ctypes  # only a process that decodes images needs it

    with suppress(OSError, AttributeError):  # a C library other than GNU's
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, MIB)


def give_back() -> None:
    """Let the C library return freed memory to the system, which it otherwise keeps."""
    import ctypes  # only a process that unloads models needs it

    with suppress(OSError, AttributeError):  # a C library other than GNU's
        ctypes.CDLL(None).malloc_trim(0)
