"""Folders that commands write to."""

import hashlib
import re
import tempfile
from pathlib import Path

from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.running.manager import CHECKPOINTS_FOLDER
from velodrome.experiments.storage.store import Store, StoreError

# Of the name of an experiment's folder, in bytes.
_LONGEST = 100
# The store with what SQLite keeps beside it, exports, and the folders of checkpoints and trackers.
_OWN_BEGINNINGS = ("trials.", "curves.")
_OWN_NAMES = {CHECKPOINTS_FOLDER, "tensorboard", "wandb", "mlruns", "mlflow-artifacts", "mlflow.db"}
_DEVICES = re.compile("con|prn|aux|nul|conin\\$|conout\\$|(?:com|lpt)[0-9¹²³]")


def experiment_folder(directory: Path, name: str) -> Path:
    """Where the table and plots of an experiment go: no other of the store has the same, and every system takes it.

    Letters, digits and `-_.` are those of the name, the rest becomes `-`. Where that is long, is taken, or is the
    folder of another experiment that was stored before, eight digits are added that stand for the whole name.
    """
    usable = usable_name(name)
    before = {usable_name(other).casefold() for other in _stored_before(directory, name)}
    if len(usable.encode()) <= _LONGEST and not _is_taken(usable) and usable.casefold() not in before:
        return directory / usable
    short = usable.encode()[:_LONGEST].decode(errors="ignore")
    # Windows takes `nul.txt-1` for a device, too.
    short = short.replace(".", "-") if _is_taken(short) else short
    return directory / f"{short}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def usable_name(name: str) -> str:
    """A name as every file system takes it, but for its length and for names that stand for something else."""
    allowed = (character if character.isalnum() or character in "-_." else "-" for character in name)
    return "".join(allowed).strip(".")


def _stored_before(directory: Path, name: str) -> list[str]:
    """The other experiments of a store that are older than the one with a name."""
    try:
        with Store.open_for_reading(directory, is_known=True) as store:
            names = store.experiments(oldest_first=True)
    except StoreError:
        return []
    return names[: names.index(name)] if name in names else names


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
