"""One call of `train` under way: where an agent learns, how far it has come, and what callbacks are shown of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from velodrome.agents.engine.episode_ends import EpisodeEnds
from velodrome.agents.engine.generic_loop import Progress
from velodrome.agents.engine.interruption import counted_cpu_seconds, current_interruption, not_counted
from velodrome.agents.engine.seeding import Streams
from velodrome.agents.snapshots import SnapshotTaker
from velodrome.agents.stepwise import Learner
from velodrome.agents.training_log import TRAINING_CPU_SECONDS, Curve, TrainingLog
from velodrome.envs.success_rules import SuccessRule

Loop = Literal["auto", "generic", "compiled"]
LOOPS: tuple[str, ...] = ("auto", "generic", "compiled")
Unit = Literal["episode", "step", "epoch"]
# Called after each evaluation along a training with the episodes, steps or epochs since the environment was entered and
# the numbers of the evaluation; True ends the training there.
StopRule = Callable[[int, Mapping[str, float]], bool]


@dataclass(eq=False)
class Binding:
    """An agent bound to an environment: learner, streams and progress; all of it is saved but the environment.

    Attributes:
        task: what the agent's `task_of` says of the environment.
        streams: random streams.
        learner: what was learnt.
        progress: how far training has come.
        first_episode: episodes finished before the present environment was entered.
        first_step: steps taken before.
        environment: in which it learns; None after loading.
        view: the same as the agent sees it.
        environment_id: by which the environment was given, if it was.
    """

    task: Any
    streams: Streams
    learner: Learner
    progress: Progress = field(default_factory=Progress)
    first_episode: int = 0
    first_step: int = 0
    environment: Any = None
    view: Any = None
    environment_id: str | None = None

    def enter(self, task: Any, environment: Any, view: Any, *, is_resumed: bool = False) -> None:
        """Learn in an environment from its next reset on."""
        self.task, self.environment, self.view = task, environment, view
        self.progress.forget_episode()
        if not is_resumed:
            self.streams.environments += 1
            self.first_episode, self.first_step = self.progress.episode, self.progress.step
        self.learner.enter(task, view, is_resumed=is_resumed)

    def forget_episode(self) -> None:
        """Let the next episode be a new one."""
        self.progress.forget_episode()
        self.learner.forget_episode()

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """JSON-ready entries and arrays; an episode that is under way is not kept."""
        entries, arrays = self.learner.state()
        counts = {
            "first_episode": self.first_episode,
            "first_step": self.first_step,
            "episode": self.progress.episode,
            "step": self.progress.step,
        }
        return self.streams.state() | counts | entries, arrays


@dataclass(eq=False)
class Evaluations:
    """Evaluations along the training, at exact multiples of so many units since the environment was entered.

    Attributes:
        evaluator: gives the numbers, by name.
        unit: in which is counted.
        every: units between two evaluations.
        num_episodes: the same in episodes, or None.
        num_steps: the same in steps, where it is not in episodes.
        at: units of the call before each evaluation.
        values: that it gave, by name.
        seconds: spent on evaluating.
        stop_when: says after each whether training ends there, of the units since the environment was entered and the
            numbers; None where nothing does.
        stopped_at: units since the environment was entered at which it said so.
        cpu_seconds: the same of the processor.
        training_cpu_seconds: of the call before each evaluation, without evaluating.
    """

    evaluator: Callable[[Any], Mapping[str, float]]
    unit: Unit
    every: int
    num_episodes: int | None
    num_steps: int | None
    at: list[int] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    training_cpu_seconds: list[float] = field(default_factory=list)
    stop_when: StopRule | None = None
    stopped_at: int | None = None

    def take(self, agent: Any, counted: int, since_entered: int, cpu_started: float) -> bool:
        """Evaluate now, after so many episodes or steps of the call; nothing that the agent does later changes.

        Returns:
            Whether training is to end here.
        """
        started, cpu = time.perf_counter(), counted_cpu_seconds()
        self.training_cpu_seconds.append(cpu - cpu_started - self.cpu_seconds)
        drawn = agent.acting_generator()
        state = None if drawn is None else drawn.bit_generator.state
        with agent.learner.undisturbed():
            found = self.evaluator(agent)
        if drawn is not None:
            drawn.bit_generator.state = state
        for name in [name for name in found if name not in self.values]:
            self.values[name] = [float("nan")] * len(self.at)
        units = self.every / (self.num_episodes or self.num_steps or 1)
        self.at.append(round(counted * units))
        for name, values in self.values.items():
            values.append(float(found.get(name, float("nan"))))
        self.seconds += time.perf_counter() - started
        self.cpu_seconds += counted_cpu_seconds() - cpu
        if self.stop_when is not None and self.stop_when(round(since_entered * units), found):
            self.stopped_at = round(since_entered * units)
        return self.stopped_at is not None

    def curves(self) -> tuple[Curve, ...]:
        """Curves "evaluation_return" and the like, and the processor time of the training up to each evaluation."""
        at = np.array(self.at, dtype=np.int64)
        curves = {f"evaluation_{name}": values for name, values in self.values.items()}
        if self.at:
            curves[TRAINING_CPU_SECONDS] = self.training_cpu_seconds
        return tuple(Curve(name, self.unit, at, np.array(values)) for name, values in curves.items())


@dataclass(eq=False)
class Training:
    """One call of `train` under way.

    Attributes:
        binding: of the agent.
        rule: decides which episodes succeed; None where there are none.
        loop: that was asked for.
        episodes: budget of the call, or None.
        steps: budget of the call, or None.
        reset_seed: of the environment's first reset; None where its stream goes on.
        plan: what the agent's `plan_loop` gave.
        callback: called every `callback_every` episodes, or None.
        until_episodes: where `run_training` stops now, episodes of the call; None where nothing stops it.
        until_steps: likewise, steps of the call.
        notes: remarks for the log.
        agent: that callbacks and evaluations are shown, if it is another one than that which runs the training.
        snapshots: takes those that were asked for; None for none.
    """

    binding: Binding = field(init=False)
    rule: SuccessRule | None = field(init=False)
    loop: Loop
    episodes: int | None = None
    steps: int | None = None
    reset_seed: int | None = None
    plan: Any = None
    evaluations: Evaluations | None = None
    callback: Callback | None = None
    callback_every: int | None = None
    until_episodes: int | None = None
    until_steps: int | None = None
    finished: int = 0
    taken: int = 0
    notes: list[str] = field(default_factory=list)
    parts: list[EpisodeEnds] = field(default_factory=list)
    episodes_an_epoch: int = 0
    started: float = field(default_factory=time.perf_counter)
    cpu_started: float = field(default_factory=counted_cpu_seconds)
    agent: Any = None
    snapshots: SnapshotTaker | None = None
    snapshot_seconds: float = 0.0
    _episode: int = 0
    _step: int = 0

    @property
    def environment(self) -> Any:
        """The environment as the agent sees it."""
        return self.binding.view

    @property
    def episodes_now(self) -> int | None:
        """Episodes to finish before `run_training` returns, if it is not stopped by steps."""
        return None if self.until_episodes is None else self.until_episodes - self.finished

    @property
    def steps_now(self) -> int | None:
        """Steps to take before `run_training` returns, if it is not stopped by episodes."""
        return None if self.until_steps is None else self.until_steps - self.taken

    @property
    def is_over(self) -> bool:
        """Whether the budget is spent; without one, whether anything was done."""
        if self.episodes is None and self.steps is None:
            return bool(self.parts)
        return self.finished == self.episodes or self.taken == self.steps

    def aim(self) -> None:
        """Set where to stop next: at the budget's end, a callback or an evaluation, whichever comes first."""
        self._episode, self._step = self.binding.progress.episode, self.binding.progress.step
        self.until_episodes = _sooner(self.episodes, self.finished, self.finished, self.callback_every)
        self.until_steps = self.steps
        evaluations = self.evaluations
        if evaluations is not None:
            here = self._episode - self.binding.first_episode, self._step - self.binding.first_step
            self.until_episodes = _sooner(self.until_episodes, self.finished, here[0], evaluations.num_episodes)
            self.until_steps = _sooner(self.until_steps, self.taken, here[1], evaluations.num_steps)
        if self.snapshots is not None:
            here = self._episode - self.binding.first_episode, self._step - self.binding.first_step
            moment = self.snapshots.next_after(here[self.snapshots.is_in_steps])
            if moment is not None and self.snapshots.is_in_steps:
                self.until_steps = _least(self.until_steps, self.taken + moment - here[1])
            elif moment is not None:
                self.until_episodes = _least(self.until_episodes, self.finished + moment - here[0])

    def add(self, part: EpisodeEnds, agent: Any) -> bool:
        """Count what was learnt, evaluate and call the callback where that is due; whether training is to stop."""
        agent = agent if self.agent is None else self.agent
        episodes, binding, evaluations = len(part.returns), self.binding, self.evaluations
        stops = False
        binding.progress.episode, binding.progress.step = self._episode + episodes, self._step + part.steps
        self.parts.append(part)
        self.finished += episodes
        self.taken += part.steps
        interruption = current_interruption()
        if interruption is not None:
            interruption.passes(episodes, part.steps)
        if evaluations is not None:
            here = self._episode - binding.first_episode, self._step - binding.first_step
            if _passes(here[0], episodes, evaluations.num_episodes):
                stops = evaluations.take(agent, self.finished, here[0] + episodes, self.cpu_started)
            elif _passes(here[1], part.steps, evaluations.num_steps):
                stops = evaluations.take(agent, self.taken, here[1] + part.steps, self.cpu_started)
        if self.snapshots is not None:
            now = episodes, part.steps
            here = self._episode - binding.first_episode, self._step - binding.first_step
            counted = self.snapshots.is_in_steps
            if self.snapshots.is_due(here[counted], here[counted] + now[counted]):
                self.take_snapshot(agent)
        is_due = self.callback is not None and _passes(self.finished - episodes, episodes, self.callback_every)
        return (is_due and says_stop(self.callback(Moment.of(self, agent)))) or stops  # type: ignore[misc]

    def take_snapshot(self, agent: Any) -> None:
        """Take one now; where the agent has no action values, none is taken any more, and a note says so."""
        assert self.snapshots is not None
        started = time.perf_counter()
        with not_counted():
            is_taken = self.snapshots.take(agent, self.finished, self.taken)
        if not is_taken:
            self.snapshots = None
            self.notes.append(f"has no snapshots: {agent.name} has no action values of all states")
        self.snapshot_seconds += time.perf_counter() - started

    def end(self) -> None:
        """Let the budget be what was done so far."""
        if self.steps is None:
            self.episodes = self.finished
        else:
            self.steps = self.taken

    def log(self) -> TrainingLog:
        """The log of the call so far."""
        ends = EpisodeEnds.joined(self.parts)
        successes, description = None, "no training episodes"
        if self.rule is not None:
            successes = self.rule.successes(ends.returns, ends.lengths, ends.terminated, ends.reported)
            description = self.rule.as_used(ends.reported).description
        beside = self.snapshot_seconds + (0.0 if self.evaluations is None else self.evaluations.seconds)
        cpu_evaluating = 0.0 if self.evaluations is None else self.evaluations.cpu_seconds
        evaluated = () if self.evaluations is None else self.evaluations.curves()
        first_step = self.binding.progress.step - self.taken
        return TrainingLog(
            returns=ends.returns,
            lengths=ends.lengths,
            terminated=ends.terminated,
            successes=successes,
            success_rule=description,
            steps=ends.steps,
            loop=ends.loop,
            seconds=time.perf_counter() - self.started - ends.compile_seconds - beside,
            compile_seconds=ends.compile_seconds,
            seed=self.binding.streams.seed,
            notes=tuple(self.notes),
            unfinished_return=self.binding.progress.unfinished_return,
            curves=evaluated + self.binding.learner.curves(first_step),
            epochs=ends.returns.size / self.episodes_an_epoch if self.episodes_an_epoch else 0.0,
            cpu_seconds=counted_cpu_seconds() - self.cpu_started - cpu_evaluating,
            snapshots=None if self.snapshots is None else self.snapshots.snapshots(),
            stopped_at=None if self.evaluations is None else self.evaluations.stopped_at,
            pseudo_regrets=ends.pseudo_regrets,
        )


