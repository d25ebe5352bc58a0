"""Trials as TensorBoard runs, one folder each."""

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from velodrome.experiments.tracking.tracker import MAX_POINTS, TrackedTrial, require

if TYPE_CHECKING:
    from tensorboardX.proto.summary_pb2 import Summary

# TensorBoard reads every file with "tfevents" in its name. One name for ever: a trial that is written again
# replaces its file, where a second file would draw its points twice.
EVENT_FILE = "events.out.tfevents.0.velodrome"
MAX_NAME = 80


class TensorBoardTracker:
    """Writes each trial into `directory/EXPERIMENT/AGENT/ENVIRONMENT/seed_SEED_KEY`.

    Needs tensorboardX, neither TensorFlow nor PyTorch. Writing a trial again replaces its run.

    Args:
        directory: what `tensorboard --logdir` is given later.
        max_points: of each training curve.

    Raises:
        ExperimentError: tensorboardX is not installed.
    """

    def __init__(self, directory: str | Path, *, max_points: int = MAX_POINTS) -> None:
        require("tensorboard", "tensorboardX")
        self.directory, self.max_points = Path(directory), max_points

    def start(self, experiment: str, settings: dict[str, Any]) -> None:
        """Write the settings as a text of the run named after the experiment.

        Args:
            experiment: name of the experiment.
            settings: budgets, seeds and agents, JSON-ready.
        """
        from tensorboardX.summary import text

        # TensorBoard shows texts as Markdown, in which an indented block is code.
        indented = "\n".join(
            f"    {line}" for line in json.dumps(settings, indent=2, ensure_ascii=False, default=str).splitlines()
        )
        _write(self.directory / file_name(experiment), [(0, text("settings", indented))])

    def trial(self, trial: TrackedTrial) -> None:
        """Write a trial's run.

        Args:
            trial: that has ended.
        """
        from tensorboardX.summary import hparams, text

        last_step, _ = trial.final()
        # The summary that lists the hyper-parameters of all runs is left out: TensorBoard takes the first one it
        # finds for complete, and would hide what only other agents have. Without it, it collects them itself.
        _, session_start, _ = hparams(trial.parameters(), {})
        events = [(0, session_start)]
        events += [(step, _scalars(values)) for step, values in [*trial.along(self.max_points), trial.final()]]
        if trial.status != "done":
            events.append((0, text("status", f"**{trial.status}**: {trial.error}")))
        events.append((last_step, _session_end(trial.status == "done")))
        run = f"seed_{trial.seed}_{trial.key[:8]}"
        names = [file_name(name) for name in (trial.experiment, trial.agent, trial.environment)]
        _write(self.directory.joinpath(*names, run), events)

    def close(self) -> None:
        """Nothing is left open between trials."""


def file_name(label: str) -> str:
    """A label as the name of a folder, on every system."""
    return re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", label)[:MAX_NAME].strip(" .") or "_"


def _scalars(values: dict[str, float]) -> "Summary":
    from tensorboardX.proto.summary_pb2 import Summary

    return Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])


def _session_end(succeeded: bool) -> "Summary":
    from tensorboardX.proto.api_pb2 import Status
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData, SessionEndInfo
    from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata

    status = Status.Value("STATUS_SUCCESS" if succeeded else "STATUS_FAILURE")
    content = HParamsPluginData(session_end_info=SessionEndInfo(status=status), version=0)
    plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=content.SerializeToString())
    metadata = SummaryMetadata(plugin_data=plugin)
    return Summary(value=[Summary.Value(tag="_hparams_/session_end_info", metadata=metadata)])


def _write(folder: Path, events: list[tuple[int, "Summary"]]) -> None:
    # SummaryWriter starts a thread and a queue between processes for each run: ten times the time of this.
    from tensorboardX import RecordWriter
    from tensorboardX.proto.event_pb2 import Event

    folder.mkdir(parents=True, exist_ok=True)
    writer = RecordWriter(str(folder / EVENT_FILE))
    try:
        now = time.time()
        writer.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        for step, summary in events:
            writer.write(Event(wall_time=now, step=step, summary=summary).SerializeToString())
    finally:
        writer.close()
