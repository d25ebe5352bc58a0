"""The least regret that a good policy must have on a bandit whose arms stay as they are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from velodrome.envs.bandit import Bandit
from velodrome.envs.model.transition_checks import NoTransitionModelError
from velodrome.envs.model.transition_model import TransitionModel
from velodrome.envs.reward_kind import RewardKind, reward_kind_of


def lai_robbins_constant(source: Any) -> float | None:
    """Factor C of the lower bound C · ln n on the pseudo-regret of n pulls: the sum of gap / KL over worse arms.

    Every policy whose regret grows more slowly than any power of n, whatever the arms, has at least this regret on
    these arms as n grows. KL is the Kullback-Leibler divergence of an arm's rewards from those of the best one.

    Args:
        source: a Gymnasium environment or a `TransitionModel`.

    Returns:
        The factor; None where the arms are not those of one bandit with rewards 0 or 1, or Gaussian rewards, that stays
        as it is.

    Source: Lai & Robbins (1985); Burnetas & Katehakis (1996), theorem 1.
    """
    unwrapped = getattr(source, "unwrapped", source)
    kind = reward_kind_of(source)
    if isinstance(unwrapped, Bandit):
        return None if unwrapped.changes else _constant(unwrapped.expected_rewards, kind)
    try:
        model = source if isinstance(source, TransitionModel) else TransitionModel.of(source)
    except NoTransitionModelError:
        return None
    if model.num_states > 1 or model.pseudo_regrets() is None:
        return None
    return _constant(model.expected_rewards(), kind)


def _constant(expected: ArrayLike, kind: RewardKind) -> float | None:
    means: list[float] = np.asarray(expected, dtype=np.float64).tolist()
    best = max(means)
    worse = [mean for mean in means if mean < best]
    if kind.kind == "binary":
        return sum((best - mean) / binary_divergence(mean, best) for mean in worse)
    if kind.kind == "gaussian":
        return sum(2.0 * kind.standard_deviation**2 / (best - mean) for mean in worse)
    return None


def binary_divergence(first: float, second: float) -> float:
    """Kullback-Leibler divergence of rewards that are 1 with one probability from those with another, in nats."""
    parts = ((first, second), (1.0 - first, 1.0 - second))
    return sum(math.inf if q == 0.0 else p * math.log(p / q) for p, q in parts if p > 0.0)
