"""One HTML file that shows a comparison while it runs, written again and again beside its store."""

import json
import threading
import time
import warnings
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from velodrome.agents.resuming.whole_files import write_whole
from velodrome.experiments.errors import ExperimentWarning
from velodrome.experiments.results.analysis import AnalysisOptions
from velodrome.experiments.results.results import Results
from velodrome.experiments.running.run_progress import TimeLeft
from velodrome.experiments.running.run_status import RunStatus
from velodrome.experiments.storage.store import Store
from velodrome.experiments.texts import visible
from velodrome.experiments.watch.shown import shown_results, translations

WRITE_SECONDS, STATUS_SECONDS = 2.0, 0.25
# Of the time so far, for looking at results; writing rests so many times as long as it takes: together below 2 %.
LOOK_SHARE, REST_RATIO = 0.015, 200.0
# What a first look is expected to take, for each agent on each environment and each trial; later ones are measured.
SECONDS_PER_PAIR, SECONDS_PER_TRIAL = 0.03, 0.0006
_DATA = "@data@"


class WatchPage:
    """Page of a running comparison: curves with bands, pairs, failures, time left; a `progress` callback.

    The page is one file that loads itself again while the comparison runs. A thread of its own writes it from the
    trials that the store has: as the context is entered, every two seconds, and when it is left. Results are computed
    so seldom that this takes at most 2 % of one core while trials run. Where it fails, a warning says so once, and the
    comparison goes on.

    Args:
        path: of the page; its folder is made.
        out: folder of the store.
        experiment: name of the experiment; the latest of the store if None.
        options: what decides, the baseline, and the like.

    Example:
        ```python
        with WatchPage("watch.html", "results") as page:
            vd.compare("frozenlake", out="results", progress=page)
        ```
    """

    def __init__(
        self,
        path: str | Path,
        out: str | Path,
        experiment: str | None = None,
        *,
        options: AnalysisOptions | None = None,
    ) -> None:
        # What is compared may change the current folder.
        self._path, self._out = Path(path).absolute(), Path(out).absolute()
        self._experiment, self._options = experiment, options or AnalysisOptions()
        self._started = time.monotonic()
        self._status = RunStatus()
        self._left: float | None = None
        self._time_left, self._next_status = TimeLeft(), 0.0
        self._looked, self._seen = "null", 0
        self._num_pairs, self._look_seconds, self._last_look = 0, 0.0, 0.0
        self._problem, self._has_warned = "", False
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._write_until_over, name="velodrome-watch", daemon=True)
        self.results: Results | None = None

    @property
    def path(self) -> Path:
        """Absolute path of the page."""
        return self._path

    def __enter__(self) -> Self:
        self._update("running")
        self._thread.start()
        return self

    def __call__(self, status: RunStatus) -> None:
        """Take notice of `status`; cheap enough to be called after every trial."""
        self._status = status
        self._warn_once()
        now = time.monotonic()
        if now >= self._next_status:
            self._next_status = now + STATUS_SECONDS
            self._left = self._time_left.update(status, now)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()
        if kind is None:
            self._seen = -1
        self._update("over" if kind is None else "stopped")
        self._warn_once()

    def _write_until_over(self) -> None:
        pause = WRITE_SECONDS
        while not self._is_over.wait(pause):
            pause = max(WRITE_SECONDS, REST_RATIO * self._update("running"))

    def _update(self, state: str) -> float:
        """Write the page, with new results where it is time; returns the seconds that the writing took."""
        before = time.monotonic()
        try:
            if self._status.finished != self._seen and (self._seen < 0 or self._is_due()):
                self._look()
                self._last_look, before = time.monotonic() - before, time.monotonic()
                self._look_seconds += self._last_look
            head, tail = _page()
            data = self._facts(state)[:-1] + f', "looked": {self._looked}}}'
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, "".join((head, data.replace("<", "\\u003c"), tail)))
        except Exception as error:
            self._problem = " ".join(f"{type(error).__name__}: {error}".split())
        return time.monotonic() - before

    def _is_due(self) -> bool:
        """Whether the time so far bears another look."""
        finished, elapsed = self._status.finished, time.monotonic() - self._started
        if self._last_look:
            expected = self._last_look * finished / max(self._seen, 1)
        else:
            expected = SECONDS_PER_PAIR * self._num_pairs + SECONDS_PER_TRIAL * finished
        return self._look_seconds + expected <= LOOK_SHARE * elapsed and self._is_stored()

    def _is_stored(self) -> bool:
        """Whether the experiment is stored, and, once its pairs are counted, a first look is not too early."""
        if self._num_pairs:
            return True
        with Store.open_for_reading(self._out) as store:
            if self._experiment is not None and self._experiment not in store.experiments():
                return False
            trials = store.experiment(self._experiment).trials
        self._num_pairs = len({(agent, environment) for _, agent, environment, _ in trials})
        return self._is_due()

    def _look(self) -> None:
        """Compute what the page shows of the trials that have ended."""
        finished = self._status.finished
        shown = shown_results(self.results or Results.load(self._out, self._experiment), self._options)
        self._looked, self._seen = json.dumps(shown, ensure_ascii=False, allow_nan=False), finished

    def _facts(self, state: str) -> str:
        """Where the run stands, as a JSON object."""
        status = self._status
        agents = [
            {"label": visible(label), "total": one.total, "finished": one.finished, "failed": one.failed}
            for label, one in status.agents.items()
        ]
        facts: dict[str, Any] = {
            "name": visible(self._experiment or self._out.name), "state": state, "written": time.time(),
            "elapsed": time.monotonic() - self._started, "left": self._left if state == "running" else None,
            "total": status.total, "finished": status.finished, "failed": status.failed, "reused": status.reused,
            "is_compiling": status.is_compiling, "agents": agents,
        }  # fmt: skip
        return json.dumps(facts, ensure_ascii=False)

    def _warn_once(self) -> None:
        if self._problem and not self._has_warned:
            self._has_warned = True
            warnings.warn(f"{self._path}: the page is not written: {self._problem}", ExperimentWarning, stacklevel=3)


@cache
def _page() -> tuple[str, str]:
    """The page before and after its data."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("velodrome.experiments", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = json.dumps(translations(), ensure_ascii=False).replace("<", "\\u003c")
    html = environment.get_template("watch/watch.html.jinja").render(words=words, data=_DATA)
    head, _, tail = html.partition(_DATA)
    return head, tail
