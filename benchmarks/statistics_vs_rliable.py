"""velodrome's statistics against rliable's: the same numbers, and the time of 50,000 bootstrap replicates.

    python benchmarks/peers.py --setup DIR                     install rliable into DIR/rliable
    python benchmarks/statistics_vs_rliable.py --venvs DIR     compare

rliable answers from an interpreter of its own, with the pandas that it needs. Both get the same arrays, of 10 seeds in
one environment and in five, and of 30 seeds in 26. Point estimates must agree to 1e-12; interval ends within the error
that the number of resamples leaves, in its standard deviations. Time is CPU time of the IQM's percentile interval.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import measuring
from peers import ONE_CORE, interpreter

THRESHOLDS = (-0.5, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
TARGET = 0.8
RESAMPLES, QUICK_RESAMPLES = 50_000, 500
AGREE, AGREE_ENDS, FASTER = 1e-12, 4.0, 50.0
SHAPES = {
    "10 seeds, 1 environment": (10, 1),
    "10 seeds, 5 environments": (10, 5),
    "30 seeds, 26 environments": (30, 26),
}


def arrays(shape: Sequence[int]) -> Any:
    """Two agents' scores, (num_seeds, num_environments) each, with ties between them."""
    import numpy as np

    rng = np.random.Generator(np.random.PCG64(5))
    first, second = rng.gamma(2.0, 0.3, size=shape), rng.normal(0.5, 0.4, size=shape)
    second[: shape[0] // 3] = first[: shape[0] // 3]
    return first, second


def serve_rliable() -> None:
    """Answer as rliable does, in its interpreter."""
    import numpy as np
    from absl import logging
    from rliable import library, metrics

    logging.set_verbosity(logging.ERROR)

    def interval(function: Callable[..., Any], given: Any, resamples: int) -> Any:
        _, ends = library.get_interval_estimates({"a": given}, function, reps=resamples)
        return ends["a"]

    def iqm(scores: Any) -> Any:
        return np.array([metrics.aggregate_iqm(scores)])

    def improvement(first: Any, second: Any) -> Any:
        return np.array([metrics.probability_of_improvement(first, second)])

    def work(shape: Sequence[int], resamples: int, seed: int) -> dict[str, Any]:
        first, second = arrays(shape)
        # It ignores random_state and draws from NumPy's global stream.
        np.random.seed(seed)  # noqa: NPY002
        started = time.process_time()
        ends = interval(iqm, first, resamples)
        seconds = time.process_time() - started
        return {
            "seconds": seconds,
            "values": {
                "mean": float(metrics.aggregate_mean(first)),
                # Of one environment it takes the median of one mean.
                "median": float(metrics.aggregate_median(first)) if shape[1] > 1 else float(np.median(first)),
                "IQM": float(metrics.aggregate_iqm(first)),
                "optimality gap": float(metrics.aggregate_optimality_gap(first, TARGET)),
                "probability of improvement": float(metrics.probability_of_improvement(first, second)),
                "profile": library.score_distributions(first, np.array(THRESHOLDS)).tolist(),
            },
            "ends": {
                "IQM": ends[:, 0].tolist(),
                "probability of improvement": interval(improvement, (first, second), min(resamples, 2000))[
                    :, 0
                ].tolist(),
            },
        }

    measuring.serve(work, version=measuring.versions(("rliable", "arch", "pandas", "numpy")))


def velodrome(shape: Sequence[int], resamples: int, seed: int) -> dict[str, Any]:
    """The same answers, of velodrome."""
    from velodrome.experiments import statistics

    first, second = ([*scores.T] for scores in arrays(shape))
    started = time.process_time()
    ends = statistics.bootstrap_interval(first, statistics.iqm, num_resamples=resamples, seed=seed)
    seconds = time.process_time() - started
    improvement = statistics.probability_of_improvement_interval(
        first, second, num_resamples=min(resamples, 2000), seed=seed
    )
    # Of one environment a median is of its seeds.
    one = first[0] if len(first) == 1 else first
    return {
        "seconds": seconds,
        "values": {
            "mean": statistics.mean(first),
            "median": statistics.median(one),
            "IQM": statistics.iqm(first),
            "optimality gap": statistics.optimality_gap(first, TARGET),
            "probability of improvement": statistics.probability_of_improvement(first, second),
            "profile": statistics.performance_profile(first, THRESHOLDS, num_resamples=10).shares.tolist(),
        },
        "ends": {
            "IQM": [ends.low, ends.high],
            "probability of improvement": [improvement.low, improvement.high],
        },
    }


def largest_gap(ours: Any, theirs: Any) -> float:
    import numpy as np

    return float(np.max(np.abs(np.asarray(ours) - np.asarray(theirs))))


def monte_carlo_error(ends: Sequence[float], resamples: int) -> float:
    """Standard deviation of the difference of two simulated 2.5 % quantiles of a nearly normal distribution."""
    deviation = (ends[1] - ends[0]) / (2 * 1.96)
    return deviation * (0.025 * 0.975 / resamples) ** 0.5 / 0.0584 * 2**0.5


def run_all(load: measuring.Load, directory: Path, rounds: int, quick: bool) -> None:
    """Print the tables, and keep that of the speed."""
    resamples = QUICK_RESAMPLES if quick else RESAMPLES
    worker = measuring.Worker(
        interpreter(directory / "rliable"), "statistics_vs_rliable.py", "--worker", environment=ONE_CORE
    )
    agreement, speed = [], []
    for name, shape in SHAPES.items():
        velodrome(shape, 10, 0)
        pairs = []
        for turn in range(rounds):
            request = {"shape": shape, "resamples": resamples, "seed": turn}
            theirs = worker.ask(**request)
            pairs.append((velodrome(**request), theirs))
        for key in pairs[0][0]["values"]:
            gap = largest_gap(pairs[0][0]["values"][key], pairs[0][1]["values"][key])
            agreement.append([key, name, f"{gap:.1e}", measuring.verdict(gap, AGREE, at_least=False)])
        for key, count in (("IQM", resamples), ("probability of improvement", min(resamples, 2000))):
            error = monte_carlo_error(pairs[0][1]["ends"][key], count)
            gap = max(largest_gap(ours["ends"][key], theirs["ends"][key]) for ours, theirs in pairs) / error
            verdict = measuring.verdict(gap, AGREE_ENDS, at_least=False)
            agreement.append([f"{key}: ends, in standard errors", name, f"{gap:.2f}", verdict])
        ratios = [theirs["seconds"] / ours["seconds"] for ours, theirs in pairs]
        seconds = [measuring.median([pair[side]["seconds"] for pair in pairs]) for side in (0, 1)]
        ours, theirs = (measuring.as_time(one) for one in seconds)
        verdict = measuring.verdict(measuring.median(ratios), FASTER)
        speed.append(measuring.Row(name, ours, "rliable", theirs, ratios, verdict))
    worker.close()
    measuring.print_table("agreement", ["what", "scores", "difference", "remark"], agreement)
    load.table("intervals", f"{resamples:,} IQM replicates, CPU time, median of {rounds} rounds", speed)
    print(f"\nrliable: {worker.ready['version']}")


def main() -> None:
    given = measuring.arguments(
        __doc__,
        3,
        ("--venvs", {"metavar": "DIR", "type": Path, "help": "where `peers.py --setup` installed it"}),
        ("--worker", {"action": "store_true", "help": "(used by the script itself)"}),
    )
    if given.worker:
        serve_rliable()
    elif given.venvs and interpreter(given.venvs / "rliable").exists():
        with measuring.Load(given) as load:
            run_all(load, given.venvs, given.rounds, given.quick)
    else:
        with measuring.Load(given) as load:
            rows = [measuring.Row(name, "-", "rliable", measuring.NOT_INSTALLED) for name in SHAPES]
            load.table("intervals", "IQM replicates", rows)
        print("rliable is not installed: run peers.py --setup DIR once, then with --venvs DIR")


if __name__ == "__main__":
    main()
