"""Probability of improvement: how often a run of one agent beats a run of another."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from velodrome.experiments.statistics.aggregates import Counts
from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.interval import Interval
from velodrome.experiments.statistics.resampling import NUM_RESAMPLES, resampled_counts
from velodrome.experiments.statistics.scores import (
    Array,
    Scores,
    as_environments,
    check_level,
    difference,
)
from velodrome.experiments.statistics.student_intervals import ONE_SEED


def probability_of_improvement(first: Scores, second: Scores) -> float:
    """P(X > Y) + P(X = Y) / 2 for a run X of the first and a run Y of the second, averaged over environments.

    Mann and Whitney's U over the number of pairs of runs. The pairing of seeds does not enter.

    Args:
        first: float (num_seeds,), or a sequence of such arrays, one an environment.
        second: likewise; the numbers of seeds may differ.

    Raises:
        StatisticsError: no scores, not finite ones, or different numbers of environments.

    Source: Agarwal et al. (2021), section 4.3; Mann & Whitney (1947).
    """
    return float(np.mean([one.share for one in _standings(first, second)]))


def probability_of_improvement_interval(
    first: Scores,
    second: Scores,
    *,
    seeds: tuple[Sequence[Sequence[int]], Sequence[Sequence[int]]] | None = None,
    level: float = 0.95,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Stratified percentile bootstrap interval of the probability of improvement; both agents are resampled.

    Where on every environment all runs of one beat all of the other, or all tie, resampling shows no spread. The open
    ends are then those of Clopper and Pearson's interval for as many wins as the smaller number of runs, summed over
    the environments where one always wins.

    Args:
        first: float (num_seeds,), or a sequence of such arrays, one an environment.
        second: likewise; the numbers of seeds may differ.
        seeds: of both agents, for each environment the seeds of its scores in their order: a seed is drawn for all
            environments. By default scores on several environments are independent runs.
        level: coverage.
        num_resamples: bootstrap replicates.
        seed: of the resampling.

    Raises:
        StatisticsError: as `probability_of_improvement`, or `seeds` that do not fit.
    """
    check_level(level)
    environments = _standings(first, second)
    sizes = [min(one.size, len(one.order)) for one in environments]
    if min(sizes) < 2:
        return Interval.unknown(level, ONE_SEED)
    tail = (1 - level) / 2
    if all(one.is_constant for one in environments):
        return _without_spread([one.share for one in environments], sizes, tail, level)
    values = np.zeros(num_resamples)
    own, other = (None, None) if seeds is None else seeds
    drawn = zip(
        # Draws are the same for every first agent, and for every second.
        resampled_counts((seed, 0), [one.size for one in environments], own, num_resamples),
        resampled_counts((seed, 1), [len(one.order) for one in environments], other, num_resamples),
        environments,
        strict=True,
    )
    for rows, columns, one in drawn:
        values += _resampled_shares(rows, columns, one) / len(environments)
    low, high = np.clip(np.quantile(values, [tail, 1 - tail]), 0.0, 1.0)
    return Interval(float(low), float(high), level, "percentile")


def _without_spread(shares: Sequence[float], sizes: Sequence[int], tail: float, level: float) -> Interval:
    """Interval where on each environment the share of wins is 0, 1/2 or 1 whatever is resampled."""
    value = float(np.mean(shares))
    low = high = value
    for won in (0.0, 1.0):
        decided = [size for share, size in zip(shares, sizes, strict=True) if share == won]
        if decided:
            slack = (1 - tail ** (1 / sum(decided))) * len(decided) / len(shares)
            low, high = (low - slack, high) if won else (low, high + slack)
    return Interval(low, high, level, "constant scores" if low == high else "clopper-pearson")


class _Standing(NamedTuple):
    """Runs of one agent among those of another, on one environment.

    Attributes:
        order: the other's runs from the lowest score on, (num_seeds of the other,).
        beaten: how many of them each run beats, (num_seeds,).
        reached: how many it beats or ties with, (num_seeds,).
    """

    order: NDArray[np.intp]
    beaten: NDArray[np.intp]
    reached: NDArray[np.intp]

    @property
    def size(self) -> int:
        """Runs of the one agent."""
        return len(self.beaten)

    @property
    def share(self) -> float:
        """Share of the pairs of runs that it wins, ties counted half."""
        return float((self.beaten + self.reached).mean() / (2 * len(self.order)))

    @property
    def is_constant(self) -> bool:
        """Whether it wins all pairs, none, or ties in all of them."""
        least, most = int(self.beaten.min()), int(self.reached.max())
        wins_all, wins_none = least == len(self.order), most == 0
        return wins_all or wins_none or (int(self.beaten.max()) == 0 and int(self.reached.min()) == len(self.order))


def _standings(first: Scores, second: Scores) -> list[_Standing]:
    ours, theirs = as_environments(first, "first"), as_environments(second, "second")
    if len(ours) != len(theirs):
        raise StatisticsError(f"first, second: must have the same environments, got {len(ours)} and {len(theirs)}")
    return [_standing(one, other) for one, other in zip(ours, theirs, strict=True)]


def _standing(ours: Array, theirs: Array) -> _Standing:
    order = np.argsort(theirs, kind="stable")
    ordered = theirs[order]
    beaten = _leading(ours, ordered, lambda ahead: ahead > 0)
    return _Standing(order, beaten, _leading(ours, ordered, lambda ahead: ahead >= 0))


def _leading(ours: Array, ordered: Array, holds: Callable[[Array], NDArray[np.bool_]]) -> NDArray[np.intp]:
    """How many of the other's lowest scores each score is so far ahead of; by bisection, for it holds up to one."""
    low, high = np.zeros(len(ours), dtype=np.intp), np.full(len(ours), len(ordered), dtype=np.intp)
    while (is_open := low < high).any():
        middle = (low + high) // 2
        is_met = holds(difference(ours, ordered[np.minimum(middle, len(ordered) - 1)]))
        low = np.where(is_open & is_met, middle + 1, low)
        high = np.where(is_open & ~is_met, middle, high)
    return low


def _resampled_shares(rows: Counts, columns: Counts, one: _Standing) -> Array:
    """Share of the pairs of runs that are won in each resample, (num_resamples,), from counts of each run.

    From the other's lowest score on, what is drawn of it so far is counted for each run that beats or reaches just so
    many. Whole numbers: the order of the additions changes nothing.
    """
    number = len(one.order)
    kind = np.dtype(np.uint16 if 2 * max(one.size, number) < 1 << 16 else np.uint32)
    runs_at: dict[int, list[int]] = {}
    for run, places in enumerate(zip(one.beaten.tolist(), one.reached.tolist(), strict=True)):
        for place in places:
            runs_at.setdefault(place, []).append(run)
    won: Array = np.zeros(rows.shape[1])
    below: NDArray[np.unsignedinteger] = np.zeros(rows.shape[1], dtype=kind)
    for place in range(number + 1):
        if place:
            below += columns[one.order[place - 1]]
        if place in runs_at:
            own = np.zeros_like(below)
            for run in runs_at[place]:
                own += rows[run]
            won += np.multiply(below, own, dtype=np.float64)
    return np.asarray(won / 2 / (rows.sum(axis=0, dtype=np.float64) * below))
