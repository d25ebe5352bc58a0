"""The update of Q-learning with learning rate 0.85 and discount 0.99."""

LEARNING_RATE = 0.85
DISCOUNT = 0.99


def update(action_values, state, action, reward, next_state, terminated, truncated):
    """Change the entry of (state, action) of the table, in place."""
    # Nothing comes after a terminal state; after the time limit the lake would have gone on.
    target = reward if terminated else reward + DISCOUNT * action_values[next_state].max()
    action_values[state, action] += LEARNING_RATE * (target - action_values[state, action])
