"""Action masks of an environment, as far as they are known before it is stepped: those that the state decides."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from velodrome.agents.engine.sampled_model import SampledModel
from velodrome.agents.errors import UnsupportedEnvironmentError, environment_label
from velodrome.envs.model.action_masks import masks_by_state
from velodrome.envs.model.model_sampling import reason_not_sampled_from_model
from velodrome.envs.model.transition_checks import TransitionModelError
from velodrome.envs.model.transition_model import TransitionModel
from velodrome.envs.wrapper_chain import wrappers_of


def masks_of_model(environment: Any) -> np.ndarray | None:
    """Masks bool (S, A) of an environment that is drawn from a transition model; None of any other.

    Raises:
        UnsupportedEnvironmentError: the model has no masks, or a state in which none of its actions is available.
    """
    if isinstance(environment, SampledModel):
        model, label = environment.model, environment.label
    elif reason_not_sampled_from_model(environment) is None:
        model, label = TransitionModel.of(environment), environment_label(environment)
    else:
        return None
    if model.action_mask is None:
        raise UnsupportedEnvironmentError(no_masks_line(label))
    empty = ~model.action_mask.any(axis=1)
    stuck = np.flatnonzero(empty & _reached(model, model.action_mask)) if empty.any() else np.empty(0, np.int64)
    if len(stuck):
        raise UnsupportedEnvironmentError(
            f"action_mask=True, but the masks of {label} allow no action in state {stuck[0]}"
        )
    return model.action_mask


def _reached(model: TransitionModel, masks: np.ndarray) -> np.ndarray:
    """States in which an agent that keeps to the masks may have to act, bool (S,)."""
    from velodrome.agents.planning.dynamic_programming_kernels import reached_states

    return np.asarray(
        reached_states(
            model.offsets, model.probabilities, model.next_states, model.terminated, masks.astype(np.float64),
            model.initial_distribution,
        )
    )  # fmt: skip


def masks_of_function(environment: gym.Env[Any, Any], num_actions: int) -> np.ndarray | None:
    """Masks bool (S, A) by an environment's own function of the state, where observations are those states.

    None where there is no such function, or where it gives no masks.
    """
    space = environment.observation_space
    changes = (gym.ObservationWrapper, gym.ActionWrapper)
    is_seen_through = any(isinstance(wrapper, changes) for wrapper in wrappers_of(environment))
    if not isinstance(space, spaces.Discrete) or space != environment.unwrapped.observation_space or is_seen_through:
        return None
    if space.start != 0:
        return None
    try:
        return masks_by_state(environment.unwrapped, int(space.n), num_actions)
    except TransitionModelError:
        return None


def no_masks_line(label: str) -> str:
    """The refusal of an environment without masks."""
    return f"action_mask=True, but the info of {label} has no 'action_mask'"
