"""Scores in rliable's form: for each agent, runs × tasks."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.results.importers.trials import ForeignTrial, foreign_table
from velodrome.experiments.results.results import Results
from velodrome.experiments.trials.measures import measure_named


def from_rliable(
    scores: Mapping[str, ArrayLike],
    environments: Sequence[str] | None = None,
    *,
    metric: str = "greedy_return",
    name: str = "rliable",
    description: str = "",
) -> Results:
    """Results of a dictionary of scores as rliable takes it; run k of an agent becomes its seed k.

    Args:
        scores: label of an agent to its scores, (num_runs, num_environments); agents may have different numbers of
            runs. NaN is a run that failed.
        environments: labels of the columns; "task 1", "task 2", … if None.
        metric: what the scores are: greedy_return, greedy_success_rate, train_return or train_success_rate.
        name: of the results.
        description: the question, in a sentence.

    Raises:
        ExperimentError: an array has another shape or no numbers, the number of labels does not fit, or a success rate
            is no rate.

    Source of the form: Agarwal et al. (2021), "Deep RL at the Edge of the Statistical Precipice", and rliable's README.
    """
    measure = measure_named(metric)
    if not isinstance(scores, Mapping) or not scores:
        raise ExperimentError("scores must be a dictionary of agents and their arrays (num_runs, num_environments)")
    arrays = {str(agent): _array(str(agent), values) for agent, values in scores.items()}
    width = next(iter(arrays.values())).shape[1]
    labels = [f"task {k + 1}" for k in range(width)] if environments is None else [str(one) for one in environments]
    if len(set(labels)) < len(labels):
        raise ExperimentError("environments: every column needs a label of its own")
    for agent, array in arrays.items():
        if array.shape[1] != len(labels):
            raise ExperimentError(f"scores of {agent}: {array.shape[1]} environments, where {len(labels)} are expected")
        if measure.is_rate and ((array < 0) | (array > 1)).any():
            raise ExperimentError(f"scores of {agent}: {measure.name} must be between 0 and 1")
    trials = [
        _trial(agent, label, seed, float(score), measure.column)
        for column, label in enumerate(labels)
        for agent, array in arrays.items()
        for seed, score in enumerate(array[:, column])
    ]
    note = "Scores from rliable's form: seeds are numbers of runs, so that pairs of equal seeds share no randomness."
    return foreign_table(Results, trials, "rliable", name=name, description=description, notes=[note])


def _array(agent: str, values: ArrayLike) -> np.ndarray[Any, np.dtype[np.float64]]:
    try:
        array = np.asarray(np.real(values), dtype=np.float64)
    except (TypeError, ValueError):
        raise ExperimentError(f"scores of {agent}: must be an array of numbers (num_runs, num_environments)") from None
    if np.iscomplexobj(values):
        raise ExperimentError(f"scores of {agent}: must be real numbers, got complex ones")
    if array.ndim == 3:
        raise ExperimentError(
            f"scores of {agent}: shape {array.shape} has a third axis; choose a point, as in [:, :, -1]"
        )
    if array.ndim != 2 or not array.size:
        raise ExperimentError(f"scores of {agent}: must be of shape (num_runs, num_environments), got {array.shape}")
    if np.isinf(array).any():
        run, column = np.argwhere(np.isinf(array))[0]
        raise ExperimentError(
            f"scores of {agent}: run {run}, column {column} is {array[run, column]}, not a finite number"
        )
    return array


def _trial(agent: str, environment: str, seed: int, score: float, column: str) -> ForeignTrial:
    if math.isnan(score):
        return ForeignTrial(agent, environment, seed, {"error": "no score (NaN)"}, status="failed")
    return ForeignTrial(agent, environment, seed, {column: score})
