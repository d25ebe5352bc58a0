"""The workers of a run, as asked for: threads and processes of this machine, this thread alone, or a cluster."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.running.limits import TrialLimits
from velodrome.experiments.running.manager import Crew, Manager
from velodrome.experiments.running.process_workers import ProcessWorkers
from velodrome.experiments.running.thread_workers import InlineWorkers, ThreadWorkers
from velodrome.experiments.specification.plan import PlannedTrial
from velodrome.experiments.storage.provenance import available_cores

QUEUED_PER_THREAD, MOST_QUEUED_PER_THREAD = 4, 64


def make_crew(
    manager: Manager,
    missing: Sequence[PlannedTrial],
    size: int,
    cluster: Any = None,
    limits: TrialLimits = TrialLimits(),  # noqa: B008
) -> Crew:
    """Workers for the trials that `manager` has to run.

    Args:
        manager: what workers report to.
        missing: the trials.
        size: workers; 0 for none but the calling thread.
        cluster: a Dask cluster instead, see `compare`.
        limits: what a trial may use; where memory is limited, compiled trials run in processes too.

    Raises:
        ExperimentError: a cluster that cannot be reached, or limits without workers.
    """
    if cluster is not None:
        from velodrome.experiments.running.cluster_workers import ClusterWorkers

        workers = ClusterWorkers(cluster, manager.payload, manager.report, limits)
        return Crew(workers.size, 1, 1, workers, workers)
    if size == 0:
        for field, limit in (("trial_timeout", limits.seconds), ("trial_memory", limits.memory)):
            if limit is not None:
                raise ExperimentError(f"{field} needs workers: with workers=0 nobody is there to stop a trial")
        inline = InlineWorkers(manager.group, manager.report)
        return Crew(1, 0, 0, inline, inline, side_by_side=True)
    size = min(size, len(missing))
    cores_each = max(1, available_cores() // size)
    processes = ProcessWorkers(size, manager.payload, manager.report, limits, cores_each)
    if limits.memory is not None:
        # The memory of threads is this process's own.
        return Crew(size, QUEUED_PER_THREAD, QUEUED_PER_THREAD, processes, processes)
    threads = ThreadWorkers(size, manager.group, manager.report, limits.seconds)
    # A trial with a limit of its own needs a process of its own.
    side_by_side = limits.seconds is None
    return Crew(size, QUEUED_PER_THREAD, MOST_QUEUED_PER_THREAD, threads, processes, side_by_side)


def check_workers(workers: Any) -> int:
    """Trials that run at the same time: the machine's cores if None, 0 for none but the calling thread.

    Raises:
        ExperimentError: not a whole number of at least 0.
    """
    if workers is None:
        return available_cores()
    if isinstance(workers, bool) or not isinstance(workers, int | np.integer) or workers < 0:
        raise ExperimentError(f"workers must be a whole number of at least 0, got {workers!r}")
    return int(workers)


def check_seconds(field: str, value: Any) -> float | None:
    """`value` as seconds, or None.

    Raises:
        ExperimentError: not a number above 0.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise ExperimentError(f"{field} must be a number of seconds above 0, got {value!r}")
    return float(value)
