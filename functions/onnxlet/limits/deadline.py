"""The deadline: the time by which the current request or event must be answered.

A platform ends a function whose time is over without a word to the client. Whatever may take long therefore checks how
much time is left, and raises DeadlineError while there is still time to send an error.

The deadline belongs to the context of a thread. `onnxlet.session.watchdog` stops runs of ONNX Runtime at the deadline.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from functools import wraps
from types import TracebackType
from typing import Generic, ParamSpec, TypeVar

from onnxlet.errors import DeadlineError

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

ANSWER_MARGIN_S = 0.5
"""The time before the platform's timeout in which the response is sent, even if it is only a 504."""

NEVER = float("inf")

_end_s: ContextVar[float] = ContextVar("deadline", default=NEVER)
"""The deadline of this thread's work, as a time of the monotonic clock."""


class Deadline:
    """A context with a deadline. The deadline of an outer context counts if it is earlier."""

    __slots__ = ("_end_s", "_token")

    def __init__(self, end_s: float) -> None:
        """Set a deadline as a time of the monotonic clock."""
        self._end_s = min(end_s, _end_s.get())

    def __enter__(self) -> None:
        self._token: Token[float] = _end_s.set(self._end_s)

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        _end_s.reset(self._token)


def within(seconds: float | None) -> Deadline:
    """Return a context whose deadline is so many seconds from now; None sets no deadline."""
    return Deadline(NEVER if seconds is None else time.monotonic() + seconds)


def of_answer(timeout_s: float | None, remaining_s: float | None) -> Deadline:
    """Return a context whose deadline is `ANSWER_MARGIN_S` before the platform ends the request or event.

    Args:
        timeout_s: The function's timeout in its settings; None if it has none.
        remaining_s: The time that is left as the platform says, which takes precedence; None if it does not say.
    """
    limit_s = timeout_s if remaining_s is None else remaining_s
    return within(limit_s and limit_s - ANSWER_MARGIN_S)


def inherited(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Wrap a function so that it runs under the caller's deadline in another thread."""
    deadline_s = _end_s.get()

    def call(*arguments: Parameters.args, **options: Parameters.kwargs) -> Result:
        with Deadline(deadline_s):
            return function(*arguments, **options)

    return call


def end_s() -> float:
    """Return the deadline as a time of the monotonic clock; infinity without a deadline."""
    return _end_s.get()


def is_set() -> bool:
    """Return whether this thread's work has a deadline."""
    return _end_s.get() != NEVER


def remaining_s() -> float:
    """Return the time that is left: 0 after the deadline, infinity without a deadline."""
    deadline_s = _end_s.get()
    return deadline_s if deadline_s == NEVER else max(0.0, deadline_s - time.monotonic())


def check() -> None:
    """Raise DeadlineError after the deadline."""
    if not remaining_s():
        raise DeadlineError("the function's time is nearly over: ask for less at once, or give it a longer timeout")


def join(thread: threading.Thread) -> None:
    """Wait for a thread to end, but not longer than until the deadline.

    Raises:
        DeadlineError: the thread has not ended.
    """
    thread.join(remaining_s() if is_set() else None)
    if thread.is_alive():
        check()


@contextmanager
def locked(lock: threading.Lock) -> Iterator[None]:
    """Hold a lock that other threads may hold for long; do not wait for it longer than until the deadline.

    Raises:
        DeadlineError: another thread still holds the lock.
    """
    if not lock.acquire(timeout=min(remaining_s(), threading.TIMEOUT_MAX)):
        check()
    try:
        yield
    finally:
        lock.release()


class Background(Generic[Result]):
    """A call that runs in a thread of its own without a deadline; the thread that waits may have one."""

    __slots__ = ("_errors", "_results", "_thread")

    def __init__(self, function: Callable[[], Result]) -> None:
        """Start the call."""
        self._results: list[Result] = []
        self._errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, args=(function,), name="background", daemon=True)
        self._thread.start()

    def result(self) -> Result:
        """Wait for the call, and return what it returned or raise what it raised.

        Raises:
            DeadlineError: the call has not returned in time.
        """
        join(self._thread)
        if self._errors:
            raise self._errors[0]
        return self._results[0]

    def _run(self, function: Callable[[], Result]) -> None:
        try:
            self._results.append(function())
        except BaseException as error:  # raised again in the thread that wants the result
            self._errors.append(error)


def bounded(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Wrap a function that waits for the network, so that its caller waits only until the deadline.

    With a deadline the call runs in a thread of its own, which may outlive it; without one it runs in the caller's.

    Raises:
        DeadlineError: the call has not returned in time.
    """

    @wraps(function)
    def call(*arguments: Parameters.args, **options: Parameters.kwargs) -> Result:
        if not is_set():
            return function(*arguments, **options)
        check()
        return Background(lambda: function(*arguments, **options)).result()

    return call
