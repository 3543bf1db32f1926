"""The deadline: until when the request or event at hand must be answered, and what ends the work on it by then.

A platform ends a process whose time is over without a word to the client. What may take long therefore asks how much
time is left, and ends with `DeadlineError` while there is still some to say so.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from functools import wraps
from types import TracebackType
from typing import ParamSpec, TypeVar

from onnxlet.errors import DeadlineError
from onnxlet.limits import ANSWER_MARGIN_S

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

Stop = Callable[[], object]
"""Ends what is under way in another thread; it may come when that has just ended by itself."""

NEVER = float("inf")

_end_s: ContextVar[float] = ContextVar("deadline", default=NEVER)
"""On the monotonic clock, of what this thread works on."""


class Until:
    """A context whose work ends at a time, or with the context around it where that ends sooner."""

    __slots__ = ("_end_s", "_token")

    def __init__(self, end_s: float) -> None:
        """Take the time, on the monotonic clock."""
        self._end_s = min(end_s, _end_s.get())

    def __enter__(self) -> None:
        self._token: Token[float] = _end_s.set(self._end_s)

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        _end_s.reset(self._token)


def within(seconds: float | None) -> Until:
    """A context whose work ends in so many seconds from now; None sets no end."""
    return Until(NEVER if seconds is None else time.monotonic() + seconds)


def of_answer(timeout_s: float | None, remaining_s: float | None) -> Until:
    """Return a context that ends `ANSWER_MARGIN_S` before the platform ends the request or event.

    Args:
        timeout_s: The function's timeout by its settings; None if it has none.
        remaining_s: How much time is left by the platform's own account, which then counts; None if it has none.
    """
    limit_s = timeout_s if remaining_s is None else remaining_s
    return within(limit_s and limit_s - ANSWER_MARGIN_S)


def carried(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Make a function keep the deadline of here where another thread calls it."""
    end_s = _end_s.get()

    def call(*arguments: Parameters.args, **options: Parameters.kwargs) -> Result:
        with Until(end_s):
            return function(*arguments, **options)

    return call


def is_set() -> bool:
    """Whether the work of this thread has a deadline."""
    return _end_s.get() != NEVER


def remaining_s() -> float:
    """The time that is left, 0 where it is over; infinite where there is no deadline."""
    end_s = _end_s.get()
    return end_s if end_s == NEVER else max(0.0, end_s - time.monotonic())


def check() -> None:
    """Go on only where there is time left.

    Raises:
        DeadlineError: there is none.
    """
    if not remaining_s():
        raise DeadlineError("the function's time is nearly over: ask for less at once, or give it a longer timeout")


def join(thread: threading.Thread) -> None:
    """Wait for a thread.

    Raises:
        DeadlineError: it goes on for longer.
    """
    thread.join(remaining_s() if is_set() else None)
    if thread.is_alive():
        check()


@contextmanager
def holding(lock: threading.Lock) -> Iterator[None]:
    """A context in which a lock is held that others may hold for long.

    Raises:
        DeadlineError: they do.
    """
    if not lock.acquire(timeout=min(remaining_s(), threading.TIMEOUT_MAX)):
        check()
    try:
        yield
    finally:
        lock.release()


def bounded(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Make a function that waits for the network raise DeadlineError when the time is over; it ends by itself later.

    A network takes longer than the thread that it is waited for in. Without a deadline there is none.
    """

    @wraps(function)
    def call(*arguments: Parameters.args, **options: Parameters.kwargs) -> Result:
        if not is_set():
            return function(*arguments, **options)
        check()
        results: list[Result] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                results.append(function(*arguments, **options))
            except BaseException as error:  # raised again where it is waited for
                errors.append(error)

        thread = threading.Thread(target=run, name="bounded", daemon=True)
        thread.start()
        join(thread)
        if errors:
            raise errors[0]
        return results[0]

    return call


class Watched:
    """A context in which something is stopped when the time is over."""

    __slots__ = ("_key", "_stop")

    def __init__(self, stop: Stop | None) -> None:
        """Take how to stop it; None lets it run."""
        self._stop = stop

    def __enter__(self) -> None:
        if self._stop is not None:
            self._key = _watch.add(_end_s.get(), self._stop)

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._stop is not None:
            _watch.remove(self._key)


class _Watch:
    """One thread, started when it is first needed, that stops what runs for too long.

    It sleeps until the earliest end that it knows of. Who comes later ends later, so that nearly nobody has to wake it:
    to be watched costs two changes of a dictionary.
    """

    def __init__(self) -> None:
        self._running: dict[object, tuple[float, Stop]] = {}
        self._changed = threading.Condition()
        self._wakes_at_s = NEVER
        self._thread: threading.Thread | None = None

    def add(self, end_s: float, stop: Stop) -> object:
        key = object()
        self._running[key] = end_s, stop
        if end_s < self._wakes_at_s:
            self._wake()
        return key

    def remove(self, key: object) -> None:
        self._running.pop(key, None)

    def _wake(self) -> None:
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="deadline", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            self._sleep()
            now_s = time.monotonic()
            for key, (end_s, stop) in list(self._running.items()):
                if end_s <= now_s:
                    self.remove(key)
                    stop()

    def _sleep(self) -> None:
        """Sleep until something must be stopped, or may have to be sooner."""
        with self._changed:
            self._wakes_at_s = NEVER  # from here on who comes wakes us
            self._wakes_at_s = min((end_s for end_s, _ in list(self._running.values())), default=NEVER)
            left_s = self._wakes_at_s - time.monotonic()
            if left_s > 0:
                self._changed.wait(min(left_s, threading.TIMEOUT_MAX))


_watch = _Watch()
