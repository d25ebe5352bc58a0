"""False and true verdicts over all pairs of five agents, by simulation: fixed numbers of seeds, and sequential.

    python benchmarks/family_wise_error.py

At a family-wise error of 5 %, at most 5 of 100 experiments may call an agent better than one that is as good, also
where others differ (`two groups`). Each round simulates 250 experiments; agents share the seeds, and a part of the
scores' variance (common random numbers). `found` is the share of true differences that were found, and `seeds` the mean
number that agents were trained with.
"""

import math
from collections.abc import Callable, Sequence

import measuring
import numpy as np

from velodrome.experiments import statistics

LEVEL = 0.05
EXPERIMENTS, QUICK_EXPERIMENTS = 250, 2
NUM_AGENTS = 5
FIRST, MOST = 10, 50
AHEAD = 0.8
NUM_ENVIRONMENTS = 3

Draw = Callable[[np.random.Generator, int], np.ndarray]
# False verdicts, true differences found, true differences, seeds trained.
Counts = tuple[int, int, int, float]


def shift(*ahead: float) -> Draw:
    """Scores normal around each agent's own mean, half of the variance common to the seed."""
    return lambda rng, size: (
        np.array(ahead)[:, np.newaxis] + (rng.normal(size=size) + rng.normal(size=(len(ahead), size))) / math.sqrt(2)
    )


def successes(rng: np.random.Generator, size: int) -> np.ndarray:
    return (rng.random((NUM_AGENTS, size)) < 0.3).astype(np.float64)


def rare(rng: np.random.Generator, size: int) -> np.ndarray:
    return (rng.random((NUM_AGENTS, size)) < 0.1).astype(np.float64)


def shapes(rng: np.random.Generator, size: int) -> np.ndarray:
    """Equal means, and symmetric about them: narrow, wide, and with two peaks."""
    wide = rng.normal(0.5, 0.3, (2, size))
    return np.vstack([rng.normal(0.5, 0.02, (2, size)), wide, rng.random((1, size)) < 0.5])


def failures(rng: np.random.Generator, size: int) -> np.ndarray:
    return np.zeros((NUM_AGENTS, size))


def skewed(rng: np.random.Generator, size: int) -> np.ndarray:
    return rng.lognormal(size=(NUM_AGENTS, size))


# How scores are drawn, and the group of equals that each agent belongs to.
CASES: dict[str, tuple[Draw, Sequence[int]]] = {
    "all equal, normal": (shift(0, 0, 0, 0, 0), (0, 0, 0, 0, 0)),
    "all equal, lognormal": (skewed, (0, 0, 0, 0, 0)),
    "all equal, Bernoulli 0.3": (successes, (0, 0, 0, 0, 0)),
    "all equal, Bernoulli 0.1": (rare, (0, 0, 0, 0, 0)),
    "equal means, unequal shapes": (shapes, (0, 0, 0, 0, 0)),
    "all always 0": (failures, (0, 0, 0, 0, 0)),
    "two groups, 3 and 2": (shift(0, 0, 0, AHEAD, AHEAD), (0, 0, 0, 1, 1)),
    "one ahead": (shift(0, 0, 0, 0, AHEAD), (0, 0, 0, 0, 1)),
}


def count(groups: Sequence[int], verdicts: Sequence[tuple[int, int, bool]], seeds: float) -> Counts:
    """`verdicts`: first, second, different."""
    false = any(different and groups[first] == groups[second] for first, second, different in verdicts)
    real = [different for first, second, different in verdicts if groups[first] != groups[second]]
    return int(false), sum(real), len(real), seeds


def fixed(size: int) -> Callable[[Draw, Sequence[int], int], Counts]:
    """Permutation tests of all pairs with step-down max-T, once."""

    def run(draw: Draw, groups: Sequence[int], experiment: int) -> Counts:
        scores = draw(np.random.Generator(np.random.PCG64(np.random.SeedSequence([size, experiment]))), size)
        found = statistics.compare_all_pairs(list(scores), level=LEVEL, seed=experiment)
        return count(groups, [(pair.first, pair.second, pair.different) for pair in found.pairs], size)

    return run


def over_environments(size: int) -> Callable[[Draw, Sequence[int], int], Counts]:
    """Three environments on which the same seeds run: half of the scores' variance is common to a seed."""

    def run(draw: Draw, groups: Sequence[int], experiment: int) -> Counts:
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([size, experiment, NUM_ENVIRONMENTS])))
        common, own = draw(rng, size), [draw(rng, size) for _ in range(NUM_ENVIRONMENTS)]
        scores = [[(common[agent] + one[agent]) / 2 for one in own] for agent in range(len(groups))]
        seeds = [[range(size)] * NUM_ENVIRONMENTS] * len(groups)
        found = statistics.compare_all_pairs(scores, seeds=seeds, level=LEVEL, seed=experiment)
        return count(groups, [(pair.first, pair.second, pair.different) for pair in found.pairs], size)

    return run


def sequential(spending: str, futility: float) -> Callable[[Draw, Sequence[int], int], Counts]:
    """Looks at 10, 20, … 50 seeds, on undecided pairs only."""

    def run(draw: Draw, groups: Sequence[int], experiment: int) -> Counts:
        scores = draw(np.random.Generator(np.random.PCG64(np.random.SeedSequence([MOST, experiment]))), MOST)
        design = statistics.SequentialDesign.up_to(
            FIRST, MOST, level=LEVEL, spending=spending, futility=futility, seed=experiment
        )  # fmt: skip
        state = statistics.SequentialState.start(NUM_AGENTS, design)
        trained = np.zeros(NUM_AGENTS)
        while not state.is_finished:
            trained[list(state.agents_to_run)] = state.next_size
            state = statistics.look(state, list(scores))
        verdicts = [(pair.first, pair.second, pair.verdict == "different") for pair in state.pairs]
        return count(groups, verdicts, float(trained.mean()))

    return run


PROCEDURES = {
    "fixed, 10 seeds": fixed(FIRST),
    "fixed, 50 seeds": fixed(MOST),
    "three environments, 10 seeds": over_environments(FIRST),
    "three environments, 50 seeds": over_environments(MOST),
    "sequential, linear": sequential("linear", 0.0),
    "sequential, O'Brien-Fleming": sequential("obrien-fleming", 0.0),
    "sequential, futility 0.1": sequential("linear", 0.1),
}


def run_all(rounds: int, quick: bool) -> None:
    """Print the table."""
    experiments = range(rounds * (QUICK_EXPERIMENTS if quick else EXPERIMENTS))
    deviation = math.sqrt(LEVEL * (1 - LEVEL) / len(experiments))
    rows = []
    for name, (draw, groups) in CASES.items():
        for procedure, run in PROCEDURES.items():
            counts = np.array([run(draw, groups, experiment) for experiment in experiments])
            false, found, real, seeds = counts.mean(axis=0)
            met = measuring.verdict(false, LEVEL + 3 * deviation, at_least=False)
            power = f"{found / real:.0%}" if real else "-"
            rows.append([name, procedure, f"{false:.1%}", power, f"{seeds:.1f}", met.split(": ")[1]])
    title = f"five agents, ten pairs, {len(experiments)} experiments each"
    measuring.print_table(title, ["agents", "procedure", "false", "found", "seeds", "at most 5 %"], rows)
    print(f"\nmet: within three standard errors of the simulation, {100 * (LEVEL + 3 * deviation):.1f} %")


def main() -> None:
    given = measuring.arguments(__doc__, 4)
    with measuring.Load():
        run_all(given.rounds, given.quick)


if __name__ == "__main__":
    main()
