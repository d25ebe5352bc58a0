"""What a Dask worker runs: the trials of one task, each in a thread that can be given up."""

import ctypes
import threading
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from velodrome.agents.interruption import Interruption, TrainingInterruptedError, interruptible
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.running.trial_outcome import TrialOutcome
from velodrome.experiments.running.trial_runner import failed_outcome
from velodrome.experiments.running.worker_process import run_sent_trial

# How often a worker looks whether its task is still wanted.
LOOK_SECONDS = 0.2
# A compiled loop ends by itself when its time is over; it asks ten times a second.
GRACE_SECONDS = 1.0


@dataclass(frozen=True)
class SentTrials:
    """Trials of one agent on one environment, as they travel to a worker.

    Attributes:
        task: number of the task.
        trials: key and seed of each.
        timeout: seconds that each may take, or None.
        topic: of the events that tell which trial begins where.
        version: of velodrome where the experiment runs.
    """

    task: int
    trials: tuple[tuple[str, int], ...]
    timeout: float | None
    topic: str
    version: str


@dataclass(frozen=True)
class SentOutcomes:
    """What a worker sends back.

    Attributes:
        outcomes: of the trials in order; the rest has not been run.
        to_restart: address of the worker, if a trial that was given up still runs there.
    """

    outcomes: tuple[TrialOutcome, ...]
    to_restart: str | None = None


def run_sent_trials(payload: bytes, sent: SentTrials) -> SentOutcomes:
    """Run trials one after the other, in a Dask worker; a trial that takes too long is the last.

    Raises:
        ExperimentError: this machine has another version of velodrome.
    """
    from distributed import get_worker

    worker: Any = get_worker()
    if version("velodrome") != sent.version:
        raise ExperimentError(
            f"the worker {worker.address} has velodrome {version('velodrome')}, "
            f"but the experiment runs on {sent.version}: install the same version on all machines"
        )
    key_of_task = worker.get_current_task()
    outcomes: list[TrialOutcome] = []
    for key, seed in sent.trials:
        worker.log_event(sent.topic, {"task": sent.task, "trial": key, "worker": worker.address})
        trial = _TrialThread(payload, key, seed, sent.timeout)
        while trial.is_under_way(LOOK_SECONDS):
            if not _is_wanted(worker, key_of_task):
                trial.interrupt()
                return SentOutcomes(())
            if trial.is_late:
                outcomes.append(TrialOutcome(key, "timed out", error=f"took longer than {sent.timeout:g} s"))
                return SentOutcomes(tuple(outcomes), worker.address if worker.nanny else None)
        assert trial.outcome is not None
        outcomes.append(trial.outcome)
    return SentOutcomes(tuple(outcomes))


def _is_wanted(worker: Any, key: Any) -> bool:
    """Whether somebody still waits for a task: Dask never stops one that runs."""
    task = worker.state.tasks.get(key)
    return task is not None and task.state != "cancelled"


class _TrialThread:
    """A trial that runs in a thread of its own."""

    def __init__(self, payload: bytes, key: str, seed: int, timeout: float | None) -> None:
        self._arguments = payload, key, seed
        self._timeout = timeout
        self._stop = threading.Event()
        self._interruption = Interruption(self._stop, timeout)
        self.outcome: TrialOutcome | None = None
        # A daemon, so that a trial that never comes back does not keep its worker from ending.
        self._thread = threading.Thread(target=self._run, name="velodrome-trial", daemon=True)
        self._thread.start()

    @property
    def is_late(self) -> bool:
        """Whether its time is over."""
        return self._timeout is not None and self._interruption.elapsed() > self._timeout + GRACE_SECONDS

    def is_under_way(self, seconds: float) -> bool:
        """Whether it is still running; waits a little for its end."""
        self._thread.join(seconds)
        return self._thread.is_alive()

    def interrupt(self) -> None:
        """Ask it to stop, as Ctrl-C would in the main thread."""
        self._stop.set()
        identifier = ctypes.c_ulong(self._thread.ident or 0)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(identifier, ctypes.py_object(TrainingInterruptedError))

    def _run(self) -> None:
        payload, key, seed = self._arguments
        try:
            with interruptible(self._interruption):
                self.outcome = run_sent_trial(payload, key, seed)
        except BaseException as error:
            self.outcome = failed_outcome(key, error)
