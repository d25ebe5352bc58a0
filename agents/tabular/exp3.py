"""EXP3: exponential weights for rewards that an adversary chooses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from velodrome.agents.tabular.bandit import OwnPolicyBandit
from velodrome.checks import check_number
from velodrome.policies.policy import Policy, ProbabilitiesFunction, SelectFunction
from velodrome.policies.softmax import Softmax


class Exp3Memory(NamedTuple):
    """Logarithms of the weights and visit counts (S, A), and room for one state's probabilities (A,)."""

    action_values: np.ndarray
    visit_counts: np.ndarray
    probabilities: np.ndarray


@dataclass(frozen=True)
class ExponentialWeights(Policy):
    """With probability `exploration` any action uniformly, else in proportion to exp(action value)."""

    exploration: float
    indexes_only: ClassVar[bool] = True
    draws_uniforms_only: ClassVar[bool] = True

    @property
    def select(self) -> SelectFunction:
        return _functions(float(self.exploration))[0]

    @property
    def probabilities(self) -> ProbabilitiesFunction:
        return _functions(float(self.exploration))[1]


@lru_cache(maxsize=256)
def _functions(exploration: float) -> tuple[SelectFunction, ProbabilitiesFunction]:
    softmax, fill_softmax = Softmax().select, Softmax().probabilities

    def select(
        action_values: Sequence[float], visit_counts: Sequence[int], parameter: float, rng: np.random.Generator
    ) -> int:
        if rng.random() < exploration:
            return int(rng.random() * len(action_values))
        return softmax(action_values, visit_counts, 1.0, rng)

    def fill(action_values: Sequence[float], visit_counts: Sequence[int], parameter: float, probabilities: Any) -> None:
        fill_softmax(action_values, visit_counts, 1.0, probabilities)
        for action in range(len(action_values)):
            probabilities[action] = (1.0 - exploration) * probabilities[action] + exploration / len(action_values)

    return select, fill


@lru_cache(maxsize=256)
def make_learn_weights(exploration: float) -> Callable[..., None]:
    """Update of EXP3 with γ = `exploration`: ln w(s, a) += γ r / (K π(a|s))."""
    fill_probabilities = _functions(exploration)[1]

    def learn_weights(memory: Any, state: int, action: int, reward: float) -> None:
        weights = memory.action_values[state]
        fill_probabilities(weights, memory.visit_counts[state], 0.0, memory.probabilities)
        weights[action] += exploration * reward / (memory.probabilities[action] * len(weights))

    return learn_weights


class EXP3(OwnPolicyBandit):
    """Exponential weights: π = (1 - γ) w / Σ w + γ / K of K actions, ln w(s, a) += γ r / (K π(a|s)).

    Its `action_values` are the logarithms of the weights, which cannot overflow. It assumes nothing of the rewards but
    that they are in [0, 1]. One bandit a state, as `bandit`.

    Args:
        exploration: γ in (0, 1]; sqrt(K ln K / ((e - 1) n)) is what the theorem takes for n pulls.

    Raises:
        ConfigurationError: `exploration` is not in (0, 1].

    Source: Auer, Cesa-Bianchi, Freund & Schapire (2002), The nonstochastic multiarmed bandit problem, figure 1.
    """

    exploration: float = 0.1
    name: ClassVar[str] = "exp3"

    def __post_init__(self) -> None:
        check_number(f"{self.name}: exploration", self.exploration, 0.0, 1.0, open_low=True)
        self.policy = ExponentialWeights(float(self.exploration))
        super().__post_init__()

    @property
    def reward_range(self) -> tuple[float, float]:
        return 0.0, 1.0

    def new_memory(self, num_states: int, num_actions: int) -> Exp3Memory:
        return Exp3Memory(
            np.zeros((num_states, num_actions), dtype=np.float64),
            np.zeros((num_states, num_actions), dtype=np.int64),
            np.zeros(num_actions, dtype=np.float64),
        )

    @property
    def update(self) -> Callable[..., None]:
        return make_learn_weights(float(self.exploration))
