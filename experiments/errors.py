"""Errors and warnings of experiments."""

import warnings
from typing import Any

from velodrome.checks import VelodromeError
from velodrome.experiments.texts import is_notebook


class ExperimentError(VelodromeError, ValueError):
    """An experiment cannot be found, read or run as asked; one line for every mistake."""


class AllTrialsFailedError(ExperimentError):
    """Not one trial of an experiment has a result; the message is one line.

    Attributes:
        results: the failed trials.
    """

    def __init__(self, message: str, results: Any) -> None:
        super().__init__(message)
        self.results = results


class ExperimentWarning(UserWarning):
    """Something about an experiment that its reader should know; one line."""


_format_warning = warnings.formatwarning


def _format_in_notebook(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """A warning's text; one of experiments as on the command line, without a cell's temporary file."""
    if issubclass(category, ExperimentWarning):
        return f"warning: {message}\n"
    return _format_warning(message, category, filename, lineno, line)


if is_notebook():
    warnings.formatwarning = _format_in_notebook
