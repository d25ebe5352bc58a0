"""The work of a Dask worker: the trials of one task, each in a thread that can be given up."""

import ctypes
import threading
import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from velodrome.agents.engine.interruption import Interruption, TrainingInterruptedError, interruptible
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.running.limits import PREPARE_SECONDS, TrialLimits
from velodrome.experiments.running.trial_runner import failed_outcome
from velodrome.experiments.running.worker_memory import OwnMemory, growth, resident_bytes
from velodrome.experiments.running.worker_process import run_sent_trial
from velodrome.experiments.storage.trial_outcome import TrialOutcome

# How often a worker looks whether its task is still wanted, and how large it is: memory may grow by GB in a second.
LOOK_SECONDS, MEMORY_SECONDS = 0.2, 0.05
# How often it says that it is alive.
LIFE_SECONDS = 5.0
# A compiled loop ends by itself when its time is over; it asks ten times a second.
GRACE_SECONDS = 1.0


@dataclass(frozen=True)
class SentTrials:
    """Trials of one agent on one environment, as they travel to a worker.

    Attributes:
        task: number of the task.
        trials: key and seed of each.
        limits: what each may use.
        topic: of the events that say which trial begins where, and that its worker is alive.
        version: of velodrome where the experiment runs.
    """

    task: int
    trials: tuple[tuple[str, int], ...]
    limits: TrialLimits
    topic: str
    version: str


@dataclass(frozen=True)
class SentOutcomes:
    """Outcomes that a worker sends back.

    Attributes:
        outcomes: of the trials in order; the rest has not been run.
        to_restart: address of the worker, if a trial that was given up still runs there, or if it has grown by much.
    """

    outcomes: tuple[TrialOutcome, ...]
    to_restart: str | None = None


def run_sent_trials(payload: bytes, sent: SentTrials) -> SentOutcomes:
    """Run trials one after the other, in a Dask worker; a trial that takes too much time or memory is the last.

    Raises:
        ExperimentError: this machine has another version of velodrome, or cannot limit the memory of a trial.
    """
    from distributed import get_worker

    worker: Any = get_worker()
    if version("velodrome") != sent.version:
        raise ExperimentError(
            f"the worker {worker.address} has velodrome {version('velodrome')}, "
            f"but the experiment runs on {sent.version}: install the same version on all machines"
        )
    if sent.limits.memory is not None and not (worker.nanny and worker.state.nthreads == 1):
        raise ExperimentError(
            f"trial_memory needs workers of one thread with Dask's nanny, but the worker {worker.address} has "
            + (f"{worker.state.nthreads} threads: start it with --nthreads 1" if worker.nanny else "no nanny")
        )
    key_of_task = worker.get_current_task()
    outcomes: list[TrialOutcome] = []
    for key, seed in sent.trials:
        says = _Says(worker, sent, key)
        trial = _TrialThread(payload, key, seed, sent.limits)
        while trial.is_under_way(LOOK_SECONDS if sent.limits.memory is None else MEMORY_SECONDS):
            says.alive()
            if not _is_wanted(worker, key_of_task):
                trial.interrupt()
                return SentOutcomes(())
            if (outcome := trial.beyond_limits()) is not None:
                trial.interrupt()
                return SentOutcomes((*outcomes, outcome), worker.address if worker.nanny else None)
        assert trial.outcome is not None
        outcomes.append(trial.outcome)
    is_to_restart = growth.is_large and worker.nanny and worker.state.nthreads == 1
    return SentOutcomes(tuple(outcomes), worker.address if is_to_restart else None)


class _Says:
    """Says that a trial begins, and now and then that its worker is alive."""

    def __init__(self, worker: Any, sent: SentTrials, key: str) -> None:
        self._worker, self._topic = worker, sent.topic
        self._event = {"task": sent.task, "trial": key, "worker": worker.address}
        self._say(begins=True)

    def alive(self) -> None:
        """Say so, unless that was said within some seconds."""
        if time.monotonic() - self._said > LIFE_SECONDS:
            self._say(begins=False)

    def _say(self, *, begins: bool) -> None:
        self._said = time.monotonic()
        self._worker.log_event(self._topic, self._event | {"begins": begins})


def _is_wanted(worker: Any, key: Any) -> bool:
    """Whether somebody still waits for a task: Dask never stops one that runs."""
    task = worker.state.tasks.get(key)
    return task is not None and task.state != "cancelled"


class _TrialThread:
    """A trial that runs in a thread of its own."""

    def __init__(self, payload: bytes, key: str, seed: int, limits: TrialLimits) -> None:
        self._arguments = payload, key, seed
        self._limits = limits
        self._stop = threading.Event()
        self._memory = OwnMemory()
        self._interruption = Interruption(self._stop, limits.seconds, self._memory.note)
        self.outcome: TrialOutcome | None = None
        # A daemon, so that a trial that never comes back does not keep its worker from ending.
        self._thread = threading.Thread(target=self._run, name="velodrome-trial", daemon=True)
        self._thread.start()

    def beyond_limits(self) -> TrialOutcome | None:
        """Outcome of a trial that takes too much time or memory."""
        key, now = self._arguments[1], time.monotonic() - GRACE_SECONDS
        if self._limits.is_late(self._interruption.elapsed() - GRACE_SECONDS, now - self._interruption.began):
            return self._limits.timed_out(key)
        if self._limits.memory is None or self._interruption.is_paused:
            return None
        is_large = self._limits.is_large(resident_bytes() - self._memory.before)
        return self._limits.too_large(key) if is_large else None

    def is_under_way(self, seconds: float) -> bool:
        """Whether it is still running; waits a little for its end."""
        self._thread.join(seconds)
        return self._thread.is_alive()

    def interrupt(self) -> None:
        """Ask it to stop, as Ctrl-C would in the main thread; but let it come to the end of an import first.

        Another trial may already wait for the same module, and would find it gone.
        """
        self._stop.set()
        stop_at = time.monotonic() + PREPARE_SECONDS
        while self._interruption.is_paused and time.monotonic() < stop_at and self.is_under_way(MEMORY_SECONDS):
            pass
        identifier = ctypes.c_ulong(self._thread.ident or 0)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(identifier, ctypes.py_object(TrainingInterruptedError))

    def _run(self) -> None:
        payload, key, seed = self._arguments
        try:
            with growth.watched(payload), interruptible(self._interruption):
                self.outcome = run_sent_trial(payload, key, seed)
        except BaseException as error:
            self.outcome = failed_outcome(key, error)
