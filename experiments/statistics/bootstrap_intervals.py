"""Stratified bootstrap intervals of an aggregate: percentile, expanded percentile, BCa and bootstrap-t.

Which one covers what it claims, for which scores and how many seeds: `best_interval`.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal, TypeAlias, get_args

import numpy as np

from velodrome.agents.engine.one_thread import one_thread
from velodrome.experiments.statistics.aggregates import Aggregate, mean
from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.interval import Interval
from velodrome.experiments.statistics.resampling import (
    NUM_RESAMPLES,
    jackknife,
    replicates,
    replicates_with_errors,
)
from velodrome.experiments.statistics.scores import Array, Scores, as_environments, check_level
from velodrome.experiments.statistics.student_intervals import (
    expanded_tail,
    plain_interval,
    standard_errors,
    t_quantile,
)

Method: TypeAlias = Literal["percentile", "expanded percentile", "bca", "bootstrap-t"]
Ends: TypeAlias = tuple[float, float, str]
# How far an end of the bootstrap-t may be from the estimate, by Student's; chosen by simulated coverage.
FARTHEST = 2.0
# Scores of which an interval is remembered.
MOST_REMEMBERED = 1000


def bootstrap_interval(
    scores: Scores,
    aggregate: Aggregate = mean,
    *,
    method: Method = "percentile",
    level: float = 0.95,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Bootstrap interval of an aggregate; seeds are drawn with replacement within each environment.

    - "percentile": quantiles of the replicates. Efron & Tibshirani (1993), section 13.3; rliable's default.
    - "expanded percentile": quantiles further out, for a bootstrap distribution is narrower by √((n - 1) / n) and has
      no heavier tails than a normal one: Φ(√(n / (n - 1)) · t quantile). Hesterberg (2015), "What Teachers Should Know
      About the Bootstrap", section 4.1.
    - "bca": bias-corrected and accelerated; resamples that equal the estimate count one half, and the acceleration of
      several environments is that of several samples. Efron & Tibshirani (1993), section 14.3. Where it is not defined
      (every resample on one side of the estimate, or the same jackknife values) the percentile interval stands instead.
    - "bootstrap-t": quantiles of (replicate - estimate) / its standard error. Efron & Tibshirani (1993), section 12.5.
      No end is more than twice as far from the estimate as Student's. Without that bound the interval explodes where
      one of few seeds fails: a third of the resamples lack it, and have next to no spread. With two seeds the expanded
      percentile interval stands.

    Args:
        scores: float (num_seeds,), or a sequence of such arrays, one an environment.
        aggregate: `mean`, `median`, `iqm` or `optimality_gap_to(target)`.
        method: see above; `Interval.method` names what was used after all.
        level: coverage.
        num_resamples: bootstrap replicates.
        seed: of the resampling; the same scores and seed give the same interval.

    Raises:
        StatisticsError: no scores, not finite ones, an unknown method, or no standard error for bootstrap-t.
    """
    check_level(level)
    if method not in get_args(Method):
        raise StatisticsError(f"method: must be one of {', '.join(get_args(Method))}, got {method!r}")
    environments = as_environments(scores)
    plain = plain_interval(environments, aggregate, level)
    if plain is not None:
        return plain
    # Tables ask several times for the same: success may be the return, and what decides has a column too.
    is_small = sum(map(len, environments)) <= MOST_REMEMBERED
    contents = tuple(scores.tobytes() for scores in environments)
    ends = (_ends if is_small else _ends.__wrapped__)(method, contents, aggregate, level, num_resamples, seed)
    return Interval(ends[0], ends[1], level, ends[2])


@lru_cache(maxsize=1024)
@one_thread
def _ends(
    method: Method, contents: tuple[bytes, ...], aggregate: Aggregate, level: float, num_resamples: int, seed: int
) -> Ends:
    environments = [np.frombuffer(scores) for scores in contents]
    return _METHODS[method](environments, aggregate, level, num_resamples, seed)


