"""A policy of your own against ε-greedy: try the action that was tried least, else the best one.

python examples/own_policy.py [SEEDS]
"""

import sys
from dataclasses import dataclass

import velodrome as vd
from velodrome.policies import Policy, Schedule, SteppedHarmonic, greedy_random


def select(action_values, visit_counts, chance, rng):
    """With probability `chance` the action that was taken least in this state, else the best one."""
    if rng.random() < chance:
        return visit_counts.argmin()
    return greedy_random(action_values, rng)


@dataclass(frozen=True)
class LeastTried(Policy):
    """The least tried action with a probability that falls every hundred episodes, else the greedy one."""

    schedule: Schedule = SteppedHarmonic(100)

    @property
    def select(self):
        """Plain function that chooses; it runs in both loops."""
        return select


if __name__ == "__main__":
    policies = {
        "least tried": LeastTried(),
        "ε-greedy": vd.policies.EpsilonGreedy(epsilon=SteppedHarmonic(100)),
    }
    agents = {label: vd.agents.QLearning(policy=policy, learning_rate=0.5) for label, policy in policies.items()}
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    results = vd.compare(agents, ["FrozenLake-v1(is_slippery=False)", "FrozenLake-v1"], seeds=seeds, episodes=2000)
    columns = ["environment", "agent", "train_success_rate_mean", "greedy_success_rate_mean", "loop"]
    print(results.table(full=True)[columns].to_string(index=False))
