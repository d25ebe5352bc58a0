from .environment_profile import EnvironmentProfile as EnvironmentProfile
from .evaluation import Evaluation as Evaluation
from .evaluation import evaluate as evaluate
from .evaluation import wilson_interval as wilson_interval
from .trial import Budget as Budget
from .trial import Trial as Trial
from .trial import run_trial as run_trial
