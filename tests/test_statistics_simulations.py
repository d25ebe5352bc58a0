"""What intervals and tests claim, in small simulations; the benchmarks run the large ones."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from velodrome.experiments import statistics

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
EXPERIMENTS = 300


def short_of(share):
    """Three standard errors below a share that was simulated."""
    return share - 3 * math.sqrt(share * (1 - share) / EXPERIMENTS)


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.parametrize("aggregate", ["mean", "IQM"])
@pytest.mark.parametrize("size", [10, 30])
@pytest.mark.parametrize("kind", ["normal", "exponential", "mixture"])
def test_the_default_interval_covers(benchmarks, kind, size, aggregate):
    import interval_coverage

    truth, hits = interval_coverage.true_value(kind, aggregate), 0
    statistic = interval_coverage.AGGREGATES[aggregate]
    for experiment in range(EXPERIMENTS):
        rng = np.random.Generator(np.random.PCG64(experiment))
        scores = interval_coverage.SCORES[kind][0](rng.random(size))
        hits += truth in statistics.best_interval(scores, statistic, num_resamples=500, seed=experiment)
    # Rates of which half are 0 or 1 are covered more than stated.
    assert short_of(0.94) < hits / EXPERIMENTS < (1.0 if kind == "mixture" else 0.99)


@pytest.mark.parametrize(("kind", "size"), [("10 % fail", 30), ("20 % fail", 20), ("20 % fail more or less", 30)])
def test_the_default_interval_covers_where_some_seeds_fail(benchmarks, kind, size):
    import interval_coverage

    quantiles, truth = interval_coverage.SCORES[kind]
    hits = widths = students = 0.0
    for experiment in range(EXPERIMENTS):
        scores = quantiles(np.random.Generator(np.random.PCG64(experiment)).random(size))
        interval = statistics.best_interval(scores, num_resamples=400, seed=experiment)
        hits += truth in interval
        widths, students = widths + interval.width, students + statistics.t_interval(scores).width
    assert hits / EXPERIMENTS > short_of(0.94)
    assert widths < 1.5 * students


@pytest.mark.parametrize(("kind", "size"), [("2 % fail", 10), ("Bernoulli 0.05", 10)])
def test_no_interval_covers_failures_that_were_never_seen(benchmarks, kind, size):
    """What docs/why/statistics.md warns of: most experiments show no failure at all."""
    import interval_coverage

    quantiles, truth = interval_coverage.SCORES[kind]
    draws = (np.random.Generator(np.random.PCG64(experiment)).random(size) for experiment in range(100))
    hits = sum(truth in statistics.best_interval(quantiles(shares), num_resamples=400) for shares in draws)
    assert hits < 70


def test_the_percentile_interval_of_few_seeds_falls_short(benchmarks):
    """So that the choice of another is a choice, and the simulation can tell."""
    import interval_coverage

    shares = interval_coverage.covered("exponential", "mean", 10, range(200))
    assert shares["percentile"] < 0.91 < shares["best"]


def test_wilson_and_the_hierarchical_bootstrap_cover(benchmarks):
    import interval_coverage

    assert interval_coverage.wilson_covered(0.3, 30, range(EXPERIMENTS)) > short_of(0.95)
    assert interval_coverage.hierarchical_covered(0.3, 10, range(EXPERIMENTS)) > short_of(0.95)


@pytest.mark.parametrize(
    "case", ["all equal, normal", "all equal, Bernoulli 0.3", "all always 0", "two groups, 3 and 2"]
)
@pytest.mark.parametrize("procedure", ["fixed, 10 seeds", "sequential, linear"])
def test_the_family_wise_error(benchmarks, case, procedure):
    import family_wise_error

    draw, groups = family_wise_error.CASES[case]
    run, experiments = family_wise_error.PROCEDURES[procedure], 60 if procedure.startswith("fixed") else 25
    false, found, real, _ = np.sum([run(draw, groups, experiment) for experiment in range(experiments)], axis=0)
    assert false / experiments <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / experiments)
    if real and procedure.startswith("sequential"):
        assert found / real > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("procedure", ["fixed, 10 seeds", "sequential, linear"])
def test_the_family_wise_error_of_a_thousand_experiments(benchmarks, procedure):
    import family_wise_error

    draw, groups = family_wise_error.CASES["all equal, normal"]
    counts = [family_wise_error.PROCEDURES[procedure](draw, groups, experiment) for experiment in range(1000)]
    assert np.mean([false for false, _, _, _ in counts]) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1000)


@pytest.mark.parametrize(
    "name",
    [
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("interval_coverage", "best_of_many")),
        "family_wise_error",
        "statistics_vs_rliable",
    ],
)
def test_a_benchmark_runs_or_says_what_it_needs(name):
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), "--quick"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert finished.returncode == 0, finished.stderr
    assert "other programs took" in finished.stdout or "--setup" in finished.stdout


def test_statistics_load_no_heavy_package_until_they_are_used():
    program = "import sys, velodrome.experiments.statistics; print({'scipy', 'pandas', 'numba'} & set(sys.modules))"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert finished.stdout.strip() == "set()"


@pytest.mark.parametrize("kind", ["normal", "exponential", "mixture"])
def test_the_interval_of_a_paired_difference_covers(benchmarks, kind):
    import interval_coverage

    shares = interval_coverage.differences_covered(kind, False, 30, range(EXPERIMENTS))
    assert short_of(0.945) < shares["sign flips"] < 0.99
