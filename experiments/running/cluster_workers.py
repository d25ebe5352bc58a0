"""Workers of a Dask cluster: trials of any kind, on one machine or on many."""

import asyncio
import contextlib
import itertools
import secrets
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import Any

from velodrome.experiments.errors import ExperimentError, ExperimentWarning
from velodrome.experiments.running import limits
from velodrome.experiments.running.cluster_connection import ClusterConnection
from velodrome.experiments.running.cluster_trials import SentOutcomes, SentTrials, run_sent_trials
from velodrome.experiments.running.limits import TrialLimits, died
from velodrome.experiments.running.trial_runner import failed_outcome
from velodrome.experiments.running.workers import Report, Task, TrialEnded

# Longer payloads are sent once and passed on from worker to worker; shorter ones go along with each task.
LONG_PAYLOAD = 100_000
# Dask blames a worker's death on all tasks that it was given, and we on the trial that was running; where that cannot
# be seen, because the worker died faster than it could tell, a trial is blamed after so many of Dask's verdicts.
MAX_VERDICTS = 5
# A worker that has said nothing for so long, and whose trial is late, cannot be talked to.
STUCK_SECONDS = 60.0
# Dask's reason for which futures are cancelled.
_CONNECTION_LOST = "scheduler-connection-lost"
RESTART_SECONDS = 30.0


@dataclass(eq=False)
class _Sent:
    """A task on the cluster, and which of its trials runs where since when, as far as known.

    Attributes:
        heard: when its worker has last said something.
    """

    task: Task
    future: Any
    trial: str = ""
    worker: str = ""
    since: float = 0.0
    heard: float = 0.0
    is_mentioned: bool = False


