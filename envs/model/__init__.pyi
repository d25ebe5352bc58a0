from .model_environment import ModelEnvironment as ModelEnvironment
from .model_sampling import (
    EnvironmentPosition as EnvironmentPosition,
)
from .model_sampling import (
    read_position as read_position,
)
from .model_sampling import (
    reason_not_sampled_from_model as reason_not_sampled_from_model,
)
from .model_sampling import (
    write_position as write_position,
)
from .transition_checks import (
    NoTransitionModelError as NoTransitionModelError,
)
from .transition_checks import (
    TransitionModelError as TransitionModelError,
)
from .transition_checks import (
    UntrueModelError as UntrueModelError,
)
from .transition_model import TransitionModel as TransitionModel
