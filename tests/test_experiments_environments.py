"""Environments of expressions: they make and step, and mistakes are told early and in one line."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces, wrappers

import velodrome as vd
from velodrome.envs import UnknownEnvironmentError, list_environments
from velodrome.experiments.specification.catalogue import WRAPPERS, CatalogueError
from velodrome.experiments.specification.environment_configuration import EnvironmentConfiguration, build_environment
from velodrome.experiments.specification.expression import Call


def message_of(error_class, function, *arguments):
    with pytest.raises(error_class) as caught:
        function(*arguments)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize("identifier", [*list_environments(), "discretize(CartPole-v1, bins=[2, 2, 3, 3])"])
def test_environments_make_and_step(identifier):
    configuration = build_environment(identifier)
    assert configuration.label == identifier
    env = configuration.make()
    env.reset(seed=0)
    observation, *_ = env.step(env.action_space.sample())
    assert observation in env.observation_space
    env.close()


def test_environment_configurations():
    text = "FrozenLake-v1( desc = ['SF','HG'],is_slippery=false, success_rate=1/3, max_episode_steps=7)"
    configuration = build_environment(text)
    assert configuration.label == (
        "FrozenLake-v1(desc=['SF', 'HG'], is_slippery=False, success_rate=0.3333333333333333, max_episode_steps=7)"
    )
    assert build_environment(configuration.label) == configuration
    assert len({configuration, build_environment(configuration.label)}) == 1
    env = configuration.make()
    assert env.spec.max_episode_steps == 7
    assert env.unwrapped.desc.shape == (2, 2)
    assert configuration.make() is not env
    assert build_environment("CartPole-v1(render_mode='rgb_array')").make().render_mode == "rgb_array"
    assert build_environment("discretize(CartPole-v1, 3)").make(render_mode="rgb_array").render_mode == "rgb_array"
    assert build_environment("discretize(CartPole-v1, 3)").make().observation_space.n == 81
    direct = EnvironmentConfiguration(Call("velodrome/DeepSea-v0", (), {"size": 3}))
    assert direct.make().observation_space.n == 9


@pytest.mark.parametrize(
    ("error", "expression", "message"),
    [
        (UnknownEnvironmentError, "FrozenLak-v1", "unknown environment 'FrozenLak-v1': did you mean 'FrozenLake-v1'?"),
        (UnknownEnvironmentError, "DeepSea-v0", "unknown environment 'DeepSea-v0': did you mean 'velodrome/DeepSea"),
        (UnknownEnvironmentError, "FrozenLake-v1(is_slipery=0)", "FrozenLake-v1 has no argument 'is_slipery': did you"),
        (UnknownEnvironmentError, "no_such_module_here:X-v0", "cannot import module 'no_such_module_here' of env"),
        (UnknownEnvironmentError, "velodrome/DeepSea-v0(size=0)", "cannot make velodrome/DeepSea-v0: size must be"),
        (CatalogueError, "FrozenLake-v1(False)", "FrozenLake-v1 takes arguments by name, such as FrozenLake-v1(max"),
        (
            CatalogueError,
            "FrozenLake-v1(map_name=x8)",
            "FrozenLake-v1: map_name takes a plain value, got the name x8 (text needs quotes: 'x8')",
        ),
        (CatalogueError, "q_learning", "q_learning is an agent, not an environment such as FrozenLake-v1"),
        (CatalogueError, "discretize", "discretize needs 'env': discretize(env, bins=10, low=None, high=None)"),
        (CatalogueError, "discretize('CartPole-v1')", "discretize needs an environment without quotes, such as"),
        (CatalogueError, "discretize(CartPole-v1, bin=3)", "discretize has no argument 'bin': did you mean 'bins'?"),
        (CatalogueError, "discretize(CartPole-v1, [3, x])", "discretize: bins takes a plain value, got the name x"),
        (CatalogueError, "discretize(CartPole-v1, [3])", "discretize: bins must be one number or 4, one a dim"),
        (CatalogueError, "discretize(FrozenLake-v1)", "discretize: Discretize needs a Box observation space, got"),
        (CatalogueError, "TimeLimt(FrozenLake-v1, 5)", "unknown wrapper 'TimeLimt': did you mean 'TimeLimit'?"),
        (
            CatalogueError,
            "TransformReward(CartPole-v1, f)",
            "TransformReward takes a function, which cannot be written",
        ),
        (CatalogueError, "TimeLimit(FrozenLake-v1)", "TimeLimit needs 'max_episode_steps': TimeLimit(env, max_epi"),
        (CatalogueError, "TimeLimit('FrozenLake-v1', 5)", "TimeLimit needs an environment without quotes, such as"),
        (CatalogueError, "TimeLimit(FrozenLake-v1, 5, 6)", "TimeLimit takes at most 2 positional arguments, got 3"),
        (CatalogueError, "TimeLimit(q_learning, 5)", "q_learning is an agent, not an environment such as FrozenLake"),
        (UnknownEnvironmentError, "TimeLimit(FrozenLak-v1, 5)", "unknown environment 'FrozenLak-v1': did you mean"),
        (CatalogueError, "StickyAction(FrozenLake-v1, p=1)", "StickyAction has no argument 'p'; allowed: env, repeat"),
        (
            CatalogueError,
            "FrameStackObservation(CartPole-v1, stack_size='four')",
            "FrameStackObservation: stack_size must be a whole number, got 'four'",
        ),
        (
            CatalogueError,
            "ClipReward(CartPole-v1, max_reward='a')",
            "ClipReward: max_reward must be a number or a list or None, got 'a'",
        ),
        (CatalogueError, "DiscretizeAction(CartPole-v1, 3)", "DiscretizeAction: "),
        (CatalogueError, "discretize(FlattenObservation(FrozenLake-v1), 2, hgh=1)", "discretize has no argument 'hgh'"),
    ],
)
def test_mistakes_in_environments_are_told_early_and_in_one_line(error, expression, message):
    assert message_of(error, build_environment, expression).startswith(message)


@pytest.mark.parametrize(
    ("expression", "shape"),
    [
        ("FrameStackObservation(CartPole-v1, stack_size=4)", (4, 4)),
        ("FlattenObservation(FrameStackObservation(CartPole-v1, stack_size=2, padding_type='zero'))", (8,)),
        (
            "discretize(FlattenObservation(FrameStackObservation(CartPole-v1, stack_size=2)), bins=2, low=-1, high=1)",
            (),
        ),
        ("DtypeObservation(CartPole-v1, dtype='float64')", (4,)),
        ("ReshapeObservation(CartPole-v1, shape=[2, 2])", (2, 2)),
        ("RescaleObservation(MountainCar-v0, min_obs=[0, 0], max_obs=[1, 2])", (2,)),
        ("RescaleAction(Pendulum-v1, min_action=-1, max_action=1)", (3,)),
        ("DiscretizeObservation(MountainCar-v0, bins=[5, 6])", ()),
        ("StickyAction(CartPole-v1, repeat_action_probability=0.2, repeat_action_duration=[1, 3])", (4,)),
        ("RepeatAction(TimeLimit(FrozenLake-v1, max_episode_steps=50), num_repeats=2)", ()),
    ],
)
def test_gymnasiums_wrappers_stand_in_expressions(expression, shape):
    configuration = build_environment(expression)
    assert configuration.label == expression == build_environment(configuration.label).label
    env = configuration.make()
    assert env.observation_space.shape == shape
    env.reset(seed=0)
    observation, *_ = env.step(env.action_space.sample())
    assert observation in env.observation_space


@pytest.mark.parametrize(
    ("given", "by_name"),
    [
        (
            "StickyAction(CartPole-v1, 0.2, [1, 3])",
            "StickyAction(CartPole-v1, repeat_action_probability=0.2, repeat_action_duration=[1, 3])",
        ),
        (
            "RepeatAction(TimeLimit(FrozenLake-v1, 50), 2)",
            "RepeatAction(TimeLimit(FrozenLake-v1, max_episode_steps=50), num_repeats=2)",
        ),
        ("TimeLimit(env=FrozenLake-v1, max_episode_steps=5)", "TimeLimit(FrozenLake-v1, max_episode_steps=5)"),
        ("discretize(CartPole-v1, 3)", "discretize(CartPole-v1, bins=3)"),
    ],
)
def test_arguments_by_position_and_by_name_are_one_environment(given, by_name):
    assert build_environment(given).label == build_environment(by_name).label == by_name


class Mission(spaces.Space):
    """A space of one's own, which Gymnasium cannot flatten."""


