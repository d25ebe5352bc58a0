"""Learning snapshots: the action values of all states at some moments of a training."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from velodrome.agents.engine.sampled_model import SampledModel
from velodrome.agents.errors import BudgetError, check_count

# All snapshots of a training together.
LARGEST_MIB = 64


@dataclass(frozen=True, eq=False)
class Snapshots:
    """Action values and visits of every state of a Discrete observation space, at moments of an agent's training.

    Attributes:
        episodes: int64 (num_snapshots,), episodes finished, ascending; the first is 0, before any training.
        steps: int64 (num_snapshots,), environment steps taken, likewise.
        action_values: float32 (num_snapshots, num_states, num_actions); a state is its observation, counted from the
            space's start.
        visits: int64 (num_snapshots, num_states), actions taken in each state so far; None of agents that do not count.
        exploration: float64 (num_snapshots,), parameter of the exploration policy, such as epsilon, for the next
            choice (the mean over states where it follows visits); NaN where there is none.
    """

    episodes: NDArray[np.int64]
    steps: NDArray[np.int64]
    action_values: NDArray[np.float32]
    visits: NDArray[np.int64] | None
    exploration: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.episodes)


def check_snapshots(number: Any) -> int:
    """Number of snapshots, at least 2.

    Raises:
        BudgetError: it is none.
    """
    count: int = check_count("snapshots", number)
    if count < 2:
        raise BudgetError("snapshots must be at least 2, before training and at its end, got 1")
    return count


def snapshot_moments(budget: int, number: int) -> list[int]:
    """Moments of snapshots, spread evenly over a budget, from 0 to its end; fewer where the budget is smaller.

    Args:
        budget: episodes or steps.
        number: of snapshots, at least 2.
    """
    if budget < 1:
        return [0]
    last = min(number, budget + 1) - 1
    return [round(place * budget / last) for place in range(last + 1)]


@dataclass(eq=False)
class SnapshotTaker:
    """Takes snapshots of an agent that learns.

    Attributes:
        observations: int64 (num_states,), all of the space.
        moments: when, ascending; in the unit of the budget, since the environment was entered.
        is_in_steps: whether that is steps.
    """

    observations: NDArray[np.int64]
    moments: Sequence[int]
    is_in_steps: bool
    _taken: list[tuple[int, int, NDArray[np.float32], NDArray[np.int64] | None, float]] = field(default_factory=list)

    @classmethod
    def of(cls, agent: Any, env: Any, moments: Sequence[int], is_in_steps: bool) -> "SnapshotTaker | str":
        """One for an environment or a model, or why there are no snapshots in it; one line."""
        if not isinstance(env, SampledModel) and not isinstance(env.action_space, spaces.Discrete):
            return f"has no snapshots: they are of a Discrete action space, not of {env.action_space}"
        observations = all_observations(env)
        if observations is None:
            return f"has no snapshots: they are of a Discrete observation space, not of {env.observation_space}"
        num_actions = env.model.num_actions if isinstance(env, SampledModel) else int(env.action_space.n)
        mebibytes = len(moments) * len(observations) * (4 * num_actions + 8) / 2**20
        if mebibytes > LARGEST_MIB:
            return (
                f"has no snapshots: {len(moments)} of {len(observations):,} states and {num_actions} actions take "
                f"{mebibytes:,.0f} MiB, more than {LARGEST_MIB}: ask for fewer"
            )
        return cls(observations, moments, is_in_steps)

    def next_after(self, here: int) -> int | None:
        """The next moment."""
        return next((moment for moment in self.moments if moment > here), None)

    def is_due(self, before: int, here: int) -> bool:
        """Whether a moment was reached or passed."""
        return any(before < moment <= here for moment in self.moments)

    def take(self, agent: Any, episodes: int, steps: int) -> bool:
        """Take one; nothing that the agent does later changes. False where the agent has no action values.

        A library that makes its model only when it learns has none before; then the first snapshot is left out.
        """
        with agent.learner.undisturbed():
            values = table_of(agent, self.observations)
        if values is None:
            return steps == 0
        self._taken.append((episodes, steps, values.astype(np.float32), visits_of(agent, self.observations),
                            agent.learner.exploration()))  # fmt: skip
        return True

    def take_again(self, agent: Any, episodes: int, steps: int) -> None:
        """Replace the last one, if it was taken after as many episodes and steps."""
        if self._taken and self._taken[-1][:2] == (episodes, steps):
            self._taken.pop()
            self.take(agent, episodes, steps)

    def snapshots(self) -> Snapshots | None:
        """Those that were taken; None where there are none."""
        if not self._taken:
            return None
        episodes, steps, values, visits, exploration = zip(*self._taken, strict=True)
        return Snapshots(
            np.array(episodes, dtype=np.int64),
            np.array(steps, dtype=np.int64),
            np.stack(values),
            None if any(one is None for one in visits) else np.stack(visits),
            np.array(exploration, dtype=np.float64),
        )


def all_observations(env: Any) -> NDArray[np.int64] | None:
    """All observations int64 (num_states,) of an environment with a Discrete space, or of a model; else None."""
    if isinstance(env, SampledModel):
        return np.arange(env.model.num_states)
    space = env.observation_space
    return np.arange(space.start, space.start + space.n) if isinstance(space, spaces.Discrete) else None


def table_of(agent: Any, observations: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """Action values (num_states, num_actions) of a trained agent for all observations of a space; None without any."""
    values = agent.action_values_of(observations)
    if values is None:
        # An agent of one's own may keep a table.
        values = getattr(agent, "action_values", None)
    if not isinstance(values, np.ndarray) or values.ndim != 2 or len(values) != len(observations):
        return None
    return np.asarray(values, dtype=np.float64)


def visits_of(agent: Any, observations: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Actions taken in each state int64 (num_states,); None of agents that do not count them."""
    # Agents around another one hand it other observations than these.
    found: NDArray[np.int64] | None = agent.learner.visits(observations) if agent.keeps_table else None
    return found


def joined_snapshots(
    parts: Sequence[Snapshots | None], episodes: Sequence[int], steps: Sequence[int]
) -> Snapshots | None:
    """Snapshots of trainings in a row as those of one; one at the end of a part and the start of the next is one.

    Args:
        parts: of each.
        episodes: finished in each.
        steps: taken in each.
    """
    found: list[Snapshots] = []
    before = 0, 0
    for part, num_episodes, num_steps in zip(parts, episodes, steps, strict=True):
        if part is not None:
            first = 1 if found and (part.episodes[0], part.steps[0]) == (0, 0) and _ends_at(found[-1], before) else 0
            found.append(Snapshots(
                part.episodes[first:] + before[0], part.steps[first:] + before[1], part.action_values[first:],
                None if part.visits is None else part.visits[first:], part.exploration[first:],
            ))  # fmt: skip
        before = before[0] + num_episodes, before[1] + num_steps
    if not found:
        return None
    visits = [part.visits for part in found]
    return Snapshots(
        np.concatenate([part.episodes for part in found]),
        np.concatenate([part.steps for part in found]),
        np.concatenate([part.action_values for part in found]),
        None if any(part is None for part in visits) else np.concatenate(visits),  # type: ignore[arg-type]
        np.concatenate([part.exploration for part in found]),
    )


def _ends_at(part: Snapshots, place: tuple[int, int]) -> bool:
    return len(part) > 0 and (part.episodes[-1], part.steps[-1]) == place
