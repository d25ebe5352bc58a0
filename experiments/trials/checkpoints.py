"""Long trials that continue after a kill, with the result of an undisturbed run."""

import dataclasses
import platform
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium as gym

from velodrome.agents.agent import Agent, Evaluator, Loop, StopRule
from velodrome.agents.errors import check_budget, environment_label
from velodrome.agents.resuming.checkpointing import Checkpoint, CheckpointError, CheckpointFolder
from velodrome.agents.resuming.environment_contents import shared_contents
from velodrome.agents.resuming.environment_streams import NotRestorableError
from velodrome.agents.resuming.object_contents import describe_difference
from velodrome.agents.resuming.rehearsal import rehearse
from velodrome.agents.resuming.saving import SavedAgentError
from velodrome.agents.training_log import TrainingLog, join_logs
from velodrome.checks import VelodromeError, one_line
from velodrome.envs.success_rules import success_rule
from velodrome.policies.configuration import to_data

# Checkpoints become rarer rather than take more of the time than this.
LARGEST_SHARE = 0.1
# Between two looks at the clock.
LOOK_SECONDS = 1.0


def train_with_checkpoints(
    learner: Agent,
    make: Callable[[], gym.Env[Any, Any]],
    *,
    folder: Path,
    key: str,
    every_seconds: float,
    seed: int,
    episodes: int | None = None,
    steps: int | None = None,
    loop: Loop = "auto",
    success: str | None = None,
    evaluate_every: int | None = None,
    evaluator: Evaluator | None = None,
    stop_when: StopRule | None = None,
    snapshots: Sequence[int] | None = None,
    after_training: Callable[[gym.Env[Any, Any]], None] | None = None,
) -> tuple[Agent, TrainingLog]:
    """Train for exactly `episodes` or `steps`, continuing from the newest checkpoint of this trial in `folder`.

    The result is that of `learner.train(make(), …)` to the bit, however often the process is killed. A
    checkpoint is made at the end of an episode when the last is `every_seconds` old, and counts once it has been
    rehearsed (see `rehearse`). Where that fails, training goes on without, and the log has a note. When training
    is complete, the checkpoints are deleted; after an error they stay.

    Args:
        learner: a configuration that has learnt nothing yet; one that cannot be checkpointed trains without.
        make: makes a new environment.
        folder: of this trial's checkpoints, made if needed.
        key: of the trial; a checkpoint of another is not used.
        every_seconds: time between checkpoints.
        seed: of the trial.
        episodes: as for `Agent.train`.
        steps: as for `Agent.train`.
        loop: as for `Agent.train`.
        success: as for `Agent.train`.
        evaluate_every: as for `Agent.train`.
        evaluator: as for `Agent.train`.
        stop_when: as for `Agent.train`; asked of all evaluations in order, those of before a kill again.
        snapshots: moments, as for `Agent.train`.
        after_training: called with the environment, before it is closed.

    Returns:
        The trained agent, which is another object than `learner` if it was resumed, and its log.

    Raises:
        BudgetError: not exactly one positive budget.
        EnvironmentFailureError: as from `Agent.train`; episodes are counted from the trial's start.
        NoProgressError: the agent's log is empty, or of more than was asked for.
    """
    episodes, steps = check_budget(episodes, steps)
    options: dict[str, Any] = {"loop": loop, "success": success}
    if evaluate_every is not None:
        options |= {"evaluate_every": evaluate_every, "evaluator": evaluator, "stop_when": stop_when}
    if snapshots is not None:
        options["snapshots"] = snapshots
    if not learner.can_checkpoint:
        env = make()
        try:
            log = learner.train(env, episodes=episodes, steps=steps, seed=seed, **options)
            if after_training is not None:
                after_training(env)
            return learner, log
        finally:
            env.close()
    identity = _identity(learner, key)
    trial = _CheckpointedTrial(learner, make, CheckpointFolder(folder), identity, every_seconds, options)
    try:
        trial.begin(seed)
        agent, log = trial.train(episodes, steps)
        if after_training is not None:
            after_training(trial.env)
        return agent, log
    finally:
        trial.env.close()


class NoProgressError(VelodromeError, RuntimeError):
    """An agent trained for nothing, or for more than its budget; the message is one line."""


