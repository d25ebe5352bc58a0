"""The best of many configurations: the set that may hold it, probabilities, and the optimism of the winner."""

import itertools

import numpy as np
import pytest

from velodrome.experiments import statistics
from velodrome.experiments.statistics import StatisticsError

EXPERIMENTS = 150


def drawn(experiment, configurations, seeds, ahead=0.0):
    """Normal scores, half of the variance common to a seed, and true means that spread by `ahead` standard errors."""
    rng = np.random.Generator(np.random.PCG64(experiment))
    means = ahead * rng.normal(size=configurations) / np.sqrt(seeds)
    return means, means[:, np.newaxis] + rng.normal(size=seeds) + rng.normal(size=(configurations, seeds))


def by_hand(scores, index):
    """P-value of "none is better" from the definition, over all signs."""
    differences = np.delete(scores - scores[index], index, axis=0)
    lengths = np.sqrt((differences**2).sum(axis=1))
    statistics_of = [
        ((differences @ np.array(signs)) / lengths).max()
        for signs in itertools.product([1, -1], repeat=scores.shape[1])
    ]
    observed = (differences.sum(axis=1) / lengths).max()
    return np.mean(np.array(statistics_of) >= observed - 1e-12)


def test_p_values_are_those_of_the_definition():
    _, scores = drawn(3, 6, 7, ahead=3.0)
    found = statistics.best_set(scores)
    np.testing.assert_allclose(found.p_values, [by_hand(scores, index) for index in range(6)])
    assert found.members == tuple(index for index, p in enumerate(found.p_values) if p > 0.05)
    assert found.winner == scores.mean(axis=1).argmax()


@pytest.mark.parametrize(("configurations", "seeds", "ahead"), [(10, 6, 0.0), (20, 10, 0.0), (20, 10, 1.0)])
def test_the_set_holds_the_truly_best(configurations, seeds, ahead):
    held = 0
    for experiment in range(EXPERIMENTS):
        means, scores = drawn(experiment, configurations, seeds, ahead)
        held += means.argmax() in statistics.best_set(scores, num_permutations=512).members
    assert held / EXPERIMENTS > 0.95 - 3 * np.sqrt(0.95 * 0.05 / EXPERIMENTS)


def test_the_set_leaves_out_those_that_are_far_behind():
    scores = np.vstack([drawn(0, 5, 8)[1] + 10, drawn(0, 5, 8)[1]])
    assert set(statistics.best_set(scores).members) <= set(range(5))


def test_few_seeds_leave_nothing_out():
    scores = np.arange(5.0)[:, np.newaxis] + np.zeros(4)
    assert statistics.best_set(scores).members == (0, 1, 2, 3, 4)
    assert statistics.best_set(np.hstack([scores, scores])).members == (4,)


def test_equal_scores_are_all_in_the_set_and_share_the_probability():
    scores = np.full((4, 6), 0.3)
    assert statistics.best_set(scores).members == (0, 1, 2, 3)
    assert statistics.probabilities_of_best(scores) == (0.25,) * 4
    assert statistics.optimism_of_winner(scores) == pytest.approx(0.0)


def test_configurations_that_were_given_up_are_compared_on_their_seeds():
    _, scores = drawn(1, 3, 10)
    ragged = [scores[0], scores[1] + 1, (scores[0] - 20)[:6]]
    assert 2 not in statistics.best_set(ragged).members
    probabilities = statistics.probabilities_of_best(ragged)
    assert probabilities[2] == 0
    assert sum(probabilities) == pytest.approx(1)


def test_the_probabilities_are_those_of_a_known_posterior():
    """Two configurations that differ by normal noise: Student's t of the mean difference, nearly."""
    from scipy.stats import t

    rng = np.random.Generator(np.random.PCG64(5))
    common = rng.normal(size=40)
    differences = rng.normal(0.2, 1.0, 40)
    first = statistics.probabilities_of_best([common + differences, common], num_resamples=20_000)[0]
    student = t.cdf(differences.mean() / differences.std(ddof=1) * np.sqrt(40), 39)
    assert first == pytest.approx(student, abs=0.02)


@pytest.mark.parametrize(
    ("configurations", "seeds", "ahead"), [(10, 3, 0.0), (20, 10, 0.0), (50, 10, 0.0), (20, 10, 1.0), (20, 10, 10.0)]
)
def test_the_optimism_is_right_on_average(configurations, seeds, ahead):
    true, estimated = [], []
    for experiment in range(EXPERIMENTS):
        means, scores = drawn(experiment, configurations, seeds, ahead)
        winner = scores.mean(axis=1).argmax()
        # What is common to the seeds is nobody's luck, and no choice can profit from it.
        true.append((scores[winner] - means[winner]).mean() - scores.mean() + means.mean())
        estimated.append(statistics.optimism_of_winner(scores, num_splits=60, seed=experiment))
    error = np.sqrt((np.var(true) + np.var(estimated)) / EXPERIMENTS)
    assert abs(np.mean(true) - np.mean(estimated)) < 3 * error + 0.15 / np.sqrt(seeds)


def test_the_same_seed_gives_the_same_bits():
    _, scores = drawn(2, 4, 12)
    for function in (statistics.best_set, statistics.probabilities_of_best, statistics.optimism_of_winner):
        assert function(scores, seed=1) == function(scores.tolist(), seed=1)


@pytest.mark.parametrize(
    "function", [statistics.best_set, statistics.probabilities_of_best, statistics.optimism_of_winner]
)
@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([[1.0, 2.0]], "scores: the best of configurations needs at least two of them, got 1"),
        ([[1.0], [2.0]], "scores: the best of configurations needs at least two seeds, got one"),
        ([[1.0, 2.0], [np.nan, 1.0]], "scores[1]: 1 of 2 are not finite numbers"),
        ([1.0, 2.0], "scores[0]: must have one axis"),
        (3.0, "scores: must be arrays of scores, one array a configuration"),
    ],
)
def test_bad_scores_are_one_line(function, scores, message):
    with pytest.raises(StatisticsError) as caught:
        function(scores)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_other_bad_input_is_one_line():
    scores = [[1.0, 2.0], [3.0, 1.0]]
    with pytest.raises(StatisticsError, match="level: must be between 0 and 1, got 95"):
        statistics.best_set(scores, level=95)
    with pytest.raises(StatisticsError, match="num_permutations: must be at least 1"):
        statistics.best_set(scores, num_permutations=0)
    with pytest.raises(StatisticsError, match="num_resamples: must be at least 1"):
        statistics.probabilities_of_best(scores, num_resamples=0)
    with pytest.raises(StatisticsError, match="num_splits: must be at least 1"):
        statistics.optimism_of_winner(scores, num_splits=0)
    with pytest.raises(StatisticsError, match="all configurations must have the same seeds, got 1 to 2 of them"):
        statistics.optimism_of_winner([[1.0, 2.0], [3.0]])
    with pytest.raises(StatisticsError, match="every configuration needs at least two seeds"):
        statistics.probabilities_of_best([[1.0, 2.0], [3.0]])
