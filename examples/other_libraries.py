"""DQN and PPO of Stable-Baselines3 beside tabular Q-learning and the best policy, exactly evaluated on FrozenLake.

Run with: python examples/other_libraries.py [SEEDS] [STEPS]

It needs `pip install 'velodrome[sb3]'`.
"""

import sys

import velodrome as vd

seeds, steps = (int(argument) for argument in [*sys.argv[1:], "10", "20000"][:2])
agents = {
    "DQN": "sb3('DQN', learning_starts=500, exploration_fraction=0.5, target_update_interval=500)",
    "PPO": "sb3('PPO', n_steps=256)",
    "q_learning": "q_learning",
    "best possible": "value_iteration",
}
results = vd.compare(agents, "FrozenLake-v1", seeds=seeds, steps=steps)
columns = ["agent", "greedy_success_rate_mean", "greedy_success_rate_low", "greedy_success_rate_high", "evaluation"]
print(results.table()[columns].to_string(index=False))
