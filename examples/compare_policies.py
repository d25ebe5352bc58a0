"""Many ways to explore, two learners: what finds the treasure of the deep sea, and does it depend on the learner?

python examples/compare_policies.py [SEEDS]
"""

import sys

import velodrome as vd
from velodrome.agents import QLearning
from velodrome.policies import UCB, EpsilonGreedy, Greedy, Linear, RandomNoise, Softmax

policies = {
    "greedy": Greedy(),
    "ε-greedy 0.1": EpsilonGreedy(epsilon=0.1),
    "ε-greedy 1 → 0": EpsilonGreedy(epsilon=Linear(1.0, 0.0, over=1000)),
    "softmax": Softmax(temperature=0.01),
    "noise": RandomNoise(scale=0.01),
    "UCB": UCB(confidence=0.1),
}
learners = {"zero start": QLearning(discount=1.0), "optimistic start": QLearning(discount=1.0, initial_value=1.0)}
seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
results = vd.compare(
    "random", "velodrome/DeepSea-v0(size=10)", policies=policies, learners=learners, seeds=seeds, episodes=2000,
    name="deep sea",
)  # fmt: skip
columns = ["agent", "train_success_rate_mean", "greedy_success_rate_mean", "greedy_return_mean", "best_return"]
print(results.table(full=True)[columns].to_string(index=False))
for margin in results.analysis().margins:
    print(f"\ngreedy success of each {margin.factor}, mean over the {margin.num_averaged} it was crossed with:")
    for level in margin.comparison.agents:
        print(f"  {level.label:20} {level.mean:.3f}")
results.plot().savefig("compare_policies.png")
print("compare_policies.png")
