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
# Looking at results, and writing, wait so many times as long as they took: a look that takes twice as long as the one
# before keeps both below 2 %. By the clock, for on busy cores trials and looks take longer alike.
REST_RATIO = 80.0
# Of the first look; later ones are measured.
FIRST_LOOK_SECONDS, LOOK_SECONDS_PER_PAIR = 5.0, 0.05
_DATA, _NOTHING = "@data@", "null"


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
        self._looked, self._seen = _NOTHING, 0
        self._look_at = self._started + FIRST_LOOK_SECONDS
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
            self._look_at, self._seen = 0.0, -1
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
            if self._status.finished != self._seen and time.monotonic() >= self._look_at:
                self._look()
                took, before = time.monotonic() - before, time.monotonic()
                self._look_at = max(self._look_at, time.monotonic() + REST_RATIO * took)
            head, tail = _page()
            data = self._facts(state)[:-1] + f', "looked": {self._looked}}}'
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, "".join((head, data.replace("<", "\\u003c"), tail)))
        except Exception as error:
            self._problem = " ".join(f"{type(error).__name__}: {error}".split())
        return time.monotonic() - before

    def _look(self) -> None:
        """Compute what the page shows of the trials that have ended; nothing where that would be too early."""
        finished = self._status.finished
        results = self.results or self._stored()
        if results is not None:
            shown = shown_results(results, self._options)
            self._looked, self._seen = json.dumps(shown, ensure_ascii=False, allow_nan=False), finished

    def _stored(self) -> Results | None:
        """Results of the trials that are stored; None where the experiment is not yet, or a first look is too early."""
        with Store.open_for_reading(self._out) as store:
            if self._experiment is not None and self._experiment not in store.experiments():
                return None
            experiment = store.experiment(self._experiment)
            if self._looked == _NOTHING and not self._is_over.is_set():
                pairs = len({(agent, environment) for _, agent, environment, _ in experiment.trials})
                self._look_at = self._started + REST_RATIO * LOOK_SECONDS_PER_PAIR * pairs
                if time.monotonic() < self._look_at:
                    return None
            return Results.of_store(store, experiment)

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
