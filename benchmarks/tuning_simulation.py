"""Equal configurations, the best of them chosen: what naive tuning claims, and what `tune` says, by simulation.

    python benchmarks/tuning_simulation.py

All configurations, and an agent that they are compared with, have normal scores of mean 0 and deviation 1. `naive` is
the chosen configuration's own interval on its tuning seeds, and its comparison with the other agent on these; `fresh`
is what `vd.tune` says, end to end: chosen on tuning seeds, run again on 30 fresh ones. `covers` is the share of 95 %
intervals that hold the truth, 0; `better` how often the chosen one is called better than an agent that is as good.
"""

import math
import os
import warnings
from typing import Any

import gymnasium as gym
import measuring
import numpy as np

import velodrome as vd
from velodrome.experiments.errors import ExperimentWarning

FRESH = 30
# Configurations, tuning seeds, whether the worse half is given up on the way, and experiments of a round.
CASES = [(10, 3, False, 250), (20, 10, False, 100), (50, 10, False, 50), (50, 30, False, 25), (50, 30, True, 25)]
# Seeds of one simulated experiment.
APART = 1000


class Answer(gym.Env[int, np.ndarray]):
    """One step, whose reward is the action."""

    observation_space = gym.spaces.Discrete(1)
    action_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float64)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        return 0, {}

    def step(self, action: np.ndarray) -> tuple[int, float, bool, bool, dict[str, Any]]:
        return 0, float(action[0]), True, False, {}


class Luck(vd.Agent):
    """Its score is a normal number, another one for each number and seed."""

    number: int = 0

    def begin(self, observation_space: Any, action_space: Any, rng: np.random.Generator) -> None:
        own = np.random.default_rng([self.number, int(rng.integers(2**31))])
        self.answer = own.normal(size=1)

    def act(self, observation: Any, explore: bool = False) -> np.ndarray:
        return self.answer


def make_answer() -> gym.Env[int, np.ndarray]:
    """Environment of all trials."""
    return Answer()


def simulated(configurations: int, num_seeds: int, halving: bool, experiment: int) -> tuple[bool, bool, bool, bool]:
    """Whether naive and fresh intervals cover the truth, and whether each calls the chosen one better."""
    tuning_seeds = list(range(experiment * APART, experiment * APART + num_seeds))
    fresh = range(experiment * APART + APART // 2, experiment * APART + APART // 2 + FRESH)
    how: dict[str, Any] = {
        "steps": 1, "evaluation_episodes": 1, "workers": 0, "progress": False, "checkpoint_every": None,
    }  # fmt: skip
    numbers = list(range(configurations))
    agents = {"chosen": {"agent": Luck(), "number": numbers}, "other": Luck(number=configurations)}
    found = vd.tune(
        agents, make_answer, tuning_seeds=tuning_seeds, seeds=list(fresh), halving=halving, sampler="grid", **how
    )
    own = next(number for number in numbers if found.tuned[0].label == f"chosen · number={number}")
    naive = vd.compare({"chosen": Luck(number=own), "other": agents["other"]}, make_answer, seeds=tuning_seeds, **how)
    # Nothing but luck: what the claim rests on is what those who tune naively report.
    assert naive.rows()[0]["greedy_return_mean"] == found.tuned[0].claim[0]
    return *said(naive), *said(found)


def said(results: vd.Results) -> tuple[bool, bool]:
    """Whether the interval of the chosen one holds 0, and whether it is called better than the other."""
    row = next(row for row in results.rows() if row["agent"] == "chosen")
    pair = results.analysis().environments[0].comparison.pairs["chosen", "other"]
    is_better = pair.verdict == "different" and pair.first.label == "chosen"
    return bool(row["greedy_return_low"] <= 0 <= row["greedy_return_high"]), is_better


def run_all(rounds: int, quick: bool) -> None:
    """Print the table."""
    rows = []
    for configurations, num_seeds, halving, number in CASES:
        experiments = range(1 if quick else rounds * number)
        said_all = np.array([simulated(configurations, num_seeds, halving, one) for one in experiments])
        naive_covers, naive_better, covers, better = said_all.mean(axis=0)
        # Three standard errors of the simulation.
        noise = 3 * math.sqrt(0.05 * 0.95 / len(experiments))
        noise_of_better = 3 * math.sqrt(0.025 * 0.975 / len(experiments))
        met = abs(covers - 0.95) <= 0.02 + noise and better <= 0.025 + noise_of_better
        name = f"{configurations} × {num_seeds}{', halving' if halving else ''}"
        shares = [f"{share:.1%}" for share in (naive_covers, naive_better, covers, better)]
        rows.append([name, f"{len(experiments)}", *shares, "met" if met else "MISSED"])
        print(f"{rows[-1]} noise {noise:.1%}, {noise_of_better:.1%}", flush=True)
    header = [
        "configurations × seeds", "experiments", "naive covers", "naive better", "fresh covers", "fresh better",
        "93–97 %, at most 2.5 %",
    ]  # fmt: skip
    measuring.print_table("equal configurations × tuning seeds", header, rows)
    print("\nmet: within three standard errors of the simulation")


def main() -> None:
    given = measuring.arguments(__doc__, 8)
    # Equal agents, few seeds: what the checks say of these is what is simulated.
    warnings.simplefilter("ignore", ExperimentWarning)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with measuring.Load():
        run_all(given.rounds, given.quick)


if __name__ == "__main__":
    main()
