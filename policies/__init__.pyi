from .configuration import ConfigurationError as ConfigurationError
from .epsilon_greedy import EpsilonGreedy as EpsilonGreedy
from .greedy import Greedy as Greedy
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
from .ties import best_value as best_value, greedy_random as greedy_random
from .ucb import UCB as UCB
from .uniform import Uniform as Uniform
