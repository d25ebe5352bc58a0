from .environment_profile import EnvironmentProfile as EnvironmentProfile
from .evaluation import Evaluation as Evaluation, evaluate as evaluate, wilson_interval as wilson_interval
from .hopeless import Hopeless as Hopeless
from .measures import MEASURES as MEASURES, Measure as Measure
from .trial import Budget as Budget, Trial as Trial, run_trial as run_trial
