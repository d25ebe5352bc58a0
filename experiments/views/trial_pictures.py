"""The pictures of one trial: of a map where it has one, of labelled examples where it has those."""

from typing import TYPE_CHECKING

from velodrome.checks import closest
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.trial_figures import FIGURES, trial_figures
from velodrome.experiments.trials.trial import Trial
from velodrome.experiments.views.learnt import learnt_by_trial
from velodrome.experiments.views.pictures import PICTURES, draw_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_trial(trial: Trial, kind: str | None = None, language: str = "en") -> "Figure":
    """A picture of a trial; see `Trial.plot`.

    Args:
        trial: a trial with its agent.
        kind: name of the picture, such as "values"; the first that applies if None.
        language: "en" or "ko".

    Raises:
        ExperimentError: an unknown kind or language, or nothing to draw.
    """
    has_examples = trial.profile.contents.num_examples is not None
    if kind is None:
        kind = next(iter(FIGURES if has_examples else PICTURES))
    if kind in PICTURES:
        return draw_picture(learnt_by_trial(trial), kind, language)
    if kind not in FIGURES and kind != "curves":
        known = (*PICTURES, "curves", *FIGURES)
        raise ExperimentError(f"kind must be one of {', '.join(known)}, got {kind!r}{closest(str(kind), known)}")
    drawn = trial_figures(trial, only=[kind])
    if kind not in drawn and kind == "curves":
        raise ExperimentError(f"nothing was measured along the training of {trial.agent}: give evaluate_every")
    if kind not in drawn:
        raise ExperimentError(
            f"{kind} is drawn of labelled examples, and there is none of {trial.agent} on {trial.profile.label}"
        )
    return drawn[kind]


def pictures_of_trial(trial: Trial) -> "dict[str, Figure]":
    """Every picture that applies to a trial, by name.

    Args:
        trial: a trial with its agent.

    Raises:
        ExperimentError: there is none: no map, or no action values, no labelled examples, and nothing was measured.
    """
    drawn = trial_figures(trial)
    if trial.profile.contents.num_examples is not None:
        return drawn
    try:
        learnt = learnt_by_trial(trial)
    except ExperimentError:
        if drawn:
            return drawn
        raise
    for kind in PICTURES:
        try:
            drawn[kind] = draw_picture(learnt, kind)
        except ExperimentError:
            # Such as those of snapshots that were not asked for.
            continue
    return drawn
