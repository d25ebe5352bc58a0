"""A tidy table of trials, one row each, as results."""

from typing import TYPE_CHECKING

from velodrome.experiments.results.results import Results

if TYPE_CHECKING:
    from pandas import DataFrame


def from_frame(
    frame: "DataFrame", *, name: str = "results", description: str = "", curves: "DataFrame | None" = None
) -> Results:
    """Results of a tidy table from anywhere, one row a trial.

    Columns are those of `Results.frame()`: `agent`, `environment` and `seed` are required, and one at least of
    greedy_success_rate, greedy_mean_return, train_success_rate and train_mean_return. What is missing is not known:
    NaN, no budget, and "not stated" for the rule of a success rate. Without a column `status`, a row without any score
    is a failed trial. Other columns are ignored, and a note says so.

    Args:
        frame: the table.
        name: of the results.
        description: the question, in a sentence.
        curves: training, one row an episode: `agent`, `environment`, `seed`, `episode` (from 0 or 1, without gaps),
            `return`, and where known `length` and `success`.

    Raises:
        ExperimentError: a column is missing, misspelt or of the wrong type; a value is out of range; a trial is there
            twice.
    """
    return Results.from_frame(frame, name=name, description=description, curves=curves)
