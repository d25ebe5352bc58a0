"""Both loops against the usual tutorial's loop over the same environment, on one core.

The tutorial's loop is written as in Gymnasium's page "Training an agent": a dictionary of NumPy rows, np.argmax,
action_space.sample() and env.step(). Its ties go to the first action, so its episodes are not velodrome's. CartPole is
read through eight bins a dimension: by `Discretize` here, by np.digitize in the tutorial's loop.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import measuring
import numpy as np

from velodrome.agents.agent import Loop
from velodrome.envs import Discretize

MODELS = ("FrozenLake-v1", "Taxi-v4")
CARTPOLE = "CartPole-v1 through bins"
TARGETS = {"compiled": 500.0, "generic": 1.0}
SEED = 0


class Digitized(gym.ObservationWrapper[Any, Any, Any]):
    """A tuple of bins, as tutorials make it."""

    edges = [np.linspace(-high, high, 7) for high in (2.4, 3.0, 0.21, 3.0)]  # noqa: RUF012

    def observation(self, observation: Any) -> tuple[int, ...]:
        """The place of each number among its edges."""
        return tuple(int(np.digitize(number, edges)) for number, edges in zip(observation, self.edges, strict=True))


class TutorialAgent:
    """Q-learning as Gymnasium's tutorial writes it."""

    def __init__(self, env: gym.Env[Any, int]) -> None:
        self.env = env
        self.q_values: defaultdict[Any, np.ndarray] = defaultdict(lambda: np.zeros(env.action_space.n))
        self.epsilon = 1.0
        self.training_error: list[float] = []

    def get_action(self, observation: Any) -> int:
        """A random action with probability epsilon, else the best known."""
        if np.random.random() < self.epsilon:  # noqa: NPY002 (as in the tutorial)
            return self.env.action_space.sample()
        return int(np.argmax(self.q_values[observation]))

    def update(self, observation: Any, action: int, reward: float, terminated: bool, next_observation: Any) -> None:
        """Learn from one transition."""
        future_q_value = (not terminated) * np.max(self.q_values[next_observation])
        target = reward + measuring.DISCOUNT * future_q_value
        temporal_difference = target - self.q_values[observation][action]
        self.q_values[observation][action] += measuring.LEARNING_RATE * temporal_difference
        self.training_error.append(temporal_difference)


def train_as_the_tutorial(env: gym.Env[Any, int], num_steps: int) -> int:
    """Whole episodes until `num_steps` steps are taken; returns the number of steps."""
    agent = TutorialAgent(env)
    steps = episode = 0
    while steps < num_steps:
        agent.epsilon = 1.0 / (episode // measuring.EPSILON_EVERY + 1)
        observation, _ = env.reset()
        done = False
        while not done:
            action = agent.get_action(observation)
            next_observation, reward, terminated, truncated, _ = env.step(action)
            agent.update(observation, action, float(reward), terminated, next_observation)
            done = terminated or truncated
            observation = next_observation
            steps += 1
        episode += 1
    return steps


def velodrome(env: gym.Env[Any, Any], num_steps: int, loop: Loop) -> Callable[[], int]:
    return lambda: measuring.q_learning().train(env, steps=num_steps, seed=SEED, loop=loop).steps


def row(label: str, loop: Loop, env: gym.Env[Any, Any], tutorial_env: gym.Env[Any, int], given: Any) -> measuring.Row:
    """Line of one loop on one environment."""
    slow, fast = (2_000, 20_000) if given.quick else (50_000, 4_000_000)
    ours = velodrome(env, fast if loop == "compiled" else slow, loop)
    work = {"velodrome": ours, "tutorial": lambda: train_as_the_tutorial(tutorial_env, slow)}
    # The first call compiles.
    ours()
    seconds = measuring.interleave({name: measuring.timed(each) for name, each in work.items()}, given.rounds)
    ratios = measuring.speed_ratios(seconds["velodrome"], seconds["tutorial"])
    figures = [f"{measuring.as_time(measuring.median(seconds[name]))}" for name in work]
    target = measuring.verdict(measuring.median(ratios), TARGETS[loop])
    return measuring.Row(f"{label}, {loop} loop", figures[0], "the tutorial's loop", figures[1], ratios, target)


def main() -> None:
    given = measuring.arguments(__doc__, 5)
    title = f"Q-learning, CPU time a step, median of {given.rounds} rounds"
    with measuring.Load(given) as load:
        load.table("compiled", title, [row(each, "compiled", *[gym.make(each)] * 2, given) for each in MODELS])
        pairs = {
            "Blackjack-v1": (gym.make("Blackjack-v1"), gym.make("Blackjack-v1")),
            CARTPOLE: (Discretize(gym.make("CartPole-v1"), bins=8), Digitized(gym.make("CartPole-v1"))),
            "FrozenLake-v1": (gym.make("FrozenLake-v1"), gym.make("FrozenLake-v1")),
            "Taxi-v4": (gym.make("Taxi-v4"), gym.make("Taxi-v4")),
        }
        load.table("generic", title, [row(label, "generic", *pair, given) for label, pair in pairs.items()])


if __name__ == "__main__":
    main()
