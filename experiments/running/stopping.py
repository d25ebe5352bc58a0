"""A polite kill ends a run as Ctrl-C does: what is done is kept."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Terminated(KeyboardInterrupt):
    """The process was asked to end, by `kill` or by a cluster whose time is over."""

    exit_code = 128 + signal.SIGTERM


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM inside raises `Terminated` in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(*_: Any) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
