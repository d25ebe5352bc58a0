"""Linear algebra in one thread: small products that wait for busy cores take many times their own time."""

import threading
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

P = ParamSpec("P")
R = TypeVar("R")


def one_thread(function: Callable[P, R]) -> Callable[P, R]:
    """The function, with NumPy's products in the calling thread while it runs."""

    @wraps(function)
    def alone(*args: P.args, **kwargs: P.kwargs) -> R:
        with _limit:
            return function(*args, **kwargs)

    return alone


class _Limit:
    """One thread for all of the process, for the limit is the library's, until the last of those inside has left."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._limiter: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._limiter = _controller().limit(limits=1, user_api="blas")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._limiter.restore_original_limits()


_limit = _Limit()


@lru_cache(maxsize=1)
def _controller() -> "ThreadpoolController":
    """Found once: looking for the loaded libraries takes a millisecond."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
