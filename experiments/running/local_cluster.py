"""A Dask cluster of this machine, in a process of its own that ends with this one."""

import atexit
import contextlib
import logging
import multiprocessing
import os
from multiprocessing.connection import Connection
from typing import Any

from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.running.worker_process import WorkerContext, prepare_worker

START_SECONDS = 60.0
STOP_SECONDS = 10.0
# Dask gives up a worker process that was not replaced within some time after it died; we start another instead.
LOOK_SECONDS = 2.0
LOST_SECONDS = 60.0
# A trial that ends its worker process is run three times before it counts as failed.
ALLOWED_FAILURES = 2


class LocalCluster:
    """A scheduler and worker processes of one thread each.

    They live in a process of their own, so that Dask changes neither this process's environment variables nor its
    logging, and so that the user's script is not run again in the workers.

    Args:
        number: of worker processes.

    Attributes:
        address: of the scheduler.

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
            self.address = self._receive_address()
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

    def _receive_address(self) -> str:
        answer: object = f"not within {START_SECONDS:g} s"
        with contextlib.suppress(EOFError):
            if self._connection.poll(START_SECONDS):
                answer = self._connection.recv()
        if isinstance(answer, str) and "://" in answer:
            return answer
        raise ExperimentError(f"the local cluster did not start: {answer}")


def _serve(number: int, parent: int, connection: Connection) -> None:
    """Run a cluster until the other end of the connection is closed."""
    prepare_worker(parent)
    import dask
    import distributed

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    settings = {
        "distributed.scheduler.allowed-failures": ALLOWED_FAILURES,
        "distributed.deploy.lost-worker-timeout": LOST_SECONDS,
    }
    with dask.config.set(settings):
        try:
            cluster = distributed.LocalCluster(
                n_workers=number,
                threads_per_worker=1,
                processes=True,
                memory_limit=0,
                scheduler_port=0,
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
                preload=[__name__],
            )
        except Exception as error:
            with contextlib.suppress(OSError):
                connection.send(" ".join(f"{type(error).__name__}: {error}".split()))
            return
        with contextlib.suppress(EOFError, OSError):
            connection.send(cluster.scheduler_address)
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


def dask_setup(worker: Any) -> None:
    """Called by Dask first in each worker process, which then ends with the cluster's process, however that ends."""
    prepare_worker(os.getppid())
