"""What agents of one kind learnt of every state of an environment, in one trial or in one a seed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from velodrome.agents.agent import Agent
from velodrome.agents.errors import environment_label
from velodrome.agents.planning.dynamic_programming import NotConvergedError
from velodrome.agents.planning.planning_agents import ValueIteration
from velodrome.agents.snapshots import Snapshots, all_observations, table_of, visits_of
from velodrome.envs.grid_layout import GridLayout, grid_layout
from velodrome.envs.model.transition_checks import TransitionModelError
from velodrome.envs.model.transition_model import TransitionModel
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.results.trial_table import TrialTable
from velodrome.experiments.trials.trial import Trial

# Action values of the optimum that differ by no more than this share of their range are one.
_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Learnt:
    """Action values that were learnt of every state, seed by seed.

    Attributes:
        agent: label of the agent.
        environment: label of the environment.
        layout: how the states lie.
        action_values: float64 (num_seeds, num_states, num_actions), in the end; minus infinity of actions that an agent
            with action masks never takes.
        seeds: of the trials; empty where that is not known.
        visits: float64 (num_seeds, num_states), actions taken in each state; None where they are not counted.
        snapshots: of each trial; empty where none were taken.
        model: of the environment; None where none is known.
        discount: of the agent; None where it has none.
        masks: bool (num_states, num_actions), actions that the agent may take; None where it may take all.
    """

    agent: str
    environment: str
    layout: GridLayout
    action_values: NDArray[np.float64]
    seeds: tuple[int, ...] = ()
    visits: NDArray[np.float64] | None = None
    snapshots: tuple[Snapshots, ...] = ()
    model: TransitionModel | None = None
    discount: float | None = None
    masks: NDArray[np.bool_] | None = None

    @property
    def num_seeds(self) -> int:
        """Number of trials."""
        return len(self.action_values)

    @property
    def values(self) -> NDArray[np.float64]:
        """Value of each state (num_states,): its largest action value, the mean over seeds."""
        return state_values(self.action_values)

    @property
    def choices(self) -> NDArray[np.float64]:
        """Share of the seeds that choose each action (num_states, num_actions); tied actions share a seed."""
        return shares(self.action_values)

    def tables_at(self, place: int) -> NDArray[np.float64]:
        """Action values (num_seeds, num_states, num_actions) in the snapshots with a number.

        Args:
            place: number of the snapshot in the order in which they were taken, from 0.
        """
        return _allowed(np.stack([one.action_values[place] for one in self.snapshots]).astype(np.float64), self.masks)

    def optimal_action_values(self) -> NDArray[np.float64]:
        """Action values (num_states, num_actions) of the best policy for the agent's discount, by value iteration.

        Raises:
            ExperimentError: they are not known; one line that says why.
        """
        if self.model is None:
            raise ExperimentError(f"the optimum is computed from a transition model, and {self.environment} has none")
        if self.discount is None:
            raise ExperimentError(f"the optimum is for an agent's discount, and {self.agent} has none")
        try:
            return ValueIteration(discount=self.discount).plan(self.model)
        except NotConvergedError as error:
            raise ExperimentError(f"the optimum of {self.environment} is not known: {error}") from None


def _allowed(action_values: NDArray[np.float64], masks: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    # A mask that allows nothing is one of a state in which nothing is done.
    return (
        action_values if masks is None else np.where(masks | ~masks.any(axis=1, keepdims=True), action_values, -np.inf)
    )


def state_values(action_values: NDArray[Any]) -> NDArray[np.float64]:
    """Largest action value of each state (num_states,), the mean over seeds (num_seeds, num_states, num_actions)."""
    return np.asarray(action_values.max(axis=2).mean(axis=0), dtype=np.float64)


def tied_best(action_values: NDArray[Any], tolerance: float = 0.0) -> NDArray[np.bool_]:
    """Whether each action has the largest value of its state, bool as `action_values` (..., num_actions)."""
    return np.asarray(action_values >= action_values.max(axis=-1, keepdims=True) - tolerance)


def optimal_actions(action_values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each action is optimal, of action values that were computed up to a small error."""
    finite = action_values[np.isfinite(action_values)]
    return tied_best(action_values, _TOLERANCE * float(np.ptp(finite)) if finite.size else 0.0)


def shares(action_values: NDArray[Any]) -> NDArray[np.float64]:
    """Share of the seeds that choose each action (num_states, num_actions), tied actions sharing a seed."""
    best = tied_best(action_values)
    return np.asarray((best / best.sum(axis=2, keepdims=True)).mean(axis=0))


def learnt_by_trial(trial: Trial) -> Learnt:
    """Action values that the agent of a trial learnt, as `velodrome.run` returns it.

    Args:
        trial: a trial with its agent.

    Raises:
        ExperimentError: its environment lies on no grid or chain, or it has no action values.
    """
    env = trial.profile.make()
    try:
        return learnt_by_agent(
            trial.trained, env, agent=trial.agent, environment=trial.profile.label, seed=trial.seed,
            snapshots=trial.snapshots, model=trial.profile.model,
        )  # fmt: skip
    finally:
        if env is not trial.profile.keeps_open:
            env.close()


