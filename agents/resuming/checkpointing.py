"""A checkpoint on disk: an agent, its log so far and its environment's random streams, at the end of an episode."""

import contextlib
import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import gymnasium as gym
import numpy as np

from velodrome.agents.agent import Agent
from velodrome.agents.errors import UnsupportedEnvironmentError
from velodrome.agents.resuming.environment_streams import (
    NotRestorableError,
    environment_streams,
    restore_environment_streams,
)
from velodrome.agents.resuming.saving import SavedAgentError
from velodrome.agents.snapshots import Snapshots
from velodrome.agents.training_log import Curve, TrainingLog
from velodrome.checks import VelodromeError
from velodrome.envs.array_files import read_arrays

FORMAT = "velodrome-checkpoint"
FORMAT_VERSION = 1
HEADER, AGENT, LOG = "checkpoint.json", "agent", "log.npz"
_PROVEN, _UNPROVEN = "checkpoint-", "unproven-"
# If the newest is damaged, the one before is used.
_KEPT = 2


class CheckpointError(VelodromeError, ValueError):
    """A checkpoint is damaged, or another trial's; the message is one line."""


@dataclass(frozen=True)
class Checkpoint:
    """A directory that `write` filled.

    Attributes:
        directory: where it is.
        identity: says of which trial it is and with which versions it was made; JSON-ready.
        streams: of the environment.
        log: training so far.
    """

    directory: Path
    identity: dict[str, Any]
    streams: dict[str, Any]
    log: TrainingLog

    @classmethod
    def write(
        cls, directory: Path, agent: Agent, env: gym.Env[Any, Any], log: TrainingLog, identity: dict[str, Any]
    ) -> Self:
        """Write to an empty directory; the header comes last and holds the SHA-256 of everything.

        Args:
            directory: empty folder.
            agent: trained agent.
            env: its environment, at the end of an episode.
            log: training so far.
            identity: what says which trial it is of, JSON-ready.

        Raises:
            NotRestorableError: the environment's streams cannot be written down.
            OSError: the disk is full or cannot be written.
        """
        streams = environment_streams(env)
        agent.save(directory / AGENT)
        arrays = {"returns": log.returns, "lengths": log.lengths, "terminated": log.terminated}
        if log.successes is not None:
            arrays["successes"] = log.successes
        if log.pseudo_regrets is not None:
            arrays["pseudo_regrets"] = log.pseudo_regrets
        for number, curve in enumerate(log.curves):
            arrays |= {f"curve {number} at": curve.at, f"curve {number}": curve.values}
        if log.snapshots is not None:
            snapshots = vars(log.snapshots).items()
            arrays |= {f"snapshots {name}": array for name, array in snapshots if array is not None}
        # NumPy 2.0 would take `allow_pickle` for the name of an array.
        np.savez(directory / LOG, **arrays)  # type: ignore[arg-type]
        content = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "identity": identity,
            "streams": streams,
            "log": {name: getattr(log, name) for name in _LOG_ENTRIES},
            "curves": [[curve.name, curve.unit] for curve in log.curves],
            "files": _digests(directory),
        }
        header = {"sha256": _digest_of(content), "content": content}
        (directory / HEADER).write_text(json.dumps(header), encoding="utf-8")
        return cls(directory, identity, streams, log)

    @classmethod
    def read(cls, directory: Path, identity: dict[str, Any]) -> Self:
        """Checkpoint of the trial with `identity`.

        Args:
            directory: folder of the checkpoint.
            identity: entries that must be those of the trial that wrote it, JSON-ready.

        Raises:
            CheckpointError: it is damaged, or of another trial or version.
        """
        try:
            header = json.loads((directory / HEADER).read_text(encoding="utf-8"))
            content = header["content"]
            if header["sha256"] != _digest_of(content) or content["files"] != _digests(directory):
                raise CheckpointError("it is damaged")
            if (content["format"], content["version"]) != (FORMAT, FORMAT_VERSION):
                raise CheckpointError(
                    f"it has format version {content['version']}, this release reads {FORMAT_VERSION}"
                )
            for name in identity.keys() | content["identity"].keys():
                there, here = content["identity"].get(name), identity.get(name)
                if there != here:
                    raise CheckpointError(f"its {name} is {there}, not {here}")
            entries = content["log"] | {"notes": tuple(content["log"]["notes"])}
            arrays = read_arrays(directory / LOG)
            curves = tuple(
                Curve(name, unit, arrays.pop(f"curve {number} at"), arrays.pop(f"curve {number}"))
                for number, (name, unit) in enumerate(content.get("curves", ()))
            )
            taken: dict[str, Any] = {
                name: arrays.pop(f"snapshots {name}", None) for name in Snapshots.__dataclass_fields__
            }
            snapshots = {} if taken["episodes"] is None else {"snapshots": Snapshots(**taken)}
            log = TrainingLog(**({"successes": None} | snapshots | arrays | entries | {"curves": curves}))
            return cls(directory, content["identity"], content["streams"], log)
        except CheckpointError:
            raise
        except Exception as error:
            raise CheckpointError(f"it is damaged ({type(error).__name__})") from None

    def resume(self, configuration: Agent, env: gym.Env[Any, Any]) -> Agent:
        """The agent, ready to go on training in `env`, made anew, which gets the random streams.

        Args:
            configuration: untrained agent with the parameters of the saved one.
            env: environment, made anew.

        Raises:
            CheckpointError: the agent is not one of this configuration, or cannot go on in `env`.
        """
        try:
            # What a configuration names is imported; for what a saved agent names nothing is.
            configuration.named_code()
            agent = type(configuration).load(self.directory / AGENT)
            restore_environment_streams(env, self.streams)
            agent.resume(env)
        except (SavedAgentError, NotRestorableError, UnsupportedEnvironmentError) as error:
            raise CheckpointError(str(error)) from None
        return agent


