"""A contextual bandit whose expected rewards are linear in the context, and known."""

from __future__ import annotations

from functools import cached_property
from typing import Any, SupportsInt, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from velodrome.checks import ConfigurationError, check_choice, check_integer, check_number

# Beyond it there are no Sobol' points; and of arms * dimension, 8 bytes each.
LARGEST_DIMENSION, MOST_PARAMETERS = 21_201, 10_000_000
# Replications of the quadrature, and points of each, fewer where they are of more numbers than this.
_REPLICATIONS, _POINTS, _NUMBERS = 16, 1 << 13, 1 << 22


class LinearContextualBandit(gym.Env[NDArray[np.float32], int]):
    """See a context, pull one arm: its expected reward is linear in the context.

    ## Description
    A context is drawn uniformly from the unit sphere. Arm a pays θ_a · context and normal noise. The weights θ_a of
    each arm are drawn once, uniformly from the unit sphere, from `seed`: the same arguments make the same arms. One
    pull is one episode. As the expected rewards of all arms are known, so is what every pull costs against the best:
    `expected_rewards(context)`. The draws of contexts and noise are the same whatever is pulled.

    ## Action Space
    Discrete(arms): the arm to pull.

    ## Observation Space
    Box(-1, 1, (dimension,), float32): the context. The observation after the pull is the same context.

    ## Starting State
    A new context.

    ## Rewards
    θ_a · context + noise * (a standard normal number).

    ## Episode End
    After one step. Success is having pulled an arm with the largest expected reward for the context, whatever it paid;
    info has "is_success", and "pseudo_regret", how much less than that one the arm was expected to pay.
    Optimum: `best_return`, for the default arms 0.569.

    ## Arguments
    `arms=5`; `dimension=5`, of the contexts; `noise=0.1`, its standard deviation, 0 or more; `seed=0`, of the weights.

    ## Reference
    Li, Chu, Langford & Schapire (2010), A contextual-bandit approach to personalized news article recommendation,
    section 3, for linear rewards of disjoint arms; Chu, Li, Reyzin & Schapire (2011), Contextual bandits with linear
    payoff functions, for the bounds on norms.

    ## Version History
    v0: first version.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 2}  # noqa: RUF012 - Gymnasium's own form

    def __init__(
        self,
        arms: int = 5,
        dimension: int = 5,
        noise: float = 0.1,
        seed: int = 0,
        render_mode: str | None = None,
    ) -> None:
        check_choice("render_mode", render_mode, (None, *self.metadata["render_modes"]))
        arms = check_integer("arms", arms, minimum=1)
        dimension = check_integer("dimension", dimension, minimum=1, maximum=LARGEST_DIMENSION)
        if arms * dimension > MOST_PARAMETERS:
            raise ConfigurationError(
                f"arms * dimension must be at most {MOST_PARAMETERS:,} weights, got {arms:,} * {dimension:,}"
            )
        self.noise = check_number("noise", noise, 0.0)
        rng = np.random.Generator(np.random.PCG64(check_integer("seed", seed, minimum=0)))
        #: Weights of every arm, float64 (arms, dimension), of length 1.
        self.parameters: NDArray[np.float64] = _on_the_sphere(rng.standard_normal((arms, dimension)))
        self.observation_space = spaces.Box(-1.0, 1.0, (dimension,), dtype=np.float32)
        self.action_space = cast("spaces.Space[int]", spaces.Discrete(arms))
        self.render_mode = render_mode
        self._context: NDArray[np.float32] | None = None
        self._pulled: int | None = None

    def expected_rewards(self, contexts: ArrayLike) -> NDArray[np.float64]:
        """Expected reward of every arm, float64 (arms,) for one context and (B, arms) for a batch.

        Args:
            contexts: one context (dimension,), or a batch (B, dimension).

        Raises:
            ValueError: the contexts have another dimension.
        """
        given = np.asarray(contexts, dtype=np.float64)
        dimension = self.parameters.shape[1]
        if given.ndim not in (1, 2) or given.shape[-1] != dimension:
            raise ValueError(f"contexts must have shape ({dimension},) or (B, {dimension}), got {given.shape}")
        # A sum of products, so that a context has the same bits alone and in a batch.
        return np.asarray((given[..., None, :] * self.parameters).sum(axis=-1))

    @property
    def best_return(self) -> float:
        """Expected reward of always pulling the best arm, within `best_return_error` of the true one."""
        return self._quadrature[0]

    @property
    def best_return_error(self) -> float:
        """Standard error of `best_return`, of the 16 replications of its quadrature; 1e-4 or less by default."""
        return self._quadrature[1]

    @cached_property
    def _quadrature(self) -> tuple[float, float]:
        """Mean of the largest expected reward over the sphere and its standard error, by shifted Sobol' points."""
        from scipy.special import ndtri
        from scipy.stats import qmc

        dimension = self.parameters.shape[1]
        most = max(2, _NUMBERS // max(self.parameters.shape))
        net = qmc.Sobol(dimension, scramble=False).random(min(_POINTS, 1 << (most.bit_length() - 1)))
        means = []
        for replication in range(_REPLICATIONS):
            points = (net + np.random.Generator(np.random.PCG64(replication)).random(dimension)) % 1.0
            directions = _on_the_sphere(ndtri(np.clip(points, 1e-16, 1 - 1e-16)))
            expected = directions @ self.parameters.T
            # A context and its opposite, which is as likely.
            means.append(float((expected.max(axis=1) - expected.min(axis=1)).mean() / 2))
        return float(np.mean(means)), float(np.std(means, ddof=1) / np.sqrt(_REPLICATIONS))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Show the next context. `options` has no effect."""
        super().reset(seed=seed)
        drawn = np.asarray(self.np_random.standard_normal(self.parameters.shape[1]))
        self._context, self._pulled = _on_the_sphere(drawn).astype(np.float32), None
        return self._context.copy(), {}

    def step(self, action: SupportsInt) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Pull an arm.

        Args:
            action: number of the arm.

        Raises:
            ResetNeeded: there is no context for which no arm was pulled.
            ValueError: there is no such arm.
        """
        if self._context is None or self._pulled is not None:
            raise gym.error.ResetNeeded("call reset() before step(): one arm is pulled for every context")
        arm = int(action)
        if not 0 <= arm < len(self.parameters):
            raise ValueError(f"action must be 0 to {len(self.parameters) - 1}, got {action!r}")
        self._pulled = arm
        expected = self.expected_rewards(self._context)
        reward = float(expected[arm] + self.noise * self.np_random.standard_normal())
        lost = float(expected.max() - expected[arm])
        return self._context.copy(), reward, True, False, {"is_success": lost == 0.0, "pseudo_regret": lost}

    def render(self) -> str | None:
        """The context, the expected reward of every arm, and the arm pulled."""
        if self.render_mode is None:
            gym.logger.warn('render() needs render_mode="ansi", given when the environment is made')
            return None
        if self._context is None:
            raise gym.error.ResetNeeded("call reset() before render()")
        context = " ".join(f"{number:+.2f}" for number in self._context)
        expected = " ".join(f"{number:+.2f}" for number in self.expected_rewards(self._context))
        pulled = "" if self._pulled is None else f"pulled {self._pulled}\n"
        return f"context {context}\nexpected rewards {expected}\n{pulled}"


def _on_the_sphere(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vectors (…, dimension) at length 1."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))
