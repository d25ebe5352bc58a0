"""Sarsa beside the cliff."""

import numpy as np

LEARNING_RATE, DISCOUNT, EPSILON = 0.5, 1.0, 0.1


def choose(values, rng):
    """Return any action with probability ε, else the best one, any of several."""
    if rng.random() < EPSILON:
        return int(rng.integers(len(values)))
    return int(rng.choice(np.flatnonzero(values == values.max())))


def learn(env, episodes, seed):
    """Return the action values, of shape (states, actions), learnt in `episodes` episodes of `env`."""
    rng = np.random.default_rng(seed)
    action_values = np.zeros((env.observation_space.n, env.action_space.n))
    for episode in range(episodes):
        state, _ = env.reset(seed=seed if episode == 0 else None)
        action = choose(action_values[state], rng)
        over = False
        while not over:
            next_state, reward, terminated, truncated, _ = env.step(action)
            next_action = choose(action_values[next_state], rng)
            future = 0.0 if terminated else action_values[next_state, next_action]
            error = reward + DISCOUNT * future - action_values[state, action]
            action_values[state, action] += LEARNING_RATE * error
            state, action, over = next_state, next_action, terminated or truncated
    return action_values
