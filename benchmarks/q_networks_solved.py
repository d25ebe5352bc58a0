"""How many seeds of CartPole-v1 a DQN solves, and after how many CPU seconds: velodrome's, SB3's and CleanRL's.

Each contender trains with seeds that nothing was chosen by. After every 1,000 steps (CleanRL's 10,000) its greedy
policy plays 10 episodes from fixed starts, the same for all; that time is not counted. Solved is a mean of at least 475
at the end; fell back, such a mean before but not at the end. CPU seconds are those of the training until the first such
mean, importing and compiling not counted. One thread.
"""

import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import measuring
from peer_q_networks import CLEANRL_STEPS, ENVIRONMENT, SOLVED, ZOO, Trainer, on_one_thread, trainer, watched

OURS = "velodrome `dqn`"
SEEDS, FIRST_SEED = 10, 50_000
SKIPPED = (
    "skipped: no Stable-Baselines3. Install it apart: python -m venv DIR; DIR/bin/pip install stable-baselines3; "
    "then --sb3-python DIR/bin/python"
)


class Course(NamedTuple):
    """How a contender trains."""

    contender: str
    options: dict[str, Any]
    steps: int = 50_000
    every: int = 1_000


COURSES = {
    OURS: Course("velodrome", {"expression": "dqn"}),
    "SB3, RL Zoo's settings": Course("sb3", ZOO),
    "SB3, its defaults": Course("sb3", {}),
    "CleanRL's settings, PyTorch": Course("pytorch", {}, CLEANRL_STEPS, 10_000),
}


def velodrome(seed: int, expression: str) -> Trainer:
    from velodrome.experiments.specification.catalogue import build_agent

    # Compiled before the clock starts.
    build_agent(expression).train(ENVIRONMENT, steps=2_000, seed=seed)
    agent = build_agent(expression)

    def learn(steps: int, every: int, look: Any) -> None:
        def evaluate(_: Any) -> dict[str, float]:
            look()
            return {}

        agent.train(ENVIRONMENT, steps=steps, seed=seed, evaluate_every=every, evaluator=evaluate)

    return Trainer(learn, agent.act)


def serve() -> None:
    """A contender in a process of its own."""
    on_one_thread()

    def work(contender: str, options: dict[str, Any], seed: int, steps: int, every: int) -> dict[str, Any]:
        made = velodrome(seed, **options) if contender == "velodrome" else trainer(contender, seed, options)
        return watched(made, steps, every)

    measuring.serve(work)


def exact_interval(successes: int, number: int) -> tuple[float, float]:
    """Clopper and Pearson's 95 % interval of a share."""
    from scipy.special import betaincinv

    low = float(betaincinv(successes, number - successes + 1, 0.025)) if successes else 0.0
    high = float(betaincinv(successes + 1, number - successes, 0.975)) if successes < number else 1.0
    return low, high


def middle(values: Sequence[float], unit: str) -> str:
    """Median with the smallest and the largest; a seed that never came there counts as later than all."""
    values = sorted(values)
    low, median, high = values[0], measuring.median(values), values[-1]

    def shown(value: float) -> str:
        return "never" if math.isinf(value) else f"{value:,.2f}" if value < 10 and unit else f"{value:,.0f}"

    return f"{shown(median)}{unit if math.isfinite(median) else ''} ({shown(low)} to {shown(high)})"


def row(name: str, runs: Sequence[dict[str, Any]]) -> list[str]:
    course, number = COURSES[name], len(runs)
    ends = [run["returns"][-1] for run in runs]
    first = [next((place for place, value in enumerate(run["returns"]) if value >= SOLVED), None) for run in runs]
    solved = sum(value >= SOLVED for value in ends)
    low, high = exact_interval(solved, number)
    steps = [math.inf if place is None else course.every * (place + 1.0) for place in first]
    seconds = [math.inf if place is None else run["seconds"][place] for place, run in zip(first, runs, strict=True)]
    fell = sum(place is not None and value < SOLVED for place, value in zip(first, ends, strict=True))
    per_step = measuring.median([run["seconds"][-1] / (course.every * len(run["seconds"])) for run in runs])
    return [
        name,
        f"{course.steps:,}",
        f"{solved} of {number} [{low:.2f}, {high:.2f}]",
        f"{sum(place is not None for place in first)}",
        str(fell),
        f"{sum(ends) / number:.0f}",
        middle(steps, ""),
        middle(seconds, " s"),
        measuring.as_time(per_step),
    ]


HEADER = (
    "contender", "steps", "solved [95 %]", "ever at 475", "fell back", "mean at the end", "steps to 475 (range)",
    "CPU s to 475 (range)", "CPU a step",
)  # fmt: skip


def main() -> None:
    given = measuring.arguments(
        __doc__,
        1,
        ("--sb3-python", {"default": sys.executable, "help": "interpreter that has Stable-Baselines3"}),
        ("--contenders", {"nargs": "+", "choices": list(COURSES), "default": list(COURSES), "help": "(default all)"}),
        ("--seeds", {"type": int, "default": SEEDS, "help": f"how many (default {SEEDS})"}),
        ("--first-seed", {"type": int, "default": FIRST_SEED, "help": f"(default {FIRST_SEED})"}),
        ("--keep", {"type": Path, "help": "file of results, a line a seed: what stands there is not run again"}),
        ("--worker", {"action": "store_true", "help": "(used by the script itself)"}),
    )
    if given.worker:
        return serve()
    kept: dict[tuple[str, int], dict[str, Any]] = {}
    if given.keep and given.keep.exists():
        lines = [json.loads(line) for line in given.keep.read_text(encoding="utf-8").splitlines()]
        kept = {(line["contender"], line["seed"]): line for line in lines}
    seeds = range(given.first_seed, given.first_seed + (1 if given.quick else given.seeds))
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    load = measuring.Load(given)
    has_peer = load.has_peer(given.sb3_python, "stable_baselines3")
    with load:
        rows = []
        for name in given.contenders:
            course = COURSES[name]
            if course.contender != "velodrome" and not has_peer:
                rows.append([name, *[measuring.NOT_INSTALLED], *[""] * (len(HEADER) - 2)])
                continue
            if given.quick:
                course = course._replace(steps=1_000, every=500)
            python = sys.executable if course.contender == "velodrome" else given.sb3_python
            worker = None
            for seed in seeds:
                if (name, seed) in kept:
                    continue
                worker = worker or measuring.Worker(python, "q_networks_solved.py", "--worker", environment=threads)
                started = time.monotonic()
                found = worker.ask(**course._asdict(), seed=seed)
                kept[name, seed] = {"contender": name, "seed": seed} | found
                if given.keep:
                    with given.keep.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(kept[name, seed]) + "\n")
                end, wall = found["returns"][-1], time.monotonic() - started
                print(f"{name}, seed {seed}: {end:.0f} at the end, {wall:.0f} s", flush=True)
            if worker:
                worker.close()
            rows.append(row(name, [kept[name, seed] for seed in seeds]))
        title = f"{ENVIRONMENT}, {len(seeds)} seeds from {given.first_seed} on: greedy mean return of {SOLVED:.0f}"
        measuring.print_table(title, HEADER, rows)
    if not has_peer:
        print(SKIPPED)


if __name__ == "__main__":
    main()
