"""A step of every learner and policy against a step of Q-learning with ε-greedy, in the compiled loop on one core.

All learn FrozenLake-v1 through `train`; what an update or a choice adds to a step is seen here, whatever the machine.
"""

from collections.abc import Callable

import gymnasium as gym
import measuring

from velodrome.experiments.specification.catalogue import build_agent

ENVIRONMENT = "FrozenLake-v1"
REFERENCE = "q_learning"
AGENTS = (
    "sarsa",
    "expected_sarsa",
    "expected_sarsa(policy=softmax)",
    "double_q_learning",
    "n_step_q",
    "n_step_sarsa",
    "q_lambda",
    "q_lambda(traces='accumulating')",
    "dyna_q",
    "q_learning(policy=greedy)",
    "q_learning(policy=softmax)",
    "q_learning(policy=ucb)",
    "q_learning(policy=random_noise)",
    "q_learning(learning_rate=harmonic(clock='visits'))",
    "random",
)
GOALS = {"expected_sarsa": 2.0, "q_lambda": 4.0}
SEED = 0


def learns(expression: str, steps: int) -> Callable[[], int]:
    """A contender; compiled already."""
    env = gym.make(ENVIRONMENT)
    build_agent(expression).train(env, steps=100, seed=SEED)
    return lambda: build_agent(expression).train(env, steps=steps, seed=SEED, loop="compiled").steps


def row(expression: str, seconds: dict[str, list[float]]) -> measuring.Row:
    ours, theirs = (measuring.as_time(measuring.median(seconds[name])) for name in (expression, REFERENCE))
    ratios = measuring.speed_ratios(seconds[REFERENCE], seconds[expression])
    goal = GOALS.get(expression)
    verdict = measuring.verdict(measuring.median(ratios), goal, at_least=False) if goal else ""
    return measuring.Row(f"`{expression}`", ours, f"`{REFERENCE}`", theirs, ratios, verdict)


def main() -> None:
    given = measuring.arguments(__doc__, 7)
    steps = 2_000 if given.quick else 500_000
    agents = AGENTS[:2] if given.quick else AGENTS
    with measuring.Load(given) as load:
        work = {name: measuring.timed(learns(name, steps)) for name in (REFERENCE, *agents)}
        seconds = measuring.interleave(work, given.rounds)
        title = f"{ENVIRONMENT}, CPU time a step, {steps:,} steps in one call, median of {given.rounds} rounds"
        load.table("steps", title, [row(name, seconds) for name in agents], "takes so many times")


if __name__ == "__main__":
    main()
