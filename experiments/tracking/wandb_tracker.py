"""Trials as runs of Weights & Biases, offline wherever no API key is known."""

import netrc
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from velodrome.experiments.tracking.tracker import MAX_POINTS, TrackedTrial, require

CLOUD = "api.wandb.ai"
# Longest project and group that W&B takes.
MAX_NAME = 128
# All that W&B watches of a process says nothing of one trial among many, and takes most of the time of a short run.
SETTINGS: dict[str, Any] = {
    "silent": True,
    "console": "off",
    "disable_git": True,
    "disable_code": True,
    "save_code": False,
    "x_disable_stats": True,
    "x_disable_meta": True,
    "x_disable_machine_info": True,
    "x_save_requirements": False,
}


class WandbTracker:
    """Writes each trial as a run: group = agent, job type = environment, so that W&B draws the mean over seeds.

    Args:
        project: by default the environment variable WANDB_PROJECT, else the experiment's name.
        entity: user or team; by default the key's own.
        directory: gets a folder `wandb`; the environment variable WANDB_DIR goes first.
        mode: "online", "offline" or "disabled"; by default W&B's own settings (WANDB_MODE, `wandb offline`), and
            offline without an API key, so that nobody is asked to log in.
        max_points: of each training curve.

    Raises:
        ExperimentError: wandb is not installed.
    """

    def __init__(
        self,
        project: str | None = None,
        *,
        entity: str | None = None,
        directory: str | Path = ".",
        mode: str | None = None,
        max_points: int = MAX_POINTS,
    ) -> None:
        require("wandb", "wandb")
        self.project, self.entity, self.mode = project, entity, mode
        self.directory, self.max_points = Path(directory), max_points
        self._options: dict[str, Any] = {}

    def start(self, experiment: str, settings: dict[str, Any]) -> None:
        """Decide where runs go; no run is made before the first trial.

        Args:
            experiment: name of the experiment; the project is called so where nothing names it.
            settings: budgets, seeds and agents, JSON-ready; W&B gets none of them.
        """
        # W&B reports usage over the network even when it is offline.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        of_user = wandb.setup().settings
        mode = self.mode or of_user.mode
        if self.mode is None and mode == "online" and not _has_credentials(of_user):
            mode = "offline"
        directory = Path(os.environ.get("WANDB_DIR") or self.directory)
        directory.mkdir(parents=True, exist_ok=True)
        # A release of W&B that drops one of its settings refuses the name.
        known = type(of_user).model_fields
        self._options = {
            "project": self.project or of_user.project or _project_name(experiment),
            "entity": self.entity,
            "dir": str(directory),
            "mode": mode,
            "reinit": "create_new",
            "settings": wandb.Settings(**{name: value for name, value in SETTINGS.items() if name in known}),
        }

    def trial(self, trial: TrackedTrial) -> None:
        """Write a trial's run.

        Args:
            trial: that has ended.
        """
        import wandb

        run = wandb.init(
            name=f"{trial.agent} · {trial.environment} · seed {trial.seed}",
            group=trial.agent[:MAX_NAME],
            job_type=trial.environment[:MAX_NAME],
            config=trial.parameters() | {"key": trial.key},
            **self._options,
        )
        exit_code = 1
        try:
            for step, values in [*trial.along(self.max_points), trial.final()]:
                if values:
                    run.log(values, step=step)
            run.summary.update({"status": trial.status} | ({"error": trial.error} if trial.error else {}))
            exit_code = 0 if trial.status == "done" else 1
        finally:
            run.finish(exit_code=exit_code)

    def close(self) -> None:
        """Nothing is left open between trials; W&B ends its own process when this one ends."""


def _project_name(experiment: str) -> str:
    """An experiment's name without the characters that W&B refuses."""
    return re.sub(r"[/\\#?%:\x00-\x1f]", "-", experiment)[:MAX_NAME] or "velodrome"


def _has_credentials(of_user: Any) -> bool:
    """Whether W&B can log in without asking: by its settings, an environment variable or a netrc file."""
    if of_user.api_key or os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlsplit(of_user.base_url).netloc
    # Keys for W&B's own cloud are filed under its first address, whichever is in use.
    hosts = [host, CLOUD] if host.endswith((".wandb.ai", ".coreweave.com")) else [host]
    given = os.environ.get("NETRC")
    paths = [Path(given)] if given else [Path("~/.netrc"), Path("~/_netrc")]
    return any(_is_listed(path.expanduser(), hosts) for path in paths)


def _is_listed(path: Path, hosts: list[str]) -> bool:
    try:
        entries = netrc.netrc(str(path))
    except (netrc.NetrcParseError, OSError):
        return False
    return any(entries.authenticators(host) for host in hosts)
