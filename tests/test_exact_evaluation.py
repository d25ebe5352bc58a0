"""Exact values of greedy policies equal what their episodes give on average, in the compiled loop."""

import math
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
EPISODES = 30_000
# Of a dozen estimates one in thirty runs has one beyond 3 standard errors by chance; beyond 4, one in a thousand.
FEW_EPISODES_LARGEST = 4.0
# The quickest, that still have ties, time limits that cut, failures, and every kind of environment among them.
QUICK = (
    "FrozenLake, best",
    "FrozenLake without slipping, ties",
    "FrozenLake 8x8, learnt",
    "Taxi, learnt",
    "CliffWalking, slippery",
    "GridWorld, slippery",
    "Garnet, half learnt",
    "BernoulliBandit, ties",
)


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import exact_vs_sampled

    return exact_vs_sampled


def _all_agree(benchmark, name, episodes, largest):
    found = benchmark.sample(benchmark.learn(benchmark.CASES[name]), episodes, seed=1)
    for one in found:
        assert abs(one.z) <= largest, one


@pytest.mark.parametrize("name", QUICK)
def test_exact_values_are_the_averages_of_many_episodes(benchmark, name):
    _all_agree(benchmark, name, EPISODES, FEW_EPISODES_LARGEST)


@pytest.mark.slow
def test_exact_values_are_the_averages_of_a_million_episodes(benchmark):
    assert len({case.environment for case in benchmark.CASES.values()}) >= 6
    for name in benchmark.CASES:
        _all_agree(benchmark, name, benchmark.EPISODES, benchmark.LARGEST)


def test_ties_at_random_are_not_ties_by_the_first_index(benchmark):
    """What the comparison would see, if an evaluation broke ties in another way than the agent does."""
    from velodrome.agents.planning.dynamic_programming import evaluate_policy
    from velodrome.agents.tabular.greedy_table import greedy_probabilities

    trial = benchmark.learn(benchmark.CASES["FrozenLake without slipping, ties"])
    _, success = benchmark.sample(trial, EPISODES, seed=1)
    wrong = greedy_probabilities(trial.trained.action_values, "first")
    value = evaluate_policy(trial.profile.model, wrong, trial.profile.success)
    assert abs(success._replace(exact=value.success_rate).z) > 10 > abs(success.z)


def test_what_does_not_vary_must_be_equal(benchmark):
    trial = benchmark.learn(benchmark.CASES["CliffWalking, learnt"])
    mean_return, success = benchmark.sample(trial, 100, seed=1)
    assert (mean_return.exact, mean_return.standard_error, success.standard_error) == (-13.0, 0.0, 0.0)
    assert mean_return.z == success.z == 0.0
    assert mean_return._replace(estimate=-13.001).z == math.inf
