"""rliable's numbers, stored: rliable 1.2.0 with arch 7.2.0, pandas 2.3.3 and NumPy 2.4.6.

Intervals are of 20,000 resamples (IQM, mean) and 5000 (the others); `benchmarks/statistics_vs_rliable.py` runs it anew.
"""

import numpy as np
import pytest

from velodrome.experiments import statistics

CASES = {
    "rliable 1.2.0, 7 seeds, 3 environments": {
        "first": [
            [0.5134, 0.7547, 0.8125, 0.4431, 0.0641, 0.9342, 0.742],
            [1.1401, 0.8486, 0.3671, 0.233, 0.3399, 0.2638, 0.4241],
            [0.3932, 1.3852, 0.8921, 0.6691, 0.1161, 0.8324, 0.6471],
        ],
        "second": [
            [0.5134, 0.7547, 0.7111, 0.8288, 0.8823, 0.7411, 0.3998, 0.4927, 0.7394],
            [1.1401, 0.8486, 0.2045, 0.751, -0.0328, -0.2071, 0.8126, 0.6371, 0.458],
            [0.3932, 1.3852, 1.0543, 0.6607, 0.7456, 0.6388, 0.3244, 0.1495, 0.697],
        ],
        "thresholds": [-0.5, 0, 0.25, 0.5, 0.75, 1, 1.5],
        "target": 0.8,
        "mean": 0.6102761904761905,
        "median": 0.6091428571428571,
        "iqm": 0.5998818181818181,
        "optimality_gap": 0.24901428571428574,
        "probability_of_improvement": 0.5132275132275131,
        "profile": [1.0, 1.0, 0.8571428571428571, 0.5714285714285714, 0.38095238095238093, 0.09523809523809523, 0.0],
        "profile_band": [
            [1.0, 1.0, 0.7142857142857143, 0.38095238095238093, 0.19047619047619047, 0.0, 0.0],
            [1.0, 1.0, 1.0, 0.7619047619047619, 0.5714285714285714, 0.23809523809523808, 0.0],
        ],
        "iqm_interval": [0.4369070454545455, 0.7612840909090907],
        "mean_interval": [0.47462857142857146, 0.7515970238095236],
        "probability_interval": [0.335978835978836, 0.6799603174603166],
    },
    "rliable 1.2.0, 10 seeds, 2 environments": {
        "first": [
            [0.3239, 0.7869, 0.926, 1.1621, 0.1011, 1.3457, 0.825, 0.6241, 0.6655, 0.1492],
            [0.7729, 1.564, 0.4645, 0.7533, 0.145, 0.0791, 0.6815, 0.4252, 0.4648, 1.1279],
        ],
        "second": [
            [0.3239, 0.7869, 0.926, -0.0791, 1.5278, 0.2412, 0.1679, 0.3601, 0.9379, 0.8676],
            [0.7729, 1.564, 0.4645, 1.0295, 0.1716, 0.7385, 0.3918, 0.5768, 0.5088, 0.332],
        ],
        "thresholds": [-0.5, 0, 0.25, 0.5, 0.75, 1, 1.5],
        "target": 0.8,
        "mean": 0.669385,
        "median": 0.669385,
        "iqm": 0.64637,
        "optimality_gap": 0.23814999999999997,
        "probability_of_improvement": 0.51,
        "profile": [1.0, 1.0, 0.8, 0.6, 0.45, 0.2, 0.05],
        "profile_band": [[1.0, 1.0, 0.6, 0.4, 0.25, 0.05, 0.0], [1.0, 1.0, 0.95, 0.8, 0.65, 0.4, 0.15]],
        "iqm_interval": [0.43970000000000004, 0.8452814999999999],
        "mean_interval": [0.4979062500000001, 0.848955],
        "probability_interval": [0.325, 0.690062499999999],
    },
}


@pytest.fixture(params=CASES)
def case(request):
    stored = CASES[request.param]
    return {name: np.array(value) if name != "target" else value for name, value in stored.items()} | {
        "first": [np.array(scores) for scores in stored["first"]],
        "second": [np.array(scores) for scores in stored["second"]],
    }


@pytest.mark.parametrize("name", ["mean", "median", "iqm"])
def test_aggregates(case, name):
    assert getattr(statistics, name)(case["first"]) == pytest.approx(float(case[name]), abs=1e-12)


def test_the_optimality_gap(case):
    expected = float(case["optimality_gap"])
    assert statistics.optimality_gap(case["first"], case["target"]) == pytest.approx(expected, abs=1e-12)
    own = [case["target"]] * len(case["first"])
    assert statistics.optimality_gap(case["first"], own) == pytest.approx(expected, abs=1e-12)


def test_the_probability_of_improvement(case):
    found = statistics.probability_of_improvement(case["first"], case["second"])
    assert found == pytest.approx(float(case["probability_of_improvement"]), abs=1e-12)


def test_the_performance_profile(case):
    profile = statistics.performance_profile(case["first"], case["thresholds"])
    assert profile.shares == pytest.approx(case["profile"], abs=1e-12)
    # A share is a multiple of one over the number of scores, and so is an end.
    step = 1 / sum(len(scores) for scores in case["first"])
    assert np.stack([profile.low, profile.high]) == pytest.approx(case["profile_band"], abs=step + 1e-9)


@pytest.mark.parametrize("name", ["iqm", "mean"])
def test_percentile_intervals_within_their_own_error(case, name):
    expected = case[f"{name}_interval"]
    found = statistics.bootstrap_interval(case["first"], getattr(statistics, name), num_resamples=20_000)
    # Of a 2.5 % quantile of 20,000 normal numbers, twice, in four standard errors.
    error = 4 * np.sqrt(2 * 0.025 * 0.975 / 20_000) / 0.0584 * np.ptp(expected) / 3.92
    assert [found.low, found.high] == pytest.approx(expected, abs=error)


def test_the_interval_of_the_probability_of_improvement_within_its_own_error(case):
    expected = case["probability_interval"]
    found = statistics.probability_of_improvement_interval(case["first"], case["second"], num_resamples=5000)
    error = 4 * np.sqrt(2 * 0.025 * 0.975 / 5000) / 0.0584 * np.ptp(expected) / 3.92
    assert [found.low, found.high] == pytest.approx(expected, abs=error)
