"""Runs the trials of a plan that the store does not have yet, and stores each as it ends."""

import queue
import re
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from velodrome.agents.engine.compile_clock import COMPILE_CLOCK
from velodrome.experiments.running.registrations import pack_registrations
from velodrome.experiments.running.run_status import AgentStatus, ProgressCallback, RunStatus
from velodrome.experiments.running.trial_runner import TrialGroup, as_generic
from velodrome.experiments.running.worker_process import SentGroup, pack_group
from velodrome.experiments.running.workers import Event, Task, TrialEnded, Workers
from velodrome.experiments.specification.plan import Plan, PlannedTrial
from velodrome.experiments.storage.store import Store, TrialIdentity
from velodrome.experiments.storage.store_owner import StoreOwner
from velodrome.experiments.storage.trial_outcome import TrialOutcome
from velodrome.experiments.trials.measures import Measure
from velodrome.experiments.trials.side_by_side import copies_side_by_side
from velodrome.experiments.trials.trial import Checkpoints, runs_on_model

# A task of several short trials spares most of the hand-over.
TRIALS_PER_TASK = 8
# Tasks claimed in one transaction, for each worker; more of short trials, so that a claim lasts about so long.
CLAIMED_PER_WORKER = 8
CLAIM_LASTS_SECONDS = 0.5
WAIT_SECONDS = 0.2
# Between two commits, and so many times as long as one takes, for it waits for the disk. Trials of a millisecond are
# stored a few dozen at a time; slower ones as soon as they end.
COMMIT_SECONDS, LONGEST_COMMIT_SECONDS = 0.025, 0.25
COMMIT_RATIO = 10
CHECKPOINTS_FOLDER = "checkpoints"
_NUMBERS = re.compile(r"[\d.]+")
# Trials that run side by side have no checkpoints, and are so short; the same where nothing is saved.
CHECKPOINT_SECONDS = 300.0
# How often trials that another process has claimed are looked at again.
CLAIM_SECONDS = 1.0

# Called with each trial that ended in this run, after it was stored.
OutcomeCallback = Callable[[PlannedTrial, TrialOutcome], None]


@dataclass(frozen=True)
class Crew:
    """Workers for the compiled trials and workers for the others; they may be the same.

    Attributes:
        size: tasks that run at the same time.
        queued: tasks that wait in front of each worker, so that none runs dry while the manager writes.
        most_queued: of compiled trials, where they are short.
        compiled: for trials that run on a model.
        generic: for all others.
        side_by_side: whether `generic` takes tasks of trials that are run side by side.
    """

    size: int
    queued: int
    most_queued: int
    compiled: Workers
    generic: Workers
    side_by_side: bool = False

    @property
    def shares_compiler(self) -> bool:
        """Whether the compiled trials run in threads of this process, of which one at a time can compile."""
        return self.compiled is not self.generic

    def check(self) -> None:
        """Let the workers look for trials that take too long and for workers that are gone."""
        self.compiled.check()
        self.generic.check()

    def shares(self) -> dict[str, float]:
        """Share that is done of the trials that run, by key, where it is known."""
        return self.compiled.shares() | self.generic.shares()

    def stop(self) -> None:
        """End all workers now."""
        try:
            self.compiled.stop()
        finally:
            self.generic.stop()


