# ruff: noqa: E501 - what is replaced in a source stands in one line with what replaces it.
"""Learners as students write them: right ones in five styles, and one mistake at a time planted in their source."""

from dataclasses import dataclass

import gymnasium as gym
import numpy as np

from velodrome.envs.model import TransitionModel
from velodrome.experiments.grading.diagnosis import diagnose_learner
from velodrome.experiments.grading.interaction import Interaction
from velodrome.experiments.specification.catalogue import build_agent

PLAIN = """
import numpy as np

def learn(env, episodes, seed):
    rng = np.random.default_rng(seed)
    alpha, gamma, epsilon = 0.1, 0.9, 0.2
    Q = np.zeros((env.observation_space.n, env.action_space.n))
    for episode in range(episodes):
        state, info = env.reset(seed=seed) if episode == 0 else env.reset()
        done = False
        while not done:
            if rng.random() < epsilon:
                action = int(rng.integers(env.action_space.n))
            else:
                best = np.flatnonzero(Q[state] == Q[state].max())
                action = int(rng.choice(best))
            next_state, reward, terminated, truncated, info = env.step(action)
            if terminated:
                target = reward
            else:
                target = reward + gamma * np.max(Q[next_state])
            Q[state, action] += alpha * (target - Q[state, action])
            state = next_state
            done = terminated or truncated
    return Q
"""

WEIGHTED = """
import random

def learn(env, episodes, seed):
    random.seed(seed)
    num_actions = env.action_space.n
    q_table = [[0.0] * num_actions for _ in range(env.observation_space.n)]

    def choose(state):
        if random.random() < 0.2:
            return random.randrange(num_actions)
        top = max(q_table[state])
        return random.choice([a for a in range(num_actions) if q_table[state][a] == top])

    state, _ = env.reset(seed=seed)
    count = 0
    while count < episodes:
        action = choose(state)
        new_state, reward, terminated, truncated, _ = env.step(action)
        future = 0.0 if terminated else max(q_table[new_state])
        q_table[state][action] = 0.9 * q_table[state][action] + 0.1 * (reward + 0.9 * future)
        state = new_state
        if terminated or truncated:
            count += 1
            if count < episodes:
                state, _ = env.reset()
    return q_table
"""

CLASS = """
from collections import defaultdict
import numpy as np

class Agent:
    def __init__(self, actions, seed):
        self.actions = actions
        self.rng = np.random.RandomState(seed)
        self.q = defaultdict(lambda: np.zeros(actions))

    def act(self, s):
        if self.rng.uniform() < 0.2:
            return self.rng.randint(self.actions)
        row = self.q[s]
        return self.rng.choice(np.where(row == row.max())[0])

    def observe(self, s, a, r, s2, terminated):
        bootstrap = (1 - int(terminated)) * self.q[s2].max()
        td_error = r + 0.9 * bootstrap - self.q[s][a]
        self.q[s][a] = self.q[s][a] + 0.1 * td_error

def learn(env, episodes, seed):
    agent = Agent(env.action_space.n, seed)
    for i in range(episodes):
        s, _ = env.reset(seed=seed + i)
        while True:
            a = int(agent.act(s))
            s2, r, terminated, truncated, _ = env.step(a)
            agent.observe(s, a, r, s2, terminated)
            s = s2
            if terminated or truncated:
                break
    return np.array([agent.q[s] for s in range(env.observation_space.n)])
"""

SHUFFLED = """
import numpy as np

def epsilon_greedy(values, epsilon, rng):
    probabilities = np.full(len(values), epsilon / len(values))
    best = values >= values.max()
    probabilities[best] += (1 - epsilon) / best.sum()
    return rng.choice(len(values), p=probabilities)

def td_target(Q, reward, next_state, terminated, gamma=0.9):
    return reward + gamma * Q[next_state, Q[next_state].argmax()] * (not terminated)

def learn(env, episodes, seed):
    rng = np.random.default_rng([seed, 7])
    Q = np.zeros((env.observation_space.n, env.action_space.n))
    for _ in range(episodes):
        s, _ = env.reset()
        terminated = truncated = False
        while not (terminated or truncated):
            a = epsilon_greedy(Q[s], 0.2, rng)
            s_, r, terminated, truncated, _ = env.step(a)
            Q[s, a] -= 0.1 * (Q[s, a] - td_target(Q, r, s_, terminated))
            s = s_
    return Q
"""

