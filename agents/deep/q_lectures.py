"""The lectures' Q-networks as named configurations of a DQN: without and with a replay and a target network.

Source: the lecture series that this project grew out of, its Q-network on FrozenLake and its two DQNs on CartPole.
"""

import dataclasses
from typing import Any

from velodrome.agents.agent import Agent
from velodrome.agents.deep.dqn import DQN
from velodrome.agents.deep.mlp import MLP
from velodrome.agents.deep.softmax_regression import SoftmaxRegression
from velodrome.policies.epsilon_greedy import EpsilonGreedy
from velodrome.policies.schedules import Linear, Reciprocal, Schedule


def q_network(
    *,
    discount: float = 0.99,
    learning_rate: float | Schedule = 0.1,
    epsilon: float | Schedule = Reciprocal(50, 10),  # noqa: B008 - frozen
) -> DQN:
    """The first Q-network: a linear one on symbols, without bias, that learns from each step once, as it comes.

    On a Discrete space a linear network without bias has one weight for every state and action, and the gradient of a
    squared error is twice the error: it is `q_learning` with twice the learning rate, on the same initial table, to the
    precision of float32. Its small random table breaks ties.

    Args:
        discount: discount rate γ in [0, 1].
        learning_rate: step size of gradient descent, above 0, a number or a schedule.
        epsilon: probability of a random action, a number or a schedule.

    Source: the lecture's Q-network on FrozenLake: 16 inputs and 4 outputs, weights uniform in [0, 0.01), gradient
    descent with 0.1, ε = 1/(i/50 + 10) in episode i, 2000 episodes. Deviations: 1. where an episode is truncated, the
    target bootstraps; the lecture takes every end for a termination; 2. the squared error is that of the taken action;
    the lecture sums it over all actions, of which the others have none.
    """
    return DQN(
        network=SoftmaxRegression(),
        bias=False,
        initial_weights=0.01,
        policy=EpsilonGreedy(epsilon),
        discount=discount,
        learning_rate=learning_rate,
        optimizer="sgd",
        max_gradient_norm=None,
        scaling="none",
        batch_size=1,
        replay=1,
        learning_starts=0,
        train_every=1,
        target_every=None,
        double=False,
        n_step=1,
    )


def dqn_2013(
    *,
    network: Agent | Any = MLP(hidden=(16,)),  # noqa: B008 - nothing changes it
    discount: float = 0.99,
    learning_rate: float | Schedule = 0.001,
    epsilon: float | Schedule = Linear(1.0, 0.0, 50),  # noqa: B008 - frozen
    replay: int = 50_000,
    terminal_reward: float | None = -1.0,
) -> DQN:
    """The first DQN: Q-learning with a network and a replay, and no target network.

    Args:
        network: agent whose network the action values have, such as `MLP(hidden=[16])`.
        discount: discount rate γ in [0, 1].
        learning_rate: step size of Adam, above 0, a number or a schedule.
        epsilon: probability of a random action, a number or a schedule.
        replay: most steps that are kept to learn from.
        terminal_reward: reward in the place of that of a step that terminates; the environment's own if None.

    Source: Mnih et al. (2013), Playing Atari with Deep Reinforcement Learning, in the form of the lecture on CartPole:
    one hidden layer of 16 rectifiers, Adam with 0.001, batches of 64 at every step from a replay of 50,000, reward -1
    where the pole falls, ε from 1 to 0 over 50 episodes. Deviations: 1. where an episode is truncated, the target
    bootstraps, and the reward stays; the lecture takes every end for a fall; 2. observations are not scaled, as in the
    lecture; the paper's are pictures; 3. a batch is drawn with replacement.
    """
    return DQN(
        network=network,
        initial_weights="glorot",
        policy=EpsilonGreedy(epsilon),
        discount=discount,
        learning_rate=learning_rate,
        max_gradient_norm=None,
        scaling="none",
        replay=replay,
        learning_starts=0,
        train_every=1,
        target_every=None,
        double=False,
        n_step=1,
        terminal_reward=terminal_reward,
    )


def dqn_2015(
    *,
    network: Agent | Any = MLP(hidden=(16,)),  # noqa: B008 - nothing changes it
    discount: float = 0.99,
    learning_rate: float | Schedule = 0.001,
    epsilon: float | Schedule = Reciprocal(10, 1),  # noqa: B008 - frozen
    replay: int = 50_000,
    target_every: int = 5,
    terminal_reward: float | None = -1.0,
) -> DQN:
    """The second DQN: the same with a target network, which is copied from the online one every few steps.

    Args:
        network: agent whose network the action values have, such as `MLP(hidden=[16])`.
        discount: discount rate γ in [0, 1].
        learning_rate: step size of Adam, above 0, a number or a schedule.
        epsilon: probability of a random action, a number or a schedule.
        replay: most steps that are kept to learn from.
        target_every: steps between two copies to the target network.
        terminal_reward: reward in the place of that of a step that terminates; the environment's own if None.

    Source: Mnih et al. (2015), Human-level control through deep reinforcement learning, in the form of the lecture on
    CartPole: as `dqn_2013`, the target copied every 5 steps, ε = 1/(i/10 + 1) in episode i. The lecture calls it Double
    DQN, which is another thing (`double=True`). Deviations: those of `dqn_2013`; 4. the paper copies every
    10,000 steps, the lecture every 5.
    """
    first = dqn_2013(
        network=network,
        discount=discount,
        learning_rate=learning_rate,
        epsilon=epsilon,
        replay=replay,
        terminal_reward=terminal_reward,
    )
    return dataclasses.replace(first, target_every=target_every)
