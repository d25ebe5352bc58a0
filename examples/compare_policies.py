"""One learner, many ways to explore: which of them finds the treasure of the deep sea?

python examples/compare_policies.py [SEEDS]
"""

import sys

import velodrome as vd
from velodrome.agents import QLearning
from velodrome.policies import UCB, EpsilonGreedy, Greedy, Linear, RandomNoise, Softmax

agents = {
    "greedy": QLearning(discount=1.0, policy=Greedy()),
    "greedy, optimistic start": QLearning(discount=1.0, policy=Greedy(), initial_value=1.0),
    "ε-greedy 0.1": QLearning(discount=1.0, policy=EpsilonGreedy(epsilon=0.1)),
    "ε-greedy 1 → 0": QLearning(discount=1.0, policy=EpsilonGreedy(epsilon=Linear(1.0, 0.0, over=1000))),
    "softmax": QLearning(discount=1.0, policy=Softmax(temperature=0.01)),
    "noise": QLearning(discount=1.0, policy=RandomNoise(scale=0.01)),
    "UCB": QLearning(discount=1.0, policy=UCB(confidence=0.1)),
    "random": "random",
}
seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
results = vd.compare(agents, "velodrome/DeepSea-v0(size=10)", seeds=seeds, episodes=2000, name="deep sea")
columns = ["agent", "train_success_rate_mean", "greedy_success_rate_mean", "greedy_return_mean", "best_return"]
print(results.table()[columns].to_string(index=False))
results.plot().savefig("compare_policies.png")
print("compare_policies.png")
