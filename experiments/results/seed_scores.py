"""Scores of agents, seed by seed, taken from the trials of an experiment."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from velodrome.experiments.results.trial_table import TrialRecord
from velodrome.experiments.trials.measures import Measure


@dataclass(frozen=True, eq=False)
class SeedScores:
    """Scores of one agent, or of one group of agents, on one environment.

    Attributes:
        label: of the agent or group.
        seeds: of the trials that are done and have a score, increasing.
        values: float64 (num_seeds,), may hold infinities.
        num_failed: trials that failed.
        num_unscored: trials that are done, but without a score.
        missing: seeds of all these.
        worst: the score that the missing ones count as where a verdict must hold for them too; NaN if not known.
        num_stopped: trials that were given up as hopeless: those that are left would have too good a mean.
    """

    label: str
    seeds: tuple[int, ...]
    values: NDArray[np.float64]
    num_failed: int = 0
    num_unscored: int = 0
    missing: tuple[int, ...] = ()
    worst: float = math.nan
    num_stopped: int = 0

    @classmethod
    def of_records(
        cls, label: str, records: Iterable[TrialRecord], measure: Measure, worst: float = math.nan
    ) -> "SeedScores":
        """Scores of an agent's records on one environment.

        Args:
            label: of the agent.
            records: its trials on one environment.
            measure: that decides; each trial has one number of it.
            worst: score that a missing one counts as at the worst; NaN where that is not known.
        """
        by_seed: dict[int, float] = {}
        missing: set[int] = set()
        num_failed = num_unscored = num_stopped = 0
        for record in records:
            score = record.number(measure.column)
            if record.is_done and not math.isnan(score):
                by_seed[record.seed] = float(score)
                continue
            missing.add(record.seed)
            num_stopped += record.is_stopped
            num_unscored += record.is_done
            num_failed += not (record.is_done or record.is_stopped)
        seeds = tuple(sorted(by_seed))
        values = np.array([by_seed[seed] for seed in seeds], dtype=np.float64)
        lost = tuple(sorted(missing - by_seed.keys()))
        return cls(label, seeds, values, num_failed, num_unscored, lost, worst, num_stopped)

    @property
    def problem(self) -> str:
        """Why no statistics can be made of the scores; empty if they can."""
        if self.num_stopped:
            total = len(self.seeds) + self.num_stopped + self.num_failed + self.num_unscored
            return f"{self.num_stopped} of {total} trials were stopped as hopeless"
        if not self.seeds:
            return "no trial is done" if self.num_failed else "no score"
        num_infinite = int(np.isinf(self.values).sum())
        return f"{num_infinite} of {len(self.seeds)} scores are infinite" if num_infinite else ""

    @cached_property
    def is_constant(self) -> bool:
        """Whether all scores are the same."""
        return bool(np.ptp(self.values) == 0)

    def at(self, seeds: Sequence[int]) -> NDArray[np.float64]:
        """Values of some of the seeds, in their order.

        Args:
            seeds: some of the seeds that have scores.
        """
        return self.values[np.searchsorted(self.seeds, seeds)]

    def scaled(self, low: float, high: float) -> "SeedScores":
        """Scores as shares of the way from `low` to `high`.

        Args:
            low: score that becomes 0.
            high: score that becomes 1.
        """
        worst = (self.worst - low) / (high - low)
        return replace(self, values=(self.values - low) / (high - low), worst=worst)

    def with_missing(self) -> "SeedScores":
        """The scores with each that is missing counted as the worst."""
        if not self.missing or math.isnan(self.worst):
            return self
        by_seed = dict.fromkeys(self.missing, self.worst) | dict(zip(self.seeds, self.values.tolist(), strict=True))
        seeds = tuple(sorted(by_seed))
        return SeedScores(self.label, seeds, np.array([by_seed[seed] for seed in seeds], dtype=np.float64))


def common_seeds(scores: Iterable[SeedScores]) -> list[int]:
    """Seeds that all have, in order."""
    first, *others = (one.seeds for one in scores)
    if all(seeds == first for seeds in others):
        return list(first)
    return sorted(set(first).intersection(*others))


def mean_over(label: str, scores: Sequence[SeedScores], higher_is_better: bool = True) -> SeedScores:
    """Mean score of several agents on the seeds that all of them have."""
    seeds = common_seeds(scores)
    values = np.mean([one.at(seeds) for one in scores], axis=0) if seeds else np.zeros(0)
    failed, unscored = sum(one.num_failed for one in scores), sum(one.num_unscored for one in scores)
    missing = set().union(*(one.missing for one in scores)) - set(seeds)
    worst = (min if higher_is_better else max)((one.worst for one in scores), default=math.nan)
    stopped = sum(one.num_stopped for one in scores)
    return SeedScores(label, tuple(seeds), values, failed, unscored, tuple(sorted(missing)), worst, stopped)