NOISY_TIES = """
import numpy as np

def learn(env, episodes, seed):
    np.random.seed(seed)
    n = env.action_space.n
    Q = np.zeros([env.observation_space.n, n])
    for ep in range(episodes):
        obs, _ = env.reset()
        over = False
        while over is False:
            order = np.random.permutation(n)
            a = order[np.argmax(Q[obs][order])]
            if np.random.rand() < 0.2:
                a = env.action_space.sample() if False else np.random.randint(0, n)
            obs2, rew, term, trunc, _ = env.step(int(a))
            Q[obs, a] = Q[obs, a] * (1 - 0.1) + 0.1 * rew + 0.1 * 0.9 * np.amax(Q[obs2, :]) * (0 if term else 1)
            obs, over = obs2, term or trunc
    return Q
"""

SINGLE = PLAIN.replace("space.n))\n    for", "space.n), dtype=np.float32)\n    for")

RIGHT = {
    "plain": PLAIN,
    "single": SINGLE,
    "weighted": WEIGHTED,
    "class": CLASS,
    "shuffled": SHUFFLED,
    "noisy_ties": NOISY_TIES,
}

SARSA = """
import numpy as np

def learn(env, episodes, seed):
    rng = np.random.default_rng(seed)
    Q = np.zeros((env.observation_space.n, env.action_space.n))

    def policy(s):
        if rng.random() < 0.2:
            return int(rng.integers(env.action_space.n))
        return int(rng.choice(np.flatnonzero(Q[s] == Q[s].max())))

    for _ in range(episodes):
        s, _ = env.reset()
        a = policy(s)
        while True:
            s2, r, terminated, truncated, _ = env.step(a)
            a2 = policy(s2)
            Q[s, a] += 0.1 * (r + 0.9 * Q[s2, a2] * (not terminated) - Q[s, a])
            s, a = s2, a2
            if terminated or truncated:
                break
    return Q
"""

DECAYED = PLAIN.replace("rng.random() < epsilon", "rng.random() < 1 / (episode // 10 + 1)")
NOISE = PLAIN.replace(
    """            if rng.random() < epsilon:
                action = int(rng.integers(env.action_space.n))
            else:
                best = np.flatnonzero(Q[state] == Q[state].max())
                action = int(rng.choice(best))
""",
    """            noise = rng.standard_normal(env.action_space.n) / (episode + 1)
            action = int(np.argmax(Q[state] + noise))
""",
)

LAKE = "FrozenLake-v1"
SHORT_LAKE = "FrozenLake-v1, limit 20"
Q_LEARNING = "q_learning(discount=0.9, learning_rate=0.1, policy=epsilon_greedy(epsilon=0.2))"
OPTIMISTIC = "q_learning(discount=0.9, learning_rate=0.1, initial_value=1, policy=epsilon_greedy(epsilon=0.2))"
SARSA_AGENT = "sarsa(discount=0.9, learning_rate=0.1, policy=epsilon_greedy(epsilon=0.2))"
DECAYED_AGENT = "q_learning(discount=0.9, learning_rate=0.1, policy=epsilon_greedy(epsilon=stepped_harmonic(10)))"
NOISE_AGENT = 'q_learning(discount=0.9, learning_rate=0.1, policy=random_noise(scale=harmonic, ties="first"))'


def optimistic(source):
    return source.replace("Q = np.zeros((", "Q = np.ones((")


