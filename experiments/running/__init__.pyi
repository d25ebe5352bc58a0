from .run_plan import RunOptions as RunOptions, run_plan as run_plan
from .run_status import RunStatus as RunStatus
