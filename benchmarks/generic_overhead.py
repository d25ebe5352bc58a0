"""What the generic loop adds to env.step.

The actions of a training run are recorded first, and then played back over the same seed by a loop that only calls
env.step and env.reset: both contenders take the same steps, so the difference is the agent and the loop.
"""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import measuring

from velodrome.agents.seeding import environment_seed
from velodrome.envs.discretize import Discretize

ENVIRONMENTS: dict[str, Callable[[], gym.Env[Any, Any]]] = {
    "FrozenLake-v1": lambda: gym.make("FrozenLake-v1"),
    "Taxi-v4": lambda: gym.make("Taxi-v4"),
    "CartPole-v1, Discretize": lambda: Discretize(gym.make("CartPole-v1"), bins=8),
}
TARGET_SECONDS = 5e-6
SEED = 0


class Recorder(gym.Wrapper[Any, Any, Any, Any]):
    """Keeps the actions that pass through."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.actions: list[Any] = []

    def step(self, action: Any) -> Any:
        self.actions.append(action)
        return self.env.step(action)


def train(env: gym.Env[Any, Any], num_steps: int) -> int:
    return measuring.q_learning().train(env, steps=num_steps, seed=SEED, loop="generic").steps


def play_back(env: gym.Env[Any, Any], actions: list[Any]) -> int:
    """Take the recorded actions, resetting where an episode ends."""
    step, reset = env.step, env.reset
    reset(seed=environment_seed(SEED))
    over = False
    for action in actions:
        if over:
            reset()
        _, _, terminated, truncated, _ = step(action)
        over = terminated or truncated
    return len(actions)


def main() -> None:
    given = measuring.arguments(__doc__, 21)
    num_steps = 2_000 if given.quick else 10_000
    rows = []
    with measuring.Load():
        for label, make in ENVIRONMENTS.items():
            env, recorder = make(), Recorder(make())
            train(recorder, num_steps)
            work = {
                "train": lambda env=env: train(env, num_steps),
                "env.step": lambda env=env, actions=recorder.actions: play_back(env, actions),
            }
            seconds = measuring.interleave({name: measuring.timed(each) for name, each in work.items()}, given.rounds)
            added = [whole - bare for whole, bare in zip(seconds["train"], seconds["env.step"], strict=True)]
            times = [measuring.median(each) * 1e6 for each in (seconds["train"], seconds["env.step"], added)]
            ratio = measuring.as_ratio(measuring.speed_ratios(seconds["env.step"], seconds["train"]))
            target = measuring.verdict(times[2], TARGET_SECONDS * 1e6, at_least=False)
            spread = f"{times[2]:.2f} ({min(added) * 1e6:.2f}-{max(added) * 1e6:.2f})"
            rows.append([label, f"{times[0]:.2f}", f"{times[1]:.2f}", ratio, spread, target])
            env.close()
        title = f"CPU µs a step ({num_steps} steps, median of {given.rounds} rounds)"
        header = ["environment", "train, generic", "env.step alone", "train / alone", "added", "target"]
        measuring.print_table(title, header, rows)


if __name__ == "__main__":
    main()
