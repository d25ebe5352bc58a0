from .run_plan import RunOptions as RunOptions
from .run_plan import run_plan as run_plan
from .run_status import RunStatus as RunStatus
