# ruff: noqa: NPY002 (it draws from what all of a process shares)
"""A small library in the manner of Stable-Baselines3: `learn`, `predict`, `save` and `load`, and no network."""

import json
import random
from pathlib import Path

import numpy as np


class Table:
    """Q-learning that draws from the process's streams, as some libraries do."""

    def __init__(self, env, *, step_size=0.5, schedule=None, options=None, seed=None):
        self.env, self.step_size, self.options = env, step_size, options
        self.schedule = schedule or (lambda remaining: 0.3)
        self.shape = (int(env.observation_space.n), int(env.action_space.n))
        self.values = np.ones(self.shape)
        self.remaining = []

    def learn(self, total_timesteps):
        observation, _ = self.env.reset()
        for step in range(total_timesteps):
            self.remaining.append(1.0 - step / total_timesteps)
            explores = random.random() < self.schedule(self.remaining[-1])
            action = np.random.randint(self.shape[1]) if explores else self.values[observation].argmax()
            after, reward, terminated, truncated, _ = self.env.step(int(action))
            target = reward + 0.95 * (not terminated) * self.values[after].max()
            self.values[observation, action] += self.step_size * (target - self.values[observation, action])
            observation = self.env.reset()[0] if terminated or truncated else after

    def predict(self, observation, deterministic=False):
        return self.values[observation].argmax(), None

    def save(self, path):
        Path(path).write_text(json.dumps(self.values.tolist()), encoding="utf-8")

    @classmethod
    def load(cls, path):
        model = cls.__new__(cls)
        model.values = np.array(json.loads(Path(path).read_text(encoding="utf-8")))
        return model


class Forgets(Table):
    """It acts otherwise each time it is asked."""

    def predict(self, observation, deterministic=False):
        self.values[observation] += 1.0
        return np.random.randint(self.shape[1])


class NoLearner:
    def predict(self, observation):
        return 0


def half(remaining):
    return 0.5 * remaining
