"""Q-learning from hopeful first values, with a learning rate that falls with the visits."""

import numpy as np

DISCOUNT = 0.99


def learn(env, episodes, seed):
    """Return the action values, of shape (states, actions), learnt in `episodes` episodes of `env`."""
    states, actions = env.observation_space.n, env.action_space.n
    rng = np.random.default_rng(seed)
    # Nothing is worth more than 1: what has not been tried looks best, and is tried.
    action_values = np.ones((states, actions))
    visits = np.zeros((states, actions))
    for episode in range(episodes):
        state, _ = env.reset(seed=seed if episode == 0 else None)
        over = False
        while not over:
            values = action_values[state]
            action = int(rng.choice(np.flatnonzero(values == values.max())))
            next_state, reward, terminated, truncated, _ = env.step(action)
            future = 0.0 if terminated else action_values[next_state].max()
            visits[state, action] += 1
            learning_rate = 20.0 / (19.0 + visits[state, action])
            action_values[state, action] += learning_rate * (reward + DISCOUNT * future - values[action])
            state, over = next_state, terminated or truncated
    return action_values
