"""One trial: one agent learns in one environment with one seed, and is evaluated."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from velodrome.agents.agent import Agent, Callback, Loop
from velodrome.agents.engine.compiler import NotCompilableError
from velodrome.agents.snapshots import Snapshots, snapshot_moments
from velodrome.agents.tabular.tabular_agent import TabularAgent
from velodrome.agents.training_log import PSEUDO_REGRET, Curve, TrainingLog
from velodrome.checks import VelodromeError
from velodrome.experiments.trials.checkpoints import train_with_checkpoints
from velodrome.experiments.trials.environment_profile import EnvironmentProfile
from velodrome.experiments.trials.evaluation import Evaluation, EvaluationAlong, evaluate
from velodrome.experiments.trials.evaluation_environment import WrapperState
from velodrome.experiments.trials.hopeless import Hopeless, HopelessCheck
from velodrome.policies.configuration import parameters_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Points of a curve of sums, between a power of 2 and the next.
POINTS = 64
# Metrics of bandits alone, which other trials do not store.
OF_BANDITS = ("pseudo_regret", "lai_robbins")
AgentType = TypeVar("AgentType", bound=Agent)


@dataclass(frozen=True)
class Budget:
    """How long to train (episodes or steps) and how many episodes to evaluate where that needs sampling.

    Attributes:
        episodes: of training, or None.
        steps: of training, or None.
        evaluation_episodes: sampled where the value of a policy can neither be computed nor be asked of examples.
        epochs: that the episodes are, where the user counts in them.
        evaluate_every: evaluations along the training have so many episodes, or steps, between them; None for none.
        snapshots: moments of the training at which the action values of all states are kept; None for none.
        hopeless: when a trial is given up, in episodes or steps; None for never.
    """

    episodes: int | None
    steps: int | None
    evaluation_episodes: int = 100
    epochs: int | None = None
    evaluate_every: int | None = None
    snapshots: int | None = None
    hopeless: Hopeless | None = None


@dataclass(frozen=True)
class Checkpoints:
    """Where and how often trials of the generic loop save their state, to go on from it after a kill.

    Attributes:
        directory: holds a folder for each trial that is under way, named by its key.
        every_seconds: time between two saves.
    """

    directory: Path
    every_seconds: float


@dataclass(frozen=True, eq=False)
class Trial:
    """One agent, trained in one environment with one seed, and evaluated.

    Attributes:
        agent: label of the agent.
        profile: the environment.
        seed: the trial's seed.
        log: training, episode by episode.
        evaluation: the greedy policy afterwards.
        trained: the agent itself.
        stopped_at: episodes, steps or epochs after which it was given up as hopeless; it then has no scores.
    """

    agent: str
    profile: EnvironmentProfile
    seed: int
    log: TrainingLog
    evaluation: Evaluation
    trained: Agent
    stopped_at: int | None = None

    def __repr__(self) -> str:
        """Return who learnt where, for how long, and how well it does, in one line."""
        counts = f"{self.log.episodes:,} episodes, {self.log.steps:,} steps"
        return f"<Trial {self.agent} on {self.profile.label}, seed {self.seed}: {counts}; {self._scores()}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the trial's numbers as a table."""
        shown = {"agent": self.agent, "environment": self.profile.label, "seed": self.seed} | self.metrics()
        # So the same cell shows the same table when it is run again.
        del shown["train_seconds"]
        rows = [(name.replace("_", " "), value) for name, value in shown.items() if value == value and value != ""]
        cells = "".join(f"<tr><th>{escape(name)}</th><td>{_cell(value)}</td></tr>" for name, value in rows)
        return f"<table><caption>{escape(repr(self))}</caption>{cells}</table>"

    def _scores(self) -> str:
        if self.stopped_at is not None:
            return "stopped as hopeless"
        greedy = self.evaluation
        scores = {"success": greedy.success_rate, "return": greedy.mean_return}
        known = [f"greedy {name} {value:.4g}" for name, value in scores.items() if value is not None and value == value]
        return f"{' and '.join(known)} ({greedy.method})" if known else greedy.method

    @property
    def measured(self) -> tuple[Curve, ...]:
        """Curves along the training, such as "evaluation_return" with `evaluate_every`; "pseudo_regret" of bandits."""
        lost = self.log.pseudo_regrets
        return self.log.curves if lost is None else (*self.log.curves, cumulative_curve(lost))

    @property
    def snapshots(self) -> Snapshots | None:
        """Action values of all states at moments of the training, with `snapshots`; else None."""
        return self.log.snapshots

    def plot(self, kind: str | None = None, *, language: Literal["en", "ko"] = "en") -> "Figure":
        """A picture of what was learnt.

        Args:
            kind: on a grid or a chain "values" (colours, and arrows for the best actions), "action_values", "visits",
                "learning" (the map as it was learnt) and "exploration", which need `snapshots`, or "optimum"; of
                labelled examples "accuracy", "confusion", "mistakes", "filters" or "strip"; with `evaluate_every`
                also "curves". The first of them if None.
            language: of the captions of maps, English or Korean.

        Raises:
            ExperimentError: an unknown kind, or nothing to draw: no grid, no action values, no snapshots.
        """
        from velodrome.experiments.views.trial_pictures import draw_trial

        return draw_trial(self, kind, language)

    def metrics(self) -> dict[str, Any]:
        """Numbers and words of training and evaluation as one flat, JSON-ready row; NaN where there is none."""
        log, greedy, best, random = self.log, self.evaluation, self.profile.best, self.profile.random
        numbers = {
            "episodes": log.episodes,
            "steps": log.steps,
            "loop": log.loop,
            "train_success_rate": log.success_rate,
            "train_mean_return": log.mean_return,
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
            "train_seconds": log.seconds,
        }
        # What bandits alone have.
        if log.pseudo_regrets is not None:
            numbers["pseudo_regret"] = float(np.sum(log.pseudo_regrets))
            if self.profile.lai_robbins is not None:
                numbers["lai_robbins"] = self.profile.lai_robbins
        if self.stopped_at is None:
            return numbers
        # Of a training that was cut short by its own results, no number stands beside those of whole ones.
        cut = numbers.keys() & {"train_success_rate", "train_mean_return", "pseudo_regret", "lai_robbins"}
        return numbers | dict.fromkeys(cut, math.nan) | {"stopped_at": self.stopped_at}

    def record(self) -> dict[str, Any]:
        """Agent, environment, seed, `metrics` and the speed, as one flat, JSON-ready row."""
        identity = {"agent": self.agent, "environment": self.profile.label, "seed": self.seed}
        return identity | self.metrics() | {"steps_per_second": self.log.steps_per_second}


