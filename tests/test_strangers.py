"""Environments of others, as they come from PyPI, where they are installed: each gives a table."""

import importlib
import importlib.metadata
import json
import math
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from made_up import plan_of

import velodrome as vd
from velodrome.agents.errors import UnsupportedEnvironmentError
from velodrome.agents.named_objects import is_own
from velodrome.experiments.cli.application import main
from velodrome.experiments.specification.catalogue import CatalogueError
from velodrome.experiments.specification.environment_configuration import build_environment

# What these packages and pygame warn of is theirs.
pytestmark = pytest.mark.filterwarnings("ignore")

GRID = "gym_simplegrid:SimpleGrid-4x4-v0"
MINIGRID = "minigrid:MiniGrid-Empty-5x5-v0"
STOCKS = "gym_anytrading:stocks-v0"
HIGHWAY = "highway_env:highway-fast-v0"
INVENTORY = "stokasta:stokasta/DynamicInventory-v0"
BREAKOUT = "ale_py:ALE/Breakout-v5"
MINATAR = "my_minatar:MinAtar/Breakout-v1"

# Environment, time limit around it, and what learns there in a table.
WORLDS = {
    GRID: (20, "q_learning"),
    MINIGRID: (20, "numbered(q_learning)"),
    STOCKS: (20, "discretized(q_learning, bins=3, dimensions=[57, 59], low=-20, high=20)"),
    HIGHWAY: (3, "discretized(q_learning, bins=3, dimensions=[3, 6, 7], low=-1, high=1)"),
    INVENTORY: (20, "q_learning"),
    BREAKOUT: (20, "numbered(q_learning)"),
    MINATAR: (20, "numbered(q_learning)"),
}
each_world = pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.partition(":")[0])


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """The current folder has the module that registers MinAtar's environments, which does not do so itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    Path("my_minatar.py").write_text("import minatar.gym\n\nminatar.gym.register_envs()\n")
    yield tmp_path
    sys.modules.pop("my_minatar", None)


def needed(world):
    module = world.partition(":")[0]
    pytest.importorskip(module.removeprefix("my_"))
    importlib.import_module(module)
    return world


@each_world
def test_the_version_of_its_package_is_in_the_keys_of_trials(world):
    module = needed(world).partition(":")[0].removeprefix("my_")
    if is_own(module):
        pytest.skip("it stands where the user's own code does, which is part of the key itself")
    plan = plan_of("random", world, seeds=[1], steps=5)
    (trial,) = plan.trials
    packages = json.loads(plan.keys(trial.agent, trial.environment).specification(1))["packages"]
    (name,) = set(importlib.metadata.packages_distributions()[module])
    assert packages == {name: importlib.metadata.version(name)}


@each_world
def test_each_gives_a_table_and_the_same_with_the_same_seeds(world):
    limit, table = WORLDS[needed(world)]
    expression = f"TimeLimit({world}, max_episode_steps={limit})"
    agents = {"random": "random", "constant": "constant(1)", "table": table}
    rows = []
    for _ in range(2):
        results = vd.compare(agents, expression, seeds=2, steps=2 * limit, evaluation_episodes=2, workers=0)
        assert not results.failures
        rows.append(results.table(full=True).set_index("agent")[["greedy_return_mean", "train_return_mean"]])
    assert set(rows[0].index) == {*agents}
    assert not rows[0].isna().to_numpy().any()
    assert rows[0].equals(rows[1])


@each_world
def test_what_a_seed_decides_is_the_same_twice(world):
    ids = needed(world).partition(":")[2]
    played = []
    for _ in range(2):
        env = gym.make(ids)
        env.reset(seed=7)
        actions = np.random.default_rng(0).integers(env.action_space.n, size=10)
        played.append([env.step(int(action))[0] for action in actions])
        env.close()
    assert data_equivalence(*played)


@pytest.mark.parametrize(
    ("agent", "world", "reason"),
    [
        ("q_learning", MINIGRID, "a Dict of 'direction', 'image' and 'mission': name the part that it is to see"),
        ("q_learning", STOCKS, "an array of 30x2 numbers: too many for a table of bins"),
        ("q_learning", HIGHWAY, "an array of 5x5 numbers: too many for a table of bins"),
        ("q_learning", BREAKOUT, "a picture of 210x160x3: a table is too small for pictures"),
        ("q_learning", MINATAR, "a picture of 10x10x4: a table is too small for pictures"),
        ("value_iteration", GRID, "transition model"),
        ("constant(9)", GRID, "action must be a whole number, 0 to 3, got 9"),
        ("sb3('SAC')", STOCKS, "SAC cannot take actions Discrete(2)"),
    ],
)
def test_an_agent_that_cannot_take_the_spaces_is_refused_in_one_line(agent, world, reason):
    needed(world)
    if "sb3" in agent:
        pytest.importorskip("stable_baselines3")
    with pytest.raises((ValueError, RuntimeError)) as caught:
        vd.run(agent, world, steps=5, seed=0)
    message = str(caught.value)
    assert reason in message
    assert len(message.splitlines()) == 1


def test_a_wrapper_that_cannot_stand_around_a_mission_names_the_parts_that_it_can():
    needed(MINIGRID)
    with pytest.raises(CatalogueError) as caught:
        vd.run("random", f"FlattenObservation({MINIGRID})", steps=5)
    assert f"FlattenObservation(observation({MINIGRID}, ['direction', 'image']))" in str(caught.value)


def test_gymnasiums_wrappers_stand_around_them_by_name():
    needed(MINIGRID)
    flat = f"FlattenObservation(observation({MINIGRID}, ['direction', 'image']))"
    trial = vd.run("random", f"ClipReward(TimeLimit({flat}, max_episode_steps=7), 0, 0.5)", episodes=3, seed=0)
    assert trial.log.lengths.max() <= 7
    assert build_environment(flat).make().observation_space.shape == (151,)
    for wrapped in (f"FrameStackObservation({STOCKS}, 2)", f"NormalizeObservation({HIGHWAY})"):
        needed(wrapped.partition("(")[2])
        assert vd.run("random", f"TimeLimit({wrapped}, 3)", episodes=1, seed=0, evaluation_episodes=1).log.steps <= 3


@pytest.mark.parametrize(
    "world", [f"FlattenObservation(observation({MINIGRID}, ['direction', 'image']))", MINATAR, STOCKS]
)
def test_learners_of_stable_baselines3_take_what_they_show(world):
    pytest.importorskip("stable_baselines3")
    needed(MINIGRID if MINIGRID in world else world)
    text = f"TimeLimit({world}, max_episode_steps=20)"
    trial = vd.run("sb3('DQN', learning_starts=20)", text, steps=60, seed=0, evaluation_episodes=2)
    assert trial.log.steps == 60
    assert math.isfinite(trial.evaluation.mean_return)


def test_a_q_network_takes_the_planes_of_minatar():
    needed(MINATAR)
    agent = "dqn(network=mlp(hidden=[128, 128]), learning_starts=50, replay=1000)"
    trial = vd.run(agent, f"TimeLimit({MINATAR}, 20)", steps=1000, seed=0, evaluation_episodes=2)
    assert trial.log.steps == 1000
    assert {curve.name: curve.values[-1] for curve in trial.measured}["updates"] > 200
    assert math.isfinite(trial.evaluation.mean_return)


def test_stocks_are_the_same_whatever_the_seed():
    needed(STOCKS)
    trials = [vd.run("constant(1)", STOCKS, episodes=1, seed=seed, evaluation_episodes=1) for seed in (0, 1)]
    assert trials[0].log.returns.tolist() == trials[1].log.returns.tolist()


def test_the_best_rule_for_the_inventory_beats_every_order_that_is_always_the_same(own_folder):
    needed(INVENTORY)
    Path("my_orders.py").write_text("def rule(stock):\n    return min(10 - stock[0], 30) if stock[0] <= 4 else 0\n")
    rule = vd.run("rule('my_orders:rule')", INVENTORY, episodes=1, seed=0, evaluation_episodes=4).evaluation
    # -8,034.5 is the best possible, by dynamic programming on 41 levels and 1000 periods.
    assert -8300 < rule.mean_return < -7800
    # Trials train in segments; what is left of a budget may be fewer episodes than there are actions.
    results = vd.compare(
        ["best_constant"], f"TimeLimit({INVENTORY}, 50)", seeds=1, episodes=40, evaluation_episodes=2, workers=0
    )
    assert not results.failures


def test_the_command_line_compares_them(capsys):
    needed(GRID)
    arguments = ["compare", "random", "q_learning", "--on", GRID, "--episodes", "3", "--seeds", "2"]
    assert main([*arguments, "--evaluation-episodes", "2", "--workers", "0", "--quiet"]) == 0
    assert "evaluated over 2 sampled episodes" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(UnsupportedEnvironmentError):
        vd.run("q_learning(discount=0.9)", needed(MINIGRID), episodes=1)
