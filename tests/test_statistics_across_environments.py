"""One setting for all environments, sensitivity and effective dimensionality, against the papers' formulas."""

import itertools

import numpy as np
import pytest

from velodrome.experiments import statistics
from velodrome.experiments.statistics import StatisticsError

RATES, STEPS = (0.1, 0.3, 1.0), (1, 2)
GRID = list(itertools.product(RATES, STEPS))
PARAMETERS = {"rate": [rate for rate, _ in GRID], "steps": [steps for _, steps in GRID]}


def drawn(seed=0, configurations=6, environments=3, seeds=8, noise=0.3):
    """Two algorithms on environments with scores of very different sizes."""
    rng = np.random.Generator(np.random.PCG64(seed))
    sizes = 10.0 ** np.arange(environments)[:, np.newaxis]
    return {
        name: sizes * (rng.normal(size=(configurations, environments, 1)) + noise * rng.normal(size=seeds))
        for name in ("first", "second")
    }


def gamma(scores):
    """Normalised scores, as the paper writes them."""
    means = {name: values.mean(axis=2) for name, values in scores.items()}
    pool = np.vstack(list(means.values()))
    low, high = np.percentile(pool, 5, axis=0), np.percentile(pool, 95, axis=0)
    return {name: (values - low) / (high - low) for name, values in means.items()}


def test_sensitivity_is_that_of_the_paper():
    scores = drawn()
    found = statistics.sensitivity(scores, num_resamples=50, num_splits=10)
    for name, values in gamma(scores).items():
        each = np.mean([max(values[:, environment]) for environment in range(3)])
        everywhere = max(values[index].mean() for index in range(6))
        assert found[name].performance == pytest.approx(each)
        assert found[name].sensitivity == pytest.approx(each - everywhere)
        assert found[name].everywhere == values.mean(axis=1).argmax()
        assert found[name].per_environment == tuple(values.argmax(axis=0))


def test_sensitivity_of_small_numbers():
    """By hand: 0 and 1 are the 5th and 95th percentile of five evenly spaced scores, .2 and 3.8 of 0 to 4."""
    scores = {"agent": np.array([[0, 4], [1, 3], [2, 2], [3, 1], [4, 0]], dtype=float)[:, :, np.newaxis]}
    found = statistics.sensitivity(scores)["agent"]
    assert found.performance == pytest.approx((4 - 0.2) / 3.6)
    assert found.sensitivity == pytest.approx((4 - 0.2) / 3.6 - 0.5)
    assert found.sensitivity_interval.reason == "one seed"
    assert np.isnan(found.held_out)


def test_an_algorithm_with_one_best_setting_is_not_sensitive():
    rng = np.random.Generator(np.random.PCG64(1))
    scores = np.arange(8.0)[:, np.newaxis, np.newaxis] + 0.01 * rng.normal(size=(8, 4, 10))
    found = statistics.sensitivity({"agent": scores}, num_resamples=200, num_splits=20)["agent"]
    assert found.sensitivity == found.held_out == 0.0
    assert 0.0 in found.sensitivity_interval


def test_scales_of_environments_do_not_matter():
    scores = drawn()
    stretched = {name: 5.0 - 1e-3 + 7.0 * values for name, values in scores.items()}
    first, second = (statistics.sensitivity(one, num_resamples=50, num_splits=10) for one in (scores, stretched))
    assert first["first"].sensitivity == pytest.approx(second["first"].sensitivity)
    assert first["second"].sensitivity_interval.high == pytest.approx(second["second"].sensitivity_interval.high)
    assert first["first"].held_out == pytest.approx(second["first"].held_out)


def test_intervals_hold_the_truth():
    held, experiments = 0, 60
    for experiment in range(experiments):
        rng = np.random.Generator(np.random.PCG64(experiment))
        means = rng.normal(size=(12, 1)) + 0.7 * rng.normal(size=(12, 3))
        truth = statistics.sensitivity({"agent": means[:, :, np.newaxis]})["agent"]
        scores = means[:, :, np.newaxis] + 0.5 * rng.normal(size=(12, 3, 10))
        found = statistics.sensitivity({"agent": scores}, num_resamples=200, num_splits=1)["agent"]
        held += truth.sensitivity in found.sensitivity_interval
        held += truth.performance in found.performance_interval
    assert held / (2 * experiments) > 0.95 - 3 * np.sqrt(0.95 * 0.05 / (2 * experiments))


def test_settings_are_those_of_the_paper():
    scores = drawn(seed=3, seeds=4)
    found = statistics.settings_across_environments(scores)
    pools = [np.concatenate([values[:, environment].ravel() for values in scores.values()]) for environment in range(3)]
    for name, values in scores.items():
        ranks = np.array([[[np.mean(pools[e] <= g) for g in values[h, e]] for e in range(3)] for h in range(6)])
        np.testing.assert_allclose(found[name].normalised, ranks.mean(axis=(1, 2)))
        assert found[name].everywhere == ranks.mean(axis=(1, 2)).argmax()
        assert found[name].per_environment == tuple(values.mean(axis=2).argmax(axis=0))


