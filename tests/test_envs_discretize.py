"""Discretize: bins of continuous observations."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings, strategies as st

from velodrome.envs import Discretize


class Still(gym.Env):
    """Observes whatever it is given."""

    def __init__(self, space):
        self.observation_space = space
        self.action_space = spaces.Discrete(1)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(self.observation_space.shape), {}

    def step(self, action):
        return np.zeros(self.observation_space.shape), 0.0, False, False, {}


def box(low, high, shape):
    return Still(spaces.Box(low, high, shape, dtype=np.float64))


@pytest.mark.parametrize(
    ("identifier", "num_states"),
    [("CartPole-v1", 10**4), ("MountainCar-v0", 10**2), ("Acrobot-v1", 10**6), ("Pendulum-v1", 10**3)],
)
def test_well_known_environments_need_no_limits(identifier, num_states):
    env = Discretize(gym.make(identifier))
    assert env.observation_space == spaces.Discrete(num_states)
    env.action_space.seed(0)
    observation, _ = env.reset(seed=0)
    seen = {observation}
    for _ in range(150):
        observation, _, terminated, truncated, _ = env.step(env.action_space.sample())
        assert type(observation) is int
        assert observation in env.observation_space
        seen.add(observation)
        if terminated or truncated:
            env.reset()
    assert len(seen) > 3


def test_bins_are_numbered_with_the_last_dimension_fastest():
    env = Discretize(gym.make("MountainCar-v0"), bins=(4, 3))
    low, high = env.low, env.high
    assert env.observation_space.n == 12
    middle = (low + high) / 2
    numbers = [
        env.observation(np.array(place))
        for place in (low, (low[0], high[1]), (high[0], low[1]), high, middle, middle + 1e-9)
    ]
    assert numbers == [0, 2, 9, 11, 7, 7]


def test_values_outside_count_to_the_outermost_bins_and_nan_is_refused():
    env = Discretize(box(-1.0, 1.0, (2,)), bins=5)
    assert env.observation(np.array([-np.inf, -9.0])) == 0
    assert env.observation(np.array([np.inf, 9.0])) == 24
    with pytest.raises(ValueError, match="observation has NaN in dimension 1"):
        env.observation(np.array([0.0, np.nan]))


def test_any_shape_is_flattened():
    env = Discretize(box(0.0, 1.0, (2, 2)), bins=[2, 2, 2, 2])
    assert env.observation(np.array([[1.0, 0.0], [0.0, 1.0]])) == 9


@settings(max_examples=100, deadline=None)
@given(
    bins=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    low=st.floats(-1e3, 1e3),
    width=st.floats(1e-2, 1e3),
    data=st.data(),
)
def test_larger_values_never_have_smaller_bins(bins, low, width, data):
    env = Discretize(box(-np.inf, np.inf, (len(bins),)), bins=bins, low=low, high=low + width)
    places = st.lists(st.floats(allow_nan=False), min_size=len(bins), max_size=len(bins))
    one, other = (np.array(data.draw(places)) for _ in range(2))
    upper, lower = np.maximum(one, other), np.minimum(one, other)
    below, above = (np.unravel_index(env.observation(place), bins) for place in (lower, upper))
    assert all(a <= b for a, b in zip(below, above, strict=True))


def test_the_spec_survives():
    env = Discretize(gym.make("CartPole-v1"), bins=(3, 4, 5, 6))
    again = gym.make(env.spec)
    assert again.observation_space == spaces.Discrete(360)
    assert again.spec.additional_wrappers[-1].kwargs == {"bins": (3, 4, 5, 6), "low": None, "high": None}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Discretize(gym.make("FrozenLake-v1")), "needs a Box observation space, got Discrete(16)"),
        (
            lambda: Discretize(box(-1.0, np.inf, (2,))),
            "Still has no finite limit in dimension 0: give high=, 2 finite numbers, one a dimension",
        ),
        (lambda: Discretize(box(-1.0, 1.0, (2,)), low=[0.0, 1.0]), "got 1 and 1 in dimension 1"),
        (lambda: Discretize(box(-1.0, 1.0, (2,)), bins=(2, 3, 4)), "one number or 2, one a dimension, got 3"),
        (lambda: Discretize(box(-1.0, 1.0, (2,)), bins=0), "bins must be a whole number of at least 1, got 0"),
        (
            lambda: Discretize(box(-1.0, 1.0, (2,)), bins=2.0),
            "bins must be a whole number of at least 1, got 2.0",
        ),
        (lambda: Discretize(box(-1.0, 1.0, (2,)), low=[0, 0, 0]), "low must be one number or 2"),
        (lambda: Discretize(box(-1.0, 1.0, (2,)), low="a"), "low must be numbers, one a dimension, got 'a'"),
        (lambda: Discretize(box(-1.0, 1.0, (9,)), bins=99), "bins must make at most 2147483647 states"),
    ],
)
def test_bad_arguments_are_one_line(make, words):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are checked below
        make()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
