"""Linear algebra in one thread: small products that wait for busy cores take many times their own time."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

P = ParamSpec("P")
R = TypeVar("R")


def one_thread(function: Callable[P, R]) -> Callable[P, R]:
    """The function, with NumPy's products in the calling thread while it runs."""

    @wraps(function)
    def alone(*args: P.args, **kwargs: P.kwargs) -> R:
        with _controller().limit(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return alone


@lru_cache(maxsize=1)
def _controller() -> "ThreadpoolController":
    """Found once: looking for the loaded libraries takes a millisecond."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
