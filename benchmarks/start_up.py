"""What it costs to start: CPU seconds of fresh processes, and which heavy modules they load.

"cold" starts from an empty folder of compiled code (NUMBA_CACHE_DIR), "warm" is the same command once more.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
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
atexit.register(lambda: open({file!r}, "w").write(json.dumps([name for name in {heavy!r} if name in sys.modules])))
"""


class Start(NamedTuple):
    """CPU seconds of one process, and the heavy modules it had loaded at its end."""

    seconds: float
    loaded: list[str]


def start(program: str, folder: Path, cache: Path) -> Start:
    """Run a program in a fresh interpreter."""
    report = folder / "modules.json"
    prologue = REPORT.format(file=str(report), heavy=HEAVY)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    finished = subprocess.run(
        [sys.executable, "-c", prologue + program],
        cwd=folder, env=os.environ | {"NUMBA_CACHE_DIR": str(cache)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if finished.returncode:
        raise RuntimeError(f"{program} failed:\n{finished.stderr}")
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Start(seconds, json.loads(report.read_text(encoding="utf-8")))


def programs(seeds: int) -> dict[str, str]:
    """Program of each row."""
    comparison = ["compare", "frozenlake", "--seeds", str(seeds), "--out", "results"]
    return {
        "python -c pass": "pass",
        "import velodrome": "import velodrome",
        "velodrome --help": COMMAND.format(arguments=["--help"]),
        "velodrome list": COMMAND.format(arguments=["list"]),
        "velodrome run q_learning FrozenLake-v1": COMMAND.format(
            arguments=["run", "q_learning", "FrozenLake-v1", "--episodes", "1000"]
        ),
        f"velodrome compare frozenlake --seeds {seeds}": COMMAND.format(arguments=comparison),
    }


def main() -> int:
    """Print the table; 1 if a forbidden module is loaded."""
    given = measuring.arguments(__doc__, 3)
    commands = programs(2 if given.quick else 1_000)
    starts: dict[str, dict[str, list[Start]]] = {name: {"cold": [], "warm": []} for name in commands}
    with measuring.Load():
        for _ in range(given.rounds):
            for name, program in commands.items():
                with tempfile.TemporaryDirectory() as folder:
                    for temperature in ("cold", "warm"):
                        # A folder of its own, or the second comparison would find the trials of the first.
                        work = Path(folder) / temperature
                        work.mkdir()
                        found = start(program, work, Path(folder) / "cache")
                        starts[name][temperature].append(found)
        rows = []
        for name, found in starts.items():
            seconds = [
                f"{measuring.median([each.seconds for each in found[temperature]]):.2f}"
                for temperature in ("cold", "warm")
            ]
            rows.append([name, *seconds, ", ".join(found["warm"][-1].loaded) or "-"])
        header = ["command", "cold", "warm", "remark"]
        measuring.print_table(f"CPU seconds, median of {given.rounds} rounds; loaded modules", header, rows)
    wrong = [
        (name, module)
        for name, found in starts.items()
        for module in FORBIDDEN
        if any(module in each.loaded for runs in found.values() for each in runs)
    ]
    for name, module in wrong:
        print(f"{name} loads {module}", file=sys.stderr)
    print(f"loads {' or '.join(FORBIDDEN)}: {'yes' if wrong else 'none'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
