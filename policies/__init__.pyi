from .configuration import ConfigurationError as ConfigurationError
from .epsilon_greedy import EpsilonGreedy as EpsilonGreedy
from .greedy import Greedy as Greedy
from .policy import Policy as Policy
from .random_noise import RandomNoise as RandomNoise
from .schedules import (
    Constant as Constant,
)
from .schedules import (
    Exponential as Exponential,
)
from .schedules import (
    Harmonic as Harmonic,
)
from .schedules import (
    Linear as Linear,
)
from .schedules import (
    Reciprocal as Reciprocal,
)
from .schedules import (
    Schedule as Schedule,
)
from .schedules import (
    SteppedHarmonic as SteppedHarmonic,
)
from .softmax import Softmax as Softmax
from .ucb import UCB as UCB
from .uniform import Uniform as Uniform
