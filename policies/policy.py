"""The contract of an exploration policy."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from velodrome.policies.configuration import Configuration
from velodrome.policies.schedules import Constant, Schedule

Ties = Literal["random", "first"]
TIES: tuple[str, ...] = ("random", "first")

# (action_values (A,), visit_counts (A,), parameter, rng) -> action
SelectFunction = Callable[[Sequence[float], Sequence[int], float, np.random.Generator], int]
# (action_values (A,), visit_counts (A,), parameter, probabilities (A,) to be filled) -> None
ProbabilitiesFunction = Callable[[Sequence[float], Sequence[int], float, Any], None]


class Policy(Configuration, ABC):
    """How to explore: a frozen dataclass of its parameters, a schedule and a `select` function.

    To write your own, subclass this as a frozen dataclass and set `select` to a plain function

        def select(action_values, visit_counts, parameter, rng): return action

    over one state's action values (float64 (A,)), how often each action was taken there (int64 (A,)), the
    schedule's value and a random stream with NumPy's `Generator` methods. As long as it uses only what Numba
    compiles, the same source runs in plain Python and in the compiled loop; nothing needs to be registered.
    """

    #: Allowed range of the schedule's values; checked before every run.
    parameter_range: ClassVar[tuple[float, float]] = (-np.inf, np.inf)
    #: Whether the functions only index and take `len` of their arrays, so that plain buffers serve them too.
    indexes_only: ClassVar[bool] = False
    #: Whether `select` draws by `rng.random()` alone, so that its numbers can be drawn ahead in blocks.
    draws_uniforms_only: ClassVar[bool] = False
    #: Whether `select` reads the visit counts, which only agents with a table have.
    reads_visit_counts: ClassVar[bool] = False
    #: Whether it takes an action value for the mean of as many rewards as the action has visits.
    needs_sample_averages: ClassVar[bool] = False

    @property
    def reward_range(self) -> tuple[float, float]:
        """Smallest and largest reward that the policy assumes; a reward outside is refused."""
        return -np.inf, np.inf

    @property
    def schedule(self) -> Schedule:
        """Schedule of the one parameter handed to `select`."""
        return Constant(0.0)

    @property
    @abstractmethod
    def select(self) -> SelectFunction:
        """Plain function that chooses an action."""

    @property
    def probabilities(self) -> ProbabilitiesFunction | None:
        """Plain function that fills in each action's probability, or None where it has no closed form."""
        return None
