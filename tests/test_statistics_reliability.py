"""Tolerance intervals, ranges of percentiles, several successes in a row, and bands of whole profiles."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import binom

from velodrome.experiments import statistics
from velodrome.experiments.statistics import StatisticsError
from velodrome.experiments.statistics.tolerance import tolerance_cut

# Of rlevaluation 1.1.2 (pip install rlevaluation==1.1.2): tolerance_interval(scores[:n], alpha, beta) of
# scores = np.random.default_rng(0).standard_normal(200), as places among the sorted scores, counted from 0.
RLEVALUATION = {
    (46, 0.05, 0.9): (1, 44), (46, 0.05, 0.5): (8, 37), (46, 0.1, 0.8): (3, 42),
    (60, 0.05, 0.9): (1, 58), (60, 0.05, 0.5): (12, 47), (60, 0.1, 0.8): (4, 55),
    (100, 0.05, 0.9): (2, 97), (100, 0.05, 0.5): (21, 78), (100, 0.1, 0.8): (7, 92),
    (200, 0.05, 0.9): (6, 193), (200, 0.05, 0.5): (44, 155), (200, 0.1, 0.8): (16, 183),
}  # fmt: skip
# Its curve_tolerance_interval(curves, 0.05, 0.9) of curves = np.random.default_rng(1).standard_normal((100, 4)).
RLEVALUATION_BAND = (
    (-1.6487873663509485, -1.8890132459676727, -2.1378243580905774, -1.6838143968410575),
    (1.8122301162723733, 2.020073367150445, 1.9724738539297917, 1.6273002546230673),
)
# Its percentile_bootstrap_ci(default_rng(3), scores, iterations=200000) of scores = default_rng(2).exponential(size=n).
RLEVALUATION_BOOTSTRAP = {30: (0.6536113931130267, 1.1691983512217128), 100: (0.7611171835781049, 1.114490766161981)}


def confidence(gaps, size, share):
    """Probability that an interval over so many gaps between scores holds a share of all runs."""
    return binom.cdf(gaps - 1, size, share)


@pytest.mark.parametrize(("size", "alpha", "share"), RLEVALUATION)
def test_tolerance_intervals_are_those_of_rlevaluation_one_score_further_out(size, alpha, share):
    scores = np.random.default_rng(0).standard_normal(200)[:size]
    ordered, (low, high) = np.sort(scores), RLEVALUATION[size, alpha, share]
    interval = statistics.tolerance_interval(scores, share=share, level=1 - alpha)
    assert (interval.low, interval.high) == (ordered[low - 1], ordered[high + 1])
    # One score further in, it holds so many runs less often than it says.
    assert confidence(high - low, size, share) < 1 - alpha <= confidence(high - low + 2, size, share)


def test_the_band_is_the_interval_at_each_point():
    curves = np.random.default_rng(1).standard_normal((100, 4))
    low, high = statistics.tolerance_band(curves)
    for point, (their_low, their_high) in enumerate(zip(*RLEVALUATION_BAND, strict=True)):
        ordered = np.sort(curves[:, point])
        assert low[point] == ordered[np.searchsorted(ordered, their_low) - 1]
        assert high[point] == ordered[np.searchsorted(ordered, their_high) + 1]
        assert (low[point], high[point]) == (
            (interval := statistics.tolerance_interval(curves[:, point])).low, interval.high,
        )  # fmt: skip
    curves[55:, 1] = np.nan
    curves[45:, 2] = np.inf
    low, high = statistics.tolerance_band(curves)
    assert np.isfinite(low).tolist() == [True, True, False, True]
    assert (low[1], high[1]) == (curves[:55, 1].min(), curves[:55, 1].max())


def test_the_percentile_bootstrap_is_that_of_rlevaluation():
    for size, ends in RLEVALUATION_BOOTSTRAP.items():
        scores = np.random.default_rng(2).exponential(size=size)
        interval = statistics.bootstrap_interval(scores, method="percentile", num_resamples=50_000)
        assert (interval.low, interval.high) == pytest.approx(ends, abs=0.005)


def test_fewest_seeds_are_those_of_wilks():
    for share, fewest in ((0.5, 8), (0.8, 22), (0.85, 30), (0.9, 46), (0.95, 93), (0.99, 473)):
        assert statistics.seeds_for_tolerance(share) == fewest
        # Wilks: P = 1 - n β^(n-1) + (n - 1) β^n.
        wilks = [1 - n * share ** (n - 1) + (n - 1) * share**n for n in (fewest - 1, fewest)]
        assert wilks[0] < 0.95 <= wilks[1]
        assert (tolerance_cut(fewest - 1, share, 0.95), tolerance_cut(fewest, share, 0.95)) == (0, 1)
    few = statistics.tolerance_interval(np.arange(30.0))
    assert not few.is_known
    assert few.reason == "30 seeds, of 46 that 0.9 of the runs take"
    assert statistics.tolerance_interval([1.0]).reason.startswith("1 seed, of 46")


def test_tolerance_intervals_hold_what_they_say():
    rng = np.random.default_rng(4)
    for size, share in ((46, 0.9), (60, 0.8), (30, 0.5)):
        cut = tolerance_cut(size, share, 0.95)
        uniform = np.sort(rng.random((4000, size)), axis=1)
        held = uniform[:, -cut] - uniform[:, cut - 1] >= share
        exact = confidence(size + 1 - 2 * cut, size, share)
        assert exact >= 0.95
        assert held.mean() == pytest.approx(exact, abs=0.012)


def test_percentile_ranges():
    scores = np.random.default_rng(5).permutation(30.0 * np.arange(30) / 30)
    value, interval = statistics.percentile_range(scores)
    assert value == 14.5
    assert (interval.low, interval.high, interval.method) == (3.0, 25.0, "order statistics")
    assert statistics.percentile_range(scores, (5, 95))[1].high == math.inf
    assert not statistics.percentile_range([2.0])[1].is_known
    rng = np.random.default_rng(6)
    hits = [
        math.log(3) in statistics.percentile_range(row)[1] for row in rng.exponential(size=(1000, 30))
    ]  # fmt: skip
    assert np.mean(hits) >= 0.95


def test_all_succeed_is_the_share_of_all_choices():
    solved = [1] * 7 + [0] * 3
    for runs in (1, 2, 5, 7, 8):
        choices = [all(choice) for choice in combinations(solved, runs)]
        estimate, interval = statistics.all_succeed(7, 10, runs)
        assert estimate == pytest.approx(np.mean(choices))
        exact = statistics.exact_interval(7, 10)
        assert (interval.low, interval.high) == (exact.low**runs, exact.high**runs)
    assert math.isnan(statistics.all_succeed(7, 10, 11)[0])


def test_what_none_seen_does_not_exclude():
    assert statistics.largest_rate(0, 30) == pytest.approx(1 - 0.05 ** (1 / 30))
    assert statistics.largest_rate(0, 30) == pytest.approx(0.095, abs=0.0005)
    # The rate at which two or fewer of 20 have a probability of 5 %.
    assert binom.cdf(2, 20, statistics.largest_rate(2, 20)) == pytest.approx(0.05)


def test_bands_of_whole_profiles():
    rng = np.random.default_rng(7)
    scores = rng.random(40)
    taus = np.linspace(0, 1, 21)
    profile = statistics.performance_profile(scores, taus, band="dkw")
    half = math.sqrt(math.log(2 / 0.05) / 80)
    assert profile.low == pytest.approx(np.clip(profile.shares - half, 0, 1))
    assert profile.high == pytest.approx(np.clip(profile.shares + half, 0, 1))
    bootstrap = statistics.performance_profile(scores, taus)
    assert (profile.shares == bootstrap.shares).all()
    both = statistics.performance_profile([scores, rng.random(10)], taus, band="dkw")
    each = [math.sqrt(math.log(2 / 0.025) / (2 * size)) for size in (40, 10)]
    middle = np.flatnonzero((both.low > 0) & (both.high < 1))
    assert both.high[middle] - both.shares[middle] == pytest.approx(np.full(len(middle), np.mean(each)))
    # It holds all of the profile at once.
    truth, held = 1 - taus, 0
    for row in rng.random((1000, 20)):
        one = statistics.performance_profile(row, taus, band="dkw")
        held += bool(((one.low - 1e-12 <= truth) & (truth <= one.high + 1e-12)).all())
    assert held >= 950


def test_bad_input_is_one_line():
    for call, line in (
        (lambda: statistics.tolerance_interval([1.0, 2.0], share=1.0), "share: must lie between 0 and 1, got 1.0"),
        (lambda: statistics.seeds_for_tolerance(0.0), "share: must lie between 0 and 1, got 0.0"),
        (lambda: statistics.percentile_range([1.0, 2.0], (75, 25)), "percentiles: must increase between 0 and 100"),
        (lambda: statistics.all_succeed(1, 2, 0), "runs: must be at least 1, got 0"),
        (lambda: statistics.all_succeed(3, 2, 1), "successes: must be between 0 and trials"),
        (lambda: statistics.performance_profile([1.0], [0.0], band="dwk"), "did you mean 'dkw'"),
    ):  # fmt: skip
        with pytest.raises(StatisticsError) as caught:
            call()
        assert line in str(caught.value)
        assert "\n" not in str(caught.value)
