"""Environments that a program registers itself: they run in every worker, and what registers them is in the key."""

import importlib
import warnings
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from made_up import plan_of

import velodrome as vd
from velodrome.experiments.errors import AllTrialsFailedError, ExperimentError, ExperimentWarning
from velodrome.experiments.results.results import Results
from velodrome.experiments.running.registrations import pack_registrations, register

pytestmark = pytest.mark.filterwarnings("ignore:.*too few to tell better", "ignore:.*Overriding environment")

PROGRAM = """
import warnings
import gymnasium as gym
import velodrome as vd

warnings.simplefilter("ignore")

class Corridor(gym.Env):
    def __init__(self, cells=6):
        self.cells = cells
        self.observation_space, self.action_space = gym.spaces.Discrete(cells), gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.cell = 0
        return 0, {}

    def step(self, action):
        self.cell = min(self.cells - 1, self.cell + 1) if action else max(0, self.cell - 1)
        is_end = self.cell == self.cells - 1
        return self.cell, float(is_end), is_end, False, {}

class Times(gym.RewardWrapper, gym.utils.RecordConstructorArgs):
    def __init__(self, env, factor):
        gym.utils.RecordConstructorArgs.__init__(self, factor=factor)
        super().__init__(env)
        self.factor = factor

    def reward(self, reward):
        return self.factor * reward

def make(cells=3):
    return Corridor(cells)

gym.register("Corridor-v0", entry_point=Corridor, max_episode_steps=30)
gym.register("own/Made-v0", entry_point=make, max_episode_steps=30, kwargs={"cells": 4})
gym.register("own/Text-v0", entry_point="__main__:Corridor", max_episode_steps=30)
wrapped = (Times.wrapper_spec(factor=3),)
gym.register("own/Wrapped-v0", entry_point=Corridor, max_episode_steps=30, additional_wrappers=wrapped)

def inside():
    return gym.make("own/Wrapped-v0")

PLACES = ["Corridor-v0", "Corridor-v0(cells=3)", "own/Made-v0", "own/Text-v0", "own/Wrapped-v0", inside]
for how in HOW:
    results = vd.compare("q_learning", PLACES, seeds=1, episodes=30, evaluation_episodes=2, **how)
    print([row.error for row in results.failures], [row["greedy_return_mean"] for row in results.rows()])
"""


def printed(program, run_python, how):
    return run_python(program.replace("HOW", repr(how))).splitlines()


@pytest.fixture
def run_python(tmp_path):
    import subprocess
    import sys

    def run(program):
        (tmp_path / "program.py").write_text(program)
        done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_what_a_script_registers_runs_in_processes_as_in_its_own(run_python):
    one, other = printed(PROGRAM, run_python, [{"workers": 0}, {"workers": 1}])
    assert one == other == "[] [1.0, 1.0, 1.0, 1.0, 3.0, 3.0]"


@pytest.mark.slow
def test_what_a_script_registers_runs_on_a_cluster(run_python):
    assert printed(PROGRAM, run_python, [{"cluster": "local:1"}]) == ["[] [1.0, 1.0, 1.0, 1.0, 3.0, 3.0]"]


class Pole(gym.Wrapper):
    def __init__(self, length=0.5):
        super().__init__(gym.make("CartPole-v1"))
        self.unwrapped.length = length


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(gym.envs.registration, "registry", dict(gym.registry))
    monkeypatch.setattr(gym, "registry", gym.envs.registration.registry)


def key_of(**settings):
    gym.register("own/Pole-v0", **({"entry_point": Pole, "max_episode_steps": 9} | settings))
    return plan_of("random", "own/Pole-v0", seeds=1, episodes=1).trials[0].key


def longer():
    return Pole(length=2.0)


def test_what_registers_an_environment_is_part_of_its_trials_keys(registry):
    keys = [
        key_of(),
        key_of(max_episode_steps=10),
        key_of(kwargs={"length": 1.0}),
        key_of(entry_point=longer),
        key_of(reward_threshold=5.0),
    ]
    assert len(set(keys)) == len(keys)
    assert key_of() == keys[0]


def test_registrations_travel_and_go_before_those_that_are_there(registry):
    gym.register("own/Pole-v0", entry_point=Pole, max_episode_steps=9)
    packed = pack_registrations("own/Pole-v0")
    gym.register("own/Pole-v0", entry_point=Pole, max_episode_steps=3)
    register(packed)
    assert gym.make("own/Pole-v0").spec.max_episode_steps == 9
    assert pack_registrations("CartPole-v1") == pack_registrations(None)


def test_a_registration_that_cannot_be_sent_is_refused_with_what_to_do(registry):
    import threading

    gym.register("own/Pole-v0", entry_point=Pole, kwargs={"length": threading.Lock()})
    with pytest.raises(ExperimentError, match=r"registration of environment 'own/Pole-v0' cannot be sent .*workers=0"):
        pack_registrations("own/Pole-v0")
    # Nobody needs it for another one.
    assert isinstance(pack_registrations("CartPole-v1"), tuple)


@pytest.mark.filterwarnings("ignore:.*seeds:velodrome.experiments.errors.ExperimentWarning")
def test_a_registration_that_nobody_needs_costs_no_trial(registry, tmp_path):
    (tmp_path / "passing_by.py").write_text("def make(): ...\n")
    with pytest.MonkeyPatch.context() as path:
        path.syspath_prepend(str(tmp_path))
        passing_by = importlib.import_module("passing_by")
    # No other process can import it now.
    gym.register("own/PassingBy-v0", entry_point=passing_by.make)
    results = vd.compare("random", partial(gym.make, "CartPole-v1"), seeds=2, episodes=2, workers=1)
    assert not results.failures


class Broken(gym.Env):
    observation_space, action_space = gym.spaces.Discrete(2), gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        raise ValueError("no corridor")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_comparison_in_which_every_trial_failed_raises_after_all_is_stored(workers, tmp_path):
    with pytest.raises(
        AllTrialsFailedError, match=r"^all 6 trials failed, the first: random on Broken, seed 0: "
    ) as caught:
        vd.compare(["random", "q_learning"], Broken, seeds=3, episodes=2, workers=workers, out=tmp_path)
    assert isinstance(caught.value, ExperimentError)
    assert "no corridor" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert len(caught.value.results.failures) == len(Results.load(tmp_path).failures) == 6


def test_a_comparison_in_which_some_trial_is_done_warns():
    with pytest.warns(ExperimentWarning, match="1 of 2 trials failed"):
        vd.compare("random", ["FrozenLake-v1", Broken], seeds=1, episodes=2, workers=0)


class Shared(gym.Env):
    """Gives views of one array, as trading environments do; Gymnasium's checker warns of that."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (2,))
    action_space = gym.spaces.Discrete(2)
    shown = np.zeros(2, np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.shown[:], {}

    def step(self, action):
        return self.shown[:], 0.0, False, False, {}


def test_workers_are_as_quiet_as_the_command_line_about_what_gymnasiums_checker_finds():
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        register([])
        env = gym.wrappers.PassiveEnvChecker(Shared())
        env.reset(seed=0)
        env.step(0)
    assert found == []
