"""A Q-network of dense layers: its weights, target network and optimiser, whose arithmetic is compiled."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from velodrome.agents.deep import q_kernels as kernels

# Observations that are valued at once.
_CHUNK = 256


class Batch(NamedTuple):
    """Steps to learn from, as the network reads them; see `q_kernels.learn` for shapes and dtypes."""

    inputs: np.ndarray
    next_inputs: np.ndarray
    actions: np.ndarray
    returns: np.ndarray
    factors: np.ndarray
    next_masks: np.ndarray
    shares: np.ndarray
    errors: np.ndarray

    @classmethod
    def empty(cls, size: int, num_inputs: int, num_actions: int) -> "Batch":
        """Arrays of a batch, to be filled; every share is 1."""
        return cls(
            np.zeros((size, num_inputs), np.float32),
            np.zeros((size, num_inputs), np.float32),
            np.zeros(size, np.int64),
            np.zeros(size, np.float32),
            np.zeros(size, np.float32),
            np.ones((size, num_actions), np.uint8),
            np.ones(size, np.float32),
            np.zeros(size, np.float32),
        )


@dataclass(frozen=True, kw_only=True)
class NetworkShape:
    """The layers of a Q-network.

    Attributes:
        num_inputs: numbers of an observation; of symbols, how many there are.
        hidden: units of each hidden layer.
        num_actions: number of actions.
        is_symbol: whether an observation is a symbol, counted from 0.
        is_dueling: whether it estimates the state's value and the actions' advantages.
        has_bias: whether its layers have biases.
        num_atoms: outputs for each action, and for the state's value.
    """

    num_inputs: int
    hidden: tuple[int, ...]
    num_actions: int
    is_symbol: bool
    is_dueling: bool
    has_bias: bool
    num_atoms: int = 1

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of inputs, of each hidden layer's units and of the outputs."""
        return (self.num_inputs, *self.hidden, (self.num_actions + self.is_dueling) * self.num_atoms)

    @property
    def num_weights(self) -> int:
        """Number of weights, with the biases, which are kept as zeros where there are none."""
        return sum((before + 1) * after for before, after in pairwise(self.sizes))

    def room(self, size: int) -> int:
        """Numbers that the kernels need to work on a batch."""
        widest = max(self.sizes[:-1])
        return size * (sum(self.hidden) + widest + self.sizes[-1] + 2 * self.num_actions) + self.num_inputs

    def describe(self) -> list[str]:
        """A line a layer: its shape and number of weights."""
        sizes, lines = self.sizes, []
        for number, (before, after) in enumerate(pairwise(sizes)):
            kind = "dense, rectified" if number < len(sizes) - 2 else "dense"
            weights = (before + self.has_bias) * after
            lines.append(f"{kind}: {before} -> {after}, {weights:,} weights")
        return lines


@dataclass(frozen=True, kw_only=True)
class LearningRule:
    """What a gradient step does, the same at every step; see `q_kernels.learn`.

    Attributes:
        is_double: whether the online network chooses the action that is valued.
        has_target: whether the target network values it.
        has_masks: whether only some actions are available in the next observation.
        is_huber: whether the loss is Huber's, or else the squared error.
        optimizer: `q_kernels.ADAM` or `q_kernels.SGD`.
        max_gradient_norm: longer gradients are shortened to this norm; infinite leaves them.
    """

    is_double: bool
    has_target: bool
    has_masks: bool
    is_huber: bool
    optimizer: int
    max_gradient_norm: float


class CompiledNetwork(ABC):
    """Arrays of networks whose arithmetic is compiled.

    Attributes:
        num_updates: gradient steps so far.
    """

    num_updates: int

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """All that they have learnt, the optimiser's arrays with it."""

    def restore(self, arrays: dict[str, np.ndarray], num_updates: int) -> None:
        """Take over what `arrays` gave.

        Raises:
            KeyError, ValueError: an array is missing or does not fit.
        """
        for name, own in self.arrays().items():
            take_over(name, own, arrays[name])
        self.num_updates = num_updates


