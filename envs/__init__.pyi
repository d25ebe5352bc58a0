from .adversarial_bandit import AdversarialBandit as AdversarialBandit
from .applications.ad_server import AdServer as AdServer, ClairvoyantAdServer as ClairvoyantAdServer
from .applications.asset_position import AssetPosition as AssetPosition
from .applications.recommender_session import RecommenderSession as RecommenderSession
from .applications.thermal_zone import ThermalZone as ThermalZone
from .applications.warehouse import Warehouse as Warehouse
from .bandit import Bandit as Bandit
from .bernoulli_bandit import BernoulliBandit as BernoulliBandit
from .bricks import (
    Bricks as Bricks,
    ball_from_paddle as ball_from_paddle,
    follow_the_ball as follow_the_ball,
)
from .chain import Chain as Chain
from .deep_sea import DeepSea as DeepSea
from .discretize import Discretize as Discretize
from .drifting_bandit import DriftingBandit as DriftingBandit
from .garnet import Garnet as Garnet
from .gaussian_bandit import GaussianBandit as GaussianBandit
from .grid_layout import GridLayout as GridLayout, grid_layout as grid_layout
from .grid_world import GridWorld as GridWorld
from .labelled.classification import Classification as Classification
from .labelled.classification_vector import ClassificationVectorEnv as ClassificationVectorEnv
from .labelled.datasets.checks import DatasetError as DatasetError
from .labelled.datasets.dataset import Dataset as Dataset, LabelledExamples as LabelledExamples
from .labelled.datasets.loading import DATASETS as DATASETS, load_dataset as load_dataset
from .labelled.text import Text as Text
from .labelled.texts import TEXTS as TEXTS
from .make import (
    UnknownEnvironmentError as UnknownEnvironmentError,
    list_environments as list_environments,
    make_environment as make_environment,
)
from .model.model_environment import ModelEnvironment as ModelEnvironment
from .model.model_sampling import (
    EnvironmentPosition as EnvironmentPosition,
    read_position as read_position,
    reason_not_sampled_from_model as reason_not_sampled_from_model,
    write_position as write_position,
)
from .model.transition_checks import (
    NoTransitionModelError as NoTransitionModelError,
    TransitionModelError as TransitionModelError,
    UntrueModelError as UntrueModelError,
)
from .model.transition_model import TransitionModel as TransitionModel
from .observation_part import ObservationPart as ObservationPart
from .registration import register_environments as register_environments
from .regret_bound import lai_robbins_constant as lai_robbins_constant
from .reward_kind import RewardKind as RewardKind, reward_kind_of as reward_kind_of
from .river_swim import RiverSwim as RiverSwim
from .success_rules import (
    SuccessRule as SuccessRule,
    SuccessRuleError as SuccessRuleError,
    parse_success_rule as parse_success_rule,
    success_rule as success_rule,
)
from .ten_armed_testbed import TenArmedTestbed as TenArmedTestbed
from .tile_coding import TileCoding as TileCoding
