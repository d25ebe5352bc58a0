"""Neural classifiers: what the agents with one feed-forward network share."""

import json
from abc import abstractmethod
from dataclasses import dataclass, fields
from math import cos, pi
from typing import Any, ClassVar, Literal, get_args

import gymnasium as gym
import numpy as np

from velodrome.agents.deep.augmentation import NEIGHBOURS, moved
from velodrome.agents.deep.classifier_learner import (
    Augmentation,
    ClassifierLearner,
    log_mean_probabilities,
    text_of,
)
from velodrome.agents.deep.early_stopping import EarlyStopping
from velodrome.agents.deep.labelled_task import LabelledTask, share_right
from velodrome.agents.deep.learner import Learner
from velodrome.agents.deep.network import KerasNetwork, described, model_text
from velodrome.agents.deep.network_inputs import input_shape, is_image, network_inputs
from velodrome.agents.deep.numpy_network import NumpyNetwork
from velodrome.agents.deep.supervised_agent import SupervisedAgent
from velodrome.agents.deep.training_program import Objective
from velodrome.agents.errors import UnsupportedEnvironmentError
from velodrome.checks import ConfigurationError, check_choice, check_flag, check_integer, check_number
from velodrome.envs.labelled.datasets.dataset import LabelledExamples
from velodrome.envs.labelled.datasets.stratification import stratified_places
from velodrome.policies.configuration import to_expression

ScheduleName = Literal["constant", "one_cycle", "cosine"]
SCHEDULE_NAMES: tuple[str, ...] = get_args(ScheduleName)

_WARM_UP, _FIRST, _LAST = 0.25, 0.1, 0.002


def learning_rate_share(schedule: ScheduleName, progress: float) -> float:
    """Share of the largest learning rate at `progress`, from 0 at the start of training to 1 at its end.

    - "constant": 1.
    - "cosine": from 1 to 0.002 along half a wave. Source: Loshchilov & Hutter (2017).
    - "one_cycle": from 0.1 to 1 in a straight line during the first quarter, then as "cosine". Source: Smith & Topin
      (2019), with the cosine that is now customary.

    The same as `keras.optimizers.schedules.CosineDecay`, which takes a thousand times as long.
    """
    progress = min(max(progress, 0.0), 1.0)
    if schedule == "constant":
        return 1.0
    if schedule == "one_cycle":
        if progress < _WARM_UP:
            return _FIRST + (1.0 - _FIRST) * progress / _WARM_UP
        progress = (progress - _WARM_UP) / (1.0 - _WARM_UP)
    return _LAST + (1.0 - _LAST) * 0.5 * (1.0 + cos(pi * progress))


def layers_of(owner: str, network: Any) -> "NeuralClassifier":
    """A classifier of which the agent called `owner` takes the layers alone.

    Raises:
        ConfigurationError: it is none, or has an option for learning from labels.
    """
    if not isinstance(network, NeuralClassifier):
        raise ConfigurationError(f"{owner}: network must be a neural classifier, got {network}")
    for option in fields(NeuralClassifier):
        value = getattr(network, option.name)
        if value != option.default:
            raise ConfigurationError(
                f"{owner}: of network={network.name} only the layers are taken: "
                f"{option.name}={to_expression(value)} is for learning from labels, leave it at {option.default!r}"
            )
    return network


# Networks of this process, by kind, structure and task: Keras takes tenths of a second to put layers together.
_NETWORKS: dict[tuple[Any, ...], KerasNetwork] = {}


