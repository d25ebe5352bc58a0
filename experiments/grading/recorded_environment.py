"""The environment of a learner, in the grader's process: takes the steps, keeps the budget and records everything."""

import struct
from array import array
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from velodrome.agents.engine.seeding import environment_seed
from velodrome.experiments.grading.interaction import Interaction

# Steps after an end or beyond the budget that are answered before a learner that does not stop is refused them.
_MOST_IDLE = 10_000
_MOST_REFUSED = 10
_LONGEST = 80
_LARGEST_SEED = 2**31 - 1

Answer = tuple[bytes, bytes]


class RecordedEnvironment:
    """Answers resets and steps.

    Args:
        make: makes the environment, whose observations and actions are numbered from 0.
        seed: of the run; the first reset without a seed takes the environment's stream of it.
        episodes: budget of episodes of at least one step, or None.
        steps: budget of steps, or None.
    """

    def __init__(
        self, make: Callable[[], gym.Env[Any, Any]], seed: int, *, episodes: int | None, steps: int | None
    ) -> None:
        self._env = make()
        self._num_actions = int(self._env.action_space.n)  # type: ignore[attr-defined]
        self._first_seed: int | None = environment_seed(seed)
        self._most_episodes, self._most_steps = episodes, steps
        self._begun, self._state = 0, -1
        # Whether the episode has had a step, and how it ended.
        self._has_stepped, self._end = False, (False, False)
        self._is_used_up = False
        self._resets: list[tuple[int | None, int, int]] = []
        # States, actions, rewards, next states, terminated, truncated, episodes.
        self._columns: list[array[Any]] = [array(kind) for kind in "qqdqbbq"]
        self._taken = 0
        self._after_end = self._beyond = self._within = 0
        self._refused: list[str] = []

    def answer(self, kind: bytes, content: bytes) -> Answer:
        """Answer to a reset (R), a step (S) or an action that is no whole number (N)."""
        if kind == b"R":
            return self._reset(struct.unpack("<q", content)[0] if content else None)
        if kind == b"N":
            return self._refuse(content.decode(errors="replace"))
        return self._step(struct.unpack("<q", content)[0])

    def close(self) -> None:
        """Close the environment."""
        self._env.close()

    def _reset(self, seed: int | None) -> Answer:
        if seed is not None and not 0 <= seed <= _LARGEST_SEED:
            return b"E", f"a seed is a whole number from 0 to {_LARGEST_SEED}, got {seed}".encode()
        if self._has_stepped and not any(self._end) and not self._is_used_up:
            self._within += 1
        if self._state >= 0 and (
            (self._most_episodes is not None and self._begun >= self._most_episodes)
            or (self._most_steps is not None and self._taken >= self._most_steps)
        ):
            self._is_used_up = True
            return b"A", struct.pack("<q", self._state)
        first = self._first_seed if seed is None else seed
        self._first_seed = None
        self._state = int(self._env.reset(seed=first)[0])
        self._has_stepped, self._end = False, (False, False)
        self._resets.append((seed, self._state, self._taken))
        return b"A", struct.pack("<q", self._state)

    def _step(self, action: int) -> Answer:
        if not 0 <= action < self._num_actions:
            return self._refuse(str(action))
        if self._state < 0:
            return b"E", b"call env.reset() before the first env.step()"
        if self._is_used_up or (self._most_steps is not None and self._taken >= self._most_steps):
            self._beyond += 1
            return self._idle(False, True)
        if any(self._end):
            self._after_end += 1
            return self._idle(*self._end)
        if not self._has_stepped:
            self._has_stepped = True
            self._begun += 1
        observation, reward, terminated, truncated, _ = self._env.step(action)
        before, self._state = self._state, int(observation)
        self._end = (bool(terminated), bool(truncated))
        step = (before, action, float(reward), self._state, *self._end, len(self._resets) - 1)
        for column, value in zip(self._columns, step, strict=True):
            column.append(value)
        self._taken += 1
        return b"A", struct.pack("<qd??", self._state, float(reward), *self._end)

    def _idle(self, terminated: bool, truncated: bool) -> Answer:
        if self._after_end + self._beyond > _MOST_IDLE:
            why = "the budget is used up" if self._is_used_up else "the episode has ended: call env.reset()"
            return b"E", why.encode()
        return b"A", struct.pack("<qd??", self._state, 0.0, terminated, truncated)

    def _refuse(self, action: str) -> Answer:
        action = " ".join(action.split())[:_LONGEST]
        if len(self._refused) < _MOST_REFUSED:
            self._refused.append(action)
        return b"E", f"an action is a whole number from 0 to {self._num_actions - 1}, got {action}".encode()

    def interaction(self) -> Interaction:
        """The record so far."""
        kinds = (np.int64, np.int64, np.float64, np.int64, np.bool_, np.bool_, np.int64)
        arrays: list[Any] = [np.array(column, dtype=kind) for column, kind in zip(self._columns, kinds, strict=True)]
        return Interaction(
            tuple(seed for seed, _, _ in self._resets),
            np.array([state for _, state, _ in self._resets], dtype=np.int64),
            np.array([step for _, _, step in self._resets], dtype=np.int64),
            states=arrays[0],
            actions=arrays[1],
            rewards=arrays[2],
            next_states=arrays[3],
            terminated=arrays[4],
            truncated=arrays[5],
            episodes=arrays[6],
            steps_after_end=self._after_end,
            steps_beyond_budget=self._beyond,
            resets_within_episode=self._within,
            refused_actions=tuple(self._refused),
        )
