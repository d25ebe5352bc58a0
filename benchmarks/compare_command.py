"""`velodrome compare frozenlake` with many seeds: the first time, again with compiled code, and with all stored.

Every run is a fresh process with everything that a user waits for: imports, compiling, trials, the store, tables and
pictures. "cold" starts with an empty folder of compiled code (NUMBA_CACHE_DIR), "warm" runs all trials again, "stored"
none, "watched" all again with the page of `--watch`. The trials alone are those of the same experiment, by `run_trial`
one after the other, with compiled code and nothing stored; "trials and store" is `compare` of the library with compiled
code, which makes no table.
"""

import tempfile
from pathlib import Path

import measuring
from start_up import Start, command, start

# Seconds by the clock on two free cores.
COLD, STORED, FEW_STORED = 15.0, 2.0, 1.2
TRIALS_SECONDS, REPORT_SECONDS, REPORT_MEMORY = 12.0, 10.0, 300.0
BARE = """
from velodrome.experiments.specification.experiment_file import read_experiment
from velodrome.experiments.trials.trial import Budget, run_trial

plan = read_experiment("frozenlake", seeds={seeds}).plan()
for environment in plan.environments.values():
    for label, planned in plan.agents.items():
        for seed in plan.seeds:
            run_trial(label, planned.agent, environment.profile, Budget(plan.episodes, None), seed)
"""

STORE = """
from velodrome.experiments.compare import compare

compare("frozenlake", seeds={seeds}, out="trials")
"""


def one_round(many: int, few: int) -> dict[str, Start]:
    """Every process once, in an order that leaves each what it needs."""
    with tempfile.TemporaryDirectory() as name:
        folder, cache = Path(name), Path(name) / "compiled"

        def compared(seeds: int, out: str, *options: str) -> Start:
            words = ["compare", "frozenlake", "--seeds", str(seeds), "--out", out, *options]
            return start(command(*words), folder, cache)

        found = {"cold": compared(many, "cold"), "bare": start(BARE.format(seeds=many), folder, cache)}
        found["trials"] = start(STORE.format(seeds=many), folder, cache)
        found |= {"warm": compared(many, "warm"), "watched": compared(many, "watched", "--watch")}
        found |= {"stored": compared(many, "warm")}
        found["report"] = start(command("report", "warm"), folder, cache)
        compared(few, "few")
        return found | {"few stored": compared(few, "few")}


def row(what: str, name: str, goal: str, rounds: list[dict[str, Start]]) -> measuring.Row:
    """A line; its ratio is that of CPU seconds to the trials alone."""
    found, bare = [each[name] for each in rounds], [each["bare"] for each in rounds]
    cpu, wall = (measuring.median([getattr(one, clock) for one in found]) for clock in ("seconds", "wall"))
    figure = f"{wall:.1f} s, CPU {cpu:.1f} s, {measuring.median([one.memory for one in found]) / 2**20:,.0f} MiB"
    theirs = f"CPU {measuring.median([one.seconds for one in bare]):.1f} s"
    ratios = [one.seconds / alone.seconds for one, alone in zip(found, bare, strict=True)]
    return measuring.Row(what, figure, "the trials alone", theirs, ratios, goal)


def main() -> None:
    given = measuring.arguments(__doc__, 3)
    many, few = (5, 5) if given.quick else (1000, 30)
    with measuring.Load(given) as load:
        rounds = [one_round(many, few) for _ in range(given.rounds)]

        def goal(name: str, seconds: float) -> str:
            return (
                measuring.verdict(measuring.median([each[name].wall for each in rounds]), seconds, at_least=False)
                + " (s)"
            )

        title = f"`velodrome compare frozenlake`, median of {given.rounds} rounds"
        rows = [
            row(f"{many} seeds, cold", "cold", goal("cold", COLD), rounds),
            row(f"{many} seeds, warm", "warm", "", rounds),
            row(f"{many} seeds, warm, watched", "watched", "", rounds),
            row(f"{many} seeds, all stored", "stored", goal("stored", STORED), rounds),
        ]
        load.table("many", title, rows, "CPU, so many times")
        cpu = measuring.median([each["trials"].seconds for each in rounds])
        trials_goal = measuring.verdict(cpu, TRIALS_SECONDS, at_least=False) + " (CPU s)"
        trials = row(f"{many} seeds, trials and store", "trials", trials_goal, rounds)
        load.table("trials", title, [trials], "CPU, so many times")
        stored = row(f"{few} seeds, all stored", "few stored", goal("few stored", FEW_STORED), rounds)
        load.table("few", title, [stored], "CPU, so many times")
        cpu, memory = (
            measuring.median([getattr(each["report"], name) for each in rounds]) for name in ("seconds", "memory")
        )
        goals = [
            f"{measuring.verdict(cpu, REPORT_SECONDS, at_least=False)} (CPU s)",
            f"{measuring.verdict(memory / 2**20, REPORT_MEMORY, at_least=False)} (MiB)",
        ]
        report = row(f"`velodrome report` of {many} seeds", "report", "; ".join(goals), rounds)
        load.table("report", f"The report, median of {given.rounds} rounds", [report], "CPU, so many times")


if __name__ == "__main__":
    main()
