"""Agents of Discrete actions act through bins in real ones, or in several numbers at once."""

import copy

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings, strategies as st

import velodrome as vd
from velodrome.agents import (
    Agent,
    BinnedActions,
    Discretized,
    ExternalAgent,
    QLearning,
    RandomAgent,
    UnsupportedEnvironmentError,
    ValueIteration,
)
from velodrome.agents.resuming.environment_streams import environment_streams, restore_environment_streams
from velodrome.envs.action_bins import MOST_ACTIONS, ActionBins
from velodrome.experiments.specification.catalogue import build_agent
from velodrome.policies import ConfigurationError, EpsilonGreedy


class Target(gym.Env):
    """One step an episode: the reward is minus the distance of the action's numbers from a target."""

    def __init__(self, action_space, target):
        self.observation_space, self.action_space, self.target = spaces.Discrete(2, start=4), action_space, target

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return 4, {}

    def step(self, action):
        assert self.action_space.contains(action), action
        distance = np.abs(np.array(flat(action), dtype=np.float64) - self.target).sum()
        return 5, -float(distance), True, False, {}


def flat(action):
    if isinstance(action, dict):
        return [number for part in action.values() for number in flat(part)]
    if isinstance(action, tuple):
        return [number for part in action for number in flat(part)]
    return np.asarray(action).ravel().tolist()


NESTED = spaces.Dict(
    b=spaces.Box(-1.0, 1.0, (1,)), a=spaces.Tuple([spaces.Discrete(2, start=5), spaces.MultiBinary(1)])
)
TARGETS = {
    "Box": (spaces.Box(np.array([-1.0, 0.0], np.float32), np.array([1.0, 8.0], np.float32)), [0.5, 2.0], 25),
    "Box of whole numbers": (spaces.Box(-2, 1, (2,), np.int8), [-1, 1], 16),
    "MultiDiscrete": (spaces.MultiDiscrete([3, 4], start=[1, -1]), [3, 0], 12),
    "MultiBinary": (spaces.MultiBinary(3), [1, 0, 1], 8),
    "Dict": (NESTED, [-0.5, 6, 1], 20),
}


def learner(**parameters):
    return QLearning(discount=0.9, policy=EpsilonGreedy(0.2, ties="first"), **parameters)


def pendulum_agent(bins=5):
    return BinnedActions(Discretized(learner(), bins=(3, 3, 4)), bins=bins)


@pytest.mark.parametrize("name", TARGETS)
def test_the_best_of_the_bins_is_learnt(name, tmp_path):
    space, target, number = TARGETS[name]
    agent = BinnedActions(QLearning(learning_rate=1.0), bins=5)
    log = agent.train(Target(space, target), episodes=40 * number, seed=0)
    assert log.loop == "generic"
    assert agent.action_values.shape == (2, number)
    action = agent.act(4)
    assert space.contains(action)
    assert flat(action) == target
    assert space.contains(agent.act(4, explore=True))
    assert agent.action_values_of(np.array([4])).shape == (1, number)
    batch = agent.act(np.array([4, 4]))
    assert len(batch) == 2
    assert all(flat(one) == target for one in batch)
    agent.save(tmp_path)
    loaded = Agent.load(tmp_path)
    assert isinstance(loaded, BinnedActions)
    assert flat(loaded.act(4)) == target
    assert flat(loaded.decide(4, {}, space)) == target


SPACES = st.recursive(
    st.one_of(
        st.builds(spaces.Discrete, st.integers(1, 3), start=st.integers(-3, 3)),
        st.builds(spaces.MultiDiscrete, st.lists(st.integers(1, 3), min_size=1, max_size=2)),
        st.builds(spaces.MultiBinary, st.integers(1, 2)),
        st.builds(
            lambda low, size, kind: spaces.Box(kind(low), kind(low + size), (2,), kind),
            st.floats(-1e6, 1e6, width=32),
            st.floats(0.0, 1e6, width=32),
            st.sampled_from([np.float32, np.float64]),
        ),
        st.builds(lambda low, more: spaces.Box(low, low + more, (2,), np.int8), st.integers(-9, 9), st.integers(0, 9)),
    ),
    lambda parts: st.one_of(
        st.builds(spaces.Tuple, st.lists(parts, min_size=1, max_size=2)),
        st.builds(spaces.Dict, st.dictionaries(st.sampled_from("abc"), parts, min_size=1, max_size=2)),
    ),
    max_leaves=3,
)


