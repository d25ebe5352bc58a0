"""The update of Q-learning with learning rate 0.85 and discount 0.99."""


def update(action_values, state, action, reward, next_state, terminated, truncated):
    """Change the entry of (state, action) of the table, in place.

    Args:
        action_values: array of shape (states, actions).
        state: where the agent was.
        action: taken there.
        reward: that followed.
        next_state: where it led.
        terminated: whether the task ended there: at the goal, or in a hole.
        truncated: whether the time was up.
    """