@dataclass(frozen=True)
class Planted:
    """A mistake in a right source: what is replaced by what, and the name that it is to be given."""

    name: str
    old: str
    new: str
    source: str = PLAIN
    agent: str = Q_LEARNING
    environment: str = LAKE

    @property
    def code(self):
        assert self.source.count(self.old) == 1, (self.name, self.source.count(self.old))
        return self.source.replace(self.old, self.new)


TARGET = "            if terminated:\n                target = reward\n            else:\n                target = reward + gamma * np.max(Q[next_state])\n"
UPDATE = "Q[state, action] += alpha * (target - Q[state, action])"
BEST = (
    "                best = np.flatnonzero(Q[state] == Q[state].max())\n                action = int(rng.choice(best))"
)
RESET = "state, info = env.reset(seed=seed) if episode == 0 else env.reset()"

PLANTED = [
    Planted("bootstrap on termination", "if terminated:\n                target", "if False:\n                target",
            optimistic(PLAIN), OPTIMISTIC, SHORT_LAKE),
    Planted("no bootstrap on truncation", "if terminated:\n                target",
            "if terminated or truncated:\n                target", optimistic(PLAIN), OPTIMISTIC, SHORT_LAKE),
    Planted("terminated and truncated swapped", "reward, terminated, truncated, info", "reward, truncated, terminated, info",
            optimistic(PLAIN), OPTIMISTIC, SHORT_LAKE),
    Planted("learning rate forgotten", UPDATE, "Q[state, action] = target"),
    Planted("old value not subtracted", UPDATE, "Q[state, action] += alpha * target"),
    Planted("old value dropped", UPDATE, "Q[state, action] = alpha * target"),
    Planted("learning rate and its rest swapped", UPDATE, "Q[state, action] = alpha * Q[state, action] + (1 - alpha) * target"),
    Planted("learning rate not on the target", UPDATE, "Q[state, action] = (1 - alpha) * Q[state, action] + target"),
    Planted("learning rate applied twice", UPDATE, "Q[state, action] += alpha * (alpha * (target - Q[state, action]))"),
    Planted("learning rate not on the reward", TARGET + "            " + UPDATE,
            "            future = 0 if terminated else np.max(Q[next_state])\n"
            "            Q[state, action] += reward + alpha * (gamma * future - Q[state, action])"),
    Planted("discount forgotten", "gamma * np.max", "np.max"),
    Planted("discount applied twice", "gamma * np.max", "gamma * gamma * np.max"),
    Planted("discount on the reward too", "(target - Q", "(gamma * target - Q",
            PLAIN.replace("gamma * np.max", "np.max")),
    Planted("discount on the reward alone", "(target - Q", "(target - Q", PLAIN.replace(TARGET,
            "            future = 0 if terminated else np.max(Q[next_state])\n            target = gamma * reward + future\n")),
    Planted("discount taken from 1", "gamma * np.max", "(1 - gamma) * np.max"),
    Planted("sign of the error", "(target - Q[state, action])", "(Q[state, action] - target)"),
    Planted("value of the present state", "np.max(Q[next_state])", "np.max(Q[state])"),
    Planted("maximum over the whole table", "np.max(Q[next_state])", "np.max(Q)"),
    Planted("minimum for maximum", "np.max(Q[next_state])", "np.min(Q[next_state])", optimistic(PLAIN), OPTIMISTIC),
    Planted("mean for maximum", "np.max(Q[next_state])", "np.mean(Q[next_state])"),
    Planted("argmax for maximum", "np.max(Q[next_state])", "np.argmax(Q[next_state])"),
    Planted("next value of the same action", "np.max(Q[next_state])", "Q[next_state, action]"),
    Planted("update of the next state", UPDATE, UPDATE.replace("[state,", "[next_state,")),
    Planted("update of the next state", UPDATE + "\n            state = next_state",
            "state = next_state\n            " + UPDATE),
    Planted("episode starts from the last state", RESET,
            "if episode == 0:\n            state, info = env.reset(seed=seed)\n        else:\n            env.reset()"),
    Planted("state never moves on", "            state = next_state\n", ""),
    Planted("last step not learnt", TARGET, "            if terminated or truncated:\n                break\n" + TARGET,
            optimistic(PLAIN), OPTIMISTIC, SHORT_LAKE),
    Planted("only rewarded steps learnt", UPDATE, "if reward != 0:\n                " + UPDATE),
    Planted("sum of rewards for reward", "next_state, reward, terminated, truncated, info = env.step(action)",
            "next_state, r, terminated, truncated, info = env.step(action)\n            reward = total = total + r",
            PLAIN.replace("done = False\n", "done = False\n        total = 0\n"), Q_LEARNING, "CliffWalking-v1, limit 60"),
    Planted("whole numbers in the table", "space.n))\n    for", "space.n), dtype=int)\n    for", PLAIN, Q_LEARNING,
            "CliffWalking-v1, limit 60"),
    Planted("other first values", "np.zeros((", "0.5 * np.ones(("),
    Planted("other first values", "np.zeros((", "rng.random(("),
    Planted("table made anew in every episode", "        done = False\n",
            "        done = False\n        Q = np.zeros((env.observation_space.n, env.action_space.n))\n",
            PLAIN, Q_LEARNING, "CliffWalking-v1, limit 60"),
    Planted("table of before the last episode", "        done = False\n", "        done = False\n        best_Q = Q.copy()\n",
            PLAIN.replace("return Q", "return best_Q"), Q_LEARNING, "CliffWalking-v1, limit 60"),
    Planted("other discount", "0.1, 0.9, 0.2", "0.1, 0.95, 0.2"),
    Planted("other learning rate", "0.1, 0.9, 0.2", "0.5, 0.9, 0.2"),
    Planted("learning rate and discount swapped", "0.1, 0.9, 0.2", "0.9, 0.1, 0.2"),
    Planted("Sarsa instead", "r + 0.9 * Q[s2, a2]", "r + 0.9 * Q[s2, a2]", SARSA, Q_LEARNING),
    Planted("Q-learning instead", "Q[s2, a2]", "Q[s2].max()", SARSA, SARSA_AGENT, "CliffWalking-v1, limit 60"),
    Planted("values rounded", "return Q", "return np.round(Q, 3)"),
    Planted("actions in another order", "return Q", "return Q[:, ::-1]"),
    Planted("one episode too few", "range(episodes)", "range(1, episodes)"),
    Planted("one episode too many", "range(episodes)", "range(episodes + 1)"),
    Planted("same seed in every reset", RESET, "state, info = env.reset(seed=seed)"),
    Planted("truncation ignored", "terminated or truncated\n", "terminated\n", PLAIN, Q_LEARNING, SHORT_LAKE),
    Planted("episode left early", "        done = False\n        while not done:",
            "        done = False\n        for t in range(10):\n            if done:\n                break"),
    Planted("first index at ties", BEST, "                action = int(np.argmax(Q[state]))"),
    Planted("last index at ties", BEST, "                action = int(np.argsort(Q[state], kind='stable')[-1])"),
    Planted("always explores", "rng.random() < epsilon", "True"),
    Planted("never explores", "rng.random() < epsilon", "rng.random() < 0"),
    Planted("exploration inverted", "rng.random() < epsilon", "rng.random() > epsilon"),
    Planted("explores at another rate", "0.1, 0.9, 0.2", "0.1, 0.9, 0.5"),
    Planted("last action never explored", "rng.integers(env.action_space.n)", "rng.integers(0, env.action_space.n - 1)"),
    Planted("best action left out of exploring", "action = int(rng.integers(env.action_space.n))",
            "action = int(rng.choice([a for a in range(env.action_space.n) if a != np.argmax(Q[state])]))",
            PLAIN.replace("0.9, 0.2", "0.9, 0.5"), Q_LEARNING.replace("0.2", "0.5"), "CliffWalking-v1, limit 60"),
    Planted("worst action taken", "Q[state] == Q[state].max()", "Q[state] == Q[state].min()"),
    Planted("exploration never decays", "1 / (episode // 10 + 1)", "1 / (0 // 10 + 1)", DECAYED, DECAYED_AGENT),
    Planted("exploration decays with steps", "1 / (episode // 10 + 1)", "1 / (steps // 10 + 1)",
            DECAYED.replace("Q = np", "steps = 0\n    Q = np").replace("            state = next", "            steps += 1\n            state = next"),
            DECAYED_AGENT),
    Planted("never explores", "rng.standard_normal(env.action_space.n)", "rng.standard_normal(1)", NOISE, NOISE_AGENT),
    Planted("uniform noise", "rng.standard_normal(env.action_space.n)", "rng.random(env.action_space.n)", NOISE, NOISE_AGENT),
    Planted("exploration never decays", " / (episode + 1)", "", NOISE, NOISE_AGENT,
            "CliffWalking-v1, limit 60"),
    Planted("acts with the table of the episode's start", "Q[state] == Q[state].max()", "old[state] == old[state].max()",
            PLAIN.replace("        done = False\n", "        done = False\n        old = Q.copy()\n")),
]  # fmt: skip


