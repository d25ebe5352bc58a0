"""What the generic loop adds to env.step.

A training run is recorded first. Its actions are then played back over the same seed by a loop that only calls
env.step and env.reset: both take the same steps, so the difference is the agent and the loop. The last column
trains on the recorded results instead of the environment: the agent and the loop without an environment that
drives them out of the processor's caches.
"""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import measuring

from velodrome.agents.engine.seeding import environment_seed
from velodrome.envs.discretize import Discretize

ENVIRONMENTS: dict[str, Callable[[], gym.Env[Any, Any]]] = {
    "FrozenLake-v1": lambda: gym.make("FrozenLake-v1"),
    "Taxi-v4": lambda: gym.make("Taxi-v4"),
    "CartPole-v1, Discretize": lambda: Discretize(gym.make("CartPole-v1"), bins=8),
}
TARGET_SECONDS = 5e-6
SEED = 0


class Recorder(gym.Wrapper[Any, Any, Any, Any]):
    """Keeps what passes through: actions, and what step and reset returned."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.actions: list[Any] = []
        self.steps: list[Any] = []
        self.resets: list[Any] = []

    def step(self, action: Any) -> Any:
        self.actions.append(action)
        self.steps.append(self.env.step(action))
        return self.steps[-1]

    def reset(self, **options: Any) -> Any:
        self.resets.append(self.env.reset(**options))
        return self.resets[-1]


class Tape(gym.Env[Any, Any]):
    """Returns what a recorder kept, whatever the action."""

    def __init__(self, recorder: Recorder) -> None:
        self.observation_space, self.action_space = recorder.observation_space, recorder.action_space
        self.recorder = recorder

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        if seed is not None:
            self.next_step, self.next_reset = iter(self.recorder.steps), iter(self.recorder.resets)
        return next(self.next_reset)

    def step(self, action: Any) -> Any:
        return next(self.next_step)


def train(env: gym.Env[Any, Any], num_steps: int) -> int:
    return measuring.q_learning().train(env, steps=num_steps, seed=SEED, loop="generic", success="return > 0").steps


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


def row(label: str, num_steps: int, rounds: int) -> list[str]:
    """The line of one environment."""
    env, recorder = ENVIRONMENTS[label](), Recorder(ENVIRONMENTS[label]())
    train(recorder, num_steps)
    work: dict[str, Callable[[], int]] = {
        "train": lambda: train(env, num_steps),
        "env.step": lambda: play_back(env, recorder.actions),
        "tape": lambda: train(Tape(recorder), num_steps),
    }
    seconds = measuring.interleave({name: measuring.timed(each) for name, each in work.items()}, rounds)
    env.close()
    added = [whole - bare for whole, bare in zip(seconds["train"], seconds["env.step"], strict=True)]
    whole, bare, tape = (f"{measuring.median(seconds[name]) * 1e6:.2f}" for name in work)
    ratio = measuring.as_ratio(measuring.speed_ratios(seconds["env.step"], seconds["train"]))
    spread = f"{measuring.median(added) * 1e6:.2f} ({min(added) * 1e6:.2f}-{max(added) * 1e6:.2f})"
    target = measuring.verdict(measuring.median(added) * 1e6, TARGET_SECONDS * 1e6, at_least=False)
    return [label, whole, bare, ratio, spread, target, tape]


def main() -> None:
    given = measuring.arguments(__doc__, 21)
    num_steps = 2_000 if given.quick else 10_000
    with measuring.Load():
        rows = [row(label, num_steps, given.rounds) for label in ENVIRONMENTS]
        title = f"CPU µs a step ({num_steps} steps, median of {given.rounds} rounds)"
        header = [
            "environment",
            "train, generic",
            "env.step alone",
            "train / alone",
            "added",
            "target",
            "train on tape",
        ]
        measuring.print_table(title, header, rows)


if __name__ == "__main__":
    main()
