"""Trials as MLflow runs, in a local SQLite file or on a server."""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.tracking.tracker import MAX_POINTS, TrackedTrial, require

# MLflow refuses parameters of more than 6,000 characters, and tags of more than 5,000 or 8,000.
MAX_VALUE = 5000


class MLflowTracker:
    """Writes each trial as a run of the MLflow experiment named after the experiment.

    The SQLite file needs mlflow-skinny, SQLAlchemy and alembic; to look at it, `mlflow ui` needs all of mlflow.

    Args:
        tracking_uri: such as `sqlite:///mlflow.db` or a server's address; by default what the environment
            variable MLFLOW_TRACKING_URI says, else `directory/mlflow.db`.
        directory: of that file.
        max_points: of each training curve.

    Raises:
        ExperimentError: a package is not installed, or the URI is none.
    """

    def __init__(
        self, tracking_uri: str | None = None, *, directory: str | Path = ".", max_points: int = MAX_POINTS
    ) -> None:
        self.directory, self.max_points = Path(directory), max_points
        self.tracking_uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or self._local_uri()
        if "://" not in self.tracking_uri and not self.tracking_uri.startswith("databricks"):
            raise ExperimentError(
                f"mlflow: {self.tracking_uri!r} is no tracking URI; write sqlite:///FILE.db or a server's https://…"
            )
        is_database = self.tracking_uri.startswith("sqlite")
        require("mlflow", "mlflow", *(["sqlalchemy", "alembic"] if is_database else []))
        self._client: Any = None
        self._experiment_id = ""

    def start(self, experiment: str, settings: dict[str, Any]) -> None:
        """Open the store and the experiment, each made if needed.

        Args:
            experiment: name of the experiment, here and in MLflow.
            settings: budgets, seeds and agents, JSON-ready; MLflow gets none of them.
        """
        # MLflow reports usage over the network even from a local file.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow.tracking import MlflowClient

        is_ours = self.tracking_uri == self._local_uri()
        if is_ours:
            self.directory.mkdir(parents=True, exist_ok=True)
        with _without_notices():
            self._client = MlflowClient(tracking_uri=self.tracking_uri)
            found = self._client.get_experiment_by_name(experiment)
            if found is not None:
                self._experiment_id = found.experiment_id
            else:
                # Left to itself, a local MLflow puts artifacts into the current folder.
                artifacts = (self.directory.absolute() / "mlflow-artifacts").as_uri() if is_ours else None
                self._experiment_id = self._client.create_experiment(experiment, artifact_location=artifacts)

    def trial(self, trial: TrackedTrial) -> None:
        """Write a trial's run.

        Args:
            trial: that has ended.
        """
        now = int(time.time() * 1000)
        run = self._client.create_run(
            self._experiment_id,
            start_time=now - int(1000 * trial.metrics.get("train_seconds", 0)),
            run_name=f"{trial.agent} · {trial.environment} · seed {trial.seed}",
            tags=self._tags(trial),
        )
        identifier, status = run.info.run_id, "FAILED"
        try:
            self._log(identifier, trial, now)
            status = "FINISHED" if trial.status == "done" else "FAILED"
        finally:
            self._client.set_terminated(identifier, status, end_time=now)

    def close(self) -> None:
        """Nothing is left open between trials."""

    def _local_uri(self) -> str:
        return f"sqlite:///{(self.directory.absolute() / 'mlflow.db').as_posix()}"

    def _tags(self, trial: TrackedTrial) -> dict[str, str]:
        tags = {"agent": trial.agent, "environment": trial.environment, "key": trial.key, "status": trial.status}
        if trial.error:
            # The tag that MLflow's page of a run shows as its description.
            tags |= {"error": trial.error, "mlflow.note.content": f"{trial.status}: {trial.error}"}
        return {name: value[:MAX_VALUE] for name, value in tags.items()}

    def _log(self, identifier: str, trial: TrackedTrial, now: int) -> None:
        from mlflow.entities import Metric, Param

        points = [*trial.along(self.max_points), trial.final()]
        metrics = [Metric(tag, value, now, step) for step, values in points for tag, value in values.items()]
        parameters = [Param(name, str(value)[:MAX_VALUE]) for name, value in trial.parameters().items()]
        # MLflow's client splits what a server takes only in parts.
        self._client.log_batch(identifier, metrics=metrics, params=parameters)


@contextmanager
def _without_notices() -> Iterator[None]:
    """MLflow announces each table that it makes on standard error."""
    loggers = [logging.getLogger(name) for name in ("mlflow.store.db.utils", "alembic")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
