"""States in which an episode can take a step."""

import numpy as np

from velodrome.agents.planning.hardness import reachable
from velodrome.envs.model import TransitionModel


def living_states(model: TransitionModel) -> np.ndarray:
    """Whether an episode can take a step in each state, bool (S,); no value of the others can be learnt."""
    living: np.ndarray = reachable(model.with_time_limit(None)).any(axis=0)
    return living
