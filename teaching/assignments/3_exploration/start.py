"""Q-learning with an ε that falls with the episodes."""

import numpy as np


def learn(env, episodes, seed):
    """Return the action values, of shape (states, actions), learnt in `episodes` episodes of `env`."""
    rng = np.random.default_rng(seed)
    action_values = np.zeros((env.observation_space.n, env.action_space.n))
    for episode in range(episodes):
        epsilon = 1.0  # What should it be in this episode?
    return action_values
