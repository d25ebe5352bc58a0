"""The results of a comparison: tables, pictures and a report of its trials, and how they were made."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from velodrome.experiments.plotting.plot_kind import PlotKind
from velodrome.experiments.results.analysis import Analysis, AnalysisOptions, analyse
from velodrome.experiments.results.framed_page import FramedPage
from velodrome.experiments.results.measures import RELIABILITY
from velodrome.experiments.results.trial_table import TrialTable
from velodrome.experiments.storage.store import Store, StoredExperiment
from velodrome.experiments.trials.measures import Measure, checked_measures

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame


@dataclass(frozen=True, eq=False)
class Results(TrialTable):
    """Trials of several agents on several environments; see `TrialTable` for the attributes."""

    _save: Callable[[Path], None] | None = field(default=None, repr=False, kw_only=True)

    @classmethod
    def of_store(cls, store: Store, experiment: StoredExperiment) -> Self:
        """Results of an experiment of a store, as far as its trials have ended.

        Args:
            store: opened for reading or writing.
            experiment: its identifier and settings in the store.

        Raises:
            StoreError: it is damaged.
        """
        source = store if store.path is None else store.path.parent
        return replace(super().of_store(store, experiment), _save=partial(_copy, source, experiment.identifier))

    @classmethod
    def load(cls, directory: str | Path, experiment: str | None = None) -> Self:
        """Results of the latest experiment of a folder, or of the latest with a name.

        Args:
            directory: folder of a store.
            experiment: its name; the latest if None.

        Raises:
            StoreError: there is no store or no such experiment, or it is damaged or newer than this release.
        """
        with Store.open_for_reading(directory) as store:
            return cls.of_store(store, store.experiment(experiment))

    @classmethod
    def from_frame(
        cls, frame: "DataFrame", *, name: str = "results", description: str = "", curves: "DataFrame | None" = None
    ) -> Self:
        """Results of a tidy table from anywhere, one row a trial: see `results.importers.from_frame`.

        Args:
            frame: the table.
            name: of the results.
            description: the question, in a sentence.
            curves: training, one row an episode.
        """
        from velodrome.experiments.results.importers.frame_rows import table_of_frame

        return table_of_frame(cls, frame, name=name, description=description, curves=curves)

    @classmethod
    def joined(cls, results: "Sequence[Results]", names: Sequence[str] | None = None) -> "Results":
        """Several results in one, by agent and environment: see `results.joined`.

        Args:
            results: in the order of the tables.
            names: of the results, in labels and notes; by default those of the experiments.
        """
        from velodrome.experiments.results.joined import joined

        return joined(results, names)

    def save(self, directory: str | Path) -> None:
        """Copy the experiment and its trials into the store of a folder, made if needed.

        Args:
            directory: folder of the store.

        Raises:
            StoreError: that store is damaged, foreign or newer than this release.
        """
        if self._save is None:
            raise ValueError("these results came from elsewhere: only those of compare and load can be saved")
        self._save(Path(directory))

    def frame(self) -> "DataFrame":
        """One row a trial that has ended: agent, environment, seed, status and every number that was measured."""
        import pandas as pd

        return pd.DataFrame([record.row() for record in self.records])

    def analysis(self, options: AnalysisOptions | None = None) -> Analysis:
        """Who is better than whom, by how much and how sure; computed once for each choice of options.

        Args:
            options: metric, baseline and the like; the usual ones if None.

        Raises:
            ExperimentError: options that do not fit, such as an unknown baseline.
        """
        return analyse(self, options)

    def rows(self, options: AnalysisOptions | None = None) -> list[dict[str, Any]]:
        """One row for each environment and agent with trials, in the order of the experiment; NaN for the unknown.

        Args:
            options: metric, baseline and the like; the usual ones if None.
        """
        return self.analysis(options).rows_in_order(self.agents)

    def __repr__(self) -> str:
        """Return the name, and how much there is, in one line."""
        return f"<Results {self.name!r}: {self._extent()}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the table that people read, the verdict in words and the learning curves."""
        from velodrome.experiments.reporting.notebook import results_html

        return results_html(self, self._extent())

    def _extent(self) -> str:
        failed = f", {len(self.failures)} failed" if self.failures else ""
        counts = {"agents": len(self.agents), "environments": len(self.environments), "trials": len(self.records)}
        return ", ".join(_counted(number, what) for what, number in counts.items()) + failed

    def table(
        self,
        *,
        full: bool = False,
        metric: str | None = None,
        baseline: str | None = None,
        threshold: float | None = None,
        difference: float | None = None,
        measures: Iterable[Measure] | Measure = (),
        reliability: bool = False,
    ) -> "DataFrame":
        """The comparison: one row for each environment and agent, ranked by the metric that decides.

        `_mean`, `_min` and `_max` are over seeds, `_low` and `_high` are the ends of the 95 % interval of the mean.
        Agents that share a letter are not distinguishable at a family-wise error of 5 %.

        Args:
            full: all columns, some 60; by default those that say who is better, by what and by how much.
            metric: greedy_success_rate, greedy_return, train_success_rate, train_return, or the name of a measure of
                your own; by default greedy success where there is a success rule, or else greedy return.
            baseline: agent that the others are compared with; by default the best on each environment.
            threshold: success rate whose first episode is looked for; by default 0.8 of the best possible.
            difference: smallest difference that matters.
            measures: of your own, to be tabled too: of numbers that the trials have, see `frame`.
            reliability: also how much the runs of an agent differ: the interval that holds 90 % of them, how far their
                quartiles are apart, and, where it is known what counts as solved, how likely five runs all solve it.

        Raises:
            ExperimentError: arguments that do not fit.
        """
        import pandas as pd

        options = AnalysisOptions(
            metric=metric, baseline=baseline, threshold=threshold, difference=difference,
            measures=checked_measures(measures), reliability=reliability,
        )  # fmt: skip
        analysis = self.analysis(options)
        frame = pd.DataFrame([row for one in analysis.environments for row in one.rows])
        return frame if full or frame.empty else frame[_telling_columns(analysis, frame)]

    def plot(
        self,
        metric: str | None = None,
        *,
        kind: str | PlotKind = "learning",
        environment: str | None = None,
        parameter: str | None = None,
        over: str | None = None,
        band: str | None = None,
        share: float | None = None,
        runs: bool = False,
    ) -> "Figure":
        """A picture, one panel an environment where that makes sense.

        Args:
            metric: of learning curves "success_rate" or "return"; of other kinds what decides, as in `table`.
            kind: "learning", "evaluation", "curves", "scores", "regret", "profiles", "improvement", "scaling", "sweep",
                "parallel", "importance" or "sensitivity", the name of a kind that you registered, or a `PlotKind` of
                your own.
            environment: only this one.
            parameter: that a sweep varies, such as "discount" or "policy.epsilon".
            over: "episodes" or "steps", the x axis of learning curves and regret.
            band: of curves "mean" or "tolerance", which holds a share of all runs; of profiles "bootstrap" or "dkw",
                which holds the whole profile at once.
            share: of the runs that a band "tolerance" holds at each point, with 95 % confidence; 0.9 if None.
            runs: whether single runs are drawn too, those at the 5th, 50th and 95th percentile of the last value
                marked.

        Raises:
            ExperimentError: arguments that do not fit, or nothing to draw.
        """
        from velodrome.experiments.plotting.figures import draw

        return draw(
            self, kind, metric=metric, environment=environment, parameter=parameter, over=over, band=band, share=share,
            runs=runs,
        )  # fmt: skip

    def verdict(self, *, language: Literal["en", "ko"] = "en", options: AnalysisOptions | None = None) -> str:
        """The verdict in words, a line for each environment, one for all together, and one for each margin.

        Args:
            language: "en" or "ko".
            options: what decides, the baseline, and the like.

        Raises:
            ExperimentError: options that do not fit, or a language that is not known.
        """
        from velodrome.experiments.reporting.verdicts import verdict_lines

        return "\n".join(verdict_lines(self.analysis(options), self, language))

    def playing_page(self, address: str = "", *, language: Literal["en", "ko"] | None = None) -> FramedPage:
        """The page that plays, for a notebook's cell: agents side by side on their map as they learn.

        Args:
            address: how it opens, such as "seed=3&hide=live,keys"; see the how-to page of the page that plays.
            language: "en" or "ko"; that of the page around it if None, where it has one of these.

        Raises:
            ExperimentError: no environment on a grid or a chain, no snapshots, or tables too large for a page.
        """
        from velodrome.experiments.reporting.playing_page import playing_page_html

        return FramedPage(playing_page_html(self, language=language or "en"), address, language)

    def report(
        self, path: str | Path, *, language: Literal["en", "ko"] = "en", options: AnalysisOptions | None = None
    ) -> Path:
        """Write one HTML page: the verdict in words, tables, plots, warnings, and how it was run.

        Args:
            path: of the page.
            language: "en" or "ko".
            options: what decides, the baseline, and the like.

        Returns:
            The path.

        Raises:
            ExperimentError: options that do not fit.
            OSError: the file cannot be written.
        """
        from velodrome.experiments.reporting.report import write_report

        return write_report(self, Path(path), options=options, language=language)


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what.removesuffix('s') if number == 1 else what}"


def _telling_columns(analysis: Analysis, frame: "DataFrame") -> list[str]:
    """Columns of the short table."""
    measures = dict.fromkeys(one.measure.name for one in analysis.environments)
    columns = ["environment", "agent", "letters", "seeds"]
    columns += [name for name in ("stopped", "failed", "no_score") if frame[name].any()]
    columns += [f"{name}_{end}" for name in measures for end in ("mean", "low", "high")]
    if analysis.options.reliability:
        some = (
            ("tolerance", ("low", "high")),
            *(
                (name, (analysis.environments[0].measures[name].aggregate, "low", "high"))
                for name in RELIABILITY
                if name in analysis.environments[0].measures
            ),
        )
        columns += [column for name, ends in some for end in ends if (column := f"{name}_{end}") in frame]
    return columns + [name for name in ("difference", "share_of_best") if frame[name].notna().any()]


def _copy(source: Store | Path, identifier: int, directory: Path) -> None:
    with Store.open(directory) as target:
        if isinstance(source, Store):
            target.copy(source, source.experiment(identifier=identifier))
        else:
            with Store.open_for_reading(source) as store:
                target.copy(store, store.experiment(identifier=identifier))