@settings(max_examples=80, deadline=None)
@given(SPACES, st.integers(1, 4))
def test_every_bin_is_an_action_within_the_limits_and_has_its_own(space, count):
    bins = ActionBins(space, count, "some")
    actions = [bins.action(number) for number in range(min(bins.num_actions, 200))]
    assert all(space.contains(action) for action in actions)
    distinct = {tuple(flat(action)) for action in actions}
    if not any(is_narrow(box) for box in boxes_of(space)):
        assert len(distinct) == len(actions)
    for box, values in zip(boxes_of(space), values_of_boxes(space, bins), strict=True):
        for low, high, of_one in zip(box.low.tolist(), box.high.tolist(), values, strict=True):
            if count > 1:
                assert (of_one[0], of_one[-1]) == (low, high)
            else:
                assert len(of_one) == 1
                assert low <= of_one[0] <= high


def is_narrow(box):
    """Whether several bins of a Box of real numbers may be one and the same number."""
    return box.dtype.kind == "f" and bool((box.high - box.low <= 1e-6 * np.maximum(np.abs(box.high), 1.0)).any())


def boxes_of(space):
    if isinstance(space, spaces.Dict | spaces.Tuple):
        parts = space.spaces.values() if isinstance(space, spaces.Dict) else space.spaces
        return [box for part in parts for box in boxes_of(part)]
    return [space] if isinstance(space, spaces.Box) else []


def values_of_boxes(space, bins):
    values = iter(bins.values)

    def read(part):
        if isinstance(part, spaces.Dict | spaces.Tuple):
            for child in part.spaces.values() if isinstance(part, spaces.Dict) else part.spaces:
                yield from read(child)
            return
        size = 1 if isinstance(part, spaces.Discrete) else int(np.prod(part.shape))
        taken = [next(values) for _ in range(size)]
        if isinstance(part, spaces.Box):
            yield taken

    return list(read(space))


def test_bins_are_evenly_spaced_with_both_ends_and_one_is_the_middle():
    bins = ActionBins(
        spaces.Box(np.array([-2.0, 0.0, 1.0]), np.array([2.0, 1.0, 3.0]), dtype=np.float64), [5, 3, 1], "x"
    )
    assert [values.tolist() for values in bins.values] == [[-2, -1, 0, 1, 2], [0, 0.5, 1], [2]]
    assert bins.num_actions == 15
    assert [bins.action(number).tolist() for number in (0, 1, 14)] == [[-2, 0, 2], [-2, 0.5, 2], [2, 1, 2]]
    # More bins than whole numbers are as many as these.
    whole = ActionBins(spaces.Box(0, 2, (1,), np.uint8), 9, "x")
    assert [whole.action(number).tolist() for number in range(whole.num_actions)] == [[0], [1], [2]]


def test_training_in_two_calls_is_training_in_one_and_callbacks_see_the_agent():
    whole, parts = pendulum_agent(), pendulum_agent()
    whole.train("Pendulum-v1", steps=700, seed=5)
    seen = []
    env = gym.make("Pendulum-v1")

    def callback(moment):
        seen.append(
            (moment.agent is parts, moment.action_values.shape, env.action_space.contains(moment.agent.act([1, 0, 0])))
        )

    parts.train(env, steps=300, seed=5, callback=callback, callback_every=1)
    parts.train(env, steps=400, callback=callback, callback_every=1)
    assert np.array_equal(whole.action_values, parts.action_values)
    assert seen == [(True, (36, 5), True)] * 3


