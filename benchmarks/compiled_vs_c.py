"""The compiled loop against the same algorithm in C, on the same random streams: one long run, and many trials.

The C program is built with `-O3` and with `-O3 -march=native`, and the faster of the two counts. It is handed finished
arrays and keeps no visit counts; velodrome is measured with all that a call does besides the loop: a long run through
`train`, trials through `compare` with one worker and a store on disk, all but the statistics after them. Action
values, returns, lengths and both generators of a long run, and the mean return of every trial, must be equal bit
for bit.
"""

import ctypes
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium as gym
import measuring
import numpy as np

from velodrome.agents.engine.seeding import environment_generator, environment_seed, role_generator
from velodrome.envs.model.transition_model import TransitionModel
from velodrome.experiments.compare import compare
from velodrome.policies import SteppedHarmonic

ENVIRONMENTS: dict[str, dict[str, Any]] = {
    "FrozenLake-v1": {"id": "FrozenLake-v1"},
    "FrozenLake-v1, not slippery": {"id": "FrozenLake-v1", "is_slippery": False},
    "FrozenLake8x8-v1": {"id": "FrozenLake8x8-v1"},
    "Taxi-v4": {"id": "Taxi-v4"},
    "CliffWalking-v1, 100 steps": {"id": "CliffWalking-v1", "max_episode_steps": 100},
}
# Environments of short trials, with the episodes of one.
TRIALS = {"FrozenLake-v1": 2_000, "FrozenLake-v1, not slippery": 2_000, "Taxi-v4": 500}
COMPILATIONS = {"-O3": ["-O3"], "-O3 -march=native": ["-O3", "-march=native"]}
LONG_EPISODES, LONG_SEEDS, SHORT_SEEDS = 20_000, 16, 200
TARGET, LONG_TARGET, SHORT_TARGET = 0.85, 1.5, 1.0
SEED = 0


@dataclass
class Outcome:
    """What a run leaves behind, compared bit for bit."""

    action_values: np.ndarray
    returns: np.ndarray
    lengths: np.ndarray
    environment_state: tuple[int, int]
    agent_state: tuple[int, int]

    def differences(self, other: "Outcome") -> list[str]:
        """Names of what differs."""
        arrays = ("action_values", "returns", "lengths")
        found = [name for name in arrays if getattr(self, name).tobytes() != getattr(other, name).tobytes()]
        states = ("environment_state", "agent_state")
        return found + [name for name in states if getattr(self, name) != getattr(other, name)]


def find_compiler() -> list[str] | None:
    """The C compiler in $CC, or the first of cc, gcc and clang; None if there is none."""
    for command in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        words = shlex.split(command)
        if words and shutil.which(words[0]):
            return words
    return None


def build(compiler: list[str], options: list[str], folder: Path) -> Callable[..., int]:
    """The C loop as a function."""
    library = folder / f"q_learning{''.join(options)}.so"
    # Contracted multiply-adds round once where Python rounds twice.
    command = [*compiler, *options, "-ffp-contract=off", "-shared", "-fPIC", "-o", str(library)]
    subprocess.run([*command, str(measuring.HERE / "q_learning.c")], check=True)
    function: Any = ctypes.CDLL(str(library)).q_learning
    function.restype = ctypes.c_int64
    return function


