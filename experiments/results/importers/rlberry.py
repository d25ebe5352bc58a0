"""rlberry's data: what its writers noted while agents were trained."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from velodrome.checks import closest
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.results.importers.trials import ForeignTrial, curve_of, foreign_table
from velodrome.experiments.results.results import Results
from velodrome.experiments.storage.episode_curves import EpisodeCurves

if TYPE_CHECKING:
    from pandas import DataFrame, Series

_REQUIRED = ("name", "tag", "value")
_FILE = "data.csv"


def read_rlberry(
    source: "str | Path | DataFrame | Mapping[str, str | Path | DataFrame]",
    *,
    environment: str,
    training_tag: str | None = "episode_rewards",
    evaluation_tag: str | None = None,
    name: str = "rlberry",
    description: str = "",
) -> Results:
    """Results of the `data.csv` that an ExperimentManager saves, or of the table that `read_writer_data` returns.

    The return of each episode (`training_tag`) becomes the learning curve and the mean return in training, the last
    value of `evaluation_tag` the greedy return. The fits of a manager are distinguished by the column n_simu; a file
    without it holds them one after the other, and a new one begins where time or step goes back. They are numbered
    from 0, and the numbers become the seeds.

    Args:
        source: a file, a folder with such files at any depth (a manager's `output_dir`), a table, or several of these
            by agent; otherwise the agents are named by the column `name`.
        environment: label; the data has none.
        training_tag: one value an episode, its return; None for none.
        evaluation_tag: one value an evaluation of the greedy policy, its mean return; None for none.
        name: of the results.
        description: the question, in a sentence.

    Raises:
        ExperimentError: a file cannot be read, a column or tag is missing, a value is no number, or two files hold an
            agent of one name.

    Source of the form: rlberry 0.7, `rlberry.utils.writers.DefaultWriter` and `ExperimentManager.save`.
    """
    if training_tag is None and evaluation_tag is None:
        raise ExperimentError("training_tag or evaluation_tag must be given, or there is no score")
    tags = [tag for tag in (training_tag, evaluation_tag) if tag is not None]
    owners: dict[str, str] = {}
    trials: list[ForeignTrial] = []
    for place, label, frame in _tables(source):
        for tag in tags:
            if not (frame["tag"] == tag).any():
                known = sorted(str(one) for one in frame["tag"].dropna().unique())
                raise ExperimentError(f"{place}: has no tag {tag!r}{closest(tag, known)}")
        for own_name, of_agent in frame.groupby("name", sort=False, observed=True):
            agent = label or str(own_name)
            if agent in owners:
                hint = f"name the agents, as in {{'{agent}': …, '{agent} 2': …}}"
                raise ExperimentError(f"{place}: {agent!r} is also in {owners[agent]}; {hint}")
            owners[agent] = place
            for run, of_run in of_agent.groupby(_run_numbers(place, of_agent), sort=True):
                values = {tag: _numbers(place, tag, of_run["value"][of_run["tag"] == tag]) for tag in tags}
                metrics, curve = _measured(values, training_tag, evaluation_tag)
                trials.append(ForeignTrial(agent, environment, int(str(run)), metrics, curve))
    fits = Counter(trial.agent for trial in trials)
    told = ", ".join(f"{agent}: {number} fit{'s' * (number != 1)}" for agent, number in fits.items())
    note = f"Read from rlberry's data ({told}): seeds are numbers of fits, so that equal seeds share no randomness."
    return foreign_table(Results, trials, "rlberry", name=name, description=description, notes=[note])


def _measured(
    values: Mapping[str, np.ndarray], training_tag: str | None, evaluation_tag: str | None
) -> tuple[dict[str, Any], EpisodeCurves | None]:
    """Metrics and curve of a run."""
    metrics: dict[str, Any] = {}
    if evaluation_tag is not None and len(values[evaluation_tag]):
        metrics = {"greedy_mean_return": float(values[evaluation_tag][-1]), "evaluation": "monte-carlo"}
    return metrics, None if training_tag is None else curve_of(values[training_tag])


def _tables(source: Any) -> "Iterator[tuple[str, str | None, DataFrame]]":
    """Place for messages, label if given, and checked table of each part of the source."""
    import pandas as pd

    if isinstance(source, Mapping):
        for label, part in source.items():
            for place, _, frame in _tables(part):
                if frame["name"].nunique() > 1:
                    names = ", ".join(str(one) for one in frame["name"].unique())
                    raise ExperimentError(f"{place}: {label!r} is one agent, but the data holds {names}")
                yield place, str(label), frame
        return
    if isinstance(source, pd.DataFrame):
        yield "the table", None, _checked("the table", source)
        return
    path = Path(source)
    files = sorted(path.rglob(_FILE)) if path.is_dir() else [path]
    if not files:
        raise ExperimentError(f"{path}: there is no {_FILE} in this folder")
    for file in files:
        try:
            frame = pd.read_csv(file)
        except (OSError, ValueError) as error:
            raise ExperimentError(f"{file}: cannot be read: {' '.join(str(error).split())}") from None
        yield str(file), None, _checked(str(file), frame)


def _checked(place: str, frame: "DataFrame") -> "DataFrame":
    for column in _REQUIRED:
        if column not in frame.columns:
            has = ", ".join(str(one) for one in frame.columns) or "none"
            raise ExperimentError(f"{place}: needs a column {column!r}; it has {has}")
    if "n_simu" in frame.columns:
        # read_writer_data repeats the rows of other tags without a number.
        return frame[frame["n_simu"].notna()]
    return frame


def _run_numbers(place: str, rows: "DataFrame") -> np.ndarray:
    """Number of the fit of each row of an agent."""
    if "n_simu" in rows.columns:
        try:
            return rows["n_simu"].astype(int).to_numpy()
        except (TypeError, ValueError):
            raise ExperimentError(f"{place}: column 'n_simu' must hold whole numbers") from None
    goes_back = np.zeros(len(rows), dtype=np.bool_)
    for column in ("dw_time_elapsed", "global_step"):
        if column in rows.columns:
            goes_back[1:] |= np.diff(_numbers(place, column, rows[column])) < 0
    # A writer keeps the rows of a tag together, so that a tag which comes again is of the next writer.
    tags = rows["tag"].astype(str).to_list()
    numbers = np.zeros(len(rows), dtype=np.int64)
    seen = {tags[0]}
    for row in range(1, len(rows)):
        is_next = goes_back[row] if tags[row] == tags[row - 1] else tags[row] in seen
        numbers[row] = numbers[row - 1] + is_next
        seen = {tags[row]} if is_next else seen | {tags[row]}
    return numbers


def _numbers(place: str, what: str, series: "Series[Any]") -> np.ndarray:
    try:
        numbers = np.asarray(series.to_numpy(np.float64))
    except (TypeError, ValueError):
        raise ExperimentError(f"{place}: {what!r} must hold numbers") from None
    if not np.isfinite(numbers).all():
        row = series.index[~np.isfinite(numbers)][0]
        raise ExperimentError(f"{place}, row {row!r}: {what!r} must be a finite number")
    return numbers
