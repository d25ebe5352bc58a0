"""A Dask cluster of this machine, in a process of its own that ends with this one."""

import atexit
import contextlib
import logging
import multiprocessing
import os
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.running.limits import MAX_DEATHS
from velodrome.experiments.running.worker_process import WorkerContext, prepare_worker

START_SECONDS = 60.0
STOP_SECONDS = 10.0
# Dask gives up a worker process that was not replaced within some time after it died; we start another instead.
LOOK_SECONDS = 2.0
LOST_SECONDS = 60.0


@dataclass(frozen=True)
class _Started:
    """Where the scheduler is, and the certificate that opens it."""

    address: str
    security: Any


class LocalCluster:
    """A scheduler and worker processes of one thread each.

    They live in a process of their own, so that Dask changes neither this process's environment variables nor its
    logging, and so that the user's script is not run again in the workers. Whoever reaches a scheduler can run code in
    its workers: theirs asks for a certificate that is made for this cluster and never leaves its processes.

    Args:
        number: of worker processes.

    Attributes:
        address: of the scheduler.
        security: Dask's `Security` with the certificate that a client needs.

    Raises:
        ExperimentError: the cluster does not start.
    """

    def __init__(self, number: int) -> None:
        context = WorkerContext(1)
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(number, os.getpid(), theirs), name="velodrome-cluster")
        self._process.start()
        theirs.close()
        # A program waits for its processes when it ends; this one waits to be told.
        atexit.register(self.stop)
        try:
            started = self._receive()
            self.address, self.security = started.address, started.security
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all its processes, whatever they are doing; may be called again."""
        if self._connection.closed:
            return
        atexit.unregister(self.stop)
        self._connection.close()
        self._process.join(STOP_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()

    def _receive(self) -> _Started:
        answer: object = f"not within {START_SECONDS:g} s"
        with contextlib.suppress(EOFError):
            if self._connection.poll(START_SECONDS):
                answer = self._connection.recv()
        if isinstance(answer, _Started):
            return answer
        raise ExperimentError(f"the local cluster did not start: {answer}")


def _serve(number: int, parent: int, connection: Connection) -> None:
    """Run a cluster until the other end of the connection is closed."""
    prepare_worker(parent)
    import dask
    import distributed  # noqa: F401  (it sets the level of its log)

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    settings = {
        "distributed.scheduler.allowed-failures": MAX_DEATHS - 1,
        "distributed.deploy.lost-worker-timeout": LOST_SECONDS,
    }
    with dask.config.set(settings):
        try:
            cluster, security = _start(number)
        except Exception as error:
            with contextlib.suppress(OSError):
                connection.send(" ".join(f"{type(error).__name__}: {error}".split()))
            return
        with contextlib.suppress(EOFError, OSError):
            connection.send(_Started(cluster.scheduler_address, security))
            while not connection.poll(LOOK_SECONDS):
                cluster.scale(number)
            connection.recv()
        # Dask waits for running trials; what they would give is not wanted any more.
        for nanny in cluster.workers.values():
            nanny.close_gracefully()
        for worker in multiprocessing.active_children():
            worker.kill()
        with contextlib.suppress(Exception):
            cluster.close(timeout=STOP_SECONDS / 2)


def _start(number: int) -> tuple[Any, Any]:
    """A cluster of this machine, and the certificate without which nobody can connect to any of its ports."""
    from distributed import Nanny, Security, SpecCluster

    from velodrome.experiments.running.dask_servers import LocalScheduler, LocalWorker

    security = Security.temporary()
    shared = {"host": "127.0.0.1", "protocol": "tls://", "security": security}
    worker = {
        "cls": Nanny,
        "options": shared
        | {"worker_class": LocalWorker, "nthreads": 1, "memory_limit": 0, "preload": [__name__]}
        | {"silence_logs": logging.CRITICAL},
    }
    scheduler = {"cls": LocalScheduler, "options": shared | {"port": 0, "dashboard": False}}
    workers = dict.fromkeys(range(number), worker)
    cluster = SpecCluster(workers, scheduler, worker, security=security, silence_logs=logging.CRITICAL)
    return cluster, security


def dask_setup(worker: Any) -> None:
    """Called by Dask first in each worker process, which then ends with the cluster's process, however that ends."""
    prepare_worker(os.getppid())
