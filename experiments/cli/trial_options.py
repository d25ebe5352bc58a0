"""How trials are run, and where they are kept: the options that `velodrome compare` and `velodrome tune` share."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from velodrome.experiments.cli.folders import check_folder
from velodrome.experiments.cli.whole_number import Whole

if TYPE_CHECKING:
    from velodrome.experiments.running.run_plan import RunOptions


@Parameter(name="*")
@dataclass(frozen=True)
class TrialOptions:
    """How trials are run, and where they are kept.

    Attributes:
        out: folder of the store; experiments in one folder share their trials.
        workers: trials that run at the same time, all cores by default; 0 runs them in this process, one by one.
        cluster: run on Dask instead: local:N, or tcp://host:port or tls://host:port of a scheduler.
        trial_timeout: seconds that a trial may take before it counts as failed, importing and compiling not counted.
        trial_memory: memory that a trial may take before it counts as failed, such as 2GB.
        checkpoint_every: seconds between two saves inside a trial that does not run compiled.
        retry_failed: run stored trials that failed again.
        strict: refuse to run if the checks before running warn of something.
        track: report every trial to a tracker: tensorboard, wandb or mlflow, each with :ARGUMENT; may be repeated.
    """

    out: Path = Path("results")
    workers: Whole | None = None
    cluster: str | None = None
    trial_timeout: float | None = None
    trial_memory: str | None = None
    checkpoint_every: float = 300.0
    retry_failed: Annotated[bool, Parameter(negative="")] = False
    strict: Annotated[bool, Parameter(negative="")] = False
    track: list[str] | None = None

    def run_options(self, out: Path) -> "RunOptions":
        """The same for `run_plan`, with trackers opened and the folder made.

        Args:
            out: folder of the store, whole: what an experiment names may have changed the current folder.
        """
        from velodrome.experiments.running.run_plan import RunOptions
        from velodrome.experiments.tracking.tracker import open_tracker

        trackers = [open_tracker(text, out) for text in self.track or ()]
        check_folder(out, "--out", self.out)
        return RunOptions(
            out=out, workers=self.workers, cluster=self.cluster, trial_timeout=self.trial_timeout,
            trial_memory=self.trial_memory, checkpoint_every=self.checkpoint_every, retry_failed=self.retry_failed,
            strict=self.strict, track=trackers,
        )  # fmt: skip

    def asked_for(self) -> dict[str, Any]:
        """Options of the command that runs failed trials again."""
        # How often trials save their state decides nothing, and is never left out by the command line.
        return {name: value for name, value in asdict(self).items() if name != "checkpoint_every"}
