"""Environments of expressions: they make and step, and mistakes are told early and in one line."""

import pytest

from velodrome.envs import UnknownEnvironmentError, list_environments
from velodrome.experiments.specification.catalogue import CatalogueError
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
    ],
)
def test_mistakes_in_environments_are_told_early_and_in_one_line(error, expression, message):
    assert message_of(error, build_environment, expression).startswith(message)
