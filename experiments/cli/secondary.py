"""Steps after a result, such as its pictures: where one fails, the result stays."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from velodrome.experiments.errors import ExperimentWarning


@contextmanager
def secondary(what: str) -> Iterator[None]:
    """Let something fail with a line of warning.

    Args:
        what: is written or drawn.

    Warns:
        ExperimentWarning: with the reason.
    """
    try:
        yield
    except Exception as error:
        warnings.warn(f"{what}: {reason_of(error)}", ExperimentWarning, stacklevel=3)


def reason_of(error: Exception) -> str:
    """Reason of a failure in one line."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return " ".join(text.split())
