"""Tile coding: each observation lies in one tile of each tiling, and near ones share tiles."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings, strategies as st

import velodrome as vd
from velodrome.agents import Sarsa, UnsupportedEnvironmentError
from velodrome.envs import Discretize, TileCoding, success_rule
from velodrome.envs.tilings import Tilings
from velodrome.experiments.specification.catalogue import CatalogueError
from velodrome.experiments.specification.environment_configuration import build_environment


def tilings(number, tiles, low, high):
    size = len(tiles)
    return Tilings(number, tiles, range(size), [low] * size, [high] * size, (size,))


@st.composite
def grids(draw):
    """Number of tilings, tiles of each dimension, and two observations in and around the box from -1 to 1."""
    tiles = draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
    place = st.lists(st.floats(-1.5, 1.5), min_size=len(tiles), max_size=len(tiles))
    return draw(st.sampled_from([1, 2, 4, 5, 8, 16])), tiles, np.array(draw(place)), np.array(draw(place))


@settings(max_examples=100, deadline=None)
@given(grids())
def test_one_tile_of_each_tiling_is_active_whether_asked_alone_or_in_a_batch(grid):
    number, tiles, one, other = grid
    coder = tilings(number, tiles, -1.0, 1.0)
    features = coder.active_features(one)
    assert coder.num_features == number * coder.tiles_each
    assert (features // coder.tiles_each).tolist() == list(range(number))
    assert coder.active_features_of_all(np.array([one, other])).tolist() == [
        features.tolist(),
        coder.active_features(other).tolist(),
    ]
    assert coder.active_features(np.clip(one, -1.0, 1.0)).tolist() == features.tolist()


def book_tiles(number, fractions):
    """Tiles of the book's own software (tiles3.py) without its table: coordinates of the tile of each tiling."""
    steps = [int(np.floor(fraction * number)) for fraction in fractions]
    return [
        [(step + tiling * (1 + 2 * dimension)) // number for dimension, step in enumerate(steps)]
        for tiling in range(number)
    ]


@settings(max_examples=200, deadline=None)
@given(grids())
def test_two_observations_share_the_tiles_that_they_share_in_the_book(grid):
    number, tiles, one, other = grid
    coder = tilings(number, tiles, -1.0, 1.0)
    # Inside the box: a value at its upper end counts to the last tile here.
    one, other = (np.clip(place, -1.0, 0.999) for place in (one, other))
    ours = coder.active_features(one) == coder.active_features(other)
    fractions = ((place + 1.0) / 2.0 * tiles for place in (one, other))
    first, second = (book_tiles(number, given) for given in fractions)
    assert ours.tolist() == [a == b for a, b in zip(first, second, strict=True)]


@pytest.mark.parametrize("number", [2, 4, 8])
def test_tiles_are_shared_less_the_farther_apart_observations_are(number):
    coder = tilings(number, [4], 0.0, 4.0)
    middle = 2.0 + 0.5 / number
    shared = [
        int((coder.active_features([middle]) == coder.active_features([middle + step / number])).sum())
        for step in range(number + 2)
    ]
    # One tiling fewer for each n-th of a tile, and none a whole tile away.
    assert shared == [*range(number, -1, -1), 0]


def test_a_single_tiling_is_discretize():
    tiled, binned = TileCoding(gym.make("CartPole-v1"), 1, 5), Discretize(gym.make("CartPole-v1"), bins=5)
    assert tiled.observation_space == spaces.MultiDiscrete([binned.observation_space.n])
    for place in np.random.default_rng(0).uniform(-4, 4, (200, 4)):
        assert tiled.observation(place).tolist() == [binned.observation(place)]


def test_the_wrapper_observes_the_tile_of_each_tiling():
    env = build_environment("tile_coding(MountainCar-v0, tilings=4, tiles=[8, 6])").make()
    assert env.observation_space == spaces.MultiDiscrete([9 * 7] * 4)
    env.action_space.seed(0)
    seen = [env.reset(seed=0)[0]]
    seen += [env.step(env.action_space.sample())[0] for _ in range(150)]
    assert all(tiles in env.observation_space and tiles.dtype == np.int64 for tiles in seen)
    assert len({tuple(tiles) for tiles in seen}) > 3
    assert success_rule(env).description == "terminated"
    again = gym.make(TileCoding(gym.make("MountainCar-v0"), tiles=3).spec)
    assert again.observation_space == spaces.MultiDiscrete([16] * 8)


def test_only_some_dimensions_are_looked_at():
    some = TileCoding(gym.make("CartPole-v1"), 4, (6, 3), dimensions=[2, 0], low=(-0.2, -2), high=(0.2, 2))
    assert (some.tilings.low, some.tilings.high, some.tilings.tiles_each) == ([-0.2, -2], [0.2, 2], 7 * 4)
    here = np.array([0.5, 0.0, 0.1, 0.0])
    there = np.array([0.5, np.nan, 0.1, 99.0])
    assert some.observation(here).tolist() == some.observation(there).tolist()


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("tile_coding(FrozenLake-v1)", "tile_coding: TileCoding needs a Box observation space, got Discrete(16)"),
        ("tile_coding(CartPole-v1, tilings=0)", "tile_coding: tilings must be a whole number of at least 1, got 0"),
        ("tile_coding(CartPole-v1, tiles=0)", "tile_coding: tiles must be a whole number of at least 1, got 0"),
        ("tile_coding(CartPole-v1, tiles=[1, 2])", "tile_coding: tiles must be one number or 4, one a dimension, got"),
        ("tile_coding(CartPole-v1, tilngs=4)", "tile_coding has no argument 'tilngs': did you mean 'tilings'?"),
        ("tile_coding(CartPole-v1, dimensions=[4])", "tile_coding: observations of CartPole-v1 have dimensions 0 to 3"),
        ("tile_coding(CartPole-v1, dimensions=4)", "tile_coding: dimensions must be a tuple of numbers, got 4"),
        ("tile_coding(CartPole-v1, low=3)", "tile_coding: low must be below high, got 3 and 2.4 in dimension 0"),
        (
            "tile_coding(CartPole-v0, high=inf)",
            "tile_coding: CartPole-v0 has no finite limit in dimension 0: give high=, 4 finite numbers",
        ),
        (
            "tile_coding(velodrome/Classification-v0)",
            "tile_coding: 8 tilings of 8 tiles a dimension make more than 10,000,000 features in 64 dimensions: take "
            "fewer tiles, or look at a few dimensions, dimensions=[...], or take an agent that learns from pictures",
        ),
        ("tile_coding('CartPole-v1')", "tile_coding needs an environment without quotes, such as tile_coding(CartPole"),
        ("tile_codng(CartPole-v1)", "unknown wrapper 'tile_codng': did you mean 'tile_coding'?"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(expression, message):
    with pytest.raises((CatalogueError, ValueError)) as caught:
        build_environment(expression)
    assert str(caught.value).startswith(message)
    assert len(str(caught.value).splitlines()) == 1


def test_observations_that_are_none_are_refused():
    coder = tilings(4, [3, 3], 0.0, 1.0)
    for values, message in (([0.5], "must have 2 numbers, got 1"), ([0.5, np.nan], "NaN in dimension 1")):
        with pytest.raises(ValueError, match=message):
            coder.active_features(values)
    with pytest.raises(ValueError, match="must hold numbers, got <U1"):
        coder.active_features(["a", "b"])
    with pytest.raises(ValueError, match="NaN in dimension 0"):
        coder.active_features_of_all(np.array([[np.nan, 0.0]]))


def test_a_table_of_all_combinations_of_tiles_is_refused():
    env = TileCoding(gym.make("MountainCar-v0"))
    with pytest.raises(UnsupportedEnvironmentError, match=r"at most 2,147,483,647 observations .* linear_q, which"):
        Sarsa().check_environment(env)
    with pytest.raises(ValueError, match=r"^agents\.sarsa on 'tile_coding\(MountainCar-v0\)': sarsa needs at most"):
        vd.compare({"sarsa": "sarsa"}, "tile_coding(MountainCar-v0)", seeds=1, episodes=1, workers=0)
