"""Asks a training in another thread to stop: at the end of an experiment, or when its time is over."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar

from velodrome.checks import VelodromeError


class TrainingInterruptedError(VelodromeError, RuntimeError):
    """Training was asked to stop before its budget was spent."""


class TrainingTimeoutError(VelodromeError, RuntimeError):
    """Training took longer than it may."""


# Seconds between two looks at how far a training has come.
_ADVANCE_SECONDS = 0.25


class Interruption:
    """A request to stop, which the compiled loop looks for between two chunks of steps, every tenth of a second or so.

    In return the training says how far it has come.

    Args:
        stop: set when the training shall end.
        seconds: how long it may take, compiling and the like not counted; None for ever.
        counting: called when time begins to count again, with True, and when it no longer does, with False.
        advanced: called a few times a second with the share of the training that is done.

    Attributes:
        share: of the training that is done, from 0 to 1; of one that goes on from a checkpoint, of what was left.
        runs: number of trainings that advance together.
    """

    def __init__(
        self,
        stop: threading.Event,
        seconds: float | None = None,
        counting: Callable[[bool], None] = lambda _: None,
        advanced: Callable[[float], None] = lambda _: None,
    ) -> None:
        self.share, self.runs, self._advanced = 0.0, 1, advanced
        self._total, self._before, self._is_of_episodes = 0, 0, True
        self._next_advance = time.monotonic() + _ADVANCE_SECONDS
        self.stop, self.seconds, self._counting = stop, seconds, counting
        self.began = self._started = time.monotonic()
        self._paused_since: float | None = None

    @property
    def is_paused(self) -> bool:
        """Whether time does not count now."""
        return self._paused_since is not None

    def elapsed(self) -> float:
        """Seconds so far that count."""
        now = self._paused_since
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

    def begins(self, episodes: int | None, steps: int | None, runs: int = 1) -> None:
        """A training begins, or goes on, with so many episodes or steps left, in each of so many runs."""
        left, is_of_episodes = (steps or 0, False) if episodes is None else (episodes, True)
        if is_of_episodes != self._is_of_episodes or left > self._total:
            self._total, self._is_of_episodes = left, is_of_episodes
        self._before, self.runs = self._total - left, runs
        self.share = self._before / self._total if self._total else 0.0

    def passes(self, episodes: int, steps: int) -> None:
        """A part of the training is over."""
        self._before += episodes if self._is_of_episodes else steps

    def advance(self, episodes: float, steps: float) -> None:
        """So much of the present part is done; cheap enough to be called after every episode."""
        now = time.monotonic()
        if now >= self._next_advance:
            self._next_advance = now + _ADVANCE_SECONDS
            done = self._before + (episodes if self._is_of_episodes else steps)
            self.share = min(1.0, done / self._total) if self._total else 0.0
            self._advanced(self.share)

    @contextmanager
    def not_counted(self) -> Iterator[None]:
        """Time inside does not count: what is done is shared with other trials, such as compiling."""
        if self._paused_since is not None:
            yield
            return
        self._paused_since = time.monotonic()
        self._counting(False)
        try:
            yield
        finally:
            self._started += time.monotonic() - self._paused_since
            self._paused_since = None
            self._counting(True)


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
    """The interruption that training in this thread has to look at, if there is one."""
    return _current.get()


class _ThreadTimes(threading.local):
    """Processor time of one thread that does not count, in seconds, and whether such time is passing now."""

    uncounted = 0.0
    is_uncounted = False


_times = _ThreadTimes()


@contextmanager
def not_counted() -> Iterator[None]:
    """Time inside does not count as that of the training in this thread: imports, for instance, come once a process."""
    interruption = current_interruption()
    with nullcontext() if interruption is None else interruption.not_counted():
        if _times.is_uncounted:
            yield
            return
        started, _times.is_uncounted = time.thread_time(), True
        try:
            yield
        finally:
            _times.uncounted += time.thread_time() - started
            _times.is_uncounted = False


def counted_cpu_seconds() -> float:
    """Processor time of this thread so far, without what does not count; differences of it are times of a training."""
    return time.thread_time() - _times.uncounted
