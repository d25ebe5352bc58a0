"""Runs one trial to its end and says what became of it, whatever happens inside."""

import dataclasses
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from types import TracebackType

import numpy as np

from velodrome.agents.agent import Agent
from velodrome.agents.engine.compiler import NotCompilableError
from velodrome.agents.engine.interruption import TrainingInterruptedError, TrainingTimeoutError
from velodrome.agents.errors import (
    AgentFailureError,
    EnvironmentFailureError,
    PolicyFailureError,
    UnsupportedEnvironmentError,
)
from velodrome.agents.named_objects import is_own
from velodrome.checks import ConfigurationError, VelodromeError, one_line
from velodrome.experiments.specification.plan import PlannedTrial
from velodrome.experiments.storage.episode_curves import EpisodeCurves
from velodrome.experiments.storage.trial_outcome import TrialOutcome
from velodrome.experiments.trials.environment_profile import EnvironmentProfile
from velodrome.experiments.trials.measures import Measure, computed
from velodrome.experiments.trials.side_by_side import notes_on_vector_form
from velodrome.experiments.trials.trial import (
    OF_BANDITS,
    Budget,
    Checkpoints,
    Trained,
    Trial,
    run_trial,
    train_together,
)

# Code that passes calls on: what a user looks for is the environment, policy or agent behind it.
_PASSING_ON = ("velodrome.", "gymnasium.")


@dataclass(frozen=True, eq=False)
class TrialGroup:
    """Group of the trials of one agent on one environment, with all that they share.

    Attributes:
        label: of the agent.
        agent: the configuration.
        profile: the environment.
        budget: of training and evaluation.
        is_generic: whether they run in the generic loop although the profile has a model.
        note: why, if so.
        checkpoints: where and how often they save their state, or None.
        measures: of the user's own, to be computed of each.
    """

    label: str
    agent: Agent
    profile: EnvironmentProfile
    budget: Budget
    is_generic: bool = False
    note: str = ""
    checkpoints: Checkpoints | None = None
    measures: tuple[Measure, ...] = ()


def as_generic(group: TrialGroup, reason: str) -> TrialGroup:
    """The same group for the generic loop, because its policy cannot be compiled."""
    policy = getattr(group.agent, "policy", group.agent)
    note = f"ran in the generic loop: {policy.name} cannot be compiled ({reason})"
    return dataclasses.replace(group, is_generic=True, note=note)


def run_to_outcomes(
    group: TrialGroup, trials: Sequence[PlannedTrial], *, on_model_only: bool = False
) -> Iterator[TrialOutcome]:
    """Outcomes of trials of one group, in order; they are trained together where they can be.

    Raises:
        NotCompilableError, TrainingInterruptedError: see `run_to_outcome`.
    """
    started = time.perf_counter(), time.thread_time()
    together = None
    if not group.is_generic:
        try:
            seeds = [trial.seed for trial in trials]
            together = train_together(group.agent, group.profile, group.budget, seeds)
        except NotCompilableError:
            if on_model_only:
                raise
        except TrainingInterruptedError:
            raise
        except Exception:
            # It is one trial's own: each is run by itself, and says what is wrong.
            together = None
    if together is None:
        for trial in trials:
            yield run_to_outcome(group, trial.key, trial.seed, on_model_only=on_model_only)
        return
    wall, cpu = time.perf_counter() - started[0], time.thread_time() - started[1]
    steps = [trained.log.steps if isinstance(trained, Trained) else 0 for trained in together]
    for trial, trained, taken in zip(trials, together, steps, strict=True):
        share = taken / max(sum(steps), 1)
        yield run_to_outcome(
            group,
            trial.key,
            trial.seed,
            on_model_only=on_model_only,
            trained=trained,
            before=(wall * share, cpu * share),
        )


