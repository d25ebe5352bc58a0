"""A table for CartPole: its four numbers cut into bins, Q-learning against expected Sarsa in the generic loop.

python examples/cartpole_discretized.py [EPISODES] [SEEDS]
"""

import sys

import velodrome as vd

POLE = "discretize(CartPole-v1, bins=[1, 1, 6, 12])"
POLICY = "policy=epsilon_greedy(epsilon=linear(1, 0.02, over=300))"
episodes = int(sys.argv[1]) if len(sys.argv) > 1 else 500
seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 5

agents = {
    "random": "random",
    "Q-learning": f"q_learning(learning_rate=0.2, {POLICY})",
    "expected Sarsa": f"expected_sarsa(learning_rate=0.2, {POLICY})",
}
results = vd.compare(agents, POLE, seeds=seeds, episodes=episodes, evaluation_episodes=20)
columns = ["agent", "train_return_mean", "greedy_return_mean", "greedy_success_rate_mean", "evaluation", "loop"]
print(results.table(full=True)[columns].to_string(index=False))
for note in results.notes:
    print(note)
