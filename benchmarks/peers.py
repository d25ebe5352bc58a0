"""velodrome against other libraries with tabular Q-learning, each in an environment of its own, on one core.

    python benchmarks/peers.py --setup DIR     install each peer, and those of all other benchmarks, into DIR/NAME
    python benchmarks/peers.py --venvs DIR     run them

Everybody learns FrozenLake-v1 with learning rate 0.1, discount 0.99 and a constant epsilon of 0.1, and is written as
the library's own examples write it. A peer that does not install or run stands in the table with the reason.
"""

import subprocess
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measuring

EPSILON = 0.1
ENVIRONMENT = "FrozenLake-v1"
REQUIREMENTS = {
    "MushroomRL": ["mushroom-rl", "gymnasium"],
    "bettermdptools": ["bettermdptools"],
    "table-rl": ["table-rl", "gymnasium"],
    "rlberry-scool": ["rlberry-scool"],
    # Of other benchmarks.
    "PyMAB": ["pymab"],
    "jax": ["jax", "flax", "optax", "gymnasium"],
    "rliable": ["rliable", "pandas<3"],
    "torch": ["torch", "numpy"],
    "stable-baselines3": ["stable-baselines3"],
}
DISTRIBUTIONS = {"MushroomRL": "mushroom-rl"}
REASON = "reason.txt"
# Threads of numerical libraries would spin on the other core.
ONE_CORE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def mushroom_rl() -> Callable[[int], int]:
    """MushroomRL on its own finite process with FrozenLake's probabilities: its Gymnasium wrapper needs `gym`."""
    import gymnasium as gym
    import numpy as np
    from mushroom_rl.algorithms.value import QLearning
    from mushroom_rl.core import Core
    from mushroom_rl.environments.finite_mdp import FiniteMDP
    from mushroom_rl.policy import EpsGreedy
    from mushroom_rl.utils.parameters import Parameter

    outcomes = gym.make(ENVIRONMENT).unwrapped.P
    size = (len(outcomes), len(outcomes[0]), len(outcomes))
    probabilities, rewards = np.zeros(size), np.zeros(size)
    for state, actions in outcomes.items():
        for action, listed in actions.items():
            for probability, next_state, reward, terminated in listed:
                # Its absorbing states are those that no action leaves for certain, with rows of zeros.
                if not (terminated and state == next_state):
                    probabilities[state, action, next_state] += probability
                    rewards[state, action, next_state] = reward
    start = np.eye(size[0])[0]

    def learn(num_steps: int) -> int:
        mdp = FiniteMDP(probabilities, rewards, start, measuring.DISCOUNT, 100)
        agent = QLearning(mdp.info, EpsGreedy(Parameter(EPSILON)), Parameter(measuring.LEARNING_RATE))
        Core(agent, mdp).learn(n_steps=num_steps, n_steps_per_fit=1, quiet=True)
        return num_steps

    return learn


