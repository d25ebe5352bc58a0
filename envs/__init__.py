"""What is learnt: Gymnasium environments, their transition models and their rules of success.

Importing this package registers its environments under `velodrome/...`.
"""

from velodrome.envs.bernoulli_bandit import BernoulliBandit
from velodrome.envs.chain import Chain
from velodrome.envs.classification import Classification
from velodrome.envs.classification_vector import ClassificationVectorEnv
from velodrome.envs.datasets import DATASETS, Dataset, DatasetError, LabelledExamples, load_dataset
from velodrome.envs.deep_sea import DeepSea
from velodrome.envs.discretize import Discretize
from velodrome.envs.garnet import Garnet
from velodrome.envs.grid_world import GridWorld
from velodrome.envs.make import UnknownEnvironmentError, list_environments, make_environment
from velodrome.envs.model_environment import ModelEnvironment
from velodrome.envs.model_sampling import (
    EnvironmentPosition,
    read_position,
    reason_not_sampled_from_model,
    write_position,
)
from velodrome.envs.registration import register_environments
from velodrome.envs.river_swim import RiverSwim
from velodrome.envs.success_rules import SuccessRule, SuccessRuleError, parse_success_rule, success_rule
from velodrome.envs.text import Text
from velodrome.envs.texts import TEXTS
from velodrome.envs.transition_model import (
    NoTransitionModelError,
    TransitionModel,
    TransitionModelError,
    UntrueModelError,
)

__all__ = [
    "DATASETS",
    "TEXTS",
    "BernoulliBandit",
    "Chain",
    "Classification",
    "ClassificationVectorEnv",
    "Dataset",
    "DatasetError",
    "DeepSea",
    "Discretize",
    "EnvironmentPosition",
    "Garnet",
    "GridWorld",
    "LabelledExamples",
    "ModelEnvironment",
    "NoTransitionModelError",
    "RiverSwim",
    "SuccessRule",
    "SuccessRuleError",
    "Text",
    "TransitionModel",
    "TransitionModelError",
    "UnknownEnvironmentError",
    "UntrueModelError",
    "list_environments",
    "load_dataset",
    "make_environment",
    "parse_success_rule",
    "read_position",
    "reason_not_sampled_from_model",
    "register_environments",
    "success_rule",
    "write_position",
]

register_environments()
