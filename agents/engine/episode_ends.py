"""How finished episodes ended, whatever loop they come from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np


@dataclass(frozen=True, eq=False)
class EpisodeEnds:
    """How the finished episodes of one stretch of training ended.

    Attributes:
        returns: float64 (num_episodes,).
        lengths: int64 (num_episodes,).
        terminated: bool (num_episodes,).
        reported: what info["is_success"] said, int8 (num_episodes,), negative where it said nothing; see `report_of`.
        steps: environment steps of the stretch, those of an unfinished episode included.
        loop: "compiled", "generic" or another name of what ran.
        compile_seconds: spent on compiling.
        pseudo_regrets: how much less the actions of each episode were expected to pay than the best ones, float64
            (num_episodes,), NaN where an episode does not say; None where none does.
    """

    returns: np.ndarray
    lengths: np.ndarray
    terminated: np.ndarray
    reported: np.ndarray
    steps: int
    loop: str
    compile_seconds: float = 0.0
    pseudo_regrets: np.ndarray | None = None

    @classmethod
    def none(cls, loop: str) -> Self:
        """No episode and no step."""
        return cls(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.bool_), np.zeros(0, np.int8), 0, loop)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Stretches in a row as one."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            returns=np.concatenate([part.returns for part in parts]),
            lengths=np.concatenate([part.lengths for part in parts]),
            terminated=np.concatenate([part.terminated for part in parts]),
            reported=np.concatenate([part.reported for part in parts]),
            steps=sum(part.steps for part in parts),
            loop=", ".join(dict.fromkeys(part.loop for part in parts)),
            compile_seconds=sum(part.compile_seconds for part in parts),
            pseudo_regrets=joined_pseudo_regrets(parts),
        )


def joined_pseudo_regrets(parts: Sequence[Any]) -> np.ndarray | None:
    """Pseudo-regrets of stretches, or logs, in a row, NaN in those without; None where none has any."""
    if all(part.pseudo_regrets is None for part in parts):
        return None
    return np.concatenate(
        [np.full(len(part.returns), np.nan) if part.pseudo_regrets is None else part.pseudo_regrets for part in parts]
    )
