"""Environments, policies and agents that do what they must not do; worker processes import this module."""

import ctypes
import functools
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import gymnasium as gym
import numpy as np

from velodrome.policies import Policy

LENGTH = 4
TIME_LIMIT = 12
ODDS = 1 / 60
GO_ON = ".go-on"
PREPARE_SECONDS = 8.0
HOG_BYTES, LEAK_BYTES = 40_000_000, 90_000_000
LOCK = threading.Lock()
# Made by trials of this process.
makes = []
# What they have left behind in it.
left = []


class Corridor(gym.Env):
    """Four squares to the right end, where a reward of 1 waits; every tenth step slips. It has no transition model.

    Environment variables, which are not part of a trial's key, say how fast trials go: CORRIDOR_PAUSE holds the seconds
    that every step takes; of trials that begin, those after the first CORRIDOR_MOST in the journal wait until there is
    a file named as the journal with `GO_ON` behind it, so that no run is over before it was disturbed.

    Args:
        journal: file to which a line is added for every trial that begins.
        number: makes two corridors different environments.
        render_mode: as of any environment.
    """

    metadata: ClassVar = {"render_modes": []}

    def __init__(self, journal="", number=0, render_mode=None):
        self.observation_space = gym.spaces.Discrete(LENGTH)
        self.action_space = gym.spaces.Discrete(2)
        self.journal, self.number, self.render_mode = journal, number, render_mode
        self.pause = float(os.environ.get("CORRIDOR_PAUSE", "0"))
        self.square = self.steps = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None and self.journal and is_in("run_trial") and not is_in("evaluate"):
            with Path(self.journal).open("a") as file:
                file.write(f"{os.getpid()} {self.number} {seed}\n")
                place = file.tell()
            self.wait_for_turn(place)
        self.square = self.steps = 0
        return self.square, {}

    def wait_for_turn(self, place):
        most = os.environ.get("CORRIDOR_MOST")
        if most is None:
            return
        number = Path(self.journal).read_bytes()[:place].count(b"\n")
        while number > int(most) and not Path(self.journal + GO_ON).exists():
            time.sleep(0.005)

    def step(self, action):
        if self.pause and is_in("run_trial"):
            time.sleep(self.pause)
        self.steps += 1
        slips = self.np_random.random() < 0.1
        self.square = max(0, self.square + (1 if bool(action) != slips else -1))
        is_there = self.square == LENGTH - 1
        return self.square, float(is_there), is_there, self.steps >= TIME_LIMIT, {"is_success": is_there}


class Hostile(Corridor):
    """A corridor in which every sixtieth step, at random, is no step.

    Args:
        mischief: a name of `STEPS`, or "reset", "make", "close", "evaluation", "slow to prepare".
        odds: of the mischief, in every step.
        spare: makes in a process that go well, for "make".
    """

    def __init__(self, mischief, odds=ODDS, spare=0, **corridor):
        super().__init__(**corridor)
        self.mischief, self.odds = mischief, odds
        if mischief == "make" and is_in("run_trial", "_unpack"):
            makes.append(self)
            if len(makes) > spare:
                raise ValueError("no more corridors")

        if mischief == "slow to prepare" and is_in("_unpack") and not makes:
            makes.append(self)
            time.sleep(PREPARE_SECONDS)

    def reset(self, *, seed=None, options=None):
        given = super().reset(seed=seed, options=options)
        if self.mischief == "reset" and is_in("run_trial") and self.np_random.random() < self.odds * TIME_LIMIT:
            raise LookupError("the corridor is gone")
        return given

    def step(self, action):
        given = super().step(action)
        if self.np_random.random() < self.odds and is_in("run_trial"):
            if self.mischief == "evaluation" and is_in("evaluate"):
                raise ValueError("not in an examination")
            if self.mischief in STEPS:
                return STEPS[self.mischief](*given)
        return given

    def close(self):
        if self.mischief == "close" and is_in("run_trial"):
            raise OSError("the door is stuck")


