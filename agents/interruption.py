"""Asks a training in another thread to stop: at the end of an experiment, or when its time is over."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class TrainingInterruptedError(RuntimeError):
    """Training was asked to stop before its budget was spent."""


class TrainingTimeoutError(RuntimeError):
    """Training took longer than it may."""


class Interruption:
    """What the compiled loop asks between two chunks of steps, every tenth of a second or so.

    Args:
        stop: set when the training shall end.
        seconds: how long it may take, compiling not counted; None for ever.
    """

    def __init__(self, stop: threading.Event, seconds: float | None = None) -> None:
        self.stop, self.seconds = stop, seconds
        self._started = time.monotonic()
        self._compiling_since: float | None = None

    def elapsed(self) -> float:
        """Seconds so far without compiling."""
        now = self._compiling_since
        return (time.monotonic() if now is None else now) - self._started

    def check(self) -> None:
        """Raise if the training shall end.

        Raises:
            TrainingInterruptedError: somebody asked for it.
            TrainingTimeoutError: its time is over.
        """
        if self.stop.is_set():
            raise TrainingInterruptedError("training was interrupted")
        if self.seconds is not None and self.elapsed() > self.seconds:
            raise TrainingTimeoutError(f"took longer than {self.seconds:g} s")

    @contextmanager
    def not_counted(self) -> Iterator[None]:
        """Time inside does not count: compiling is shared with all other trials."""
        self._compiling_since = time.monotonic()
        try:
            yield
        finally:
            self._started += time.monotonic() - self._compiling_since
            self._compiling_since = None


_current: ContextVar[Interruption | None] = ContextVar("velodrome_interruption", default=None)


@contextmanager
def interruptible(interruption: Interruption) -> Iterator[None]:
    """Training inside, in this thread, can be stopped through `interruption`."""
    token = _current.set(interruption)
    try:
        yield
    finally:
        _current.reset(token)


def current_interruption() -> Interruption | None:
    """What training in this thread has to ask, if anything."""
    return _current.get()
