"""Workers that are threads of this process: for compiled trials, which run with the interpreter's lock released."""

import queue
import threading
from collections.abc import Callable

from velodrome.agents.engine.compiler import NotCompilableError
from velodrome.agents.engine.interruption import Interruption, TrainingInterruptedError, interruptible
from velodrome.experiments.running.side_by_side import run_side_by_side
from velodrome.experiments.running.trial_runner import TrialGroup, failed_outcome, run_to_outcomes
from velodrome.experiments.running.workers import NotCompiled, Report, Task, TrialEnded
from velodrome.experiments.specification.plan import PlannedTrial
from velodrome.experiments.storage.trial_outcome import TrialOutcome

# A compiled loop asks ten times a second whether to stop; a thread that has not stopped so long after its time is
# over is inside something that never asks.
GRACE_SECONDS = 5.0


class _Thread:
    """One worker thread; it is abandoned where a trial does not come back."""

    def __init__(self, run: Callable[["_Thread"], None]) -> None:
        self.trial: PlannedTrial | None = None
        self.rest: list[PlannedTrial] = []
        self.trials: list[PlannedTrial] = []
        self.task: Task | None = None
        self.interruption: Interruption | None = None
        self.is_abandoned = False
        # A daemon, so that a trial that never comes back does not keep the program from ending.
        self.thread = threading.Thread(target=run, args=(self,), name="velodrome-trials", daemon=True)


class ThreadWorkers:
    """Threads of this process.

    Args:
        number: of threads.
        group: what the trials of an agent (label) and environment (label) share.
        report: takes events.
        timeout: seconds that a trial may take, compiling not counted, or None.
    """

    def __init__(
        self, number: int, group: Callable[[str, str], TrialGroup], report: Report, timeout: float | None = None
    ) -> None:
        self._group, self._report, self._timeout = group, report, timeout
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        # Guards who reports a trial: its thread, or the check that gives the thread up.
        self._lock = threading.Lock()
        self._threads = [_Thread(self._work) for _ in range(number)]
        for worker in self._threads:
            worker.thread.start()

    def submit(self, task: Task) -> None:
        self._tasks.put(task)

    def check(self) -> None:
        if self._timeout is None:
            return
        for place, worker in enumerate(self._threads):
            with self._lock:
                trial, interruption = worker.trial, worker.interruption
                if trial is None or interruption is None or interruption.elapsed() < self._timeout + GRACE_SECONDS:
                    continue
                worker.is_abandoned = True
                task, rest = worker.task, worker.rest
            text = f"took longer than {self._timeout:g} s and does not stop: its thread was given up"
            self._report(TrialEnded(trial, TrialOutcome(trial.key, "timed out", error=text)))
            if rest and task is not None:
                self._tasks.put(Task(task.agent, task.environment, tuple(rest)))
            self._threads[place] = replacement = _Thread(self._work)
            replacement.thread.start()

    def shares(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for worker in self._threads:
            interruption = worker.interruption
            if interruption is not None and not worker.is_abandoned:
                found |= {trial.key: interruption.share for trial in worker.trials[: interruption.runs]}
        return found

    def stop(self) -> None:
        self._stop.set()
        for _ in self._threads:
            self._tasks.put(None)
        for worker in self._threads:
            worker.thread.join(GRACE_SECONDS)

    def _work(self, worker: _Thread) -> None:
        while not self._stop.is_set():
            task = self._tasks.get()
            if task is None:
                return
            worker.task, worker.rest = task, list(task.trials)
            while worker.rest and not self._stop.is_set():
                group = self._group(task.agent, task.environment)
                if group.is_generic:
                    # Another task of the same agent found out.
                    self._report(NotCompiled(Task(task.agent, task.environment, tuple(worker.rest)), group.note))
                    break
                # Together they take one after the other's time: where that is limited, each runs by itself.
                together = 1 if self._timeout is not None else len(worker.rest)
                trials, worker.rest = worker.rest[:together], worker.rest[together:]
                with self._lock:
                    worker.trial, worker.trials = trials[0], trials
                    worker.interruption = Interruption(self._stop, self._timeout)
                try:
                    with interruptible(worker.interruption):
                        self._run(worker, group, trials)
                except TrainingInterruptedError:
                    return
                except NotCompilableError as error:
                    left = Task(task.agent, task.environment, (*trials, *worker.rest))
                    worker.trial, worker.rest = None, []
                    self._report(NotCompiled(left, str(error)))
                    break
                if worker.is_abandoned:
                    return

    def _run(self, worker: _Thread, group: TrialGroup, trials: list[PlannedTrial]) -> None:
        """Run trials and report each; those that have been reported are taken out of the list."""
        outcomes = run_to_outcomes(group, tuple(trials), on_model_only=True)
        while trials and not self._stop.is_set():
            trial = trials[0]
            try:
                outcome = next(outcomes)
            except (NotCompilableError, TrainingInterruptedError):
                raise
            except BaseException as error:
                # Ctrl-C reaches the main thread only: this is the trial's own doing.
                outcome = failed_outcome(trial.key, error)
                outcomes = run_to_outcomes(group, trials[1:], on_model_only=True)
            with self._lock:
                if worker.is_abandoned:
                    return
                worker.trial = trials[1] if len(trials) > 1 else None
            del trials[0]
            self._report(TrialEnded(trial, outcome))


class InlineWorkers:
    """No workers: trials run in the thread that submits them, where a debugger sees them."""

    def __init__(self, group: Callable[[str, str], TrialGroup], report: Report) -> None:
        self._group, self._report = group, report

    def submit(self, task: Task) -> None:
        group = self._group(task.agent, task.environment)
        if task.is_side_by_side:
            found = run_side_by_side(group, [(trial.key, trial.seed) for trial in task.trials])
            if found is not None:
                for trial, outcome in zip(task.trials, found, strict=True):
                    self._report(TrialEnded(trial, outcome))
                return
        outcomes = run_to_outcomes(group, task.trials, on_model_only=not group.is_generic)
        for place, trial in enumerate(task.trials):
            try:
                outcome = next(outcomes)
            except NotCompilableError as error:
                self._report(NotCompiled(Task(task.agent, task.environment, task.trials[place:]), str(error)))
                return
            self._report(TrialEnded(trial, outcome))

    def shares(self) -> dict[str, float]:
        """None: nothing runs while somebody asks."""
        return {}

    def check(self) -> None:
        """Nothing to look for: a trial is over when `submit` returns."""

    def stop(self) -> None:
        """Nothing to end."""
