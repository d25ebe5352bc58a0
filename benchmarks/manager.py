"""What the experiment manager adds to a trial: agents × seeds in a store on disk against the bare trials.

The bare contender calls `run_trial` for the same trials on the same number of threads and forgets them. The manager's
own cost is the difference: reading the experiment, its checks, keys, claims, compression, checksums, the store on
disk, progress, and reading the results back. Every run is a process of its own, with its compiled loops warm.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import measuring

ENVIRONMENT = "FrozenLake-v1(is_slippery=False)"
EPISODES = 100
TARGET_SECONDS = 1e-3


def agents(number: int) -> dict[str, str]:
    """So many settings of one agent."""
    return {
        f"setting {k}": f"q_learning(discount={0.9 + 0.09 * k / number:.6f}, policy=epsilon_greedy(0.2))"
        for k in range(number)
    }


def bare(number: int, seeds: int) -> None:
    """The same trials without a manager."""
    from velodrome.experiments.specification.catalogue import build_agent
    from velodrome.experiments.specification.environment_configuration import build_environment
    from velodrome.experiments.trials.environment_profile import EnvironmentProfile
    from velodrome.experiments.trials.trial import Budget, run_trial

    profile = EnvironmentProfile.of(ENVIRONMENT, build_environment(ENVIRONMENT).make)
    budget = Budget(EPISODES, None)
    built = {label: build_agent(expression) for label, expression in agents(number).items()}

    def batch(label: str) -> None:
        for seed in range(seeds):
            run_trial(label, built[label], profile, budget, seed)

    with ThreadPoolExecutor(measuring.usable_cores()) as pool:
        list(pool.map(batch, built))


def managed(number: int, seeds: int) -> None:
    """The trials of `compare` with a store."""
    from velodrome.experiments.compare import compare

    with tempfile.TemporaryDirectory() as folder:
        results = compare(agents(number), ENVIRONMENT, seeds=seeds, episodes=EPISODES, out=folder)
        assert len(results.records) == number * seeds
        assert not results.failures


def measure(kind: str, number: int, seeds: int) -> dict[str, float]:
    """Wall and CPU seconds of one run, and its peak memory."""
    warnings.simplefilter("ignore")
    work = {"bare": bare, "managed": managed}[kind]
    work(2, 2)
    base = measuring.peak_memory()
    wall, cpu = time.perf_counter(), time.process_time()
    work(number, seeds)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"wall": wall, "cpu": cpu, "memory": measuring.peak_memory() - base}


def run(kind: str, number: int, seeds: int) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, os.path.abspath(__file__), "--worker", json.dumps([kind, number, seeds])]
    answer: dict[str, float] = json.loads(subprocess.check_output(command, text=True))
    return answer


def main() -> None:
    given = measuring.arguments(__doc__, 3, ("--worker", {"help": "for the benchmark's own processes"}))
    if given.worker is not None:
        print(json.dumps(measure(*json.loads(given.worker))))
        return
    sizes = [(4, 5), (4, 10)] if given.quick else [(100, 25), (100, 100)]
    rows, memory = [], []
    with measuring.Load(given) as load:
        for number, seeds in sizes:
            trials = number * seeds
            rounds = [{kind: run(kind, number, seeds) for kind in ("bare", "managed")} for _ in range(given.rounds)]
            own = measuring.median([(turn["managed"]["cpu"] - turn["bare"]["cpu"]) / trials for turn in rounds])
            memory.append(measuring.median([turn["managed"]["memory"] for turn in rounds]))
            bare = measuring.as_time(measuring.median([turn["bare"]["cpu"] for turn in rounds]) / trials)
            ratios = [turn["managed"]["cpu"] / turn["bare"]["cpu"] for turn in rounds]
            goal = measuring.verdict(own * 1e3, TARGET_SECONDS * 1e3, at_least=False) + " (ms)"
            label = f"{number} agents × {seeds} seeds, {memory[-1] / 2**20:.0f} MiB"
            rows.append(measuring.Row(label, measuring.as_time(own), "the trial alone", bare, ratios, goal))
        title = f"{ENVIRONMENT}, {EPISODES} episodes: what the manager adds to a trial, CPU time"
        load.table("trial", f"{title}, median of {given.rounds} rounds", rows, "the whole is so many times")
        (few_agents, few), (many_agents, many) = sizes
        each = (memory[1] - memory[0]) / (many_agents * many - few_agents * few)
        print(f"\nEach further trial keeps {each / 1024:.1f} KiB of memory.")


if __name__ == "__main__":
    main()
