"""How cost and memory grow: with the number of states, of episodes, and of trials.

Every point is measured in a process of its own, so that its peak memory is its own. Memory is resident memory above
that of a process which has run the same kind of work once, on a small scale.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import measuring

SEED = 0
LONG, SHORT = 10_000, 1
TINY_AGENT = "q_learning(policy=epsilon_greedy(epsilon=0.1))"


def grid_world(num_states: int, time_limit: int) -> Any:
    """An open map of about `num_states` cells, walked from one corner: steps lead to neighbours."""
    import gymnasium as gym

    import velodrome.envs  # noqa: F401 (registers the environments)

    side = round(num_states**0.5)
    rows = ["S" + "." * (side - 1), *["." * side] * (side - 2), "." * (side - 1) + "G"]
    return gym.make("velodrome/GridWorld-v0", map_text=rows, max_episode_steps=time_limit)


def garnet(num_states: int, time_limit: int) -> Any:
    """A random process: steps and starts lead anywhere, so that no cache helps."""
    import gymnasium as gym

    import velodrome.envs  # noqa: F401 (registers the environments)

    return gym.make("velodrome/Garnet-v0", num_states=num_states, max_episode_steps=time_limit)


FAMILIES: dict[str, Callable[[int, int], Any]] = {"GridWorld, open": grid_world, "Garnet": garnet}


def measure_states(family: str, num_states: int, steps: int) -> dict[str, float]:
    """CPU seconds a step in long episodes, and a one-step episode."""
    make = FAMILIES[family]

    def train(env: Any, steps: int) -> float:
        run = measuring.timed(
            lambda: measuring.q_learning().train(env, steps=steps, seed=SEED, loop="compiled").steps
        )()
        return run.seconds

    small = make(100, LONG)
    train(small, 1_000)
    base = measuring.peak_memory()
    seconds = {}
    # A reset may cost time in proportion to the number of states.
    short_episodes = min(steps, 10**9 // num_states)
    for name, limit, number in (("step", LONG, steps), ("episode", SHORT, short_episodes)):
        env = make(num_states, limit)
        # What a call costs however short it is, so that a step is a step.
        call = train(env, 1)
        seconds[name] = max(train(env, number + 1) - call, 0.0) / number
        seconds["call"] = call
        env.close()
    return seconds | {"memory": measuring.peak_memory() - base}


def measure_episodes(episodes: int) -> dict[str, float]:
    """CPU seconds a step of one long training on FrozenLake-v1."""
    import gymnasium as gym

    env = gym.make("FrozenLake-v1")
    measuring.q_learning().train(env, episodes=10, seed=SEED)
    base = measuring.peak_memory()
    log = None

    def train() -> int:
        nonlocal log
        log = measuring.q_learning().train(env, episodes=episodes, seed=SEED)
        return log.steps

    run = measuring.timed(train)()
    return {"step": run.seconds / run.steps, "steps": run.steps, "memory": measuring.peak_memory() - base}


def measure_trials(trials: int, episodes: int) -> dict[str, float]:
    """Wall and CPU seconds a trial of `compare` with so many seeds."""
    from velodrome.experiments.compare import compare

    compare([TINY_AGENT], "FrozenLake-v1", seeds=5, episodes=1)
    base = measuring.peak_memory()
    wall, cpu = time.perf_counter(), time.process_time()
    compare([TINY_AGENT], "FrozenLake-v1", seeds=trials, episodes=episodes)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"wall": wall / trials, "cpu": cpu / trials, "memory": measuring.peak_memory() - base}


POINTS: dict[str, Callable[..., dict[str, float]]] = {
    "states": measure_states,
    "episodes": measure_episodes,
    "trials": measure_trials,
}


def point(kind: str, *values: Any, rounds: int) -> dict[str, float]:
    """The medians of one point over processes of its own."""
    command = [sys.executable, os.path.abspath(__file__), "--worker", json.dumps([kind, *values])]
    answers = [json.loads(subprocess.check_output(command, text=True)) for _ in range(rounds)]
    return {name: measuring.median([answer[name] for answer in answers]) for name in answers[0]}


def mebibytes(size: float) -> str:
    return f"{size / 2**20:.1f} MiB"


def table_of_states(sizes: list[int], steps: int, rounds: int) -> None:
    rows = []
    for family in FAMILIES:
        for size in sizes:
            found = point("states", family, size, steps, rounds=rounds)
            times = [measuring.as_time(found[name]) for name in ("step", "episode", "call")]
            # Below, the tables of one chunk of steps outweigh the states.
            memory = [mebibytes(found["memory"]), f"{found['memory'] / size:.0f}" if size >= 100_000 else "-"]
            rows.append([family, f"{size:,}", *times, *memory])
    title = f"States: Q-learning, {steps:,} steps in episodes of {LONG:,}, CPU time, median of {rounds} rounds"
    header = ["environment", "states", "a step", "a one-step episode", "a call", "memory", "bytes a state"]
    measuring.print_table(title, header, rows)
    print("'a call' is train(steps=1): the check of the model and new tables.")


def table_of_episodes(numbers: list[int], rounds: int) -> None:
    rows = []
    for number in numbers:
        found = point("episodes", number, rounds=rounds)
        memory = [mebibytes(found["memory"]), f"{found['memory'] / number:.0f}"]
        rows.append([f"{number:,}", f"{found['steps']:,.0f}", measuring.as_time(found["step"]), *memory])
    title = f"Episodes: one training on FrozenLake-v1, CPU time, median of {rounds} rounds"
    measuring.print_table(title, ["episodes", "steps", "a step", "memory", "bytes an episode"], rows)


def table_of_trials(numbers: list[int], episodes: int, rounds: int, title: str) -> None:
    rows = []
    for number in numbers:
        found = point("trials", number, episodes, rounds=rounds)
        times = [measuring.as_time(found[name]) for name in ("wall", "cpu")]
        rows.append([f"{number:,}", *times, mebibytes(found["memory"]), f"{found['memory'] / number / 1024:.1f}"])
    title = f"{title}: compare on FrozenLake-v1, {episodes} episodes a trial, median of {rounds} rounds"
    measuring.print_table(title, ["trials", "wall a trial", "CPU a trial", "memory", "KiB a trial"], rows)


def main() -> None:
    given = measuring.arguments(__doc__, 3, ("--worker", {"help": "(used by the script itself)"}))
    if given.worker:
        kind, *values = json.loads(given.worker)
        return print(json.dumps(POINTS[kind](*values)))
    top = 4 if given.quick else 6
    with measuring.Load():
        table_of_states([10**k for k in range(2, top + 1)], 20_000 if given.quick else 5_000_000, given.rounds)
        table_of_episodes([10**k for k in range(3, top + 1)], given.rounds)
        table_of_trials([10**k for k in range(1, top - 1)], 2_000, given.rounds, "Seeds")
        table_of_trials([10**k for k in range(2, top - 1)], 1, given.rounds, "Harness")


if __name__ == "__main__":
    main()
