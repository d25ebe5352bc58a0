from . import grading as grading
from .compare import compare as compare
from .describe import EnvironmentDescription as EnvironmentDescription, describe as describe
from .errors import (
    AllTrialsFailedError as AllTrialsFailedError,
    ExperimentError as ExperimentError,
    ExperimentWarning as ExperimentWarning,
)
from .log_policy import log_policy as log_policy
from .results.results import Results as Results
from .run import run as run
from .storage.repair import repair as repair
from .trials.trial import Trial as Trial
from .tuning.tune import tune as tune
from .verify import verify as verify
