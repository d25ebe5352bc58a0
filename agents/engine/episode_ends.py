"""How the finished episodes of one call of `train` ended, from either loop."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class EpisodeEnds:
    """How the finished episodes of one call ended.

    Attributes:
        returns: float64 (num_episodes,).
        lengths: int64 (num_episodes,).
        terminated: bool (num_episodes,).
        reported: what info["is_success"] said, int8 (num_episodes,), negative where it said nothing; see `report_of`.
        steps: environment steps of the call.
        loop: "compiled" or "generic".
        compile_seconds: spent on compiling.
    """

    returns: np.ndarray
    lengths: np.ndarray
    terminated: np.ndarray
    reported: np.ndarray
    steps: int
    loop: str
    compile_seconds: float = 0.0
