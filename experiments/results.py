"""What a comparison found: a tidy table of trials, learning curves, and how they were made."""

import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from velodrome.experiments.bootstrap import mean_interval
from velodrome.experiments.curves import CurveGrid

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

FORMAT = "velodrome-results"
FORMAT_VERSION = 1
RESULTS_FILE, CURVES_FILE = "results.json", "curves.npz"


class ResultsError(ValueError):
    """A folder holds no results, or damaged ones; the message is one line."""


@dataclass(frozen=True, eq=False)
class Results:
    """Trials of several agents on several environments.

    Attributes:
        name: of the experiment.
        records: one row a trial, as `Trial.record` gives it, in the order agent × environment × seed.
        curves: float32 (num_trials, 2, num_points): success rate and return, in the order of `records`.
        grid: the points of the curves.
        settings: what was asked for: agents, environments, budget, seeds, versions.
        notes: one-line remarks.
    """

    name: str
    records: list[dict[str, Any]]
    curves: np.ndarray
    grid: CurveGrid
    settings: dict[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def agents(self) -> list[str]:
        """Labels of the agents, in the order of the experiment."""
        return list(dict.fromkeys(record["agent"] for record in self.records))

    @property
    def environments(self) -> list[str]:
        """Labels of the environments, in the order of the experiment."""
        return list(dict.fromkeys(record["environment"] for record in self.records))

    def frame(self) -> "DataFrame":
        """One row a trial: agent, environment, seed and every number that was measured."""
        import pandas as pd

        return pd.DataFrame(self.records)

    def rows(self) -> list[dict[str, Any]]:
        """One JSON-ready row for each environment and agent, over all seeds."""
        return [dict(row) for row in self._rows]

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        return [
            self._row(environment, agent)
            for environment in self.environments
            for agent in self.agents
            if self.places(environment, agent)
        ]

    def table(self) -> "DataFrame":
        """The comparison: one row for each environment and agent, ranked by greedy success, then return.

        Success rates are means over the seeds with their smallest and largest; `_low` and `_high` are the ends of
        the 95 % bootstrap interval of the mean.
        """
        import pandas as pd

        frame = pd.DataFrame(self.rows())
        frame["order"] = frame["environment"].map(self.environments.index)
        by = ["order", "greedy_success_rate_mean", "greedy_return_mean", "train_success_rate_mean"]
        ranked = frame.sort_values(by, ascending=[True, False, False, False], kind="stable")
        return ranked.drop(columns="order").reset_index(drop=True)

    def plot(self, metric: str = "success_rate") -> "Figure":
        """Learning curves with 95 % bands, one panel an environment; `metric` is "success_rate" or "return"."""
        from velodrome.experiments.plots import plot_learning_curves

        return plot_learning_curves(self, metric)

    def places(self, environment: str, agent: str) -> list[int]:
        """Where the trials of an environment and agent stand in `records`."""
        return [
            place
            for place, record in enumerate(self.records)
            if record["environment"] == environment and record["agent"] == agent
        ]

    def _row(self, environment: str, agent: str) -> dict[str, Any]:
        trials = [self.records[place] for place in self.places(environment, agent)]
        first = trials[0]
        row: dict[str, Any] = {"environment": environment, "agent": agent, "seeds": len(trials)}
        row |= _summary("train_success_rate", [trial["train_success_rate"] for trial in trials])
        row |= _summary("greedy_success_rate", [trial["greedy_success_rate"] for trial in trials])
        row["best_success_rate"] = first["best_success_rate"]
        row["random_success_rate"] = first["random_success_rate"]
        row["share_of_best"] = _share(row["greedy_success_rate_mean"], first["best_success_rate"])
        row |= _summary("train_return", [trial["train_mean_return"] for trial in trials])
        row |= _summary("greedy_return", [trial["greedy_mean_return"] for trial in trials])
        row["best_return"], row["random_return"] = first["best_return"], first["random_return"]
        row["evaluation"] = first["evaluation"]
        row["success_rule"] = first["success_rule"]
        row["loop"] = ", ".join(dict.fromkeys(trial["loop"] for trial in trials))
        total = sum(trial["seconds"] for trial in trials)
        row["steps_per_second"] = sum(trial["steps"] for trial in trials) / total if total > 0 else float("nan")
        return row

    def save(self, directory: str | Path) -> None:
        """Write results.json and curves.npz to `directory`, which is made if needed."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(folder / CURVES_FILE, allow_pickle=False, curves=self.curves, edges=self.grid.edges)
        header = {"format": FORMAT, "version": FORMAT_VERSION, "name": self.name, "unit": self.grid.unit}
        content = header | {"settings": self.settings, "notes": list(self.notes), "records": self.records}
        (folder / RESULTS_FILE).write_text(json.dumps(json_ready(content), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: str | Path) -> "Results":
        """Results from a folder that `save` wrote.

        Raises:
            ResultsError: files are missing or are not results.
        """
        folder = Path(directory)
        try:
            content = json.loads((folder / RESULTS_FILE).read_text(encoding="utf-8"))
            if not isinstance(content, dict) or content.get("format") != FORMAT:
                raise ResultsError(f"{folder / RESULTS_FILE} holds no results of velodrome")
            if content.get("version") != FORMAT_VERSION:
                raise ResultsError(
                    f"{folder / RESULTS_FILE} has format version {content.get('version')!r}; "
                    f"this release reads {FORMAT_VERSION}"
                )
            content_of_curves = io.BytesIO((folder / CURVES_FILE).read_bytes())
            with np.load(content_of_curves, allow_pickle=False) as stored:
                curves, edges = stored["curves"], stored["edges"]
            records = [_from_json(record) for record in content["records"]]
            if len(records) != len(curves) or curves.shape[1:] != (2, len(edges) - 1):
                raise ResultsError(f"{folder}: {RESULTS_FILE} and {CURVES_FILE} do not belong together")
            grid = CurveGrid(content["unit"], edges)
            return cls(content["name"], records, curves, grid, content["settings"], tuple(content["notes"]))
        except FileNotFoundError as error:
            missing = Path(str(error.filename)).name
            raise ResultsError(f"no results in {folder}: {missing} is missing") from None
        except ResultsError:
            raise
        except Exception as error:
            raise ResultsError(f"the results in {folder} cannot be read: {error}") from None


def json_ready(value: Any) -> Any:
    """`value` for strict JSON: NaN as None, infinities as "Infinity" and "-Infinity", NumPy numbers as Python's."""
    if isinstance(value, dict):
        return {key: json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None if np.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def _from_json(record: dict[str, Any]) -> dict[str, Any]:
    special = {None: float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
    return {key: special.get(value, value) for key, value in record.items()}


def _summary(name: str, values: Iterable[float]) -> dict[str, float]:
    array = np.array(list(values), dtype=np.float64)
    present = array[~np.isnan(array)]
    if not len(present):
        return dict.fromkeys([f"{name}_{part}" for part in ("mean", "low", "high", "min", "max")], float("nan"))
    if not np.isfinite(present).all() or np.ptp(present) == 0:
        low = high = float(np.mean(present))
    else:
        low, high = (float(end) for end in mean_interval(present))
    return {
        f"{name}_mean": float(np.mean(present)),
        f"{name}_low": low,
        f"{name}_high": high,
        f"{name}_min": float(present.min()),
        f"{name}_max": float(present.max()),
    }


def _share(value: float, best: float) -> float:
    return value / best if best and np.isfinite(best) and best > 0 else float("nan")