def test_training_goes_on_in_an_environment_made_anew(tmp_path):
    undisturbed = pendulum_agent()
    log = undisturbed.train(gym.make("Pendulum-v1"), episodes=6, seed=2)
    agent, env = pendulum_agent(), gym.make("Pendulum-v1")
    first = agent.train(env, episodes=4, seed=2)
    agent.save(tmp_path)
    resumed, anew = BinnedActions.load(tmp_path), gym.make("Pendulum-v1")
    restore_environment_streams(anew, environment_streams(env))
    resumed.resume(anew)
    later = resumed.train(anew, episodes=2)
    assert np.array_equal(log.returns, (first + later).returns)
    assert np.array_equal(resumed.action_values, undisturbed.action_values)


class Rememberer(vd.Agent):
    """An agent of one's own: it repeats the action with the largest reward."""

    def begin(self, observation_space, action_space, rng):
        self.space, self.rng, self.best, self.reward = action_space, rng, 0, -np.inf

    def act(self, observation, *, explore=False):
        return int(self.rng.integers(self.space.n)) if explore else np.array([self.best])

    def learn(self, observation, action, reward, next_observation, terminated, truncated):
        if reward > self.reward:
            self.best, self.reward = action, reward


def test_an_agent_of_ones_own_acts_through_bins(tmp_path):
    space, target, _ = TARGETS["Box"]
    agent = BinnedActions(Rememberer(), bins=5)
    agent.train(Target(space, target), episodes=400, seed=0)
    assert agent.decide(4, {}, space).tolist() == target
    agent.save(tmp_path)
    assert Agent.load(tmp_path).decide(4, {}, space).tolist() == target


def test_an_agent_of_another_library_acts_through_bins():
    space, target, number = TARGETS["Box"]
    agents_seen = []

    def learn(model, env, steps):
        assert env.action_space == spaces.Discrete(number)
        env.reset()
        while True:
            action = model["next"] % number
            model["next"] += 1
            _, reward, _, _, _ = env.step(action)
            if reward > model["reward"]:
                model.update(best=action, reward=reward)
            env.reset()

    external = ExternalAgent(
        make=lambda env, seed: {"next": 0, "best": 0, "reward": -np.inf},
        learn=learn,
        act=lambda model, observation: model["best"],
    )
    agent = BinnedActions(external, bins=5)
    env = gym.wrappers.TimeLimit(Target(space, target), max_episode_steps=1)
    log = agent.train(
        env, episodes=30, seed=0, callback=lambda moment: agents_seen.append(moment.agent), callback_every=10
    )
    assert log.episodes == 30
    assert agents_seen == [agent] * 3
    assert agent.decide(4, {}, space).tolist() == target


def test_it_stands_in_expressions_tables_and_stores(tmp_path):
    expression = "binned_actions(discretized(q_learning(discount=0.9), bins=3), bins=[3])"
    agent = build_agent(expression)
    assert str(build_agent(str(agent))) == str(agent)
    assert str(build_agent("binned_actions(agent=random, bins=2)")) == str(BinnedActions(RandomAgent(), bins=2))
    results = vd.compare(
        {"binned": expression, "chance": "random", "few": "binned_actions(random, bins=2)"},
        "Pendulum-v1",
        seeds=2,
        episodes=3,
        evaluate_every=2,
        evaluation_episodes=3,
        out=tmp_path / "store",
        workers=0,
    )
    rows = {row["agent"]: row for row in results.rows()}
    assert set(rows) == {"binned", "chance", "few"}
    assert all(np.isfinite(row["greedy_return_mean"]) for row in rows.values())
    again = vd.run(expression, "Pendulum-v1", episodes=3, seed=0, evaluation_episodes=3)
    assert np.isfinite(again.evaluation.mean_return)


