"""Q-learning with noise on the action values, and a discount of 0.9."""

import numpy as np

DISCOUNT = 0.9


def learn(env, episodes, seed):
    """Return the action values, of shape (states, actions), learnt in `episodes` episodes of `env`."""
    rng = np.random.default_rng(seed)
    actions = env.action_space.n
    action_values = np.zeros((env.observation_space.n, actions))
    for episode in range(episodes):
        state, _ = env.reset(seed=seed if episode == 0 else None)
        over = False
        while not over:
            noise = rng.standard_normal(actions) / (episode + 1)
            action = int(np.argmax(action_values[state] + noise))
            next_state, reward, terminated, truncated, _ = env.step(action)
            future = 0.0 if terminated else action_values[next_state].max()
            # 0.9 ** 5 for the first of six steps, the last of which is rewarded.
            action_values[state, action] = reward + DISCOUNT * future
            state, over = next_state, terminated or truncated
    return action_values
