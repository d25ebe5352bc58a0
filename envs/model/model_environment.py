"""A Gymnasium environment that draws its steps from a transition model."""

from __future__ import annotations

from typing import Any, ClassVar, SupportsInt, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from velodrome.checks import check_choice
from velodrome.envs.model.known_dynamics import steps_by_its_model
from velodrome.envs.model.transition_model import TransitionModel
from velodrome.envs.model.transition_view import TransitionView

_NOT_RESET = -1


@steps_by_its_model
class ModelEnvironment(gym.Env[int, int]):
    """Base of environments with finitely many states and actions.

    A subclass builds its model in `__init__` and hands it on; `step` and `reset` are then exactly those of
    Gymnasium's toy text environments: one uniform number per reset and per step, also where nothing is
    random, and the first outcome whose running sum of probabilities exceeds it. A subclass that overrides
    neither runs in the compiled loop.

        class Coin(ModelEnvironment):
            def __init__(self, render_mode=None):
                outcomes = [[[(0.5, 0, 1.0, True), (0.5, 0, 0.0, True)]]]
                super().__init__(TransitionModel.from_outcomes(outcomes, 0), render_mode=render_mode)

    Args:
        model: the transition model; its time limit is left to the TimeLimit wrapper.
        render_mode: "ansi" for text, or None.

    Raises:
        ValueError: for an unknown render_mode, or an action outside the action space.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 4}  # noqa: RUF012 - Gymnasium's own form
    action_names: ClassVar[tuple[str, ...]] = ()

    def __init__(self, model: TransitionModel, *, render_mode: str | None = None) -> None:
        check_choice("render_mode", render_mode, (None, *self.metadata["render_modes"]))
        if not isinstance(model, TransitionModel):
            raise TypeError(f"model must be a TransitionModel, got {type(model).__name__}")
        self.model = model.with_time_limit(None)
        self.observation_space = cast("spaces.Space[int]", spaces.Discrete(model.num_states))
        self.action_space = cast("spaces.Space[int]", spaces.Discrete(model.num_actions))
        self.render_mode = render_mode
        self._pseudo_regrets = model.pseudo_regrets()
        self.s = _NOT_RESET
        self.lastaction: int | None = None

    @property
    def P(self) -> TransitionView:
        """P[state][action] = [(probability, next_state, reward, terminated), ...], read-only."""
        return TransitionView(self.model)

    @property
    def initial_state_distrib(self) -> NDArray[np.float64]:
        """Distribution of the first state, (num_states,)."""
        return self.model.initial_distribution

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Draw the first state; info["prob"] is its probability. `options` has no effect."""
        super().reset(seed=seed)
        self.s = first_exceeding(self.model.initial_cumulative, self.np_random.random())
        self.lastaction = None
        return self.s, {"prob": float(self.model.initial_distribution[self.s])}

    def step(self, action: SupportsInt) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Draw an outcome; info has "prob", its probability, and "is_success" where success is defined.

        Where every step ends the episode, info has "pseudo_regret": how much less the action was expected to pay than
        the best one.
        """
        model = self.model
        if self.s == _NOT_RESET:
            raise gym.error.ResetNeeded("call reset() before step()")
        chosen = int(action)
        if not 0 <= chosen < model.num_actions:
            raise ValueError(f"action must be 0 to {model.num_actions - 1}, got {action!r}")
        pair = self.s * model.num_actions + chosen
        start, stop = int(model.offsets[pair]), int(model.offsets[pair + 1])
        outcome = start + first_exceeding(model.cumulative[start:stop], self.np_random.random())
        self.s = int(model.next_states[outcome])
        self.lastaction = chosen
        info: dict[str, Any] = {"prob": float(model.probabilities[outcome])}
        if model.success is not None:
            info["is_success"] = bool(model.success[outcome])
        if self._pseudo_regrets is not None:
            info["pseudo_regret"] = float(self._pseudo_regrets[outcome])
        return self.s, float(model.rewards[outcome]), bool(model.terminated[outcome]), False, info

    def render(self) -> str | None:
        """Text of the present state where render_mode is "ansi", else None with Gymnasium's warning."""
        if self.render_mode is None:
            gym.logger.warn('render() needs render_mode="ansi", given when the environment is made')
            return None
        return self.render_text()

    def render_text(self) -> str:
        """One line with the last action and the state; subclasses draw better."""
        return f"{self.last_action_text()}state {self.s} of {self.model.num_states}\n"

    def last_action_text(self) -> str:
        """The last action in brackets, empty after a reset."""
        if self.lastaction is None:
            return ""
        named = self.lastaction < len(self.action_names)
        return f"({self.action_names[self.lastaction] if named else self.lastaction}) "


def first_exceeding(cumulative: NDArray[np.float64], uniform: float) -> int:
    """np.argmax(cumulative > uniform): the first such index, and 0 where there is none."""
    index = int(cumulative.searchsorted(uniform, side="right"))
    return index if index < cumulative.size else 0