class CContender:
    """The C loop on one environment, everything but the loop prepared beforehand."""

    def __init__(self, function: Callable[..., int], model: TransitionModel, episodes: int) -> None:
        self.function, self.model, self.episodes = function, model, episodes
        self.epsilon = SteppedHarmonic(every=measuring.EPSILON_EVERY).values(0, episodes)
        self.returns, self.lengths = np.empty(episodes), np.empty(episodes, np.int64)
        self.action_values = np.zeros((model.num_states, model.num_actions))
        self.terminated = model.terminated.astype(np.uint8)
        self.environment_words = np.zeros(4, np.uint64)
        self.agent_words = np.zeros(4, np.uint64)

    def run(self, seed: int = SEED) -> int:
        """Learn from scratch; returns the number of steps."""
        self.action_values[:] = 0.0
        self.environment_words[:], self.agent_words[:] = stream_words(seed)
        model, double, integer = self.model, ctypes.c_double, ctypes.c_int64
        return self.function(
            integer(model.num_states), integer(model.num_actions), address(model.offsets), address(model.cumulative),
            address(model.next_states), address(model.rewards), address(self.terminated),
            address(model.initial_cumulative), integer(model.time_limit or 1 << 62),
            double(measuring.LEARNING_RATE), double(measuring.DISCOUNT), address(self.epsilon), integer(self.episodes),
            address(self.action_values), address(self.returns), address(self.lengths),
            address(self.environment_words), address(self.agent_words),
        )  # fmt: skip

    def outcome(self) -> Outcome:
        """What the last run left behind."""
        states = [tuple(int(word) for word in words[:2]) for words in (self.environment_words, self.agent_words)]
        return Outcome(self.action_values, self.returns, self.lengths, *states)


class VelodromeContender:
    """velodrome's `train` on one environment."""

    def __init__(self, env: gym.Env[Any, Any], episodes: int) -> None:
        self.env, self.episodes = env, episodes

    def run(self) -> int:
        """Learn from scratch; returns the number of steps."""
        self.agent = measuring.q_learning()
        self.log = self.agent.train(self.env, episodes=self.episodes, seed=SEED, loop="compiled")
        return int(self.log.steps)

    def outcome(self) -> Outcome:
        """What the last run left behind."""
        states = [state_of(rng) for rng in (self.env.unwrapped.np_random, self.agent.learner.rng)]
        return Outcome(self.agent.action_values, self.log.returns, self.log.lengths, *states)


def state_of(generator: np.random.Generator) -> tuple[int, int]:
    state = int(generator.bit_generator.state["state"]["state"])
    return state >> 64, state & (1 << 64) - 1


def words_of(generator: np.random.Generator) -> list[int]:
    increment = int(generator.bit_generator.state["state"]["inc"])
    return [*state_of(generator), increment >> 64, increment & (1 << 64) - 1]


@cache
def stream_words(seed: int) -> tuple[list[int], list[int]]:
    """States of the environment's and the agent's stream."""
    return words_of(environment_generator(environment_seed(seed))), words_of(role_generator(seed, "agent"))


def address(array: np.ndarray) -> ctypes.c_void_p:
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)


def against_the_faster(label: str, seconds: dict[str, list[float]], target: float) -> measuring.Row:
    """The row that compares with the C build whose median is the smaller."""
    builds = {name: measuring.median(seconds[name]) for name in COMPILATIONS}
    faster = min(builds, key=lambda name: builds[name])
    ratios = measuring.speed_ratios(seconds["velodrome"], seconds[faster])
    ours, theirs = (f"{value * 1e9:.1f} ns" for value in (measuring.median(seconds["velodrome"]), builds[faster]))
    verdict = measuring.verdict(measuring.median(ratios), target)
    return measuring.Row(label, ours, f"C {faster}", theirs, ratios, verdict)


def long_run(label: str, loops: dict[str, Callable[..., int]], steps: int, rounds: int) -> measuring.Row:
    """One call of `train`.

    Raises:
        DifferenceError: something is not bit-identical.
    """
    env = gym.make(**ENVIRONMENTS[label])
    # As many episodes as the steps suffice for; this run also compiles the loop.
    episodes = measuring.q_learning().train(env, steps=steps, seed=SEED).episodes
    ours = VelodromeContender(env, episodes)
    theirs = {name: CContender(loop, TransitionModel.of(env), episodes) for name, loop in loops.items()}
    contenders = {"velodrome": ours} | theirs
    seconds = measuring.interleave({name: measuring.timed(each.run) for name, each in contenders.items()}, rounds)
    for name, each in theirs.items():
        if wrong := ours.outcome().differences(each.outcome()):
            raise DifferenceError(f"{label}, C {name}: {', '.join(wrong)}")
    env.close()
    return against_the_faster(label, seconds, TARGET)


