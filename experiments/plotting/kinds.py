"""The kinds of pictures by name: ours, and those that users register."""

from velodrome.checks import did_you_mean
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.evaluation_curves import EVALUATION
from velodrome.experiments.plotting.final_scores import SCORES
from velodrome.experiments.plotting.importance import IMPORTANCE
from velodrome.experiments.plotting.improvement_matrix import IMPROVEMENT
from velodrome.experiments.plotting.learning_curves import LEARNING
from velodrome.experiments.plotting.parallel_coordinates import PARALLEL
from velodrome.experiments.plotting.plot_kind import PlotKind
from velodrome.experiments.plotting.profiles import PROFILES
from velodrome.experiments.plotting.regret import REGRET
from velodrome.experiments.plotting.scaling import SCALING
from velodrome.experiments.plotting.sensitivity import SENSITIVITY
from velodrome.experiments.plotting.sweep import SWEEP
from velodrome.experiments.plotting.training_curves import CURVES

#: Kinds of pictures, by name, in the order of the report; `register_kind` adds one.
KINDS: dict[str, PlotKind] = {
    kind.name: kind
    for kind in (
        LEARNING,
        EVALUATION,
        CURVES,
        SCORES,
        REGRET,
        PROFILES,
        IMPROVEMENT,
        SCALING,
        SWEEP,
        PARALLEL,
        IMPORTANCE,
        SENSITIVITY,
    )
}


def register_kind(kind: PlotKind) -> None:
    """Let a kind of your own be drawn by its name, and in reports, in this program.

    Args:
        kind: the kind; its name is new.

    Raises:
        ExperimentError: another kind has that name.
    """
    if KINDS.setdefault(kind.name, kind) is not kind:
        raise ExperimentError(f"kind {kind.name!r} is there already; give it another name")


def kind_named(kind: str | PlotKind) -> PlotKind:
    """The kind of a name, or the one that is given.

    Raises:
        ExperimentError: there is none of that name.
    """
    if isinstance(kind, PlotKind):
        return kind
    if kind not in KINDS:
        raise ExperimentError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}{did_you_mean(str(kind), KINDS)}")
    return KINDS[kind]