@dataclass(kw_only=True, eq=False)
class NeuralClassifier(SupervisedAgent):
    """One network from an observation to logits, trained with Adam on the cross-entropy of its softmax.

    Every observation is judged by itself: a character of a text too, so that nothing is remembered.

    To make an agent of this kind, give `_layers`.

    Args:
        learning_rate: of Adam; the largest one, where it follows a schedule.
        batch_size: examples a training step.
        schedule: of the learning rate: "constant", "one_cycle" or "cosine".
        epochs: passes over which the schedule is laid out; the budget of the call of `train` if None. With None,
            training in two calls is not training in one.
        label_smoothing: share of each target that is spread evenly over all classes, in [0, 1).
        weight_averaging: decay of the averaged weights that act in place of the last ones; 0 for none.
        shift: in training, images are moved by up to so many pixels.
        rotate: in training, images are turned by up to so many degrees.
        test_time_augmentation: the answer is the mean over an image and its four neighbours, one pixel away.
        validation: number of training examples held out to validate, spread evenly over the classes.
        patience: epochs without a better accuracy on the held-out examples after which learning stops and the best
            weights are taken; the rest of the budget is seen without learning. 0 for never.

    Raises:
        ConfigurationError: a parameter is out of range.
    """

    packages: ClassVar[tuple[str, ...]] = ("keras", "tensorflow")

    schedule: ScheduleName = "constant"
    epochs: int | None = None
    label_smoothing: float = 0.0
    weight_averaging: float = 0.0
    shift: int = 0
    rotate: float = 0.0
    test_time_augmentation: bool = False
    validation: int = 0
    patience: int = 0

    acts_by_numpy: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_choice(f"{self.name}: schedule", self.schedule, SCHEDULE_NAMES)
        if self.epochs is not None:
            check_integer(f"{self.name}: epochs", self.epochs, minimum=1)
        for field in ("label_smoothing", "weight_averaging"):
            check_number(f"{self.name}: {field}", getattr(self, field), 0.0, 1.0, open_high=True)
        check_number(f"{self.name}: rotate", self.rotate, 0.0, 180.0)
        for field in ("shift", "validation", "patience"):
            check_integer(f"{self.name}: {field}", getattr(self, field), minimum=0)
        check_flag(f"{self.name}: test_time_augmentation", self.test_time_augmentation)
        if self.patience and not self.validation:
            raise ConfigurationError(f"{self.name}: patience needs validation, a number of examples to hold out, got 0")
        super().__post_init__()
        self._numpy_network: tuple[Any, NumpyNetwork] | None = None

    @abstractmethod
    def _layers(self, layers: Any, task: LabelledTask) -> list[Any]:
        """Keras layers from an observation to one logit a class, made of the module `keras.layers`."""

    @property
    def rectified_layers(self) -> tuple[int, ...] | None:
        """Units of every hidden layer, where all layers are dense with rectifiers between them; None where not."""
        return None

    @property
    def result_version(self) -> int:
        # The networks of the first release drew other first weights and other dropout.
        return max(super().result_version, 2)

    @property
    def _structure(self) -> str:
        """Name of the network: what its layers depend on."""
        common = {field.name for field in fields(NeuralClassifier)}
        own = [field.name for field in fields(self) if field.name not in common]
        return f"{self.name}({', '.join(f'{name}={getattr(self, name)!r}' for name in own)})"

    def _network(self, task: LabelledTask) -> KerasNetwork:
        shape = input_shape(task)
        key = (type(self), self._structure, task)
        if key not in _NETWORKS:
            if len(_NETWORKS) == 32:
                _NETWORKS.clear()
            text = model_text(self._structure, shape, lambda layers: self._layers(layers, task))
            _NETWORKS[key] = KerasNetwork(text, shape)
        return _NETWORKS[key]

    def check_task(self, task: LabelledTask, label: str) -> None:
        wanted = [field for field in ("shift", "rotate", "test_time_augmentation") if getattr(self, field)]
        if wanted and not is_image(task):
            raise UnsupportedEnvironmentError(f"{self.name}: {wanted[0]} is for images, but {label} has none")

    def new_network(self, task: LabelledTask, rng: np.random.Generator) -> Learner:
        objective = Objective(float(self.label_smoothing), float(self.weight_averaging))
        augmentation = Augmentation(self.shift, float(self.rotate), self.test_time_augmentation)
        return ClassifierLearner(task, self._network(task), objective, augmentation, rng)

    def check_arrays(self, task: LabelledTask, arrays: dict[str, np.ndarray]) -> None:
        if "model" not in arrays:
            # Of the first release, whose weights have the same names: they are checked when the network is made.
            return
        structure = json.loads(text_of(arrays["model"]))["config"]["name"]
        if structure != self._structure:
            raise ValueError(f"the weights are those of {structure}, not {self._structure}")
        answer = self._exported(task, arrays).logits(np.zeros((1, *input_shape(task)), dtype=np.float32))
        if answer.shape != (1, task.num_classes):
            raise ValueError(f"the network gives {answer.shape[1:]}, but there are {task.num_classes} classes")

    def learning_rate_at(self, epochs_seen: float, epochs: float) -> float:
        laid_out = epochs if self.epochs is None else self.epochs
        return self.learning_rate * learning_rate_share(self.schedule, epochs_seen / laid_out)

    def episodes_per_epoch(self, num_examples: int) -> int:
        return num_examples - min(self.validation, num_examples - 1)

    def held_out(self, examples: LabelledExamples) -> np.ndarray:
        if not self.validation:
            return super().held_out(examples)
        labels = examples.labels.reshape(len(examples.labels), -1)[:, 0]
        return stratified_places(labels, min(self.validation, len(labels)))

    def new_early_stopping(self) -> EarlyStopping | None:
        return EarlyStopping(self.patience) if self.patience else None

    def act_on_one(self, observation: np.ndarray) -> int:
        return int(np.argmax(self._logits_of_one(self.learner.task, observation)))

    def _logits_of_one(self, task: LabelledTask, observation: np.ndarray) -> np.ndarray:
        binding = self.learner
        state = (binding.num_calls, binding.examples_seen)
        if self._numpy_network is None or self._numpy_network[0] != state:
            self._numpy_network = state, self._exported(task, binding.arrays())
        return self._logits_by_numpy(self._numpy_network[1], task, observation)

    def _exported(self, task: LabelledTask, arrays: dict[str, np.ndarray]) -> NumpyNetwork:
        """The network that acts, in NumPy, from a learner's arrays."""
        part = "averaged/" if self.weight_averaging else "weights/"
        weights = {name.removeprefix(part): array for name, array in arrays.items() if name.startswith(part)}
        text = text_of(arrays["model"]) if "model" in arrays else self._network(task).text
        return NumpyNetwork(text, weights)

    def _logits_by_numpy(self, network: NumpyNetwork, task: LabelledTask, observation: np.ndarray) -> np.ndarray:
        """Logits float32 (num_classes,) of an exported network for one observation."""
        inputs = network_inputs(task, observation)
        if self.test_time_augmentation:
            each = network.logits(np.concatenate([moved(inputs, *offset) for offset in NEIGHBOURS]))
            mean: np.ndarray = log_mean_probabilities(each[:, np.newaxis])[0]
            return mean
        logits: np.ndarray = network.logits(inputs)[0]
        return logits

    def predict_logits(self, images: Any) -> np.ndarray:
        """Logits float32 (B, num_classes) for a batch, in bounded memory.

        With `test_time_augmentation` they are logarithms of mean probabilities.

        Args:
            images: a batch of observations (B, …).

        Raises:
            ObservationError: not a batch of the environment's observations.
        """
        binding = self.learner
        return binding.network.logits(binding.task.checked(images))

    def accuracy(self, images: Any, labels: Any) -> float:
        """Share of a batch for which `act` gives the label.

        Args:
            images: (B, *observation_shape).
            labels: (B,), or the same in a column.

        Raises:
            ObservationError: not a batch of the environment's observations, or not one label for each.
        """
        return share_right(self.act(np.asarray(images)), labels)

    def describe(self, env: gym.Env[Any, Any] | str | None = None) -> str:
        """Layers, output shapes and parameters, one line each.

        Args:
            env: of which environment; the one that the agent was trained on if None.
        """
        return self._describe(self._task_of(env))

    def _describe(self, task: LabelledTask) -> str:
        return described(self._network(task).model)
