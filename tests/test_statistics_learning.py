"""Learning curves as numbers, performance profiles, and how many seeds are enough."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from velodrome.experiments import statistics
from velodrome.experiments.statistics import StatisticsError

RNG = np.random.Generator(np.random.PCG64(11))


def test_the_area_under_a_curve():
    assert statistics.area_under_curve([[0.0, 1.0], [0.5, 0.5, 0.5]]).tolist() == [0.5, 0.5]
    # Half of the way at 0, then a straight line to 1.
    assert statistics.area_under_curve([[0.0, 0.0, 1.0]], at=[0, 50, 100]).tolist() == [0.25]


def test_the_first_episode_with_the_rate_over_a_whole_window():
    curves = np.array([[0, 1, 1, 0, 1, 1], [1, 1, 1, 1, 1, 1], [0, 0, 1, 0, 0, 1]])
    found = statistics.episodes_to_threshold(curves, 1.0, window=2)
    assert found.episodes.tolist() == [3, 2, math.inf]
    assert (found.num_reached, found.share_reached, found.median) == (2, 2 / 3, 3.0)
    assert found.interval.reason == "3 seeds"
    assert statistics.episodes_to_threshold(curves, 0.5, window=7).num_reached == 0
    # Ten tenths are one, whatever their sum in floating point.
    assert statistics.episodes_to_threshold([[0.1] * 10], 0.1, window=10).episodes.tolist() == [10]


def test_seeds_that_never_reach_the_rate_count():
    reached = np.tril(np.ones((20, 20)))[::-1]
    censored = np.vstack([reached[:9], np.zeros((11, 20))])
    found = statistics.episodes_to_threshold(censored, 1.0, window=1)
    assert (found.num_reached, found.median, found.interval.high) == (9, None, math.inf)
    assert found.interval.low == 1.0
    half = statistics.episodes_to_threshold(np.vstack([reached[:12], np.zeros((8, 20))]), 1.0, window=1)
    assert half.median is not None


@pytest.mark.parametrize("number", [7, 12, 31])
def test_the_censored_median_is_that_of_kaplan_and_meier(number):
    times = np.sort(np.random.default_rng(number).permutation(40)[:number].astype(float))
    for budget in (5.0, 20.0, 40.0):
        given = np.where(times <= budget, times, math.inf)
        sample = stats.CensoredData.right_censored(np.minimum(times, budget), times > budget)
        survival = stats.ecdf(sample).sf
        reached = survival.quantiles[survival.probabilities <= 0.5 + 1e-12]
        found, _ = statistics.censored_median(given)
        first = reached[0] if len(reached) else math.inf
        if number % 2 or math.isinf(found):
            assert found == first or number % 2 == 0
        else:
            # With an even number the estimator has its value on a stretch, of which this is the middle.
            assert first <= found
    with pytest.raises(statistics.StatisticsError, match="times: must be one or more numbers"):
        statistics.censored_median([1.0, math.nan])


def test_the_interval_of_the_median_covers_and_is_exact():
    size, hits = 15, 0
    for _ in range(400):
        curves = np.arange(60) >= RNG.integers(0, 59, size)[:, np.newaxis]
        interval = statistics.episodes_to_threshold(curves, 1.0, window=1).interval
        hits += 30 in interval
    assert hits / 400 > 0.93
    # The textbook's table: of 15, the 4th and the 12th.
    curves = np.arange(60) >= np.arange(size)[:, np.newaxis]
    interval = statistics.episodes_to_threshold(curves, 1.0, window=1).interval
    assert (interval.low, interval.high) == (4, 12)


def test_regret():
    assert statistics.cumulative_regret([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]], 1.0).tolist() == [[0, 1, 1], [1, 2, 3]]
    assert statistics.cumulative_regret([[1.0, 0.0], [0.0, 0.0]], [1.0, 2.0]).tolist() == [[0, 1], [2, 4]]


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=12))
def test_a_profile_falls_from_one_to_zero(scores):
    profile = statistics.performance_profile(scores, np.linspace(-6, 6, 25), num_resamples=200)
    for curve in (profile.shares, profile.low, profile.high):
        assert (np.diff(curve) <= 1e-12).all()
        assert (curve[0], curve[-1]) == (1.0, 0.0)
    assert (profile.low <= profile.shares + 1e-12).all()
    assert (profile.shares <= profile.high + 1e-12).all()


def test_a_profile_of_environments_weighs_them_alike():
    profile = statistics.performance_profile([[1.0, 0.0], [1.0] * 6], [0.5])
    assert profile.shares == pytest.approx([0.75])
    unknown = statistics.performance_profile([0.4], [0.5, 0.3])
    assert (unknown.low.tolist(), unknown.high.tolist()) == ([0, 0], [1, 1])


def test_power_is_scipys_and_that_of_the_permutation_test():
    critical = stats.t.isf(0.025, 19)
    theirs = stats.nct.sf(critical, 19, 0.7 * math.sqrt(20)) + stats.nct.cdf(-critical, 19, 0.7 * math.sqrt(20))
    claimed = statistics.power(0.7, 1.0, 20)
    assert claimed == pytest.approx(theirs)
    differences = RNG.normal(0.7, 1.0, (400, 20))
    tests = [statistics.paired_permutation_test(row, np.zeros(20), num_permutations=999) for row in differences]
    found = np.mean([test.p_value <= 0.05 for test in tests])
    assert found == pytest.approx(claimed, abs=4 * math.sqrt(claimed * (1 - claimed) / 400) + 0.01)


def test_power_grows_with_the_difference_also_where_the_series_ends():
    powers = [statistics.power(difference, 1.0, 5) for difference in (0.0, 0.1, 1, 5, 13, 14, 100)]
    assert powers == sorted(powers)
    assert powers[0] == 0.05
    assert powers[-1] == pytest.approx(1.0)
    assert statistics.power(1.0, 0.0, 5) == 1.0
    assert statistics.power(1.0, 1.0, 1) == 0.0


def test_the_detectable_difference_and_the_seeds_needed_agree():
    differences = RNG.normal(0.3, 2.0, 40)
    deviation = differences.std(ddof=1)
    detectable = statistics.minimum_detectable_difference(differences)
    assert statistics.power(detectable, deviation, 40) == pytest.approx(0.8, abs=1e-6)
    assert statistics.seeds_needed(differences, detectable * 1.0001) == 40
    needed = statistics.seeds_needed(differences)
    observed = differences.mean()
    assert statistics.power(observed, deviation, needed) >= 0.8 > statistics.power(observed, deviation, needed - 1)
    # The textbook's 34 for half a standard deviation.
    halves = np.tile([-1.0, 0.0, 1.0, 3.0], 25)
    assert statistics.seeds_needed(halves, halves.std(ddof=1) / 2) == 34


def test_the_fewest_of_one_sign_are_the_binomial_tests():
    for level in (0.05, 0.05 / 21, 0.2):
        for number in range(1, 41):
            least = next((k for k in range(number + 1) if 2 * stats.binom.sf(k - 1, number, 0.5) <= level), number + 1)
            found = statistics.sign_test_power(1.0, 1.0, number, level=level)
            assert found == (1.0 if least <= number else 0.0)


@pytest.mark.parametrize(("first", "second", "number"), [(0.9, 0.6, 30), (0.5, 0.2, 40)])
def test_the_power_for_successes_is_that_of_the_permutation_test(first, second, number):
    differing = first * (1 - second) + second * (1 - first)
    claimed = statistics.sign_test_power(first - second, differing, number)
    rng, trials = np.random.default_rng(5), 400
    ours, theirs = (rng.random((trials, number)) < rate for rate in (first, second))
    tests = [
        statistics.paired_permutation_test(one * 1.0, other * 1.0, num_permutations=999)
        for one, other in zip(ours, theirs, strict=True)
    ]
    found = np.mean([test.p_value <= 0.05 for test in tests])
    assert found == pytest.approx(claimed, abs=4 * math.sqrt(claimed * (1 - claimed) / trials) + 0.01)
    # The t test promises more than there is.
    assert statistics.power(first - second, math.sqrt(differing - (first - second) ** 2), number) > claimed + 0.05


def test_the_seeds_for_successes_have_the_power_wanted():
    differences = np.repeat([1.0, -1.0, 0.0], [11, 2, 17])
    needed = statistics.seeds_needed(differences)
    assert statistics.sign_test_power(0.3, 13 / 30, needed) >= 0.8
    assert statistics.sign_test_power(0.3, 13 / 30, needed - 2) < 0.82
    assert statistics.seeds_needed(differences, level=0.01) > needed
    gap = statistics.minimum_detectable_difference(differences)
    assert statistics.sign_test_power(gap, 13 / 30, 30) == pytest.approx(0.8, abs=1e-6)
    # In other units the same.
    assert statistics.seeds_needed(0.2 * differences) == needed


def test_the_seeds_needed_are_a_range_that_narrows_with_the_pilot():
    rng = np.random.default_rng(3)
    small, large = rng.normal(0.3, 1.0, 10), rng.normal(0.3, 1.0, 200)
    for differences in (small, large):
        least, most = statistics.seeds_needed_range(differences, 0.3)
        assert least <= statistics.seeds_needed(differences, 0.3) <= most
    few, many = statistics.seeds_needed_range(small, 0.3), statistics.seeds_needed_range(large, 0.3)
    assert few[1] / few[0] > 3 > 1.5 > many[1] / many[0]


def test_the_range_of_seeds_holds_the_number_of_the_true_spread():
    rng, true = np.random.default_rng(4), statistics.seeds_needed(np.tile([-1.0, 1.0, 0.999, -0.999], 500), 0.4)
    ranges = [statistics.seeds_needed_range(rng.normal(0, 1, 10), 0.4) for _ in range(200)]
    assert np.mean([least <= true <= most for least, most in ranges]) == pytest.approx(0.9, abs=0.09)


def test_what_no_number_of_seeds_would_settle():
    assert statistics.seeds_needed([1.0, -1.0]) is None
    assert statistics.seeds_needed([1.0]) is None
    # The sign test of fewer than six seeds cannot reject.
    assert statistics.seeds_needed([1.0, 1.0, 1.0]) == 6
    assert statistics.minimum_detectable_difference([1.0, 0.0, 0.0, 1.0]) is None
    assert statistics.seeds_needed_range([1.0]) is None
    assert statistics.seeds_needed_range([1.0, -1.0]) is None
    assert statistics.minimum_detectable_difference([1.0]) is None
    assert statistics.minimum_detectable_difference([0.0, 0.0]) == 0.0
    assert statistics.seeds_needed([1.0, -1.0], 1e-12) is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: statistics.area_under_curve([]), "curves: there is no curve"),
        (lambda: statistics.area_under_curve([[1.0, 2.0]], at=[1, 1]), "at: must be two or more increasing"),
        (lambda: statistics.area_under_curve([[1.0]], at=[1, 2]), "curves: must have 2 points each"),
        (lambda: statistics.episodes_to_threshold([[1.0, math.nan]], 0.5), r"curves\[0\]: 1 of 2 are not finite"),
        (lambda: statistics.episodes_to_threshold([[1.0]], 0.5, window=0), "window: must be at least 1"),
        (lambda: statistics.cumulative_regret([math.nan], 1.0), "returns: must be finite"),
        (lambda: statistics.cumulative_regret([1.0], math.inf), "best: must be finite"),
        (lambda: statistics.performance_profile([1.0], 0.5), "thresholds: must be one-dimensional"),
        (lambda: statistics.sign_test_power(0.5, 0.4, 5), "share_differing: must be"),
        (lambda: statistics.power(1.0, -1.0, 5), "deviation: must be at least 0"),
        (lambda: statistics.seeds_needed([1.0, 2.0], math.nan), "difference: must be finite"),
        (lambda: statistics.seeds_needed([1.0, 2.0], power_wanted=0.01), "power_wanted: must be above the level"),
    ],
)
def test_what_cannot_be_computed_is_refused_in_one_line(call, message):
    with pytest.raises(StatisticsError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("window", [1, 3, 40, 41])
def test_successes_in_one_array_are_those_of_each_trial(window):
    successes = np.random.default_rng(4).random((9, 40)) < np.linspace(0, 1, 9)[:, np.newaxis]
    one_by_one = statistics.episodes_to_threshold([row.astype(float) for row in successes], 0.6, window=window)
    together = statistics.episodes_to_threshold(successes, 0.6, window=window)
    assert together.episodes.tolist() == one_by_one.episodes.tolist()
    assert together.interval == one_by_one.interval
