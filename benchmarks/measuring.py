"""What every benchmark shares: interleaved rounds, ratios, tables, and what else the machine was doing.

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
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
PACKAGES = ("velodrome", "numpy", "numba", "gymnasium")

# The algorithm that all loops run.
LEARNING_RATE, DISCOUNT, EPSILON_EVERY = 0.1, 0.99, 100


class Run(NamedTuple):
    """Steps that one run of a contender took, and its seconds."""

    steps: int
    seconds: float


def arguments(description: str | None, rounds: int, *extra: tuple[str, dict[str, Any]]) -> argparse.Namespace:
    """Command-line arguments: `--rounds`, `--quick`, and those in `extra`."""
    summary = (description or "").strip().partition("\n")[0]
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("--rounds", type=int, help=f"interleaved rounds (default {rounds}; 1 with --quick)")
    parser.add_argument("--quick", action="store_true", help="a small amount of work: to see that it runs, not to time")
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
    """Context that watches what else the machine does, and prints it at its end.

    The share of the others is the busy time of all cores, as /proc/stat counts it, less the CPU time of this process
    and of the child processes that have ended.
    """

    def __enter__(self) -> "Load":
        self._averages = _load_averages()
        self._busy, self._own, self._wall = _busy_seconds(), _own_seconds(), time.monotonic()
        return self

    def __exit__(self, *exception: object) -> None:
        elapsed, cores = time.monotonic() - self._wall, os.cpu_count() or 1
        busy, own = _busy_seconds(), _own_seconds() - self._own
        if busy is None or self._busy is None:
            others = "not known here"
        else:
            others = f"{max(0.0, busy - self._busy - own) / (elapsed * cores):.0%} of all cores"
        print(f"\nload average {self._averages} before, {_load_averages()} after; other programs took {others}")
        print(f"{elapsed:.0f} s on {usable_cores()} of {cores} cores ({_processor()}), {versions()}")


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


def _busy_seconds() -> float | None:
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _, _, irq, softirq, steal = (int(field) for field in fields[:8])
    return (user + nice + system + irq + softirq + steal) / float(os.sysconf("SC_CLK_TCK"))


def _own_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


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
