"""Who learns: agents with `train`, `act`, `save` and `load`."""

from velodrome.agents.agent import Agent
from velodrome.agents.discretized import Discretized
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
from velodrome.agents.neural.char_rnn import CharRNN
from velodrome.agents.neural.deep_cnn import DeepCNN
from velodrome.agents.neural.ensemble import Ensemble
from velodrome.agents.neural.keras_agent import KerasAgent
from velodrome.agents.neural.keras_runtime import KerasRuntimeError
from velodrome.agents.neural.labelled_task import ObservationError
from velodrome.agents.neural.mlp import MLP
from velodrome.agents.neural.modern_cnn import ModernCNN
from velodrome.agents.neural.neural_bandit import NeuralBandit
from velodrome.agents.neural.row_rnn import RowRNN
from velodrome.agents.neural.simple_cnn import SimpleCNN
from velodrome.agents.neural.softmax_regression import SoftmaxRegression
from velodrome.agents.neural.supervised_agent import SupervisedAgent
from velodrome.agents.neural.supervised_training import DivergedError
from velodrome.agents.planning import PolicyIteration, ValueIteration
from velodrome.agents.q_lambda import QLambda
from velodrome.agents.q_learning import QLearning
from velodrome.agents.random_agent import RandomAgent
from velodrome.agents.sarsa import Sarsa
from velodrome.agents.saving import SavedAgentError
from velodrome.agents.tabular import TabularAgent
from velodrome.agents.training_log import TrainingLog

__all__ = [
    "MLP",
    "Agent",
    "BudgetError",
    "CharRNN",
    "DeepCNN",
    "Discretized",
    "DivergedError",
    "DoubleQLearning",
    "DynaQ",
    "Ensemble",
    "EnvironmentFailureError",
    "ExpectedSarsa",
    "KerasAgent",
    "KerasRuntimeError",
    "ModernCNN",
    "NStepQ",
    "NStepSarsa",
    "NeuralBandit",
    "ObservationError",
    "PolicyFailureError",
    "PolicyIteration",
    "QLambda",
    "QLearning",
    "RandomAgent",
    "RowRNN",
    "Sarsa",
    "SavedAgentError",
    "SimpleCNN",
    "SoftmaxRegression",
    "SupervisedAgent",
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