def cumulative_curve(pseudo_regrets: NDArray[np.float64]) -> Curve:
    """Curve "pseudo_regret": the sum over episodes so far, at every episode at first and then ever more rarely.

    Between a power of 2 and the next it has `POINTS` points, so that a long training takes little room, and one at the
    end.
    """
    points = _points(len(pseudo_regrets))
    return Curve(PSEUDO_REGRET, "episode", points, np.cumsum(pseudo_regrets)[points - 1])


@lru_cache(maxsize=8)
def _points(number: int) -> NDArray[np.int64]:
    at = [np.arange(1, min(number, POINTS) + 1)]
    start = POINTS
    while start < number:
        every = start // POINTS
        at.append(np.arange(start + every, min(2 * start, number) + 1, every))
        start *= 2
    at.append(np.array([number]))
    return np.unique(np.concatenate(at))


def _cell(value: Any) -> str:
    return escape(
        f"{value:.6g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    )


@dataclass(frozen=True, eq=False)
class Trained:
    """An agent that was trained for a trial beside others.

    Attributes:
        agent: trained.
        log: of its training.
        evaluation: of its greedy policy; None if that is still to be done.
    """

    agent: Agent
    log: TrainingLog
    evaluation: Evaluation | None = None


def train_together(
    agent: Agent, profile: EnvironmentProfile, budget: Budget, seeds: Sequence[int]
) -> list[Trained | VelodromeError] | None:
    """Train fresh copies of `agent`, one for each of the `seeds`, in turns inside one compiled call.

    Each learns what it would learn in `run_trial`, bit for bit; an error is what ended its training. None where they
    cannot be trained together: in the generic loop, with evaluations along the training, or with code of one's own.

    Raises:
        NotCompilableError: the policy cannot be compiled.
        TrainingInterruptedError: somebody asked for it.
    """
    if (
        not isinstance(agent, TabularAgent)
        or budget.evaluate_every is not None
        or budget.snapshots is not None
        or not runs_on_model(agent, profile)
        or not agent.trains_together
    ):
        return None
    learners = [fresh(agent) for _ in seeds]
    logs = TabularAgent.train_together(
        learners, [profile.sampled_model() for _ in seeds], seeds, episodes=budget.episodes, steps=budget.steps
    )
    return [
        log if isinstance(log, VelodromeError) else Trained(learner, log)
        for learner, log in zip(learners, logs, strict=True)
    ]


def run_trial(
    label: str,
    agent: Agent,
    profile: EnvironmentProfile,
    budget: Budget,
    seed: int,
    *,
    loop: Loop = "auto",
    environment: gym.Env[Any, Any] | None = None,
    callback: Callback | None = None,
    callback_every: int = 100,
    note: str = "",
    on_model_only: bool = False,
    checkpoints: Checkpoints | None = None,
    key: str = "",
    trained: Trained | VelodromeError | None = None,
) -> Trial:
    """Train a fresh copy of `agent` and evaluate it.

    On an environment that the compiled loop can run, a tabular agent is given the model alone and no environment is
    made, unless the caller gives the `environment` to train in.

    Args:
        label: of the agent.
        agent: the configuration.
        profile: the environment.
        budget: of training and evaluation.
        seed: of the trial.
        loop: as of `Agent.train`.
        environment: to train in, instead of a new one.
        callback: as of `Agent.train`.
        callback_every: as of `Agent.train`.
        note: remark to add, such as why the compiled loop is not used.
        on_model_only: do not fall back to the generic loop where the policy cannot be compiled.
        checkpoints: go on from those of this trial, and make new ones.
        key: of the trial, for its checkpoints.
        trained: agent of this trial that is trained already, or the error that ended its training; None to train here.

    Raises:
        NotCompilableError: with `on_model_only`, the policy cannot be compiled.
        EnvironmentFailureError: the environment raised or returned something that is not allowed.
        PolicyFailureError: the policy did.
    """
    along = None if budget.evaluate_every is None else EvaluationAlong(profile, seed, budget.evaluation_episodes)
    problem = "" if along is None else along.problem
    rule = profile.rule.description if profile.rule.source == "experiment" else None
    training: dict[str, Any] = {
        "episodes": budget.episodes,
        "steps": budget.steps,
        "seed": seed,
        "loop": loop,
        "callback": callback,
        "callback_every": callback_every,
        "success": rule,
    }
    if along is not None and not problem:
        training |= {"evaluate_every": budget.evaluate_every, "evaluator": along}
        if budget.hopeless is not None:
            training["stop_when"] = HopelessCheck(budget.hopeless)
    if budget.snapshots is not None:
        # A trial that goes on from a checkpoint has the moments of the whole budget.
        training["snapshots"] = snapshot_moments(budget.steps or budget.episodes or 0, budget.snapshots)
        if agent.learns_from == "model":
            training["snapshots"] = budget.snapshots
    if isinstance(trained, VelodromeError):
        raise trained
    learner = fresh(agent) if trained is None else trained.agent
    log = None if trained is None else trained.log
    trained_in: list[WrapperState] = []

    def remember(place: gym.Env[Any, Any]) -> None:
        trained_in.append(WrapperState.of(place))

    if log is None and environment is None and loop != "generic" and runs_on_model(learner, profile):
        try:
            on_model: Any = profile.sampled_model()
            log = learner.train(on_model, **training)
        except NotCompilableError:
            if on_model_only:
                raise
            learner = fresh(agent)
    is_resumable = environment is None and profile.keeps_open is None and callback is None
    if log is None and checkpoints is not None and learner.can_checkpoint and is_resumable:
        learner, log = train_with_checkpoints(
            learner, profile.make, folder=checkpoints.directory / key, key=key, every_seconds=checkpoints.every_seconds,
            seed=seed, episodes=budget.episodes, steps=budget.steps, loop=loop, success=rule,
            after_training=remember, evaluate_every=training.get("evaluate_every"), evaluator=training.get("evaluator"),
            stop_when=training.get("stop_when"),
            snapshots=training.get("snapshots"),
        )  # fmt: skip
    if log is None:
        place = profile.make() if environment is None else environment
        try:
            log = learner.train(place, **training)
            remember(place)
        finally:
            if place is not environment:
                place.close()
    if not note and profile.generic_reason is not None and log.loop == "generic" and not log.notes:
        note = f"ran in the generic loop: {profile.generic_reason}"
    if note:
        log = dataclasses.replace(log, notes=(note, *log.notes))
    if profile.rule.why:
        log = dataclasses.replace(log, notes=(*log.notes, f"{profile.rule.description}: {profile.rule.why}"))
    reason = profile.contents.reason_evaluated_where_learnt
    if reason is not None:
        log = dataclasses.replace(log, notes=(*log.notes, f"was evaluated where it learnt: {reason}"))
    if profile.model_reason is not None:
        log = dataclasses.replace(log, notes=(*log.notes, f"was evaluated in sampled episodes: {profile.model_reason}"))
    evaluation = None if trained is None else trained.evaluation
    if log.stopped_at is not None:
        evaluation = Evaluation("", math.nan, math.nan, math.nan, math.nan, 0)
    if evaluation is None:
        evaluation = evaluate(
            learner,
            profile,
            seed=seed,
            episodes=budget.evaluation_episodes,
            trained_in=trained_in[0] if trained_in else None,
        )
    notes = (*log.notes, *evaluation.notes)
    if along is not None:
        notes += along.notes if not problem else (f"was not evaluated along the training: {problem}",)
    log = dataclasses.replace(log, notes=notes, curves=_in_epochs(log.curves, budget))
    stopped_at = log.stopped_at
    if stopped_at is not None and budget.epochs is not None and budget.episodes is not None:
        stopped_at //= budget.episodes // budget.epochs
    return Trial(label, profile.after(learner), seed, log, evaluation, learner, stopped_at)


def fresh(agent: AgentType) -> AgentType:
    """The agent's configuration without anything learnt."""
    return type(agent)(**parameters_of(agent))


def runs_on_model(agent: Agent, profile: EnvironmentProfile) -> bool:
    """Whether an agent learns on an environment's model, without an environment."""
    if profile.bandit is not None:
        return isinstance(agent, TabularAgent) and profile.generic_reason is None
    if profile.model is None:
        return False
    return agent.runs_on_model and (agent.learns_from == "model" or profile.generic_reason is None)


def _in_epochs(curves: tuple[Curve, ...], budget: Budget) -> tuple[Curve, ...]:
    """Curves counted in epochs, where the user counts in them."""
    if budget.epochs is None or budget.episodes is None:
        return curves
    episodes = budget.episodes // budget.epochs
    return tuple(dataclasses.replace(curve, unit="epoch", at=curve.at // episodes) for curve in curves)


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
