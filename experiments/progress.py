"""A progress bar that appears only when something takes longer than a second."""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

DELAY_SECONDS = 1.0


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
        rate = f"{done / elapsed:,.0f} {self.unit}/s"
        if steps is not None:
            rate += f", {steps / elapsed / 1e6:.2f} M steps/s"
        assert self._task is not None
        progress.update(self._task, completed=done, rate=rate)

    def _start(self, total: int) -> "Progress":
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(self.what, total=total, rate="")
        self._progress.start()
        return self._progress
