"""Aggregates and their intervals: SciPy's numbers, their laws, and what they say of scores that hardly say anything."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from velodrome.experiments import statistics
from velodrome.experiments.statistics import StatisticsError, iqm, mean, performance_profile
from velodrome.experiments.statistics.aggregates import Aggregate
from velodrome.experiments.statistics.resampling import (
    jackknife,
    replicates,
    replicates_with_errors,
    resample_counts,
    resamples,
)
from velodrome.experiments.statistics.scores import random_stream

METHODS = ["percentile", "expanded percentile", "bca", "bootstrap-t"]
RNG = np.random.Generator(np.random.PCG64(7))
SKEWED = RNG.exponential(size=25)
SUCCESSES = (RNG.random(40) < 0.3).astype(np.float64)

lists_of_scores = st.lists(st.floats(-100, 100, allow_subnormal=False).map(lambda value: round(value, 3)), min_size=1)


@given(lists_of_scores)
def test_the_iqm_lies_between_the_extremes_and_is_scipys(values):
    found = statistics.iqm(values)
    assert min(values) <= found <= max(values)
    assert found == pytest.approx(stats.trim_mean(values, 0.25), abs=1e-10)


@given(lists_of_scores, st.floats(-50, 50))
def test_the_optimality_gap_is_never_negative_and_zero_beyond_the_target(values, target):
    gap = statistics.optimality_gap(values, target)
    assert gap >= 0
    assert (gap == 0) == (min(values) >= target)


def test_environments_of_different_numbers_of_seeds():
    scores = [[0.0, 1.0], [2.0, 2.0, 5.0, 7.0]]
    assert statistics.mean(scores) == pytest.approx((0.5 + 4.0) / 2)
    assert statistics.median(scores) == pytest.approx((0.5 + 4.0) / 2)
    assert statistics.iqm(scores) == pytest.approx(stats.trim_mean([0, 1, 2, 2, 5, 7], 0.25))
    assert statistics.optimality_gap(scores, [1.0, 4.0]) == pytest.approx((0.5 + 1.0) / 2)
    assert statistics.median([1.0, 2.0, 9.0]) == 2.0


@pytest.mark.parametrize("method", ["percentile", "bca"])
@pytest.mark.parametrize("scores", [SKEWED, SUCCESSES], ids=["skewed", "successes"])
def test_a_bootstrap_interval_is_scipys(method, scores):
    found = statistics.bootstrap_interval(scores, method=method, num_resamples=20_000)
    theirs = stats.bootstrap(
        (scores,), np.mean, method="BCa" if method == "bca" else method, n_resamples=20_000, rng=RNG
    ).confidence_interval  # fmt: skip
    error = 4 * math.sqrt(2 * 0.025 * 0.975 / 20_000) / 0.0584 * (theirs.high - theirs.low) / 3.92
    # A resample's share of successes is a multiple of 1/40.
    error += 1 / 40 if scores is SUCCESSES else 0.0
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=error)
    assert found.method == method


def test_a_t_interval_is_scipys():
    found = statistics.t_interval(SKEWED)
    theirs = stats.ttest_1samp(SKEWED, 0.0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))
    half = stats.t.ppf(0.975, 25 - 12 - 1) * statistics.iqm.standard_errors([SKEWED])
    assert statistics.t_interval(SKEWED, statistics.iqm).width == pytest.approx(float(2 * half))
    # Tukey and McLaughlin's standard error, as SciPy's winsorized variance gives it.
    winsorized = np.asarray(stats.mstats.winsorize(SKEWED, (0.25, 0.25)))
    assert statistics.iqm.standard_errors([SKEWED]) == pytest.approx(winsorized.std(ddof=1) * 5 / (25 - 12))


@pytest.mark.parametrize(
    ("aggregate", "method"),
    [(aggregate, method) for aggregate in (statistics.mean, statistics.iqm) for method in METHODS]
    + [(statistics.median, method) for method in METHODS[:3]],
    ids=lambda value: getattr(value, "name", value),
)
def test_intervals_move_and_stretch_with_the_scores(aggregate, method):
    environments = [SKEWED, SKEWED[:11] ** 2]
    own = statistics.bootstrap_interval(environments, aggregate, method=method, num_resamples=500)
    moved = [3.0 * scores - 7.0 for scores in environments]
    other = statistics.bootstrap_interval(moved, aggregate, method=method, num_resamples=500)
    assert (other.low, other.high) == pytest.approx((3 * own.low - 7, 3 * own.high - 7), rel=1e-9)
    mirrored = [-scores for scores in environments]
    other = statistics.bootstrap_interval(mirrored, aggregate, method=method, num_resamples=500)
    assert (other.low, other.high) == pytest.approx((-own.high, -own.low), rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_levels_nest_and_the_same_input_gives_the_same_bits(method):
    found = [statistics.bootstrap_interval(SKEWED, method=method, level=level) for level in (0.5, 0.8, 0.95)]
    for inner, outer in pairwise(found):
        assert outer.low < inner.low < inner.high < outer.high
    assert statistics.bootstrap_interval(SKEWED.copy(), method=method) == found[-1]
    assert statistics.bootstrap_interval(SKEWED, method=method, seed=1) != found[-1]


@pytest.mark.parametrize("environments", [[SKEWED], [SKEWED, SUCCESSES], [SKEWED[:20], SUCCESSES[:20]]])
def test_the_fast_replicates_of_the_iqm_are_the_plain_ones(environments):
    plain = Aggregate("IQM", statistics.iqm.of_rows)
    assert (replicates(environments, statistics.iqm, 3000, 4) == replicates(environments, plain, 3000, 4)).all()


def test_the_jackknife_leaves_out_each_seed_once():
    found = jackknife([SKEWED, SUCCESSES], statistics.iqm)
    assert [len(values) for values in found] == [25, 40]
    assert found[0][3] == pytest.approx(statistics.iqm([np.delete(SKEWED, 3), SUCCESSES]))
    assert found[1][39] == pytest.approx(statistics.iqm([SKEWED, SUCCESSES[:39]]))


@pytest.mark.parametrize("method", METHODS)
def test_constant_scores_have_no_width(method):
    found = statistics.bootstrap_interval([0.1] * 3, statistics.iqm, method=method)
    assert (found.low, found.high, found.method) == (0.1, 0.1, "constant scores")
    assert statistics.t_interval([[0.5] * 4, [0.25] * 2]).width == 0


def test_one_seed_has_no_interval():
    for found in (statistics.best_interval([0.4]), statistics.t_interval([SKEWED, [1.0]])):
        assert not found.is_known
        assert str(found) == "one seed: no interval"
        assert 1e9 in found


def test_bca_falls_back_where_it_is_not_defined():
    # The median does not move when any one of these is left out.
    found = statistics.bootstrap_interval([0.0, 1.0, 1.0, 1.0, 1.0, 2.0], statistics.median, method="bca")
    assert found.method == "percentile"


def test_the_default_interval_looks_at_the_scores():
    assert statistics.best_interval(SKEWED).method == "bootstrap-t"
    assert statistics.best_interval(SUCCESSES).method == "expanded percentile"
    assert statistics.best_interval([*SUCCESSES, 0.5]).method == "bootstrap-t"
    assert statistics.best_interval(SKEWED, statistics.median).method == "expanded percentile"
    assert statistics.best_interval(SKEWED[:6], statistics.iqm).method == "expanded percentile"
    assert statistics.best_interval([SKEWED, SKEWED[:4]]) == statistics.t_interval([SKEWED, SKEWED[:4]])


@pytest.mark.parametrize("number", [5, 10, 15, 20, 30])
def test_one_failed_seed_does_not_explode_the_interval(number):
    returns = np.random.default_rng(number).normal(240, 8, number)
    returns[0] = -300
    for interval in (
        statistics.best_interval(returns),
        statistics.bootstrap_interval(returns, method="bootstrap-t"),
        statistics.best_interval(returns, statistics.iqm),
    ):
        assert interval.width <= 2 * statistics.t_interval(returns).width + 1e-9
    # And it still says that the failure may be more common than it was.
    assert statistics.best_interval(returns).low < returns.mean() - 540 / number


@given(st.lists(st.floats(-50, 50).map(lambda value: round(value, 2)), min_size=5, max_size=25))
def test_the_default_interval_holds_the_mean_and_is_at_most_twice_as_wide_as_students(values):
    interval, students = statistics.best_interval(values, num_resamples=300), statistics.t_interval(values)
    rounding = 1e-9 * (1 + np.abs(values).max())
    assert interval.low - rounding <= statistics.mean(values) <= interval.high + rounding
    assert interval.width <= 2 * students.width + rounding


@given(
    st.lists(st.floats(0, 1).map(lambda value: round(value, 2)), min_size=5, max_size=20),
    st.floats(0.1, 20),
    st.floats(-50, 50),
)
def test_the_default_interval_moves_and_stretches_with_the_scores(values, scale, shift):
    if np.ptp(values) < 0.01:
        return
    own = statistics.best_interval(values, num_resamples=300)
    moved = statistics.best_interval(scale * np.array(values) + shift, num_resamples=300)
    assert moved.method == own.method
    expected = (scale * own.low + shift, scale * own.high + shift)
    assert (moved.low, moved.high) == pytest.approx(expected, rel=1e-6, abs=1e-6 * (scale + abs(shift)))


def test_the_default_interval_shrinks_with_seeds():
    scores = np.where(np.arange(400) % 5 == 0, 0.0, np.random.default_rng(0).normal(0.9, 0.02, 400))
    widths = [statistics.best_interval(scores[:number]).width for number in (10, 20, 50, 100, 400)]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < widths[0] / 5


def test_an_interval_stays_within_what_is_possible_but_never_leaves_out_the_estimate():
    interval = statistics.Interval(-0.5, 0.9, 0.95, "t")
    assert (interval.limited((0.0, 1.0), 0.2).low, interval.limited((0.0, 1.0), 0.2).high) == (0.0, 0.9)
    # Sampled episodes were luckier than the best possible.
    lucky = statistics.Interval(0.7, 0.9, 0.95, "t").limited((0.0, 0.74), 0.8)
    assert (lucky.low, lucky.high) == (0.7, 0.8)
    assert not statistics.Interval.unknown(0.95, "one seed").limited((0.0, 1.0), 0.5).is_known


@pytest.mark.parametrize("method", METHODS)
def test_two_seeds_do_not_make_certain(method):
    assert statistics.bootstrap_interval([0.2, 0.6], method=method).width == pytest.approx(0.4)
    assert statistics.best_interval([0.2, 0.6]).width > 4


def test_wilson_is_scipys():
    for successes, trials in ((0, 10), (3, 10), (10, 10), (70, 100)):
        theirs = stats.binomtest(successes, trials).proportion_ci(method="wilson")
        found = statistics.wilson_interval(successes, trials)
        assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert statistics.wilson_interval(0, 10).low == 0.0


def test_the_exact_interval_is_of_beta_distributions_and_covers_whatever_the_rate_is():
    for trials in (1, 2, 10, 30):
        intervals = [statistics.exact_interval(count, trials) for count in range(trials + 1)]
        for count, found in enumerate(intervals):
            low = stats.beta.ppf(0.025, count, trials - count + 1) if count else 0.0
            high = stats.beta.ppf(0.975, count + 1, trials - count) if count < trials else 1.0
            assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)
        lows, highs = (np.array([getattr(one, end) for one in intervals]) for end in ("low", "high"))
        for rate in (0.003, 0.05, 0.3, 0.5, 0.99):
            drawn = np.random.default_rng(trials).binomial(trials, rate, 20_000)
            assert ((lows[drawn] <= rate) & (rate <= highs[drawn])).mean() > 0.945
    none_of_30 = statistics.exact_interval(0, 30)
    assert (none_of_30.low, none_of_30.high) == (0.0, pytest.approx(0.1157, abs=1e-4))
    with pytest.raises(StatisticsError, match=r"successes: must be between 0 and trials \(3\), got 4"):
        statistics.exact_interval(4, 3)


def test_a_hierarchical_interval_is_wider_than_that_of_the_rates_and_nears_it_with_episodes():
    rates = np.array([2, 5, 7, 9, 6, 3]) / 10
    alone = statistics.bootstrap_interval(rates, method="expanded percentile")
    few = statistics.hierarchical_success_interval(rates * 10, 10)
    many = statistics.hierarchical_success_interval(rates * 10_000, 10_000)
    assert few.width > 1.1 * alone.width
    assert many.width == pytest.approx(alone.width, rel=0.05)
    assert not statistics.hierarchical_success_interval([3], 10).is_known


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: statistics.mean([1.0, math.nan, math.inf]), "scores: 2 of 3 are not finite"),
        (lambda: statistics.mean([]), "scores: there is no"),
        (lambda: statistics.mean([1.0, -1e200]), "scores: must lie within"),
        (lambda: statistics.mean([[1.0], []]), r"scores\[1\]: there is no score"),
        (lambda: statistics.iqm(np.zeros((3, 4))), "does not say which axis"),
        (lambda: statistics.iqm(["a", "b"]), "scores: must be numbers"),
        (lambda: statistics.best_interval(SKEWED, level=95), "level: must be between 0 and 1, got 95"),
        (lambda: statistics.best_interval(SKEWED, seed=-1), "seed: must be at least 0"),
        (lambda: statistics.bootstrap_interval(SKEWED, method="magic"), "method: must be one of percentile"),
        (lambda: statistics.bootstrap_interval(SKEWED, num_resamples=0), "num_resamples: must be at least 1"),
        (lambda: statistics.bootstrap_interval(SKEWED, statistics.median, method="bootstrap-t"), "no standard error"),
        (lambda: statistics.optimality_gap([[1.0], [2.0]], [1, 2, 3]), "target: got 3 for 2 environments"),
        (lambda: statistics.optimality_gap([1.0], math.nan), "target: must be"),
        (lambda: statistics.wilson_interval(5, 4), "successes: must be between"),
        (lambda: statistics.wilson_interval(0, 0), "trials: must be at least 1"),
        (lambda: statistics.hierarchical_success_interval([1, 12], 10), "successes: must be whole"),
        (lambda: statistics.hierarchical_success_interval([1], 0), "episodes: must be whole"),
    ],
)
def test_what_cannot_be_computed_is_refused_in_one_line(call, message):
    with pytest.raises(StatisticsError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


@given(st.lists(st.floats(-5, 5).map(lambda value: round(value, 2)), min_size=6, max_size=30), st.floats(-2, 2))
def test_the_sign_flip_interval_holds_what_the_test_does_not_reject(differences, shift):
    values = np.array(differences)
    if np.ptp(values) < 0.1:
        return
    interval = statistics.sign_flip_interval(values, num_permutations=2000, seed=3)
    if not interval.is_known:
        return
    # Away from the ends, where rounding decides.
    if min(abs(shift - interval.low), abs(shift - interval.high)) < 1e-6:
        return
    test = statistics.paired_permutation_test(values - shift, np.zeros(len(values)), num_permutations=2000, seed=3)
    if (values != shift).all():
        assert (shift in interval) == (test.p_value > 0.05)


def test_the_sign_flip_interval_by_hand():
    # 32 patterns: at 90 % one of 16 means of a flipped half is left out besides the observed pattern's.
    values = np.array([1.0, 2.0, 3.0, 4.0, 10.0])
    interval = statistics.sign_flip_interval(values, level=0.9)
    assert (interval.low, interval.high) == (1.0, 10.0)
    assert not statistics.sign_flip_interval(values).is_known
    assert interval.method == "sign flips"


def test_a_difference_and_its_test_never_contradict_each_other():
    rng = np.random.default_rng(8)
    for _ in range(50):
        first, second = rng.exponential(1.5, 12), rng.exponential(1, 12)
        interval = statistics.paired_difference(first, second).interval
        assert (0.0 in interval) == (statistics.paired_permutation_test(first, second).p_value > 0.05)


@pytest.mark.parametrize("aggregate", [mean, iqm], ids=["mean", "IQM"])
@pytest.mark.parametrize("kind", ["smooth", "ties", "far from 0", "an outlier", "nearly the same"])
@pytest.mark.parametrize("number", [5, 13, 100])
def test_counted_draws_have_the_replicates_and_errors_of_drawn_scores(aggregate, kind, number):
    scores = np.random.default_rng(number).normal(size=number)
    scores = {
        "smooth": scores, "ties": np.round(scores), "far from 0": scores + 1e6,
        "an outlier": np.append(scores[1:], 1e3), "nearly the same": np.append(np.full(number - 1, 0.7), 0.2),
    }[kind]  # fmt: skip
    centre = aggregate(scores)
    rows = np.concatenate([drawn for (drawn,) in resamples([scores], 400, 5)])
    found = [
        np.concatenate(part) for part in zip(*replicates_with_errors([scores], aggregate, 400, 5, centre), strict=True)
    ]
    scale = np.abs(scores - centre).max()
    assert found[0] + centre == pytest.approx(aggregate.of_rows([rows]), abs=1e-12 * np.abs(scores).max())
    # A root of what is left of squares that cancel has half of the digits; deviates beyond the bound are cut.
    assert found[1] == pytest.approx(aggregate.standard_errors([rows]), rel=1e-6, abs=1e-7 * scale)


def test_a_profile_is_that_of_products_with_counts():
    rng = np.random.default_rng(2)
    scores, seeds = [np.round(rng.random(9), 1), rng.random(7)], [list(range(9)), list(range(4, 11))]
    thresholds = np.array([0.9, -1.0, 0.3, 0.3, 0.5, 2.0])
    found = performance_profile(scores, thresholds, seeds=seeds, num_resamples=200)
    counts = resample_counts(random_stream(0), 11, 200)
    shares = np.zeros((200, 6))
    for values, own in zip(scores, seeds, strict=True):
        drawn = counts[:, own]
        drawn[drawn.sum(axis=1) == 0] = 1.0
        shares += drawn @ (values[:, np.newaxis] > thresholds) / drawn.sum(axis=1, keepdims=True) / 2
    low, high = np.quantile(shares, [0.025, 0.975], axis=0)
    assert np.stack([found.low, found.high]) == pytest.approx(np.stack([low, high]), abs=1e-15)
