"""Many seeds on an environment without a model: `compare` against the same trials by `run`, one after the other.

CartPole through bins, CPU time of all processes. Where `compare` steps many seeds side by side in the environment's
native vector form, it takes less than the trials alone; where it does not, about as much. In the calling thread
(`workers=0`), and in one worker process, whose start counts. Fails unless every trial has the same returns.
"""

import os
import sys

import measuring

import velodrome as vd

AGENT = "discretized(agent=q_learning(policy=epsilon_greedy(epsilon=0.1)), bins=8)"
ENVIRONMENT = "CartPole-v1"


def cpu_seconds() -> float:
    """CPU time of this process and of the child processes that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def main() -> int:
    """Print the table; 1 if a trial differs."""
    given = measuring.arguments(__doc__, 5)
    seeds, steps = (3, 200) if given.quick else (64, 5_000)
    returns: dict[str, list[float]] = {}

    def alone() -> int:
        trials = [vd.run(AGENT, ENVIRONMENT, steps=steps, seed=seed, evaluation_episodes=1) for seed in range(seeds)]
        returns["run"] = [trial.log.mean_return for trial in trials]
        return seeds * steps

    def compared(workers: int) -> int:
        results = vd.compare(
            {"agent": AGENT}, ENVIRONMENT, seeds=seeds, steps=steps, evaluation_episodes=1, workers=workers
        )
        records = sorted(results.records, key=lambda record: record.seed)
        returns[f"workers={workers}"] = [record.row()["train_mean_return"] for record in records]
        return seeds * steps

    work = {"run": alone, "workers=0": lambda: compared(0), "workers=1": lambda: compared(1)}
    with measuring.Load(given) as load:
        alone()
        contenders = {name: measuring.timed(each, cpu_seconds) for name, each in work.items()}
        seconds = measuring.interleave(contenders, given.rounds)
        for name in work:
            if returns[name] != returns["run"]:
                print(f"{name}: other returns than run", file=sys.stderr)
                return 1
        rows = []
        for name, label in (
            ("workers=0", "`compare`, in the calling thread"),
            ("workers=1", "`compare`, one worker process"),
        ):
            ours, theirs = (measuring.as_time(measuring.median(seconds[each])) for each in (name, "run"))
            ratios = measuring.speed_ratios(seconds[name], seconds["run"])
            rows.append(measuring.Row(label, ours, "`run`, seed by seed", theirs, ratios))
        title = f"{ENVIRONMENT} through bins, {seeds} seeds of {steps:,} steps, CPU time a step"
        load.table("seeds", f"{title}, median of {given.rounds} rounds", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
