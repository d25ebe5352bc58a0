"""Sarsa: learn the value of the policy that explores, from the action it takes next."""

from collections.abc import Callable
from typing import Any, ClassVar

from velodrome.agents.tabular.q_learning import QLearning


def learn_sarsa(
    action_values: Any, state: int, action: int, reward: float, next_state: int, terminated: bool, next_action: int,
    learning_rate: float, discount: float,
) -> None:  # fmt: skip
    """One update of Sarsa: Q(s,a) += α (r + γ Q(s',a') - Q(s,a)), no bootstrap on termination."""
    target = reward
    if not terminated:
        target += discount * action_values[next_state][next_action]
    row = action_values[state]
    row[action] += learning_rate * (target - row[action])


class Sarsa(QLearning):
    """Sarsa: on-policy temporal-difference control; the next action is chosen before the update.

    Q(s,a) += α (r + γ Q(s',a') - Q(s,a)) with the next action a'; nothing is bootstrapped on termination. Where a time
    limit cuts an episode, one more action is chosen to bootstrap from.

    Source: Rummery & Niranjan (1994); Sutton & Barto (2018), eq. 6.7.
    """

    is_on_policy: ClassVar[bool] = True

    @property
    def update(self) -> Callable[..., None]:
        return learn_sarsa
