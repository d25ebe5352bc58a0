"""Folders that commands write to."""

import hashlib
import re
import tempfile
from pathlib import Path

from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.running.manager import CHECKPOINTS_FOLDER

# Of the name of an experiment's folder, in bytes.
_LONGEST = 100
# The store with what SQLite keeps beside it, exports, and the folders of checkpoints and trackers.
_OWN_BEGINNINGS = ("trials.", "curves.")
_OWN_NAMES = {CHECKPOINTS_FOLDER, "tensorboard", "wandb", "mlruns", "mlflow-artifacts", "mlflow.db"}
_DEVICES = re.compile("con|prn|aux|nul|conin\\$|conout\\$|(?:com|lpt)[0-9¹²³]")


def experiment_folder(directory: Path, name: str) -> Path:
    """Where the table and plots of an experiment go: no other name has the same, and every system takes it.

    A name of letters, digits and `-_.` is the folder's own; of others the rest becomes `-`, and what makes them
    different is added.
    """
    usable = "".join(character if character.isalnum() or character in "-_." else "-" for character in name).strip(".")
    if usable == name and len(name.encode()) <= _LONGEST and not _is_taken(name):
        return directory / name
    short = usable.encode()[:_LONGEST].decode(errors="ignore")
    # Windows takes `nul.txt-1` for a device, too.
    short = short.replace(".", "-") if _is_taken(short) else short
    return directory / f"{short}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def _is_taken(name: str) -> bool:
    """Whether a name is one of our own files or folders in a store's folder, or one that Windows has for devices."""
    plain = name.casefold()
    stem = plain.partition(".")[0]
    return plain.startswith(_OWN_BEGINNINGS) or plain in _OWN_NAMES or _DEVICES.fullmatch(stem) is not None


def check_folder(folder: Path, option: str, shown: Path | None = None) -> None:
    """Make a folder and see that files can be written to it, before anything is computed for it.

    Args:
        folder: to write to.
        option: that gave it.
        shown: as it was given, if that is another.

    Raises:
        ExperimentError: it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ExperimentError(f"{option} {shown or folder}: {error.strerror or error}") from None
