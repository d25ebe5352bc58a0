"""One trial: one agent learns on one track with one seed, and is evaluated."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from velodrome.agents.agent import Agent, Callback, Loop
from velodrome.agents.compiler import NotCompilableError
from velodrome.agents.planning import PlanningAgent
from velodrome.agents.tabular import TabularAgent
from velodrome.agents.training_log import TrainingLog
from velodrome.experiments.evaluation import Evaluation, evaluate
from velodrome.experiments.track import Track


@dataclass(frozen=True)
class Budget:
    """How long to train (episodes or steps) and how many episodes to evaluate where that needs sampling."""

    episodes: int | None
    steps: int | None
    evaluation_episodes: int = 100


@dataclass(frozen=True, eq=False)
class Trial:
    """What came of one agent, environment and seed.

    Attributes:
        agent: label of the agent.
        track: the environment.
        seed: the trial's seed.
        log: training, episode by episode.
        evaluation: the greedy policy afterwards.
        trained: the agent itself.
    """

    agent: str
    track: Track
    seed: int
    log: TrainingLog
    evaluation: Evaluation
    trained: Agent

    def record(self) -> dict[str, Any]:
        """The trial's numbers as one flat, JSON-ready row; NaN where there is nothing to say."""
        log, greedy, best, random = self.log, self.evaluation, self.track.best, self.track.random
        return {
            "agent": self.agent,
            "environment": self.track.label,
            "seed": self.seed,
            "episodes": log.episodes,
            "steps": log.steps,
            "loop": log.loop,
            "train_success_rate": log.success_rate,
            "train_mean_return": float(np.mean(log.returns)) if log.episodes else float("nan"),
            "greedy_success_rate": greedy.success_rate,
            "greedy_success_rate_low": greedy.success_low,
            "greedy_success_rate_high": greedy.success_high,
            "greedy_mean_return": greedy.mean_return,
            "evaluation": greedy.method,
            "evaluation_episodes": greedy.episodes,
            "best_success_rate": _number(best.success_rate if best else None),
            "best_return": _number(best.expected_return if best else None),
            "random_success_rate": _number(random.success_rate if random else None),
            "random_return": _number(random.expected_return if random else None),
            "success_rule": log.success_rule,
            "seconds": log.seconds,
            "steps_per_second": log.steps_per_second,
        }


def run_trial(
    label: str,
    agent: Agent,
    track: Track,
    budget: Budget,
    seed: int,
    *,
    loop: Loop = "auto",
    environment: gym.Env[Any, Any] | None = None,
    callback: Callback | None = None,
    callback_every: int = 100,
) -> Trial:
    """Train a fresh copy of `agent` and evaluate it.

    On a track that the compiled loop can run, a tabular agent is given the model alone and no environment is
    made, unless the caller gives the `environment` to train in.
    """
    rule = track.rule.description if track.rule.source == "experiment" else None
    training: dict[str, Any] = {
        "episodes": budget.episodes,
        "steps": budget.steps,
        "seed": seed,
        "loop": loop,
        "callback": callback,
        "callback_every": callback_every,
        "success": rule,
    }
    learner = fresh(agent)
    log: TrainingLog | None = None
    if environment is None and loop != "generic" and _runs_on_model(learner, track):
        try:
            on_model: Any = track.sampled_model()
            log = learner.train(on_model, **training)
        except NotCompilableError:
            learner = fresh(agent)
    if log is None:
        place = track.make() if environment is None else environment
        log = learner.train(place, **training)
        if place is not environment:
            place.close()
    if track.generic_reason is not None and log.loop == "generic" and not log.notes:
        log = dataclasses.replace(log, notes=(f"ran in the generic loop: {track.generic_reason}",))
    evaluation = evaluate(learner, track, seed=seed, episodes=budget.evaluation_episodes)
    return Trial(label, track, seed, log, evaluation, learner)


def fresh(agent: Agent) -> Agent:
    """The agent's configuration without anything learnt."""
    return dataclasses.replace(agent)  # type: ignore[type-var]


def _runs_on_model(agent: Agent, track: Track) -> bool:
    if track.model is None:
        return False
    return isinstance(agent, PlanningAgent) or (isinstance(agent, TabularAgent) and track.generic_reason is None)


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