def run_to_outcome(
    group: TrialGroup,
    key: str,
    seed: int,
    *,
    on_model_only: bool = False,
    trained: Trained | VelodromeError | None = None,
    before: tuple[float, float] = (0.0, 0.0),
) -> TrialOutcome:
    """Run a trial; an error inside becomes a failed outcome.

    Args:
        group: what it shares with others.
        key: of the trial.
        seed: likewise.
        on_model_only: as of `run_trial`.
        trained: as of `run_trial`.
        before: seconds, and CPU seconds, that its training took already.

    Raises:
        NotCompilableError: with `on_model_only`, the policy cannot be compiled.
        TrainingInterruptedError: the trial was asked to stop; it has no outcome.
    """
    wall, cpu = time.perf_counter(), time.thread_time()
    try:
        trial = run_trial(
            group.label,
            group.agent,
            group.profile,
            group.budget,
            seed,
            loop="generic" if group.is_generic else "auto",
            note=group.note,
            on_model_only=on_model_only,
            checkpoints=group.checkpoints,
            key=key,
            trained=trained,
        )
        refuse_not_a_number(trial)
        log = trial.log
        curves = EpisodeCurves(log.returns, log.lengths, log.successes).pack()
        values, remarks = computed(trial, group.measures)
        notes = (*log.notes, *notes_on_vector_form(group.agent, group.profile), *remarks)
        metrics = {name: value for name, value in trial.metrics().items() if name not in OF_BANDITS or value == value}
        outcome = TrialOutcome(
            key, "done", metrics | values, curves, notes, measured=trial.measured, snapshots=trial.snapshots
        )
    except (NotCompilableError, TrainingInterruptedError):
        raise
    except TrainingTimeoutError as error:
        outcome = TrialOutcome(key, "timed out", error=str(error))
    except (Exception, SystemExit) as error:
        outcome = failed_outcome(key, error)
    return outcome.lasting(time.perf_counter() - wall + before[0], time.thread_time() - cpu + before[1])


def failed_outcome(key: str, error: BaseException) -> TrialOutcome:
    """Outcome of a trial that raised."""
    # Ours say where and what in their own words; the cause is what raised.
    ours = isinstance(
        error,
        EnvironmentFailureError
        | PolicyFailureError
        | AgentFailureError
        | TrialResultError
        | ConfigurationError
        | UnsupportedEnvironmentError,
    )
    line = " ".join(str(error).split()) if ours else one_line(error)
    root = error
    while root.__cause__ is not None:
        root = root.__cause__
    text = "".join(traceback.format_exception(error))
    return TrialOutcome(key, "failed", error=line, error_place=place_of(root.__traceback__), error_traceback=text)


def place_of(trace: TracebackType | None) -> str:
    """`file.py:12 in step` of the innermost code of the user's own, else of an installed package, else of Gymnasium.

    Empty where all code is ours: the message says what is wrong.
    """
    named = [(str(frame.f_globals.get("__name__", "")), frame, line) for frame, line in traceback.walk_tb(trace)]
    kinds: tuple[Callable[[str], bool], ...] = (
        is_own,
        lambda module: not module.startswith(_PASSING_ON),
        lambda module: not module.startswith(_PASSING_ON[:1]),
    )
    for is_wanted in kinds:
        frames = [(frame, line) for module, frame, line in named if is_wanted(module)]
        if frames:
            frame, line = frames[-1]
            return f"{PurePath(frame.f_code.co_filename).name}:{line} in {frame.f_code.co_name}"
    return ""


class TrialResultError(VelodromeError, ArithmeticError):
    """A trial came to its end without a result; one line."""


def refuse_not_a_number(trial: Trial) -> None:
    """Refuse results that are not numbers: they would spoil every mean that they enter.

    Raises:
        TrialResultError: naming what is not a number.
    """
    values = getattr(trial.trained, "action_values", None)
    if isinstance(values, np.ndarray) and values.dtype.kind == "f" and not np.isfinite(values).all():
        raise TrialResultError("the action values are no longer finite: the learning diverged")
    if not np.isfinite(trial.log.returns).all():
        episode = int(np.argmin(np.isfinite(trial.log.returns))) + 1
        raise TrialResultError(f"the return of training episode {episode} is not finite")
    if trial.evaluation.method and np.isnan(trial.evaluation.mean_return):
        raise TrialResultError("the greedy policy's mean return is NaN")
