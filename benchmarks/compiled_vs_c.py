"""The compiled loop against the same algorithm in C, on the same random streams.

The C program is handed finished arrays and keeps no visit counts; velodrome is measured through `train`, with all
that a call does besides the loop. Action values, returns, lengths and both generators must be equal bit for bit.
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
from pathlib import Path
from typing import Any

import gymnasium as gym
import measuring
import numpy as np

from velodrome.agents.engine.seeding import environment_generator, environment_seed, role_generator
from velodrome.envs.model.transition_model import TransitionModel
from velodrome.policies import SteppedHarmonic

ENVIRONMENTS: dict[str, dict[str, Any]] = {
    "FrozenLake-v1": {"id": "FrozenLake-v1"},
    "FrozenLake-v1, not slippery": {"id": "FrozenLake-v1", "is_slippery": False},
    "FrozenLake8x8-v1": {"id": "FrozenLake8x8-v1"},
    "Taxi-v4": {"id": "Taxi-v4"},
    "CliffWalking-v1, 100 steps": {"id": "CliffWalking-v1", "max_episode_steps": 100},
}
COMPILATIONS = {"-O3 -march=native": ["-O3", "-march=native"], "-O3": ["-O3"]}
TARGET = 0.85
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

    def run(self) -> int:
        """Learn from scratch; returns the number of steps."""
        self.action_values[:] = 0.0
        self.environment_words[:] = words_of(environment_generator(environment_seed(SEED)))
        self.agent_words[:] = words_of(role_generator(SEED, "agent"))
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


def address(array: np.ndarray) -> ctypes.c_void_p:
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)


def compare(label: str, loops: dict[str, Callable[..., int]], steps: int, rounds: int) -> tuple[list[str], list[str]]:
    """The row of one environment, and what is not bit-identical on it."""
    env = gym.make(**ENVIRONMENTS[label])
    # As many episodes as the steps suffice for; this run also compiles the loop.
    episodes = measuring.q_learning().train(env, steps=steps, seed=SEED).episodes
    ours = VelodromeContender(env, episodes)
    call = measuring.median([measuring.timed(VelodromeContender(env, 1).run)().seconds for _ in range(5)])
    theirs = {name: CContender(loop, TransitionModel.of(env), episodes) for name, loop in loops.items()}
    contenders = {"velodrome": ours} | theirs
    seconds = measuring.interleave({name: measuring.timed(each.run) for name, each in contenders.items()}, rounds)
    wrong = [
        f"{label}, C {name}: {what}" for name in theirs for what in ours.outcome().differences(theirs[name].outcome())
    ]
    env.close()
    times = [f"{measuring.median(seconds[name]) * 1e9:.1f}" for name in contenders]
    ratios = {name: measuring.speed_ratios(seconds["velodrome"], seconds[name]) for name in theirs}
    reference = next(iter(theirs))
    target = measuring.verdict(measuring.median(ratios[reference]), TARGET)
    identical = "no" if wrong else "yes"
    return [
        label,
        *times,
        *(measuring.as_ratio(ratios[name]) for name in theirs),
        target,
        measuring.as_time(call),
        identical,
    ], wrong


def main() -> int:
    """Print the table; 1 if anything is not bit-identical."""
    given = measuring.arguments(__doc__, 7)
    compiler = find_compiler()
    if compiler is None:
        print("no C compiler: set CC, or install gcc or clang")
        return 2
    steps = 50_000 if given.quick else 10_000_000
    with measuring.Load(), tempfile.TemporaryDirectory() as folder:
        loops = {name: build(compiler, options, Path(folder)) for name, options in COMPILATIONS.items()}
        outcomes = [compare(label, loops, steps, given.rounds) for label in ENVIRONMENTS]
        title = f"Q-learning, CPU ns a step ({steps / 1e6:g} M steps, median of {given.rounds} rounds)"
        header = ["environment", "velodrome", *(f"C {name}" for name in loops)]
        header += [*(f"speed / C {name}" for name in loops), "target", "a call", "bit-identical"]
        measuring.print_table(title, header, [row for row, _ in outcomes])
        print("'a call' is what train(episodes=1) costs: it is part of velodrome's time a step.")
        print(f"C compiler: {subprocess.check_output([*compiler, '--version'], text=True).splitlines()[0]}")
    wrong = [line for _, lines in outcomes for line in lines]
    for line in wrong:
        print(f"not bit-identical: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
