"""Which step size suits a noisy bandit? Ask with few seeds, then with more: only the new trials run.

python examples/resume.py [SEEDS]
"""

import sys

import velodrome as vd
from velodrome.experiments.running import RunStatus

agents = {
    "α = 0.1": "q_learning(learning_rate=0.1)",
    "α = 0.5": "q_learning(learning_rate=0.5)",
    "α = 1/N": "q_learning(learning_rate=harmonic(clock='visits'))",
}
few = int(sys.argv[1]) if len(sys.argv) > 1 else 10
seen: list[RunStatus] = []
for seeds in (few, 2 * few):
    results = vd.compare(
        agents, "velodrome/BernoulliBandit-v0", seeds=seeds, episodes=500, out="results", progress=seen.append
    )
    print(f"{seeds} seeds: {seen[-1].total} trials, {seen[-1].reused} of them from the store")
    print(results.table(full=True)[["agent", "seeds", "train_return_mean", "train_return_low", "train_return_high"]])

# A trial that failed would stand here with what happened where; retry_failed=True runs it again.
print([failure.error for failure in results.failures])
print("results")
