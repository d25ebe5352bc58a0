"""Progress of an experiment: bars on a terminal, a line now and then elsewhere."""

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.running.progress import DELAY_SECONDS, duration_text, is_terminal, rate_text
from velodrome.experiments.running.run_status import AgentStatus, ProgressCallback, RunStatus
from velodrome.experiments.texts import is_notebook

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

REFRESH_SECONDS = 0.25
FIRST_LINE_SECONDS, LINE_SECONDS = 5.0, 10.0
MOST_AGENTS = 20
LONGEST_BAR, SHORTEST_BAR = 40, 6
# What is left out first where a terminal is narrow.
DISPENSABLE = ("compiled", "reused", "steps", "rate", "left")
# Loading from disk what was compiled before is not mentioned.
LEAST_COMPILE_SECONDS = 1.0
# Characters of a line below a notebook's cell.
_CELL_WIDTH = 100
# Evidence older than this many seconds, and this many trials, counts half.
HALF_LIFE_SECONDS, HALF_LIFE_TRIALS = 30.0, 7.0


class RunProgress:
    """Shows where a running experiment stands, on standard error: the manager's `progress` callback.

    On a terminal and in a notebook, bars of the experiment and of its agents appear after a second and disappear at the
    end, also when an exception ends it. Elsewhere a line is written after five seconds and then every ten.

    Args:
        title: the experiment's name.
        quiet: show nothing at all.
        has_lines: whether lines are written where there is neither a terminal nor a notebook.
        console: to write to; standard error by default.
        clock: seconds, increasing.
    """

    def __init__(
        self,
        title: str,
        *,
        quiet: bool = False,
        has_lines: bool = True,
        console: "Console | None" = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._title = title
        self._silent, self._has_lines = quiet, has_lines
        self._console = console
        self._clock = clock
        self._started: float | None = None
        self._next_look = self._next_line = 0.0
        self._time_left = TimeLeft()
        self._live: Live | None = None
        self._cell: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._silent = True
        if self._live is not None:
            with suppress(OSError):
                self._live.stop()
        if self._cell is not None:
            # Empty HTML takes no room, an empty text has the height of a line.
            self._cell.update({"text/html": "", "text/plain": ""}, raw=True)

    def __call__(self, status: RunStatus) -> None:
        """Take notice of `status`; cheap enough to be called after every trial."""
        if self._silent:
            return
        now = self._clock()
        if self._started is None:
            self._started, self._next_line = now, now + FIRST_LINE_SECONDS
        elif now < self._next_look:
            return
        self._next_look = now + REFRESH_SECONDS
        left = self._time_left.update(status, now)
        elapsed = now - self._started
        if elapsed < DELAY_SECONDS:
            return
        try:
            self._show(status, _facts(status, elapsed, left), now)
        except OSError:
            # A terminal that was closed must not end the experiment.
            self._silent = True

    def _show(self, status: RunStatus, facts: dict[str, str], now: float) -> None:
        if self._console is None and is_notebook():
            self._draw_in_cell(status, facts)
            return
        if self._console is None:
            from velodrome.experiments.reporting.terminal import Terminal

            # FORCE_COLOR, which build servers set, makes rich take their log files for terminals.
            self._console = Terminal(stderr=True, force_interactive=None if is_terminal(sys.stderr) else False)
        if self._console.is_interactive:
            self._draw(_display(self._title, status, facts, self._console))
        elif self._has_lines and now >= self._next_line:
            self._next_line = now + LINE_SECONDS
            percent = f" ({100 * status.finished // status.total} %)" if status.total else ""
            done = f"velodrome: {status.finished:,} of {status.total:,} trials{percent}"
            print(", ".join([done, *facts.values()]), file=self._console.file, flush=True)

    def _draw_in_cell(self, status: RunStatus, facts: dict[str, str]) -> None:
        """Show the bars below a notebook's cell, in the place of those before."""
        from IPython.display import display
        from rich.console import Console

        # A console of its own: nothing is written to it, it gives the bars their size.
        console = Console(width=_CELL_WIDTH, height=MOST_AGENTS, force_jupyter=False)
        bars = {"text/plain": _display(self._title, status, facts, console).plain}
        if self._cell is None:
            self._cell = display(bars, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._cell.update(bars, raw=True)

    def _draw(self, display: "Text") -> None:
        if self._live is None:
            from rich.live import Live

            self._live = Live(
                console=self._console,
                auto_refresh=False,
                transient=True,
                # What is printed meanwhile appears above the bars; but output sent to a file stays out of the terminal.
                redirect_stdout=is_terminal(sys.stdout),
                redirect_stderr=is_terminal(sys.stderr),
            )
            self._live.start()
        self._live.update(display, refresh=True)


def shown_progress(
    progress: ProgressCallback | bool | None, title: str
) -> AbstractContextManager[ProgressCallback | None]:
    """Callback of what a user asked for: bars on a terminal and in a notebook (True), a function, or nothing.

    Args:
        progress: as asked for.
        title: the experiment's name.

    Raises:
        ExperimentError: it is neither.
    """
    if progress is True:
        return RunProgress(title, has_lines=False)
    if not (progress is False or progress is None or callable(progress)):
        raise ExperimentError(f"progress must be True, False or a function of a RunStatus, got {progress!r}")
    return nullcontext(progress or None)


class TimeLeft:
    """Estimates when an experiment will be done.

    Agents differ by orders of magnitude, and come one after the other: the rate of the last trials says little of the
    next agent's. So each agent has its own cost, in seconds of the clock a trial, whatever the number of workers: the
    time between two looks belongs to the trials that ended in it, and older evidence fades. An agent of which no trial
    has ended is taken for a median one. Time left is the sum of the remaining trials' costs, counted down while none
    ends; where the wait outlasts it, a trial is slower than any seen, and is expected to be as late again as it is now.
    """

    def __init__(self) -> None:
        self._finished: dict[str, int] | None = None
        self._reused = 0
        self._last_end = 0.0
        self._looks = 0
        self._evidence: dict[str, tuple[float, float]] = {}

    def update(self, status: RunStatus, now: float) -> float | None:
        """Seconds left at time `now`, or None while unknown."""
        finished = {label: agent.finished for label, agent in status.agents.items()}
        if self._finished is None or status.reused != self._reused:
            # Reused trials cost nothing; which agents' they are is not known.
            self._finished, self._reused, self._last_end = finished, status.reused, now
            return None
        if finished != self._finished:
            self._learn(finished, self._finished, now - self._last_end)
            self._finished, self._last_end = finished, now
            self._looks += 1
        # One look may have seen a warm-up, or the first of the workers' equally long trials; what is compiled now says
        # nothing of how fast it will be.
        if self._looks < 2 or status.is_compiling:
            return None
        remaining = self._remaining(status.agents)
        return abs(remaining - (now - self._last_end)) if remaining else None

    def _learn(self, finished: Mapping[str, int], before: Mapping[str, int], seconds: float) -> None:
        ended = {label: count - before.get(label, 0) for label, count in finished.items()}
        total = sum(ended.values())
        for label, trials in ended.items():
            if trials > 0:
                fading = max(0.5 ** (trials / HALF_LIFE_TRIALS), 0.5 ** (seconds / HALF_LIFE_SECONDS))
                past_seconds, past_trials = self._evidence.get(label, (0.0, 0.0))
                share = seconds * trials / total
                self._evidence[label] = (past_seconds * fading + share, past_trials * fading + trials)

    def _remaining(self, agents: Mapping[str, AgentStatus]) -> float:
        costs = {label: seconds / trials for label, (seconds, trials) in self._evidence.items()}
        typical = statistics.median(costs.values())
        return sum((agent.total - agent.finished) * costs.get(label, typical) for label, agent in agents.items())


def _facts(status: RunStatus, elapsed: float, left: float | None) -> dict[str, str]:
    """Facts beside the number of finished trials, in order."""
    ran = status.finished - status.reused
    is_long = status.compile_seconds > LEAST_COMPILE_SECONDS
    compiling = duration_text(status.compile_seconds)
    facts = {
        "rate": rate_text(ran, elapsed, "trials") if ran > 0 else f"running for {duration_text(elapsed)}",
        "compiling": f"compiling for {compiling}" if is_long and status.is_compiling else "",
        "steps": rate_text(status.steps, elapsed, "steps") if status.steps > 0 else "",
        "left": f"{duration_text(left)} left" if left is not None else "",
        "failed": f"{status.failed:,} failed" if status.failed else "",
        "reused": f"{status.reused:,} reused" if status.reused else "",
        "compiled": f"compiling took {compiling}" if is_long and not status.is_compiling else "",
    }
    return {name: text for name, text in facts.items() if text}


def _display(title: str, status: RunStatus, facts: dict[str, str], console: "Console") -> "Text":
    """The experiment's bar, the facts, and the agents' bars, within the console's size."""
    from rich.text import Text

    # Room for the "^C" that a terminal writes behind the last line.
    width = max(1, console.width - 2)
    # Two lines above, and one below, where the cursor would go, must fit as well.
    chosen, note = _choose_agents(status.agents, min(MOST_AGENTS, console.height - 4))
    rows = [(title, AgentStatus(status.total, status.finished, under_way=status.under_way))]
    rows += [("  " + label, status.agents[label]) for label in chosen]
    lines = _bars(rows, width, console)
    for name in DISPENSABLE:
        if len("  " + ", ".join(facts.values())) > width:
            facts = {other: text for other, text in facts.items() if other != name}
    separated = Text(", ").join(Text(text, style="red" if name == "failed" else "") for name, text in facts.items())
    lines.insert(1, Text("  ") + separated)
    if note:
        lines.append(Text("  " + note, style="dim"))
    for line in lines:
        line.truncate(width)
    return Text("\n", no_wrap=True, overflow="crop", end="").join(lines[: max(1, console.height - 1)])


def _choose_agents(agents: Mapping[str, AgentStatus], room: int) -> tuple[list[str], str]:
    """Labels of the agents that `room` lines can show, in order, and a line about the others."""
    if len(agents) < 2 or room < 2:
        return [], ""
    if len(agents) <= room:
        return list(agents), ""
    unfinished = [label for label, agent in agents.items() if agent.finished < agent.total]
    unfinished.sort(key=lambda label: agents[label].finished == 0)
    first = set(unfinished[: room - 1])
    finished = len(agents) - len(unfinished)
    note = f"and {len(agents) - len(first):,} more agents, {finished:,} of them finished"
    return [label for label in agents if label in first], note


def _bars(rows: list[tuple[str, AgentStatus]], width: int, console: "Console") -> "list[Text]":
    """A line a row: label, bar, count and failures, in columns."""
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    ascii_only = console.options.ascii_only
    labels = [Text(_printable(label, console.encoding if ascii_only else "utf-8")) for label, _ in rows]
    counts = [f"{agent.finished:,}/{agent.total:,}" for _, agent in rows]
    failures = [f"  {agent.failed:,} failed" if agent.failed else "" for _, agent in rows]
    count_width = max(map(len, counts))
    label_width = min(max(label.cell_len for label in labels), max(width // 3, 10))
    bar_width = min(width - label_width - count_width - max(map(len, failures)) - 2, LONGEST_BAR)
    for line, count, failed, (_, agent) in zip(labels, counts, failures, rows, strict=True):
        line.truncate(label_width, overflow="crop" if ascii_only else "ellipsis", pad=True)
        if bar_width >= SHORTEST_BAR:
            bar = console.render(ProgressBar(agent.total, _done(agent), bar_width))
            line.append(" ").append_tokens((part.text, part.style) for part in bar)
            # Without colours, what is not filled is left out.
            line.truncate(label_width + 1 + bar_width, pad=True)
        line.append(" " + count.rjust(count_width)).append(failed, style="red")
    return labels


def _done(agent: AgentStatus) -> float:
    """Trials to fill a bar with: those that have ended, and what others have done; only a finished bar is full."""
    left = agent.total - agent.finished
    return agent.finished + min(agent.under_way, 0.99 * left)


def _printable(label: str, encoding: str) -> str:
    """`label` without what moves the cursor or what `encoding` lacks."""
    shown = "".join(character if character.isprintable() else " " for character in label)
    return shown.encode(encoding, "backslashreplace").decode(encoding)