class Recorded(gym.Wrapper):
    """Keeps what is done with an environment, as the grader does."""

    def __init__(self, env, episodes):
        super().__init__(env)
        self.episodes, self.resets, self.steps = episodes, [], []
        self.state, self.ended, self.stepped = None, False, False
        self.begun = self.after_end = self.beyond = self.within = 0

    def reset(self, *, seed=None, options=None):
        self.within += self.stepped and not self.ended
        if self.begun >= self.episodes:
            self.ended = None
            return self.state, {}
        first = 12345 if seed is None and not self.resets else seed
        self.state, info = self.env.reset(seed=first)
        self.resets.append((seed, self.state, len(self.steps)))
        self.ended = self.stepped = False
        return self.state, info

    def step(self, action):
        if self.ended is None:
            self.beyond += 1
            return self.state, 0.0, False, True, {}
        if self.ended:
            self.after_end += 1
            if self.after_end > 100:
                raise RuntimeError("the episode has ended")
            return self.state, 0.0, *self.ends, {}
        self.begun += not self.stepped
        self.stepped = True
        before = self.state
        self.state, reward, terminated, truncated, info = self.env.step(action)
        self.ends = terminated, truncated
        self.ended = terminated or truncated
        self.steps.append((before, action, reward, self.state, terminated, truncated, len(self.resets) - 1))
        return self.state, reward, terminated, truncated, info

    def interaction(self):
        columns = list(zip(*self.steps, strict=True)) or [()] * 7
        kinds = (np.int64, np.int64, np.float64, np.int64, np.bool_, np.bool_, np.int64)
        seeds, states, places = zip(*self.resets, strict=True)
        arrays = [np.array(column, dtype=kind) for column, kind in zip(columns, kinds, strict=True)]
        return Interaction(
            tuple(seeds), np.array(states), np.array(places), *arrays, self.after_end, self.beyond, int(self.within)
        )


def make(environment):
    name, _, limit = environment.partition(", limit ")
    return gym.make(name, max_episode_steps=int(limit)) if limit else gym.make(name)


def findings_of(code, agent, environment, *, episodes, seed=0):
    """Findings on the source of a learner."""
    reference = build_agent(agent)
    env = Recorded(make(environment), episodes)
    scope = {}
    exec(compile(code, "submission.py", "exec"), scope)
    try:
        table = np.asarray(scope["learn"](env, episodes, seed), dtype=np.float64)
    except RuntimeError:
        table = np.zeros((env.observation_space.n, env.action_space.n))
    return diagnose_learner(
        env.interaction(), table, is_policy=False, reference=reference, model=TransitionModel.of(env.env),
        episodes=episodes,
    )  # fmt: skip
