from . import agents as agents, envs as envs, experiments as experiments, policies as policies
from .agents.agent import Agent as Agent
from .agents.external import ExternalAgent as ExternalAgent
from .checks import VelodromeError as VelodromeError
from .experiments.compare import compare as compare
from .experiments.describe import EnvironmentDescription as EnvironmentDescription, describe as describe
from .experiments.results.results import Results as Results
from .experiments.run import run as run
from .experiments.storage.repair import repair as repair
from .experiments.trials.measures import Measure as Measure
from .experiments.trials.trial import Trial as Trial
from .experiments.verify import verify as verify

__version__: str
