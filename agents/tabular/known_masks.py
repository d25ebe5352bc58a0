"""Action masks of an environment, as far as they are known before it is stepped: those that the state decides."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from velodrome.agents.engine.sampled_model import SampledModel
from velodrome.agents.errors import EnvironmentFailureError, UnsupportedEnvironmentError, environment_label
from velodrome.agents.tabular.action_masks import as_mask, mask_in
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


class ActionMasks:
    """The action masks of one environment: those that its model knows, or else what it says in each `info`.

    Attributes:
        by_state: masks bool (S, A), where they are a function of the state as far as is known; else None.
        rows: the same as bytes, where that is certain; else None, and `read` is to be asked in each state.
    """

    def __init__(self, num_actions: int, by_state: np.ndarray | None = None) -> None:
        self.by_state = by_state
        self.rows: list[bytes] | None = None
        self._num_actions = num_actions
        self._label = ""
        self._info: Any = None
        self._has_read = False

    def enter(self, environment: Any) -> None:
        """Find the masks of an environment or a model.

        Raises:
            UnsupportedEnvironmentError: the model has none, or a state in which none of its actions is available.
        """
        known = masks_of_model(environment)
        self.rows = None if known is None else [row.tobytes() for row in known]
        self.by_state = masks_of_function(environment, self._num_actions) if known is None else known
        self._has_read = False
        if known is None:
            self._label = environment_label(environment)

    def watch(self, observation: Any, info: Any) -> None:
        """Keep the info that came with an observation."""
        self._info = info

    def read(self, state: int) -> bytes:
        """Mask of the state in which the learner has just arrived.

        Raises:
            UnsupportedEnvironmentError: the environment has none at all.
            EnvironmentFailureError: it has none now, or one that is not allowed.
        """
        mask, self._info = mask_in(self._info, self._num_actions), None
        if self.by_state is not None:
            known = self.by_state[state].tobytes()
            if mask is None:
                return as_mask(self.by_state[state], self._num_actions)
            if mask != known:
                # More than the state decides, whatever the environment's function says.
                self.by_state = None
        if mask is None:
            if not self._has_read:
                raise UnsupportedEnvironmentError(no_masks_line(self._label))
            raise EnvironmentFailureError("action_mask=True, but this time the info has no 'action_mask'")
        self._has_read = True
        return mask

    def mask_for(self, state: int, given: Any) -> bytes | None:
        """Mask with which to act in `state`: the one given, or else what is known; None where all is allowed.

        Raises:
            EnvironmentFailureError: the mask that is given is none.
        """
        if given is not None:
            return as_mask(given, self._num_actions)
        if self.by_state is None or not self.by_state[state].any():
            return None
        return bytes(self.by_state[state].tobytes())

    def masks_for(self, states: np.ndarray, given: Any) -> np.ndarray | None:
        """Masks bool (batch, A) as of `mask_for`; a state in which no action is available counts as all of them.

        Raises:
            EnvironmentFailureError: one of those that are given is none.
        """
        if given is not None:
            if len(given) != len(states):
                raise EnvironmentFailureError(
                    f"action_mask: a batch of {len(states)} needs as many masks, got {len(given)}"
                )
            rows = [np.frombuffer(as_mask(mask, self._num_actions), np.bool_) for mask in given]
            return np.array(rows, dtype=np.bool_).reshape(len(states), self._num_actions)
        if self.by_state is None:
            return None
        known = self.by_state[states]
        return np.asarray(known | ~known.any(axis=1, keepdims=True))
