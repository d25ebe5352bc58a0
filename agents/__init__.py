"""Who learns: agents with `train`, `act`, `save` and `load`."""

from velodrome.agents.agent import Agent
from velodrome.agents.double_q_learning import DoubleQLearning
from velodrome.agents.dyna_q import DynaQ
from velodrome.agents.errors import (
    BudgetError,
    EnvironmentFailureError,
    PolicyFailureError,
    UnsupportedEnvironmentError,
)
from velodrome.agents.expected_sarsa import ExpectedSarsa
from velodrome.agents.lectures import discounted_q, dummy_q, epsilon_greedy_q, noise_q, stochastic_q
from velodrome.agents.n_step import NStepQ, NStepSarsa
from velodrome.agents.planning import PolicyIteration, ValueIteration
from velodrome.agents.q_lambda import QLambda
from velodrome.agents.q_learning import QLearning
from velodrome.agents.random_agent import RandomAgent
from velodrome.agents.sarsa import Sarsa
from velodrome.agents.saving import SavedAgentError
from velodrome.agents.tabular import TabularAgent
from velodrome.agents.training_log import TrainingLog

__all__ = [
    "Agent",
    "BudgetError",
    "DoubleQLearning",
    "DynaQ",
    "EnvironmentFailureError",
    "ExpectedSarsa",
    "NStepQ",
    "NStepSarsa",
    "PolicyFailureError",
    "PolicyIteration",
    "QLambda",
    "QLearning",
    "RandomAgent",
    "Sarsa",
    "SavedAgentError",
    "TabularAgent",
    "TrainingLog",
    "UnsupportedEnvironmentError",
    "ValueIteration",
    "discounted_q",
    "dummy_q",
    "epsilon_greedy_q",
    "noise_q",
    "stochastic_q",
]
