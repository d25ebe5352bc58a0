"""A learner of your own for the slippery lake."""

import numpy as np


def learn(env, episodes, seed):
    """Return the action values, of shape (states, actions), learnt in `episodes` episodes of `env`."""
    rng = np.random.default_rng(seed)
    action_values = np.zeros((env.observation_space.n, env.action_space.n))
    return action_values
