"""REINFORCE of one's own in NumPy beside q_learning, on CartPole and, exactly evaluated, on FrozenLake.

Run with: python examples/own_reinforce.py [SEEDS] [EPISODES]

It is a notebook's cells as a script: paste them into one, and the trials still run in two processes. What is stored in
results/ is not run again: stop it with Ctrl-C, or kill it, and the same command goes on.
Source of the algorithm: Williams (1992); Sutton & Barto (2018), section 13.3.
"""

# %% The agent
import sys

import numpy as np

import velodrome as vd


class Reinforce(vd.Agent):  # noqa: D101
    step_size: float = 0.1
    discount: float = 0.99

    def begin(self, observation_space, action_space, rng):
        self.is_table, self.rng, self.steps = hasattr(observation_space, "n"), rng, []
        features = observation_space.n if self.is_table else observation_space.shape[0] + 1
        self.weights = np.zeros((features, action_space.n))

    def features(self, observation):
        return np.eye(len(self.weights))[observation] if self.is_table else np.append(observation, 1.0)

    def act(self, observation, explore=False):
        preferences = self.features(observation) @ self.weights
        chances = np.exp(preferences - preferences.max())
        return self.rng.choice(len(chances), p=chances / chances.sum()) if explore else chances.argmax()

    def learn(self, observation, action, reward, next_observation, terminated, truncated):
        self.steps.append((self.features(observation), action, reward))
        total = 0.0
        while (terminated or truncated) and self.steps:
            features, action, reward = self.steps.pop()
            total = reward + self.discount * total
            chances = np.exp(features @ self.weights - (features @ self.weights).max())
            gradient = np.outer(features, np.eye(len(chances))[action] - chances / chances.sum())
            self.weights += self.step_size * total * gradient


# %% The comparison
seeds, episodes = map(int, [*sys.argv[1:], "10", "1000"][:2] if len(sys.argv) != 2 else [sys.argv[1], "1000"])
BINS = "discretized(agent=q_learning(learning_rate=0.2), bins=[1, 1, 6, 12])"
on_each = {"lake": "FrozenLake-v1(is_slippery=False)", "cart pole": "CartPole-v1"}
results = vd.compare(
    {
        "REINFORCE": {"agent": Reinforce(step_size=0.5), "environments": ["lake"]},
        "REINFORCE on features": {"agent": Reinforce(step_size=0.002), "environments": ["cart pole"]},
        "q_learning": {"agent": "q_learning(initial_value=1)", "environments": ["lake"]},
        "q_learning in bins": {"agent": BINS, "environments": ["cart pole"]},
    },
    on_each,
    seeds=seeds,
    episodes=episodes,
    evaluation_episodes=20,
    out="results",
    workers=2,
)
columns = ["agent", "environment", "train_return_mean", "greedy_return_mean", "greedy_success_rate_mean", "evaluation"]
print(results.table(full=True)[columns].to_string(index=False))
for note in results.notes:
    print(note)
print("results")
