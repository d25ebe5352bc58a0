"""One thread against all cores: `compare` over many seeds.

Wall time is what counts here, so another program on the machine lowers the ratio. What the machine had to give is
measured beside it, in the same rounds: how much more independent processes that only compute get done than one.
"""

import subprocess
import sys
import time

import measuring

from velodrome.experiments.compare import compare

ENVIRONMENT = "FrozenLake-v1"
AGENT = "q_learning(policy=epsilon_greedy(epsilon=stepped_harmonic(every=100)))"
TARGET_SHARE = 0.85
BURN = "total = 0\nfor number in range({}):\n    total += number"


def run(workers: int, seeds: int, steps: int) -> tuple[float, float]:
    """Wall and CPU seconds of one comparison."""
    wall, cpu = time.perf_counter(), time.process_time()
    compare([AGENT], ENVIRONMENT, seeds=seeds, steps=steps, workers=workers)
    return time.perf_counter() - wall, time.process_time() - cpu


def burn(processes: int, numbers: int) -> float:
    """Wall seconds of so many processes at once, each adding up `numbers` numbers."""
    started = time.perf_counter()
    running = [subprocess.Popen([sys.executable, "-c", BURN.format(numbers)]) for _ in range(processes)]
    for process in running:
        process.wait()
    return time.perf_counter() - started


def main() -> None:
    given = measuring.arguments(__doc__, 7)
    cores = measuring.usable_cores()
    seeds, steps, numbers = (8, 2_000, 10**5) if given.quick else (64, 500_000, 10**7)
    counts = list(dict.fromkeys((1, cores)))
    seconds: dict[int, list[tuple[float, float]]] = {workers: [] for workers in counts}
    limits = []
    title = f"compare on {ENVIRONMENT}, {seeds} seeds of {steps:,} steps, by the clock, median of {given.rounds} rounds"
    with measuring.Load(given) as load:
        run(1, 5, 1_000)
        for turn in range(given.rounds):
            for workers in counts if turn % 2 == 0 else counts[::-1]:
                seconds[workers].append(run(workers, seeds, steps))
            limits.append(cores * burn(1, numbers) / burn(cores, numbers))
        walls = {workers: [wall for wall, _ in runs] for workers, runs in seconds.items()}
        figures = {workers: measuring.as_time(measuring.median(each)) for workers, each in walls.items()}
        if cores == 1:
            return load.table(
                "threads", title, [measuring.Row("1 thread", figures[1], "more threads", "one core here")]
            )
        ratios = measuring.speed_ratios(walls[cores], walls[1])
        verdict = measuring.verdict(measuring.median(ratios), TARGET_SHARE * cores)
        limit = f"{cores} processes that only compute"
        shares = [ratio / most for ratio, most in zip(ratios, limits, strict=True)]
        load.table(
            "threads",
            title,
            [measuring.Row(f"{cores} threads", figures[cores], "1 thread", figures[1], ratios, verdict)],
        )
        rows = [measuring.Row("the same", measuring.as_ratio(ratios), limit, measuring.as_ratio(limits), shares)]
        load.table("machine", "How many times as much is done at once", rows, "share")


if __name__ == "__main__":
    main()
