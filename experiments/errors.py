"""Errors and warnings of experiments."""

from typing import Any

from velodrome.checks import VelodromeError


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
