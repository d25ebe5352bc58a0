"""The lectures' agents as named configurations of Q-learning, to the tie rule.

Source: the FrozenLake labs of the lecture series that this project grew out of; each runs 2000 episodes on a
table of zeros.
"""

from velodrome.agents.tabular.q_learning import QLearning
from velodrome.policies.epsilon_greedy import EpsilonGreedy
from velodrome.policies.greedy import Greedy
from velodrome.policies.policy import Ties
from velodrome.policies.random_noise import RandomNoise
from velodrome.policies.schedules import Harmonic, Schedule, SteppedHarmonic


def dummy_q(*, discount: float = 1.0, learning_rate: float | Schedule = 1.0, ties: Ties = "random") -> QLearning:
    """Dummy Q-learning: greedy, ties broken uniformly at random, Q = r + max Q'.

    Args:
        discount: discount rate γ in [0, 1].
        learning_rate: step size α in (0, 1], a number or a schedule.
        ties: how a tie for the best action is broken: at "random", or to the "first", which has the lowest index.
    """
    return QLearning(discount=discount, learning_rate=learning_rate, policy=Greedy(ties=ties))


def epsilon_greedy_q(
    *,
    discount: float = 0.99,
    learning_rate: float | Schedule = 1.0,
    epsilon: float | Schedule = SteppedHarmonic(100),  # noqa: B008 - frozen
    ties: Ties = "first",
) -> QLearning:
    """Decayed ε-greedy: ε = 1/((i // 100) + 1) in episode i; the greedy part takes the first index.

    Args:
        discount: discount rate γ in [0, 1].
        learning_rate: step size α in (0, 1], a number or a schedule.
        epsilon: probability of a random action, a number or a schedule.
        ties: how a tie for the best action is broken: at "random", or to the "first", which has the lowest index.
    """
    return QLearning(discount=discount, learning_rate=learning_rate, policy=EpsilonGreedy(epsilon=epsilon, ties=ties))


def noise_q(
    *,
    discount: float = 0.99,
    learning_rate: float | Schedule = 1.0,
    scale: float | Schedule = Harmonic(),  # noqa: B008 - frozen
    ties: Ties = "first",
) -> QLearning:
    """Random noise: argmax of Q + N(0, 1)/(i + 1) in episode i, Q = r + γ max Q'.

    Args:
        discount: discount rate γ in [0, 1].
        learning_rate: step size α in (0, 1], a number or a schedule.
        scale: standard deviation of the noise, a number or a schedule.
        ties: how a tie for the best action is broken: at "random", or to the "first", which has the lowest index.
    """
    return QLearning(discount=discount, learning_rate=learning_rate, policy=RandomNoise(scale=scale, ties=ties))


def discounted_q(
    *,
    discount: float = 0.9,
    learning_rate: float | Schedule = 1.0,
    scale: float | Schedule = Harmonic(),  # noqa: B008 - frozen
    ties: Ties = "first",
) -> QLearning:
    """Discounted reward: the decayed noise with the slides' γ = 0.9, which prefers the shortest path.

    Args:
        discount: discount rate γ in [0, 1].
        learning_rate: step size α in (0, 1], a number or a schedule.
        scale: standard deviation of the noise, a number or a schedule.
        ties: how a tie for the best action is broken: at "random", or to the "first", which has the lowest index.
    """
    return noise_q(discount=discount, learning_rate=learning_rate, scale=scale, ties=ties)


def stochastic_q(
    *,
    discount: float = 0.99,
    learning_rate: float | Schedule = 0.85,
    scale: float | Schedule = Harmonic(),  # noqa: B008 - frozen
    ties: Ties = "first",
) -> QLearning:
    """For the slippery lake: the decayed noise with a learning rate, Q = (1-α) Q + α (r + γ max Q').

    Args:
        discount: discount rate γ in [0, 1].
        learning_rate: step size α in (0, 1], a number or a schedule.
        scale: standard deviation of the noise, a number or a schedule.
        ties: how a tie for the best action is broken: at "random", or to the "first", which has the lowest index.
    """
    return noise_q(discount=discount, learning_rate=learning_rate, scale=scale, ties=ties)
