"""Whether and when trials solved their environment: their evaluations along the training against a return."""

import math
from collections.abc import Mapping

import numpy as np

from velodrome.agents.training_log import TRAINING_CPU_SECONDS, Curve
from velodrome.experiments.storage.episode_curves import EpisodeCurves
from velodrome.experiments.trials.measures import Measure

SOLVED: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure(
            "solved",
            explanation="Share of the seeds whose greedy policy reached the return in an evaluation along the "
            "training, with its exact 95 % interval; a failed trial, or one that was stopped, did not reach it.",
            is_rate=True, aggregate="share",
        ),
        Measure(
            "fell_back",
            explanation="Share of the seeds that solved it and were below the return in the last evaluation along the "
            "training, with its exact 95 % interval.",
            is_rate=True, aggregate="share", higher_is_better=False,
        ),
        Measure(
            "steps_to_solve",
            explanation="Median over seeds of the environment steps before the first evaluation that reached the "
            "return; seeds that never reached it count as longer than any (> where half or more did not).",
            aggregate="censored_median", followed="evaluated_steps", higher_is_better=False,
        ),
        Measure(
            "cpu_seconds_to_solve", "CPU s to solve",
            explanation="The same of the seconds of the processor that the training took, without compiling and "
            "evaluating.",
            aggregate="censored_median", followed="evaluated_cpu_seconds", higher_is_better=False,
        ),
        Measure(
            "five_runs", "all of 5 solve it",
            explanation="Probability that five new runs all solve it (pass^5), without bias: the share of all choices "
            "of five seeds that all did, with the exact 95 % interval of the share that solved, each end to the power "
            "of five.",
            column="solved", is_rate=True, aggregate="all_succeed", runs=5, is_shown=False,
        ),
    )
}  # fmt: skip
_COLUMNS = (*SOLVED, *(measure.followed for measure in SOLVED.values() if measure.followed))


def solved_numbers(
    measured: Mapping[str, Curve], episodes: EpisodeCurves | None, threshold: float, *, is_done: bool
) -> dict[str, float]:
    """Numbers of the measures in `SOLVED` for one trial; NaN where it was not evaluated along the training.

    "solved" and "fell_back" are 0 or 1, the latter NaN where it was not solved. A time is infinite where the return
    was never reached; how far the trial was followed stands beside it ("evaluated_steps", "evaluated_cpu_seconds").

    Args:
        measured: curves of the trial.
        episodes: its training, for evaluations that are counted in episodes.
        threshold: return to reach.
        is_done: whether it neither failed nor timed out; a failed one never reached the return. One that was stopped as
            hopeless has evaluations, none of which did.
    """
    numbers = dict.fromkeys(_COLUMNS, math.nan)
    if not is_done:
        return numbers | {
            "solved": 0.0, "steps_to_solve": math.inf, "cpu_seconds_to_solve": math.inf,
            "evaluated_steps": 0.0, "evaluated_cpu_seconds": 0.0,
        }  # fmt: skip
    evaluations = measured.get("evaluation_return")
    if evaluations is None or not len(evaluations.at):
        return numbers
    reached = np.flatnonzero(evaluations.values >= threshold)
    numbers["solved"] = float(len(reached) > 0)
    if len(reached):
        numbers["fell_back"] = float(not evaluations.values[-1] >= threshold)
    cpu_seconds = measured.get(TRAINING_CPU_SECONDS)
    for name, followed, times in (
        ("steps_to_solve", "evaluated_steps", _steps(evaluations, episodes)),
        ("cpu_seconds_to_solve", "evaluated_cpu_seconds", None if cpu_seconds is None else cpu_seconds.values),
    ):
        if times is not None and len(times) == len(evaluations.at):
            numbers[name] = float(times[reached[0]]) if len(reached) else math.inf
            numbers[followed] = float(times[-1])
    return numbers


def _steps(curve: Curve, episodes: EpisodeCurves | None) -> np.ndarray | None:
    """Environment steps before each point of a curve; None where they are not known."""
    if curve.unit == "step":
        return curve.at
    if curve.unit == "episode" and episodes is not None and curve.at[-1] <= episodes.episodes:
        steps: np.ndarray = np.concatenate([[0], np.cumsum(episodes.lengths)])[curve.at]
        return steps
    return None
