"""One setting for all environments, and what an algorithm loses by it: cross-environment tuning and sensitivity.

Scores of an algorithm are float (num_configurations, num_environments, num_seeds), larger is better; all algorithms ran
on the same environments and seeds, with any numbers of configurations.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.interval import Interval
from velodrome.experiments.statistics.scores import LARGEST, Array, check_level, random_stream
from velodrome.experiments.statistics.student_intervals import expanded_tail
from velodrome.experiments.statistics.winners import NUM_SPLITS

NUM_RESAMPLES = 2000
# Percentiles of the configurations of all algorithms that are 0 and 1 after normalisation.
LOW_PERCENTILE, HIGH_PERCENTILE = 5.0, 95.0
# Share of the performance of tuning everything at which enough is tuned.
ENOUGH = 0.95


@dataclass(frozen=True)
class Settings:
    """The configurations of one algorithm to take.

    Attributes:
        everywhere: index of the configuration with the largest mean of normalised scores over environments.
        per_environment: of each environment, the one with the largest mean score; the first of equals.
        normalised: mean of the normalised scores of each configuration, between 0 and 1.
    """

    everywhere: int
    per_environment: tuple[int, ...]
    normalised: tuple[float, ...]


@dataclass(frozen=True)
class Sensitivity:
    """How much of an algorithm's performance hangs on tuning it for each environment.

    Attributes:
        performance: mean over environments of the best configuration's normalised score on each; 0 is the 5th
            percentile of all configurations of all algorithms, 1 the 95th.
        performance_interval: of it.
        sensitivity: Φ, that performance less the best mean over environments of one configuration; at least 0.
        sensitivity_interval: of it.
        held_out: Φ of configurations that two thirds of the seeds choose and the others score, on average over splits:
            what tuning for each environment gains on fresh seeds. Noise makes Φ too large, for every choice profits
            from luck, and this too small, for fewer seeds choose worse; it may be below 0. NaN of one seed.
        everywhere: index of the configuration with the best mean.
        per_environment: index of the best configuration of each environment.
    """

    performance: float
    performance_interval: Interval
    sensitivity: float
    sensitivity_interval: Interval
    held_out: float
    everywhere: int
    per_environment: tuple[int, ...]


@dataclass(frozen=True)
class Dimensionality:
    """How many parameters must be tuned for each environment.

    Attributes:
        effective: the fewest that reach the share of the performance of tuning them all.
        low: least number in the resamples that the level keeps.
        high: largest.
        performance: mean normalised score where 0, 1, … parameters are tuned for each environment, the best ones of
            that number, and the others are as in the configuration that is best on the mean.
        tuned: names of the best ones to tune, for 0, 1, … of them.
    """

    effective: int
    low: int
    high: int
    performance: tuple[float, ...]
    tuned: tuple[tuple[str, ...], ...]


def settings_across_environments(scores: Mapping[str, ArrayLike]) -> dict[str, Settings]:
    """The setting for all environments, and those for each, of every algorithm.

    A score counts as its rank: the share of all runs of all algorithms and configurations on the environment that score
    at most as much (their empirical distribution function), so that no environment outweighs the others.

    Args:
        scores: by algorithm, float (num_configurations, num_environments, num_seeds).

    Raises:
        StatisticsError: no algorithm, scores that are missing or not finite, or algorithms with different environments.

    Source: Patterson, Neumann, Kumaraswamy, White & White (2024), "Cross-environment Hyperparameter Tuning for
    Reinforcement Learning" (the CHS benchmark), section 3.
    """
    arrays = _by_algorithm(scores)
    ranked = {name: np.empty(array.shape) for name, array in arrays.items()}
    for environment in range(_num_environments(arrays)):
        pool = np.sort(np.concatenate([array[:, environment].ravel() for array in arrays.values()]))
        for name, array in arrays.items():
            ranked[name][:, environment] = np.searchsorted(pool, array[:, environment], side="right") / len(pool)
    found = {}
    for name, array in arrays.items():
        normalised = ranked[name].mean(axis=(1, 2))
        best = array.mean(axis=2).argmax(axis=0)
        found[name] = Settings(int(normalised.argmax()), tuple(best.tolist()), tuple(normalised.tolist()))
    return found


def sensitivity(
    scores: Mapping[str, ArrayLike],
    *,
    level: float = 0.95,
    num_resamples: int = NUM_RESAMPLES,
    num_splits: int = NUM_SPLITS,
    seed: int = 0,
) -> dict[str, Sensitivity]:
    """Performance and hyperparameter sensitivity Φ of every algorithm.

    Γ(e, h) is the mean score of configuration h on environment e, less the 5th percentile of those of all algorithms'
    configurations on e, over the distance to the 95th. Performance is the mean over e of the max over h of Γ(e, h);
    Φ is that less the max over h of the mean over e of Γ(e, h).

    Intervals are expanded percentile intervals of a bootstrap of the seeds, the same for everything, each resample on
    its own scale. Nominal 95 % intervals of simulated algorithms hold the truth in 92 to 95 % (performance) and 93 to
    98 % (Φ).

    Args:
        scores: by algorithm, float (num_configurations, num_environments, num_seeds).
        level: coverage of the intervals.
        num_resamples: of the seeds.
        num_splits: of the seeds, for `held_out`.
        seed: of the draws.

    Raises:
        StatisticsError: fewer than two environments, no algorithm, scores that are missing or not finite, algorithms
            with different environments or seeds, or an environment where all configurations score the same.

    Source: Adkins, Bowling & White (2024), "A Method for Evaluating Hyperparameter Sensitivity in Reinforcement
    Learning", sections 3 and 4.
    """
    check_level(level)
    arrays = _on_one_scale(scores)
    number = next(iter(arrays.values())).shape[2]
    tail = expanded_tail(level, number, number - 1) if number > 1 else 0.0
    resamples, judging = _resamples(arrays, num_resamples, seed), _judging(number, num_splits, seed)
    found = {}
    for name, array in arrays.items():
        performance, loss = _performance_and_loss(array.mean(axis=2))
        drawn = np.array([_performance_and_loss(means[name]) for means in resamples]).reshape(-1, 2)
        intervals = [Interval.unknown(level, "one seed")] * 2
        if len(drawn):
            ends = np.quantile(drawn, [tail, 1 - tail], axis=0).T.tolist()
            intervals = [Interval(low, high, level, "expanded percentile") for low, high in ends]
        found[name] = Sensitivity(
            performance, intervals[0], loss, intervals[1], _held_out(array, judging), *_chosen(array.mean(axis=2))
        )
    return found


def effective_dimensionality(
    scores: Mapping[str, ArrayLike],
    parameters: Mapping[str, Mapping[str, Sequence[object]]],
    *,
    share: float = ENOUGH,
    level: float = 0.95,
    num_resamples: int = 200,
    seed: int = 0,
) -> dict[str, Dimensionality]:
    """How many parameters of every algorithm must be tuned for each environment to have most of what tuning gives.

    A number of parameters is tuned for each environment and the others stay as in the configuration that is best on the
    mean over environments; of all choices of so many parameters the best counts.

    Args:
        scores: by algorithm, float (num_configurations, num_environments, num_seeds).
        parameters: by algorithm, values by the parameter's name, one value a configuration. Of a grid: among sampled
            values no two configurations share any, so that nothing can be left untuned.
        share: of the performance of tuning everything, that is enough.
        level: of the resamples that lie within `low` and `high`.
        num_resamples: of the seeds.
        seed: of the draws.

    Raises:
        StatisticsError: as `sensitivity`, parameters that do not fit the configurations, or all of whose values differ.

    Source: Adkins, Bowling & White (2024), section 5.
    """
    check_level(level)
    check_level(share, "share")
    arrays = _on_one_scale(scores)
    resamples, tail = _resamples(arrays, num_resamples, seed), (1 - level) / 2
    found = {}
    for name, array in arrays.items():
        codes = _codes(name, parameters.get(name, {}), len(array))
        performance, tuned = _by_number_tuned(array.mean(axis=2), codes)
        effective = _effective(performance, share)
        drawn = [_effective(_by_number_tuned(means[name], codes)[0], share) for means in resamples]
        low, high = np.quantile(drawn or [effective], [tail, 1 - tail], method="nearest").astype(int).tolist()
        found[name] = Dimensionality(
            effective, min(low, effective), max(high, effective), tuple(performance), tuple(tuned)
        )
    return found


def _by_algorithm(scores: Mapping[str, ArrayLike]) -> dict[str, Array]:
    """Scores as arrays, checked.

    Raises:
        StatisticsError: see `sensitivity`.
    """
    if not isinstance(scores, Mapping) or not scores:
        raise StatisticsError("scores: must be a mapping of at least one algorithm to its scores")
    arrays: dict[str, Array] = {}
    for name, values in scores.items():
        try:
            array = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError):
            raise StatisticsError(
                f"scores of {name}: every configuration needs the same seeds on every environment, "
                "as numbers (num_configurations, num_environments, num_seeds)"
            ) from None
        if array.ndim != 3 or 0 in array.shape:
            raise StatisticsError(
                f"scores of {name}: must have the axes (num_configurations, num_environments, num_seeds), "
                f"got an array of shape {array.shape}"
            )
        missing = np.argwhere(~(np.abs(array) <= LARGEST))
        if len(missing):
            configuration, environment, place = missing[0].tolist()
            raise StatisticsError(
                f"scores of {name}: configuration {configuration} has no finite score on environment {environment} "
                f"with seed {place} ({len(missing)} missing in all); leave out what did not run everywhere"
            )
        arrays[name] = array
        first, shape = next((other, one.shape) for other, one in arrays.items())
        if array.shape[1:] != shape[1:]:
            raise StatisticsError(
                f"scores of {name}: {array.shape[1]} environments with {array.shape[2]} seeds, but {first} has "
                f"{shape[1]} with {shape[2]}; all algorithms need the same"
            )
    return arrays


def _num_environments(arrays: Mapping[str, Array]) -> int:
    return int(next(iter(arrays.values())).shape[1])


def _on_one_scale(scores: Mapping[str, ArrayLike]) -> dict[str, Array]:
    """Scores over the percentiles of the configurations of all algorithms on each environment.

    Raises:
        StatisticsError: one environment, one configuration, or an environment where hardly anything differs.
    """
    arrays = _by_algorithm(scores)
    if _num_environments(arrays) < 2:
        raise StatisticsError("scores: sensitivity is over environments and needs at least two, got one")
    few = next((name for name, array in arrays.items() if len(array) < 2), None)
    if few is not None:
        raise StatisticsError(f"scores of {few}: sensitivity needs at least two configurations, got one")
    low, span = _scale({name: array.mean(axis=2) for name, array in arrays.items()})
    if not span.all():
        raise StatisticsError(
            f"scores: on environment {span.argmin()} nine in ten configurations score the same, so that there is no "
            "scale; leave it out"
        )
    return {name: (array - low[:, np.newaxis]) / span[:, np.newaxis] for name, array in arrays.items()}


def _scale(means: Mapping[str, Array]) -> tuple[Array, Array]:
    """Percentile that is 0, and its distance to the one that is 1, of each environment; 0 where they are the same."""
    low, high = np.percentile(np.concatenate(list(means.values())), [LOW_PERCENTILE, HIGH_PERCENTILE], axis=0)
    return low, np.where(high - low > 1e-12 * np.maximum(np.abs(low), np.abs(high)), high - low, 0.0)


def _resamples(arrays: Mapping[str, Array], num_resamples: int, seed: int) -> list[dict[str, Array]]:
    """Means over resampled seeds, each on its own scale; none of one seed."""
    if num_resamples < 1:
        raise StatisticsError(f"num_resamples: must be at least 1, got {num_resamples}")
    number = next(iter(arrays.values())).shape[2]
    counts = random_stream(seed, 0).multinomial(number, np.full(number, 1 / number), num_resamples * (number > 1))
    resamples = []
    for shares in counts / number:
        means = {name: array @ shares for name, array in arrays.items()}
        low, span = _scale(means)
        # An environment whose resample has no scale keeps that of all seeds.
        low, span = np.where(span > 0, low, 0.0), np.where(span > 0, span, 1.0)
        resamples.append({name: (values - low) / span for name, values in means.items()})
    return resamples


def _judging(number: int, num_splits: int, seed: int) -> NDArray[np.bool_]:
    """Which seeds score what the others chose, a third of them, (num_splits, num_seeds); none of one seed."""
    if num_splits < 1:
        raise StatisticsError(f"num_splits: must be at least 1, got {num_splits}")
    rows = np.tile(np.arange(number), (num_splits if number > 1 else 0, 1))
    return np.asarray(random_stream(seed, 1).permuted(rows, axis=1) < max(1, round(number / 3)))


def _performance_and_loss(values: Array) -> tuple[float, float]:
    best = float(values.max(axis=0).mean())
    return best, max(0.0, best - float(values.mean(axis=1).max()))


def _chosen(values: Array) -> tuple[int, tuple[int, ...]]:
    """The configuration that is best on the mean, and those that are on each environment."""
    return int(values.mean(axis=1).argmax()), tuple(values.argmax(axis=0).tolist())


def _held_out(array: Array, judging: NDArray[np.bool_]) -> float:
    """Mean Φ over splits of the seeds; NaN without any."""
    losses = []
    for judges in judging:
        everywhere, each = _chosen(array[:, :, ~judges].mean(axis=2))
        scores = array[:, :, judges].mean(axis=2)
        losses.append(scores[list(each), range(len(each))].mean() - scores[everywhere].mean())
    return float(np.mean(losses)) if losses else math.nan


def _codes(name: str, parameters: Mapping[str, Sequence[object]], number: int) -> dict[str, NDArray[np.int64]]:
    """Values that differ, as numbers.

    Raises:
        StatisticsError: other than one value a configuration, or no value occurs twice.
    """
    codes = {}
    for parameter, values in parameters.items():
        if len(values) != number:
            raise StatisticsError(
                f"parameters of {name}: {parameter} must have one value for each of {number} configurations, "
                f"got {len(values)}"
            )
        numbers = np.unique([repr(value) for value in values], return_inverse=True)[1]
        if numbers.any():
            codes[parameter] = np.asarray(numbers, dtype=np.int64)
    if not codes:
        raise StatisticsError(f"parameters of {name}: at least one must vary among the configurations")
    if len(codes) > 1 and all(len(np.unique(values)) == number for values in codes.values()):
        raise StatisticsError(
            f"parameters of {name}: no two configurations share a value, so that none can be left untuned; take a grid"
        )
    return codes


def _by_number_tuned(
    values: Array, codes: Mapping[str, NDArray[np.int64]]
) -> tuple[list[float], list[tuple[str, ...]]]:
    """Performance where so many parameters are tuned, and which: for 0, 1, … of them."""
    default = int(values.mean(axis=1).argmax())
    performance, tuned = [], []
    for number in range(len(codes) + 1):
        best: tuple[float, tuple[str, ...]] = (-math.inf, ())
        for chosen in itertools.combinations(codes, number):
            fixed = np.ones(len(values), dtype=bool)
            for parameter in codes.keys() - set(chosen):
                fixed &= codes[parameter] == codes[parameter][default]
            best = max(best, (float(values[fixed].max(axis=0).mean()), chosen), key=lambda pair: pair[0])
        performance.append(best[0])
        tuned.append(best[1])
    return performance, tuned


def _effective(performance: Sequence[float], share: float) -> int:
    enough = [number for number, value in enumerate(performance) if value >= share * performance[-1]]
    return enough[0] if enough else len(performance) - 1
