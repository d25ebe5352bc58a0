"""How often intervals cover the truth, by simulation: every method, and the one that tables use.

    python benchmarks/interval_coverage.py

A 95 % interval should cover in 93 to 97 of 100 experiments. Each round simulates 500 experiments for every kind of
scores and number of seeds; shares that lie outside are marked with `!`: the table says where not to trust them. `best`
is what `best_interval` chose in each experiment. A table of paired differences follows, of two agents that both score
at random and of one against another that always scores the same; tables use the interval by sign flips there, which
never contradicts the test. Then three environments with the same seeds: the mean where their scores are taken for
independent runs and where they are counted by seed, and the difference of two agents. A table is of success
rates: Wilson's interval of one set of episodes, and the two-stage bootstrap of seeds whose rate is known from 20
episodes each. The last three are of single runs: how often a tolerance interval holds the share of them that it says,
and how often one that lies one score further in does, as rlevaluation 1.1.2 takes it; the distance of the quartiles;
and how often a band of a performance profile holds the whole of it, and one of its points. What needs no assumption
covers at least what it says, and more where few seeds leave no choice: `!` marks these tables below 95 % alone.
"""

import math
from collections.abc import Callable

import measuring
import numpy as np

from velodrome.experiments import statistics
from velodrome.experiments.statistics.best_interval import chosen_method
from velodrome.experiments.statistics.profiles import ProfileBand
from velodrome.experiments.statistics.tolerance import tolerance_cut

LEVEL = 0.95
FROM, TO = 0.93, 0.97
EXPERIMENTS, QUICK_EXPERIMENTS = 500, 3
NUM_RESAMPLES = 1000
SIZES = (3, 5, 10, 30, 100)
METHODS = ("percentile", "expanded percentile", "bca", "bootstrap-t")
HEADER = ("t", *METHODS, "best")
DIFFERENCE_HEADER = ("t", "best", "sign flips")
OVERALL_HEADER = ("independent", "by seed", "difference")
NUM_ENVIRONMENTS = 3
EPISODES = 20

Quantiles = Callable[[np.ndarray], np.ndarray]


def normal(shares: np.ndarray) -> np.ndarray:
    from scipy.special import ndtri

    return np.asarray(ndtri(shares))


def mixture(shares: np.ndarray) -> np.ndarray:
    """Success rates of seeds: a fifth fails, two fifths are perfect, the others lie between."""
    return np.clip((shares - 0.2) / 0.4, 0.0, 1.0)


def failing(share: float, spread: float = 0.0) -> tuple[Quantiles, float]:
    """Scores of seeds that are nearly equal, but for a share that fails: by 1, or by anything up to `spread`."""

    def quantiles(shares: np.ndarray) -> np.ndarray:
        below = np.minimum(shares / share, 1.0)
        others = 0.015 * normal(np.clip((shares - share) / (1 - share), 1e-12, 1 - 1e-12)) if not spread else 0.0
        return np.where(shares < share, spread * (below - 1) if spread else -1.0, others)

    return quantiles, -share * (spread / 2 if spread else 1.0)


# Quantile functions, and means; interquartile means are means of the quantiles between the quartiles.
SCORES: dict[str, tuple[Quantiles, float]] = {
    "normal": (normal, 0.0),
    "exponential": (lambda shares: -np.log1p(-shares), 1.0),
    "lognormal": (lambda shares: np.exp(normal(shares)), math.exp(0.5)),
    "mixture": (mixture, 0.6),
    "Bernoulli 0.3": (lambda shares: (shares >= 0.7).astype(np.float64), 0.3),
    "Bernoulli 0.05": (lambda shares: (shares >= 0.95).astype(np.float64), 0.05),
    "2 % fail": failing(0.02),
    "5 % fail": failing(0.05),
    "10 % fail": failing(0.1),
    "20 % fail": failing(0.2),
    "30 % fail": failing(0.3),
    "20 % fail more or less": failing(0.2, 2.0),
}
AGGREGATES = {"mean": statistics.mean, "IQM": statistics.iqm}


def true_value(kind: str, aggregate: str) -> float:
    quantiles, mean = SCORES[kind]
    middle = 0.25 + (np.arange(200_000) + 0.5) / 400_000
    return mean if aggregate == "mean" else float(quantiles(middle).mean())


