"""The random streams that all of a process shares, lent to a library that draws from them."""

import contextlib
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

import numpy as np

# One library at a time may have them.
_lock = threading.RLock()


class GlobalStreams(AbstractContextManager[Any]):
    """Streams of Python's `random`, of NumPy's old interface and of torch, for one agent of another library.

    Inside the block they begin at `seed`, and go on in the next block where the last one left them; torch works in one
    thread there, so that sums have the same bits on every machine. Outside, the process's own streams and threads are
    as they were: neither trials nor the user's program disturb each other. Blocks may be nested.

    Args:
        seed: whole number in [0, 2**32).
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._held: dict[str, Any] | None = None
        self._outside: dict[str, Any] = {}
        self._depth = 0

    def restart(self, seed: int) -> None:
        """Begin anew from another seed, in the next block."""
        self._seed, self._held = seed, None

    def __enter__(self) -> Self:
        _lock.acquire()
        self._depth += 1
        if self._depth == 1:
            self._outside = _states()
            if self._held is None:
                _seed_all(self._seed)
            else:
                _set_states(self._held)
            if (torch := _torch()) is not None:
                torch.set_num_threads(1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._depth -= 1
        if not self._depth:
            self._held = _states()
            _set_states(self._outside)
        _lock.release()


@contextlib.contextmanager
def global_streams_kept() -> Iterator[None]:
    """After the block, the streams and torch's threads are as they were before it."""
    with _lock:
        before = _states()
        try:
            yield
        finally:
            _set_states(before)


def one_torch_thread() -> AbstractContextManager[None]:
    """Inside, torch works in one thread; nothing is loaded for it."""
    return contextlib.nullcontext() if _torch() is None else _one_thread()


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    torch = _torch()
    number = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(number)


def _torch() -> Any:
    """The module torch, if the program has loaded it and is done with that."""
    torch = sys.modules.get("torch")
    return torch if hasattr(torch, "set_num_threads") and hasattr(torch, "get_rng_state") else None


def _states() -> dict[str, Any]:
    states: dict[str, Any] = {"python": random.getstate(), "numpy": np.random.get_state(legacy=False)}  # noqa: NPY002
    if (torch := _torch()) is not None:
        states |= {"torch": torch.get_rng_state(), "threads": torch.get_num_threads()}
        if torch.cuda.is_initialized():
            states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def _set_states(states: dict[str, Any]) -> None:
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])  # noqa: NPY002
    torch = _torch()
    if torch is not None and "torch" in states:
        torch.set_rng_state(states["torch"])
        torch.set_num_threads(states["threads"])
        if "cuda" in states:
            torch.cuda.set_rng_state_all(states["cuda"])


def _seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    if (torch := _torch()) is not None:
        torch.manual_seed(seed)
