"""A step of DQN on CartPole-v1 against others at equal work: SB3, and CleanRL's programs in PyTorch and JAX.

Equal work is the same network, batch, replay, optimiser (Adam), loss, number of gradient steps and ε, with returns of
one step and observations as they come, in velodrome's generic loop. Everybody goes on with one training; importing and
compiling are not counted. One thread each, CPU time. CleanRL's programs are written from its hyper-parameters; see
`peer_q_networks.py`.
"""

import sys
import time
from typing import Any, NamedTuple

import measuring
from peer_q_networks import ENVIRONMENT, ZOO, on_one_thread, trainer

WARM_UP, STEPS = 2_560, 2_560
DEFAULT_GOAL = 25e-6
SKIPPED = (
    "skipped: no {}. Install it apart: python -m venv DIR; DIR/bin/pip install {}; then --{}-python DIR/bin/python"
)


class Work(NamedTuple):
    """Equal work.

    Attributes:
        what: shown.
        epsilon: constant.
        hidden: units of the hidden layers.
        ours: other options of `DQN`.
        peers: arguments of each, by its name.
        goal: how many times as fast we mean to be.
    """

    what: str
    epsilon: float
    hidden: tuple[int, int]
    ours: dict[str, Any]
    peers: dict[str, dict[str, Any]]
    goal: float


# What none of the others does.
PLAIN = {"scaling": "none", "n_step": 1, "double": False, "learning_starts": 1_000}
WORKS = (
    Work(
        "64-64, batch 64, every step",
        0.1,
        (64, 64),
        PLAIN | {"learning_rate": 1e-3, "loss": "huber", "train_every": 1},
        {
            "sb3": {
                "learning_rate": 1e-3,
                "batch_size": 64,
                "buffer_size": 100_000,
                "learning_starts": 1_000,
                "target_update_interval": 500,
                "train_freq": 1,
                "exploration_initial_eps": 0.1,
                "exploration_final_eps": 0.1,
                "policy_kwargs": {"net_arch": [64, 64]},
            }
        },
        15.0,
    ),
    Work(
        "256-256, batch 64, 128 every 256 steps",
        0.04,
        (256, 256),
        PLAIN
        | {
            "learning_rate": 2.3e-3,
            "loss": "huber",
            "train_every": 256,
            "gradient_steps": 128,
            "target_every": 10,
        },
        {"sb3": ZOO | {"exploration_initial_eps": 0.04}},
        3.0,
    ),
    Work(
        "120-84, batch 128, every 10 steps",
        0.05,
        (120, 84),
        PLAIN
        | {
            "learning_rate": 2.5e-4,
            "max_gradient_norm": None,
            "batch_size": 128,
            "replay": 10_000,
            "train_every": 10,
        },
        {name: {"first_epsilon": 0.05, "learning_starts": 1_000} for name in ("pytorch", "jax")},
        4.5,
    ),
)
NAMES = {"sb3": "Stable-Baselines3", "pytorch": "CleanRL's, PyTorch", "jax": "CleanRL's, JAX"}


def serve(contender: str) -> None:
    """The others, each in a process of its own."""
    on_one_thread()
    made: dict[str, Any] = {}

    def work(what: str, options: dict[str, Any], steps: int) -> dict[str, Any]:
        if what not in made:
            made[what] = trainer(contender, 0, options)
        started = time.process_time()
        made[what].learn(steps, 0, None)
        return {"seconds": time.process_time() - started}

    measuring.serve(work)


def velodrome(agent: Any, steps: int) -> measuring.Run:
    started = time.process_time()
    agent.train(ENVIRONMENT, steps=steps, loop="generic")
    return measuring.Run(steps, time.process_time() - started)


def rows_of(
    work: Work, workers: dict[str, measuring.Worker], rounds: int, steps: int, warm_up: int
) -> list[measuring.Row]:
    from velodrome.agents import DQN, MLP
    from velodrome.policies import EpsilonGreedy

    agent = DQN(network=MLP(hidden=work.hidden), policy=EpsilonGreedy(work.epsilon), **work.ours)
    agent.train(ENVIRONMENT, steps=warm_up, seed=0, loop="generic")
    contenders = {"velodrome": lambda: velodrome(agent, steps)}
    for name in work.peers:
        if name not in workers:
            continue

        def run(number: int = steps, name: str = name) -> measuring.Run:
            answer = workers[name].ask(what=work.what, options=work.peers[name], steps=number)
            return measuring.Run(number, answer["seconds"])

        run(warm_up)
        contenders[name] = run
    seconds = measuring.interleave(contenders, rounds)
    ours, rows = measuring.as_time(measuring.median(seconds["velodrome"])), []
    for name in work.peers:
        if name not in workers:
            rows.append(measuring.Row(work.what, ours, NAMES[name], measuring.NOT_INSTALLED))
            continue
        ratios = measuring.speed_ratios(seconds["velodrome"], seconds[name])
        theirs = measuring.as_time(measuring.median(seconds[name]))
        goal = measuring.verdict(measuring.median(ratios), work.goal)
        rows.append(measuring.Row(work.what, ours, NAMES[name], theirs, ratios, goal))
    return rows


def default_row(rounds: int, steps: int, warm_up: int) -> measuring.Row:
    """A step of the agent with its defaults."""
    from velodrome.agents import DQN

    agent = DQN()
    agent.train(ENVIRONMENT, steps=4 * warm_up, seed=0, loop="generic")
    found = measuring.median([run.seconds / run.steps for run in (velodrome(agent, steps) for _ in range(rounds))])
    goal = measuring.verdict(found * 1e6, DEFAULT_GOAL * 1e6, at_least=False) + " (µs)"
    return measuring.Row(
        "`dqn`, its defaults", measuring.as_time(found), "its goal", measuring.as_time(DEFAULT_GOAL), (), goal
    )


def main() -> None:
    given = measuring.arguments(
        __doc__,
        9,
        ("--sb3-python", {"default": sys.executable, "help": "interpreter that has Stable-Baselines3 with PyTorch"}),
        ("--jax-python", {"default": sys.executable, "help": "interpreter that has JAX, flax, optax and Gymnasium"}),
        ("--worker", {"choices": list(NAMES), "help": "(used by the script itself)"}),
    )
    if given.worker:
        return serve(given.worker)
    load = measuring.Load(given)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    pythons: dict[str, Any] = {}
    if load.has_peer(given.sb3_python, "stable_baselines3"):
        pythons |= {"sb3": given.sb3_python, "pytorch": given.sb3_python}
    else:
        print(SKIPPED.format("Stable-Baselines3", "stable-baselines3", "sb3"))
    if load.has_peer(given.jax_python, "optax") and load.has_peer(given.jax_python, "flax"):
        pythons["jax"] = given.jax_python
    else:
        print(SKIPPED.format("JAX with flax and optax", "jax flax optax gymnasium", "jax"))
    steps, warm_up = (256, 1_280) if given.quick else (STEPS, WARM_UP)
    with load:
        workers = {
            name: measuring.Worker(python, "q_networks.py", "--worker", name, environment=threads)
            for name, python in pythons.items()
        }
        rows = [row for work in WORKS for row in rows_of(work, workers, given.rounds, steps, warm_up)]
        for worker in workers.values():
            worker.close()
        title = f"DQN on {ENVIRONMENT}, CPU time a step, {steps:,} steps a round, median of {given.rounds} rounds"
        load.table("work", title, [*rows, default_row(given.rounds, steps, warm_up)])


if __name__ == "__main__":
    main()