def many_trials(
    label: str, loops: dict[str, Callable[..., int]], seeds: int, episodes: int, target: float, rounds: int
) -> measuring.Row:
    """Many trials of `compare`.

    Raises:
        DifferenceError: a trial of both has not the same returns.
    """
    settings = dict(ENVIRONMENTS[label])
    identifier = settings.pop("id")
    environment = f"{identifier}({', '.join(f'{name}={value!r}' for name, value in settings.items())})"
    model = TransitionModel.of(gym.make(**ENVIRONMENTS[label]))
    means: dict[str, list[float]] = {}

    def ours() -> int:
        with tempfile.TemporaryDirectory() as folder:
            agents = {"agent": measuring.q_learning()}
            results = compare(agents, environment, seeds=seeds, episodes=episodes, workers=1, out=folder)
        records = sorted(results.records, key=lambda record: record.seed)
        means["velodrome"] = [record.row()["train_mean_return"] for record in records]
        return sum(record.row()["steps"] for record in records)

    def theirs(name: str) -> int:
        steps, means[name] = 0, []
        for seed in range(seeds):
            contender = contenders[name]
            steps += contender.run(seed)
            means[name].append(float(contender.returns.mean()))
        return steps

    contenders = {name: CContender(loop, model, episodes) for name, loop in loops.items()}
    for each in range(seeds):
        stream_words(each)
    work = {"velodrome": ours} | {name: lambda name=name: theirs(name) for name in contenders}
    ours()
    seconds = measuring.interleave({name: measuring.timed(each) for name, each in work.items()}, rounds)
    for name in contenders:
        if means[name] != means["velodrome"]:
            raise DifferenceError(f"{label}, {seeds} trials, C {name}: returns")
    return against_the_faster(f"{label}, {seeds} × {episodes:,} episodes", seconds, target)


class DifferenceError(Exception):
    """The two loops did not do the same."""


def main() -> int:
    """Print the tables; 1 if anything is not bit-identical."""
    given = measuring.arguments(__doc__, 7)
    compiler = find_compiler()
    steps = 50_000 if given.quick else 10_000_000
    # Seeds, episodes and goal of many trials.
    cases = {"trials": (LONG_SEEDS, LONG_EPISODES, LONG_TARGET), "short": (SHORT_SEEDS, 0, SHORT_TARGET)}
    title = f"Q-learning with decaying ε-greedy, CPU time a step, median of {given.rounds} rounds"
    titles = {
        "long": f"{title}: {steps / 1e6:g} M steps in one call",
        "trials": f"{title}: long trials, stored, with all that `compare` does but the statistics",
        "short": f"{title}: short trials, likewise",
    }
    try:
        with measuring.Load(given) as load, tempfile.TemporaryDirectory() as folder:
            if compiler is None:
                for key, text in titles.items():
                    load.table(key, text, [measuring.Row("Q-learning", "-", "C", measuring.NOT_INSTALLED)])
                return 0
            load.peers.append(subprocess.check_output([*compiler, "--version"], text=True).splitlines()[0])
            loops = {name: build(compiler, options, Path(folder)) for name, options in COMPILATIONS.items()}
            load.table("long", titles["long"], [long_run(each, loops, steps, given.rounds) for each in ENVIRONMENTS])
            for key, (seeds, episodes, target) in cases.items():
                rows = []
                for label, few in TRIALS.items():
                    size = (5, 50) if given.quick else (seeds, episodes or few)
                    rows.append(many_trials(label, loops, *size, target, given.rounds))
                load.table(key, titles[key], rows)
    except DifferenceError as error:
        print(f"not bit-identical: {error}", file=sys.stderr)
        return 1
    print("bit-identical: yes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
