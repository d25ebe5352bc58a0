"""An agent that can be checkpointed goes on in an environment made anew, and one that cannot says so."""

import json

import gymnasium as gym
import numpy as np
import pytest

from velodrome import agents
from velodrome.agents.errors import UnsupportedEnvironmentError
from velodrome.agents.resuming.environment_contents import environment_contents
from velodrome.agents.resuming.environment_streams import (
    NotRestorableError,
    environment_streams,
    restore_environment_streams,
)
from velodrome.agents.resuming.object_contents import UnknownContentsError, describe_difference


def stop(finished):
    return False


@pytest.mark.parametrize("loop", ["generic", "compiled"])
def test_training_goes_on_in_an_environment_made_anew(loop, tmp_path, result, differences):
    whole, env = agents.NStepQ(n=4), gym.make("FrozenLake-v1")
    log = whole.train(env, episodes=50, seed=3, loop=loop)
    undisturbed = result(whole, env, log)

    agent, env = agents.NStepQ(n=4), gym.make("FrozenLake-v1")
    first = agent.train(env, episodes=50, seed=3, loop=loop, callback=stop, callback_every=20)
    agent.save(tmp_path)
    streams = json.dumps(environment_streams(env))
    resumed, anew = agents.NStepQ.load(tmp_path), gym.make("FrozenLake-v1")
    restore_environment_streams(anew, json.loads(streams))
    resumed.resume(anew)
    later = resumed.train(anew, episodes=30, loop=loop)
    assert first.episodes == 20
    assert differences(undisturbed, result(resumed, anew, first + later)) == []


def test_which_agents_can_be_checkpointed():
    assert agents.QLearning.can_checkpoint
    assert agents.RandomAgent.can_checkpoint
    assert not agents.ValueIteration.can_checkpoint


def test_an_agent_that_cannot_be_checkpointed_says_so():
    with pytest.raises(UnsupportedEnvironmentError, match=r"^value_iteration [^\n]*no checkpoints$"):
        agents.ValueIteration().resume(gym.make("FrozenLake-v1"))


def test_an_environment_with_other_spaces_is_refused(tmp_path):
    agent = agents.QLearning()
    agent.train(gym.make("FrozenLake-v1"), episodes=2, seed=0)
    with pytest.raises(UnsupportedEnvironmentError, match=r"^[^\n]*16 states[^\n]*500[^\n]*$"):
        agent.resume(gym.make("Taxi-v4"))


def test_an_untrained_agent_has_nothing_to_resume():
    with pytest.raises(UnsupportedEnvironmentError, match="call train first"):
        agents.QLearning().resume(gym.make("FrozenLake-v1"))


def test_streams_that_cannot_be_written_down_are_refused():
    env = gym.make("FrozenLake-v1")
    env.unwrapped.np_random = np.random.RandomState(0)
    with pytest.raises(NotRestorableError, match=r"^the random stream of environment [^\n]*$"):
        environment_streams(env)


def test_the_streams_of_another_environment_are_refused():
    env, other = gym.make("FrozenLake-v1"), gym.make("Blackjack-v1")
    env.reset(seed=0)
    with pytest.raises(NotRestorableError, match=r"^[^\n]*other random streams[^\n]*$"):
        restore_environment_streams(other, environment_streams(env))


class Holder(gym.Env):
    def __init__(self, **held):
        self.__dict__.update(held)


VALUES = {
    "number": (1, 2),
    "sign of zero": (0.0, -0.0),
    "type": (1, True),
    "array": (np.zeros(9), np.append(np.zeros(8), 1)),
    "dtype": (np.zeros(2, np.int32), np.zeros(2, np.int64)),
    "objects": (np.array([[1], "a"], dtype=object), np.array([[2], "a"], dtype=object)),
    "order of keys": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "set": ({1, 2}, {1, 3}),
    "nested": ([{"a": (1, [2])}], [{"a": (1, [3])}]),
    "generator": (np.random.default_rng(0), np.random.default_rng(1)),
    "bound method": (np.random.default_rng(0).random, np.random.default_rng(1).random),
    "closure": ((lambda n: lambda: n)(1), (lambda n: lambda: n)(2)),
    "attribute of an object": (Holder(level=1), Holder(level=2)),
}


@pytest.mark.parametrize("case", VALUES)
def test_contents_that_differ_are_told_apart(case):
    one, other = (environment_contents(Holder(held=value)) for value in VALUES[case])
    assert describe_difference(one, other) is not None
    assert describe_difference(one, one) is None


def test_one_object_in_two_places_is_not_two_equal_objects():
    shared = [1]
    one, other = Holder(first=shared, second=shared), Holder(first=[1], second=[1])
    assert describe_difference(environment_contents(one), environment_contents(other)) is not None


def test_contents_may_refer_to_themselves():
    one, other = Holder(), Holder()
    one.itself, other.itself = one, other
    assert environment_contents(one) == environment_contents(other)


def test_two_wrappers_of_one_kind_are_both_looked_at():
    def made(level):
        inner = gym.wrappers.TimeLimit(gym.make("FrozenLake-v1"), level)
        return gym.wrappers.TimeLimit(inner, 50)

    assert describe_difference(environment_contents(made(7)), environment_contents(made(8))) is not None


def test_what_hides_its_contents_is_refused():
    with pytest.raises(UnknownContentsError, match=r"^Holder.held is a builtins.generator, which hides[^\n]*$"):
        environment_contents(Holder(held=(number for number in ())))
