"""Mistakes in an experiment's set-up."""


class ExperimentError(ValueError):
    """An experiment cannot be found, read or run as asked; one line for every mistake."""
