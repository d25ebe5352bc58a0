"""Runs trials of one agent on one environment side by side."""

import time
from collections.abc import Sequence

from velodrome.agents.engine.interruption import TrainingInterruptedError
from velodrome.experiments.running.trial_runner import TrialGroup, run_to_outcome
from velodrome.experiments.storage.trial_outcome import TrialOutcome
from velodrome.experiments.trials.side_by_side import trained_side_by_side


def run_side_by_side(group: TrialGroup, trials: Sequence[tuple[str, int]]) -> list[TrialOutcome] | None:
    """Outcomes of trials, given by their keys and seeds; each is what `run_to_outcome` gives, but for the time taken.

    None where they have to be run alone: one of them fails, or goes on from its checkpoint, or their policy cannot be
    compiled. Alone, each meets its own error.

    Raises:
        TrainingInterruptedError: the trials were asked to stop; they have no outcomes.
    """
    if group.checkpoints is not None and any((group.checkpoints.directory / key).is_dir() for key, _ in trials):
        return None
    wall, cpu = time.perf_counter(), time.thread_time()
    try:
        trained = trained_side_by_side(group.agent, group.profile, group.budget, [seed for _, seed in trials])
    except TrainingInterruptedError:
        raise
    except Exception:
        return None
    shares = [spent / len(trials) for spent in (time.perf_counter() - wall, time.thread_time() - cpu)]
    outcomes = [run_to_outcome(group, key, seed, trained=one) for (key, seed), one in zip(trials, trained, strict=True)]
    return [one.lasting(one.wall_seconds + shares[0], one.cpu_seconds + shares[1]) for one in outcomes]
