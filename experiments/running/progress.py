"""A progress bar that appears only when something takes longer than a second, and the words of all such displays."""

import math
import sys
import time
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

DELAY_SECONDS = 1.0


def rate_text(count: float, seconds: float, unit: str) -> str:
    """`count` units in `seconds` as a rate that keeps its digits: "34.8 trials/s", "1.20 M steps/s", "4.0 trials/h"."""
    rate = count / seconds if seconds > 0 else 0.0
    if rate >= 100_000:
        return f"{rate / 1e6:,.2f} M {unit}/s"
    if rate >= 100:
        return f"{rate:,.0f} {unit}/s"
    if rate >= 1 or rate == 0:
        return f"{rate:.1f} {unit}/s"
    if rate * 60 >= 1:
        return f"{rate * 60:.1f} {unit}/min"
    return f"{rate * 3600:.1f} {unit}/h"


def duration_text(seconds: float) -> str:
    """Two leading units of a duration, rounded up: "3 s", "2 min 05 s", "1 h 12 min", "3 d 4 h"."""
    whole = max(1, math.ceil(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    minutes = math.ceil(seconds / 60)
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    hours = math.ceil(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"


def is_terminal(stream: IO[str] | None) -> bool:
    """Whether a person sees what is written to `stream`; None, where a program has no such stream, is not seen."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        # A closed stream.
        return False


class DelayedProgress:
    """Bar with rate and time left on standard error; silent where that is not a terminal."""

    def __init__(self, what: str, unit: str) -> None:
        self.what, self.unit = what, unit
        self.started = time.monotonic()
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def update(self, done: int, total: int, steps: int | None = None) -> None:
        """Show that `done` of `total` units are finished, after `steps` environment steps."""
        elapsed = time.monotonic() - self.started
        if elapsed < DELAY_SECONDS:
            return
        progress = self._progress or self._start(total)
        rate = rate_text(done, elapsed, self.unit)
        if steps is not None:
            rate += ", " + rate_text(steps, elapsed, "steps")
        assert self._task is not None
        progress.update(self._task, completed=done, rate=rate)

    def _start(self, total: int) -> "Progress":
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        from velodrome.experiments.reporting.terminal import Terminal

        console = Terminal(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            # What is printed meanwhile appears above the bar; but output sent to a file stays out of the terminal.
            redirect_stdout=is_terminal(sys.stdout),
            # Not `console.is_terminal`: FORCE_COLOR, which build servers set, makes that true of their log files.
            disable=not is_terminal(sys.stderr) or console.is_dumb_terminal,
        )
        self._task = self._progress.add_task(self.what, total=total, rate="")
        self._progress.start()
        return self._progress
