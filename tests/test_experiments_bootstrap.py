"""Bootstrap intervals of the mean: SciPy's numbers, and the coverage that they claim."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import bootstrap

from velodrome.experiments.bootstrap import mean_interval

RNG = np.random.Generator(np.random.PCG64(7))


@pytest.mark.parametrize(
    "values",
    [RNG.normal(size=30), RNG.exponential(size=12), RNG.random(100) < 0.3, np.array([0.0, 0.0, 0.0, 1.0, 1.0])],
    ids=["normal", "exponential", "shares", "few"],
)
@pytest.mark.parametrize("level", [0.95, 0.8])
def test_the_interval_is_scipys_percentile_interval(values, level):
    values = values.astype(np.float64)
    low, high = mean_interval(values, level=level)
    scipys = bootstrap(
        (values,), np.mean, confidence_level=level, method="percentile", n_resamples=40_000,
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    # The 2.5 % quantile of 2000 resamples has a standard error of about a tenth of theirs.
    error = 0.35 * values.std() / np.sqrt(len(values))
    assert float(low) == pytest.approx(scipys.low, abs=error)
    assert float(high) == pytest.approx(scipys.high, abs=error)


def test_coverage():
    trials, num_seeds = 2000, 30
    values = np.random.Generator(np.random.PCG64(3)).normal(0.4, 0.1, size=(num_seeds, trials))
    low, high = mean_interval(values)
    covered = ((low <= 0.4) & (high >= 0.4)).mean()
    # A percentile interval of 30 values is known to be a little short.
    assert 0.91 < covered < 0.965


def test_other_levels_nest():
    values = RNG.normal(size=25)
    ends = [mean_interval(values, level=level) for level in (0.5, 0.8, 0.95, 0.99)]
    for inner, outer in pairwise(ends):
        assert outer[0] < inner[0] < inner[1] < outer[1]


def test_shapes_and_columns():
    values = RNG.normal(size=(20, 3, 4))
    low, high = mean_interval(values)
    assert low.shape == high.shape == (3, 4)
    alone = mean_interval(values[:, 1, 2])
    assert (float(low[1, 2]), float(high[1, 2])) == pytest.approx((float(alone[0]), float(alone[1])))


def test_missing_values_are_left_out():
    values = RNG.normal(size=20)
    whole_low, whole_high = mean_interval(values)
    values[3] = np.nan
    low, high = mean_interval(values)
    assert low < np.nanmean(values) < high
    assert high - low == pytest.approx(whole_high - whole_low, rel=0.3)


def test_a_column_without_values_is_nan_and_warns_nobody():
    values = np.stack([RNG.normal(size=20), np.full(20, np.nan)], axis=1)
    low, high = mean_interval(values)
    assert np.isnan(low[1])
    assert np.isnan(high[1])


def test_nothing_at_all():
    low, high = mean_interval(np.full((5, 2), np.nan))
    assert np.isnan(low).all()
    assert np.isnan(high).all()


def test_the_same_values_give_the_same_interval_and_another_seed_another():
    values = RNG.normal(size=15)
    assert mean_interval(values) == mean_interval(values.copy())
    assert mean_interval(values, seed=1) != mean_interval(values)
    assert mean_interval(values + 5.0)[0] == pytest.approx(mean_interval(values)[0] + 5.0)


def test_one_seed_has_no_width():
    low, high = mean_interval(np.array([0.25]))
    assert low == high == 0.25
