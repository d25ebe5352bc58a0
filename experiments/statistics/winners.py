"""The best of many configurations: which may be it, how probably each is, and how much its score flatters it.

The scores of configurations that were tried on the same seeds, one array a configuration; larger is better. The best of
them is best on these seeds, partly by luck (the winner's curse): its own scores say too much of it.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.permutation_tests import NUM_PERMUTATIONS
from velodrome.experiments.statistics.resampling import NUM_RESAMPLES
from velodrome.experiments.statistics.scores import Array, Scores, as_scores, check_level, difference, random_stream
from velodrome.experiments.statistics.sign_patterns import ROUNDING, as_signs, is_exact, sign_patterns

# Splits of the seeds into those that choose and those that judge.
NUM_SPLITS = 1000
# Draws of a block: its arrays stay small however many configurations there are.
BLOCK = 512


@dataclass(frozen=True)
class BestSet:
    """Configurations that may be the best.

    Attributes:
        winner: index of the configuration with the largest mean, the first of equals.
        members: indices of those that may be the best, increasing; the winner is among them.
        p_values: of "no other configuration is better", one a configuration, in (0, 1].
        level: probability with which the truly best is a member, at least.
    """

    winner: int
    members: tuple[int, ...]
    p_values: tuple[float, ...]
    level: float


def best_set(
    scores: Scores,
    *,
    level: float = 0.95,
    num_permutations: int = NUM_PERMUTATIONS,
    seed: int = 0,
) -> BestSet:
    """Configurations that may be the best: a set that holds the truly best with a probability of at least `level`.

    A configuration is left out where a test rejects that no other one is better than it. The statistic is the largest
    (over the others) of Σ d / √Σ d², d the differences by seed, other less this one; it is compared with what it is
    under random signs of the seeds, the same for all others. Only the test of the truly best can do harm, so that the
    many tests need no correction. The p-value is exact where differences are symmetric about a mean of at most 0, and
    holds by simulation for the rest (tests and docs/how_to/sensitivity.md). Fewer than five seeds leave nothing out at
    95 %: the smallest p-value is 2⁻ⁿ.

    Args:
        scores: one float array (num_seeds,) a configuration, seeds in the same order; one that was given up has its
            first seeds only, and is compared on these. With seeds that depend on the scores the level is no longer
            exact.
        level: probability of the statement.
        num_permutations: the most patterns of signs. All 2ⁿ are looked at if they are few enough.
        seed: of random patterns.

    Raises:
        StatisticsError: fewer than two configurations or seeds, not finite scores, or a level outside of (0, 1).

    Source: multiple comparisons with the best as one comparison of each with all others, Hsu (1984), "Constrained
    Simultaneous Confidence Intervals for Multiple Comparisons with the Best"; with a max-T test by sign flips (Westfall
    & Young, 1993) in the place of Dunnett's. A model confidence set (Hansen, Lunde & Nason, 2011) claims the same.
    """
    check_level(level)
    if num_permutations < 1:
        raise StatisticsError(f"num_permutations: must be at least 1, got {num_permutations}")
    rows = _configurations(scores)
    size = max(map(len, rows))
    patterns = sign_patterns(size, num_permutations, seed)
    exact = is_exact(size, num_permutations)
    p_values = np.array([_p_value_of_best(rows, index, patterns, exact) for index in range(len(rows))])
    winner = _winner(rows)
    # The winner's statistic is at most 0, as that of half of the patterns is at least.
    kept = (p_values > 1 - level) | (np.arange(len(rows)) == winner)
    return BestSet(winner, tuple(np.flatnonzero(kept).tolist()), tuple(p_values.tolist()), level)


def _p_value_of_best(rows: list[Array], index: int, patterns: NDArray[np.uint8], exact: bool) -> float:
    """P-value of "no other is better than this one"."""
    columns = np.zeros((max(map(len, rows)), len(rows)))
    for place, row in enumerate(rows):
        shared = min(len(row), len(rows[index]))
        columns[:shared, place] = difference(row[:shared], rows[index][:shared])
    columns = columns[:, columns.any(axis=0)]
    if not columns.size:
        return 1.0
    columns /= np.sqrt(np.square(columns / np.abs(columns).max(axis=0)).sum(axis=0)) * np.abs(columns).max(axis=0)
    observed = float(columns.sum(axis=0).max()) - ROUNDING
    reached = 0
    for start in range(0, len(patterns), BLOCK):
        sums = as_signs(patterns[start : start + BLOCK], len(columns)) @ columns
        reached += int(np.count_nonzero(sums.max(axis=1) >= observed))
        # Of two opposite patterns the list of all has only one.
        reached += int(np.count_nonzero(-sums.min(axis=1) >= observed)) if exact else 0
    return reached / (2 * len(patterns)) if exact else (reached + 1) / (len(patterns) + 1)


def probabilities_of_best(scores: Scores, *, num_resamples: int = NUM_RESAMPLES, seed: int = 0) -> tuple[float, ...]:
    """Probability of each configuration to be the best, given its scores; together they are 1.

    The share of draws of the Bayesian bootstrap in which its mean is the largest. A draw gives the seeds random weights
    from a flat Dirichlet distribution, the same for all configurations, so that what a seed does to all of them does
    not count. Deviations from the means are widened by √((n + 1) / (n - 1)), for the weights of n seeds spread the
    means by that much too little. Equal means share a draw.

    A posterior probability, of a prior that knows nothing but the scores that were seen: scores that no seed has shown
    have none, and few seeds are too sure. It is no error rate: of many configurations that are all the same, the one
    with the luckiest seeds has far more than its share. What may be called the best is for `best_set` to say.

    Args:
        scores: one float array (num_seeds,) a configuration, seeds in the same order; one that was given up has its
            first seeds only.
        num_resamples: draws.
        seed: of the draws.

    Raises:
        StatisticsError: fewer than two configurations or seeds, or not finite scores.

    Source: Rubin (1981), "The Bayesian Bootstrap"; the widening as of Hesterberg (2015), "What Teachers Should Know
    About the Bootstrap".
    """
    if num_resamples < 1:
        raise StatisticsError(f"num_resamples: must be at least 1, got {num_resamples}")
    rows = _configurations(scores)
    sizes = np.array([len(row) for row in rows])
    if sizes.min() < 2:
        raise StatisticsError("scores: every configuration needs at least two seeds, got one")
    values, present = np.zeros((2, len(rows), sizes.max()))
    means = np.array([row.mean() for row in rows])
    for place, row in enumerate(rows):
        values[place, : len(row)] = row - means[place]
        present[place, : len(row)] = 1.0
    widening = np.sqrt((sizes + 1) / (sizes - 1))
    rng = random_stream(seed)
    counts = np.zeros(len(rows))
    # Scores that are the same may differ by rounding.
    tolerance = ROUNDING * float(np.abs(means).max())
    for start in range(0, num_resamples, BLOCK):
        weights = rng.standard_exponential((min(BLOCK, num_resamples - start), sizes.max()))
        drawn = means + widening * (weights @ values.T) / (weights @ present.T)
        best = drawn >= drawn.max(axis=1, keepdims=True) - tolerance
        counts += (best / best.sum(axis=1, keepdims=True)).sum(axis=0)
    return tuple((counts / num_resamples).tolist())


def optimism_of_winner(scores: Scores, *, num_splits: int = NUM_SPLITS, seed: int = 0) -> float:
    """By how much the mean of the best configuration flatters it: its mean less what fresh seeds would give it.

    Two thirds of the seeds choose a configuration, the others judge it; the difference of its means on the two, over
    many random splits, is what choosing by so many seeds adds. Two thirds choose with more noise than all do, by
    √(3/2), so that the result is divided by that. Its expectation is that of the optimism where configurations are
    equal, or one is far ahead, and somewhat larger in between. It is an estimate for the whole procedure, not of this
    winner's luck, and may come out below 0.

    Args:
        scores: float (num_configurations, num_seeds), the same seeds for all. Of a search that gave configurations up,
            those that were not: what giving up adds is not in it.
        num_splits: how many random splits.
        seed: of the splits.

    Raises:
        StatisticsError: fewer than two configurations or seeds, different numbers of seeds, or not finite scores.

    Source: repeated cross-validation of the choice, as of Varma & Simon (2006), "Bias in Error Estimation When Using
    Cross-Validation for Model Selection".
    """
    if num_splits < 1:
        raise StatisticsError(f"num_splits: must be at least 1, got {num_splits}")
    rows = _configurations(scores)
    sizes = {len(row) for row in rows}
    if len(sizes) > 1:
        raise StatisticsError(
            f"scores: all configurations must have the same seeds, got {min(sizes)} to {max(sizes)} of them"
        )
    values = np.stack(rows, axis=1)
    number = len(values)
    judges = max(1, round(number / 3))
    rng = random_stream(seed)
    total = 0.0
    for start in range(0, num_splits, BLOCK):
        order = rng.permuted(np.tile(np.arange(number), (min(BLOCK, num_splits - start), 1)), axis=1)
        judging = (order < judges).astype(np.float64)
        chosen = (1.0 - judging) @ values / (number - judges)
        winners = chosen.argmax(axis=1)[:, np.newaxis]
        judged = judging @ values / judges
        total += float((np.take_along_axis(chosen, winners, 1) - np.take_along_axis(judged, winners, 1)).sum())
    return total / num_splits * math.sqrt((number - judges) / number)


def _configurations(scores: Scores) -> list[Array]:
    """Scores by configuration, checked.

    Raises:
        StatisticsError: fewer than two configurations, or seeds of the one that has the most; not finite scores.
    """
    try:
        rows = [as_scores(row, f"scores[{index}]") for index, row in enumerate(scores)]  # type: ignore[arg-type]
    except TypeError:
        raise StatisticsError("scores: must be arrays of scores, one array a configuration") from None
    if len(rows) < 2:
        raise StatisticsError(f"scores: the best of configurations needs at least two of them, got {len(rows)}")
    if max(map(len, rows)) < 2:
        raise StatisticsError("scores: the best of configurations needs at least two seeds, got one")
    return rows


def _winner(rows: list[Array]) -> int:
    return int(np.argmax([row.mean() for row in rows]))
