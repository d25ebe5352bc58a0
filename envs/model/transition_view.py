"""A read-only view of a transition model in the form of Gymnasium's `P`."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping

from velodrome.envs.model.transition_model import TransitionModel

Outcome = tuple[float, int, float, bool]


class TransitionView(Mapping[int, "Mapping[int, list[Outcome]]"]):
    """P[state][action] = [(probability, next_state, reward, terminated), ...], made when asked for."""

    def __init__(self, model: TransitionModel) -> None:
        self._model = model

    def __getitem__(self, state: int) -> Mapping[int, list[Outcome]]:
        return _StateView(self._model, _index(state, self._model.num_states))

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._model.num_states))

    def __len__(self) -> int:
        return self._model.num_states


class _StateView(Mapping[int, list[Outcome]]):
    def __init__(self, model: TransitionModel, state: int) -> None:
        self._model = model
        self._state = state

    def __getitem__(self, action: int) -> list[Outcome]:
        model = self._model
        pair = self._state * model.num_actions + _index(action, model.num_actions)
        own = slice(model.offsets[pair], model.offsets[pair + 1])
        return list(
            zip(
                model.probabilities[own].tolist(),
                model.next_states[own].tolist(),
                model.rewards[own].tolist(),
                model.terminated[own].tolist(),
                strict=True,
            )
        )

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._model.num_actions))

    def __len__(self) -> int:
        return self._model.num_actions


def _index(key: int, size: int) -> int:
    try:
        index = operator.index(key)
    except TypeError:
        raise KeyError(key) from None
    if not 0 <= index < size:
        raise KeyError(key)
    return index
