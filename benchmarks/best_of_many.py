"""The best of many configurations, by simulation: how often the set of the possibly best holds it, and the optimism.

    python benchmarks/best_of_many.py

`held` is the share of experiments in which the set holds the truly best configuration, at a level of 95 %, and `set`
the mean share of the configurations that are in it. `optimism` is by how much the mean of the winner exceeds its true
mean, `estimate` the mean of what is estimated of it, `its sd` the standard deviation of that; `P(winner)` is the mean
probability that the winner is given to be the best. Where all are equal the first counts as the best.
"""

import math
from collections.abc import Callable

import measuring
import numpy as np

from velodrome.experiments import statistics
from velodrome.experiments.tuning.search import rounds_of

LEVEL = 0.95
EXPERIMENTS, QUICK_EXPERIMENTS = 100, 2
# Configurations and seeds.
SIZES = ((10, 3), (20, 10), (50, 10), (50, 30))

# True means and scores of so many configurations on so many seeds.
Drawn = tuple[np.ndarray, np.ndarray]
Draw = Callable[[np.random.Generator, int, int], Drawn]


def apart(standard_errors: float) -> Draw:
    """Normal scores whose true means spread by so many standard errors."""

    def draw(rng: np.random.Generator, configurations: int, seeds: int) -> Drawn:
        means = standard_errors / math.sqrt(seeds) * rng.normal(size=configurations)
        return means, means[:, np.newaxis] + rng.normal(size=(configurations, seeds))

    return draw


def equal(mean: float, scores: Callable[[np.random.Generator, tuple[int, int]], np.ndarray]) -> Draw:
    return lambda rng, configurations, seeds: (np.full(configurations, mean), scores(rng, (configurations, seeds)))


def failing(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """A fifth of the seeds fail."""
    return np.where(rng.random(shape) < 0.2, rng.normal(0.2, 0.05, shape), rng.normal(0.8, 0.05, shape))


CASES: dict[str, Draw] = {
    "equal, normal": apart(0.0),
    "equal, lognormal": equal(math.exp(0.5), lambda rng, shape: rng.lognormal(size=shape)),
    "equal, success of 0.3": equal(0.3, lambda rng, shape: (rng.random(shape) < 0.3).astype(np.float64)),
    "equal, a fifth fails": equal(0.2 * 0.2 + 0.8 * 0.8, failing),
    "apart by a standard error": apart(1.0),
    "apart by three": apart(3.0),
}


def halved(scores: np.ndarray) -> list[np.ndarray]:
    """The scores that halving over seeds leaves: the first ones of those that were given up."""
    given = np.zeros(len(scores), dtype=int)
    running = np.arange(len(scores))
    for number in rounds_of(scores.shape[1], halving=True):
        given[running] = number
        means = scores[running, :number].mean(axis=1)
        running = running[np.argsort(-means, kind="stable")][: math.ceil(len(running) / 2)]
    return [row[:number] for row, number in zip(scores, given, strict=True)]


def experiment(draw: Draw, configurations: int, seeds: int, number: int) -> tuple[float, ...]:
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([configurations, seeds, number])))
    means, scores = draw(rng, configurations, seeds)
    found = statistics.best_set(scores, level=LEVEL, num_permutations=1024, seed=number)
    under_halving = statistics.best_set(halved(scores), level=LEVEL, num_permutations=1024, seed=number)
    return (
        float(int(means.argmax()) in found.members),
        float(int(means.argmax()) in under_halving.members),
        len(found.members) / configurations,
        float(scores[found.winner].mean() - means[found.winner]),
        statistics.optimism_of_winner(scores, num_splits=100, seed=number),
        statistics.probabilities_of_best(scores, num_resamples=200, seed=number)[found.winner],
    )


def run_all(rounds: int, quick: bool) -> None:
    """Print the table."""
    experiments = range(rounds * (QUICK_EXPERIMENTS if quick else EXPERIMENTS))
    least = LEVEL - 3 * math.sqrt(LEVEL * (1 - LEVEL) / len(experiments))
    rows = []
    for configurations, seeds in SIZES:
        for name, draw in CASES.items():
            values = np.array([experiment(draw, configurations, seeds, number) for number in experiments])
            held, held_halved, size, optimism, estimate, probability = values.mean(axis=0)
            numbers = [f"{optimism:.3f}", f"{estimate:.3f}", f"{values[:, 4].std():.3f}", f"{probability:.2f}"]
            met = measuring.verdict(float(held), least, at_least=True)
            rows.append(
                [
                    f"{configurations} × {seeds}",
                    name,
                    f"{held:.1%}",
                    f"{held_halved:.1%}",
                    f"{size:.0%}",
                    *numbers,
                    met.split(": ")[1],
                ]
            )
    title = f"configurations × seeds, {len(experiments)} experiments each"
    columns = [
        "size",
        "configurations",
        "held",
        "halved",
        "set",
        "optimism",
        "estimate",
        "its sd",
        "P(winner)",
        "at least 95 %",
    ]
    measuring.print_table(title, columns, rows)
    print(f"\nmet: within three standard errors of the simulation, {100 * least:.1f} %")


def main() -> None:
    given = measuring.arguments(__doc__, 4)
    with measuring.Load():
        run_all(given.rounds, given.quick)


if __name__ == "__main__":
    main()
