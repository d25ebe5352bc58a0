"""The ensemble: several networks of one kind that learn from the same batches and decide together."""

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import gymnasium as gym
import numpy as np

from velodrome.agents.agent import Agent
from velodrome.agents.deep.convolutional_networks import DeepCNN
from velodrome.agents.deep.early_stopping import EarlyStopping
from velodrome.agents.deep.labelled_task import LabelledTask, share_right
from velodrome.agents.deep.learner import BatchOutcome, Learner
from velodrome.agents.deep.neural_classifier import NeuralClassifier
from velodrome.agents.deep.numpy_network import NumpyNetwork
from velodrome.agents.deep.supervised_agent import SupervisedAgent
from velodrome.checks import ConfigurationError, check_choice, check_integer
from velodrome.envs.labelled.datasets.dataset import LabelledExamples

Combine = Literal["logits", "vote"]
COMBINATIONS: tuple[str, ...] = get_args(Combine)


@dataclass(kw_only=True, eq=False)
class Ensemble(SupervisedAgent):
    """Networks of one kind that learn from the same batches and decide together.

    Members differ in their first weights, in what they drop and in how their images are moved. The learning rate,
    the batches and the held-out examples are the member's. The training log counts the predictions of all members
    together.

    Args:
        member: configuration of each member.
        size: number of members.
        combine: "logits": the class with the largest sum of logits; "vote": that most members choose, of equals the
            first.

    Raises:
        ConfigurationError: a parameter is out of range.

    Source: Hansen & Salamon (1990); Kim (2017), Deep Learning Zero to All, lab 11-5, sums logits.
    """

    learning_rate: float = field(default=0.0, init=False)
    batch_size: int = field(default=0, init=False)
    # Any agent here, so that expressions may name one; `__post_init__` refuses those that are no classifiers.
    member: Agent = field(default_factory=DeepCNN)
    size: int = 7
    combine: Combine = "logits"

    def __post_init__(self) -> None:
        if not isinstance(self.member, NeuralClassifier):
            raise ConfigurationError(f"{self.name}: member must be a neural classifier, got {self.member}")
        check_integer(f"{self.name}: size", self.size, minimum=1)
        check_choice(f"{self.name}: combine", self.combine, COMBINATIONS)
        self.learning_rate, self.batch_size = self.member.learning_rate, self.member.batch_size
        super().__post_init__()
        self._numpy_networks: tuple[Any, list[NumpyNetwork]] | None = None

    @property
    def result_version(self) -> int:
        return self.member.result_version

    @property
    def _classifier(self) -> NeuralClassifier:
        assert isinstance(self.member, NeuralClassifier)
        return self.member

    def check_task(self, task: LabelledTask, label: str) -> None:
        self._classifier.check_task(task, label)

    def new_network(self, task: LabelledTask, rng: np.random.Generator) -> Learner:
        members = [self._classifier.new_network(task, own) for own in rng.spawn(self.size)]
        return EnsembleLearner(members, self.combine)

    def check_arrays(self, task: LabelledTask, arrays: dict[str, np.ndarray]) -> None:
        for number in range(self.size):
            self._classifier.check_arrays(task, _member_arrays(arrays, number))

    def learning_rate_at(self, epochs_seen: float, epochs: float) -> float:
        return self._classifier.learning_rate_at(epochs_seen, epochs)

    def episodes_per_epoch(self, num_examples: int) -> int:
        return self._classifier.episodes_per_epoch(num_examples)

    def held_out(self, examples: LabelledExamples) -> np.ndarray:
        return self._classifier.held_out(examples)

    def new_early_stopping(self) -> EarlyStopping | None:
        return self._classifier.new_early_stopping()

    def act_on_one(self, observation: np.ndarray) -> int:
        if not self._classifier.acts_by_numpy:
            return super().act_on_one(observation)
        binding = self.learner
        state = (binding.num_calls, binding.examples_seen)
        if self._numpy_networks is None or self._numpy_networks[0] != state:
            arrays = binding.arrays()
            parts = [_member_arrays(arrays, number) for number in range(self.size)]
            self._numpy_networks = state, [self._classifier._exported(binding.task, part) for part in parts]
        networks = self._numpy_networks[1]
        logits = np.stack(
            [self._classifier._logits_by_numpy(network, binding.task, observation) for network in networks]
        )
        return int(np.argmax(combined(logits[:, np.newaxis], self.combine)[0]))

    def predict_logits(self, images: Any) -> np.ndarray:
        """Sums of the members' logits, or numbers of their votes, float32 (B, num_classes), in bounded memory.

        Args:
            images: a batch of observations (B, …).
        """
        binding = self.learner
        return binding.network.logits(binding.task.checked(images))

    def member_logits(self, images: Any) -> np.ndarray:
        """Logits of each member, float32 (size, B, num_classes).

        Args:
            images: a batch of observations (B, …).
        """
        binding = self.learner
        learner = binding.network
        assert isinstance(learner, EnsembleLearner)
        return learner.member_logits(binding.task.checked(images))

    def accuracy(self, images: Any, labels: Any) -> float:
        """Share of a batch for which `act` gives the label; see `NeuralClassifier.accuracy`.

        Args:
            images: observations (B, …).
            labels: right classes, as actions, whole numbers (B,).
        """
        return share_right(self.act(np.asarray(images)), labels)

    def describe(self, env: gym.Env[Any, Any] | str | None = None) -> str:
        """Layers, output shapes and parameters of a member; see `NeuralClassifier.describe`.

        Args:
            env: environment, or its id; that of the training if None.
        """
        task = self.learner.task if env is None else self._classifier._task_of(env)
        return f"{self.size} members, each:\n{self._classifier._describe(task)}"