class ClusterWorkers:
    """Workers of a Dask cluster. Trials of a worker that is killed are run again by another.

    Args:
        cluster: "local:N", "tcp://host:port" or "tls://host:port" of a scheduler, or a Dask client.
        payload: what the trials of an agent (label) and environment (label) share, pickled.
        report: takes events.
        trial_limits: what a trial may use.

    Attributes:
        size: tasks that shall run at the same time.

    Raises:
        ExperimentError: the cluster cannot be reached or cannot run our trials.
    """

    def __init__(
        self, cluster: Any, payload: Callable[[str, str], bytes], report: Report, trial_limits: TrialLimits
    ) -> None:
        self._payload, self._report, self._limits = payload, report, trial_limits
        self._version = version("velodrome")
        self._connection = ClusterConnection(cluster)
        self._client, self.size = self._connection.client, self._connection.size
        self._name = f"velodrome-{secrets.token_hex(8)}"
        self._numbers = itertools.count()
        # Guards what the client's thread and the manager's share.
        self._lock = threading.Lock()
        self._sent: dict[int, _Sent] = {}
        self._returned: list[Task] = []
        self._payloads: dict[bytes, Any] = {}
        self._starts: Counter[str] = Counter()
        self._verdicts: Counter[str] = Counter()
        self._broken = ""
        self._is_stopped = False
        self._client.subscribe_topic(self._name, self._note)

    def submit(self, task: Task) -> None:
        number = next(self._numbers)
        payload = self._payload(task.agent, task.environment)
        trials = SentTrials(
            number,
            tuple((trial.key, trial.seed) for trial in task.trials),
            self._limits,
            self._name,
            self._version,
        )
        sendable = self._sendable(payload)
        with self._lock:
            future = self._client.submit(run_sent_trials, sendable, trials, key=f"{self._name}-{number}", pure=False)
            self._sent[number] = _Sent(task, future)
        asyncio.run_coroutine_threadsafe(self._follow(number, future), self._client.loop.asyncio_loop)

    def shares(self) -> dict[str, float]:
        return {}

    def check(self) -> None:
        if self._broken:
            raise ExperimentError(self._broken)
        with self._lock:
            returned, self._returned = self._returned, []
        for task in returned:
            self.submit(task)
        self._mention_silent()
        if self._limits.seconds is not None:
            self._give_up_stuck()

    def stop(self) -> None:
        if self._is_stopped:
            return
        self._is_stopped = True
        with self._lock:
            futures = [sent.future for sent in self._sent.values()]
            self._sent.clear()
        futures += self._payloads.values()
        self._payloads.clear()
        if self._client.status == "running":
            with contextlib.suppress(Exception):
                self._client.unsubscribe_topic(self._name)
                self._client.cancel(futures)
        self._connection.close()

    def _sendable(self, payload: bytes) -> Any:
        """A payload, or a future of it that any worker can make again."""
        if len(payload) < LONG_PAYLOAD:
            return payload
        if payload not in self._payloads:
            key = f"{self._name}-payload-{len(self._payloads)}"
            self._payloads[payload] = self._client.submit(bytes, payload, key=key, pure=False)
        return self._payloads[payload]

    # In the client's thread

    def _note(self, event: tuple[float, dict[str, Any]]) -> None:
        said, now = event[1], time.monotonic()
        with self._lock:
            sent = self._sent.get(said["task"])
            if sent is None:
                return
            sent.heard, sent.is_mentioned = now, False
            if said["begins"]:
                sent.trial, sent.worker, sent.since = said["trial"], said["worker"], now
                self._starts[sent.trial] += 1

    async def _follow(self, number: int, future: Any) -> None:
        """Wait for the end of a task and report its trials."""
        from distributed import KilledWorker

        result: SentOutcomes | None = None
        error: Exception | None = None
        try:
            result = await self._client.gather(future)
        except Exception as caught:
            error = caught
        with self._lock:
            sent = self._sent.pop(number, None)
        if sent is None or self._is_stopped:
            # Its trials were given up.
            return
        if result is not None:
            self._finish(sent.task, result.outcomes)
            if result.to_restart is not None:
                await self._restart(result.to_restart)
        elif isinstance(error, KilledWorker):
            self._judge(sent.task, error.allowed_failures + 1)
        elif isinstance(error, CancelledError):
            self._broken = self._why_cancelled(getattr(error, "reason", "unknown reason"))
        elif isinstance(error, OSError) and future.status != "error":
            # The scheduler died after it had said that the task is done: no failure of the trials.
            self._broken = self._why_cancelled(_CONNECTION_LOST)
        elif isinstance(error, ImportError | ExperimentError):
            self._broken = f"cluster: {' '.join(str(error).split())}"
        elif error is not None:
            self._finish(sent.task, [failed_outcome(trial.key, error) for trial in sent.task.trials])

    def _why_cancelled(self, reason: str) -> str:
        lost = "lost the connection to the cluster"
        what = lost if reason == _CONNECTION_LOST else f"the cluster cancelled the run ({reason})"
        return f"{what}: {self._connection.address}; run again to go on from what is stored"

    def _finish(self, task: Task, outcomes: Any) -> None:
        """Report the first trials of a task; the others are sent again."""
        ended = task.trials[: len(outcomes)]
        if rest := task.trials[len(outcomes) :]:
            self._return([replace(task, trials=rest)])
        for trial, outcome in zip(ended, outcomes, strict=True):
            with self._lock:
                self._starts.pop(trial.key, None)
                self._verdicts.pop(trial.key, None)
            self._report(TrialEnded(trial, outcome))

    def _judge(self, task: Task, deaths: int) -> None:
        """After several workers have died that had a task: blame the trial that was running each time."""
        if len(task.trials) > 1:
            with self._lock:
                for trial in task.trials:
                    self._starts.pop(trial.key, None)
            self._return([replace(task, trials=(trial,)) for trial in task.trials])
            return
        (trial,) = task.trials
        with self._lock:
            self._verdicts[trial.key] += 1
            is_guilty = self._starts[trial.key] >= deaths or self._verdicts[trial.key] >= MAX_VERDICTS
        if is_guilty:
            self._finish(task, [died(trial.key, deaths)])
        else:
            self._return([task])

    def _return(self, tasks: list[Task]) -> None:
        with self._lock:
            self._returned += tasks

    async def _restart(self, worker: str) -> None:
        """End a worker process in which a trial that was given up still runs; its nanny starts another."""
        with contextlib.suppress(Exception):
            await self._client.restart_workers([worker], timeout=RESTART_SECONDS, raise_for_error=False)

    # In the manager's thread

    def _mention_silent(self) -> None:
        """Say of each worker that is in a trial and has said nothing for long who it is and what it does, once."""
        with self._lock:
            late = time.monotonic() - limits.SILENT_SECONDS
            silent = [
                sent for sent in self._sent.values() if sent.trial and sent.heard < late and not sent.is_mentioned
            ]
            for sent in silent:
                sent.is_mentioned = True
        for sent in silent:
            (trial,) = (trial for trial in sent.task.trials if trial.key == sent.trial)
            warnings.warn(
                f"the worker {sent.worker} has said nothing for {limits.SILENT_SECONDS:g} s, in {trial.agent} on "
                f"{trial.environment}, seed {trial.seed}: its process is stopped, cut off or deep in another library",
                ExperimentWarning,
                stacklevel=3,
            )

    def _give_up_stuck(self) -> None:
        """Give up trials whose worker hangs as a whole, because they never let go of the interpreter."""
        now = time.monotonic()
        with self._lock:
            stuck = {
                number: sent
                for number, sent in self._sent.items()
                if sent.trial and now - sent.heard > STUCK_SECONDS and self._limits.is_late(now - sent.since, 0.0)
            }
            for number in stuck:
                del self._sent[number]
        for sent in stuck.values():
            (trial,) = (trial for trial in sent.task.trials if trial.key == sent.trial)
            others = tuple(other for other in sent.task.trials if other != trial)
            self._finish(replace(sent.task, trials=(trial, *others)), [self._limits.timed_out(trial.key)])
            self._client.cancel([sent.future])
            self._client.loop.add_callback(partial(self._restart, sent.worker))
