"""Experiment trackers: what they are given of a trial, how they are opened by name and kept from doing harm."""

import importlib.util
import json
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from velodrome.agents.training_log import TRAINING_CPU_SECONDS, Curve
from velodrome.checks import closest
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.storage.episode_curves import EpisodeCurves

TRACKERS = ("tensorboard", "wandb", "mlflow")
# Stable-Baselines3's `stats_window_size`: rollout means are over so many of the latest episodes.
WINDOW_EPISODES = 100
MAX_POINTS = 100
# Stable-Baselines3's tags of what is measured along the training; others are "train/NAME".
_TAGS = {
    "evaluation_return": "eval/mean_reward",
    "evaluation_success_rate": "eval/success_rate",
    "exploration": "rollout/exploration_rate",
    "updates": "train/n_updates",
    TRAINING_CPU_SECONDS: "time/training_cpu_seconds",
}


class TrackingWarning(UserWarning):
    """A tracker failed; the experiment goes on without it."""


@dataclass(frozen=True)
class TrackedTrial:
    """A trial that has ended.

    Attributes:
        experiment: name of the experiment.
        agent: label of the agent.
        environment: label of the environment.
        seed: of the trial.
        key: of the trial, 64 hexadecimal digits.
        specification: what the key is made of: agent, environment, budget, evaluation, seed.
        status: "done", "failed" or "timed out".
        error: what went wrong, in one line; empty if done.
        metrics: numbers and words of `Trial.metrics`; empty unless done.
        curves: training, episode by episode; None unless done.
        measured: what else was measured along the training, one curve a name.
    """

    experiment: str
    agent: str
    environment: str
    seed: int
    key: str
    specification: dict[str, Any]
    status: str
    error: str
    metrics: dict[str, Any]
    curves: EpisodeCurves | None
    measured: tuple[Curve, ...] = ()

    def parameters(self) -> dict[str, str | float | bool]:
        """Labels and the specification as one flat dictionary, nested names joined by dots; lists as JSON."""
        told = {name: self.specification.get(name) for name in ("agent", "budget", "evaluation", "seed")}
        told["environment"] = {"expression": self.specification.get("environment")}
        labels = {"experiment": self.experiment, "agent": self.agent, "environment": self.environment}
        return labels | dict(_flat("", told))

    def rollout(self, max_points: int = MAX_POINTS) -> list[tuple[int, dict[str, float]]]:
        """Training as at most `max_points` pairs of environment steps so far and the means by tag.

        Each mean is over the latest 100 episodes, as in Stable-Baselines3; the last pair is the last episode's.

        Args:
            max_points: most points, at least 1.
        """
        curves = self.curves
        if curves is None or not curves.episodes:
            return []
        num_points = min(max_points, curves.episodes)
        ends = np.arange(1, num_points + 1) * curves.episodes // num_points
        columns = {"rollout/ep_rew_mean": curves.returns, "rollout/ep_len_mean": curves.lengths}
        if curves.successes is not None:
            columns["rollout/success_rate"] = curves.successes
        means = {tag: _means_of_latest(values, ends) for tag, values in columns.items()}
        steps = np.cumsum(curves.lengths)[ends - 1]
        return [(int(step), {tag: float(means[tag][row]) for tag in means}) for row, step in enumerate(steps)]

    def along(self, max_points: int = MAX_POINTS) -> list[tuple[int, dict[str, float]]]:
        """All that is known along the training, in order of environment steps: `rollout`, and what was measured.

        Curves have at most `max_points` points each. Those that are counted in epochs are left out, and so are
        evaluations at the end, where `final` has better ones.

        Args:
            max_points: most points of each curve.
        """
        points: dict[int, dict[str, float]] = {}
        for step, means in self.rollout(max_points):
            points.setdefault(step, {}).update(means)
        end, final = self.final()
        for curve in self.measured:
            tag = _TAGS.get(curve.name, f"train/{curve.name}")
            steps, values = self._steps_of(curve), curve.values
            places = np.unique(np.linspace(0, len(steps) - 1, min(max_points, len(steps))).round().astype(int))
            for step, value in zip(steps[places].tolist(), values[places].tolist(), strict=True):
                if math.isfinite(value) and not (step >= end and tag in final):
                    points.setdefault(step, {})[tag] = value
        return sorted(points.items())

    def _steps_of(self, curve: Curve) -> np.ndarray:
        """Environment steps before each point of a curve; none where they are not known."""
        if curve.unit == "step":
            return curve.at
        lengths = np.zeros(0, np.int64) if self.curves is None else self.curves.lengths
        if curve.unit == "episode" and len(curve.at) and curve.at[-1] <= len(lengths):
            steps: np.ndarray = np.concatenate([[0], np.cumsum(lengths)])[curve.at]
            return steps
        return np.zeros(0, np.int64)

    def final(self) -> tuple[int, dict[str, float]]:
        """Environment steps of the training, and the numbers known at its end by tag; none for a failed trial."""
        metrics = self.metrics
        steps, seconds = metrics.get("steps", 0), metrics.get("train_seconds", 0)
        values = {
            "eval/mean_reward": metrics.get("greedy_mean_return"),
            "eval/success_rate": metrics.get("greedy_success_rate"),
            "time/fps": steps / seconds if seconds else None,
            "time/episodes": metrics.get("episodes"),
            "time/total_timesteps": metrics.get("steps"),
        }
        known = {tag: float(value) for tag, value in values.items() if value is not None}
        return int(steps), {tag: value for tag, value in known.items() if not math.isnan(value)}


