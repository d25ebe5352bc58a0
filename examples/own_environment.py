"""An environment of your own from its outcomes: repair a machine or let it run down.

python examples/own_environment.py [SEEDS]
"""

import sys

import gymnasium as gym

import velodrome as vd
from velodrome.envs import ModelEnvironment, TransitionModel

RUN, REPAIR = 0, 1
NEW, WORN, BROKEN = 0, 1, 2


class Machine(ModelEnvironment):
    """A machine wears out while it runs; a repair costs a day's earnings, a breakdown ends the contract."""

    action_names = ("run", "repair")

    def __init__(self, render_mode=None):
        # outcomes[state][action] = [(probability, next_state, reward, terminated), ...]
        outcomes = [
            [[(0.8, NEW, 1.0, False), (0.2, WORN, 1.0, False)], [(1.0, NEW, -1.0, False)]],
            [[(0.7, WORN, 1.0, False), (0.3, BROKEN, 0.0, True)], [(1.0, NEW, -1.0, False)]],
            [[(1.0, BROKEN, 0.0, True)], [(1.0, BROKEN, 0.0, True)]],
        ]
        super().__init__(TransitionModel.from_outcomes(outcomes, NEW), render_mode=render_mode)


if __name__ == "__main__":
    gym.register("Machine-v0", entry_point=Machine, max_episode_steps=50)
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    results = vd.compare(
        ["random", "q_learning", "q_learning(discount=0)", "value_iteration"],
        "Machine-v0",
        seeds=seeds,
        episodes=1000,
    )
    columns = ["agent", "greedy_return_mean", "best_return", "random_return", "evaluation", "loop"]
    print(results.table(full=True)[columns].to_string(index=False))