def covered(kind: str, aggregate: str, size: int, experiments: range) -> dict[str, float]:
    """Share of experiments in which each method's interval holds the true value."""
    statistic, truth = AGGREGATES[aggregate], true_value(kind, aggregate)
    hits = dict.fromkeys(HEADER, 0)
    for experiment in experiments:
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([size, experiment])))
        scores = SCORES[kind][0](rng.random(size))
        intervals = {"t": statistics.t_interval(scores, statistic, level=LEVEL)}
        for method in METHODS:
            intervals[method] = statistics.bootstrap_interval(
                scores, statistic, method=method, level=LEVEL, num_resamples=NUM_RESAMPLES, seed=experiment
            )  # fmt: skip
        intervals["best"] = intervals[chosen_method([scores], statistic)]
        for name, interval in intervals.items():
            hits[name] += interval.low - 1e-9 <= truth <= interval.high + 1e-9
    return {name: count / len(experiments) for name, count in hits.items()}


def differences_covered(kind: str, is_against_constant: bool, size: int, experiments: range) -> dict[str, float]:
    """Share of experiments in which each interval of the mean paired difference holds the true one."""
    quantiles, mean = SCORES[kind]
    truth = mean if is_against_constant else mean / 2
    hits = dict.fromkeys(DIFFERENCE_HEADER, 0)
    for experiment in experiments:
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([size, experiment])))
        first = quantiles(rng.random(size))
        second = np.zeros(size) if is_against_constant else quantiles(rng.random(size)) / 2
        intervals = {
            "t": statistics.t_interval(first - second, level=LEVEL),
            "best": statistics.best_interval(first - second, level=LEVEL, num_resamples=NUM_RESAMPLES, seed=experiment),
            "sign flips": statistics.paired_difference(first, second, level=LEVEL, seed=experiment).interval,
        }
        for name, interval in intervals.items():
            hits[name] += interval.low - 1e-9 <= truth <= interval.high + 1e-9
    return {name: count / len(experiments) for name, count in hits.items()}


def overall_covered(kind: str, size: int, experiments: range) -> dict[str, float]:
    """Share of experiments in which intervals over three environments with the same seeds hold the true value."""
    quantiles, mean = SCORES[kind]
    hits = dict.fromkeys(OVERALL_HEADER, 0)
    for experiment in experiments:
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([size, experiment])))
        first, second = (_on_environments(quantiles, rng, size) for _ in range(2))
        numbers, apart = statistics.by_seed(first), statistics.best_interval(first, level=LEVEL, seed=experiment)
        difference = statistics.paired_difference(first, second, seeds=[range(size)] * NUM_ENVIRONMENTS, level=LEVEL)
        hits["independent"] += apart.low <= mean <= apart.high
        together = statistics.best_interval(numbers, level=LEVEL, num_resamples=NUM_RESAMPLES, seed=experiment)
        hits["by seed"] += together.low <= mean <= together.high
        hits["difference"] += difference.interval.low <= 0 <= difference.interval.high
    return {name: number / len(experiments) for name, number in hits.items()}


def _on_environments(quantiles: Quantiles, rng: np.random.Generator, size: int) -> list[np.ndarray]:
    """Scores of three environments, of which each takes its own or, half of the time, the seed's common one."""
    common = rng.random(size)
    own = (np.where(rng.random(size) < 0.5, common, rng.random(size)) for _ in range(NUM_ENVIRONMENTS))
    return [quantiles(shares) for shares in own]


def wilson_covered(rate: float, size: int, experiments: range) -> float:
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([size, experiments.start])))
    counts = rng.binomial(size, rate, len(experiments))
    return float(np.mean([rate in statistics.wilson_interval(int(count), size, level=LEVEL) for count in counts]))


def hierarchical_covered(rate: float, size: int, experiments: range) -> float:
    """Seeds' rates have a beta distribution with as much spread as a fair coin's has in nine flips."""
    hits = 0
    for experiment in experiments:
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([size, experiment])))
        successes = rng.binomial(EPISODES, rng.beta(8 * rate, 8 * (1 - rate), size))
        hits += rate in statistics.hierarchical_success_interval(
            successes, EPISODES, level=LEVEL, num_resamples=NUM_RESAMPLES, seed=experiment
        )  # fmt: skip
    return hits / len(experiments)


def runs_held(share: float, size: int, experiments: range) -> dict[str, float]:
    """Share of experiments in which two scores hold a share of all runs between them, whatever the distribution."""
    cut = tolerance_cut(size, share, LEVEL)
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([size, experiments.start])))
    ordered = np.sort(rng.random((len(experiments), size)), axis=1)
    return {
        name: float(np.mean(ordered[:, size - place] - ordered[:, place - 1] >= share)) if cut else math.nan
        for name, place in (("tolerance", max(cut, 1)), ("one further in", cut + 1))
    }


def quartiles_covered(kind: str, size: int, experiments: range) -> float:
    """Share of experiments in which the interval of the distance of the quartiles holds the true one."""
    low, high = SCORES[kind][0](np.array([0.25, 0.75]))
    hits = 0
    for experiment in experiments:
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([size, experiment])))
        _, interval = statistics.percentile_range(SCORES[kind][0](rng.random(size)), level=LEVEL)
        hits += interval.low - 1e-9 <= high - low <= interval.high + 1e-9
    return hits / len(experiments)


