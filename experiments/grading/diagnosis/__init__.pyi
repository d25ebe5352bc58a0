from .learner import diagnose_learner as diagnose_learner, learns_as_asked as learns_as_asked
from .planning import diagnose_values as diagnose_values
from .update import diagnose_update as diagnose_update
