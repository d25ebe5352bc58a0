"""Reaches a Dask cluster: one of this machine, a running scheduler, or the one of a client that the user has made."""

import contextlib
import logging
import re
import warnings
from importlib.metadata import version
from typing import Any

from velodrome.experiments.errors import ExperimentError, ExperimentWarning

CONNECT_SECONDS = 10.0
# A batch system may take hours to start the first worker: after this time we say that we wait.
NOTICE_SECONDS = 5.0
CLOSE_SECONDS = 5.0
# Workers may join a scheduler at any time, and find tasks there only if more are sent than the first ones can run.
MIN_SIZE = 64


class ClusterConnection:
    """A connection to a cluster whose machines have this release and this Python.

    Args:
        cluster: "local:N", "tcp://host:port" or "tls://host:port" of a scheduler, or a Dask client.

    Attributes:
        client: of Dask.
        size: tasks that shall run at the same time.

    Raises:
        ExperimentError: the cluster is none of these, cannot be reached, or differs from this machine in what
            decides results.
    """

    def __init__(self, cluster: Any) -> None:
        number = _number_of_local_workers(cluster)
        try:
            import distributed
        except ImportError:
            raise ExperimentError("cluster needs dask.distributed: pip install 'velodrome[cluster]'") from None

        with contextlib.ExitStack() as stack:
            if isinstance(cluster, str):
                address, security = cluster, None
                if number:
                    from velodrome.experiments.running.local_cluster import LocalCluster

                    _check_cryptography()
                    local = LocalCluster(number)
                    stack.callback(local.stop)
                    address, security = local.address, local.security
                self.client: Any = _connect(address, security)
                stack.callback(_close, self.client)
            elif isinstance(cluster, distributed.Client):
                _check_client(cluster)
                self.client = cluster
            else:
                raise _wrong(cluster)
            _wait_for_worker(self.client)
            _check_versions(self.client)
            self.size = number or max(sum(self.client.nthreads().values()), MIN_SIZE)
            self._stack = stack.pop_all()

    @property
    def address(self) -> str:
        """Of the scheduler."""
        scheduler = self.client.scheduler
        return str(scheduler.address) if scheduler is not None else "the cluster"

    def close(self) -> None:
        """Close what was opened here; a user's own client stays open. May be called again."""
        self._stack.close()


def _number_of_local_workers(cluster: Any) -> int | None:
    """N of "local:N", None for anything else that is allowed."""
    if not isinstance(cluster, str):
        return None
    if re.fullmatch(r"local:[1-9][0-9]{0,3}", cluster, re.ASCII):
        return int(cluster.removeprefix("local:"))
    port = re.fullmatch(r"(?:tcp|tls)://(?:\[[^\[\]\s]+\]|[^\[\]\s:/]+):([0-9]{1,5})", cluster, re.ASCII)
    if port is None or not 0 < int(port[1]) < 65536:
        raise _wrong(cluster)
    return None


def _wrong(cluster: Any) -> ExperimentError:
    return ExperimentError(
        'cluster must be "local:N" with N worker processes, "tcp://host:port" or "tls://host:port" of a Dask '
        f"scheduler, or a dask.distributed.Client, got {cluster!r}"
    )


def _check_client(client: Any) -> None:
    if client.asynchronous:
        raise ExperimentError("cluster is an asynchronous Dask client: make it with asynchronous=False")
    if client.status != "running":
        raise ExperimentError(f"cluster is a Dask client that is not connected: its status is {client.status!r}")


def _check_cryptography() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError:
        raise ExperimentError(
            "cluster: the certificate of a local cluster needs cryptography: pip install 'velodrome[cluster]'"
        ) from None


def _connect(address: str, security: Any = None) -> Any:
    """A client; what is needed for tls:// comes from Dask's configuration where no `security` is given."""
    from distributed import Client, Security

    if security is None:
        security = Security()
        if address.startswith("tls://") and not (security.tls_ca_file and security.tls_client_cert):
            raise ExperimentError(
                f"cluster: {address} needs a certificate: name its files in Dask's configuration, such as the "
                "environment variables DASK_DISTRIBUTED__COMM__TLS__CA_FILE, ..__TLS__CLIENT__CERT and "
                "..__TLS__CLIENT__KEY, or give a dask.distributed.Client"
            )
    try:
        return Client(address, timeout=CONNECT_SECONDS, set_as_default=False, name="velodrome", security=security)
    except (OSError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ExperimentError(f"cluster: no Dask scheduler answers at {address} ({reason})") from None


def _close(client: Any) -> None:
    # Where the scheduler is gone, Dask would tell with a traceback that it no longer looks for it.
    logger = logging.getLogger("distributed.client")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        client.close(timeout=CLOSE_SECONDS)
    except Exception:
        logger.debug("the client could not be closed in good order", exc_info=True)
    finally:
        logger.setLevel(level)


def _wait_for_worker(client: Any) -> None:
    from distributed import TimeoutError as DaskTimeoutError

    try:
        client.wait_for_workers(1, timeout=NOTICE_SECONDS)
    except DaskTimeoutError:
        warnings.warn(
            f"the scheduler at {client.scheduler.address} has no workers yet: the experiment begins with the first",
            ExperimentWarning,
            stacklevel=2,
        )
        client.wait_for_workers(1)


def _check_versions(client: Any) -> None:
    """Refuse machines that would give other results, or cannot read what they are sent.

    Raises:
        ExperimentError: naming a machine and both versions.
    """
    found = client.get_versions(packages=["velodrome"])
    ours, python = version("velodrome"), _minor(found["client"])
    machines = {f"the scheduler {client.scheduler.address}": found["scheduler"]}
    machines |= {f"the worker {address}": told for address, told in found["workers"].items()}
    for name, told in machines.items():
        if not isinstance(told, dict):
            # It has left since.
            continue
        theirs = told["packages"].get("velodrome")
        if _minor(told) != python:
            raise ExperimentError(
                f"cluster: {name} runs Python {_minor(told)}, but this is Python {python}: use the same on all machines"
            )
        if theirs != ours:
            has = f"has velodrome {theirs}" if theirs else "has no velodrome"
            raise ExperimentError(
                f"cluster: {name} {has}, but this is velodrome {ours}: install the same version on all machines"
            )


def _minor(told: dict[str, Any]) -> str:
    return ".".join(str(told["packages"]["python"]).split(".")[:2])