class Manager:
    """Runs what is missing of a plan.

    Args:
        plan: agents × environments × seeds.
        store: results of trials; written only by the thread that calls `run`.
        provenance: identifier of how the trials are run.
        retry_failed: run failed trials again.
        checkpoint_every: seconds between two saves inside a trial of the generic loop; None for never.
        progress: called as trials end, and a few times a second.
        on_outcome: called with each trial that ended in this run.
        measures: of the user's own, to be computed of each trial.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        provenance: int,
        *,
        retry_failed: bool = False,
        checkpoint_every: float | None = None,
        progress: ProgressCallback | None = None,
        on_outcome: OutcomeCallback | None = None,
        measures: tuple[Measure, ...] = (),
    ) -> None:
        self._measures = measures
        self._plan, self._store, self._provenance = plan, store, provenance
        self._retry_failed, self._progress, self._on_outcome = retry_failed, progress, on_outcome
        self._checkpoints: Checkpoints | None = None
        if store.path is not None and checkpoint_every is not None:
            self._checkpoints = Checkpoints(store.path.parent.resolve() / CHECKPOINTS_FOLDER, checkpoint_every)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._groups: dict[tuple[str, str], TrialGroup] = {}
        self._payloads: dict[tuple[str, str], bytes] = {}
        # Trials that are the same as another but for their labels: they run once.
        self._twins: dict[str, list[PlannedTrial]] = {}
        self._at_work = _AtWork()
        self._next_commit = 0.0
        # Tasks of each worker in a claim, when the last was, and how many trials had ended then.
        self._claim_size, self._claimed_at, self._ended_at_claim = CLAIMED_PER_WORKER, 0.0, 0
        # Loops (see `_loop_of`) of which a trial has ended, and the one that may be compiled now.
        self._compiled: set[str] = set()
        self._compiling: str | None = None
        self._compile_seconds_before = COMPILE_CLOCK.seconds
        self._elsewhere: list[PlannedTrial] = []
        self._is_side_by_side = False
        self.status = RunStatus()

    def report(self, event: Event) -> None:
        """Where workers put their events, from any thread."""
        self._events.put(event)

    def missing(self) -> list[PlannedTrial]:
        """Trials that have to be run; `status` then says how many there are and how many need not."""
        ended = self._store.statuses([trial.key for trial in self._plan.trials])
        self.status = RunStatus(agents={label: AgentStatus() for label in self._plan.agents})
        missing: dict[str, PlannedTrial] = {}
        for trial in self._plan.trials:
            self.status.total += 1
            self.status.agents[trial.agent].total += 1
            status = ended.get(trial.key)
            if status is not None and (status == "done" or not self._retry_failed):
                self._count(trial, status, is_reused=True)
            elif trial.key in missing:
                self._twins.setdefault(trial.key, []).append(trial)
            else:
                missing[trial.key] = trial
        return list(missing.values())

    def run(self, missing: Sequence[PlannedTrial], crew: Crew) -> RunStatus:
        """Run trials with `crew`, which is stopped at the end; whatever has ended is stored, come what may."""
        try:
            self._tell()
            if self._store.path is None:
                self._run(missing, crew, None)
            else:
                with StoreOwner(self._store.path.parent) as owner:
                    try:
                        self._release_the_gone(owner)
                        self._run(missing, crew, owner)
                    finally:
                        self._store.release(owner.name)
        finally:
            # Workers of a run that fails before its loop; stopping twice does nothing.
            crew.stop()
        return self.status

    # What workers need

    def group(self, agent: str, environment: str) -> TrialGroup:
        """Group of the trials of an agent on an environment, with all that they share."""
        pair = agent, environment
        if pair not in self._groups:
            profile, budget = self._plan.environments[environment].profile, self._plan.budget(agent, environment)
            configuration = self._plan.agents[agent].agent
            self._groups[pair] = TrialGroup(
                agent, configuration, profile, budget, checkpoints=self._checkpoints, measures=self._measures
            )
        return self._groups[pair]

    def payload(self, agent: str, environment: str) -> bytes:
        """The same for another process."""
        pair = agent, environment
        if pair not in self._payloads:
            place, group = self._plan.environments[environment], self.group(agent, environment)
            self._payloads[pair] = pack_group(
                SentGroup(
                    agent, group.agent, environment, place.make, place.success, group.budget, group.is_generic,
                    group.note, group.checkpoints, pack_registrations(place.profile.spec_id), group.measures,
                )
            )  # fmt: skip
        return self._payloads[pair]

    # The loop

    def _run(self, missing: Sequence[PlannedTrial], crew: Crew, owner: StoreOwner | None) -> None:
        self._is_side_by_side = crew.side_by_side
        waiting, compiled, generic = self._tasks(missing, crew.size), deque[Task](), deque[Task]()
        looked_at = time.monotonic()
        is_interrupted = False
        try:
            while waiting or compiled or generic or self._at_work or self._elsewhere:
                if owner is not None and self._elsewhere and time.monotonic() - looked_at > CLAIM_SECONDS:
                    looked_at = time.monotonic()
                    self._release_the_gone(owner)
                    waiting.extend(self._tasks(self._elsewhere, crew.size))
                    self._elsewhere = []
                if waiting and len(compiled) + len(generic) < crew.size:
                    self._fit_claim(crew)
                    chosen = self._next_tasks(waiting, crew.size * self._claim_size, crew)
                    for task in self._claim(chosen, owner):
                        (compiled if self._is_compiled(task.agent, task.environment) else generic).append(task)
                self._submit(crew, compiled, generic)
                generic.extend(self._handle(self._collect(crew)))
                crew.check()
                self._tell(crew)
        except KeyboardInterrupt:
            is_interrupted = True
            raise
        finally:
            # Before the last events are read, for workers that go on would send more.
            crew.stop()
            self._handle(self._drain())
            if is_interrupted:
                # It may have come after trials were stored and before they were counted.
                reused, steps = self.status.reused, self.status.steps
                self.missing()
                self.status.reused, self.status.steps = reused, steps
            self._tell()

    def _tasks(self, trials: Sequence[PlannedTrial], size: int) -> deque[Task]:
        """Tasks in the order in which they run: a few seeds of every agent, then the next few.

        Towards the end tasks become smaller, so that the last of `size` workers does not keep the others waiting.
        """
        by_pair: dict[tuple[str, str], list[PlannedTrial]] = {}
        for trial in trials:
            by_pair.setdefault((trial.agent, trial.environment), []).append(trial)
        tasks = self._side_by_side_tasks(by_pair)
        rounds = max((len(some) for some in by_pair.values()), default=0)
        left = sum(len(some) for some in by_pair.values())
        for start in range(0, rounds, TRIALS_PER_TASK):
            for (agent, environment), some in by_pair.items():
                few = some[start : start + TRIALS_PER_TASK]
                while few:
                    together = min(TRIALS_PER_TASK, left // (4 * size)) if self._is_compiled(agent, environment) else 1
                    together = max(1, together)
                    tasks.append(Task(agent, environment, tuple(few[:together])))
                    left -= len(few[:together])
                    few = few[together:]
        return tasks

    def _side_by_side_tasks(self, by_pair: dict[tuple[str, str], list[PlannedTrial]]) -> deque[Task]:
        """Tasks of trials that are run side by side, which are taken out of `by_pair`; they come first, being long."""
        tasks = deque[Task]()
        if not self._is_side_by_side:
            return tasks
        every = CHECKPOINT_SECONDS if self._checkpoints is None else self._checkpoints.every_seconds
        for pair, some in list(by_pair.items()):
            group = self.group(*pair)
            together = copies_side_by_side(group.agent, group.profile, group.budget, len(some), every)
            if together > 1 and not group.is_generic:
                del by_pair[pair]
                parts = [tuple(some[start : start + together]) for start in range(0, len(some), together)]
                tasks.extend(Task(*pair, part, is_side_by_side=True) for part in parts)
        return tasks

    def _is_compiled(self, agent: str, environment: str) -> bool:
        group = self.group(agent, environment)
        return not group.is_generic and runs_on_model(group.agent, group.profile)

    def _fit_claim(self, crew: Crew) -> None:
        """Claim more at a time where trials are short, fewer where they are long, as others may want to run them."""
        now, ended = time.monotonic(), self.status.finished
        # Until all is compiled the next to compile is not to wait behind many others.
        if self._compiling is None and ended > self._ended_at_claim:
            is_short = now - self._claimed_at < CLAIM_LASTS_SECONDS
            size = self._claim_size * 2 if is_short else self._claim_size // 2
            self._claim_size = min(max(size, CLAIMED_PER_WORKER), max(crew.most_queued, CLAIMED_PER_WORKER))
        self._claimed_at, self._ended_at_claim = now, ended

    def _next_tasks(self, waiting: deque[Task], number: int, crew: Crew) -> list[Task]:
        """Up to `number` tasks in order, among them only one of which a worker may have to compile the loop.

        A second worker with such a one would wait for the first, while there are trials that it could run.
        """
        chosen: list[Task] = []
        passed: list[Task] = []
        while waiting and len(chosen) < number:
            task = waiting.popleft()
            loop = self._loop_of(task) if crew.shares_compiler else None
            if loop is None or loop in self._compiled:
                chosen.append(task)
            elif self._compiling is None:
                self._compiling = loop
                chosen.insert(0, task)
            else:
                passed.append(task)
        waiting.extendleft(reversed(passed))
        return chosen

    def _loop_of(self, task: Task) -> str | None:
        """Text that agents have in common whose trials share a compiled loop; None in the generic loop."""
        if not self._is_compiled(task.agent, task.environment):
            return None
        # Nearly so: what their numbers are makes no difference, nor how many there are of most.
        return _NUMBERS.sub("", self._plan.agents[task.agent].expression)

    def _note_compiled(self, loop: str | None) -> None:
        if loop is not None:
            self._compiled.add(loop)
        if loop == self._compiling:
            self._compiling = None

    def _claim(self, tasks: list[Task], owner: StoreOwner | None) -> list[Task]:
        """The tasks without the trials that have ended meanwhile or that another process runs."""
        if owner is None or not tasks:
            return tasks
        trials = [trial for task in tasks for trial in task.trials]
        claimed, ended = self._store.claim([trial.key for trial in trials], owner.name, again=self._retry_failed)
        ours = set(claimed)
        for trial in trials:
            if trial.key in ended:
                for twin in (trial, *self._twins.get(trial.key, ())):
                    self._count(twin, ended[trial.key], is_reused=True)
            elif trial.key not in ours:
                self._elsewhere.append(trial)
        left = [replace(task, trials=tuple(trial for trial in task.trials if trial.key in ours)) for task in tasks]
        for task in left:
            if not task.trials and self._compiling is not None and self._loop_of(task) == self._compiling:
                self._compiling = None
        return [task for task in left if task.trials]

    def _release_the_gone(self, owner: StoreOwner) -> None:
        """Free what processes that are no more had claimed."""
        for other in self._store.owners():
            if owner.is_gone(other):
                self._store.release(other)

    def _submit(self, crew: Crew, compiled: deque[Task], generic: deque[Task]) -> None:
        """Keep all workers busy; generic trials have the cores that compiled ones leave free."""
        full = crew.size * (1 + crew.queued)
        most = crew.size * (1 + min(max(crew.queued, self._claim_size), crew.most_queued))
        while compiled and self._at_work.compiled < most:
            task = compiled.popleft()
            self._at_work.add(task, is_compiled=True)
            crew.compiled.submit(task)
        while generic:
            busy = self._at_work.compiled
            if self._at_work.generic >= (full if busy == 0 else crew.size - min(crew.size, busy)):
                break
            task = generic.popleft()
            self._at_work.add(task, is_compiled=False)
            crew.generic.submit(task)

    def _collect(self, crew: Crew) -> list[Event]:
        """Events of the workers; waits a little for the first, and for others right after a commit."""
        try:
            first = self._events.get(timeout=WAIT_SECONDS)
        except queue.Empty:
            return []
        if crew.queued and self._compiling is None:
            # Half of the trials is left for the workers while these are stored.
            enough = self._at_work.num_trials // 2
            while (early := self._next_commit - time.monotonic()) > 0 and self._events.qsize() < enough:
                time.sleep(min(early, COMMIT_SECONDS))
        return [first, *self._drain()]

    def _drain(self) -> list[Event]:
        events: list[Event] = []
        try:
            while True:
                events.append(self._events.get_nowait())
        except queue.Empty:
            return events

    def _handle(self, events: Iterable[Event]) -> list[Task]:
        """Store the trials that have ended; returns tasks that have to be run in the generic loop."""
        ended: list[TrialEnded] = []
        returned: list[Task] = []
        for event in events:
            if not isinstance(event, TrialEnded):
                self._note_compiled(self._loop_of(event.task))
                returned += self._make_generic(event.task, event.reason)
            elif self._at_work.remove(event.trial.key):
                ended.append(event)
                self._note_compiled(self._loop_of(Task(event.trial.agent, event.trial.environment, ())))
        if ended:
            started = time.monotonic()
            self._store.record(((self._identity(event.trial), event.outcome) for event in ended), self._provenance)
            took = time.monotonic() - started
            pause = min(max(COMMIT_SECONDS, COMMIT_RATIO * took), LONGEST_COMMIT_SECONDS)
            self._next_commit = started + took + pause
        for event in ended:
            self.status.steps += int(event.outcome.metrics.get("steps", 0))
            for twin in (event.trial, *self._twins.get(event.trial.key, ())):
                self._count(twin, event.outcome.status)
            if self._on_outcome is not None:
                self._on_outcome(event.trial, event.outcome)
        return returned

    def _make_generic(self, task: Task, reason: str) -> list[Task]:
        """Tasks of single trials for the generic loop, because their policy cannot be compiled."""
        pair = task.agent, task.environment
        group = self.group(*pair)
        if not group.is_generic:
            self._groups[pair] = group = as_generic(group, reason)
            self._payloads.pop(pair, None)
            warnings.warn(f"{task.agent} {group.note}, some hundred times slower", stacklevel=2)
        for trial in task.trials:
            self._at_work.remove(trial.key)
        return [replace(task, trials=(trial,)) for trial in task.trials]

    def _identity(self, trial: PlannedTrial) -> TrialIdentity:
        return TrialIdentity(
            self._plan.keys(trial.agent, trial.environment).specification(trial.seed),
            self._plan.agents[trial.agent].expression,
            self._plan.environments[trial.environment].expression,
            trial.seed,
        )

    def _count(self, trial: PlannedTrial, status: str, *, is_reused: bool = False) -> None:
        for counts in (self.status, self.status.agents[trial.agent]):
            counts.finished += 1
            counts.failed += status != "done"
        self.status.reused += is_reused

    def _tell(self, crew: Crew | None = None) -> None:
        if self._progress is not None:
            self.status.under_way = 0.0
            for agent_status in self.status.agents.values():
                agent_status.under_way = 0.0
            for key, share in ({} if crew is None else crew.shares()).items():
                agent = self._at_work.agent_of(key)
                if agent is not None:
                    self.status.under_way += share
                    self.status.agents[agent].under_way += share
            self.status.is_compiling = COMPILE_CLOCK.is_running
            self.status.compile_seconds = COMPILE_CLOCK.seconds - self._compile_seconds_before
            self._progress(self.status)


class _AtWork:
    """Tasks that workers have, until the last of their trials has ended."""

    def __init__(self) -> None:
        self._task_of: dict[str, int] = {}
        self._agents: dict[int, str] = {}
        self._left: Counter[int] = Counter()
        self._compiled: set[int] = set()
        self._added = 0

    def __bool__(self) -> bool:
        return bool(self._task_of)

    @property
    def num_trials(self) -> int:
        """Number of trials that have not ended."""
        return len(self._task_of)

    @property
    def compiled(self) -> int:
        """Number of tasks of compiled trials."""
        return len(self._compiled)

    @property
    def generic(self) -> int:
        """Number of the other tasks."""
        return len(self._left) - len(self._compiled)

    def add(self, task: Task, *, is_compiled: bool) -> None:
        self._added += 1
        self._task_of |= {trial.key: self._added for trial in task.trials}
        self._left[self._added] = len(task.trials)
        self._agents[self._added] = task.agent
        if is_compiled:
            self._compiled.add(self._added)

    def agent_of(self, key: str) -> str | None:
        """Label of the agent of a trial that is at work; None where it is not."""
        number = self._task_of.get(key)
        return None if number is None else self._agents[number]

    def remove(self, key: str) -> bool:
        """Whether a trial was at work; from now on it is not."""
        number = self._task_of.pop(key, None)
        if number is None:
            return False
        self._left[number] -= 1
        if not self._left[number]:
            del self._left[number], self._agents[number]
            self._compiled.discard(number)
        return True