_LOG_ENTRIES = ("success_rule", "steps", "loop", "seconds", "seed", "notes", "compile_seconds", "cpu_seconds")


class CheckpointFolder:
    """The checkpoints of one trial; those that were not proven to be right are never read.

    Args:
        path: made when the first checkpoint is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def newest_first(self) -> list[Path]:
        """Directories of the proven checkpoints."""
        return sorted(self.path.glob(f"{_PROVEN}*"), reverse=True)

    def begin(self) -> Path:
        """New empty directory for a checkpoint that is to be proven."""
        self.path.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=_UNPROVEN, dir=self.path))

    def accept(self, directory: Path, number: int) -> None:
        """Make a proven checkpoint the newest, in one step, and drop the oldest.

        Args:
            directory: folder of the checkpoint; it is moved.
            number: its number: a larger one is newer.
        """
        place = self.path / f"{_PROVEN}{number:012d}"
        # A trial that went back behind a damaged checkpoint comes past it again.
        shutil.rmtree(place, ignore_errors=True)
        directory.replace(place)
        for old in self.newest_first()[_KEPT:]:
            shutil.rmtree(old, ignore_errors=True)

    def discard(self, directory: Path) -> None:
        """Drop a checkpoint that could not be proven.

        Args:
            directory: folder of the checkpoint.
        """
        shutil.rmtree(directory, ignore_errors=True)

    def clear_unproven(self) -> None:
        """Drop what an interrupted run left half-done."""
        for directory in self.path.glob(f"{_UNPROVEN}*"):
            self.discard(directory)

    def clear(self) -> None:
        """Drop all checkpoints, and the folder if nothing else is in it."""
        self.clear_unproven()
        for directory in self.newest_first():
            self.discard(directory)
        with contextlib.suppress(OSError):
            self.path.rmdir()


def _digests(directory: Path) -> dict[str, str]:
    files = [path for path in sorted(directory.rglob("*")) if path.is_file() and path != directory / HEADER]
    return {path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _digest_of(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