class QNetwork(CompiledNetwork):
    """An online network, its target network and its optimiser.

    Args:
        shape: of the layers.
        rng: stream of the first weights.
        initial_weights: "fan_in", uniform within 1 / sqrt(inputs), biases too; "glorot", Glorot's uniform ones, biases
            0; or a number, uniform from 0 to it, biases 0.
        batch_size: steps of `batch`.
        rule: of the gradient steps.

    Attributes:
        shape, rule: as given.
        weights: float32 (5, num_weights); see `q_kernels`.
        num_updates: gradient steps so far.
        batch: to be filled before `learn`.
    """

    def __init__(
        self,
        shape: NetworkShape,
        rng: np.random.Generator,
        *,
        initial_weights: float | str,
        batch_size: int,
        rule: LearningRule,
    ) -> None:
        self.shape, self._sizes = shape, np.array(shape.sizes, dtype=np.int64)
        self.weights = np.zeros((5, shape.num_weights), np.float32)
        self.powers = np.ones(2)
        self.num_updates = 0
        self.batch = Batch.empty(batch_size, 1 if shape.is_symbol else shape.num_inputs, shape.num_actions)
        self._work = np.zeros(shape.room(batch_size), np.float32)
        self._one = np.zeros(shape.room(1), np.float32)
        self._options = (
            shape.is_symbol, shape.is_dueling, shape.has_bias, rule.has_masks, rule.is_double, rule.has_target,
            rule.is_huber, rule.optimizer,
        )  # fmt: skip
        self.rule = rule
        draw_weights(self.layers(kernels.ONLINE), rng, initial_weights, shape.has_bias)
        self.weights[kernels.TARGET] = self.weights[kernels.ONLINE]

    def layers(self, row: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Views of a row of the weights: each layer's kernel float32 (inputs, outputs) and bias (outputs,)."""
        return layers_in(self.weights[row], self.shape.sizes)

    def values_of_one(self, observation: np.ndarray, scale: np.ndarray, values: np.ndarray) -> None:
        """Fill values float32 (num_actions,) with those of an observation, scaled first."""
        kernels.values_of_one(
            self.weights, self._sizes, observation, scale, self._one, values,
            self.shape.is_symbol, self.shape.is_dueling,
        )  # fmt: skip

    def values(self, observations: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Action values float32 (B, num_actions) of observations (B, D), scaled first; nothing else changes."""
        result = np.empty((len(observations), self.shape.num_actions), np.float32)
        number = min(len(observations), _CHUNK)
        inputs = np.empty((number, observations.shape[1]), np.float32)
        for start in range(0, len(observations), _CHUNK):
            part = observations[start : start + _CHUNK]
            rows = len(part)
            kernels.scaled_into(part, scale, inputs[:rows])
            hidden = np.empty(max(sum(self.shape.hidden), 1) * rows, np.float32)
            turned = np.empty(max(self.shape.sizes) * rows, np.float32)
            outputs = np.empty((self.shape.sizes[-1], rows), np.float32)
            values = np.empty((self.shape.num_actions, rows), np.float32)
            kernels.forward(
                self.weights[kernels.ONLINE], self._sizes, self.shape.is_symbol, self.shape.is_dueling, inputs[:rows],
                hidden, turned, outputs, values,
            )  # fmt: skip
            result[start : start + _CHUNK] = values.T
        return result

    def learn(self, learning_rate: float) -> tuple[float, float]:
        """One gradient step of `batch`: its loss before it, and the mean value of the actions that were taken.

        The estimates' errors are in `batch.errors` then.
        """
        self.num_updates += 1
        found: tuple[float, float] = kernels.learn(
            self.weights, self._sizes, self.powers, *self.batch, self._work, *self._options, learning_rate,
            self.rule.max_gradient_norm,
        )  # fmt: skip
        return found

    def move_target(self, rate: float) -> None:
        """Move the target network towards the online one by a share of their difference; 1.0 copies it."""
        kernels.move_target(self.weights, rate)

    def compile(self, observation: np.ndarray, scale: np.ndarray) -> None:
        """Compile all that training calls, or load it from disk, and change nothing."""
        before = self.weights.copy(), self.powers.copy(), self.num_updates
        self.values_of_one(observation, scale, np.zeros(self.shape.num_actions, np.float32))
        self.learn(0.0)
        self.move_target(1.0)
        self.weights[...], self.powers[...], self.num_updates = before

    def arrays(self) -> dict[str, np.ndarray]:
        """Networks, moments and powers of the optimiser."""
        return {"weights": self.weights[: kernels.GRADIENT], "powers": self.powers}


def first_range(initial_weights: float | str, inputs: int, outputs: int) -> tuple[float, float]:
    """Range in which a kernel's first weights are uniform; that of its biases too for "fan_in"; see `QNetwork`."""
    if not isinstance(initial_weights, str):
        return 0.0, float(initial_weights)
    limit = 1.0 / math.sqrt(inputs) if initial_weights == "fan_in" else math.sqrt(6.0 / (inputs + outputs))
    return -limit, limit


def layers_in(flat: np.ndarray, sizes: tuple[int, ...]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Views of a network's weights (num_weights,): each layer's kernel (inputs, outputs) and bias (outputs,)."""
    found, place = [], 0
    for number, (before, after) in enumerate(pairwise(sizes)):
        kernel = flat[place : place + before * after]
        is_last = number == len(sizes) - 2
        view = kernel.reshape(after, before).T if is_last else kernel.reshape(before, after)
        found.append((view, flat[place + before * after : place + (before + 1) * after]))
        place += (before + 1) * after
    return found


def draw_weights(
    layers: list[tuple[np.ndarray, np.ndarray]], rng: np.random.Generator, initial_weights: float | str, has_bias: bool
) -> None:
    """Draw the first weights of layers; see `QNetwork`."""
    for kernel, bias in layers:
        before, after = kernel.shape
        low, high = first_range(initial_weights, before, after)
        kernel[...] = rng.uniform(low, high, (before, after))
        if initial_weights == "fan_in" and has_bias:
            bias[...] = rng.uniform(low, high, after)


def take_over(name: str, own: np.ndarray, found: Any) -> None:
    """Write an array that was read to one of the same shape and dtype.

    Raises:
        ValueError: it is of another, or holds a number that is not finite.
    """
    if found.shape != own.shape or found.dtype != own.dtype:
        raise ValueError(f"array {name} has shape {found.shape} and dtype {found.dtype}")
    if not np.isfinite(found).all():
        raise ValueError(f"array {name} holds numbers that are not finite")
    own[...] = found