def test_it_learns_to_come_to_the_flag_where_chance_does_not():
    car = BinnedActions(Discretized(QLearning(learning_rate=0.2, initial_value=20.0), bins=20), bins=3)
    log = car.train("MountainCarContinuous-v0", episodes=40, seed=0)
    # Doing nothing earns 0; chance pays for its force, and comes to the flag as good as never.
    assert log.returns[-10:].mean() > 30.0
    assert RandomAgent().train("MountainCarContinuous-v0", episodes=5, seed=0).returns.mean() < 0.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: BinnedActions(ValueIteration()),
            "binned_actions: agent must learn from steps, but value_iteration learns from a transition model, whose "
            "actions are Discrete",
        ),
        (
            lambda: build_agent("binned_actions(mlp)"),
            "binned_actions: agent must learn from steps, but mlp learns from labelled examples",
        ),
        (
            lambda: BinnedActions(BinnedActions()),
            "binned_actions: agent must choose among Discrete actions, got binned_actions(",
        ),
        (lambda: BinnedActions("q_learning"), "binned_actions: agent must be an agent, got 'q_learning'"),
        (lambda: BinnedActions(bins=0), "binned_actions: bins must be a whole number of at least 1, got 0"),
        (lambda: BinnedActions(bins=(2, 1.5)), "binned_actions: bins must be a whole number of at least 1, got 1.5"),
        (
            lambda: Discretized(BinnedActions()),
            "discretized: agent must be a tabular agent, got "
            "binned_actions(agent=q_learning(policy=epsilon_greedy())): write binned_actions(discretized(...))",
        ),
    ],
)
def test_parameters_that_cannot_be_are_refused(make, message):
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("agent", "environment", "message"),
    [
        (
            BinnedActions(),
            gym.make("FrozenLake-v1"),
            "binned_actions is for actions that are not Discrete, but FrozenLake-v1 has Discrete(4): take q_learning "
            "itself",
        ),
        (
            BinnedActions(),
            gym.make("Pendulum-v1"),
            "q_learning needs a finite observation space, but Pendulum-v1 has a box of 3 numbers: cut them into bins, "
            "discretize(Pendulum-v1, bins=10) or discretized(q_learning, bins=10)",
        ),
        (
            BinnedActions(bins=(2, 3)),
            gym.make("Pendulum-v1"),
            "binned_actions: bins must be one number or 1, one a dimension, got 2: the actions of Pendulum-v1 are Box(",
        ),
        (
            BinnedActions(bins=(2, 3)),
            Target(spaces.MultiBinary(2), [0, 0]),
            "binned_actions: bins must be one number, as no action is real, got 2: the actions of Target are MultiB",
        ),
        (
            BinnedActions(),
            Target(spaces.Box(-np.inf, 1.0, (2,)), [0, 0]),
            "binned_actions: actions of Target have no finite limits in dimension 0, Box(-inf, 1.0, (2,), float32): "
            "there are no bins between them, take sb3('PPO')",
        ),
        (
            BinnedActions(),
            Target(spaces.Box(-1.0, 1.0, (17,)), [0] * 17),
            f"binned_actions: actions of Target have 17 numbers, which make more than {MOST_ACTIONS:,} actions: give "
            "fewer bins, or 1 where a number may stay in the middle",
        ),
        (
            BinnedActions(),
            Target(spaces.Tuple([spaces.Text(3)]), [0]),
            "binned_actions: there are no bins of Text(1, 3, ",
        ),
    ],
)
def test_environments_that_do_not_fit_are_refused_before_anything_runs(agent, environment, message):
    with pytest.raises(UnsupportedEnvironmentError) as caught:
        copy.copy(agent).check_environment(environment)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_other_actions_than_those_that_were_learnt_are_refused():
    agent = BinnedActions(bins=4)
    agent.train(Target(spaces.Box(-1.0, 1.0, (1,)), [0]), episodes=2, seed=0)
    with pytest.raises(UnsupportedEnvironmentError) as caught:
        agent.train(Target(spaces.Box(-2.0, 1.0, (1,)), [0]), episodes=2)
    assert str(caught.value) == (
        "binned_actions has learnt to choose among other actions, a box of 1 number, than those of Target"
    )
    with pytest.raises(UnsupportedEnvironmentError, match="has not been trained or loaded yet"):
        BinnedActions().act(4)