def is_in(*functions):
    """Whether one of the functions is being called: what looks at environments before a run must not meet all this."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name in functions:
            return True
        frame = frame.f_back
    return False


def _raise(error):
    raise error


def _kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def _leave_thread(*given):
    threading.Thread(target=threading.Event().wait, name="left behind").start()
    return given


def _hog(*_):
    # 2 GB at most, and then for ever.
    while len(left) < 50:
        left.append(b"x" * HOG_BYTES)
        time.sleep(0.01)
    time.sleep(3600)


def _print(*given):
    print("far too much " * 10_000)
    print("far too much " * 10_000, file=sys.stderr)
    return given


# What a step returns, or does, instead.
STEPS = {
    "raise": lambda *_: _raise(ValueError("the floor\nis lava")),
    "sleep": lambda *_: time.sleep(3600),
    "spin": lambda *_: sum(1 for _ in iter(int, 1)),
    "NaN reward": lambda square, reward, *rest: (square, float("nan"), *rest),
    "infinite reward": lambda square, reward, *rest: (square, float("inf"), *rest),
    "no reward": lambda square, reward, *rest: (square, None, *rest),
    "text reward": lambda square, reward, *rest: (square, "much", *rest),
    "array reward": lambda square, reward, *rest: (square, np.ones(2), *rest),
    "NaN observation": lambda square, *rest: (float("nan"), *rest),
    "observation outside": lambda square, *rest: (99, *rest),
    "negative observation": lambda square, *rest: (-1, *rest),
    "no observation": lambda square, *rest: (None, *rest),
    "array terminated": lambda square, reward, terminated, *rest: (square, reward, np.zeros(2, bool), *rest),
    "text terminated": lambda square, reward, terminated, *rest: (square, reward, "False", *rest),
    "fraction of an observation": lambda square, *rest: (1.5, *rest),
    "no info": lambda *given: (*given[:4], None),
    "four values": lambda *given: given[:4],
    "nothing": lambda *_: None,
    "KeyboardInterrupt": lambda *_: _raise(KeyboardInterrupt()),
    "SystemExit": lambda *_: sys.exit("enough"),
    "GeneratorExit": lambda *_: _raise(GeneratorExit()),
    "RecursionError": lambda *_: _recurse(),
    "MemoryError": lambda *_: np.empty(1 << 60, np.int8),
    "surrogate": lambda *_: _raise(ValueError("half a \ud83d character")),
    "thread": _leave_thread,
    "print": _print,
    "hog": _hog,
    "killed": _kill,
    "segmentation fault": lambda *_: ctypes.string_at(0),
    "exit 3": lambda *_: os._exit(3),
    "exit 0": lambda *_: os._exit(0),
    "abort": lambda *_: os.abort(),
}


def _recurse():
    return _recurse() + 1


@dataclass(frozen=True)
class Fickle(Policy):
    """A policy of one function; `mischief` is what it does in state 2's fifth visit or so."""

    mischief: str = "raise"

    @property
    def select(self):
        return SELECTS[self.mischief]


def _select_raise(action_values, visit_counts, parameter, rng):
    if visit_counts[0] > 3:
        raise ValueError("undecided")
    return int(rng.random() * len(action_values))


def _select_outside(action_values, visit_counts, parameter, rng):
    if visit_counts[0] > 3:
        return 77
    return int(rng.random() * len(action_values))


def _select_for_ever(action_values, visit_counts, parameter, rng):
    if visit_counts[0] > 3:
        while rng.random() < 2.0:
            pass
    return int(rng.random() * len(action_values))


def _select_python_only(action_values, visit_counts, parameter, rng):
    # Numba has no dictionaries of functions.
    return {"any": lambda: int(rng.random() * len(action_values))}["any"]()


SELECTS = {
    "raise": _select_raise,
    "outside": _select_outside,
    "for ever": _select_for_ever,
    "python only": _select_python_only,
}


class Leaky(Corridor):
    """A corridor of which every trial leaves much behind."""

    def reset(self, *, seed=None, options=None):
        given = super().reset(seed=seed, options=options)
        if seed is not None and is_in("run_watched_trial") and not is_in("evaluate"):
            left.append(b"x" * LEAK_BYTES)
        return given


class Factory:
    """A callable with state."""

    def __init__(self, number):
        self.number = number

    def __call__(self):
        return Corridor(number=self.number)


def closure(number):
    """A factory that keeps `number` in a closure."""

    def make():
        return Corridor(number=number)

    return make


def partial(number):
    """A factory that keeps `number` in a functools.partial."""
    return functools.partial(Corridor, number=number)


def locked():
    """A factory that cannot be pickled."""
    lock = threading.Lock()

    def make():
        with lock:
            return Corridor()

    return make


def locked_by_module():
    """A factory with a lock that is its module's."""
    with LOCK:
        return Corridor()


gym.register("HostileCorridor-v0", entry_point=f"{__name__}:Corridor")
gym.register("Leaky-v0", entry_point=f"{__name__}:Leaky")
gym.register("Hostile-v0", entry_point=f"{__name__}:Hostile", disable_env_checker=True)
