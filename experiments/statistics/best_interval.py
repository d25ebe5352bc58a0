"""The interval that tables use, chosen by simulated coverage."""

from typing import Literal

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
    - bootstrap-t otherwise, with its bound: of all methods it alone keeps its coverage on skewed scores, and where most
      seeds score alike and some fail.
    - the expanded percentile interval for scores of two values only, such as success or failure of each seed, for an
      interquartile mean of fewer than ten scores, and for the median, of which no standard error is known.

    No method can infer from scores that are all the same how rare another score is: rates near 0 or 1 of few seeds, and
    means of scores of which a few in a hundred fail, are covered less than stated. The ends know nothing of the range
    that scores can have: see `Interval.within`. Of one set of episodes take `wilson_interval`.

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
    if aggregate.standard_errors is None:
        return "expanded percentile"
    fewest = min(len(scores) for scores in environments)
    if fewest < FEWEST_TO_RESAMPLE or fewest >= MOST_TO_RESAMPLE:
        return "t"
    too_few_to_trim = aggregate is iqm and sum(len(scores) for scores in environments) < FEWEST_TO_TRIM
    two_values = all(((scores == scores.min()) | (scores == scores.max())).all() for scores in environments)
    return "expanded percentile" if too_few_to_trim or two_values else "bootstrap-t"
