"""How to explore: policies over action values, and the schedules of their parameters."""

from velodrome.policies.configuration import Configuration, ConfigurationError
from velodrome.policies.epsilon_greedy import EpsilonGreedy
from velodrome.policies.greedy import Greedy
from velodrome.policies.policy import Policy
from velodrome.policies.random_noise import RandomNoise
from velodrome.policies.schedules import (
    Constant,
    Exponential,
    Harmonic,
    Linear,
    Reciprocal,
    Schedule,
    SteppedHarmonic,
)
from velodrome.policies.softmax import Softmax
from velodrome.policies.ucb import UCB
from velodrome.policies.uniform import Uniform

__all__ = [
    "UCB",
    "Configuration",
    "ConfigurationError",
    "Constant",
    "EpsilonGreedy",
    "Exponential",
    "Greedy",
    "Harmonic",
    "Linear",
    "Policy",
    "RandomNoise",
    "Reciprocal",
    "Schedule",
    "Softmax",
    "SteppedHarmonic",
    "Uniform",
]
