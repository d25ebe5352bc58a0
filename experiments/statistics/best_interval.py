"""The interval that tables use, chosen by simulated coverage."""

from typing import Literal

import numpy as np

from velodrome.experiments.statistics.aggregates import Aggregate, iqm, mean
from velodrome.experiments.statistics.bootstrap_intervals import bootstrap_interval
from velodrome.experiments.statistics.interval import Interval
from velodrome.experiments.statistics.resampling import NUM_RESAMPLES
from velodrome.experiments.statistics.scores import Array, Scores, as_environments
from velodrome.experiments.statistics.student_intervals import t_interval

# Fewer seeds than these leave too few different resamples; fewer scores than these too little after trimming.
FEWEST_TO_RESAMPLE, FEWEST_TO_TRIM = 5, 10
# From so many on the mean is normal enough, and resampling would cost a thousand times as much.
MOST_TO_RESAMPLE = 1000
REPEATED_SHARE = 0.2


def best_interval(
    scores: Scores,
    aggregate: Aggregate = mean,
    *,
    level: float = 0.95,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The default interval of an aggregate.

    The rule, from `benchmarks/interval_coverage.py`, which prints the coverage:

    - Student's t with fewer than five seeds in any environment: it is exact for normal scores, and so few have too few
      different resamples. On skewed scores it covers less than it says.
    - Student's t again from 1000 seeds in every environment, where the mean has all but a normal distribution.
    - bootstrap-t where at most a fifth of the scores repeat another, for it alone keeps its coverage on skewed scores.
    - the expanded percentile interval otherwise: scores that repeat (success rates with seeds at 0 and at 1) leave many
      resamples without a usable standard error, and so does an interquartile mean of fewer than ten scores.
    - the expanded percentile interval for the median, of which no standard error is known.

    No method can tell from scores that are all the same how rare another score is: rates near 0 or 1 of few seeds are
    covered less than stated. Of one set of episodes take `wilson_interval`.

    Args:
        scores: float (num_seeds,), or a sequence of such arrays, one an environment.
        aggregate: `mean`, `median`, `iqm` or `optimality_gap_to(target)`.
        level: coverage.
        num_resamples: bootstrap replicates.
        seed: of the resampling.

    Raises:
        StatisticsError: no scores, or not finite ones.
    """
    method = chosen_method(as_environments(scores), aggregate)
    if method == "t":
        return t_interval(scores, aggregate, level=level)
    return bootstrap_interval(scores, aggregate, method=method, level=level, num_resamples=num_resamples, seed=seed)


def chosen_method(
    environments: list[Array], aggregate: Aggregate
) -> Literal["t", "bootstrap-t", "expanded percentile"]:
    """The method that `best_interval` takes."""
    size = sum(len(scores) for scores in environments)
    distinct = sum(len(np.unique(scores)) for scores in environments)
    if aggregate.standard_errors is None:
        return "expanded percentile"
    fewest = min(len(scores) for scores in environments)
    if fewest < FEWEST_TO_RESAMPLE or fewest >= MOST_TO_RESAMPLE:
        return "t"
    if size - distinct > REPEATED_SHARE * size or (aggregate is iqm and size < FEWEST_TO_TRIM):
        return "expanded percentile"
    return "bootstrap-t"
