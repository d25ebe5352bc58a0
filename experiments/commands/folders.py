"""Folders that commands write to."""

import tempfile
from pathlib import Path

from velodrome.experiments.errors import ExperimentError


def experiment_folder(directory: Path, name: str) -> Path:
    """Where the table and plots of an experiment go."""
    allowed = "".join(character if character.isalnum() or character in "-_." else "-" for character in name)
    return directory / allowed.strip(".")


def check_folder(folder: Path, option: str) -> None:
    """Make a folder and see that files can be written to it, before anything is computed for it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ExperimentError(f"{option} {folder}: {error.strerror or error}") from None
