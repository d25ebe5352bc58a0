"""Runs stored trials again and says whether they come out as they are stored."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from velodrome.agents.engine.seeding import check_seed
from velodrome.agents.errors import check_count
from velodrome.agents.training_log import TRAINING_CPU_SECONDS, Curve
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.running.crew import check_workers, make_crew
from velodrome.experiments.running.manager import Manager
from velodrome.experiments.running.run_status import ProgressCallback
from velodrome.experiments.specification.plan import PlannedTrial
from velodrome.experiments.specification.stored_plan import StoredPlanMaker
from velodrome.experiments.storage.episode_curves import EpisodeCurves
from velodrome.experiments.storage.provenance import package_versions
from velodrome.experiments.storage.snapshot_rows import pack_snapshots
from velodrome.experiments.storage.store import Store
from velodrome.experiments.storage.store_schema import METRICS
from velodrome.experiments.storage.trial_outcome import TrialOutcome, failure_reason

# Those that decide what a trial gives; the others of a provenance are not in its way.
_DECISIVE_PACKAGES = ("python", "velodrome", "gymnasium", "numpy", "numba")
_BATCH = 500


@dataclass(frozen=True)
class TrialRemark:
    """Finding about one trial.

    Attributes:
        key: of the trial.
        agent: its label, in the latest experiment that has the trial.
        environment: likewise.
        seed: of the trial.
        remarks: what differs, each in a line, or why the trial was not run again.
    """

    key: str
    agent: str
    environment: str
    seed: int
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Verification:
    """Findings about stored trials that were run again.

    Attributes:
        reproduced: number of trials that gave what is stored, to the byte.
        differing: trials that did not.
        not_verified: trials that could not be run again, and why.
        stored: trials of the store (or the experiment) that are done; more than the others together if they are a
            sample.
        failed: trials that failed or timed out; they are not run again.
        other_versions: package to the versions of it with which trials were stored, where they are not today's.
        content_digest: of the whole store, see `Store.content_digest`.
    """

    reproduced: int
    differing: tuple[TrialRemark, ...]
    not_verified: tuple[TrialRemark, ...]
    stored: int
    failed: int
    other_versions: Mapping[str, tuple[str, ...]]
    content_digest: str

    @property
    def has_reproduced(self) -> bool:
        """Whether trials were run again and all of them gave what is stored."""
        return self.reproduced > 0 and not self.differing

    def lines(self) -> Iterator[str]:
        """The findings, for people; the last line is the sum."""
        for trial in self.differing:
            yield f"differs: {trial.agent} on {trial.environment}, seed {trial.seed}: {'; '.join(trial.remarks)}"
        skipped = Counter((trial.agent, trial.environment, trial.remarks[0]) for trial in self.not_verified)
        for (agent, environment, reason), number in skipped.items():
            yield f"not verified: {_trials(number)} of {agent} on {environment}: {reason}"
        if self.failed:
            yield f"not run again: {_trials(self.failed)} that failed"
        if self.other_versions:
            now = package_versions()
            known = [(package, " and ".join(stored)) for package, stored in self.other_versions.items()]
            yield f"stored with {', '.join(f'{package} {text}, now {now[package]}' for package, text in known)}"
        yield f"content digest {self.content_digest}"
        run_again = self.reproduced + len(self.differing)
        total = run_again + len(self.not_verified)
        skipped_text = f", {len(self.not_verified)} not verified" if self.not_verified else ""
        sample_text = f" (a sample of {total} from {self.stored})" if total < self.stored else ""
        yield f"{self.reproduced} of {run_again} trials reproduce{skipped_text}{sample_text}"


def verify(
    directory: str | Path,
    *,
    sample: int | None = None,
    seed: int = 0,
    experiment: str | None = None,
    workers: int | None = None,
    progress: ProgressCallback | None = None,
) -> Verification:
    """Run stored trials again, and compare their metrics (but for times) and curves with what is stored, to the byte.

    They are made anew from their stored specification: the modules that it names (`module:Name`) are imported and run,
    and so are the programs of scripts, from the current folder first, so verify no store of a stranger whose code you
    would not run. A warning comes before a module or program that stands in the store's own folder. Nothing is written
    to the store.

    Args:
        directory: folder of the store.
        sample: number of trials, drawn without replacement; all that are done if None.
        seed: of the draw.
        experiment: its name, for its trials alone; the whole store if None.
        workers: trials that run at the same time, the machine's cores if None; 0 for none but the calling thread.
        progress: called with the state of the run, a few times a second.

    Raises:
        BudgetError: `sample` is no number of trials.
        StoreError: the store is missing, damaged, foreign or newer than this release, or has no such experiment.
        ExperimentError: no trial is done, or `workers` is no number of them.
    """
    size = check_workers(workers)
    sample = None if sample is None else check_count("sample", sample)
    generator = np.random.default_rng(check_seed(seed))
    with Store.open_for_reading(directory) as store, Store.in_memory() as reruns:
        labelled = _labelled(store, experiment)
        statuses = store.statuses(labelled)
        done = [trial for key, trial in labelled.items() if statuses.get(key) == "done"]
        if not done:
            raise ExperimentError(f"{store.path} holds no trial that is done: there is nothing to verify")
        drawn = done
        if sample is not None and sample < len(done):
            # From sorted keys, so that the same trials give the same draw, whichever experiment ran last.
            keys = sorted(trial.key for trial in done)
            chosen = {keys[place] for place in generator.choice(len(keys), sample, replace=False)}
            drawn = [trial for trial in done if trial.key in chosen]
        maker, not_verified, ways = StoredPlanMaker(Path(directory)), [], set()
        for first in range(0, len(drawn), _BATCH):
            batch = drawn[first : first + _BATCH]
            rows = store.trials([trial.key for trial in batch])
            for trial in batch:
                ways.add(int(rows[trial.key]["provenance"]))
                reason = maker.add(trial, rows[trial.key])
                if reason is not None:
                    not_verified.append(_remark(trial, (reason,)))
        comparison = _Comparison(store, reruns)
        manager = Manager(
            maker.plan(experiment or "verify"), reruns, reruns.add_provenance({}), progress=progress,
            on_outcome=comparison.compare,
        )  # fmt: skip
        missing = manager.missing()
        if missing:
            manager.run(missing, make_crew(manager, missing, size))
        differing = [_remark(trial, comparison.found[trial.key]) for trial in drawn if trial.key in comparison.found]
        return Verification(
            comparison.reproduced,
            tuple(differing),
            tuple(not_verified),
            len(done),
            sum(status != "done" for status in statuses.values()),
            _other_versions([store.provenance(way) for way in sorted(ways)]),
            store.content_digest(),
        )


class _Comparison:
    """Compares each trial with the stored one as it ends, and keeps what differs.

    Args:
        store: what is stored.
        reruns: what was run again; each trial is dropped once it is compared, so that memory stays flat.
    """

    def __init__(self, store: Store, reruns: Store) -> None:
        self._store, self._reruns = store, reruns
        self.reproduced = 0
        self.found: dict[str, tuple[str, ...]] = {}

    def compare(self, trial: PlannedTrial, outcome: TrialOutcome) -> None:
        differences = tuple(self._differences(trial.key, outcome))
        if differences:
            self.found[trial.key] = differences
        else:
            self.reproduced += 1
        for table in ("curves", "measured_curves", "trials"):
            self._reruns.connection.execute(f"DELETE FROM {table} WHERE key = ?", (trial.key,))

    def _differences(self, key: str, outcome: TrialOutcome) -> Iterator[str]:
        if outcome.status != "done":
            yield f"stored as done, now {outcome.status}: {failure_reason(vars(outcome))}"
            return
        # Both come out of a store, so that numbers have gone the same way.
        (stored,), (now,) = (some.trials([key]).values() for some in (self._store, self._reruns))
        for name in METRICS:
            if stored[name] != now[name]:
                yield f"{name} stored {_shown(stored[name])}, now {_shown(now[name])}"
        curves, new_curves = (dict(some.curves([key])).get(key) for some in (self._store, self._reruns))
        yield from _curve_differences(curves, new_curves)
        if stored["measured_sha256"] != now["measured_sha256"]:
            measured, new_measured = (
                dict(some.measured_curves([key])).get(key, {}) for some in (self._store, self._reruns)
            )
            yield from _measured_differences(measured, new_measured)
            snapshots, new_snapshots = (
                [pack_snapshots(found) for _, found in some.snapshots([key])] for some in (self._store, self._reruns)
            )
            if snapshots != new_snapshots:
                yield "the snapshots differ"


def _curve_differences(stored: EpisodeCurves | None, now: EpisodeCurves | None) -> Iterator[str]:
    for name in ("returns", "lengths", "successes"):
        before, after = getattr(stored, name, None), getattr(now, name, None)
        if before is None or after is None:
            if before is not after:
                yield f"{name} of the episodes {'now missing' if after is None else 'not stored'}"
            continue
        common = min(len(before), len(after))
        # As bits: -0.0 is not 0.0 here, and NaN is NaN.
        same = before[:common].view(f"u{before.itemsize}") == after[:common].view(f"u{after.itemsize}")
        if not same.all():
            place = int(np.argmin(same))
            yield (
                f"{name} differ first in episode {place + 1}: "
                f"stored {_shown(before[place].item())}, now {_shown(after[place].item())}"
            )
        elif len(before) != len(after):
            yield f"{name} of {len(before)} episodes stored, now of {len(after)}"


def _measured_differences(stored: Mapping[str, Curve], now: Mapping[str, Curve]) -> Iterator[str]:
    # Times are no results.
    for name in sorted((stored.keys() | now.keys()) - {TRAINING_CPU_SECONDS}):
        before, after = stored.get(name), now.get(name)
        if before is None or after is None:
            yield f"the curve {name!r} is {'now missing' if after is None else 'not stored'}"
        elif (before.unit, before.at.tobytes(), before.values.tobytes()) != (
            after.unit,
            after.at.tobytes(),
            after.values.tobytes(),
        ):
            yield f"the curve {name!r} differs"


def _labelled(store: Store, experiment: str | None) -> dict[str, PlannedTrial]:
    """Key to trial with its labels, of an experiment or of the whole store."""
    names = store.experiments()[::-1] if experiment is None else [experiment]
    trials: dict[str, PlannedTrial] = {}
    for name in names:
        for key, agent, environment, seed in store.experiment(name).trials:
            trials.setdefault(key, PlannedTrial(key, agent, environment, seed))
    if experiment is not None:
        return trials
    # Trials that no latest experiment has any more go by their expressions.
    stored = store.keys()
    left = [key for key in stored if key not in trials]
    for first in range(0, len(left), _BATCH):
        for key, row in store.trials(left[first : first + _BATCH]).items():
            trials[key] = PlannedTrial(key, row["agent"], row["environment"], row["seed"])
    return trials


def _other_versions(provenances: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    now = package_versions()
    found: dict[str, tuple[str, ...]] = {}
    for package in _DECISIVE_PACKAGES:
        stored = {way["versions"].get(package) for way in provenances} - {None, now.get(package)}
        if stored and package in now:
            found[package] = tuple(sorted(stored))
    return found


def _remark(trial: PlannedTrial, remarks: tuple[str, ...]) -> TrialRemark:
    return TrialRemark(trial.key, trial.agent, trial.environment, trial.seed, remarks)


def _shown(value: Any) -> str:
    return "nothing" if value is None else repr(value)


def _trials(number: int) -> str:
    return "1 trial" if number == 1 else f"{number} trials"