def profile_covered(band: ProfileBand, size: int, experiments: range) -> tuple[float, float]:
    """Share of experiments in which the band holds the whole profile of uniform scores, and share of points held."""
    taus = np.linspace(0.0, 1.0, 101)
    whole = points = 0.0
    for experiment in experiments:
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([size, experiment])))
        found = statistics.performance_profile(
            rng.random(size), taus, band=band, level=LEVEL, num_resamples=NUM_RESAMPLES, seed=experiment
        )
        held = (found.low - 1e-9 <= 1 - taus) & (1 - taus <= found.high + 1e-9)
        whole, points = whole + held.all(), points + held.mean()
    return whole / len(experiments), points / len(experiments)


def at_least(share: float) -> str:
    return "" if math.isnan(share) else f"{100 * share:.1f}{' ' if share >= LEVEL else '!'}"


def as_share(share: float) -> str:
    return f"{100 * share:.1f}{' ' if FROM <= share <= TO else '!'}"


def run_all(rounds: int, quick: bool) -> None:
    """Print the tables."""
    experiments = range(rounds * (QUICK_EXPERIMENTS if quick else EXPERIMENTS))
    for aggregate in AGGREGATES:
        rows = []
        for kind in SCORES:
            for size in SIZES:
                shares = covered(kind, aggregate, size, experiments)
                rows.append([kind, str(size), *(as_share(shares[name]) for name in HEADER)])
        title = f"{aggregate}: % of {len(experiments)} experiments in which the {LEVEL:.0%} interval covers"
        measuring.print_table(title, ["scores", "seeds", *HEADER], rows)
    rows = []
    for kind in SCORES:
        for is_against_constant in (False, True):
            for size in SIZES:
                shares = differences_covered(kind, is_against_constant, size, experiments)
                against = "a constant" if is_against_constant else "another"
                rows.append([f"{kind} − {against}", str(size), *(as_share(share) for share in shares.values())])
    title = f"paired differences: % of {len(experiments)} experiments in which the {LEVEL:.0%} interval covers"
    measuring.print_table(title, ["scores", "seeds", *DIFFERENCE_HEADER], rows)
    rows = []
    for kind in SCORES:
        for size in SIZES:
            rows.append([kind, str(size), *map(as_share, overall_covered(kind, size, experiments).values())])
    title = f"three environments, same seeds: % of {len(experiments)} experiments in which the interval covers"
    measuring.print_table(title, ["scores", "seeds", *OVERALL_HEADER], rows)
    rows = []
    for rate in (0.3, 0.05):
        for size in SIZES:
            shares_of = (wilson_covered, hierarchical_covered)
            rows.append(
                [f"rate {rate:g}", str(size), *(as_share(share(rate, size, experiments)) for share in shares_of)]
            )
    title = f"success rates: % of {len(experiments)} experiments in which the {LEVEL:.0%} interval covers"
    measuring.print_table(title, ["scores", "n", "Wilson", "hierarchical"], rows)
    rows = [
        [f"{share:g} of runs", str(size), *map(at_least, runs_held(share, size, range(40 * len(experiments))).values())]
        for share in (0.5, 0.8, 0.9)
        for size in (10, 30, 46, 60, 100)
    ]
    title = f"single runs: % of {40 * len(experiments)} experiments in which the interval holds so many"
    measuring.print_table(title, ["share", "seeds", "tolerance", "one further in"], rows)
    rows = [
        [kind, *(at_least(quartiles_covered(kind, size, experiments)) for size in SIZES)]
        for kind in ("normal", "exponential", "lognormal", "mixture", "Bernoulli 0.3")
    ]
    title = f"distance of the quartiles: % of {len(experiments)} experiments in which the interval covers, by seeds"
    measuring.print_table(title, ["scores", *map(str, SIZES)], rows)
    rows = []
    for size in SIZES:
        both = [share for band in ("bootstrap", "dkw") for share in profile_covered(band, size, experiments)]
        rows.append([str(size), *map(at_least, both)])
    title = f"profiles: % of {len(experiments)} experiments in which the band holds all of it, and % of points held"
    measuring.print_table(title, ["seeds", "bootstrap: all", "points", "dkw: all", "points"], rows)
    deviation = math.sqrt(LEVEL * (1 - LEVEL) / len(experiments))
    print(f"\n! outside {FROM:.0%} to {TO:.0%}; the simulation's own standard error is {100 * deviation:.1f} %")


def main() -> None:
    given = measuring.arguments(__doc__, 4)
    with measuring.Load():
        run_all(given.rounds, given.quick)


if __name__ == "__main__":
    main()
