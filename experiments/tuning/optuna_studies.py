"""Optuna's studies of a search in a file beside the store, which Optuna's dashboard reads."""

import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

from velodrome.experiments.errors import ExperimentWarning
from velodrome.experiments.tuning.samplers import OptunaSampler, quiet_optuna
from velodrome.experiments.tuning.search import Search

STUDIES_FILE = "optuna.sqlite"


def write_studies(folder: Path, name: str, searches: Sequence[Search]) -> None:
    """Write the studies of searches with one of Optuna's samplers; nothing needs them, and a failure is a warning.

    Args:
        folder: of the store.
        name: of the experiment; studies of this name that are there are replaced.
        searches: that are over.
    """
    asked = [search for search in searches if isinstance(search.sampler, OptunaSampler)]
    if not asked:
        return
    try:
        _write(folder / STUDIES_FILE, name, asked)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        warnings.warn(f"{STUDIES_FILE}: Optuna's studies are not written: {reason}", ExperimentWarning, stacklevel=3)


def _write(path: Path, name: str, searches: Sequence[Search]) -> None:
    import optuna

    # A name that no address of a database takes apart, and a whole file or none.
    with tempfile.TemporaryDirectory(prefix="velodrome-") as place, quiet_optuna():
        copy = Path(place) / STUDIES_FILE
        if path.exists():
            copy.write_bytes(path.read_bytes())
        storage = optuna.storages.RDBStorage(f"sqlite:///{copy}")
        known = optuna.study.get_all_study_names(storage)
        for search in searches:
            assert isinstance(search.sampler, OptunaSampler)
            title = f"{name}: {search.space.label} on {search.environment}"
            if title in known:
                optuna.delete_study(study_name=title, storage=storage)
            study = optuna.create_study(storage=storage, study_name=title, direction="maximize")
            study.add_trials(search.sampler.study.get_trials(deepcopy=False))
        storage.engine.dispose()
        part = path.with_name(f"{path.name}.part")
        part.write_bytes(copy.read_bytes())
        os.replace(part, path)
