"""Q-learning with an ε that falls with the episodes."""

import numpy as np

DISCOUNT = 0.99


def best_action(values, rng):
    """Return any action of the largest value, each with the same probability."""
    return int(rng.choice(np.flatnonzero(values == values.max())))


def learn(env, episodes, seed):
    """Return the action values, of shape (states, actions), learnt in `episodes` episodes of `env`."""
    rng = np.random.default_rng(seed)
    actions = env.action_space.n
    action_values = np.zeros((env.observation_space.n, actions))
    for episode in range(episodes):
        epsilon = 1.0 / (episode // 100 + 1)
        state, _ = env.reset(seed=seed if episode == 0 else None)
        over = False
        while not over:
            explores = rng.random() < epsilon
            action = int(rng.integers(actions)) if explores else best_action(action_values[state], rng)
            next_state, reward, terminated, truncated, _ = env.step(action)
            future = 0.0 if terminated else action_values[next_state].max()
            action_values[state, action] = reward + DISCOUNT * future
            state, over = next_state, terminated or truncated
    return action_values
