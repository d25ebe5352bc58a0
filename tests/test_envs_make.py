"""make_environment: what it makes, and what it says when it cannot."""

import sys

import gymnasium as gym
import pytest

from velodrome.envs import (
    DeepSea,
    GridWorld,
    TransitionModel,
    UnknownEnvironmentError,
    list_environments,
    make_environment,
)


def lake(slippery=False):
    return gym.make("FrozenLake-v1", is_slippery=slippery)


def test_ids_modules_factories_classes_and_environments():
    assert make_environment("FrozenLake-v1", is_slippery=False).spec.kwargs["is_slippery"] is False
    assert make_environment("velodrome/DeepSea-v0", size=4).observation_space.n == 16
    assert make_environment("velodrome.envs:velodrome/DeepSea-v0", size=4).observation_space.n == 16
    assert make_environment(lake).spec.id == "FrozenLake-v1"
    assert make_environment(lake, slippery=True).spec.kwargs["is_slippery"] is True
    assert isinstance(make_environment(DeepSea, size=3), DeepSea)
    env = lake()
    assert make_environment(env) is env


def test_time_limits_pass_through():
    limits = [
        TransitionModel.of(make_environment("FrozenLake-v1", max_episode_steps=steps)).time_limit
        for steps in (7, -1, None)
    ]
    assert limits == [7, None, 100]


def test_an_older_version_makes_no_noise():
    # Warnings are errors in these tests.
    assert make_environment("CartPole-v0").spec.id == "CartPole-v0"


@pytest.mark.parametrize("identifier", list_environments())
def test_every_listed_environment_can_be_made_and_reset(identifier):
    env = make_environment(identifier)
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space


def test_ours_are_listed_first():
    listed = list_environments()
    assert listed[0].startswith("velodrome/")
    assert {"velodrome/DeepSea-v0", "FrozenLake-v1", "Taxi-v4", "CartPole-v1", "Blackjack-v1"} <= set(listed)
    assert "CartPole-v0" not in listed


class Broken(gym.Env):
    def __init__(self, size=1):
        raise RuntimeError("first line\nsecond line")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: make_environment("FrozenLak-v1"),
            "unknown environment 'FrozenLak-v1': did you mean 'FrozenLake-v1'?",
        ),
        (
            lambda: make_environment("frozenlake-v1"),
            "unknown environment 'frozenlake-v1': did you mean 'FrozenLake-v1'?",
        ),
        (
            lambda: make_environment("DeepSea-v0"),
            "unknown environment 'DeepSea-v0': did you mean 'velodrome/DeepSea-v0'?",
        ),
        (
            lambda: make_environment("velodrom/DepSea-v0"),
            "unknown environment 'velodrom/DepSea-v0': did you mean 'velodrome/DeepSea-v0'?",
        ),
        (
            lambda: make_environment("Taxi-v3"),
            "environment 'Taxi-v3' is not available in this Gymnasium: use 'Taxi-v4'",
        ),
        (lambda: make_environment("CartPole"), "environment 'CartPole' needs its version: 'CartPole-v1'"),
        (
            lambda: make_environment("!!"),
            "unknown environment '!!': gymnasium.pprint_registry() lists all",
        ),
        (
            lambda: make_environment("no_such_module:Env-v0"),
            "cannot import module 'no_such_module' of environment 'no_such_module:Env-v0': "
            "No module named 'no_such_module'",
        ),
        (
            lambda: make_environment("velodrome/DeepSea-v0", sizee=3),
            "velodrome/DeepSea-v0 has no argument 'sizee': did you mean 'size'? it has size, deterministic, "
            "randomize_actions, mapping_seed, render_mode, max_episode_steps, disable_env_checker",
        ),
        (
            lambda: make_environment(lake, ice=True),
            "lake has no argument 'ice': it has slippery",
        ),
        (
            lambda: make_environment("velodrome/DeepSea-v0", size=1),
            "cannot make velodrome/DeepSea-v0: size must be a whole number of at least 2 and at most 30000, got 1",
        ),
        (
            lambda: make_environment("FrozenLake-v1", max_episode_steps=0),
            "cannot make FrozenLake-v1: Expect the `max_episode_steps` to be positive, actually: 0",
        ),
        (lambda: make_environment(Broken), "cannot make Broken: first line second line"),
        (lambda: make_environment(lambda: 5), "<lambda> must make a gymnasium.Env, got int"),
        (lambda: make_environment(5), "an environment is an id, a function or a gymnasium.Env, got 5"),
        (
            lambda: make_environment(GridWorld(), slip=0.5),
            "GridWorld is made already: 'slip' cannot be set any more",
        ),
    ],
)
def test_what_cannot_be_made_is_one_line(make, words):
    with pytest.raises(UnknownEnvironmentError) as caught:
        make()
    assert str(caught.value) == words


def test_a_missing_dependency_is_one_line():
    if "mujoco" in sys.modules:
        pytest.skip("mujoco is installed")
    with pytest.raises(UnknownEnvironmentError) as caught:
        make_environment("Ant-v2")
    assert "\n" not in str(caught.value)
