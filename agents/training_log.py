"""The log of a training: one number of each kind an episode, and how it was run."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from velodrome.agents.engine.episode_ends import joined_pseudo_regrets
from velodrome.agents.snapshots import Snapshots, joined_snapshots
from velodrome.envs.success_rules import INFO, SuccessRule

# The curve of the processor time of the training, in seconds, at each evaluation along it. It is another one each time.
TRAINING_CPU_SECONDS = "training_cpu_seconds"
# The curve of the sum of pseudo-regrets so far.
PSEUDO_REGRET = "pseudo_regret"


@dataclass(frozen=True, eq=False)
class Curve:
    """Numbers along a training, such as what evaluations gave every 1,000 steps.

    Attributes:
        name: of what is measured, such as "evaluation_return".
        unit: in which `at` counts: "episode", "step" or "epoch".
        at: int64 (num_points,), units finished when each number was measured, ascending.
        values: float64 (num_points,).
    """

    name: str
    unit: str
    at: np.ndarray
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class TrainingLog:
    """Finished episodes of one call of `train`, in order.

    Logs of successive calls add up: `train(a)` + `train(b)` is the log of `train(a + b)`.

    Attributes:
        returns: float64 (num_episodes,), undiscounted sums of rewards.
        lengths: int64 (num_episodes,), environment steps.
        terminated: bool (num_episodes,), False where a time limit or the budget of the environment cut it.
        successes: bool (num_episodes,), or None where the environment has no success rule.
        success_rule: the rule that decided `successes`.
        steps: environment steps of the call, unfinished last episode included.
        loop: "compiled", "generic" or, for agents that learn from a model or labels, "planning".
        seconds: wall-clock time of the call without compiling.
        compile_seconds: wall-clock time spent on compiling the loop, or on loading it from disk.
        seed: the seed that the run started from.
        notes: one-line remarks, such as why the compiled loop was not used.
        unfinished_return: sum of rewards of the episode that was under way when training stopped; None if there was
            none, or if the agent does not say.
        curves: what else was measured along the training, one curve a name, such as "evaluation_return" and
            "evaluation_success_rate" (`evaluate_every`), or a loss.
        epochs: passes through the labelled examples that were learnt from; 0 where there are none.
        cpu_seconds: time of the processor in this thread, without compiling and without evaluations along the training.
        pseudo_regrets: how much less the actions of each episode were expected to pay than the best ones, float64
            (num_episodes,), free of chance in the rewards; None where that is not known, as in most environments.
        snapshots: action values of all states at moments of the training, where they were asked for; else None.
    """

    returns: np.ndarray
    lengths: np.ndarray
    terminated: np.ndarray
    successes: np.ndarray | None
    success_rule: str
    steps: int
    loop: str
    seconds: float
    seed: int
    notes: tuple[str, ...] = ()
    compile_seconds: float = 0.0
    unfinished_return: float | None = None
    curves: tuple[Curve, ...] = ()
    epochs: float = 0.0
    cpu_seconds: float = 0.0
    snapshots: Snapshots | None = None
    pseudo_regrets: np.ndarray | None = None

    @property
    def mean_return(self) -> float:
        """Mean return of the episodes, an unfinished last one with its return so far; NaN where there is none."""
        if self.unfinished_return is not None:
            return float((np.sum(self.returns) + self.unfinished_return) / (self.episodes + 1))
        return float(np.mean(self.returns)) if self.episodes else float("nan")

    @property
    def episodes(self) -> int:
        """Number of finished episodes."""
        return len(self.returns)

    @property
    def success_rate(self) -> float:
        """Share of the finished episodes that succeeded; NaN where there is none or no rule."""
        if self.successes is None or not self.episodes:
            return float("nan")
        return float(np.mean(self.successes))

    @property
    def steps_per_second(self) -> float:
        """Environment steps a second of wall-clock time."""
        return self.steps / self.seconds if self.seconds > 0 else float("inf")

    def __add__(self, later: "TrainingLog") -> "TrainingLog":
        return dataclasses.replace(
            self,
            returns=np.concatenate([self.returns, later.returns]),
            lengths=np.concatenate([self.lengths, later.lengths]),
            terminated=np.concatenate([self.terminated, later.terminated]),
            successes=joined_successes((self, later)),
            success_rule=_joined_rule((self, later)),
            steps=self.steps + later.steps,
            loop=self.loop if self.loop == later.loop else f"{self.loop}, {later.loop}",
            seconds=self.seconds + later.seconds,
            compile_seconds=self.compile_seconds + later.compile_seconds,
            notes=tuple(dict.fromkeys(self.notes + later.notes)),
            unfinished_return=later.unfinished_return,
            curves=joined_curves((self, later)),
            epochs=self.epochs + later.epochs,
            cpu_seconds=self.cpu_seconds + later.cpu_seconds,
            snapshots=_joined_snapshots((self, later)),
            pseudo_regrets=joined_pseudo_regrets((self, later)),
        )


def joined_curves(logs: Sequence[TrainingLog]) -> tuple[Curve, ...]:
    """Curves of logs in a row: those of one name and unit are one, with `at` counted from the first log's start."""
    parts: dict[tuple[str, str], list[Curve]] = {}
    before = {"episode": 0.0, "step": 0.0, "epoch": 0.0}
    cpu_seconds = 0.0
    for log in logs:
        for curve in log.curves:
            moved = dataclasses.replace(curve, at=curve.at + round(before[curve.unit]))
            if curve.name == TRAINING_CPU_SECONDS:
                moved = dataclasses.replace(moved, values=curve.values + cpu_seconds)
            parts.setdefault((curve.name, curve.unit), []).append(moved)
        before["episode"] += log.episodes
        before["step"] += log.steps
        before["epoch"] += log.epochs
        cpu_seconds += log.cpu_seconds
    return tuple(
        Curve(name, unit, *(np.concatenate([getattr(part, column) for part in found]) for column in ("at", "values")))
        for (name, unit), found in parts.items()
    )