class Tracker(Protocol):
    """Gets an experiment's trials as they end, one after the other, from one thread of the parent process."""

    def start(self, experiment: str, settings: dict[str, Any]) -> None:
        """Called once before the first trial, with the experiment's name and `Plan.settings()`.

        Args:
            experiment: its name.
            settings: budgets, metric and the like, as data.
        """

    def trial(self, trial: TrackedTrial) -> None:
        """Called for each trial that ran now; not for those whose results were already stored.

        Args:
            trial: as it ended.
        """

    def close(self) -> None:
        """Called once at the end, also of an interrupted experiment."""


class GuardedTracker:
    """Tracker that cannot stop an experiment: the first error of the one within is a warning, and its last word."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self._working = True

    def start(self, experiment: str, settings: dict[str, Any]) -> None:
        """Start the tracker."""
        self._call("start", experiment, settings)

    def trial(self, trial: TrackedTrial) -> None:
        """Give the tracker a trial."""
        self._call("trial", trial)

    def close(self) -> None:
        """Close the tracker."""
        self._call("close")
        self._working = False

    def _call(self, method: str, *arguments: Any) -> None:
        if not self._working:
            return
        try:
            getattr(self.tracker, method)(*arguments)
        except Exception as error:
            self._working = False
            if method != "close":
                with suppress(Exception):
                    self.tracker.close()
            cause = next(iter(str(error).splitlines()), "") or "no message"
            name = type(self.tracker).__name__
            message = f"{name} failed in {method} and is left out from here on: {type(error).__name__}: {cause}"
            warnings.warn(message, TrackingWarning, stacklevel=3)


def guarded(track: Tracker | Sequence[Tracker]) -> list[GuardedTracker]:
    """One tracker or several, each kept from stopping an experiment."""
    trackers = list(track) if isinstance(track, Sequence) else [track]
    return [GuardedTracker(tracker) for tracker in trackers]


def open_tracker(text: str, directory: str | Path) -> Tracker:
    """Tracker of a `--track` option.

    Args:
        text: `tensorboard`, `wandb` or `mlflow`, alone or with an argument after a colon:
            `tensorboard:FOLDER`, `wandb:PROJECT` or `wandb:ENTITY/PROJECT`, `mlflow:URI`.
        directory: where trackers write by default: the store's folder.

    Raises:
        ExperimentError: there is no such tracker, its package is not installed, or its argument is malformed.
    """
    name, colon, argument = text.partition(":")
    if name not in TRACKERS:
        raise ExperimentError(f"--track: unknown tracker {name!r}{closest(name, TRACKERS)}")
    if colon and not argument.strip():
        raise ExperimentError(f"--track: {text!r} ends after the colon; write {name!r} alone for the default")
    if name == "tensorboard":
        from velodrome.experiments.tracking.tensorboard_tracker import TensorBoardTracker

        return TensorBoardTracker(argument or Path(directory) / "tensorboard")
    if name == "wandb":
        from velodrome.experiments.tracking.wandb_tracker import WandbTracker

        entity, _, project = argument.rpartition("/")
        return WandbTracker(project or None, entity=entity or None, directory=directory)
    from velodrome.experiments.tracking.mlflow_tracker import MLflowTracker

    return MLflowTracker(argument or None, directory=directory)


def require(extra: str, *modules: str) -> None:
    """Check that the modules of an extra are installed, without importing them.

    Raises:
        ExperimentError: one is missing; the message says how to install the extra.
    """
    for module in modules:
        spec = importlib.util.find_spec(module)
        # A plain folder of that name, such as the `wandb` that W&B itself writes, is found too, but has no origin.
        if spec is None or spec.origin is None:
            raise ExperimentError(
                f"tracking with {extra} needs the package {module!r}: pip install 'velodrome[{extra}]'"
            )


def _means_of_latest(values: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Means of `values[end - 100 : end]` for each end; shorter where there are fewer before it."""
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    starts = np.maximum(ends - WINDOW_EPISODES, 0)
    means: np.ndarray = (sums[ends] - sums[starts]) / (ends - starts)
    return means


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str | float | bool]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _flat(f"{prefix}.{name}" if prefix else str(name), item)
    elif isinstance(value, str | int | float):
        yield prefix, value
    elif value is not None:
        yield prefix, json.dumps(value, ensure_ascii=False)