def bettermdptools() -> Callable[[int], int]:
    import gymnasium as gym
    from bettermdptools.algorithms.rl import RL

    def learn(num_steps: int) -> int:
        learner = RL(gym.make(ENVIRONMENT))
        steps = 0

        def count(_: Any) -> None:
            nonlocal steps
            steps += 1

        learner.callbacks.on_env_step = count
        learner.q_learning(
            gamma=measuring.DISCOUNT,
            init_alpha=measuring.LEARNING_RATE,
            min_alpha=measuring.LEARNING_RATE,
            init_epsilon=EPSILON,
            min_epsilon=EPSILON,
            n_episodes=max(1, num_steps // 20),
        )
        return steps

    return learn


def table_rl() -> Callable[[int], int]:
    import gymnasium as gym
    from table_rl import learners
    from table_rl.explorers import ConstantEpsilonGreedy
    from table_rl.step_size_schedulers import ConstantStepSize

    def learn(num_steps: int) -> int:
        env = gym.make(ENVIRONMENT)
        num_states, num_actions = int(env.observation_space.n), int(env.action_space.n)
        explorer = ConstantEpsilonGreedy(EPSILON, num_actions)
        learner = learners.QLearning(
            num_states, num_actions, ConstantStepSize(measuring.LEARNING_RATE), explorer, discount=measuring.DISCOUNT
        )
        observation, _ = env.reset()
        for _ in range(num_steps):
            action = learner.act(observation, True)
            observation, reward, terminated, truncated, _ = env.step(action)
            learner.observe(observation, reward, terminated, truncated, True)
            if terminated or truncated:
                observation, _ = env.reset()
        return num_steps

    return learn


def rlberry_scool() -> Callable[[int], int]:
    from rlberry.envs import gym_make
    from rlberry_scool.agents.tabular_rl import QLAgent

    def learn(num_steps: int) -> int:
        agent = QLAgent(
            gym_make(ENVIRONMENT),
            gamma=measuring.DISCOUNT,
            alpha=measuring.LEARNING_RATE,
            exploration_type="epsilon",
            exploration_rate=EPSILON,
        )
        agent.fit(budget=num_steps)
        return num_steps

    return learn


PEERS: dict[str, Callable[[], Callable[[int], int]]] = {
    "MushroomRL": mushroom_rl,
    "bettermdptools": bettermdptools,
    "table-rl": table_rl,
    "rlberry-scool": rlberry_scool,
}


def serve_peer(name: str) -> None:
    """A peer's contender, in the peer's interpreter."""
    learn = PEERS[name]()
    learn(200)

    def work(num_steps: int) -> dict[str, Any]:
        started = time.process_time()
        steps = learn(num_steps)
        return {"steps": steps, "seconds": time.process_time() - started}

    measuring.serve(work, version=measuring.versions((DISTRIBUTIONS.get(name, name), "gymnasium", "numpy")))


def interpreter(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def set_up(directory: Path) -> None:
    """Make one environment a peer and install it there."""
    for name, requirements in REQUIREMENTS.items():
        folder = directory / name
        print(f"{name}: installing {' '.join(requirements)} ...", flush=True)
        venv.create(folder, with_pip=True)
        command = [str(interpreter(folder)), "-m", "pip", "install", "--quiet", *requirements]
        outcome = subprocess.run(command, capture_output=True, text=True, check=False)
        reason = ""
        if outcome.returncode:
            errors = [line for line in outcome.stderr.splitlines() if line.startswith("ERROR")]
            reason = (errors or ["pip failed"])[-1]
        (folder / REASON).write_text(reason, encoding="utf-8")
        print(f"{name}: {reason or 'installed'}", flush=True)


def start(name: str, directory: Path) -> measuring.Worker:
    """The peer as a worker.

    Raises:
        WorkerError: it is not installed or does not run; with the reason.
    """
    folder = directory / name
    if not interpreter(folder).exists():
        raise measuring.WorkerError(measuring.NOT_INSTALLED)
    reason = folder / REASON
    if reason.exists() and reason.read_text(encoding="utf-8"):
        raise measuring.WorkerError(f"{measuring.NOT_INSTALLED}: {reason.read_text(encoding='utf-8')}")
    return measuring.Worker(interpreter(folder), "peers.py", "--worker", name, environment=ONE_CORE)


def velodrome(num_steps: int) -> measuring.Run:
    """The contender of velodrome, on the environment itself."""
    import gymnasium as gym

    from velodrome import agents, policies

    env = gym.make(ENVIRONMENT)
    policy = policies.EpsilonGreedy(epsilon=EPSILON)
    agent = agents.QLearning(discount=measuring.DISCOUNT, learning_rate=measuring.LEARNING_RATE, policy=policy)
    return measuring.timed(lambda: agent.train(env, steps=num_steps, seed=0).steps)()


def ask(worker: measuring.Worker, num_steps: int) -> measuring.Run:
    answer = worker.ask(num_steps=num_steps)
    return measuring.Run(answer["steps"], answer["seconds"])


def run_all(directory: Path, rounds: int, quick: bool) -> list[measuring.Row]:
    """The lines of the table."""
    slow, fast = (1_000, 20_000) if quick else (20_000, 4_000_000)
    velodrome(fast)
    workers: dict[str, measuring.Worker] = {}
    absent: dict[str, str] = {}
    for name in PEERS:
        try:
            workers[name] = start(name, directory)
        except measuring.WorkerError as error:
            absent[name] = str(error)
    contenders: dict[str, Callable[[], measuring.Run]] = {"velodrome": lambda: velodrome(fast)}
    contenders |= {name: lambda worker=worker: ask(worker, slow) for name, worker in workers.items()}
    seconds = measuring.interleave(contenders, rounds)
    for worker in workers.values():
        worker.close()
    ours, rows = measuring.as_time(measuring.median(seconds["velodrome"])), []
    for name in PEERS:
        if name in absent:
            rows.append(measuring.Row("Q-learning", ours, name, absent[name]))
            continue
        ratios = measuring.speed_ratios(seconds["velodrome"], seconds[name])
        theirs = measuring.as_time(measuring.median(seconds[name]))
        rows.append(measuring.Row("Q-learning", ours, f"{name}: {workers[name].ready['version']}", theirs, ratios))
    return rows


def main() -> None:
    given = measuring.arguments(
        __doc__,
        5,
        ("--setup", {"metavar": "DIR", "type": Path, "help": "install the peers under DIR and stop"}),
        ("--venvs", {"metavar": "DIR", "type": Path, "help": "where --setup installed them"}),
        ("--worker", {"choices": list(PEERS), "help": "(used by the script itself)"}),
    )
    if given.worker:
        serve_peer(given.worker)
    elif given.setup:
        set_up(given.setup)
    elif given.venvs:
        with measuring.Load(given) as load:
            title = f"{ENVIRONMENT}, CPU time a step, median of {given.rounds} rounds"
            load.table("libraries", title, run_all(given.venvs, given.rounds, given.quick))
    else:
        print("the peers are not installed: run with --setup DIR once, then with --venvs DIR")


if __name__ == "__main__":
    main()
