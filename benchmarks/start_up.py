"""What it costs to start: CPU seconds and memory of fresh processes, against `import tensorflow` in the same round.

"cold" starts from an empty folder of compiled code (NUMBA_CACHE_DIR), "warm" is the same command once more. Fails if
tensorflow is loaded where no network learns: not by the command line, nor by an agent that was saved and acts.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import measuring

# Neither the package nor its command line may need these to start.
HEAVY = ("tensorflow", "numba", "pandas", "matplotlib", "scipy", "gymnasium", "numpy")
FORBIDDEN = {"tensorflow"}

COMMAND = "import sys; from velodrome.__main__ import main; sys.argv[1:] = {arguments!r}; main()"
# The report goes to a file, for the commands print to standard output.
REPORT = """
import atexit, json, sys

def report():
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    open({file!r}, "w").write(json.dumps([peak, [name for name in {heavy!r} if name in sys.modules]]))

atexit.register(report)
"""
LIMIT = "import tensorflow"
SAVE = """
import velodrome as vd
agent = vd.agents.SimpleCNN()
agent.train("velodrome/Classification-v0", episodes=50, seed=0)
agent.save({folder!r})
"""
ACT = """
import numpy as np
from velodrome.agents import Agent
Agent.load({folder!r}).act(np.zeros((8, 8), np.uint8))
"""


class Program(NamedTuple):
    """A row: what runs, and whether it may load tensorflow; that takes so long that cold and warm are the same."""

    code: str
    may_load_tensorflow: bool = False


class Start(NamedTuple):
    """CPU and wall seconds of one process, its peak memory in bytes, and the heavy modules it had loaded at its end."""

    seconds: float
    wall: float
    memory: int
    loaded: list[str]


def start(program: str, folder: Path, cache: Path) -> Start:
    """Run a program in a fresh interpreter."""
    report = folder / "report.json"
    prologue = REPORT.format(file=str(report), heavy=HEAVY)
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache), "TF_CPP_MIN_LOG_LEVEL": "3"}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    finished = subprocess.run(
        [sys.executable, "-c", prologue + program],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - started
    if finished.returncode:
        raise RuntimeError(f"{program} failed:\n{finished.stderr}")
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Start(seconds, wall, *json.loads(report.read_text(encoding="utf-8")))


def command(*arguments: str) -> str:
    """The program of a command of velodrome."""
    return COMMAND.format(arguments=list(arguments))


def programs(saved: Path) -> dict[str, Program]:
    """Program of each row."""
    learning = ("run", "softmax_regression", "velodrome/Classification-v0", "--episodes", "1437")
    return {
        "python -c pass": Program("pass"),
        "import velodrome": Program("import velodrome"),
        "velodrome --help": Program(command("--help")),
        "velodrome list": Program(command("list")),
        "velodrome run q_learning FrozenLake-v1": Program(
            command("run", "q_learning", "FrozenLake-v1", "--episodes", "1000")
        ),
        "act once with a saved simple_cnn": Program(ACT.format(folder=str(saved))),
        LIMIT: Program(LIMIT, may_load_tensorflow=True),
        "what a learning network imports": Program(
            "from velodrome.agents.deep.keras_runtime import keras; keras()", may_load_tensorflow=True
        ),
        "velodrome run softmax_regression, digits": Program(command(*learning), may_load_tensorflow=True),
    }


def main() -> int:
    """Print the table; 1 if a forbidden module is loaded."""
    given = measuring.arguments(__doc__, 3)
    with measuring.Load(given) as load, tempfile.TemporaryDirectory() as saved:
        commands = programs(Path(saved) / "agent")
        start(SAVE.format(folder=str(Path(saved) / "agent")), Path(saved), Path(saved) / "cache")
        starts: dict[str, dict[str, list[Start]]] = {name: {"cold": [], "warm": []} for name in commands}
        for _ in range(given.rounds):
            for name, program in commands.items():
                with tempfile.TemporaryDirectory() as folder:
                    for temperature in ("warm",) if program.may_load_tensorflow else ("cold", "warm"):
                        # A folder of its own, or the second comparison would find the trials of the first.
                        work = Path(folder) / temperature
                        work.mkdir()
                        found = start(program.code, work, Path(folder) / "cache")
                        starts[name][temperature].append(found)
        limit = [each.seconds for each in starts[LIMIT]["warm"]]
        title = f"CPU seconds of a fresh process, median of {given.rounds} rounds"
        rows = [row(name, found, limit) for name, found in starts.items() if name != LIMIT]
        load.table("processes", title, rows, "takes so many times")
    wrong = [
        (name, module)
        for name, found in starts.items()
        for module in FORBIDDEN
        if not commands[name].may_load_tensorflow
        and any(module in each.loaded for runs in found.values() for each in runs)
    ]
    for name, module in wrong:
        print(f"{name} loads {module}", file=sys.stderr)
    print(f"loads {' or '.join(FORBIDDEN)} without need: {'yes' if wrong else 'none'}")
    return 1 if wrong else 0


def row(name: str, found: dict[str, list[Start]], limit: list[float]) -> measuring.Row:
    """A line of the table."""
    cold, warm = ([each.seconds for each in found[temperature]] for temperature in ("cold", "warm"))
    memory = measuring.median([each.memory for each in found["warm"]]) / 2**20
    figure = f"{measuring.median(warm):.2f} s, {memory:,.0f} MiB"
    if cold:
        figure += f" (cold {measuring.median(cold):.2f} s)"
    what = f"`{name}`" if name.startswith(("python", "import", "velodrome")) else name
    return measuring.Row(
        what, figure, f"`{LIMIT}`", f"{measuring.median(limit):.2f} s", measuring.speed_ratios(limit, warm)
    )


if __name__ == "__main__":
    sys.exit(main())