class Messenger(gym.Env):
    observation_space = spaces.Dict({"place": spaces.Discrete(3), "mission": Mission()})
    action_space = spaces.Discrete(2)


def test_where_a_wrapper_says_nothing_the_line_says_what_it_was_to_stand_around(monkeypatch):
    monkeypatch.setitem(gym.registry, "Messenger-v0", gym.envs.registration.EnvSpec("Messenger-v0", Messenger))
    assert message_of(CatalogueError, build_environment, "FlattenObservation(Messenger-v0)") == (
        "FlattenObservation: cannot stand around Messenger-v0, which shows a Dict of 'mission' and 'place': choose of "
        "its parts, FlattenObservation(observation(Messenger-v0, ['place']))"
    )


def test_every_wrapper_of_gymnasium_is_there_but_for_those_of_functions_and_of_other_arrays():
    of_other_arrays = {"ArrayConversion", "JaxToNumpy", "JaxToTorch", "NumpyToTorch"}
    of_functions = {"TransformAction", "TransformObservation", "TransformReward"}
    assert {*wrappers.__all__} - {"vector"} - of_other_arrays - of_functions == {*WRAPPERS} & {*wrappers.__all__}


def test_a_model_is_kept_where_a_wrapper_changes_nothing_and_state_is_frozen_in_evaluation():
    short = vd.run("q_learning", "TimeLimit(FrozenLake-v1, max_episode_steps=9)", steps=50, seed=0)
    same = vd.run("q_learning", "FrozenLake-v1(max_episode_steps=9)", steps=50, seed=0)
    assert short.log.loop == "compiled"
    assert short.evaluation == same.evaluation
    assert np.array_equal(short.trained.action_values, same.trained.action_values)
    for changing in ("ClipReward(FrozenLake-v1, max_reward=0.5)", "StickyAction(FrozenLake-v1, 0.2)"):
        trial = vd.run("q_learning", changing, steps=50, seed=0, evaluation_episodes=2)
        assert (trial.log.loop, trial.evaluation.method) == ("generic", "monte-carlo")
    environment = "discretize(NormalizeObservation(MountainCar-v0), bins=4, low=-2, high=2)"
    trial = vd.run("q_learning", environment, steps=50, seed=0, evaluation_episodes=1)
    assert any("frozen: NormalizeObservation.obs_rms" in note for note in trial.log.notes)
