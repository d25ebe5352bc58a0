"""What is wrong, or doubtful, with an experiment."""


class ExperimentError(ValueError):
    """An experiment cannot be found, read or run as asked; one line for every mistake."""


class ExperimentWarning(UserWarning):
    """Something about an experiment that its reader should know; one line."""
