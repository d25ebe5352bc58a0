"""Scores of agents, seed by seed, taken from the trials of an experiment."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from velodrome.experiments.analysis.measures import Measure


@dataclass(frozen=True, eq=False)
class SeedScores:
    """Scores of one agent, or of one group of agents, on one environment.

    Attributes:
        label: of the agent or group.
        seeds: of the trials that are done and have a score, increasing.
        values: float64 (num_seeds,), may hold infinities.
        num_failed: trials that failed.
    """

    label: str
    seeds: tuple[int, ...]
    values: NDArray[np.float64]
    num_failed: int = 0

    @classmethod
    def of_records(cls, label: str, records: Iterable[Mapping[str, Any]], measure: Measure) -> "SeedScores":
        """Scores of an agent's records on one environment."""
        by_seed: dict[int, float] = {}
        num_failed = 0
        for record in records:
            if record["status"] != "done":
                num_failed += 1
            elif not np.isnan(record[measure.column]):
                by_seed[int(record["seed"])] = float(record[measure.column])
        seeds = tuple(sorted(by_seed))
        return cls(label, seeds, np.array([by_seed[seed] for seed in seeds], dtype=np.float64), num_failed)

    @property
    def problem(self) -> str:
        """Why no statistics can be made of the scores; empty if they can."""
        if not self.seeds:
            return "no trial is done" if self.num_failed else "no score"
        num_infinite = int(np.isinf(self.values).sum())
        return f"{num_infinite} of {len(self.seeds)} scores are infinite" if num_infinite else ""

    def at(self, seeds: Sequence[int]) -> NDArray[np.float64]:
        """Values of some of the seeds, in their order."""
        return self.values[np.searchsorted(self.seeds, seeds)]

    def scaled(self, low: float, high: float) -> "SeedScores":
        """Scores as shares of the way from `low` to `high`."""
        return SeedScores(self.label, self.seeds, (self.values - low) / (high - low), self.num_failed)


def common_seeds(scores: Iterable[SeedScores]) -> list[int]:
    """Seeds that all have, in order."""
    shared = set.intersection(*(set(one.seeds) for one in scores))
    return sorted(shared)


def mean_over(label: str, scores: Sequence[SeedScores]) -> SeedScores:
    """Mean score of several agents on the seeds that all of them have."""
    seeds = common_seeds(scores)
    values = np.mean([one.at(seeds) for one in scores], axis=0) if seeds else np.zeros(0)
    return SeedScores(label, tuple(seeds), values, sum(one.num_failed for one in scores))
