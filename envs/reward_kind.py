"""What is known of the rewards of an environment, for policies and agents that assume something of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from velodrome.envs.model.transition_checks import NoTransitionModelError
from velodrome.envs.model.transition_model import TransitionModel
from velodrome.envs.wrapper_chain import is_transparent, wrappers_of

Kind = Literal["binary", "bounded", "gaussian", "unknown"]


@dataclass(frozen=True)
class RewardKind:
    """Kind of the rewards of single steps, and their limits.

    Args:
        kind: "binary" (0 or 1), "bounded" (between `low` and `high`), "gaussian" (normally distributed) or "unknown".
        low: smallest reward, minus infinity where there is none.
        high: largest reward, infinity where there is none.
        standard_deviation: of Gaussian rewards; NaN of others.
    """

    kind: Kind
    low: float = -math.inf
    high: float = math.inf
    standard_deviation: float = math.nan

    @classmethod
    def of_values(cls, rewards: ArrayLike) -> RewardKind:
        """Kind of finitely many possible rewards: "binary" where all are 0 or 1, else "bounded".

        Args:
            rewards: all that there are.
        """
        values = np.asarray(rewards, dtype=np.float64)
        if values.size == 0:
            return UNKNOWN
        if ((values == 0.0) | (values == 1.0)).all():
            return BINARY
        return cls("bounded", float(values.min()), float(values.max()))

    def is_within(self, low: float, high: float) -> bool:
        """Whether every reward is known to lie between two numbers, both allowed.

        Args:
            low: lower end.
            high: upper end.
        """
        return low <= self.low and self.high <= high

    def __str__(self) -> str:
        """The kind in words, for messages."""
        if self.kind == "binary":
            return "0 or 1"
        if self.kind == "bounded":
            return f"between {self.low:g} and {self.high:g}"
        if self.kind == "gaussian":
            return f"Gaussian with standard deviation {self.standard_deviation:g}"
        return "not known beforehand"


UNKNOWN = RewardKind("unknown")
BINARY = RewardKind("binary", 0.0, 1.0)


def reward_kind_of(source: Any) -> RewardKind:
    """Kind of the rewards of an environment, with its wrappers, or of a transition model.

    An environment states its own in an attribute `reward_kind`; of others with a transition model it follows from
    the rewards of outcomes that are possible. Where neither is there, or a wrapper may change rewards, it is unknown.

    Args:
        source: a Gymnasium environment, a `TransitionModel`, or anything with one as its `model`.
    """
    if any(not is_transparent(wrapper) for wrapper in wrappers_of(source)):
        return UNKNOWN
    own = getattr(getattr(source, "unwrapped", source), "reward_kind", None)
    if isinstance(own, RewardKind):
        return own
    model = source if isinstance(source, TransitionModel) else getattr(source, "model", None)
    if not isinstance(model, TransitionModel):
        try:
            model = TransitionModel.of(source)
        except (AttributeError, NoTransitionModelError):
            return UNKNOWN
    return RewardKind.of_values(model.rewards[model.probabilities > 0.0])
