"""Environments that are others each time they are made: told from those that are not, before anything runs."""

import random
import time
import uuid

import gymnasium as gym
import made_up
import numpy as np
import pytest
from gymnasium.envs.toy_text.frozen_lake import generate_random_map
from gymnasium.wrappers import TransformObservation, TransformReward

import velodrome as vd
from velodrome.experiments.cli.application import main
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.verify import verify

MODULE_RNG = np.random.default_rng(0)


class Corridor(gym.Env):
    """No model; the goal is given or drawn when it is made. Times, identities and counters differ each time."""

    made = 0

    def __init__(self, rng=None, cells=50):
        self.observation_space, self.action_space = gym.spaces.Discrete(cells), gym.spaces.Discrete(2)
        self.goal = 5 if rng is None else int(rng.integers(2, cells))
        self.born, self.name, self.lock = time.time(), uuid.uuid4(), object()
        Corridor.made += 1
        self.number, self.rng, self.colours = Corridor.made, np.random.default_rng(), np.random.default_rng().random(9)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.cell = 0
        return 0, {"number": self.number}

    def step(self, action):
        self.cell = min(self.observation_space.n - 1, self.cell + 1) if action else max(0, self.cell - 1)
        return self.cell, float(self.cell - self.goal), self.cell == self.goal, False, {"born": self.born}


class DrawnInReset(Corridor):
    def reset(self, *, seed=None, options=None):
        start = super().reset(seed=seed)
        self.goal = int(self.np_random.integers(2, 9))
        return start


class SeededLater(Corridor):
    def reset(self, *, seed=None, options=None):
        start = super().reset(seed=seed)
        self.rng = np.random.default_rng(seed)
        self.goal = int(self.rng.integers(2, 9))
        return start


class NeverSeeded(Corridor):
    """Not reproducible, which is warned of, but no other environment each time."""

    def step(self, action):
        cell, reward, *end = super().step(action)
        return cell, reward + self.rng.random(), *end


class CountsEpisodes(Corridor):
    episodes = 0

    def reset(self, *, seed=None, options=None):
        self.goal = 5 + self.episodes % 3
        self.episodes += 1
        return super().reset(seed=seed)


def lake(**arguments):
    return gym.make("FrozenLake-v1", is_slippery=False, **arguments)


def shifted():
    shift = np.random.default_rng().random()
    return TransformObservation(gym.make("CartPole-v1"), lambda seen: seen + shift, None)


OTHERS = {
    "drawn when made": lambda: Corridor(np.random.default_rng()),
    "drawn from a module's stream": lambda: Corridor(MODULE_RNG),
    "drawn from NumPy's stream": lambda: Corridor(np.random.default_rng(np.random.randint(2**31))),  # noqa: NPY002
    "random map": lambda: lake(desc=generate_random_map(8)),
    "random map, wrapped": lambda: TransformReward(lake(desc=generate_random_map(8)), lambda reward: reward - 0.1),
    "random size": lambda: lake(desc=generate_random_map(random.randrange(4, 40))),
    "random wrapper": shifted,
}
SAME = {
    "corridor": Corridor,
    "seed of its own": lambda: Corridor(np.random.default_rng(3)),
    "drawn in reset": DrawnInReset,
    "seeded later": SeededLater,
    "never seeded": NeverSeeded,
    "counts episodes": CountsEpisodes,
    "fixed map": lambda: lake(desc=generate_random_map(8, seed=1)),
    "cart pole": lambda: gym.make("CartPole-v1"),
    "taxi": lambda: gym.make("Taxi-v4"),
    "blackjack": lambda: gym.make("Blackjack-v1"),
    "rendered": lambda: gym.make("FrozenLake-v1", render_mode="rgb_array"),
}


def plan_of(environment):
    return made_up.plan_of("q_learning", {"place": environment}, seeds=5, episodes=3)


@pytest.mark.parametrize("name", OTHERS)
def test_an_experiment_on_another_environment_each_time_is_refused_in_one_line(name):
    with pytest.raises(ExperimentError, match=r"^environments\.place: .* is another environment each time") as caught:
        plan_of(OTHERS[name])
    assert len(str(caught.value).splitlines()) == 1
    assert "generate_random_map(seed=0)" in str(caught.value)


@pytest.mark.parametrize("name", SAME)
def test_an_environment_that_is_the_same_is_not_refused(name):
    agent = "random" if name in ("cart pole", "blackjack") else "q_learning"
    assert made_up.plan_of(agent, SAME[name], seeds=5, episodes=3).trials


@pytest.mark.parametrize("expression", ["FrozenLake-v1(map_name=None)", "FrozenLake-v1(desc=none, map_name=none)"])
def test_a_map_left_open_is_refused_on_the_command_line_too(expression, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = f'name = "x"\nepisodes = 3\nagents = ["random"]\n[environments]\nlake = "{expression}"\n'
    (tmp_path / "x.toml").write_text(text)
    assert main(["compare", "x.toml"]) == 2
    assert "is another environment each time it is made (other transitions)" in capsys.readouterr().err


def test_one_run_trains_and_is_evaluated_in_the_one_that_was_made():
    def open_lake():
        return lake(desc=generate_random_map(8))

    for loop in ("auto", "generic"):
        trial = vd.run("random", open_lake, episodes=20, loop=loop)
        assert trial.profile.make() is trial.profile.make()
        note = "open_lake is another environment each time it is made (other transitions): trained and evaluated in the"
        assert trial.log.notes[0].startswith(note)
    trial = vd.run("random", lambda: gym.wrappers.TimeLimit(Corridor(np.random.default_rng()), 50), episodes=20)
    assert trial.profile.make() is trial.profile.make()
    assert "other observations or rewards from the same seed and actions" in trial.log.notes[0]


def test_whoever_seeded_the_shared_streams_gets_what_he_would_without_the_checks():
    def state():
        return np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002

    made_up.plan_of("random", Corridor, seeds=1, episodes=1)
    before = state()
    made_up.plan_of("random", lambda: lake(desc=generate_random_map(4, seed=0)), seeds=1, episodes=1)
    assert state() == before


def test_stored_trials_on_another_environment_each_time_are_not_verified(tmp_path, monkeypatch):
    from velodrome.experiments.specification import entries

    with monkeypatch.context() as patch:
        patch.setattr(entries, "difference_when_made_again", lambda profile, *, is_expression: None)
        vd.compare("q_learning", "FrozenLake-v1(map_name=None)", seeds=5, episodes=3, out=tmp_path, workers=0)
    verification = verify(tmp_path, workers=0)
    assert (verification.reproduced, verification.differing) == (0, ())
    (line,) = {remark.remarks[0] for remark in verification.not_verified}
    assert "FrozenLake-v1(map_name=None) is another environment each time it is made (other transitions)" in line
