"""Pulls of a Bernoulli bandit a second on one core, against PyMAB, whose loops are written in Rust.

Five arms; ε-greedy with ε = 0.1, and UCB1, both over sample averages. A short run is one call of `run` with 5,000 pulls
and everything that it does: reading the expressions, the exact evaluation. Many runs are 200 of them: by `compare` with
one worker, in memory, all but the statistics; in PyMAB one experiment of 20 replicates. One long run is a call of
`run` with a million pulls, against the same 20 replicates.

rlberry has no bandits any more: rlberry-scool 0.7.3 holds none, and they are no part of rlberry 0.7.3.
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import measuring

PROBABILITIES = (0.1, 0.3, 0.5, 0.7, 0.9)
# Exploring policies of both, by name: ours as an expression, PyMAB's as a class and its arguments.
POLICIES = {
    "ε-greedy": ("epsilon_greedy(epsilon=0.1)", "EpsilonGreedyPolicy", {"epsilon": 0.1}),
    "UCB1": ("ucb(confidence=1.4142135623730951)", "UCBPolicy", {}),
}
AGENT = "q_learning(learning_rate=harmonic(clock='visits'), policy={})"
ENVIRONMENT = "velodrome/BernoulliBandit-v0"
TARGET = 100.0
SKIPPED = (
    "skipped: no PyMAB. Install it apart: python benchmarks/peers.py --setup DIR; --pymab-python DIR/PyMAB/bin/python"
)


def serve_pymab() -> None:
    """PyMAB, in an interpreter that has it."""
    import numpy as np
    from pymab import BanditEnvironment, BernoulliReward, Experiment, ExperimentConfig, policies

    def work(policy: str, pulls: int, runs: int, calls: int) -> dict[str, Any]:
        _, name, arguments = POLICIES[policy]
        started = time.process_time()
        for call in range(calls):
            Experiment(
                environment=BanditEnvironment(means=np.array(PROBABILITIES), reward_model=BernoulliReward()),
                policies={policy: getattr(policies, name)(n_arms=len(PROBABILITIES), **arguments)},
                config=ExperimentConfig(horizon=pulls, n_replicates=runs, seed=call, backend="rust"),
            ).run()
        return {"steps": pulls * runs * calls, "seconds": time.process_time() - started}

    for policy in POLICIES:
        work(policy, 100, 1, 1)
    measuring.serve(work, version=measuring.versions(("pymab",)))


def runs(agent: str, pulls: int, calls: int) -> int:
    """Calls of `run`, one after the other."""
    import velodrome as vd

    return sum(vd.run(agent, ENVIRONMENT, episodes=pulls, seed=seed).log.steps for seed in range(calls))


def trained(agent: str, pulls: int) -> int:
    """One long training."""
    import velodrome as vd

    return int(vd.run(agent, ENVIRONMENT, episodes=pulls, seed=0).log.steps)


def compared(agent: str, pulls: int, seeds: int) -> int:
    """All of them in one comparison."""
    import velodrome as vd

    results = vd.compare({"agent": agent}, ENVIRONMENT, seeds=seeds, episodes=pulls, workers=1)
    return sum(record.row()["steps"] for record in results.records)


def asked(worker: measuring.Worker, policy: str, pulls: int, number: int, calls: int) -> measuring.Run:
    return measuring.Run(**worker.ask(policy=policy, pulls=pulls, runs=number, calls=calls))


def main() -> None:
    given = measuring.arguments(
        __doc__,
        7,
        ("--pymab-python", {"default": sys.executable, "help": "interpreter of an environment that has PyMAB"}),
        ("--worker", {"action": "store_true", "help": "(used by the script itself)"}),
    )
    if given.worker:
        return serve_pymab()
    pulls, calls, seeds = (100, 2, 5) if given.quick else (5_000, 20, 200)
    # It takes too long for as many.
    replicates = min(seeds, 20)
    with measuring.Load(given) as load:
        has_peer = load.has_peer(given.pymab_python, "pymab")
        worker = measuring.Worker(given.pymab_python, "bandits.py", "--worker") if has_peer else None
        rows = []
        for policy, (expression, _, _) in POLICIES.items():
            agent = AGENT.format(expression)
            runs(agent, 10, 1)
            compared(agent, 10, 5)
            cases: dict[str, tuple[Callable[[], int], tuple[int, int, int]]] = {
                f"`run`, {pulls:,} pulls": (partial(runs, agent, pulls, calls), (pulls, 1, calls)),
                f"`compare`, {seeds} × {pulls:,} pulls": (
                    partial(compared, agent, pulls, seeds),
                    (pulls, replicates, 1),
                ),
                f"`run`, {pulls * seeds:,} pulls": (
                    partial(trained, agent, pulls * seeds),
                    (pulls, replicates, 1),
                ),
            }
            for label, (ours, theirs) in cases.items():
                contenders = {"velodrome": measuring.timed(ours)}
                if worker is not None:
                    contenders["PyMAB"] = partial(asked, worker, policy, *theirs)
                seconds = measuring.interleave(contenders, given.rounds)
                rates = {name: 1 / measuring.median(each) for name, each in seconds.items()}
                figures = [f"{rates[name] / 1e6:.3g} M pulls/s" for name in seconds]
                ratios = measuring.speed_ratios(seconds["velodrome"], seconds["PyMAB"]) if worker is not None else ()
                target = measuring.verdict(measuring.median(ratios), TARGET) + " (times PyMAB)" if ratios else ""
                peer = (figures[1:] or [measuring.NOT_INSTALLED])[0]
                rows.append(measuring.Row(f"{policy}, {label}", figures[0], "PyMAB", peer, ratios, target))
        load.table("pulls", f"Bernoulli bandit with 5 arms, CPU time, median of {given.rounds} rounds", rows)
        if worker is not None:
            worker.close()
        else:
            print(SKIPPED)


if __name__ == "__main__":
    main()
