from .adapters.script import Script as Script
from .adapters.stable_baselines3 import StableBaselines3 as StableBaselines3
from .agent import Agent as Agent, Moment as Moment
from .baselines.constant_action import BestConstantAction as BestConstantAction, ConstantAction as ConstantAction
from .baselines.rule import Rule as Rule
from .binned_actions import BinnedActions as BinnedActions
from .deep.char_rnn import CharRNN as CharRNN
from .deep.convolutional_networks import (
    DeepCNN as DeepCNN,
    ModernCNN as ModernCNN,
    PlainCNN as PlainCNN,
    SimpleCNN as SimpleCNN,
)
from .deep.distributions import Categorical as Categorical, Distribution as Distribution, Quantile as Quantile
from .deep.dqn import DQN as DQN
from .deep.ensemble import Ensemble as Ensemble
from .deep.keras_agent import KerasAgent as KerasAgent
from .deep.keras_runtime import KerasRuntimeError as KerasRuntimeError
from .deep.labelled_task import ObservationError as ObservationError
from .deep.mlp import MLP as MLP
from .deep.neural_bandit import NeuralBandit as NeuralBandit
from .deep.q_lectures import dqn_2013 as dqn_2013, dqn_2015 as dqn_2015, q_network as q_network
from .deep.row_rnn import RowRNN as RowRNN
from .deep.softmax_regression import SoftmaxRegression as SoftmaxRegression
from .deep.supervised_agent import SupervisedAgent as SupervisedAgent
from .deep.supervised_learner import DivergedError as DivergedError
from .errors import (
    AgentFailureError as AgentFailureError,
    BudgetError as BudgetError,
    EnvironmentFailureError as EnvironmentFailureError,
    PolicyFailureError as PolicyFailureError,
    UnsupportedEnvironmentError as UnsupportedEnvironmentError,
)
from .external import ExternalAgent as ExternalAgent
from .linear.linear_q import LinearQ as LinearQ
from .planning.planning_agents import PolicyIteration as PolicyIteration, ValueIteration as ValueIteration
from .resuming.saving import SavedAgentError as SavedAgentError
from .snapshots import Snapshots as Snapshots
from .tabular.bootstrapped_q import BootstrappedQ as BootstrappedQ
from .tabular.count_bonus_q import CountBonusQ as CountBonusQ
from .tabular.discretized import Discretized as Discretized
from .tabular.double_q_learning import DoubleQLearning as DoubleQLearning
from .tabular.dyna_q import DynaQ as DynaQ
from .tabular.expected_sarsa import ExpectedSarsa as ExpectedSarsa
from .tabular.lectures import (
    discounted_q as discounted_q,
    dummy_q as dummy_q,
    epsilon_greedy_q as epsilon_greedy_q,
    noise_q as noise_q,
    stochastic_q as stochastic_q,
)
from .tabular.mbie_eb import MBIE as MBIE
from .tabular.n_step import NStepQ as NStepQ, NStepSarsa as NStepSarsa
from .tabular.numbered import Numbered as Numbered
from .tabular.optimistic_q import OptimisticQ as OptimisticQ
from .tabular.psrl import PSRL as PSRL
from .tabular.q_lambda import QLambda as QLambda
from .tabular.q_learning import QLearning as QLearning
from .tabular.r_max import RMax as RMax
from .tabular.random_agent import RandomAgent as RandomAgent
from .tabular.rlsvi import RLSVI as RLSVI
from .tabular.sarsa import Sarsa as Sarsa
from .tabular.tabular_agent import TabularAgent as TabularAgent
from .tabular.ucbvi import UCBVI as UCBVI
from .tabular.ucrl2 import UCRL2 as UCRL2
from .training_log import Curve as Curve, TrainingLog as TrainingLog
