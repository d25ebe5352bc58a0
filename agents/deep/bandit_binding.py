"""A neural bandit bound to the spaces of an environment: its model, streams and place in the run."""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from velodrome.agents.agent import generator_from_state, generator_state
from velodrome.agents.deep.bandit_stepper import BanditStepper
from velodrome.agents.deep.labelled_task import LabelledTask
from velodrome.agents.deep.reward_model import RewardModel
from velodrome.agents.engine.generic_loop import Progress
from velodrome.agents.engine.seeding import environment_seed, fresh_seed, role_generator, role_sequence
from velodrome.agents.errors import UnsupportedEnvironmentError, environment_label

if TYPE_CHECKING:
    from velodrome.agents.deep.neural_bandit import NeuralBandit

# Streams of the agent: first weights, as an agent that learns from labels draws them; exploration; training steps.
_EXPLORATION, _UPDATES = 1, 2


class BanditBinding:
    """What `train` makes of a configuration; everything here is saved but the environment."""

    task: LabelledTask
    seed: int
    rng: np.random.Generator
    stepper: BanditStepper

    def __init__(self, agent: "NeuralBandit") -> None:
        self.agent = agent
        self.environment: Any = None
        self.environment_id: str | None = None
        self.num_environments = 0
        self.first_episode = 0
        self.progress = Progress()
        self.is_ready = False

    def bind(self, environment: Any, seed: int | None) -> int | None:
        """Bind to an environment, or continue in it.

        Returns:
            The seed for the environment's first reset, or None where its stream and episode continue.

        Raises:
            UnsupportedEnvironmentError: the agent cannot handle the spaces.
        """
        if environment is not self.environment:
            self._check_task(environment)
        if seed is not None or not self.is_ready:
            self.seed = fresh_seed() if seed is None else seed
            rng = role_generator(self.seed, "agent", _EXPLORATION)
            if self.is_ready:
                self.rng.bit_generator.state = rng.bit_generator.state
            else:
                self._prepare(rng)
            self.num_environments = 0
        elif environment is self.environment:
            return None
        self._enter(environment)
        self.first_episode = self.stepper.episode
        self.num_environments += 1
        return environment_seed(self.seed, index=self.num_environments - 1)

    def resume(self, environment: Any) -> None:
        """Take an environment made anew for the one that was left at the end of an episode.

        Raises:
            UnsupportedEnvironmentError: its spaces are others.
        """
        self._check_task(environment)
        self._enter(environment)

    def _enter(self, environment: Any) -> None:
        self.environment = environment
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget an unfinished episode."""
        self.progress = Progress()

    @property
    def episodes_before(self) -> int:
        """Episodes finished since the environment was seeded; failures are numbered from there."""
        return self.stepper.episode - self.first_episode

    def _check_task(self, environment: Any) -> None:
        name, label = self.agent.name, environment_label(environment)
        task = LabelledTask.of(name, environment)
        if self.is_ready:
            task = task.after(self.task)
        if self.is_ready and task != self.task:
            raise UnsupportedEnvironmentError(f"{name} was trained on {self.task}, but {label} has {task}")
        self.agent._classifier._check_task(task, label)
        self.task = task

    def _prepare(self, rng: np.random.Generator) -> None:
        agent = self.agent
        self.rng = rng
        model = RewardModel(agent._classifier, self.task, role_generator(self.seed, "agent"))
        self.stepper = BanditStepper(
            name=agent.name,
            task=self.task,
            policy=agent.policy,
            model=model,
            batch_size=agent.batch_size,
            learning_rate=float(agent.learning_rate),
            rng=rng,
            update_stream=self._update_stream,
        )
        self.is_ready = True

    def _update_stream(self, num_updates: int) -> np.random.Generator:
        parent = role_sequence(self.seed, "agent", _UPDATES)
        sequence = np.random.SeedSequence(self.seed, spawn_key=(*parent.spawn_key, num_updates))
        return np.random.Generator(np.random.PCG64(sequence))

    def to_storage(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Manifest entries and arrays; an episode that is under way is not kept."""
        stepper = self.stepper
        manifest = {
            "task": dataclasses.asdict(self.task),
            "seed": self.seed,
            "environments": self.num_environments,
            "first_episode": self.first_episode,
            "episode": stepper.episode,
            "step": stepper.step,
            "updates": stepper.model.num_updates,
            "agent_stream": generator_state(self.rng),
        }
        arrays = {f"network/{name}": array for name, array in stepper.model.arrays().items()}
        arrays |= {f"batch/{name}": array for name, array in stepper.batch.arrays().items()}
        return manifest, arrays

    def from_storage(self, manifest: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Take over what `to_storage` gave.

        Raises:
            KeyError, TypeError, ValueError: entries are missing or do not fit together.
        """
        self.task = LabelledTask.from_data(manifest["task"])
        self.seed, self.num_environments = int(manifest["seed"]), int(manifest["environments"])
        self._prepare(generator_from_state(manifest["agent_stream"]))
        self.first_episode = int(manifest["first_episode"])
        self.stepper.episode, self.stepper.step = int(manifest["episode"]), int(manifest["step"])
        self.stepper.model.restore(_under("network/", arrays), int(manifest["updates"]))
        self.stepper.batch.restore(_under("batch/", arrays))


def _under(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
