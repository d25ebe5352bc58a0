from .bootstrapped_q import BootstrappedQ as BootstrappedQ
from .count_bonus_q import CountBonusQ as CountBonusQ
from .discretized import Discretized as Discretized
from .double_q_learning import DoubleQLearning as DoubleQLearning
from .dyna_q import DynaQ as DynaQ
from .expected_sarsa import ExpectedSarsa as ExpectedSarsa
from .lectures import (
    discounted_q as discounted_q,
    dummy_q as dummy_q,
    epsilon_greedy_q as epsilon_greedy_q,
    noise_q as noise_q,
    stochastic_q as stochastic_q,
)
from .mbie_eb import MBIE as MBIE
from .n_step import NStepQ as NStepQ, NStepSarsa as NStepSarsa
from .numbered import Numbered as Numbered
from .optimistic_q import OptimisticQ as OptimisticQ
from .psrl import PSRL as PSRL
from .q_lambda import QLambda as QLambda
from .q_learning import QLearning as QLearning
from .r_max import RMax as RMax
from .random_agent import RandomAgent as RandomAgent
from .rlsvi import RLSVI as RLSVI
from .sarsa import Sarsa as Sarsa
from .tabular_agent import TabularAgent as TabularAgent
from .ucbvi import UCBVI as UCBVI
from .ucrl2 import UCRL2 as UCRL2
