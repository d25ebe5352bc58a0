"""1024 seeds of Q-learning: `compare` in memory, all but the statistics, against JAX, both on all cores.

The JAX program is one jitted scan over steps under vmap over seeds, split over one device a core; random numbers
come in blocks, which is twice as fast as a draw a step, and nothing leaves the device before the end. It computes
in float32 on JAX's own random numbers, and keeps only the sum of the returns and the number of episodes.
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import measuring

ENVIRONMENT = "FrozenLake-v1"
NUM_SEEDS = 1024
# About the 2000 episodes of a trial of the shipped experiment; in a short trial the cost of starting it counts more.
NUM_STEPS = 60_000
BLOCK = 100
TARGET = 5
SKIPPED = (
    "skipped: no JAX. Install it apart: python -m venv DIR; DIR/bin/pip install jax; then --jax-python DIR/bin/python"
)


def serve_jax(model_file: str, num_seeds: int, num_steps: int) -> None:
    """The JAX contender, in an interpreter that has JAX."""
    cores = measuring.usable_cores()
    devices = cores if num_seeds % cores == 0 else 1
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    import jax.numpy as jnp
    import numpy as np

    with np.load(model_file) as file:
        tables = {name: file[name] for name in file.files}
    cumulative = jnp.asarray(tables["cumulative"], jnp.float32)
    next_states = jnp.asarray(tables["next_states"], jnp.int32)
    rewards = jnp.asarray(tables["rewards"], jnp.float32)
    terminated = jnp.asarray(tables["terminated"])
    start, time_limit = int(tables["start"]), int(tables["time_limit"])
    num_states, num_actions, _ = cumulative.shape

    def step(carry: Any, uniform: Any) -> tuple[Any, None]:
        q, state, length, episode, episode_return, total = carry
        epsilon = 1.0 / (episode // measuring.EPSILON_EVERY + 1)
        row = q[state]
        ties = row == row.max()
        place = (uniform[1] * ties.sum()).astype(jnp.int32)
        greedy = jnp.argmax(jnp.cumsum(ties) > place)
        action = jnp.where(uniform[0] < epsilon, (uniform[2] * num_actions).astype(jnp.int32), greedy)
        outcome = jnp.argmax(cumulative[state, action] > uniform[3])
        next_state = next_states[state, action, outcome]
        reward, terminal = rewards[state, action, outcome], terminated[state, action, outcome]
        target = reward + jnp.where(terminal, 0.0, measuring.DISCOUNT * q[next_state].max())
        q = q.at[state, action].add(measuring.LEARNING_RATE * (target - row[action]))
        length, episode_return = length + 1, episode_return + reward
        over = terminal | (length >= time_limit)
        state, length = jnp.where(over, start, next_state), jnp.where(over, 0, length)
        total = total + jnp.where(over, episode_return, 0.0)
        return (q, state, length, episode + over, jnp.where(over, 0.0, episode_return), total), None

    def block(carry: Any, _: None) -> tuple[Any, None]:
        key, draws = jax.random.split(carry[0])
        return (key, jax.lax.scan(step, carry[1], jax.random.uniform(draws, (BLOCK, 4)))[0]), None

    def learn(key: Any) -> Any:
        none, nothing = jnp.int32(0), jnp.float32(0.0)
        begin = (jnp.zeros((num_states, num_actions)), jnp.int32(start), none, none, nothing, nothing)
        (_, end), _ = jax.lax.scan(block, (key, begin), None, length=num_steps // BLOCK)
        return end[0], end[3], end[5]

    def fresh_keys() -> Any:
        keys = jax.random.split(jax.random.key(0), num_seeds)
        return jax.block_until_ready(keys.reshape(devices, -1) if devices > 1 else keys)

    # The keys are given away with each run: XLA may write over them.
    many = jax.vmap(learn)
    program = jax.pmap(many, donate_argnums=0) if devices > 1 else jax.jit(many, donate_argnums=0)
    started = time.perf_counter()
    jax.block_until_ready(program(fresh_keys()))
    compiling = time.perf_counter() - started

    def work() -> dict[str, Any]:
        keys = fresh_keys()
        wall, cpu = time.perf_counter(), time.process_time()
        _, episodes, total = jax.block_until_ready(program(keys))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        mean_return = float(total.sum()) / float(episodes.sum())
        return {"steps": num_seeds * num_steps, "wall": wall, "cpu": cpu, "mean_return": mean_return}

    # The first call above also ran once; a second one tells compiling from running.
    measuring.serve(work, compiling=compiling - work()["wall"], version=jax.__version__, devices=devices)


def write_model(file: Path) -> None:
    """Write the transition model as arrays (state, action, outcome) for JAX."""
    import gymnasium as gym
    import numpy as np

    from velodrome.envs.model.transition_model import TransitionModel

    model = TransitionModel.of(gym.make(ENVIRONMENT))
    shape = (model.num_states, model.num_actions, int(np.diff(model.offsets).max()))
    pairs = np.repeat(np.arange(model.offsets.size - 1), np.diff(model.offsets))
    places = np.arange(model.num_outcomes) - model.offsets[pairs]
    tables = {}
    for name, padding in (("cumulative", 2.0), ("next_states", 0), ("rewards", 0.0), ("terminated", False)):
        values = getattr(model, name)
        padded = np.full((model.offsets.size - 1, shape[2]), padding, dtype=values.dtype)
        padded[pairs, places] = values
        tables[name] = padded.reshape(shape)
    start = int(np.argmax(model.initial_distribution))
    np.savez(file, **tables, start=start, time_limit=model.time_limit)


def compared(num_seeds: int, num_steps: int) -> dict[str, Any]:
    """The contender of velodrome."""
    from velodrome.experiments.compare import compare

    wall, cpu = time.perf_counter(), time.process_time()
    results = compare({"agent": measuring.q_learning()}, ENVIRONMENT, seeds=num_seeds, steps=num_steps)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rows = [record.row() for record in results.records]
    episodes = sum(row["episodes"] for row in rows)
    mean_return = sum(row["train_mean_return"] * row["episodes"] for row in rows) / episodes
    return {"steps": sum(row["steps"] for row in rows), "wall": wall, "cpu": cpu, "mean_return": mean_return}


def main() -> None:
    given = measuring.arguments(
        __doc__,
        5,
        ("--jax-python", {"default": sys.executable, "help": "interpreter of an environment that has JAX"}),
        ("--steps", {"type": int, "default": NUM_STEPS, "help": f"steps of a seed, in hundreds (default {NUM_STEPS})"}),
        ("--worker", {"nargs": 3, "help": "(used by the script itself)"}),
    )
    if given.worker:
        return serve_jax(given.worker[0], int(given.worker[1]), int(given.worker[2]))
    num_seeds, num_steps = (64, 1_000) if given.quick else (NUM_SEEDS, given.steps)
    title = f"{ENVIRONMENT}, {num_seeds} seeds of {num_steps:,} steps on all cores, median of {given.rounds} rounds"
    with measuring.Load(given) as load, tempfile.TemporaryDirectory() as folder:
        if not load.has_peer(given.jax_python, "jax"):
            load.table("seeds", title, [measuring.Row("Q-learning", "-", "JAX", measuring.NOT_INSTALLED)])
            return print(SKIPPED)
        file = Path(folder) / "model.npz"
        write_model(file)
        compared(8, 1000)
        worker = measuring.Worker(
            given.jax_python, "compiled_vs_jax.py", "--worker", str(file), str(num_seeds), str(num_steps)
        )
        answers: dict[str, list[dict[str, Any]]] = {"velodrome": [], "JAX": []}
        for turn in range(given.rounds):
            for name in list(answers)[:: 1 if turn % 2 == 0 else -1]:
                answers[name].append(compared(num_seeds, num_steps) if name == "velodrome" else worker.ask())
        worker.close()
        load.table("seeds", title, rows(answers, worker.ready["version"]))
        print(f"JAX on {worker.ready['devices']} devices compiled for {worker.ready['compiling']:.1f} s, not counted")
        means = {name: round(runs[-1]["mean_return"], 4) for name, runs in answers.items()}
        print(f"mean returns: {means}")


def rows(answers: dict[str, list[dict[str, Any]]], version: str) -> list[measuring.Row]:
    """Lines of the table: by CPU time, and by the clock."""
    lines = []
    for clock, name, unit in (("cpu", "by CPU time", "steps / CPU s"), ("wall", "by the clock", "steps / s")):
        ours, theirs = ([run[clock] / run["steps"] for run in runs] for runs in answers.values())
        ratios = measuring.speed_ratios(ours, theirs)
        target = measuring.verdict(measuring.median(ratios), TARGET)
        rates = [f"{1e-6 / measuring.median(seconds):.3g} M {unit}" for seconds in (ours, theirs)]
        lines.append(measuring.Row(f"Q-learning, {name}", rates[0], f"JAX {version}", rates[1], ratios, target))
    return lines


if __name__ == "__main__":
    main()
