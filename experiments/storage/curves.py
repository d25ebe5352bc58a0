"""Learning curves of many seeds in bounded memory."""

from dataclasses import dataclass

import numpy as np

from velodrome.experiments.storage.episode_curves import EpisodeCurves

NUM_POINTS = 200


@dataclass(frozen=True, eq=False)
class CurveGrid:
    """Common points of all curves of an experiment: at most 200 bins of equally many episodes or steps.

    Attributes:
        unit: "episode" or "step".
        edges: int64 (num_points + 1,), bin k holds edges[k] <= index < edges[k + 1].
    """

    unit: str
    edges: np.ndarray

    @classmethod
    def of(cls, episodes: int | None, steps: int | None) -> "CurveGrid":
        """Grid for a budget."""
        total = episodes if episodes is not None else steps
        assert total is not None
        width = -(-total // NUM_POINTS)
        edges = np.append(np.arange(0, total, width), total)
        return cls("episode" if episodes is not None else "step", edges)

    @property
    def ends(self) -> np.ndarray:
        """Where each bin ends: the x of a plot."""
        return self.edges[1:]

    def curve(self, log: EpisodeCurves) -> np.ndarray:
        """Mean success rate and mean return of each bin's episodes, float32 (2, num_points), NaN where none ended."""
        successes = np.full(log.episodes, np.nan) if log.successes is None else log.successes
        values = np.stack([successes, log.returns])
        if self.unit == "episode" and log.episodes == self.edges[-1]:
            return (np.add.reduceat(values, self.edges[:-1], axis=1) / np.diff(self.edges)).astype(np.float32)
        position = np.arange(log.episodes) if self.unit == "episode" else np.cumsum(log.lengths) - 1
        bins = np.searchsorted(self.edges, position, side="right") - 1
        num_points = len(self.edges) - 1
        counts = np.bincount(bins, minlength=num_points).astype(np.float64)
        counts[counts == 0] = np.nan
        sums = np.stack([np.bincount(bins, row, minlength=num_points) for row in values])
        return (sums / counts).astype(np.float32)