class _CheckpointedTrial:
    """One trial on its way; `begin` and `train` are called once each."""

    def __init__(
        self,
        learner: Agent,
        make: Callable[[], gym.Env[Any, Any]],
        folder: CheckpointFolder,
        identity: dict[str, str],
        every_seconds: float,
        options: dict[str, Any],
    ) -> None:
        self.agent, self.make, self.folder, self.identity = learner, make, folder, identity
        self.every_seconds = self.pause = every_seconds
        self.options = options
        self.logs: list[TrainingLog] = []
        self.notes: list[str] = []
        self.is_possible = True
        self.proven_episodes = 0
        self.env = make()

    def begin(self, seed: int) -> None:
        """Resume the newest checkpoint that can be used, or stand at the beginning."""
        self.seed: int | None = seed
        self.folder.clear_unproven()
        for directory in self.folder.newest_first():
            try:
                checkpoint = Checkpoint.read(directory, self.identity)
                self.agent = checkpoint.resume(self.agent, self.env)
            except CheckpointError as error:
                self.notes.append(f"{directory.name} was not used: {error}")
                # It may have got some of the streams.
                self.env.close()
                self.env = self.make()
            else:
                self.logs, self.seed, self.proven_episodes = [checkpoint.log], None, checkpoint.log.episodes
                self._ask_again(checkpoint.log)
                break
        self.rule = success_rule(self.env, self.options["success"])
        try:
            self.shared = shared_contents(self.env, self.make, self.agent)
        except Exception as error:
            self._give_up(one_line(error))
        self.last = time.monotonic()

    def train(self, episodes: int | None, steps: int | None) -> tuple[Agent, TrainingLog]:
        """Train for what is left of the budget."""
        finished, taken = sum(log.episodes for log in self.logs), sum(log.steps for log in self.logs)
        count = 1
        while finished != episodes and taken != steps and not (self.logs and self.logs[-1].stopped_at is not None):
            started = time.monotonic()
            is_due = self.is_possible and bool(self.logs) and started - self.last >= self.pause
            left: dict[str, Any] = {
                "episodes": None if episodes is None else episodes - finished,
                "steps": None if steps is None else steps - taken,
            }
            directory = self._write() if is_due else None
            log = self._segment(self.agent, self.env, left, 1 if is_due else count)
            self.logs.append(log)
            finished, taken = finished + log.episodes, taken + log.steps
            is_over = finished == episodes or taken == steps or log.stopped_at is not None
            if directory is not None and not is_over:
                self._prove(directory, left)
            elapsed = time.monotonic() - started
            if is_due:
                self.last = time.monotonic()
                self.pause = max(self.every_seconds, (elapsed - log.seconds) * (1.0 / LARGEST_SHARE - 1.0))
            else:
                seconds = min(LOOK_SECONDS, self.pause / 20.0)
                count = max(1, min(4 * count, int(log.episodes * seconds / max(elapsed, 1e-6))))
        log = join_logs(self.logs, self.rule)
        self.folder.clear()
        return self.agent, dataclasses.replace(log, notes=tuple(dict.fromkeys((*log.notes, *self.notes))))

    def _segment(self, agent: Agent, env: gym.Env[Any, Any], left: dict[str, Any], episodes: int) -> TrainingLog:
        """Train for so many episodes, or less if the budget ends before."""
        seed, self.seed = self.seed, None
        log = agent.train(
            env, **left, seed=seed, callback=lambda finished: False, callback_every=episodes, **self.options
        )
        _check_progress(agent, log, left)
        return log

    def _ask_again(self, log: TrainingLog) -> None:
        """Let what may stop the training see the evaluations of before."""
        stop_when = self.options.get("stop_when")
        evaluations = {curve.name: curve for curve in log.curves if curve.name.startswith("evaluation_")}
        if stop_when is None or not evaluations:
            return
        for place, at in enumerate(next(iter(evaluations.values())).at.tolist()):
            stop_when(at, {name.removeprefix("evaluation_"): one.values[place] for name, one in evaluations.items()})

    def _write(self) -> Path | None:
        """A checkpoint that is still to be proven, or None."""
        self.logs = [join_logs(self.logs, self.rule)]
        try:
            directory = self.folder.begin()
        except OSError as error:
            self._note_unwritten(error)
            return None
        try:
            Checkpoint.write(directory, self.agent, self.env, self.logs[0], self.identity)
            return directory
        except (NotRestorableError, SavedAgentError) as error:
            self._give_up(str(error))
        except OSError as error:
            self._note_unwritten(error)
        self.folder.discard(directory)
        return None

    def _prove(self, directory: Path, left: dict[str, Any]) -> None:
        """Make a checkpoint the newest if the segment after it can be repeated."""
        before, after = self.logs
        try:
            difference = describe_difference(shared_contents(self.env, self.make, self.agent), self.shared)
            if difference is not None:
                place, now, before_it = difference
                raise NotRestorableError(f"{place} is {now}, but was {before_it} at the start")
            checkpoint = Checkpoint.read(directory, self.identity)
            rehearse(
                checkpoint,
                self.agent,
                self.env,
                after,
                self.make,
                lambda agent, env: self._segment(agent, env, left, 1),
            )
            self.folder.accept(directory, before.episodes)
            self.proven_episodes = before.episodes
        except OSError as error:
            self._note_unwritten(error)
        except ValueError as error:
            self._give_up(str(error))
        except Exception as error:
            # What fails beside the trial must not end it.
            self._give_up(one_line(error))
        finally:
            self.folder.discard(directory)

    def _note_unwritten(self, error: OSError) -> None:
        self.notes.append(f"a checkpoint could not be written: {one_line(error)}")

    def _give_up(self, reason: str) -> None:
        self.is_possible = False
        place = f"again from episode {self.proven_episodes + 1}" if self.proven_episodes else "again"
        label = environment_label(self.env)
        self.notes.append(f"{label} cannot be checkpointed: {reason}; an interrupted trial starts {place}")


def _check_progress(agent: Agent, log: TrainingLog, left: dict[str, Any]) -> None:
    """Refuse a log with which the trial would never end."""
    budget, most = next((field, value) for field, value in left.items() if value is not None)
    if not log.episodes + log.steps or getattr(log, budget) > most:
        raise NoProgressError(
            f"{agent.name} was to train for 1 to {most} {budget}, but its log has {log.episodes} episodes and "
            f"{log.steps} steps"
        )


def _identity(learner: Agent, key: str) -> dict[str, str]:
    """Circumstances that must be the same for a checkpoint to be used."""
    return {
        "trial": key,
        "agent": repr(to_data(learner)),
        "Velodrome version": version("velodrome"),
        "NumPy version": version("numpy"),
        "Gymnasium version": version("gymnasium"),
        "Python version": platform.python_version(),
    }
