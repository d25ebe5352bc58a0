"""Optimal action values of the slippery lake by value iteration, with a discount of 0.99."""

import gymnasium as gym
import numpy as np

DISCOUNT = 0.99


def action_values():
    """Return the optimal action values, an array of shape (states, actions)."""
    model = gym.make("FrozenLake-v1").unwrapped.P
    values = np.zeros((len(model), len(model[0])))
    while True:
        before = values.copy()
        for state, actions in model.items():
            for action, outcomes in actions.items():
                values[state, action] = sum(
                    probability * (reward + (0.0 if terminated else DISCOUNT * before[next_state].max()))
                    for probability, next_state, reward, terminated in outcomes
                )
        if np.abs(values - before).max() < 1e-12:
            return values
