"""Q-learning without ε: a table of zeros, and the best action, any of several equal ones."""

import numpy as np


def learn(env, episodes, seed):
    """Return the action values, of shape (states, actions), learnt in `episodes` episodes of `env`."""
    rng = np.random.default_rng(seed)
    action_values = np.zeros((env.observation_space.n, env.action_space.n))
    for episode in range(episodes):
        state, _ = env.reset(seed=seed if episode == 0 else None)
        over = False
        while not over:
            values = action_values[state]
            action = int(rng.choice(np.flatnonzero(values == values.max())))
            next_state, reward, terminated, truncated, _ = env.step(action)
            action_values[state, action] = reward if terminated else reward + action_values[next_state].max()
            state, over = next_state, terminated or truncated
    return action_values
