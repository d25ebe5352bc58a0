"""Exact values of greedy policies against a million sampled episodes each: return and success.

    python benchmarks/exact_vs_sampled.py

A policy is learnt, its value computed by dynamic programming, and then played in the compiled loop: by an agent with
the same action values, a greedy policy and a learning rate of 0. Some policies are half learnt, so that they succeed
now and then, run into the time limit, and choose at random among ties. `z` is the difference in standard errors of the
estimate: it should lie within 3, except for 1 in 370, and be a normal variable (root mean square 1). Each round samples
with another seed. A policy that always does the same has no standard error; there the two must be equal.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import measuring
import numpy as np

import velodrome as vd
from velodrome.agents import QLearning
from velodrome.agents.planning.planning_agents import PlanningAgent
from velodrome.agents.tabular.tabular_agent import TabularAgent
from velodrome.experiments.trials.trial import Trial
from velodrome.policies import Constant, Greedy

EPISODES, QUICK_EPISODES = 1_000_000, 1000
LARGEST = 3.0
# The same sum in another order.
ROUNDING = 1e-9


class Case(NamedTuple):
    """A policy: what is learnt, where, and for how many episodes."""

    environment: str
    agent: str
    episodes: int


LEARNT = "q_learning(learning_rate=harmonic(clock='visits'), discount=0.999, policy=epsilon_greedy(epsilon=0.3))"
HALF_LEARNT = "q_learning(learning_rate=0.3, policy=epsilon_greedy(epsilon=0.5))"

CASES = {
    "FrozenLake, best": Case("FrozenLake-v1", "value_iteration", 1),
    "FrozenLake, learnt": Case("FrozenLake-v1", LEARNT, 3000),
    "FrozenLake without slipping, ties": Case("FrozenLake-v1(is_slippery=False)", HALF_LEARNT, 20),
    "FrozenLake 8x8, learnt": Case("FrozenLake8x8-v1", LEARNT, 3000),
    "Taxi, half learnt": Case("Taxi-v4", HALF_LEARNT, 250),
    "Taxi, learnt": Case("Taxi-v4", HALF_LEARNT, 5000),
    "CliffWalking, learnt": Case("CliffWalking-v1(max_episode_steps=200)", HALF_LEARNT, 300),
    "CliffWalking, slippery": Case("CliffWalking-v1(is_slippery=True, max_episode_steps=100)", LEARNT, 500),
    "GridWorld, slippery": Case("velodrome/GridWorld-v0(slip=0.2, step_reward=-0.01)", HALF_LEARNT, 15),
    "Chain, half learnt": Case("velodrome/Chain-v0", HALF_LEARNT, 20),
    "Garnet, half learnt": Case("velodrome/Garnet-v0(terminal_probability=0.1)", HALF_LEARNT, 50),
    "RiverSwim, best": Case("velodrome/RiverSwim-v0", "value_iteration(ties='random')", 1),
    "BernoulliBandit, ties": Case("velodrome/BernoulliBandit-v0", "q_learning(initial_value=1, policy=greedy)", 2),
}


class Agreement(NamedTuple):
    """One exact number and its estimate; `z` is their difference in standard errors."""

    measure: str
    exact: float
    estimate: float
    standard_error: float

    @property
    def z(self) -> float:
        gap = self.estimate - self.exact
        if self.standard_error == 0:
            return 0.0 if abs(gap) <= ROUNDING * max(1.0, abs(self.exact)) else math.inf
        return gap / self.standard_error


def learn(case: Case) -> Trial:
    """The case's policy; its evaluation is exact."""
    trial = vd.run(case.agent, case.environment, episodes=case.episodes, seed=0)
    assert trial.evaluation.method == "exact", trial.evaluation
    return trial


def sample(trial: Trial, episodes: int, seed: int) -> list[Agreement]:
    """Play what a trial learnt, greedily and without learning on, in the compiled loop."""
    learnt = trial.trained
    assert isinstance(learnt, TabularAgent | PlanningAgent)
    model = trial.profile.sampled_model()
    player = QLearning(learning_rate=Constant(0.0), policy=Greedy(ties="first" if learnt.ties == "first" else "random"))
    # Only training binds an agent to its table.
    player.train(model, episodes=1, seed=seed)
    player.action_values[...] = learnt.action_values
    log = player.train(model, episodes=episodes)
    assert log.loop == "compiled"
    assert np.array_equal(player.action_values, learnt.action_values)
    found = [_agreement("return", trial.evaluation.mean_return, log.returns)]
    if log.successes is not None:
        found.append(_agreement("success", trial.evaluation.success_rate, log.successes.astype(np.float64)))
    return found


def _agreement(measure: str, exact: float, values: np.ndarray) -> Agreement:
    # Equal returns may have a spread of rounding errors.
    spread = 0.0 if np.ptp(values) == 0 else float(values.std(ddof=1))
    return Agreement(measure, exact, float(values.mean()), spread / math.sqrt(len(values)))


def run_all(rounds: int, quick: bool) -> None:
    """Print the table."""
    episodes = QUICK_EPISODES if quick else EPISODES
    rows = []
    all_z = []
    for name, seed, found in _samples(rounds, episodes):
        for one in found:
            remark = measuring.verdict(abs(one.z), LARGEST, at_least=False)
            numbers = [f"{one.exact:.7g}", f"{one.estimate:.7g}", f"{one.standard_error:.2g}", f"{one.z:+.2f}"]
            rows.append([name, one.measure, str(seed), *numbers, remark])
            if one.standard_error > 0:
                all_z.append(one.z)
    header = ["policy", "measure", "seed", "exact", "estimate", "standard error", "z", "remark"]
    measuring.print_table(f"{episodes} episodes of each policy, each round with another seed", header, rows)
    beyond = sum(abs(z) > LARGEST for z in all_z)
    root_mean_square = math.sqrt(sum(z * z for z in all_z) / len(all_z))
    print(f"\n{len(all_z)} estimates with a standard error: {beyond} beyond {LARGEST:g} ", end="")
    print(f"(by chance {0.0027 * len(all_z):.2f}), root mean square of z {root_mean_square:.2f}")


def _samples(rounds: int, episodes: int) -> Iterator[tuple[str, int, list[Agreement]]]:
    for name, case in CASES.items():
        trial = learn(case)
        for seed in range(1, rounds + 1):
            yield name, seed, sample(trial, episodes, seed)


def main() -> None:
    given = measuring.arguments(__doc__, 1)
    with measuring.Load():
        run_all(given.rounds, given.quick)


if __name__ == "__main__":
    main()
