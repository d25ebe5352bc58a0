"""Tables and reports of many agents: CPU seconds and memory, each in a process of its own, from a store on disk.

The trials are tiny; what is measured is reading them and all statistics after them. A table is compared with what the
tests of its pairs would take one by one with `scipy.stats.permutation_test` and 10,000 sign flips, measured on some
pairs; a report with its table.
"""

import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import measuring

EPISODES = 50
TARGET_SECONDS = 3.0
PAIRS_MEASURED = 5
ENVIRONMENTS = [
    "FrozenLake-v1(is_slippery=False)",
    "velodrome/Chain-v0",
    "FrozenLake-v1",
    "velodrome/GridWorld-v0",
    "velodrome/RiverSwim-v0",
]


class Size(NamedTuple):
    """How many agents, environments and seeds."""

    agents: int
    environments: int
    seeds: int


def compared(size: Size, folder: str) -> None:
    """Store the trials."""
    from velodrome.experiments.compare import compare

    agents = {
        f"agent {k}": f"q_learning(learning_rate={0.05 + 0.9 * k / size.agents:.4f}, policy=epsilon_greedy(0.2))"
        for k in range(size.agents)
    }
    compare(agents, ENVIRONMENTS[: size.environments], seeds=size.seeds, episodes=EPISODES, out=folder)


def measure(kind: str, folder: str) -> dict[str, float]:
    """CPU seconds of a table or a report, and the peak memory of the process."""
    import matplotlib
    import pandas  # noqa: F401
    import scipy.stats  # noqa: F401

    from velodrome.experiments import Results

    matplotlib.use("agg")
    started = time.process_time()
    results = Results.load(folder)
    if kind == "table":
        results.table()
    else:
        results.report(Path(folder) / "report.html")
    return {"seconds": time.process_time() - started, "memory": measuring.peak_memory()}


def pair_seconds(seeds: int) -> float:
    """CPU seconds of the test of one pair with scipy."""
    import numpy as np
    from scipy.stats import permutation_test

    rng = np.random.default_rng(0)
    started = time.process_time()
    for _ in range(PAIRS_MEASURED):
        differences = (rng.normal(size=seeds),)
        permutation_test(differences, np.mean, permutation_type="samples", n_resamples=10_000, vectorized=True, rng=rng)
    return (time.process_time() - started) / PAIRS_MEASURED


def in_a_process(*arguments: str) -> dict[str, float]:
    """`measure` in a process of its own."""
    command = [sys.executable, str(measuring.HERE / "large_tables.py"), "--worker", *arguments]
    answer: dict[str, float] = json.loads(subprocess.check_output(command, text=True))
    return answer


def main() -> None:
    given = measuring.arguments(__doc__, 3, ("--worker", {"nargs": 2, "help": "(used by the script itself)"}))
    if given.worker:
        return print(json.dumps(measure(*given.worker)))
    warnings.simplefilter("ignore")
    sizes = [Size(4, 2, 5)] if given.quick else [Size(128, 2, 20), Size(40, 5, 100)]
    rows: dict[str, list[measuring.Row]] = {"table": [], "report": []}
    with measuring.Load(given) as load:
        for size in sizes:
            pairs = size.environments * size.agents * (size.agents - 1) // 2
            label = " × ".join(str(number) for number in size)
            with tempfile.TemporaryDirectory() as folder:
                compared(size, folder)
                runs: dict[str, list[dict[str, float]]] = {"table": [], "report": []}
                alone = []
                for _ in range(given.rounds):
                    for kind, answers in runs.items():
                        answers.append(in_a_process(kind, folder))
                    alone.append(pairs * pair_seconds(size.seeds))
            seconds = {kind: [run["seconds"] for run in answers] for kind, answers in runs.items()}
            figures = {
                kind: f"{measuring.median(seconds[kind]):.2f} s, "
                f"{measuring.median([run['memory'] for run in answers]) / 2**20:,.0f} MiB"
                for kind, answers in runs.items()
            }
            goal = measuring.verdict(measuring.median(seconds["table"]), TARGET_SECONDS, at_least=False) + " (s)"
            ratios = measuring.speed_ratios(seconds["table"], alone)
            theirs = f"{measuring.median(alone):.3g} s"
            rows["table"].append(
                measuring.Row(label, figures["table"], f"{pairs:,} pairs by scipy", theirs, ratios, goal)
            )
            ratios = measuring.speed_ratios(seconds["table"], seconds["report"])
            rows["report"].append(measuring.Row(label, figures["report"], "the table", figures["table"], ratios))
        title = f"of agents × environments × seeds, CPU time, median of {given.rounds} rounds"
        load.table("tables", f"Tables {title}", rows["table"])
        load.table("reports", f"Reports {title}", rows["report"], "takes so many times")


if __name__ == "__main__":
    main()
