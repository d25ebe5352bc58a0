"""A Q-network with noisy weights, a distribution of returns, or several heads."""

import math
from typing import Any

import numpy as np

from velodrome.agents.deep import q_heads as kernels
from velodrome.agents.deep.distributions import Categorical, Distribution
from velodrome.agents.deep.q_kernels import GRADIENT, ONLINE, TARGET
from velodrome.agents.deep.q_model import Batch, CompiledNetwork, LearningRule, NetworkShape, draw_weights, layers_in

# Observations that are valued at once.
_CHUNK = 256
# Of the deviations of noisy weights, times 1 / sqrt(inputs).
_FIRST_DEVIATION = 0.5


class HeadedQNetwork(CompiledNetwork):
    """Online and target networks, with the optimiser, of one or several heads; heads share nothing.

    Args:
        shape: of the layers of each.
        rng: stream of the first weights.
        stream: of noise, of the head that acts and of which steps are whose.
        initial_weights: as of `QNetwork`; of priors, too.
        is_noisy: whether weights are means and deviations.
        distribution: that the outputs stand for; None for action values.
        num_heads: number of networks; of several, each has a prior.
        prior_scale: factor of the priors' outputs.
        head_share: probability that a step is one for a head to learn from.
        batch_size, rule: as of `QNetwork`.

    Attributes:
        weights: float32 (num_heads, 5, num_weights), of noisy networks twice as many; see `q_heads.learn`.
        priors: float32 (num_heads, num_weights), or (num_heads, 0).
        num_updates: gradient steps so far.
        batch: to be filled before `learn`.
        batch_heads: uint8 (B, num_heads), likewise, which steps are whose; (0, 0) where there is one head.
        head: which acts.
        stream: as given.
    """

    def __init__(
        self,
        shape: NetworkShape,
        rng: np.random.Generator,
        stream: np.random.Generator,
        *,
        initial_weights: float | str,
        is_noisy: bool,
        distribution: Distribution | None,
        num_heads: int,
        prior_scale: float,
        head_share: float,
        batch_size: int,
        rule: LearningRule,
    ) -> None:
        self.shape, self.stream = shape, stream
        self.num_updates = self.head = 0
        self.batch = Batch.empty(batch_size, 1 if shape.is_symbol else shape.num_inputs, shape.num_actions)
        self.batch_heads = np.ones((batch_size, num_heads) if num_heads > 1 else (0, 0), np.uint8)
        self._sizes = np.array(shape.sizes, dtype=np.int64)
        self._num_heads, self._head_share = num_heads, head_share
        number = shape.num_weights
        self.weights = np.zeros((num_heads, 5, number * (2 if is_noisy else 1)), np.float32)
        self.powers = np.ones((num_heads, 2))
        self.priors = np.zeros((num_heads, number if num_heads > 1 else 0), np.float32)
        for networks in (self.weights[:, ONLINE], self.priors if num_heads > 1 else ()):
            for network in networks:
                draw_weights(layers_in(network, shape.sizes), rng, initial_weights, shape.has_bias)
        if is_noisy:
            for kernel, bias in layers_in(self.weights[0, ONLINE, number:], shape.sizes):
                kernel[...] = _FIRST_DEVIATION / math.sqrt(len(kernel))
                if shape.has_bias:
                    bias[...] = _FIRST_DEVIATION / math.sqrt(len(kernel))
        self.weights[:, TARGET] = self.weights[:, ONLINE]
        # Of the networks that value, choose and learn; and of the one that acts.
        self._is_noisy, rows = is_noisy, 3 if is_noisy else 0
        num_normals = sum(shape.sizes[:-1]) + sum(shape.sizes[1:])
        self._normals = np.zeros((rows, num_normals if is_noisy else 0), np.float32)
        self._noises = np.zeros((rows, number if is_noisy else 0), np.float32)
        self._noisy = np.zeros((rows, number if is_noisy else 0), np.float32)
        self._acting = np.zeros((1, 1, number), np.float32)
        kind, support = kernels.VALUES, np.zeros(0, np.float32)
        if distribution is not None:
            kind = kernels.CATEGORICAL if isinstance(distribution, Categorical) else kernels.QUANTILES
            support = distribution.support
        self._prior_scale = float(prior_scale)
        self._meaning = (shape.is_symbol, shape.is_dueling, kind, support)
        self._options = (
            kind, support, shape.is_symbol, shape.is_dueling, shape.has_bias, rule.has_masks, rule.is_double,
            rule.has_target, rule.is_huber, rule.optimizer,
        )  # fmt: skip
        self._max_gradient_norm = rule.max_gradient_norm

    def layers(self, row: int, head: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
        """Views of a row of a head's weights, the means of noisy ones; as of `QNetwork`."""
        return layers_in(self.weights[head, row], self.shape.sizes)

    def values_of_one(self, observation: np.ndarray, scale: np.ndarray, values: np.ndarray) -> None:
        """Fill values float32 (num_actions,) with those of an observation: by the means, and of all heads the mean."""
        self._fill(self.weights, observation[np.newaxis], scale, 0, self._num_heads, values[np.newaxis])

    def exploring_values_of_one(self, observation: np.ndarray, scale: np.ndarray, values: np.ndarray) -> None:
        """The same with fresh noise, and of several heads by the one that acts."""
        self._fill_exploring(observation[np.newaxis], scale, values[np.newaxis])

    def values(self, observations: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Action values float32 (B, num_actions) of observations (B, D), as of `values_of_one`."""
        result = np.empty((len(observations), self.shape.num_actions), np.float32)
        for start in range(0, len(observations), _CHUNK):
            part = slice(start, start + _CHUNK)
            self._fill(self.weights, observations[part], scale, 0, self._num_heads, result[part])
        return result

    def exploring_values(self, observations: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """The same as of `exploring_values_of_one`, with one noise for all."""
        result = np.empty((len(observations), self.shape.num_actions), np.float32)
        self._fill_exploring(observations, scale, result)
        return result

    def _fill_exploring(self, observations: np.ndarray, scale: np.ndarray, result: np.ndarray) -> None:
        if self._is_noisy:
            self.stream.standard_normal(dtype=np.float32, out=self._normals[0])
            noise, acting = self._noises[0], self._acting[0, 0]
            kernels.perturb(self.weights[0, ONLINE], self._sizes, self._normals[0], noise, acting)
            self._fill(self._acting, observations, scale, 0, 1, result)
        else:
            self._fill(self.weights, observations, scale, self.head, self.head + 1, result)

    def _fill(
        self, weights: np.ndarray, observations: np.ndarray, scale: np.ndarray, first: int, last: int, result: Any
    ) -> None:
        kernels.values_of(
            weights, self.priors, self._prior_scale, self._sizes, observations, scale, first, last, *self._meaning,
            result,
        )  # fmt: skip

    def draw_head(self) -> None:
        """Draw the head that acts in the episode that begins."""
        self.head = int(self.stream.random() * self._num_heads)

    def draw_learning_heads(self) -> np.ndarray:
        """Which heads may learn from the present step, drawn anew: bool (num_heads,)."""
        learning: np.ndarray = self.stream.random(self._num_heads) < self._head_share
        return learning

    def learn(self, learning_rate: float) -> tuple[float, float]:
        """One gradient step of every head on `batch`, as of `QNetwork.learn`; means over the heads."""
        self.num_updates += 1
        if self._is_noisy:
            self.stream.standard_normal(dtype=np.float32, out=self._normals)
        found: tuple[float, float] = kernels.learn(
            self.weights, self._sizes, self.powers, *self.batch, self.batch_heads, self._normals, self._noises,
            self._noisy, self.priors, self._prior_scale, *self._options, learning_rate, self._max_gradient_norm,
        )  # fmt: skip
        return found

    def move_target(self, rate: float) -> None:
        """Move the target networks towards the online ones by a share of their difference; 1.0 copies them."""
        kernels.move_target(self.weights, rate)

    def compile(self, observation: np.ndarray, scale: np.ndarray) -> None:
        """Compile all that training calls, or load it from disk, and change nothing."""
        before = self.weights.copy(), self.powers.copy(), self.num_updates
        state = self.stream.bit_generator.state
        self.exploring_values_of_one(observation, scale, np.zeros(self.shape.num_actions, np.float32))
        self.learn(0.0)
        self.move_target(1.0)
        self.weights[...], self.powers[...], self.num_updates = before
        self.stream.bit_generator.state = state

    def arrays(self) -> dict[str, np.ndarray]:
        """Networks, moments and powers of the optimiser, and priors."""
        found: dict[str, np.ndarray] = {"weights": self.weights[:, :GRADIENT], "powers": self.powers}
        return found | {"priors": self.priors} if self._num_heads > 1 else found
