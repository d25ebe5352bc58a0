"""The learner of a supervised agent: its network, its early stopping and its place among the examples."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from velodrome.agents.deep.early_stopping import EarlyStopping
from velodrome.agents.deep.labelled_task import LabelledTask
from velodrome.agents.deep.learner import Learner as Network
from velodrome.agents.engine.seeding import Streams
from velodrome.agents.resuming.saving import SavedAgentError, arrays_under, whole_number
from velodrome.agents.stepwise import Learner
from velodrome.checks import VelodromeError


class DivergedError(VelodromeError, ArithmeticError):
    """Training came to numbers that are not finite; the message is one line."""


class SupervisedLearner(Learner):
    """A network that is made when it is first needed, and where it stands among the examples.

    All chance is a function of the seed, of how many environments were entered since, and of the number of
    examples seen in the present one, so that no generator's state has to be kept.

    Args:
        name: of the agent, for messages.
        task: what is learnt.
        streams: random streams of the agent.
        new_network: makes the network from the task and a generator of first weights.
        new_early_stopping: makes what watches the held-out examples, if anything does.
        check_arrays: refuses saved arrays that do not fit the task.

    Attributes:
        examples_seen: in the present environment.
        num_calls: stretches of training; with the examples seen, it says what was computed from older weights.
        early_stopping: what watches the accuracy on the held-out examples.
        losses: of the batches since it was cleared.
    """

    def __init__(
        self,
        name: str,
        task: LabelledTask,
        streams: Streams,
        *,
        new_network: Callable[[LabelledTask, np.random.Generator], Network],
        new_early_stopping: Callable[[], EarlyStopping | None],
        check_arrays: Callable[[LabelledTask, dict[str, np.ndarray]], None],
    ) -> None:
        self.task = task
        self._name, self._streams = name, streams
        self._new_network, self._new_early_stopping, self._check_arrays = new_network, new_early_stopping, check_arrays
        self.examples_seen = self.num_calls = 0
        self.early_stopping = new_early_stopping()
        self.losses: list[float] = []
        # Seconds spent on compiling that no log has reported yet.
        self.unreported_seconds = 0.0
        self._network: Network | None = None
        # Of a loaded agent, until something needs the network.
        self._stored: dict[str, np.ndarray] | None = None

    def enter(self, task: LabelledTask, environment: Any, *, is_resumed: bool = False) -> None:
        self.task = task
        if is_resumed:
            return
        self.examples_seen = 0
        # What was best elsewhere says nothing here.
        self.early_stopping = self._new_early_stopping()
        if self._network is None:
            # Made at once, so that an environment which the network cannot handle leaves nothing behind.
            self.unreported_seconds = self.network.compile_seconds

    @property
    def network(self) -> Network:
        """The network with its optimiser, made when first needed.

        Raises:
            SavedAgentError: what was loaded does not fit it.
        """
        if self._network is None:
            started = time.perf_counter()
            # The weights that a second seed would begin with are no matter: what was learnt stays.
            rng = np.random.Generator(np.random.PCG64(self._streams.sequence(0)))
            network = self._new_network(self.task, rng)
            if self._stored is not None:
                try:
                    network.restore(self._stored)
                except (KeyError, ValueError) as error:
                    raise SavedAgentError(f"the saved {self._name} agent does not fit: {error}") from None
                self._stored = None
            network.compile_seconds += time.perf_counter() - started
            self._network = network
        return self._network

    @property
    def compile_seconds(self) -> float:
        """Spent so far on importing, tracing and compiling, but for what is still to be reported."""
        return 0.0 if self._network is None else self._network.compile_seconds - self.unreported_seconds

    def order_sequence(self) -> np.random.SeedSequence:
        """Seed of the order of the examples in the present environment."""
        return self._streams.sequence(2 * self._streams.environments - 1)

    def step_generator(self) -> np.random.Generator:
        """Stream of the next training step."""
        return self._streams.at(2 * self._streams.environments, self.examples_seen)

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that was learnt, by name, without making a network."""
        return self._stored if self._stored is not None else self.network.arrays()

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        entries = {"task": dataclasses.asdict(self.task), "examples_seen": self.examples_seen}
        arrays = {f"network/{name}": array for name, array in self.arrays().items()}
        if self.early_stopping is not None:
            entries["early_stopping"] = self.early_stopping.state()
            arrays |= {f"best/{name}": array for name, array in self.early_stopping.best_arrays.items()}
        return entries, arrays

    def set_state(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        self.examples_seen = whole_number(entries, "examples_seen")
        self._stored = arrays_under("network/", arrays)
        self._check_arrays(self.task, self._stored)
        if self.early_stopping is not None:
            self.early_stopping.restore(entries["early_stopping"], arrays_under("best/", arrays))
