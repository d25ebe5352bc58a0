from .learner import diagnose_learner as diagnose_learner
from .planning import diagnose_values as diagnose_values
from .update import diagnose_update as diagnose_update
