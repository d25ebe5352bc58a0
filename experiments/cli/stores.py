"""`velodrome verify`, `repair` and `export`: stored trials run again, salvaged, or written for other programs."""

from pathlib import Path
from typing import Literal

from velodrome.experiments.cli.streams import say
from velodrome.experiments.running.stopping import stoppable


def verify_command(
    directory: Path, *, sample: int | None, seed: int, experiment: str | None, workers: int | None, quiet: bool
) -> int:
    """`velodrome verify`: run stored trials again and say which reproduce; returns 1 unless all do."""
    from velodrome.experiments.cli.run_progress import RunProgress
    from velodrome.experiments.verify import verify

    with stoppable(), RunProgress("verify", quiet=quiet) as progress:
        verification = verify(
            directory, sample=sample, seed=seed, experiment=experiment, workers=workers, progress=progress
        )
    for line in verification.lines():
        say(line)
    return 0 if verification.has_reproduced else 1


def repair_command(directory: Path) -> None:
    """`velodrome repair`: drop what is damaged of a store, and say what it was."""
    from velodrome.experiments.storage.repair import repair

    for line in repair(directory).lines():
        say(line)


def export_command(
    directory: Path, *, file_format: Literal["csv", "parquet"], out: Path | None, curves: bool, experiment: str | None
) -> None:
    """`velodrome export`: write stored results to files; prints their paths."""
    from velodrome.experiments.storage.export import export

    for path in export(directory, format=file_format, out=out, curves=curves, experiment=experiment):
        say(path)