def join_logs(logs: Sequence[TrainingLog], rule: SuccessRule) -> TrainingLog:
    """The log that one call of `train` would have given for all of these, in order.

    Unlike adding them up, it takes a fixed time an episode.
    """
    first = logs[0]
    finished = [log for log in logs if log.episodes]
    described = {log.success_rule for log in finished}
    if len(described) > 1:
        description = rule.as_used(np.array([1, -1], dtype=np.int8)).description
    else:
        description = described.pop() if described else first.success_rule
    return TrainingLog(
        returns=np.concatenate([log.returns for log in logs]),
        lengths=np.concatenate([log.lengths for log in logs]),
        terminated=np.concatenate([log.terminated for log in logs]),
        successes=joined_successes(logs),
        success_rule=description,
        steps=sum(log.steps for log in logs),
        loop=", ".join(dict.fromkeys(log.loop for log in logs)),
        seconds=sum(log.seconds for log in logs),
        seed=first.seed,
        notes=tuple(dict.fromkeys(note for log in logs for note in log.notes)),
        compile_seconds=sum(log.compile_seconds for log in logs),
        unfinished_return=logs[-1].unfinished_return,
        curves=joined_curves(logs),
        cpu_seconds=sum(log.cpu_seconds for log in logs),
        snapshots=_joined_snapshots(logs),
        pseudo_regrets=joined_pseudo_regrets(logs),
    )


def _joined_snapshots(logs: Sequence[TrainingLog]) -> Snapshots | None:
    parts = [log.snapshots for log in logs]
    return joined_snapshots(parts, [log.episodes for log in logs], [log.steps for log in logs])


def joined_successes(logs: Sequence[TrainingLog]) -> np.ndarray | None:
    """Successes of the episodes of logs in a row, bool (num_episodes,); None where no episode has any.

    An episode without a report of success failed, where nothing else decides it and others have one.
    """
    finished = [log for log in logs if log.episodes]
    if all(log.successes is None for log in finished or logs):
        return None
    return np.concatenate(
        [np.zeros(log.episodes, np.bool_) if log.successes is None else log.successes for log in logs]
    )


def _joined_rule(logs: Sequence[TrainingLog]) -> str:
    """The rule of logs in a row: where only some have episodes that report success, both rules in words."""
    described = list(dict.fromkeys(log.success_rule for log in logs if log.episodes)) or [logs[0].success_rule]
    absent = f"{INFO}, where absent "
    others = list(dict.fromkeys(rule.removeprefix(absent) for rule in described if rule != INFO))
    if len(described) > 1 and any(rule.startswith(INFO) for rule in described):
        return absent + ", then ".join(others)
    return ", then ".join(described)
