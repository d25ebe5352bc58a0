"""Our environments: Gymnasium's contract, their optima by dynamic programming, their arguments."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import velodrome.envs
from velodrome.envs import (
    BernoulliBandit,
    Chain,
    DeepSea,
    Garnet,
    GridWorld,
    ModelEnvironment,
    RiverSwim,
    register_environments,
)

# Learnt from labelled examples too; they have no model.
LABELLED = ("velodrome/Classification-v0", "velodrome/Text-v0")
# Their levels are hidden.
BANDITS = (
    "velodrome/AdversarialBandit-v0",
    "velodrome/DriftingBandit-v0",
    "velodrome/GaussianBandit-v0",
    "velodrome/TenArmedTestbed-v0",
)
WITHOUT_MODEL = (
    *LABELLED,
    *BANDITS,
    "velodrome/AdServer-v0",
    "velodrome/Bricks-v0",
    "velodrome/LinearContextualBandit-v0",
)
IDS = [identifier for identifier in gym.registry if identifier.startswith("velodrome/")]


def optimum(model, horizon, weights=None):
    """Largest expected sum of rewards (or of `weights` on outcomes) within `horizon` steps."""
    gains = model.rewards if weights is None else weights
    values = np.zeros(model.num_states)
    for _ in range(horizon):
        later = model.probabilities * (gains + values[model.next_states] * ~model.terminated)
        values = np.add.reduceat(later, model.offsets[:-1]).reshape(model.num_states, -1).max(axis=1)
    return float(model.initial_distribution @ values)


def test_all_are_registered_once():
    before = dict(gym.registry)
    register_environments()
    assert dict(gym.registry) == before
    assert len(IDS) == 20


@pytest.mark.parametrize("identifier", IDS)
def test_gymnasiums_checker_passes(identifier):
    env = gym.make(identifier)
    check_env(env.unwrapped)
    assert isinstance(env.unwrapped, ModelEnvironment) == (identifier not in WITHOUT_MODEL)


@pytest.mark.parametrize("identifier", IDS)
def test_documentation_has_gymnasiums_headings(identifier):
    text = type(gym.make(identifier).unwrapped).__doc__
    headings = [line.strip()[3:] for line in text.splitlines() if line.strip().startswith("## ")]
    assert headings == [
        "Description",
        "Action Space",
        "Observation Space",
        "Starting State",
        "Rewards",
        "Episode End",
        "Arguments",
        "Reference",
        "Version History",
    ]


@pytest.mark.parametrize("identifier", IDS)
def test_ansi_rendering_shows_a_text(identifier):
    env = gym.make(identifier, render_mode="ansi")
    env.reset(seed=0)
    first = env.render()
    env.step(0)
    assert isinstance(first, str)
    assert env.render().endswith("\n")


def test_rendering_without_a_mode_warns():
    with pytest.warns(UserWarning, match="render_mode"):
        assert Chain().render() is None


@pytest.mark.parametrize(
    ("env", "horizon", "expected"),
    [
        (Chain(), 100, 356.71),
        (RiverSwim(), 20, 3.397),
        (DeepSea(), 10, 0.99),
        (DeepSea(size=30, mapping_seed=4), 30, 0.99),
        (GridWorld(), 19, 0.0),
        (GridWorld(), 20, 1.0),
        (GridWorld("S.G", step_reward=-1.0, goal_reward=5.0), 9, 4.0),
        (BernoulliBandit(), 1, 0.9),
    ],
)
def test_documented_optima(env, horizon, expected):
    assert optimum(env.model, horizon) == pytest.approx(expected, abs=5e-3 if expected > 10 else 5e-4)


def test_chain_earns_strens_rate_in_the_long_run():
    assert optimum(Chain().model, 1100) - optimum(Chain().model, 100) == pytest.approx(3676.8, rel=1e-6)


@pytest.mark.parametrize("size", [2, 5, 12])
def test_deep_sea_succeeds_as_often_as_documented(size):
    stochastic = DeepSea(size=size, deterministic=False).model
    assert optimum(stochastic, size, stochastic.success) == pytest.approx((1 - 1 / size) ** (size - 1))
    assert optimum(DeepSea(size=size).model, size, DeepSea(size=size).model.success) == 1.0


def test_deep_sea_follows_its_rules():
    env = DeepSea(size=3, randomize_actions=False)
    env.reset(seed=0)
    steps = [env.step(1) for _ in range(3)]
    assert [step[0] for step in steps] == [4, 8, 8]
    assert [step[2] for step in steps] == [False, False, True]
    assert sum(step[1] for step in steps) == pytest.approx(0.99)
    assert [step[4]["is_success"] for step in steps] == [False, False, True]
    env.reset()
    assert [env.step(action)[1] for action in (1, 1, 0)] == pytest.approx([-0.01 / 3, -0.01 / 3, 0.0])


def test_deep_sea_maps_actions_by_seed():
    tables = [DeepSea(size=8, mapping_seed=seed).model.next_states for seed in (0, 0, 1)]
    assert np.array_equal(tables[0], tables[1])
    assert not np.array_equal(tables[0], tables[2])


def test_bandit_success_is_the_best_arm_whatever_it_pays():
    env = BernoulliBandit((0.0, 0.6, 0.6))
    for arm, best in ((0, False), (1, True), (2, True)):
        env.reset(seed=3)
        _, _, terminated, _, info = env.step(arm)
        assert (terminated, info["is_success"]) == (True, best)


def test_grid_world_moves_slips_and_ends():
    env = GridWorld("SS./#XG", slip=0.2, pit_reward=-1.0)
    assert env.model.initial_distribution.tolist() == [0.5, 0.5, 0, 0, 0, 0]
    left, down, right, up = (env.P[1][action] for action in range(4))
    assert [outcome[1] for outcome in down] == [0, 4, 2]
    assert [outcome[0] for outcome in down] == pytest.approx([0.1, 0.8, 0.1])
    assert down[1][1:] == (4, -1.0, True)
    assert [outcome[1] for outcome in left] == [1, 0, 4]
    assert [outcome[1] for outcome in right] == [4, 2, 1]
    assert [outcome[1] for outcome in up] == [2, 1, 0]
    assert env.P[0][1][1][1:] == (0, 0.0, False)
    assert env.P[2][1][1][1:] == (5, 1.0, True)
    assert env.P[5][0][0][1:] == (5, 0.0, True)


def test_grid_world_reads_lists_lines_and_slashes():
    maps = [GridWorld(text).cells.tolist() for text in ("S.\n.G", "S./.G", ["S.", ".G"], "\nS.\n.G\n")]
    assert all(cells == maps[0] for cells in maps)


def test_garnet_is_its_seed_and_has_distinct_next_states():
    one, same, other = (Garnet(12, 3, 5, terminal_probability=0.4, seed=seed).model for seed in (7, 7, 8))
    assert np.array_equal(one.probabilities, same.probabilities)
    assert np.array_equal(one.rewards, same.rewards)
    assert not np.array_equal(one.next_states, other.next_states)
    rows = Garnet(6, 2, 6, seed=1).model.next_states.reshape(-1, 6)
    assert (np.sort(rows, axis=1) == np.arange(6)).all()
    ends = np.unique(one.next_states[one.terminated])
    assert (one.initial_distribution[ends] == 0).all()
    assert 0 not in ends


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Chain(num_states=1), "num_states must be a whole number of at least 2, got 1"),
        (lambda: Chain(slip=1.5), "slip must be a number in [0, 1], got 1.5"),
        (lambda: Chain(large_reward=float("nan")), "large_reward must be a finite number, got nan"),
        (lambda: Chain(render_mode="rgb"), "render_mode must be one of None, 'ansi', got 'rgb'"),
        (lambda: DeepSea(size=2.5), "size must be a whole number of at least 2 and at most 30000, got 2.5"),
        (lambda: DeepSea(deterministic="no"), "deterministic must be True or False, got 'no'"),
        (lambda: DeepSea(mapping_seed=-1), "mapping_seed must be a whole number of at least 0, got -1"),
        (lambda: RiverSwim(num_states=True), "num_states must be a whole number of at least 2, got True"),
        (lambda: Garnet(branching=21), "branching must be a whole number of at least 1 and at most 20, got 21"),
        (lambda: BernoulliBandit(()), "probabilities must name at least one arm, got none"),
        (lambda: BernoulliBandit((0.5, 2)), "probabilities[1] must be a number in [0, 1], got 2"),
        (lambda: BernoulliBandit(0.5), "probabilities must be a list of numbers, one an arm, got 0.5"),
        (lambda: GridWorld("S.G/.."), "map_text must be a rectangle: row 0 has 3 cells, row 1 has 2"),
        (lambda: GridWorld("S.?G"), "map_text row 0 has '?': allowed are 'S', 'G', '#', '.', 'X', 'H'"),
        (lambda: GridWorld("..G"), "map_text needs at least one 'S', a start, got none"),
        (lambda: GridWorld("S.."), "map_text needs at least one 'G', a goal, got none"),
        (lambda: GridWorld(["SG", 5]), "map_text row 1 must be a text, got 5"),
        (lambda: GridWorld(5), "map_text must be a text or a list of rows, got 5"),
        (lambda: GridWorld([]), "map_text must be a text or a list of rows, got []"),
        (lambda: GridWorld(""), "map_text needs at least one 'S', a start, got none"),
        (lambda: Chain().step(0), "call reset() before step()"),
        (lambda: (env := Chain(), env.reset(), env.step(2)), "action must be 0 to 1, got 2"),
        (lambda: ModelEnvironment({}), "model must be a TransitionModel, got dict"),
    ],
)
def test_bad_arguments_are_one_line(make, words):
    with pytest.raises((ValueError, TypeError, gym.error.ResetNeeded)) as caught:
        make()
    assert str(caught.value) == words


def test_P_is_a_read_only_view():
    table = GridWorld("S.G").P
    assert len(table) == 3
    assert list(table[0]) == [0, 1, 2, 3]
    assert table[0][2] == [(1.0, 1, 0.0, False)]
    assert [type(part) for part in table[1][2][0]] == [float, int, float, bool]
    with pytest.raises(TypeError):
        table[0] = {}
    for missing in (3, -1, "0"):
        with pytest.raises(KeyError):
            table[missing]


def test_public_names_exist():
    assert all(hasattr(velodrome.envs, name) for name in velodrome.envs.__all__)
