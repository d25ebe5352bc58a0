"""Figures of the literature on bandits, drawn again: a picture, and a table of means with 95 % intervals.

python examples/bandit_figures.py [2.2 | 2.3 | 2.4 | 2.5 | 2.6 | kl_ucb] [RUNS] [FOLDER]

2.2 to 2.6 are those of Sutton & Barto (2018), kl_ucb is of Garivier & Cappé (2011).
"""

import math
import sys
from pathlib import Path

import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np

from velodrome.agents import Bandit, GradientBandit, UCBTuned
from velodrome.policies import IMED, KLUCB, MOSS, UCB, BayesUCB, EpsilonGreedy, Greedy, ThompsonBeta, ucb1

PULLS = 1000
POWERS = {
    "ε-greedy, ε": ([-7, -6, -5, -4, -3, -2], lambda x: Bandit(policy=EpsilonGreedy(x))),
    "gradient bandit, α": ([-5, -4, -3, -2, -1, 0], lambda x: GradientBandit(learning_rate=x)),
    "UCB, c": ([-4, -3, -2, -1, 0, 1, 2], lambda x: Bandit(policy=UCB(x))),
    "greedy, α = 0.1, Q₁": (
        [-2, -1, 0, 1, 2],
        lambda x: Bandit(policy=Greedy(), learning_rate=0.1, initial_value=x),
    ),
}
FIGURES = {
    "2.2": {
        "greedy": Bandit(policy=Greedy()),
        "ε = 0.01": Bandit(policy=EpsilonGreedy(0.01)),
        "ε = 0.1": Bandit(policy=EpsilonGreedy(0.1)),
    },
    "2.3": {
        "optimistic, greedy, Q₁ = 5": Bandit(policy=Greedy(), learning_rate=0.1, initial_value=5.0),
        "realistic, ε-greedy, Q₁ = 0": Bandit(policy=EpsilonGreedy(0.1), learning_rate=0.1),
    },
    "2.4": {"UCB, c = 2": Bandit(policy=UCB(2.0)), "ε-greedy, ε = 0.1": Bandit(policy=EpsilonGreedy(0.1))},
    "2.5": {
        f"α = {rate}, with{'' if baseline else 'out'} baseline": GradientBandit(learning_rate=rate, baseline=baseline)
        for baseline in (True, False)
        for rate in (0.1, 0.4)
    },
    "2.6": {
        f"{name} = {2.0**power:g}": make(2.0**power) for name, (powers, make) in POWERS.items() for power in powers
    },
    "kl_ucb": {
        "UCB1": Bandit(policy=ucb1()),
        "MOSS": Bandit(policy=MOSS(5000)),
        "UCB-tuned": UCBTuned(),
        "KL-UCB, c = 3": Bandit(policy=KLUCB(c=3.0)),
        "KL-UCB, c = 0": Bandit(policy=KLUCB()),
        "Bayes-UCB": Bandit(policy=BayesUCB()),
        "IMED": Bandit(policy=IMED()),
        "Thompson": Bandit(policy=ThompsonBeta()),
    },
}


def run(agent, env, pulls, runs):
    """Rewards, whether the best arm was pulled, and pseudo-regrets, each (runs, pulls)."""
    logs = []
    for seed in range(runs):
        fresh = type(agent)(**agent._parameters())
        logs.append(fresh.train(env, episodes=pulls, seed=seed))
    return [np.array([getattr(log, name) for log in logs]) for name in ("returns", "successes", "pseudo_regrets")]


def interval(values):
    """Mean over runs and half of its 95 % interval."""
    return values.mean(), 1.96 * values.std(ddof=1) / math.sqrt(len(values))


def main(figure="2.2", runs="2000", folder="."):
    """Draw one figure."""
    if figure not in FIGURES:
        raise SystemExit(f"figure must be one of {', '.join(FIGURES)}, got {figure}")
    is_regret, pulls = figure == "kl_ucb", 5000 if figure == "kl_ucb" else PULLS
    if is_regret:
        env = gym.make("velodrome/BernoulliBandit-v0", probabilities=(0.9, 0.8))
    else:
        env = gym.make("velodrome/TenArmedTestbed-v0", mean=4.0 if figure == "2.5" else 0.0)
    shows_both = figure == "2.2"
    picture, panels = plt.subplots(2 if shows_both else 1, figsize=(9.74, 7.4 if shows_both else 4.6), squeeze=False)
    heights = {}
    for label, agent in FIGURES[figure].items():
        rewards, best, regrets = run(agent, env, pulls, int(runs))
        last = slice(-50, None)
        heights[label] = interval(rewards.mean(axis=1))
        texts = {
            "reward, all pulls": heights[label],
            "reward, last 50": interval(rewards[:, last].mean(axis=1)),
            "best arm, last 50": interval(best[:, last].mean(axis=1)),
            "pseudo-regret": interval(regrets.sum(axis=1)),
        }
        print(f"{label:32}", *(f"{name} {mean:.3f} ± {half:.3f}" for name, (mean, half) in texts.items()), sep="  ")
        curves = [rewards.mean(axis=0), 100 * best.mean(axis=0)]
        if is_regret:
            panels[0, 0].plot(np.arange(1, pulls + 1), regrets.cumsum(axis=1).mean(axis=0), label=label, lw=1.2)
        elif figure != "2.6":
            for axes, curve in zip(panels[:, 0], curves if shows_both else curves[figure != "2.4" :], strict=False):
                axes.plot(np.arange(1, pulls + 1), curve, label=label, lw=0.8)
    for axes in panels[:, 0]:
        axes.set_xlabel("pull")
        axes.grid(alpha=0.3)
    first = panels[0, 0]
    if is_regret:
        bound = 0.1 / (0.8 * math.log(0.8 / 0.9) + 0.2 * math.log(0.2 / 0.1))
        times = np.arange(1, pulls + 1)
        first.plot(times, bound * np.log(times), "k--", label="Lai–Robbins bound")
        print(f"{'Lai–Robbins bound':32}  {bound * math.log(pulls):.1f}")
        first.set(xscale="log", xlim=(10, pulls), ylabel="pseudo-regret")
    elif figure == "2.6":
        for name, (powers, _) in POWERS.items():
            points = [heights[f"{name} = {2.0**power:g}"] for power in powers]
            means, halves = zip(*points, strict=True)
            first.errorbar([2.0**power for power in powers], means, halves, label=name, capsize=2, marker="o", ms=3)
        first.set_xscale("log", base=2)
        first.set(xlabel="parameter", ylabel=f"mean reward of the first {pulls:,} pulls")
    else:
        first.set_ylabel("mean reward" if figure in ("2.2", "2.4") else "best arm, %")
        panels[-1, 0].set_ylabel("best arm, %" if figure != "2.4" else "mean reward")
    first.legend(fontsize=8)
    what = "Garivier & Cappé (2011), arms of 0.9 and 0.8" if is_regret else f"Sutton & Barto (2018), figure {figure}"
    first.set_title(f"{what}: {int(runs):,} runs")
    picture.tight_layout()
    path = Path(folder) / f"bandits_{figure.replace('.', '_')}.png"
    picture.savefig(path, dpi=100)
    print(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
