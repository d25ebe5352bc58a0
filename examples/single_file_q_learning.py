"""Q-learning as a program of one file, in the manner of CleanRL: run as a trial, it knows nothing of that.

Run with: python examples/single_file_q_learning.py --env-id FrozenLake-v1 --seed 1 --total-timesteps 20000

Observations that are real numbers are looked at through bins: --env-id CartPole-v1 --bins 1 1 6 12.
It writes episodes.csv, a line for each episode of training, and evaluation.csv, the returns of greedy episodes.
"""

import argparse
import csv
import json

import gymnasium as gym
import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--env-id", default="FrozenLake-v1")
parser.add_argument("--env-kwargs", type=json.loads, default={}, help="arguments of the environment as JSON")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--total-timesteps", type=int, default=20_000)
parser.add_argument("--learning-rate", type=float, default=0.1)
parser.add_argument("--gamma", type=float, default=0.99)
parser.add_argument("--epsilon", type=float, default=0.1)
parser.add_argument("--bins", type=int, nargs="+", default=[10], help="of each dimension, or one number for all")
parser.add_argument("--limit", type=float, default=2.0, help="where bins end, if the space does not end before it")
parser.add_argument("--evaluation-episodes", type=int, default=100)
arguments = parser.parse_args()

rng = np.random.default_rng(arguments.seed)
env = gym.make(arguments.env_id, **arguments.env_kwargs)
if isinstance(env.observation_space, gym.spaces.Box):
    bins = np.broadcast_to(arguments.bins, env.observation_space.shape)
    low = np.maximum(env.observation_space.low, -arguments.limit)
    width = (np.minimum(env.observation_space.high, arguments.limit) - low) / bins
    env = gym.wrappers.TransformObservation(
        env,
        lambda observation: (
            np.clip((observation - low) // width, 0, bins - 1).astype(int) @ np.cumprod([1, *bins[:-1]])
        ),
        gym.spaces.Discrete(int(np.prod(bins))),
    )
values = np.zeros((env.observation_space.n, env.action_space.n))


def greedy(observation):
    """Action of the largest value, equals by lot."""
    best = np.flatnonzero(values[observation] == values[observation].max())
    return int(rng.choice(best))


episodes = []
observation, _ = env.reset(seed=arguments.seed)
episodic_return, episodic_length = 0.0, 0
for global_step in range(1, arguments.total_timesteps + 1):
    explores = rng.random() < arguments.epsilon
    action = int(rng.integers(env.action_space.n)) if explores else greedy(observation)
    next_observation, reward, terminated, truncated, _ = env.step(action)
    target = reward + arguments.gamma * (not terminated) * values[next_observation].max()
    values[observation, action] += arguments.learning_rate * (target - values[observation, action])
    observation, episodic_return, episodic_length = next_observation, episodic_return + reward, episodic_length + 1
    if terminated or truncated:
        episodes.append((global_step, episodic_return, episodic_length))
        observation, _ = env.reset()
        episodic_return, episodic_length = 0.0, 0

greedy_returns = []
for _ in range(arguments.evaluation_episodes):
    observation, _ = env.reset()
    episodic_return, is_over = 0.0, False
    while not is_over:
        observation, reward, terminated, truncated, _ = env.step(greedy(observation))
        episodic_return, is_over = episodic_return + reward, terminated or truncated
    greedy_returns.append((episodic_return,))

for name, columns, rows in (
    ("episodes.csv", ("global_step", "episodic_return", "episodic_length"), episodes),
    ("evaluation.csv", ("episodic_return",), greedy_returns),
):
    with open(name, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    print(name)
