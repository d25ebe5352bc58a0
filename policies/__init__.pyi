from .bayes_ucb import BayesUCB as BayesUCB
from .configuration import ConfigurationError as ConfigurationError
from .epsilon_greedy import EpsilonGreedy as EpsilonGreedy
from .explore_then_commit import ExploreThenCommit as ExploreThenCommit
from .greedy import Greedy as Greedy
from .imed import IMED as IMED
from .kl_ucb import KLUCB as KLUCB
from .moss import MOSS as MOSS
from .policy import Policy as Policy
from .random_noise import RandomNoise as RandomNoise
from .schedules import (
    Constant as Constant,
    Exponential as Exponential,
    Harmonic as Harmonic,
    Linear as Linear,
    Reciprocal as Reciprocal,
    Schedule as Schedule,
    SteppedHarmonic as SteppedHarmonic,
    as_schedule as as_schedule,
)
from .softmax import Softmax as Softmax
from .thompson import ThompsonBeta as ThompsonBeta, ThompsonGaussian as ThompsonGaussian
from .ties import best_value as best_value, greedy_random as greedy_random
from .ucb import UCB as UCB, ucb1 as ucb1
from .uniform import Uniform as Uniform
