from .model_environment import ModelEnvironment as ModelEnvironment
from .model_sampling import (
    EnvironmentPosition as EnvironmentPosition,
    read_position as read_position,
    reason_not_sampled_from_model as reason_not_sampled_from_model,
    write_position as write_position,
)
from .transition_checks import (
    NoTransitionModelError as NoTransitionModelError,
    TransitionModelError as TransitionModelError,
    UntrueModelError as UntrueModelError,
)
from .transition_model import TransitionModel as TransitionModel
