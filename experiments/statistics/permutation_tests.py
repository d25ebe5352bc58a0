"""Permutation tests of a difference between two agents."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from velodrome.experiments.statistics.by_seed import by_seed
from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.max_t import max_t_test
from velodrome.experiments.statistics.resampling import BLOCK
from velodrome.experiments.statistics.scores import EQUAL, Array, Scores, as_environments, difference, random_stream
from velodrome.experiments.statistics.sign_patterns import ROUNDING

NUM_PERMUTATIONS = 10_000


@dataclass(frozen=True)
class PermutationTest:
    """The outcome of a test.

    Attributes:
        p_value: two-sided, in (0, 1].
        statistic: the observed difference (first agent less the second), in the units of the scores.
        num_permutations: how many were looked at, the observed one among them.
        exact: whether they were all that there are.
    """

    p_value: float
    statistic: float
    num_permutations: int
    exact: bool


def paired_differences(first: Scores, second: Scores) -> list[Array]:
    """Differences of two agents on the same seeds, one array an environment.

    Raises:
        StatisticsError: different numbers of seeds or environments.
    """
    ours, theirs = as_environments(first, "first"), as_environments(second, "second")
    if [len(scores) for scores in ours] != [len(scores) for scores in theirs]:
        sizes = " and ".join(str([len(scores) for scores in scored]) for scored in (ours, theirs))
        raise StatisticsError(f"first, second: must have the same seeds, got {sizes} scores an environment")
    return [difference(one, other) for one, other in zip(ours, theirs, strict=True)]


def paired_permutation_test(
    first: Scores,
    second: Scores,
    *,
    seeds: Sequence[Sequence[int]] | None = None,
    num_permutations: int = NUM_PERMUTATIONS,
    seed: int = 0,
) -> PermutationTest:
    """Test of no difference between two agents on the same seeds (common random numbers), by sign flips.

    If the agents are interchangeable within each seed, each difference is as likely with either sign. The statistic is
    the mean over environments of the mean difference; p is the share of sign patterns with an absolute value at least
    as large. All 2ⁿ are looked at if they are few enough (seeds without a difference do not count), or else random
    ones, to which the observed one is added: p = (1 + k) / (1 + B).

    Args:
        first: float (num_seeds,), or a sequence of such arrays, one an environment.
        second: likewise, of the same seeds.
        seeds: of each environment, the seeds of its scores in their order: the differences of one seed get one sign. By
            default scores on several environments are independent runs, each with a sign of its own.
        num_permutations: the most that are looked at.
        seed: of the random patterns.

    Raises:
        StatisticsError: no scores, not finite ones, different seeds, or `seeds` that do not fit.

    Source: Fisher (1935), "The Design of Experiments", section 21; Phipson & Smyth (2010) for the added one.
    """
    differences = differences_by_seed(first, second, seeds)
    shares = np.concatenate([values / len(values) for values in differences]) / len(differences)
    test = max_t_test(shares[:, np.newaxis], num_permutations, seed)
    return PermutationTest(float(test.p_values[0]), float(shares.sum()), test.num_permutations, test.exact)


def differences_by_seed(first: Scores, second: Scores, seeds: Sequence[Sequence[int]] | None) -> list[Array]:
    """Independent differences of two agents: one array an environment, or one in all where these share seeds."""
    differences = paired_differences(first, second)
    if seeds is None:
        return differences
    scale = max(float(np.abs(one).max()) for one in (*as_environments(first), *as_environments(second)))
    numbers = by_seed(differences, seeds)
    # What cancels over environments is no difference.
    return [np.where(np.abs(numbers) <= EQUAL * scale, 0.0, numbers)]


def unpaired_permutation_test(
    first: Scores, second: Scores, *, num_permutations: int = NUM_PERMUTATIONS, seed: int = 0
) -> PermutationTest:
    """Test of no difference between two agents on different seeds, by exchanging scores within each environment.

    The permuted statistic is Welch's t, the difference in its standard errors: exact where both agents score alike, and
    right for many seeds where only their means are equal. All exchanges are looked at if there is one environment and
    they are few enough, or else random ones: p = (1 + k) / (1 + B).

    Args:
        first: float (num_seeds,), or a sequence of such arrays, one an environment.
        second: likewise; the numbers of seeds may differ.
        num_permutations: the most that are looked at.
        seed: of the random exchanges.

    Raises:
        StatisticsError: no scores, not finite ones, or different numbers of environments.

    Source: Pitman (1937); Chung & Romano (2013), "Exact and asymptotically robust permutation tests".
    """
    ours, theirs = as_environments(first, "first"), as_environments(second, "second")
    if len(ours) != len(theirs):
        raise StatisticsError(f"first, second: must have the same environments, got {len(ours)} and {len(theirs)}")
    if num_permutations < 1:
        raise StatisticsError(f"num_permutations: must be at least 1, got {num_permutations}")
    sizes = [len(scores) for scores in ours]
    pooled = [np.concatenate(pair) for pair in zip(ours, theirs, strict=True)]
    kept = [np.arange(len(scores)) < size for scores, size in zip(pooled, sizes, strict=True)]
    ahead = float(np.mean([one.mean() - other.mean() for one, other in zip(ours, theirs, strict=True)]))
    observed = float(_welch(pooled, [mask[np.newaxis].astype(np.float64) for mask in kept])[0])
    count = math.comb(len(pooled[0]), sizes[0])
    exact = len(pooled) == 1 and count <= num_permutations
    count = count if exact else num_permutations + 1
    blocks = _all_choices(pooled, sizes) if exact else _random_choices(pooled, sizes, num_permutations, seed)
    extreme = 0 if exact else 1
    for masks in blocks:
        extreme += int((_welch(pooled, masks) >= observed * (1 - ROUNDING)).sum())
    return PermutationTest(extreme / count, ahead, count, exact)


def _all_choices(pooled: Sequence[Array], sizes: Sequence[int]) -> Iterator[list[Array]]:
    chosen = np.array(list(combinations(range(len(pooled[0])), sizes[0])))
    masks = np.zeros((len(chosen), len(pooled[0])))
    np.put_along_axis(masks, chosen, 1.0, axis=1)
    yield [masks]


def _random_choices(pooled: Sequence[Array], sizes: Sequence[int], count: int, seed: int) -> Iterator[list[Array]]:
    rng = random_stream(seed)
    rows = max(1, BLOCK // max(len(scores) for scores in pooled))
    for start in range(0, count, rows):
        block = min(rows, count - start)
        masks = [np.tile(np.arange(len(scores)) < size, (block, 1)) for scores, size in zip(pooled, sizes, strict=True)]
        yield [rng.permuted(mask, axis=1).astype(np.float64) for mask in masks]


def _welch(pooled: Sequence[Array], masks: Sequence[Array]) -> Array:
    """Absolute difference of means over its standard error, for each row of the masks: inf without any spread."""
    differences, variances, scale, spread = 0.0, 0.0, 0.0, 0.0
    for scores, mask in zip(pooled, masks, strict=True):
        centred = scores - scores.mean()
        scale, spread = max(scale, float(np.abs(scores).max())), max(spread, float(np.abs(centred).max()))
        size = mask[0].sum()
        sums, squares = mask @ centred, mask @ centred**2
        rest_sums, rest_squares, rest = centred.sum() - sums, (centred**2).sum() - squares, len(scores) - size
        differences = differences + (sums / size - rest_sums / rest)
        variances = variances + (squares / size - (sums / size) ** 2) / max(1, size - 1)
        variances = variances + (rest_squares / rest - (rest_sums / rest) ** 2) / max(1, rest - 1)
    distances = np.abs(np.asarray(differences))
    distances[distances <= EQUAL * scale] = 0.0
    errors = np.sqrt(np.maximum(np.asarray(variances), 0.0))
    # A variance is a small difference of sums of squares; its root keeps half of the digits.
    errors[errors <= math.sqrt(ROUNDING) * spread] = 0.0
    ratio = np.where(distances > 0, np.inf, 0.0)
    return np.asarray(np.divide(distances, errors, out=ratio, where=errors > 0))
