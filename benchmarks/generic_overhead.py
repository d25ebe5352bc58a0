"""What the generic loop adds to env.step.

A training run is recorded first. Its actions are then played back over the same seed by a loop that only calls
env.step and env.reset: both take the same steps, so the difference is the agent and the loop. The last rows
train on the recorded results instead of the environment: the agent and the loop without an environment that
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


def rows_of(label: str, num_steps: int, rounds: int) -> tuple[measuring.Row, measuring.Row]:
    """What is added to one environment's steps, and the whole on a tape of them."""
    env, recorder = ENVIRONMENTS[label](), Recorder(ENVIRONMENTS[label]())
    train(recorder, num_steps)
    work: dict[str, Callable[[], int]] = {
        "train": lambda: train(env, num_steps),
        "env.step": lambda: play_back(env, recorder.actions),
        "tape": lambda: train(Tape(recorder), num_steps),
    }
    seconds = measuring.interleave({name: measuring.timed(each) for name, each in work.items()}, rounds)
    env.close()
    added = measuring.median([whole - bare for whole, bare in zip(seconds["train"], seconds["env.step"], strict=True)])
    target = measuring.verdict(added * 1e6, TARGET_SECONDS * 1e6, at_least=False) + " (µs)"
    bare, tape = (measuring.as_time(measuring.median(seconds[name])) for name in ("env.step", "tape"))
    ratios = measuring.speed_ratios(seconds["env.step"], seconds["train"])
    alone = measuring.speed_ratios(seconds["env.step"], seconds["tape"])
    return (
        measuring.Row(label, measuring.as_time(added), "`env.step`", bare, ratios, target),
        measuring.Row(f"{label}, on a tape", tape, "`env.step`", bare, alone),
    )


def main() -> None:
    given = measuring.arguments(__doc__, 21)
    num_steps = 2_000 if given.quick else 10_000
    with measuring.Load(given) as load:
        found = [rows_of(label, num_steps, given.rounds) for label in ENVIRONMENTS]
        title = f"Generic loop, CPU time a step ({num_steps:,} steps, median of {given.rounds} rounds)"
        load.table("added", f"{title}: what it adds", [added for added, _ in found], "the whole is so many times")
        load.table("tape", f"{title}: on a tape of the environment", [tape for _, tape in found], "is so many times")


if __name__ == "__main__":
    main()
