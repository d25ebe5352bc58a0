"""Compiling with a cache on disk, where there is a place for one."""

import warnings
from collections.abc import Callable
from typing import Any

import numba

_NO_CACHE = (
    "no folder for Numba's cache can be written to, so every process compiles anew: "
    "let the environment variable NUMBA_CACHE_DIR name one"
)
_warned: list[str] = []


def compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """The function, to be compiled by Numba when first called; what was compiled is kept on disk where it can be.

    Args:
        function: to be compiled.
        **options: of `numba.njit`.

    Warns:
        RuntimeWarning: nothing can be kept, for neither the package's folder nor the user's can be written to; once.
    """
    try:
        return numba.njit(nogil=True, cache=True, **options)(function)  # type: ignore[no-any-return]
    except RuntimeError as error:
        if "cannot cache function" not in str(error):
            raise
    _warn_once()
    return numba.njit(nogil=True, **options)(function)  # type: ignore[no-any-return]


def _warn_once() -> None:
    if not _warned:
        _warned.append(_NO_CACHE)
        warnings.warn(_NO_CACHE, RuntimeWarning, stacklevel=4)
