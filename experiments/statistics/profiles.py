"""Performance profiles: the share of runs that score above a threshold, as a function of it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from velodrome.checks import did_you_mean
from velodrome.experiments.statistics.aggregates import Counts
from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.resampling import NUM_RESAMPLES, resampled_counts
from velodrome.experiments.statistics.scores import Array, Scores, as_environments, check_level

ProfileBand = Literal["bootstrap", "dkw"]
PROFILE_BANDS: tuple[str, ...] = get_args(ProfileBand)


@dataclass(frozen=True)
class PerformanceProfile:
    """A profile with its band.

    Attributes:
        thresholds: float64 (num_thresholds,), in the units of the scores.
        shares: of runs above each threshold, (num_thresholds,).
        low: lower ends of the band, (num_thresholds,); 0 where no band is known (one seed).
        high: upper ends; 1 where no band is known.
        level: coverage, pointwise of a bootstrap's band, of all thresholds at once of "dkw".
    """

    thresholds: Array
    shares: Array
    low: Array
    high: Array
    level: float


def performance_profile(
    scores: Scores,
    thresholds: ArrayLike,
    *,
    seeds: Sequence[Sequence[int]] | None = None,
    level: float = 0.95,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
    band: ProfileBand = "bootstrap",
) -> PerformanceProfile:
    """Run-score distribution with a band.

    F̂(τ) = mean over environments of the share of seeds with a score > τ.

    The band is a pointwise percentile band of the stratified bootstrap; or, with "dkw", one that holds the whole
    profile at once with probability `level`, whatever the scores look like: F̂ ± √(ln(2 / α) / 2n). Of m environments it
    is the mean of theirs, each with α / m.

    Args:
        scores: float (num_seeds,), or a sequence of such arrays, one an environment.
        thresholds: τ, float (num_thresholds,).
        seeds: of each environment, the seeds of its scores in their order: a seed is drawn for all environments. By
            default scores on several environments are independent runs.
        level: coverage.
        num_resamples: bootstrap replicates.
        seed: of the resampling.
        band: "bootstrap" or "dkw".

    Raises:
        StatisticsError: no scores, not finite ones, thresholds not one-dimensional, `seeds` that do not fit, or an
            unknown band.

    Source: Agarwal et al. (2021), section 4.2; Dolan & Moré (2002); Massart (1990), "The Tight Constant in the
    Dvoretzky-Kiefer-Wolfowitz Inequality".
    """
    check_level(level)
    if band not in PROFILE_BANDS:
        raise StatisticsError(
            f"band: must be one of {', '.join(PROFILE_BANDS)}, got {band!r}{did_you_mean(band, PROFILE_BANDS)}"
        )
    environments = as_environments(scores)
    taus = np.asarray(thresholds, dtype=np.float64)
    if taus.ndim != 1 or np.isnan(taus).any():
        raise StatisticsError("thresholds: must be one-dimensional numbers")
    above = [(values[:, np.newaxis] > taus).astype(np.float64) for values in environments]
    shares = np.mean([values.mean(axis=0) for values in above], axis=0)
    if band == "dkw":
        error = (1 - level) / len(environments)
        half = sum(math.sqrt(math.log(2 / error) / (2 * len(values))) for values in environments) / len(environments)
        return PerformanceProfile(taus, shares, np.clip(shares - half, 0, 1), np.clip(shares + half, 0, 1), level)
    if any(len(values) < 2 for values in environments):
        return PerformanceProfile(taus, shares, np.zeros_like(shares), np.ones_like(shares), level)
    replicates = np.zeros((len(taus), num_resamples))
    drawn = resampled_counts((seed,), [len(values) for values in environments], seeds, num_resamples)
    for values, counts in zip(environments, drawn, strict=True):
        total = counts.sum(axis=0, dtype=np.float64)
        for place, number in _numbers_above(values, counts, taus, total):
            # Whole numbers are added up exactly, so that a share of one is one.
            replicates[place] += number / total / len(environments)
    tail = (1 - level) / 2
    low, high = np.clip(np.quantile(replicates, [tail, 1 - tail], axis=1, overwrite_input=True), 0.0, 1.0)
    return PerformanceProfile(taus, shares, low, high, level)


def _numbers_above(values: Array, counts: Counts, thresholds: Array, total: Array) -> Iterator[tuple[int, Array]]:
    """Each threshold's place, and how many drawn scores are above it in each resample: from the lowest on."""
    order = np.argsort(values, kind="stable")
    reached = np.searchsorted(values[order], thresholds, side="right")
    below, done = np.zeros(len(total), dtype=np.uint32), 0
    for place in np.argsort(reached, kind="stable").tolist():
        for score in order[done : reached[place]]:
            below += counts[score]
        done = int(reached[place])
        yield place, total - below
