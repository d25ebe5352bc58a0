"""What every benchmark shares: interleaved rounds, ratios, rows, and what else the machine was doing.

A ratio is formed inside each round, where both contenders ran one after the other under the same load, and the
median of the rounds is reported. Single-threaded contenders are timed by the CPU time of the process. Only the
standard library is imported at the top, for other projects' interpreters run this file too.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
PACKAGES = ("velodrome", "numpy", "numba", "gymnasium", "tensorflow")
# What a row says of a contender that this machine lacks.
NOT_INSTALLED = "not installed here"

# The algorithm that all loops run.
LEARNING_RATE, DISCOUNT, EPSILON_EVERY = 0.1, 0.99, 100


class Run(NamedTuple):
    """Steps that one run of a contender took, and its seconds."""

    steps: int
    seconds: float


class Row(NamedTuple):
    """One comparison: what was measured, the figure of both contenders, and the ratio of each round.

    Without ratios `theirs` says why: the other is not installed here, or there is nothing to compare with.
    """

    what: str
    ours: str
    other: str
    theirs: str
    ratios: Sequence[float] = ()
    goal: str = ""


def arguments(description: str | None, rounds: int, *extra: tuple[str, dict[str, Any]]) -> argparse.Namespace:
    """Command-line arguments: `--rounds`, `--quick`, `--json`, and those in `extra`."""
    summary = (description or "").strip().partition("\n")[0]
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("--rounds", type=int, help=f"interleaved rounds (default {rounds}; 1 with --quick)")
    parser.add_argument("--quick", action="store_true", help="a small amount of work: to see that it runs, not to time")
    parser.add_argument("--json", type=Path, help="also write the rows, the machine and its load to this file")
    for name, options in extra:
        parser.add_argument(name, **options)
    given = parser.parse_args()
    if given.rounds is None:
        given.rounds = 1 if given.quick else rounds
    if given.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {given.rounds}")
    return given


def timed(work: Callable[[], int], clock: Callable[[], float] = time.process_time) -> Callable[[], Run]:
    """A contender from a function that returns the number of steps it took."""

    def run() -> Run:
        started = clock()
        steps = work()
        return Run(steps, clock() - started)

    return run


def interleave(contenders: Mapping[str, Callable[[], Run]], rounds: int) -> dict[str, list[float]]:
    """Seconds a step of each contender in each round; the order rotates from round to round."""
    names = list(contenders)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        for place in range(len(names)):
            name = names[(turn + place) % len(names)]
            run = contenders[name]()
            seconds[name].append(run.seconds / run.steps)
    return seconds


def speed_ratios(seconds: Sequence[float], reference: Sequence[float]) -> list[float]:
    """How many times as fast as the reference, round by round."""
    return [other / own for own, other in zip(seconds, reference, strict=True)]


def median(values: Sequence[float]) -> float:
    return float(statistics.median(values))


def as_ratio(ratios: Sequence[float]) -> str:
    """The median with the smallest and the largest round, such as `0.91 (0.88-0.94)`."""
    digits = 2 if median(ratios) < 10 else 0
    spread = f" ({min(ratios):.{digits}f}-{max(ratios):.{digits}f})" if len(ratios) > 1 else ""
    return f"{median(ratios):.{digits}f}{spread}"


def as_time(seconds: float) -> str:
    """Seconds in the unit that reads best."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if abs(seconds) >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def as_rate(seconds_per_step: float) -> str:
    """Steps a second."""
    rate = 1 / seconds_per_step
    return f"{rate / 1e6:.3g} M/s" if rate >= 1e6 else f"{rate / 1e3:.3g} k/s"


def verdict(value: float, target: float, *, at_least: bool = True) -> str:
    """The target and whether it is met."""
    met = value >= target if at_least else value <= target
    return f"{'>=' if at_least else '<='} {target:g}: {'met' if met else 'missed'}"


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """The first column and remarks are left-aligned, the others right-aligned."""
    widths = [max(len(line[column]) for line in (header, *rows)) for column in range(len(header))]
    signs = ["<" if column == 0 or name == "remark" else ">" for column, name in enumerate(header)]
    print(f"\n{title}")
    for line in (header, ["-" * width for width in widths], *rows):
        cells = [f"{cell:{sign}{width}}" for cell, sign, width in zip(line, signs, widths, strict=True)]
        print("  ".join(cells).rstrip())


