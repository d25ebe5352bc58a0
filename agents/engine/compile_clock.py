"""Time that this process spends on compiling, which is no trial's own."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from velodrome.agents.engine.interruption import not_counted


class CompileClock:
    """Lock of the compiler, which one thread can use at a time, and the time for which it was held."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._before = 0.0
        self._since: float | None = None

    def __enter__(self) -> None:
        self._lock.acquire()
        self._since = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._before, self._since = self.seconds, None
        self._lock.release()

    @property
    def is_running(self) -> bool:
        """Whether a loop is being compiled, or loaded from disk, now."""
        return self._since is not None

    @property
    def seconds(self) -> float:
        """Wall-clock time spent so far."""
        since = self._since
        return self._before + (0.0 if since is None else time.perf_counter() - since)


COMPILE_CLOCK = CompileClock()


@contextmanager
def compiling_if_first(function: Any) -> Iterator[None]:
    """Around a call of a function of Numba's: its first compiles it, or loads it from disk."""
    if function.overloads:
        yield
    else:
        with not_counted(), COMPILE_CLOCK:
            yield
