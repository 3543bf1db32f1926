"""The watchdog: one thread that stops runs of ONNX Runtime whose time is over.

The thread sleeps until the earliest deadline. A run that starts later usually ends later, so it rarely has to wake the
thread: to watch a run costs two changes of a dictionary.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from onnxlet.limits import deadline

Stop = Callable[[], object]
"""Stops a run from another thread; the run may just have ended."""


class Watched:
    """A context that is stopped when the deadline passes."""

    __slots__ = ("_key", "_stop")

    def __init__(self, stop: Stop | None) -> None:
        """Watch a context, unless `stop` is None."""
        self._stop = stop

    def __enter__(self) -> None:
        if self._stop is not None:
            self._key = _watchdog.add(deadline.end_s(), self._stop)

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._stop is not None:
            _watchdog.remove(self._key)


class _Watchdog:
    """The thread, which starts when the first run needs it, and the runs that it watches."""

    def __init__(self) -> None:
        self._runs: dict[object, tuple[float, Stop]] = {}
        """The time of the monotonic clock at which each run must end, and what stops it."""
        self._changed = threading.Condition()
        self._wakes_at_s = deadline.NEVER
        self._thread: threading.Thread | None = None

    def add(self, end_s: float, stop: Stop) -> object:
        key = object()
        self._runs[key] = end_s, stop
        if end_s < self._wakes_at_s:
            self._wake()
        return key

    def remove(self, key: object) -> None:
        self._runs.pop(key, None)

    def _wake(self) -> None:
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            self._sleep()
            now_s = time.monotonic()
            for key, (end_s, stop) in list(self._runs.items()):
                if end_s <= now_s:
                    self.remove(key)
                    stop()

    def _sleep(self) -> None:
        """Sleep until a run must be stopped, or until a run is added that must end sooner."""
        with self._changed:
            self._wakes_at_s = deadline.NEVER  # from here on every added run wakes this thread
            self._wakes_at_s = min((end_s for end_s, _ in list(self._runs.values())), default=deadline.NEVER)
            left_s = self._wakes_at_s - time.monotonic()
            if left_s > 0:
                self._changed.wait(min(left_s, threading.TIMEOUT_MAX))


_watchdog = _Watchdog()
