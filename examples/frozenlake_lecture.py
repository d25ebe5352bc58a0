"""The FrozenLake lab of the lectures: dummy Q-learning, its success rate, its table and the picture of its learning.

python examples/frozenlake_lecture.py [EPISODES]
"""

import sys

import velodrome as vd

LAKE = "FrozenLake-v1(is_slippery=False)"
episodes = int(sys.argv[1]) if len(sys.argv) > 1 else 2000

trial = vd.run("dummy_q", LAKE, episodes=episodes, seed=0)
print(f"success in training: {trial.log.success_rate:.3f}")
print(f"success when greedy: {trial.evaluation.success_rate:.3f} (exact)")
print("action values (left, down, right, up):")
print(trial.trained.action_values)

results = vd.compare(["random", "dummy_q", "noise_q", "epsilon_greedy_q"], LAKE, seeds=30, episodes=episodes)
print(results.table(full=True)[["agent", "train_success_rate_mean", "greedy_success_rate_mean"]].to_string(index=False))
results.plot().savefig("frozenlake_lecture.png")
print("frozenlake_lecture.png")
