"""The compiled loop against the usual tutorial's loop and against velodrome's own loop over the same environment.

The tutorial's loop is written as in Gymnasium's page "Training an agent": a dictionary of NumPy rows, np.argmax,
action_space.sample() and env.step(). Its ties go to the first action, so its episodes are not velodrome's.
"""

from collections import defaultdict
from collections.abc import Callable

import gymnasium as gym
import measuring
import numpy as np

from velodrome.agents.agent import Loop

ENVIRONMENTS = ("FrozenLake-v1", "Taxi-v4")
TARGET = 500
SEED = 0


class TutorialAgent:
    """Q-learning as Gymnasium's tutorial writes it."""

    def __init__(self, env: gym.Env[int, int]) -> None:
        self.env = env
        self.q_values: defaultdict[int, np.ndarray] = defaultdict(lambda: np.zeros(env.action_space.n))
        self.epsilon = 1.0
        self.training_error: list[float] = []

    def get_action(self, observation: int) -> int:
        """A random action with probability epsilon, else the best known."""
        if np.random.random() < self.epsilon:  # noqa: NPY002 (as in the tutorial)
            return self.env.action_space.sample()
        return int(np.argmax(self.q_values[observation]))

    def update(self, observation: int, action: int, reward: float, terminated: bool, next_observation: int) -> None:
        """Learn from one transition."""
        future_q_value = (not terminated) * np.max(self.q_values[next_observation])
        target = reward + measuring.DISCOUNT * future_q_value
        temporal_difference = target - self.q_values[observation][action]
        self.q_values[observation][action] += measuring.LEARNING_RATE * temporal_difference
        self.training_error.append(temporal_difference)


def train_as_the_tutorial(env: gym.Env[int, int], num_steps: int) -> int:
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


def velodrome(env: gym.Env[int, int], num_steps: int, loop: Loop) -> Callable[[], int]:
    return lambda: measuring.q_learning().train(env, steps=num_steps, seed=SEED, loop=loop).steps


def main() -> None:
    given = measuring.arguments(__doc__, 5)
    slow, fast = (2_000, 20_000) if given.quick else (50_000, 4_000_000)
    rows = []
    with measuring.Load():
        for label in ENVIRONMENTS:
            env = gym.make(label)
            work = {
                "compiled": velodrome(env, fast, "compiled"),
                "generic": velodrome(env, slow, "generic"),
                "tutorial": lambda env=env: train_as_the_tutorial(env, slow),
            }
            work["compiled"]()
            seconds = measuring.interleave({name: measuring.timed(each) for name, each in work.items()}, given.rounds)
            for name in work:
                ratios = measuring.speed_ratios(seconds[name], seconds["tutorial"])
                target = measuring.verdict(measuring.median(ratios), TARGET) if name == "compiled" else ""
                step = measuring.median(seconds[name])
                named = "the tutorial's loop" if name == "tutorial" else f"velodrome, {name}"
                times = [measuring.as_time(step), measuring.as_rate(step)]
                rows.append([label, named, *times, measuring.as_ratio(ratios), target])
            env.close()
        header = ["environment", "contender", "a step", "steps", "speed / tutorial", "target"]
        measuring.print_table(f"Q-learning, CPU time, median of {given.rounds} rounds", header, rows)


if __name__ == "__main__":
    main()
