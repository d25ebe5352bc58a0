"""Where a running experiment stands: what progress displays are given."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class AgentStatus:
    """Trials of one agent: `finished` (reused and failed ones included) of `total`.

    Those that run now have done as much as `under_way` whole ones, as far as that is known.
    """

    total: int = 0
    finished: int = 0
    failed: int = 0
    under_way: float = 0.0


@dataclass
class RunStatus:
    """Where an experiment stands.

    Attributes:
        total: trials of the experiment.
        finished: trials that have come to an end; `reused` and `failed` are among them.
        reused: trials whose results were already in the store.
        failed: trials that failed or timed out.
        steps: environment steps of the trials finished in this run.
        agents: label to that agent's trials, in the experiment's order.
        is_compiling: whether a loop is being compiled, or loaded from disk, now; trials may run beside it.
        compile_seconds: on the clock, for which this was so.
        under_way: what the trials that run now have done, in whole trials, as far as that is known.
    """

    total: int = 0
    finished: int = 0
    reused: int = 0
    failed: int = 0
    steps: int = 0
    agents: dict[str, AgentStatus] = field(default_factory=dict)
    is_compiling: bool = False
    compile_seconds: float = 0.0
    under_way: float = 0.0


# Called at the start, whenever trials have ended, and about twice a second while waiting.
ProgressCallback = Callable[[RunStatus], None]
