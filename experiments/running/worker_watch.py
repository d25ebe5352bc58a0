"""Watches worker processes: ends those whose trial takes too much time or memory, finds those that stand still."""

import contextlib
import threading
import time
from dataclasses import dataclass
from typing import Literal

import psutil

from velodrome.experiments.running import limits
from velodrome.experiments.running.limits import SHARES, TrialLimits
from velodrome.experiments.running.worker_process import WorkerContext
from velodrome.experiments.storage.trial_outcome import TrialOutcome

# Memory may grow by some GB in a second.
LOOK_SECONDS = 0.05
# Asking for the time of a processor is dearer.
LIFE_SECONDS = 1.0
# Short trials send many messages, which are read together.
READ_SECONDS = 0.005


@dataclass
class _AtWork:
    """A worker process and its trial.

    Attributes:
        before: bytes of the process that are not the trial's.
        share: of the training that is done.
    """

    key: str
    process: psutil.Process
    began: float
    before: int
    share: float = 0.0
    counted: float = 0.0
    counts_since: float | None = None
    processor_seconds: float = -1.0
    alive: float = 0.0
    is_mentioned: bool = False

    def counted_seconds(self, now: float) -> float:
        return self.counted + (0.0 if self.counts_since is None else now - self.counts_since)


@dataclass(frozen=True)
class Standstill:
    """A worker process that has used no processor time for long.

    Attributes:
        pid: of the process.
        key: of its trial.
        seconds: without processor time.
        is_stopped: whether somebody has stopped it; else it waits for something.
    """

    pid: int
    key: str
    seconds: float
    is_stopped: bool


class WorkerWatch:
    """Listens to worker processes and looks at them, in a thread of its own.

    Args:
        trial_limits: of each trial.
        context: of the processes.

    Attributes:
        to_watch: where the processes write their messages.
    """

    def __init__(self, trial_limits: TrialLimits, context: WorkerContext) -> None:
        self._limits = trial_limits
        self._messages, self.to_watch = context.Pipe(duplex=False)
        # Guards everything below, for verdicts are asked for from another thread.
        self._lock = threading.Lock()
        self._at_work: dict[int, _AtWork] = {}
        self._verdicts: dict[str, TrialOutcome | Literal["again"]] = {}
        self._standstills: list[Standstill] = []
        self._looked = self._looked_for_life = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="velodrome-watch", daemon=True)
        self._thread.start()

    def verdict(self, key: str) -> TrialOutcome | Literal["again"] | None:
        """Outcome of a trial whose process has died; None if that was not our doing."""
        with self._lock:
            self._read()
            return self._verdicts.pop(key, None)

    def standstills(self) -> list[Standstill]:
        """Those that were found since the last call."""
        with self._lock:
            found, self._standstills = self._standstills, []
        return found

    def shares(self) -> dict[str, float]:
        """Share of the training that is done, by the key of each trial."""
        with self._lock:
            return {at_work.key: at_work.share for at_work in self._at_work.values()}

    def stop(self) -> None:
        """Stop watching."""
        self._stop.set()
        self._thread.join()
        self._messages.close()
        self.to_watch.close()

    def _run(self) -> None:
        while not self._stop.wait(READ_SECONDS):
            self._messages.poll(LOOK_SECONDS)
            with self._lock:
                self._read()
                self._look(time.monotonic())

    def _read(self) -> None:
        while self._messages.poll(0):
            pid, message, before, key = self._messages.recv_bytes().decode().split(" ", 3)
            self._note(int(pid), message, key, int(before), time.monotonic())

    def _note(self, pid: int, message: str, key: str, before: int, now: float) -> None:
        if message == "leaves":
            self._verdicts[key] = "again"
        elif message == "ends":
            self._at_work.pop(pid, None)
        elif message == "begins":
            # It may have been that of a process that has died since.
            self._verdicts.pop(key, None)
            for other in [other for other, at_work in self._at_work.items() if at_work.key == key]:
                del self._at_work[other]
            # The pool finds a process that is no more.
            with contextlib.suppress(psutil.NoSuchProcess):
                self._at_work[pid] = _AtWork(key, psutil.Process(pid), now, before, counts_since=now, alive=now)
        elif message == "advances":
            if pid in self._at_work:
                self._at_work[pid].share = before / SHARES
        elif pid in self._at_work:
            at_work = self._at_work[pid]
            at_work.counted = at_work.counted_seconds(now)
            at_work.counts_since = now if message == "counts" else None
            at_work.before = before

    def _look(self, now: float) -> None:
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        for_life = now - self._looked_for_life > LIFE_SECONDS
        if for_life:
            self._looked_for_life = now
        for pid, at_work in list(self._at_work.items()):
            try:
                self._look_at(at_work, now)
                if for_life:
                    self._look_for_life(at_work, now)
            except psutil.Error:
                del self._at_work[pid]

    def _look_at(self, at_work: _AtWork, now: float) -> None:
        if self._limits.is_late(at_work.counted_seconds(now), now - at_work.began):
            self._end(at_work, self._limits.timed_out(at_work.key))
            return
        if self._limits.memory is None or at_work.counts_since is None:
            return
        if self._limits.is_large(at_work.process.memory_info().rss - at_work.before):
            self._end(at_work, self._limits.too_large(at_work.key))

    def _end(self, at_work: _AtWork, outcome: TrialOutcome) -> None:
        """Kill a process, and what it has started, at once: it may hold the interpreter, or be stopped."""
        self._verdicts[at_work.key] = outcome
        del self._at_work[at_work.process.pid]
        started = []
        with contextlib.suppress(psutil.Error):
            started = at_work.process.children(recursive=True)
        for process in (at_work.process, *started):
            with contextlib.suppress(psutil.Error):
                process.kill()

    def _look_for_life(self, at_work: _AtWork, now: float) -> None:
        times = at_work.process.cpu_times()
        used = times.user + times.system
        if used != at_work.processor_seconds:
            at_work.processor_seconds, at_work.alive = used, now
        elif now - at_work.alive > limits.SILENT_SECONDS and not at_work.is_mentioned:
            at_work.is_mentioned = True
            is_stopped = at_work.process.status() == psutil.STATUS_STOPPED
            self._standstills.append(Standstill(at_work.process.pid, at_work.key, now - at_work.alive, is_stopped))