def learnt_by_agent(
    trained: Agent,
    env: gym.Env[Any, Any],
    *,
    agent: str = "",
    environment: str = "",
    seed: int | None = None,
    snapshots: Snapshots | None = None,
    model: TransitionModel | None = None,
) -> Learnt:
    """Action values that a trained agent has of the states of an environment, whatever it was trained in.

    Args:
        trained: the agent.
        env: the environment.
        agent: label; the agent's name if empty.
        environment: label; its id if empty.
        seed: of the training, where that is known.
        snapshots: taken in training.
        model: of the environment; looked for if None.

    Raises:
        ExperimentError: the environment lies on no grid or chain, or the agent has no action values of its states.
    """
    agent, environment = agent or trained.name, environment or environment_label(env)
    layout, observations = layout_of(env, environment), all_observations(env)
    assert observations is not None
    try:
        values = table_of(trained, observations)
    # It may be of another environment, and its code that of a user.
    except Exception as error:
        raise ExperimentError(
            f"{agent} gives no action values of {environment}: {' '.join(str(error).split())}"
        ) from None
    if values is None or values.shape != (layout.num_states, len(layout.directions)):
        raise ExperimentError(
            f"{agent} has no action values of {environment}: draw an agent that learns them, such as q_learning"
        )
    visits = visits_of(trained, observations)
    return Learnt(
        agent,
        environment,
        layout,
        _allowed(values[None], masks := _masks_of(trained)),
        () if seed is None else (seed,),
        None if visits is None or not visits.any() else visits[None].astype(np.float64),
        () if snapshots is None else (snapshots,),
        model_of(env) if model is None else model,
        getattr(trained, "discount", getattr(getattr(trained, "agent", None), "discount", None)),
        masks,
    )


def learnt_in(
    results: TrialTable, environment: str, agent: str, env: gym.Env[Any, Any], seed: int | None = None
) -> Learnt:
    """Action values that the agents of stored trials learnt, from their snapshots.

    Args:
        results: of an experiment that took snapshots.
        environment: its label.
        agent: its label.
        env: the environment, made anew.
        seed: the only one to show; all if None.

    Raises:
        ExperimentError: the environment lies on no grid or chain, or there are no snapshots.
    """
    layout = layout_of(env, environment)
    found = results.snapshots(environment, agent)
    if not found:
        raise ExperimentError(_no_snapshots(results, environment, agent))
    if seed is not None:
        if seed not in found:
            raise ExperimentError(
                f"seed must be one of {', '.join(map(str, found))}, of {agent} on {environment}; got {seed}"
            )
        found = {seed: found[seed]}
    shape = (layout.num_states, len(layout.directions))
    if any(one.action_values.shape[1:] != shape for one in found.values()):
        raise ExperimentError(f"the snapshots of {agent} are of another environment than today's {environment}")
    model, data = model_of(env), _agent_in(results.specifications.get(agent, ""))
    masks = model.action_mask if model is not None and data.get("action_mask") is True else None
    visits = [one.visits for one in found.values()]
    counted = [None if one is None else one[-1] for one in visits]
    return Learnt(
        agent,
        environment,
        layout,
        _allowed(np.stack([one.action_values[-1] for one in found.values()]).astype(np.float64), masks),
        tuple(found),
        None if any(one is None for one in counted) else np.stack(counted).astype(np.float64),  # type: ignore[arg-type]
        tuple(found.values()),
        model,
        data.get("discount"),
        masks,
    )


def layout_of(env: gym.Env[Any, Any], label: str) -> GridLayout:
    """How the states of an environment lie.

    Raises:
        ExperimentError: on no grid or chain.
    """
    layout = grid_layout(env)
    if layout is None:
        raise ExperimentError(
            f"{label} lies on no grid or chain that is known, so that there is no map to draw: an environment of your "
            "own can say how it lies with a method grid_layout"
        )
    return layout


def model_of(env: gym.Env[Any, Any]) -> TransitionModel | None:
    """Transition model of an environment; None where there is none."""
    try:
        return TransitionModel.of(env)
    except TransitionModelError:
        return None


def _no_snapshots(results: TrialTable, environment: str, agent: str) -> str:
    if not results.done(environment, agent):
        return f"no trial of {agent} on {environment} is done, so that there is nothing to show"
    start = f"{agent} on {environment} has no snapshots: "
    for note in results.notes:
        # Of every agent, of several, or of this one.
        who, found, why = note.partition(f" on {environment} has no snapshots: ")
        if found and (who == "every agent" or agent in who.split(", ")):
            return start + why
    return f"{start}give compare --snapshots 50, and the trials are run with them"


def _masks_of(trained: Agent) -> NDArray[np.bool_] | None:
    """Actions that an agent may take in each state, where it knows."""
    has_masks = trained.keeps_table and getattr(trained, "action_mask", False)
    masks = trained.learner.action_masks.by_state if has_masks else None
    return None if masks is None else np.asarray(masks, dtype=np.bool_)


def _agent_in(specification: str) -> Mapping[str, Any]:
    """Parameters of the agent in a trial's specification, or of the one inside that has a discount; empty if none."""
    try:
        data = json.loads(specification)["agent"]
    except (ValueError, KeyError, TypeError):
        return {}
    while isinstance(data, Mapping):
        if isinstance(data.get("discount"), int | float):
            return data
        data = data.get("agent")
    return {}
