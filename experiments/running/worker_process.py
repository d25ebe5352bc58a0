"""A worker process: how it is started, guarded, and what it runs."""

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType
from typing import Any, cast

from velodrome.agents.agent import Agent
from velodrome.agents.engine.compiler import NotCompilableError
from velodrome.agents.engine.interruption import not_counted
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.running.registrations import PackedRegistration, register
from velodrome.experiments.running.side_by_side import run_side_by_side
from velodrome.experiments.running.trial_runner import TrialGroup, as_generic, failed_outcome, run_to_outcome
from velodrome.experiments.specification.environment_configuration import Maker
from velodrome.experiments.storage.trial_outcome import TrialOutcome
from velodrome.experiments.trials.environment_profile import EnvironmentProfile
from velodrome.experiments.trials.measures import Measure
from velodrome.experiments.trials.trial import Budget, Checkpoints

# What the numerical libraries read when they are loaded.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
_PR_SET_PDEATHSIG = 1
# Time for a process that was asked to end, before it is killed.
TERMINATE_SECONDS = 3.0
# Exit codes are below 256.
ENDED_BY_ITSELF = 256


@dataclass(frozen=True, eq=False)
class SentGroup:
    """Message to a process that runs trials of one agent on one environment."""

    label: str
    agent: Agent
    environment: str
    make: Maker
    success: str | None
    budget: Budget
    is_generic: bool
    note: str
    checkpoints: Checkpoints | None
    registrations: tuple[PackedRegistration, ...] = ()
    measures: tuple[Measure, ...] = ()


def pack_group(group: SentGroup) -> bytes:
    """Bytes to send to a process; classes and functions of scripts and notebooks go along.

    Raises:
        ExperimentError: something in it cannot be sent.
    """
    import cloudpickle

    try:
        return cast(bytes, cloudpickle.dumps(group))
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ExperimentError(
            f"{group.label} on {group.environment} cannot be sent to a worker process ({reason}): "
            "make what it needs inside the factory, or run everything in this process with workers=0"
        ) from None


def run_sent_trial(payload: bytes, key: str, seed: int) -> TrialOutcome:
    """Run one trial of a packed group; whatever goes wrong becomes its outcome."""
    # Ctrl-C is left to the parent, so that a KeyboardInterrupt here is the trial's own doing.
    try:
        # Modules are imported and the environment is looked at, for all trials of the group.
        with not_counted():
            received = _unpack(payload)
            # Trials of another program may have been here since.
            register(received.registrations)
        try:
            return run_to_outcome(received.group, key, seed, on_model_only=not received.group.is_generic)
        except NotCompilableError as error:
            received.group = as_generic(received.group, str(error))
            return run_to_outcome(received.group, key, seed)
    except BaseException as error:
        return failed_outcome(key, error)


def run_sent_trials(payload: bytes, trials: Sequence[tuple[str, int]]) -> list[TrialOutcome] | None:
    """Run trials of a packed group, given by keys and seeds, side by side; None where they have to be run alone."""
    received = _unpack(payload)
    register(received.registrations)
    return run_side_by_side(received.group, trials)


class _Received:
    """A group that has arrived; it becomes generic when its policy cannot be compiled."""

    def __init__(self, group: TrialGroup, registrations: tuple[PackedRegistration, ...]) -> None:
        self.group, self.registrations = group, registrations


@lru_cache(maxsize=16)
def _unpack(payload: bytes) -> _Received:
    # Only this program's own parent sends payloads.
    sent: SentGroup = pickle.loads(payload)
    register(sent.registrations)
    profile = EnvironmentProfile.of(sent.environment, sent.make, sent.success)
    checkpoints = sent.checkpoints
    if checkpoints is not None and not checkpoints.directory.parent.is_dir():
        # Another machine, which does not share the store's disk.
        checkpoints = None
    group = TrialGroup(
        sent.label, sent.agent, profile, sent.budget, sent.is_generic, sent.note, checkpoints, sent.measures
    )  # fmt: skip
    return _Received(group, sent.registrations)


def prepare_worker(parent: int) -> None:
    """Called first in a worker: it leaves Ctrl-C to its parent and ends with it, however the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        # It was started with Ctrl-C blocked, which programs that a trial starts would inherit.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if sys.platform == "linux":
        # A trial may hold the interpreter for ever; the kernel does not ask it.
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    process = multiprocessing.parent_process()
    if process is not None:
        threading.Thread(target=_end_with, args=(process,), name="velodrome-guard", daemon=True).start()
    # What an environment prints must not mix with what the program was asked to print.
    with contextlib.suppress(OSError):
        os.dup2(2, 1)


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


class WorkerProcess(SpawnProcess):
    """A fresh interpreter that does not run the user's script again, so that scripts need no guard around it."""

    numerical_threads = 1

    @property
    def exitcode(self) -> int | None:
        """As of any process, but `ENDED_BY_ITSELF` for 0: pebble takes 0 for a worker that had nothing to do."""
        code = super().exitcode
        return ENDED_BY_ITSELF if code == 0 else code

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        with _spawning(process_obj.numerical_threads):
            return SpawnProcess._Popen(process_obj)


class WorkerContext(SpawnContext):
    """Starts worker processes.

    Args:
        threads: of the numerical libraries in each process, where the user has not set the variable.
    """

    def __init__(self, threads: int) -> None:
        super().__init__()
        self.threads = threads
        self._processes: list[WorkerProcess] = []
        self._is_ending = False

    def Process(self, *args: Any, **kwargs: Any) -> WorkerProcess:  # type: ignore[override]
        if self._is_ending:
            raise BrokenPipeError("these worker processes are being ended")
        process = WorkerProcess(*args, **kwargs)
        process.numerical_threads = self.threads
        self._processes = [one for one in self._processes if one.pid is None or one.is_alive()] + [process]
        return process

    @contextlib.contextmanager
    def ended_processes(self) -> Iterator[None]:
        """End all processes at once, and start none inside.

        What they share, such as a pool's locks, must go only then: a process that is just starting would look for it
        in vain, and say so on standard error.
        """
        self._is_ending = True
        try:
            processes, self._processes = [one for one in self._processes if one.pid is not None], []
            for process in processes:
                process.terminate()
            until = time.monotonic() + TERMINATE_SECONDS
            for process in processes:
                process.join(max(0.0, until - time.monotonic()))
                if process.is_alive():
                    process.kill()
                    process.join()
            yield
        finally:
            self._is_ending = False


_spawning_lock = threading.Lock()


@contextlib.contextmanager
def _spawning(threads: int) -> Iterator[None]:
    """Surroundings that a new process inherits: thread counts, a `__main__` without a file to run, and no Ctrl-C."""
    with _spawning_lock:
        ours = {name: str(threads) for name in _THREAD_VARIABLES if name not in os.environ}
        main = sys.modules["__main__"]
        os.environ.update(ours)
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            with _without_interrupts():
                yield
        finally:
            sys.modules["__main__"] = main
            for name in ours:
                os.environ.pop(name, None)


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ctrl-C waits in this thread, and in a process that it starts: one would die of it with a traceback."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
