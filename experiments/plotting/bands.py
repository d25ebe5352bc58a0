"""Bands of curves, of their mean or of most runs, and single runs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from velodrome.checks import did_you_mean
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.plot_kind import Page
from velodrome.experiments.statistics import mean_band, tolerance_band
from velodrome.experiments.statistics.tolerance import SHARE, tolerance_cut, too_few_seeds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BANDS = ("mean", "tolerance")
# Percentiles of the last value at which runs are marked.
MARKED = (5, 50, 95)
# Of the extent of the runs, between the names of two of them.
ROOM_FOR_NAME = 0.06


@dataclass(frozen=True)
class CurveBand:
    """What is drawn around the mean of curves.

    Attributes:
        kind: "mean", the 95 % interval of the mean, or "tolerance", which holds a share of all runs.
        share: of the runs that "tolerance" holds at each point, with 95 % confidence.
        runs: whether single runs are drawn, too.
    """

    kind: str = "mean"
    share: float = SHARE
    runs: bool = False

    @classmethod
    def of(cls, page: Page) -> "CurveBand":
        """What a page asks for.

        Raises:
            ExperimentError: no band of curves, or a share that is none or of another band.
        """
        kind = page.band or "mean"
        if kind not in BANDS:
            raise ExperimentError(f"band must be one of {', '.join(BANDS)}, got {kind!r}{did_you_mean(kind, BANDS)}")
        if page.share is None:
            return cls(kind, runs=page.runs)
        if kind != "tolerance":
            raise ExperimentError(f"share is for the band tolerance: the band {kind} takes none, got {page.share}")
        if not 0 < page.share < 1:
            raise ExperimentError(f"share must lie between 0 and 1, such as 0.9, got {page.share}")
        return cls(kind, page.share, page.runs)

    def ends(self, curves: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lower and upper ends at each point of curves (num_seeds, num_points).

        Raises:
            ExperimentError: too few seeds for a band of runs.
        """
        if self.kind == "mean":
            return mean_band(curves)
        most = int(np.isfinite(curves).sum(axis=0).max(initial=0))
        if not tolerance_cut(most, self.share, 0.95):
            raise ExperimentError(
                f"band tolerance: {too_few_seeds(most, self.share, 0.95)}; add seeds, or take less of --share"
            )
        return tolerance_band(curves, share=self.share)

    def draw_runs(self, axes: "Axes", x: NDArray[Any], curves: NDArray[np.float64], style: dict[str, Any]) -> None:
        """Draw each run thin, and those at the percentiles `MARKED` of the last value dotted, with their percentile."""
        if not self.runs:
            return
        from matplotlib.text import Annotation

        thin = style | {"linestyle": "-"}
        for curve in curves:
            known = np.isfinite(curve)
            axes.plot(x[known], curve[known], linewidth=0.5, alpha=min(0.3, 6 / len(curves)), **thin)
        extent = float(np.nanmax(curves) - np.nanmin(curves)) if np.isfinite(curves).any() else 0.0
        for percent, place in marked_runs(curves):
            curve = curves[place]
            known = np.flatnonzero(np.isfinite(curve))
            axes.plot(x[known], curve[known], linewidth=1.0, alpha=0.9, **style | {"linestyle": ":"})
            end = float(curve[known[-1]])
            named = [text.xy[1] for text in axes.texts if isinstance(text, Annotation)]
            if any(abs(end - other) < ROOM_FOR_NAME * extent for other in named):
                # One name over another says nothing; the line is dotted all the same.
                continue
            axes.annotate(
                f"{percent} %", (float(x[known[-1]]), end), xytext=(-2, 2), textcoords="offset points",
                ha="right", fontsize="x-small", color=style["color"],
            )  # fmt: skip


def marked_runs(curves: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Percentiles and places of the runs that stand there by their last value: float (num_seeds, num_points)."""
    known = [place for place in range(len(curves)) if np.isfinite(curves[place]).any()]
    last = [float(curves[place][np.isfinite(curves[place])][-1]) for place in known]
    order = [known[place] for place in np.argsort(last, kind="stable")]
    return [(percent, order[round(percent / 100 * (len(order) - 1))]) for percent in MARKED] if order else []


def curve_meaning(page: Page, seeds: str, has_interval: bool) -> str:
    """Caption of curves, of a page with any band."""
    band = CurveBand.of(page)
    if band.kind == "tolerance":
        drawn = f"mean of {seeds}, band = holds {100 * band.share:.4g} % of the runs at a point, with 95 % confidence"
    else:
        drawn = f"mean of {seeds}, " + ("band = 95 % interval" if has_interval else "without interval")
    return drawn + ("; thin: single runs, dotted: at the 5th, 50th and 95th percentile" if band.runs else "")