class Moment(int):
    """A moment of training, as a callback gets it: the number of episodes finished in this call, and what is known.

    It is an int, so that it compares, adds up and prints as the number of finished episodes.

    Attributes:
        agent: that learns; it may act, but not train.
    """

    agent: Any
    _training: Training

    @classmethod
    def of(cls, training: Training, agent: Any) -> Moment:
        """The present moment.

        Args:
            training: call of `train` that goes on.
            agent: that learns.
        """
        moment = cls(training.finished)
        moment.agent, moment._training = agent, training
        return moment

    @property
    def episode(self) -> int:
        """Number of episodes finished in this call."""
        return int(self)

    @property
    def step(self) -> int:
        """Number of steps taken in this call, as of now."""
        return self._training.taken

    @property
    def action_values(self) -> np.ndarray | None:
        """The agent's table float64 (num_states, num_actions), the live array; None where it keeps none."""
        return getattr(self.agent, "action_values", None)

    @property
    def log(self) -> TrainingLog:
        """The log of this call so far."""
        return self._training.log()


# Called with a Moment after every `callback_every` finished episodes; False stops.
Callback = Callable[[Moment], bool | None]


def says_stop(answer: Any) -> bool:
    """Whether a callback's answer is a false value other than None."""
    return answer is not None and not answer


def _sooner(until: int | None, now: int, here: int, every: int | None) -> int | None:
    """`now` moved on to where `here` is the next multiple of `every`, if that comes before `until`."""
    if every is None:
        return until
    due = now + every - here % every
    return due if until is None else min(until, due)


def _least(until: int | None, moment: int) -> int:
    return moment if until is None else min(until, moment)


def _passes(before: int, more: int, every: int | None) -> bool:
    """Whether a multiple of `every` is reached or passed."""
    return every is not None and (before + more) // every > before // every