class EnsembleLearner(Learner):
    """Learners that see the same batches, each with a stream of its own.

    Args:
        members: of one kind.
        combine: as of `Ensemble`.
    """

    def __init__(self, members: list[Learner], combine: Combine) -> None:
        self._members, self._combine = members, combine

    def learn(
        self, inputs: np.ndarray, labels: np.ndarray, learning_rate: float, rng: np.random.Generator
    ) -> BatchOutcome:
        compiled = sum(member.compile_seconds for member in self._members)
        outcomes = [
            member.learn(inputs, labels, learning_rate, own)
            for member, own in zip(self._members, rng.spawn(len(self._members)), strict=True)
        ]
        self.compile_seconds += sum(member.compile_seconds for member in self._members) - compiled
        logits = np.stack([outcome.logits for outcome in outcomes if outcome.logits is not None])
        predictions = np.argmax(combined(logits, self._combine), axis=-1)
        return BatchOutcome(predictions, float(np.mean([outcome.loss for outcome in outcomes])), logits)

    def member_logits(self, inputs: np.ndarray) -> np.ndarray:
        """Logits of each member, float32 (num_members, B, num_classes)."""
        return np.stack([member.logits(inputs) for member in self._members])

    def logits(self, inputs: np.ndarray) -> np.ndarray:
        return combined(self.member_logits(inputs), self._combine)

    def arrays(self) -> dict[str, np.ndarray]:
        return {
            f"member_{number + 1}/{name}": array
            for number, member in enumerate(self._members)
            for name, array in member.arrays().items()
        }

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        for number, member in enumerate(self._members):
            member.restore(_member_arrays(arrays, number))


def combined(logits: np.ndarray, combine: Combine) -> np.ndarray:
    """Sums, or numbers of votes, float32 (…, num_classes), of members' logits (num_members, …, num_classes)."""
    if combine == "logits":
        total: np.ndarray = logits.sum(axis=0)
        return total
    votes: np.ndarray = (np.argmax(logits, axis=-1)[..., np.newaxis] == np.arange(logits.shape[-1])).sum(axis=0)
    return votes.astype(np.float32)


def _member_arrays(arrays: dict[str, np.ndarray], number: int) -> dict[str, np.ndarray]:
    prefix = f"member_{number + 1}/"
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
