"""Workers that are processes of this machine: for everything that is not compiled."""

import signal
import time
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from typing import Any

from velodrome.experiments.errors import ExperimentWarning
from velodrome.experiments.running.limits import MAX_DEATHS, TrialLimits, died
from velodrome.experiments.running.trial_runner import failed_outcome
from velodrome.experiments.running.watched_worker import prepare_watched_worker, run_watched_trial, run_watched_trials
from velodrome.experiments.running.worker_process import ENDED_BY_ITSELF, WorkerContext
from velodrome.experiments.running.worker_watch import Standstill, WorkerWatch
from velodrome.experiments.running.workers import Report, Task, TrialEnded
from velodrome.experiments.specification.plan import PlannedTrial
from velodrome.experiments.storage.trial_outcome import TrialOutcome

# A pool breaks down where a worker dies while none is in a trial; so often without a result in between is no chance.
MAX_BREAKDOWNS = 5
# A worker that is killed in the moment in which it takes a trial loses it without a word.
LOST_SECONDS = 60.0
_BROKEN = f"worker processes died before they took a trial, {MAX_BREAKDOWNS} times over"


class ProcessWorkers:
    """Processes of this machine, through pebble: a trial whose worker is killed is run once more by another.

    Args:
        number: of processes.
        payload: what the trials of an agent (label) and environment (label) share, pickled.
        report: takes events.
        limits: what a trial may use.
        threads: of numerical libraries in each process.
    """

    def __init__(
        self,
        number: int,
        payload: Callable[[str, str], bytes],
        report: Report,
        limits: TrialLimits | None = None,
        threads: int = 1,
    ) -> None:
        self._number, self._payload, self._report, self._limits = number, payload, report, limits or TrialLimits()
        self._context = WorkerContext(threads)
        self._pool: Any = None
        self._watch: WorkerWatch | None = None
        self._breakdowns = 0
        # Those that the pool has, by their future, those that it could not take, and those to be run again.
        self._in_flight: dict[Any, PlannedTrial] = {}
        # Those that one worker has side by side, by their future.
        self._together: dict[Any, tuple[PlannedTrial, ...]] = {}
        self._returned: list[PlannedTrial] = []
        self._again: list[PlannedTrial] = []
        self._deaths: Counter[str] = Counter()
        self._idle_since: float | None = None
        self._is_stopped = False

    def submit(self, task: Task) -> None:
        if task.is_side_by_side and self._schedule_together(task):
            return
        for trial in task.trials:
            self._schedule(trial)

    def check(self) -> None:
        if self._watch is not None:
            self._mention(self._watch.standstills())
        again, self._again = self._again, []
        for trial in again:
            self._schedule(trial)
        if self._pool is None or (self._pool.active and not self._returned and not self._has_lost_trials()):
            return
        self._end_pool()
        # A pool that broke down forgets trials that it was just about to take.
        together = [trial for trials in self._together.values() for trial in trials]
        returned = [*self._returned, *self._in_flight.values(), *together]
        self._returned, self._in_flight, self._together = [], {}, {}
        self._breakdowns = (self._breakdowns + 1) % MAX_BREAKDOWNS
        for trial in returned:
            if self._breakdowns:
                self._schedule(trial)
            else:
                self._report(TrialEnded(trial, TrialOutcome(trial.key, "failed", error=_BROKEN)))

    def shares(self) -> dict[str, float]:
        return {} if self._watch is None else self._watch.shares()

    def stop(self) -> None:
        self._is_stopped = True
        self._end_pool()
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    def _mention(self, standstills: list[Standstill]) -> None:
        trials = {trial.key: trial for trial in list(self._in_flight.values())}
        for found in standstills:
            trial = trials.get(found.key)
            if trial is not None:
                warnings.warn(_standstill(found, trial), ExperimentWarning, stacklevel=2)

    def _has_lost_trials(self) -> bool:
        """Whether no worker has been in a trial for long, although trials wait."""
        waiting = [*self._in_flight, *self._together]
        if not waiting or any(future.running() for future in waiting):
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = time.monotonic()
        elif time.monotonic() - self._idle_since > LOST_SECONDS:
            self._idle_since = None
            return True
        return False

    def _schedule_together(self, task: Task) -> bool:
        try:
            if self._pool is None:
                self._start_pool()
            pairs = tuple((trial.key, trial.seed) for trial in task.trials)
            future = self._pool.schedule(run_watched_trials, args=(self._payload(task.agent, task.environment), pairs))
        except RuntimeError:
            return False
        self._together[future] = task.trials
        future.add_done_callback(self._finish_together)
        return True

    def _finish_together(self, future: Any) -> None:
        trials = self._together.pop(future, None)
        if self._is_stopped or trials is None:
            return
        try:
            outcomes = future.result()
        except BaseException:
            # Whatever it was that ended the worker: alone, each trial meets its own end.
            outcomes = None
        if outcomes is None:
            self._again.extend(trials)
            return
        self._breakdowns = 0
        for trial, outcome in zip(trials, outcomes, strict=True):
            self._report(TrialEnded(trial, outcome))

    def _schedule(self, trial: PlannedTrial) -> None:
        try:
            if self._pool is None:
                self._start_pool()
            arguments = (self._payload(trial.agent, trial.environment), trial.key, trial.seed)
            future = self._pool.schedule(run_watched_trial, args=arguments)
        except RuntimeError:
            # The pool broke down since the last check.
            self._returned.append(trial)
            return
        self._in_flight[future] = trial
        future.add_done_callback(self._finish)

    def _start_pool(self) -> None:
        import os

        from pebble import ProcessPool

        if self._watch is None:
            self._watch = WorkerWatch(self._limits, self._context)
        self._pool = ProcessPool(
            max_workers=self._number, initializer=prepare_watched_worker,
            initargs=(os.getpid(), self._watch.to_watch), context=self._context,
        )  # fmt: skip

    def _end_pool(self) -> None:
        if self._pool is not None:
            pool, self._pool = self._pool, None
            pool.stop()
            # The pool would close its locks first, and end its processes one after the other.
            with self._context.ended_processes():
                pool.join()

    def _finish(self, future: Any) -> None:
        from pebble import ProcessExpired

        trial = self._in_flight.pop(future, None)
        if self._is_stopped or trial is None:
            return
        try:
            outcome = future.result()
        except ProcessExpired as error:
            after = self._after_death(trial.key, error.exitcode)
            if after is None:
                self._again.append(trial)
                return
            outcome = after
        except BrokenExecutor:
            self._returned.append(trial)
            return
        except BaseException as error:
            # Nothing may end the pool's thread that calls this.
            outcome = failed_outcome(trial.key, error)
        self._breakdowns = 0
        self._report(TrialEnded(trial, outcome))

    def _after_death(self, key: str, exit_code: int | None) -> TrialOutcome | None:
        """Outcome of a trial whose process has died; None if it is to be run again."""
        verdict = None if self._watch is None else self._watch.verdict(key)
        if verdict == "again":
            return None
        if verdict is not None:
            return verdict
        self._deaths[key] += 1
        return None if self._deaths[key] < MAX_DEATHS else died(key, self._deaths[key], _death(exit_code))


def _standstill(found: Standstill, trial: PlannedTrial) -> str:
    why = "it waits for something; trial_timeout would end it"
    if found.is_stopped:
        why = f"it was stopped; kill -CONT {found.pid} lets it go on"
    return (
        f"worker process {found.pid} has used no processor time for {found.seconds:.0f} s, in {trial.agent} on "
        f"{trial.environment}, seed {trial.seed}: {why}"
    )


def _death(exit_code: int | None) -> str:
    """Fate of a worker process in words, from its exit code."""
    if exit_code is not None and exit_code < 0:
        try:
            name = signal.Signals(-exit_code).name
        except ValueError:
            name = f"signal {-exit_code}"
        hint = " (out of memory, or killed by hand)" if name == "SIGKILL" else ""
        return f"ended by {name}{hint}"
    return f"ended with exit code {0 if exit_code == ENDED_BY_ITSELF else exit_code}"