class Load:
    """Context of a benchmark: keeps its rows, and watches what else the machine does.

    The share of the others is the busy time of all cores less the CPU time of this process and of the child processes
    that have ended. At the end it is printed, and with `--json` all is written.
    """

    def __init__(self, given: argparse.Namespace | None = None) -> None:
        self.given = given
        self.tables: list[dict[str, Any]] = []
        self.peers: list[str] = []

    def __enter__(self) -> "Load":
        self._averages = _load_averages()
        self._busy, self._own, self._wall = _busy_seconds(), _own_seconds(), time.monotonic()
        return self

    def has_peer(self, python: str | Path, module: str) -> bool:
        """Whether an interpreter has a module of another project; its version is kept."""
        if not Path(python).exists():
            return False
        command = [str(python), "-c", f"import numpy, {module}; print({module}.__version__)"]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        if found.returncode == 0:
            self.peers.append(f"{module} {found.stdout.split()[-1]}")
        return found.returncode == 0

    def table(self, key: str, title: str, rows: Iterable[Row], ratio: str = "velodrome is faster by") -> None:
        """Print a table, and keep it.

        Args:
            key: by which a page asks for this table alone.
            title: what is measured, in which unit.
            rows: its lines.
            ratio: what the ratio is.
        """
        rows = list(rows)
        lines = [[*row[:4], as_ratio(row.ratios) if row.ratios else "-", row.goal] for row in rows]
        print_table(title, ["what", "velodrome", "compared with", "its figure", ratio, "goal"], lines)
        kept = [row._asdict() | {"ratios": [float(f"{one:.4g}") for one in row.ratios]} for row in rows]
        self.tables.append({"key": key, "title": title, "ratio": ratio, "rows": kept})

    def __exit__(self, kind: object, *exception: object) -> None:
        elapsed, cores = time.monotonic() - self._wall, os.cpu_count() or 1
        busy = _busy_seconds() - self._busy - (_own_seconds() - self._own)
        others, after = max(0.0, busy) / (elapsed * cores), _load_averages()
        print(f"\nload average {self._averages} before, {after} after; other programs took {others:.0%} of all cores")
        found = ", ".join([versions(), *self.peers])
        print(f"{elapsed:.0f} s on {usable_cores()} of {cores} cores ({processor()}), {found}")
        if kind is None and self.given is not None and self.given.json is not None:
            machine = {"cores": cores, "usable_cores": usable_cores(), "processor": processor()}
            load = {"before": self._averages, "after": after, "others": round(others, 3)}
            run = {"date": date.today().isoformat(), "seconds": round(elapsed), "rounds": self.given.rounds}
            kept = run | {"quick": self.given.quick, "machine": machine, "versions": found, "load": load}
            text = json.dumps(kept | {"tables": self.tables}, ensure_ascii=False, indent=1)
            self.given.json.write_text(text + "\n", encoding="utf-8")


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions(packages: Sequence[str] = PACKAGES) -> str:
    """Versions of Python and of the packages that are installed."""
    found = [f"Python {platform.python_version()}"]
    for package in packages:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def _load_averages() -> str:
    return f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown"


def _busy_seconds() -> float:
    # Other projects' interpreters lack it.
    import psutil

    times = psutil.cpu_times()
    return sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal"))


def _own_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def processor() -> str:
    """Name of the processor, with the widest vector instructions that it has."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = fields.get("flags", "").split()
    vectors = [name for flag, name in (("avx512f", "AVX-512"), ("avx2", "AVX2"), ("avx", "AVX")) if flag in flags]
    return ", ".join([fields.get("model name", platform.machine()), *vectors[:1]])


class Worker:
    """A contender in another interpreter: one line of JSON in, one line of JSON out, run after run.

    The worker's program calls `serve`. Its first answer, `ready`, comes when everything is imported and compiled.

    Raises:
        WorkerError: the worker ended; with the last line of what it said.
    """

    def __init__(self, python: str | Path, script: str, *options: str, environment: dict[str, str] | None = None):
        # A pipe that nobody reads would stop a worker that draws progress bars.
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 (closed with the worker)
        self._process = subprocess.Popen(
            [str(python), str(HERE / script), *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
            env=os.environ | (environment or {}),
        )  # fmt: skip
        self.ready = self._answer()

    def ask(self, **request: Any) -> dict[str, Any]:
        """The worker's answer to a request."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the worker and wait for it, so that its CPU time is counted as ours."""
        self._process.communicate()
        self._errors.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                return dict(json.loads(line))
        self._process.communicate()
        self._errors.seek(0)
        errors = self._errors.read().strip().splitlines()
        self._errors.close()
        raise WorkerError(errors[-1] if errors else f"ended with code {self._process.returncode}")


class WorkerError(Exception):
    """A worker ended before it answered."""


def serve(work: Callable[..., dict[str, Any]], **ready: Any) -> None:
    """Answer requests from `Worker.ask` until standard input ends."""
    print(json.dumps(ready), flush=True)
    for line in sys.stdin:
        print(json.dumps(work(**json.loads(line))), flush=True)


def peak_memory() -> int:
    """Largest resident memory that this process has had, in bytes."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def q_learning() -> Any:
    """The agent of velodrome that all loops copy: epsilon-greedy with random ties, decaying by episode."""
    from velodrome import agents, policies

    policy = policies.EpsilonGreedy(epsilon=policies.SteppedHarmonic(every=EPSILON_EVERY), ties="random")
    return agents.QLearning(discount=DISCOUNT, learning_rate=LEARNING_RATE, policy=policy)
