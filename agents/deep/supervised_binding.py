"""A supervised agent bound to a task: its learner, its random streams and its place among the examples."""

import dataclasses
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from velodrome.agents.deep.early_stopping import EarlyStopping
from velodrome.agents.deep.labelled_task import LabelledTask
from velodrome.agents.deep.learner import Learner
from velodrome.agents.engine.seeding import fresh_seed, role_generator, role_sequence
from velodrome.agents.errors import UnsupportedEnvironmentError, environment_label
from velodrome.agents.resuming.saving import SavedAgentError

if TYPE_CHECKING:
    from velodrome.agents.deep.supervised_agent import SupervisedAgent


class SupervisedBinding:
    """What `train` makes of a configuration; everything here is saved but the environment.

    All chance is a function of the seed, of how many environments were entered since, and of the number of
    examples seen in the present one, so that no generator's state has to be kept.
    """

    task: LabelledTask
    seed: int

    def __init__(self, agent: "SupervisedAgent") -> None:
        self.agent = agent
        self.environment: Any = None
        self.environment_id: str | None = None
        self.num_environments = 0
        self.examples_seen = 0
        # Calls of `train`: with the examples seen, it tells what was computed from older weights.
        self.num_calls = 0
        self.early_stopping: EarlyStopping | None = agent._new_early_stopping()
        self.is_bound = False
        self._learner: Learner | None = None
        # Of a loaded agent, until something needs the learner.
        self._stored: dict[str, np.ndarray] | None = None

    def bind(self, environment: Any, seed: int | None) -> None:
        """Bind to an environment, or continue in it.

        Raises:
            UnsupportedEnvironmentError: the agent cannot handle the spaces.
        """
        self.num_calls += 1
        if environment is not self.environment:
            self._check_task(environment)
        if seed is not None or not self.is_bound:
            self.seed = fresh_seed() if seed is None else seed
            self.num_environments = 0
        elif environment is self.environment:
            return
        self.is_bound = True
        self.environment = environment
        self.num_environments += 1
        self.examples_seen = 0
        # What was best elsewhere says nothing here.
        self.early_stopping = self.agent._new_early_stopping()

    def resume(self, environment: Any) -> None:
        """Take an environment made anew for the one in which training stopped.

        Raises:
            UnsupportedEnvironmentError: its spaces are others.
        """
        self._check_task(environment)
        self.environment = environment

    def _check_task(self, environment: Any) -> None:
        task, label = LabelledTask.of(self.agent.name, environment), environment_label(environment)
        if self.is_bound:
            task = task.after(self.task)
        if self.is_bound and task != self.task:
            raise UnsupportedEnvironmentError(f"{self.agent.name} was trained on {self.task}, but {label} has {task}")
        self.agent._check_task(task, label)
        self.task = task

    @property
    def is_ready(self) -> bool:
        """Whether the learner has been made."""
        return self._learner is not None

    @property
    def learner(self) -> Learner:
        """The network, made when first needed.

        Raises:
            SavedAgentError: what was loaded does not fit it.
        """
        if self._learner is None:
            started = time.perf_counter()
            # The weights that a second seed would begin with are no matter: what was learnt stays.
            learner = self.agent._new_learner(self.task, role_generator(self.seed, "agent"))
            if self._stored is not None:
                try:
                    learner.restore(self._stored)
                except (KeyError, ValueError) as error:
                    raise SavedAgentError(f"the saved {self.agent.name} agent does not fit: {error}") from None
                self._stored = None
            learner.compile_seconds += time.perf_counter() - started
            self._learner = learner
        return self._learner

    def order_sequence(self) -> np.random.SeedSequence:
        """Seed of the order of the examples in the present environment."""
        return role_sequence(self.seed, "agent", 2 * self.num_environments - 1)

    def step_generator(self) -> np.random.Generator:
        """Stream of the next training step."""
        parent = role_sequence(self.seed, "agent", 2 * self.num_environments)
        key = (*parent.spawn_key, self.examples_seen)
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.seed, spawn_key=key)))

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that was learnt, by name, without making a learner."""
        return self._stored if self._stored is not None else self.learner.arrays()

    def to_storage(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Manifest entries and arrays."""
        manifest = {
            "task": dataclasses.asdict(self.task),
            "seed": self.seed,
            "environments": self.num_environments,
            "examples_seen": self.examples_seen,
        }
        arrays = {f"network/{name}": array for name, array in self.arrays().items()}
        if self.early_stopping is not None:
            manifest["early_stopping"] = self.early_stopping.state()
            arrays |= {f"best/{name}": array for name, array in self.early_stopping.best_arrays.items()}
        return manifest, arrays

    def from_storage(self, manifest: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Take over what `to_storage` gave; the learner is made later.

        Raises:
            KeyError, TypeError, ValueError: entries are missing or do not fit together.
        """
        self.task = LabelledTask.from_data(manifest["task"])
        self.seed, self.num_environments = int(manifest["seed"]), int(manifest["environments"])
        self.examples_seen = int(manifest["examples_seen"])
        self._stored = _under("network/", arrays)
        self.agent._check_arrays(self.task, self._stored)
        if self.early_stopping is not None:
            self.early_stopping.restore(manifest["early_stopping"], _under("best/", arrays))
        self.is_bound = True


def _under(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
