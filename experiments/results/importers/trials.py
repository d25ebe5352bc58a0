"""Makes results of trials that were run elsewhere, claiming nothing that is not known of them."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np

from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.results.settings import Pair, Settings
from velodrome.experiments.results.trial_table import METRICS, NOTHING, TrialRecord, TrialTable
from velodrome.experiments.storage.episode_curves import EpisodeCurves
from velodrome.experiments.texts import is_printable
from velodrome.experiments.trials.measures import MEASURES

Origin = Literal["frame", "stable-baselines3", "rlberry", "rliable"]
Table = TypeVar("Table", bound=TrialTable)

_TIMES = ("train_seconds", "wall_seconds", "cpu_seconds")
# The columns of a frame after agent, environment, seed and status, in order.
COLUMNS: dict[str, Literal["text", "count", "number"]] = {
    **METRICS,
    "train_seconds": "number",
    "steps_per_second": "number",
    "wall_seconds": "number",
    "cpu_seconds": "number",
    "error": "text",
    "error_place": "text",
    "key": "text",
}
SCORE_COLUMNS: tuple[str, ...] = tuple(measure.column for measure in MEASURES.values())
RULE_NOT_KNOWN = "not stated"


@dataclass(frozen=True, eq=False)
class ForeignTrial:
    """A trial that was run elsewhere.

    Attributes:
        agent: label.
        environment: label.
        seed: or the number of the run.
        values: those of `COLUMNS` that are known.
        curve: of training; lengths of 0 where they are not known. None where there is none.
        status: "done", "stopped", "failed" or "timed out".
    """

    agent: str
    environment: str
    seed: int
    values: Mapping[str, Any] = field(default_factory=dict)
    curve: EpisodeCurves | None = None
    status: str = "done"


def curve_of(
    returns: Sequence[float] | np.ndarray, lengths: np.ndarray | None = None, successes: np.ndarray | None = None
) -> EpisodeCurves:
    """A curve; lengths that are not known become 0, which no episode has."""
    array = np.asarray(returns, dtype=np.float64)
    known = np.zeros(len(array), dtype=np.int64) if lengths is None else np.asarray(lengths, dtype=np.int64)
    return EpisodeCurves(array, known, None if successes is None else np.asarray(successes, dtype=np.bool_))


def foreign_table(
    kind: type[Table],
    trials: Iterable[ForeignTrial],
    origin: Origin,
    *,
    name: str,
    description: str = "",
    notes: Sequence[str] = (),
) -> Table:
    """A table of trials that were run elsewhere, in the order environment × agent × seed as first met.

    Args:
        kind: of table, such as `Results`.
        trials: in any order.
        origin: whence they came.
        name: of the table.
        description: the question, in a sentence.
        notes: one-line remarks.

    Raises:
        ExperimentError: there is no trial, or two are of one agent, environment and seed or have one key.
    """
    by_pair: dict[Pair, dict[int, TrialRecord]] = {}
    curves: dict[str, EpisodeCurves] = {}
    for trial in trials:
        for what, label in (("agent", trial.agent), ("environment", trial.environment)):
            if not is_printable(label):
                raise ExperimentError(f"{what} must be one line without control characters, got {label!r}")
        record = _record(trial, origin)
        seeds = by_pair.setdefault((trial.environment, trial.agent), {})
        if trial.seed in seeds:
            raise ExperimentError(f"{trial.agent} on {trial.environment} has more than one trial of seed {trial.seed}")
        seeds[trial.seed] = record
        if trial.curve is not None:
            curves[record.key] = trial.curve
    if not by_pair:
        raise ExperimentError("there is no trial")
    environments, agents = (list(dict.fromkeys(labels)) for labels in zip(*by_pair, strict=True))
    pairs = [
        (environment, agent) for environment in environments for agent in agents if (environment, agent) in by_pair
    ]
    records = [record for pair in pairs for record in by_pair[pair].values()]
    shared = [key for key, number in Counter(record.key for record in records).items() if number > 1]
    if shared:
        raise ExperimentError(f"column 'key' names each trial, but {shared[0]!r} is there more than once")
    common, own_seeds = common_seeds({pair: tuple(by_pair[pair]) for pair in pairs})
    # No expression is known, and no budget.
    settings = Settings(
        agents=dict.fromkeys(agents, ""),
        environments=dict.fromkeys(environments, ""),
        seeds=common,
        own_seeds=own_seeds,
        evaluation_episodes=common_evaluation_episodes(records),
        origin=origin,
    )

    def chosen(keys: Sequence[str]) -> Iterator[tuple[str, EpisodeCurves]]:
        return ((key, curves[key]) for key in keys if key in curves)

    return kind(name, records, settings, len(records), description, notes=tuple(notes), _curve_source=chosen)


def common_seeds(seeds_of: Mapping[Pair, Sequence[int]]) -> tuple[tuple[int, ...], dict[Pair, tuple[int, ...]]]:
    """Seeds of most pairs, and of those that have others."""
    numbers = Counter(tuple(seeds) for seeds in seeds_of.values())
    common = numbers.most_common(1)[0][0]
    return common, {pair: tuple(seeds) for pair, seeds in seeds_of.items() if tuple(seeds) != common}


def common_evaluation_episodes(records: Iterable[TrialRecord]) -> int | None:
    """Episodes over which every sampled evaluation went; None where they differ or are not known."""
    sampled = (record for record in records if record.is_done and record.text("evaluation") == "monte-carlo")
    numbers = {record.number("evaluation_episodes") for record in sampled}
    number = numbers.pop() if len(numbers) == 1 else math.nan
    return None if math.isnan(number) else int(number)


def _record(trial: ForeignTrial, origin: Origin) -> TrialRecord:
    values: dict[str, Any] = {name: "" if kind == "text" else math.nan for name, kind in COLUMNS.items()}
    values |= trial.values
    if trial.curve is not None:
        for name, value in _values_of_curve(trial.curve).items():
            if is_missing(values[name]):
                values[name] = value
    rates = (values["greedy_success_rate"], values["train_success_rate"])
    if not values["success_rule"] and not all(is_missing(rate) for rate in rates):
        values["success_rule"] = RULE_NOT_KNOWN
    if is_missing(values["steps_per_second"]) and values["train_seconds"] > 0:
        values["steps_per_second"] = values["steps"] / values["train_seconds"]
    identity = {"agent": trial.agent, "environment": trial.environment, "seed": trial.seed, "status": trial.status}
    key = values["key"] or _key(origin, identity | values, trial.curve)
    return TrialRecord(
        agent=trial.agent,
        environment=trial.environment,
        seed=trial.seed,
        status=trial.status,
        measures={name: values[name] for name in NOTHING},
        **{name: values[name] for name in _TIMES},
        error=values["error"],
        error_place=values["error_place"],
        key=key,
        own_speed=values["steps_per_second"],
    )


def _values_of_curve(curve: EpisodeCurves) -> dict[str, Any]:
    known: dict[str, Any] = {"episodes": curve.episodes}
    if curve.lengths.all():
        known["steps"] = int(curve.lengths.sum())
    if curve.episodes:
        known["train_mean_return"] = float(curve.returns.mean())
        if curve.successes is not None:
            known["train_success_rate"] = float(curve.successes.mean())
    return known


def _key(origin: Origin, record: Mapping[str, Any], curve: EpisodeCurves | None) -> str:
    """Of all that is known: other numbers of the same agent, environment and seed are another trial."""
    digest = hashlib.sha256(repr([origin, *record.items()]).encode("utf-8", "replace"))
    for array in () if curve is None else (curve.returns, curve.lengths, curve.successes):
        digest.update(b"-" if array is None else array.tobytes())
    return digest.hexdigest()


def is_missing(value: Any) -> bool:
    """Whether a number is NaN."""
    return isinstance(value, float) and math.isnan(value)
