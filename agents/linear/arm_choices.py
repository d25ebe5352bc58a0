"""How a linear bandit explores: a policy, upper confidence bounds, or a sample of the posterior."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from velodrome.agents.deep.bandit_learner import NoVisitCounts
from velodrome.agents.errors import no_such_action, policy_failure
from velodrome.agents.tabular.greedy_table import greedy_probabilities
from velodrome.policies.policy import Policy
from velodrome.policies.schedules import Schedule
from velodrome.policies.ties import GREEDY

_NO_COUNTS: Any = NoVisitCounts()
# Of the quadrature: an arm's normal density is cut here, in standard deviations, and so many nodes lie in each of them.
_FARTHEST, _NODES = 8, 8
# Numbers that the quadrature holds at once.
_LARGEST_BLOCK = 1 << 22


class ArmChoice(ABC):
    """Chooses an arm by the estimated rewards and their uncertainties, with one parameter that follows a schedule.

    Args:
        schedule: of the parameter.
        owner: whose it is, for messages.
        parameter_range: what it may be.
        ties: how ties of acting greedily are broken, at "random" or by the "first".
    """

    def __init__(self, schedule: Schedule, owner: str, parameter_range: tuple[float, float], ties: str) -> None:
        self.schedule, self.owner, self.parameter_range, self.ties = schedule, owner, parameter_range, ties

    @abstractmethod
    def choose(self, means: np.ndarray, uncertainties: np.ndarray, parameter: float, rng: np.random.Generator) -> int:
        """An arm, by estimates and uncertainties float64 (arms,)."""

    @abstractmethod
    def probabilities(self, means: np.ndarray, uncertainties: np.ndarray, parameter: float) -> np.ndarray | None:
        """Probability of each arm, float64 (B, arms), by estimates and uncertainties (B, arms); None if not known."""


class PolicyChoice(ArmChoice):
    """By a policy that sees estimates as action values, and no visit counts."""

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy.schedule, policy.name, policy.parameter_range, str(getattr(policy, "ties", "random")))
        self._select, self._takes_list, self._fill = policy.select, policy.indexes_only, policy.probabilities

    def choose(self, means: np.ndarray, uncertainties: np.ndarray, parameter: float, rng: np.random.Generator) -> int:
        """An arm.

        Raises:
            PolicyFailureError: the policy raised, or chose an action that does not exist.
        """
        try:
            shown: Any = means.tolist() if self._takes_list else means.copy()
            action = self._select(shown, _NO_COUNTS, parameter, rng)
            exists = 0 <= action < len(means)
        except Exception as error:
            raise policy_failure(error) from error
        if not exists:
            raise no_such_action(action, len(means))
        return int(action)

    def probabilities(self, means: np.ndarray, uncertainties: np.ndarray, parameter: float) -> np.ndarray | None:
        if self._fill is None:
            return None
        filled = np.empty(means.shape)
        for row, own in zip(means, filled, strict=True):
            self._fill(row, _NO_COUNTS, parameter, own)
        return filled


class UpperBoundChoice(ArmChoice):
    """The largest estimate + parameter * uncertainty."""

    def choose(self, means: np.ndarray, uncertainties: np.ndarray, parameter: float, rng: np.random.Generator) -> int:
        return GREEDY[self.ties]((means + parameter * uncertainties).tolist(), rng)

    def probabilities(self, means: np.ndarray, uncertainties: np.ndarray, parameter: float) -> np.ndarray:
        return greedy_probabilities(means + parameter * uncertainties, self.ties)


class SampledChoice(ArmChoice):
    """The largest of one normal number an arm, with the estimate as mean and parameter * uncertainty as deviation."""

    def choose(self, means: np.ndarray, uncertainties: np.ndarray, parameter: float, rng: np.random.Generator) -> int:
        samples = means + parameter * uncertainties * rng.standard_normal(len(means))
        return GREEDY[self.ties](samples.tolist(), rng)

    def probabilities(self, means: np.ndarray, uncertainties: np.ndarray, parameter: float) -> np.ndarray:
        deviations = parameter * uncertainties
        size = max(1, _LARGEST_BLOCK // (means.shape[1] ** 2 * (2 * _FARTHEST + 1) * _NODES))
        chances = np.zeros(means.shape)
        for first in range(0, len(means), size):
            block = slice(first, first + size)
            chances[block] = largest_of_normals(means[block], deviations[block], self.ties)
        return chances


def largest_of_normals(means: np.ndarray, deviations: np.ndarray, ties: str = "random") -> np.ndarray:
    """Probability that each of several independent normal numbers is the largest, float64 (B, arms).

    By Gauss-Legendre quadrature of ∫ φ_a(t) Π_{b≠a} Φ_b(t) dt, 8 nodes in each standard deviation of each arm; the
    error is below 1e-10.

    Args:
        means: float64 (B, arms).
        deviations: likewise, at least 0.
        ties: how ties of numbers without deviation are broken.
    """
    from scipy.special import ndtr

    is_fixed = deviations == 0.0
    # Small deviations are resolved around the best.
    means = means - means.max(axis=1, keepdims=True)
    fixed = np.where(is_fixed, means, -np.inf)
    floor = fixed.max(axis=1)[:, None]
    spreads = np.where(is_fixed, 1.0, deviations)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    steps = np.arange(-_FARTHEST, _FARTHEST + 1)
    ends = np.sort((means[:, :, None] + spreads[:, :, None] * steps).reshape(len(means), -1), axis=1)
    # No normal number is the largest below the largest fixed one.
    halves = np.diff(np.maximum(ends, floor), axis=1) / 2
    points = ((np.maximum(ends, floor)[:, :-1] + halves)[:, :, None] + halves[:, :, None] * nodes).reshape(
        len(means), 1, -1
    )
    measure = (halves[:, :, None] * weights).reshape(len(means), -1)
    with np.errstate(over="ignore"):
        standard = (points - means[:, :, None]) / spreads[:, :, None]
        density = np.exp(-0.5 * standard * standard) / (spreads[:, :, None] * np.sqrt(2 * np.pi))
        below = np.where(is_fixed[:, :, None], 1.0, ndtr(standard))
    chances = np.zeros(means.shape)
    for arm in range(means.shape[1]):
        others = np.delete(below, arm, axis=1).prod(axis=1)
        chances[:, arm] = (measure * density[:, arm] * others).sum(axis=1)
    chances[is_fixed] = 0.0
    has_fixed = is_fixed.any(axis=1)
    of_fixed = np.where(has_fixed, np.where(is_fixed, 1.0, ndtr((floor - means) / spreads)).prod(axis=1), 0.0)
    if has_fixed.any():
        chances[has_fixed] += of_fixed[has_fixed, None] * greedy_probabilities(fixed[has_fixed], ties)
    return np.asarray(chances / chances.sum(axis=1, keepdims=True))
