from .bernoulli_bandit import BernoulliBandit as BernoulliBandit
from .chain import Chain as Chain
from .deep_sea import DeepSea as DeepSea
from .discretize import Discretize as Discretize
from .garnet import Garnet as Garnet
from .grid_world import GridWorld as GridWorld
from .labelled.classification import Classification as Classification
from .labelled.classification_vector import ClassificationVectorEnv as ClassificationVectorEnv
from .labelled.datasets.checks import DatasetError as DatasetError
from .labelled.datasets.dataset import Dataset as Dataset
from .labelled.datasets.dataset import LabelledExamples as LabelledExamples
from .labelled.datasets.loading import DATASETS as DATASETS
from .labelled.datasets.loading import load_dataset as load_dataset
from .labelled.text import Text as Text
from .labelled.texts import TEXTS as TEXTS
from .make import (
    UnknownEnvironmentError as UnknownEnvironmentError,
)
from .make import (
    list_environments as list_environments,
)
from .make import (
    make_environment as make_environment,
)
from .model.model_environment import ModelEnvironment as ModelEnvironment
from .model.model_sampling import (
    EnvironmentPosition as EnvironmentPosition,
)
from .model.model_sampling import (
    read_position as read_position,
)
from .model.model_sampling import (
    reason_not_sampled_from_model as reason_not_sampled_from_model,
)
from .model.model_sampling import (
    write_position as write_position,
)
from .model.transition_checks import (
    NoTransitionModelError as NoTransitionModelError,
)
from .model.transition_checks import (
    TransitionModelError as TransitionModelError,
)
from .model.transition_checks import (
    UntrueModelError as UntrueModelError,
)
from .model.transition_model import TransitionModel as TransitionModel
from .registration import register_environments as register_environments
from .river_swim import RiverSwim as RiverSwim
from .success_rules import (
    SuccessRule as SuccessRule,
)
from .success_rules import (
    SuccessRuleError as SuccessRuleError,
)
from .success_rules import (
    parse_success_rule as parse_success_rule,
)
from .success_rules import (
    success_rule as success_rule,
)
