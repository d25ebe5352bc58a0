"""Bands of means: SciPy's intervals, and the coverage that they claim."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from velodrome.experiments.statistics import StatisticsError, mean_band, t_interval
from velodrome.experiments.statistics.student_intervals import expanded_tail

RNG = np.random.Generator(np.random.PCG64(7))


@pytest.mark.parametrize(
    "values",
    [RNG.normal(size=30), RNG.exponential(size=12), RNG.random(100) < 0.3, np.array([0.0, 0.0, 0.0, 1.0, 1.0])],
    ids=["normal", "exponential", "shares", "few"],
)
@pytest.mark.parametrize("level", [0.95, 0.8])
def test_the_band_is_scipys_percentile_interval_of_a_larger_level(values, level):
    values = values.astype(np.float64)
    low, high = mean_band(values, level=level)
    expanded = 1 - 2 * expanded_tail(level, len(values), len(values) - 1)
    scipys = stats.bootstrap(
        (values,), np.mean, confidence_level=expanded, method="percentile", n_resamples=40_000,
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    # The outer quantiles of 2000 resamples have a standard error of about a tenth of theirs.
    error = 0.4 * values.std() / np.sqrt(len(values))
    assert float(low) == pytest.approx(scipys.low, abs=error)
    assert float(high) == pytest.approx(scipys.high, abs=error)


@pytest.mark.parametrize("num_seeds", [2, 4])
def test_fewer_than_five_seeds_have_students_interval(num_seeds):
    values = RNG.normal(size=(num_seeds, 3))
    low, high = mean_band(values)
    for column in range(3):
        interval = t_interval(values[:, column])
        assert (low[column], high[column]) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize(
    ("num_seeds", "least"),
    # Of five seeds even the widest band of means falls a little short.
    [(3, 0.935), (5, 0.905), (10, 0.93), (30, 0.93)],
)
def test_coverage(num_seeds, least):
    curves = np.random.Generator(np.random.PCG64(3)).normal(0.4, 0.1, size=(num_seeds, 4000))
    # Blocks of a few points, each with resamples of its own.
    blocks = [mean_band(block, seed=seed) for seed, block in enumerate(np.split(curves, 20, axis=1))]
    low, high = (np.concatenate(ends) for ends in zip(*blocks, strict=True))
    covered = ((low <= 0.4) & (high >= 0.4)).mean()
    assert least < covered < 0.97


def test_other_levels_nest():
    values = RNG.normal(size=25)
    ends = [mean_band(values, level=level) for level in (0.5, 0.8, 0.95, 0.99)]
    for inner, outer in pairwise(ends):
        assert outer[0] < inner[0] < inner[1] < outer[1]


def test_levels_out_of_range_are_refused():
    with pytest.raises(StatisticsError, match="level: must be between 0 and 1, got 95"):
        mean_band(np.zeros(5), level=95)


def test_shapes_and_columns():
    values = RNG.normal(size=(20, 3, 4))
    low, high = mean_band(values)
    assert low.shape == high.shape == (3, 4)
    alone = mean_band(values[:, 1, 2])
    assert (float(low[1, 2]), float(high[1, 2])) == pytest.approx((float(alone[0]), float(alone[1])))


def test_missing_values_are_left_out():
    values = RNG.normal(size=(20, 2))
    values[[3, 7], 0] = np.nan
    values[11, 0] = np.inf
    low, high = mean_band(values)
    alone = mean_band(np.delete(values[:, 0], [3, 7, 11]))
    assert (low[0], high[0]) == alone
    assert (low[1], high[1]) == mean_band(values[:, 1])


def test_points_with_fewer_than_two_values_are_nan_and_warn_nobody():
    values = np.full((20, 3), np.nan)
    values[:, 0] = RNG.normal(size=20)
    values[4, 1] = 0.25
    for ends in mean_band(values):
        assert np.isfinite(ends).tolist() == [True, False, False]
    for nothing in (np.zeros((1, 3)), np.zeros((0, 3)), np.full((5, 3), np.nan)):
        assert np.isnan(mean_band(nothing)).all()


@pytest.mark.parametrize("num_seeds", [3, 30])
def test_equal_values_have_no_width(num_seeds):
    assert np.array_equal(mean_band(np.full((num_seeds, 2), 0.1)), np.full((2, 2), 0.1))


def test_the_same_values_give_the_same_band_and_another_seed_another():
    values = RNG.normal(size=15)
    assert mean_band(values) == mean_band(values[::-1].copy())
    assert mean_band(values, seed=1) != mean_band(values)
    assert mean_band(values + 5.0)[0] == pytest.approx(mean_band(values)[0] + 5.0)