def test_one_environment_does_not_outweigh_the_others():
    """The second configuration is a million ahead on one environment, and behind on the two others."""
    scores = np.array([[0.0, 1.0, 1.0], [1e6, 0.5, 0.5], [0.0, 0.0, 0.0]])[:, :, np.newaxis]
    assert statistics.settings_across_environments({"agent": scores})["agent"].everywhere == 0
    assert scores.mean(axis=(1, 2)).argmax() == 1


def test_effective_dimensionality_is_that_of_the_paper():
    scores = drawn(seed=5)
    found = statistics.effective_dimensionality(scores, dict.fromkeys(scores, PARAMETERS), num_resamples=20)
    for name, values in gamma(scores).items():
        default = GRID[values.mean(axis=1).argmax()]
        best = []
        for number in range(3):
            of_number = []
            for tuned in itertools.combinations(range(2), number):
                rows = [all(p in tuned or cell[p] == default[p] for p in range(2)) for cell in GRID]
                of_number.append(values[rows].max(axis=0).mean())
            best.append(max(of_number))
        np.testing.assert_allclose(found[name].performance, best)
        assert found[name].effective == next(number for number in range(3) if best[number] >= 0.95 * best[2])
        assert found[name].low <= found[name].effective <= found[name].high


def test_one_parameter_may_be_enough():
    """The best rate is another on each environment, the number of steps makes nothing."""
    scores = np.zeros((6, 3, 1))
    for place, (rate, _) in enumerate(GRID):
        scores[place, RATES.index(rate)] = 1.0
    found = statistics.effective_dimensionality({"agent": scores}, {"agent": PARAMETERS})["agent"]
    assert (found.effective, found.tuned[1]) == (1, ("rate",))


@pytest.mark.parametrize("function", [statistics.sensitivity, statistics.settings_across_environments])
@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({}, "scores: must be a mapping of at least one algorithm"),
        ([1.0], "scores: must be a mapping of at least one algorithm"),
        ({"a": np.zeros((2, 3))}, r"scores of a: must have the axes (num_configurations, num_environments, num_seeds)"),
        ({"a": [[[1.0], [1.0, 2.0]]]}, "scores of a: every configuration needs the same seeds on every environment"),
        (
            {"a": [[[1.0], [1.0]], [[2.0], [np.nan]]]},
            "scores of a: configuration 1 has no finite score on environment 1 with seed 0 (1 missing in all)",
        ),
        (
            {"a": np.zeros((2, 2, 3)), "b": np.zeros((2, 3, 3))},
            "scores of b: 3 environments with 3 seeds, but a has 2 with 3; all algorithms need the same",
        ),
    ],
)
def test_bad_scores_are_one_line(function, scores, message):
    with pytest.raises(StatisticsError) as caught:
        function(scores)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_other_bad_input_is_one_line():
    scores = drawn()
    with pytest.raises(StatisticsError, match="over environments and needs at least two, got one"):
        statistics.sensitivity({"a": np.zeros((3, 1, 2))})
    with pytest.raises(StatisticsError, match="scores of a: sensitivity needs at least two configurations, got one"):
        statistics.sensitivity({"a": np.zeros((1, 2, 2))})
    with pytest.raises(StatisticsError, match="on environment 1 nine in ten configurations score the same"):
        statistics.sensitivity({"a": scores["first"] * np.array([1.0, 0.0, 1.0])[:, np.newaxis]})
    with pytest.raises(StatisticsError, match="level: must be between 0 and 1"):
        statistics.sensitivity(scores, level=1.0)
    for name in ("num_resamples", "num_splits"):
        with pytest.raises(StatisticsError, match=f"{name}: must be at least 1, got 0"):
            statistics.sensitivity(scores, **{name: 0})
    with pytest.raises(StatisticsError, match="share: must be between 0 and 1"):
        statistics.effective_dimensionality(scores, {}, share=95)
    with pytest.raises(StatisticsError, match="parameters of first: at least one must vary"):
        statistics.effective_dimensionality(scores, {"second": PARAMETERS})
    with pytest.raises(StatisticsError, match="rate must have one value for each of 6 configurations, got 2"):
        statistics.effective_dimensionality(scores, {"first": {"rate": [1, 2]}})
    sampled = {"rate": np.arange(6) / 7, "steps": np.arange(6)}
    with pytest.raises(StatisticsError, match="no two configurations share a value"):
        statistics.effective_dimensionality(scores, dict.fromkeys(scores, sampled))
