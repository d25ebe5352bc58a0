"""Dask's scheduler and worker without the web server of each; imported only in processes of a local cluster."""

from typing import Any

from distributed import Scheduler, Worker


class LocalScheduler(Scheduler):  # type: ignore[misc]
    """A scheduler that listens on its encrypted port alone."""

    def start_http_server(self, *_args: Any, **_keywords: Any) -> None:
        """Open no port: what it shows would be open to every process of the machine."""


class LocalWorker(Worker):  # type: ignore[misc]
    """A worker that listens on its encrypted port alone."""

    def start_http_server(self, *_args: Any, **_keywords: Any) -> None:
        """Open no port: what it shows would be open to every process of the machine."""