def _percentile(environments: Sequence[Array], aggregate: Aggregate, level: float, count: int, seed: int) -> Ends:
    tail = (1 - level) / 2
    low, high = np.quantile(replicates(environments, aggregate, count, seed), [tail, 1 - tail])
    return float(low), float(high), "percentile"


def _expanded(environments: Sequence[Array], aggregate: Aggregate, level: float, count: int, seed: int) -> Ends:
    smallest = min(len(scores) for scores in environments)
    freedom = sum(len(scores) - 1 for scores in environments)
    tail = expanded_tail(level, smallest, freedom)
    low, high = np.quantile(replicates(environments, aggregate, count, seed), [tail, 1 - tail])
    return float(low), float(high), "expanded percentile"


def _bca(environments: Sequence[Array], aggregate: Aggregate, level: float, count: int, seed: int) -> Ends:
    from scipy.special import ndtr, ndtri

    tail = (1 - level) / 2
    values = replicates(environments, aggregate, count, seed)
    estimate = float(aggregate.of_rows(environments))
    # Rounding must not decide on which side of the estimate a resample that equals it falls.
    rounding = 1e-12 * max(np.abs(scores).max() for scores in environments)
    below = np.mean(values < estimate - rounding) + np.mean(np.abs(values - estimate) <= rounding) / 2
    acceleration = _acceleration(environments, aggregate)
    if acceleration is None or not 0 < below < 1:
        low, high = np.quantile(values, [tail, 1 - tail])
        return float(low), float(high), "percentile"
    bias = ndtri(below)
    shifted = bias + ndtri([tail, 1 - tail])
    low, high = np.quantile(values, ndtr(bias + shifted / (1 - acceleration * shifted)))
    return float(low), float(high), "bca"


def _acceleration(environments: Sequence[Array], aggregate: Aggregate) -> float | None:
    """Skewness of the jackknife's influence values over six; None where they do not vary."""
    cubes = squares = 0.0
    left_out = jackknife(environments, aggregate)
    influences = [(len(values) - 1) * (values.mean() - values) / len(values) for values in left_out]
    largest = max(float(np.abs(influence).max()) for influence in influences)
    scale = max(float(np.abs(scores).max()) for scores in environments)
    if largest <= 1e-12 * scale:
        return None
    for influence in influences:
        cubes += float(((influence / largest) ** 3).sum())
        squares += float(((influence / largest) ** 2).sum())
    return cubes / (6 * math.sqrt(squares) ** 3)


def _bootstrap_t(environments: Sequence[Array], aggregate: Aggregate, level: float, count: int, seed: int) -> Ends:
    estimate = aggregate.of_rows(environments)
    error = float(standard_errors(aggregate, environments))
    # A spread that is nothing but rounding would make a deviate of rounding errors.
    rounding = 1e-12 * max(np.abs(scores).max() for scores in environments)
    # Of two seeds every resample with a spread is the sample itself.
    if min(len(scores) for scores in environments) < 3 or error <= rounding:
        return _expanded(environments, aggregate, level, count, seed)
    farthest = FARTHEST * t_quantile(environments, aggregate, level)
    deviates = []
    for ahead, errors in replicates_with_errors(environments, aggregate, count, seed, float(estimate)):
        without_spread = np.where(np.abs(ahead) > rounding, np.sign(ahead) * farthest, 0.0)
        deviates.append(np.where(errors > rounding, ahead / np.maximum(errors, rounding), without_spread))
    tail = (1 - level) / 2
    low, high = np.quantile(np.clip(np.concatenate(deviates), -farthest, farthest), [tail, 1 - tail])
    return float(estimate - high * error), float(estimate - low * error), "bootstrap-t"


_METHODS: dict[str, Callable[[Sequence[Array], Aggregate, float, int, int], Ends]] = {
    "percentile": _percentile,
    "expanded percentile": _expanded,
    "bca": _bca,
    "bootstrap-t": _bootstrap_t,
}
