"""Brick-breaking: its rules by other means, its best return proven by playing, and agents in it; films of episodes."""

import copy
from itertools import product
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from PIL import Image

import velodrome as vd
from velodrome.agents import DQN, MLP
from velodrome.agents.engine.seeding import environment_seed
from velodrome.envs import Bricks, ball_from_paddle, follow_the_ball, list_environments
from velodrome.experiments.cli.application import main
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.film import film_frame, write_film
from velodrome.experiments.specification.experiment_file import read_experiment

BRICKS = "velodrome/Bricks-v0"
STAY, LEFT, RIGHT = range(3)
STARTS = list(product(range(10), (-1, 1)))
ALL_BRICKS = frozenset(product((1, 2, 3), range(10)))


def inwards(column, right):
    return -right if column + right in (-1, 10) else right


def flight(row, column, down, right, bricks):
    """Bricks left, column, direction and steps until the ball is about to leave the field, or the wall is broken."""
    steps = 0
    while bricks:
        row, column, steps = row + down, column + right, steps + 1
        if row == 9:
            return bricks, column, right, steps
        if (row, column) in bricks:
            bricks, down = bricks - {(row, column)}, -down
        down = 1 if row == 0 else down
        right = inwards(column, right)
    return bricks, column, right, steps


def places_of_paddle(column, right, width=100):
    """Where the paddle's middle has to be at each catch to break the wall, with the steps between: the best of a few.

    A search over which cell of the paddle catches the ball, a hundred ways at a time, those ahead that broke most.
    """
    kept = {(4, column, 1, inwards(column, right), 4, ALL_BRICKS): ()}
    while kept:
        found = {}
        for (row, at, down, to, paddle, bricks), way in kept.items():
            left, landing, direction, steps = flight(row, at, down, to, bricks)
            if not left:
                return [*way, (paddle, steps)]
            for cell in (-1, 0, 1):
                place = landing - cell
                if 1 <= place <= 8 and abs(place - paddle) <= steps:
                    turned = inwards(landing, min(max(direction + cell, -1), 1))
                    state = (8, landing, -1, turned, place, left)
                    found.setdefault(state, (*way, (place, steps)))

        def cost(state, found=found):
            return 14 * len(state[-1]) + sum(steps for _, steps in found[state])

        kept = {state: found[state] for state in sorted(found, key=cost)[:width]}
    raise AssertionError("no way")


def game_from(column, right, **arguments):
    """A game with a start of one's own."""
    env = Bricks(**arguments)
    for seed in range(1000):
        env.reset(seed=seed)
        if (env.column, env.right) == (column, inwards(column, right)):
            return env, env.reset(seed=seed)[0]
    raise AssertionError("no such start")


def test_gymnasiums_checker_has_nothing_to_say(recwarn):
    for arguments in ({}, {"sticky_actions": 0.25, "render_mode": "rgb_array"}, {"render_mode": "ansi"}):
        check_env(gym.make(BRICKS, **arguments).unwrapped)
    assert [str(warning.message) for warning in recwarn] == []
    assert BRICKS in list_environments()
    assert gym.spec(BRICKS).max_episode_steps == 500


def test_the_game_follows_its_rules():
    env, rng = Bricks(), np.random.default_rng(0)
    starts = set()
    for game in range(200):
        observation, info = env.reset(seed=game)
        assert info == {}
        row, column, down, right, paddle, bricks = 4, env.column, 1, env.right, 4, set(ALL_BRICKS)
        starts.add((column, right))
        terminated = False
        while not terminated:
            wanted = follow_the_ball(observation)
            assert (wanted, np.sign(column + right - paddle)) in ((STAY, 0), (LEFT, -1), (RIGHT, 1))
            assert ball_from_paddle(observation) == (column + right - paddle, down, right)
            action = int(rng.integers(3)) if rng.random() < 0.3 else wanted
            paddle = min(max(paddle + (0, -1, 1)[action], 1), 8)
            row, column, expected = row + down, column + right, 0
            if row == 9 and abs(column - paddle) <= 1:
                row, down, right = 8, -1, int(np.clip(right + column - paddle, -1, 1))
            elif (row, column) in bricks:
                bricks.remove((row, column))
                down, expected = -down, 1
            down, right = 1 if row == 0 else down, inwards(column, right)
            observation, reward, terminated, truncated, info = env.step(action)
            following = set() if row == 9 else {(row + down, column + right)}
            planes = [{(9, paddle + cell) for cell in (-1, 0, 1)}, {(row, column)}, following, bricks]
            assert [set(map(tuple, np.argwhere(observation[:, :, plane]))) for plane in range(4)] == planes
            assert (observation.dtype, observation.shape) == (np.uint8, (10, 10, 4))
            assert (reward, terminated, truncated) == (expected, row == 9 or not bricks, False)
            assert info == {"is_success": not bricks}
            assert env.bricks_left == len(bricks)
    # At the sides both directions are one.
    assert starts == {(column, inwards(column, right)) for column, right in STARTS}


def test_all_bricks_can_be_broken_from_every_start():
    longest = 0
    for start in STARTS:
        env, _ = game_from(*start)
        total, steps, terminated = 0.0, 0, False
        for place, until in places_of_paddle(*start):
            for _ in range(until):
                _, reward, terminated, _, info = env.step(
                    LEFT if place < env.paddle else RIGHT if place > env.paddle else STAY
                )
                total, steps = total + reward, steps + 1
        assert (total, terminated, info) == (30.0, True, {"is_success": True})
        longest = max(longest, steps)
    assert longest == 284
    assert f"in {longest} steps at most" in " ".join(Bricks.__doc__.split())


def test_who_follows_the_ball_never_loses_it_and_chance_soon_does():
    returns = []
    for start in STARTS:
        env, observation = game_from(*start)
        total, terminated, info = 0.0, False, {"is_success": False}
        for _ in range(500):
            observation, reward, terminated, _, info = env.step(follow_the_ball(observation))
            total += reward
            if terminated:
                break
        assert terminated == info["is_success"]
        returns.append(total)
    assert (min(returns), max(returns)) == (28.0, 30.0)
    trial = vd.run("random", BRICKS, episodes=1000, seed=0, evaluation_episodes=1)
    assert 0.4 < trial.log.returns.mean() < 0.7


def test_an_observation_is_the_whole_state():
    env, rng, led_to = Bricks(), np.random.default_rng(1), {}
    for game in range(60):
        before, _ = env.reset(seed=game)
        terminated = False
        while not terminated:
            action = follow_the_ball(before) if rng.random() < 0.95 else int(rng.integers(3))
            after, reward, terminated, _, _ = env.step(action)
            outcome = (after.tobytes(), reward, terminated)
            assert led_to.setdefault((before.tobytes(), action), outcome) == outcome
            before = after
            if env.bricks_left < 10:
                break
    assert len(led_to) > 1000


def test_sticky_actions_repeat_the_last_one():
    env = Bricks(sticky_actions=1.0)
    env.reset(seed=0)
    for _ in range(3):
        env.step(RIGHT)
    assert env.paddle == 4
    moved = 0
    env = Bricks(sticky_actions=0.25)
    for game in range(2000):
        env.reset(seed=game)
        env.step(RIGHT)
        moved += env.paddle == 5
    assert 0.7 < moved / 2000 < 0.8


def test_copies_go_on_alike_and_observations_are_kept_apart():
    env = gym.make(BRICKS)
    first, _ = env.reset(seed=3)
    kept = first.copy()
    other = copy.deepcopy(env)
    ends = [[one.step(action)[0] for action in (LEFT, LEFT, RIGHT)] for one in (env, other)]
    assert np.array_equal(ends[0], ends[1])
    assert np.array_equal(first, kept)


def test_it_is_shown_as_text_and_as_a_picture():
    env, _ = game_from(2, 1, render_mode="ansi")
    assert env.render().splitlines() == [
        "..........", "##########", "##########", "##########", "..o.......", *[".........."] * 4, "...===....",
        "30 bricks left",
    ]  # fmt: skip
    env, _ = game_from(2, 1, render_mode="rgb_array")
    picture = env.render()
    assert (picture.shape, picture.dtype) == ((160, 160, 3), np.uint8)
    colours = {tuple(picture[16 * row + 8, 16 * column + 8].tolist()) for row, column in product(range(10), repeat=2)}
    # Background, ball, paddle, and one for each row of bricks.
    assert len(colours) == 6


def ended():
    env = Bricks()
    env.reset(seed=0)
    while not env.step(LEFT)[2]:
        pass
    return env


@pytest.mark.parametrize(
    ("mistake", "reason"),
    [
        (lambda: Bricks(sticky_actions=1.5), "sticky_actions must be"),
        (lambda: Bricks(render_mode="human"), "render_mode must be one of None, 'ansi', 'rgb_array', got 'human'"),
        (lambda: ended().step(3), "action must be 0 to 2, got 3"),
        (lambda: ended().step(0), "call reset() before step()"),
        (lambda: Bricks().step(0), "call reset() before step()"),
    ],
)
def test_mistakes_are_named_in_one_line(mistake, reason):
    with pytest.raises((ValueError, gym.error.ResetNeeded)) as caught:
        mistake()
    assert reason in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_replay_keeps_its_pictures_as_bytes():
    agent = DQN(network=MLP(hidden=(16,)), learning_starts=50, replay=1000)
    agent.train(gym.make(BRICKS), steps=200, seed=0)
    assert agent.learner.replay.observations.dtype == np.uint8
    assert "replay: 1,000 steps, 0.8 MiB in memory" in agent.describe()
    observation, _ = gym.make(BRICKS).reset(seed=1)
    assert agent.act(observation) in (STAY, LEFT, RIGHT)


def test_the_shipped_experiment_runs(capsys):
    experiment = read_experiment("bricks")
    assert experiment.steps == 100_000
    arguments = ["--seeds", "1", "--steps", "300", "--evaluation-episodes", "1", "--workers", "0", "--quiet", "--json"]
    assert main(["compare", "bricks", *arguments]) == 0
    printed = capsys.readouterr().out
    assert all(f'"{label}"' in printed for label in experiment.agents)


# Films


def pictures_of(path):
    """The pictures of a film."""
    with Image.open(path) as film:
        return [np.asarray(film.convert("RGB")) for number in range(film.n_frames) if film.seek(number) is None]


@pytest.mark.parametrize("name", ["game.gif", "game.apng", "game.PNG"])
def test_a_greedy_episode_becomes_a_film(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "constant(0)", BRICKS, "--episodes", "1", "--evaluation-episodes", "1", "--render", name]) == 0
    assert "terminated after " in capsys.readouterr().out
    env = gym.make(BRICKS, render_mode="rgb_array")
    trial = vd.run("constant(0)", BRICKS, episodes=1, evaluation_episodes=1)
    env.reset(seed=environment_seed(0, "evaluation"))
    expected, terminated = [env.render()], False
    while not terminated:
        terminated = env.step(trial.trained.act(None))[2]
        expected.append(env.render())
    assert np.array_equal(pictures_of(name), expected)
    with Image.open(name) as film:
        assert film.info["duration"] == 50
        assert film.info["loop"] == 0


def test_many_colours_and_large_pictures_become_a_film(tmp_path):
    wide = np.linspace(0, 255, 700 * 500 * 3).reshape(500, 700, 3).astype(np.uint8)
    for name, most in (("wide.gif", 8), ("wide.apng", 0)):
        frames = [film_frame(wide), film_frame(wide[:, ::-1])]
        write_film(frames, tmp_path / name, 10)
        first, _ = pictures_of(tmp_path / name)
        assert first.shape == (250, 350, 3)
        assert np.abs(first.astype(int) - np.asarray(frames[0])).mean() <= most


@pytest.mark.parametrize(
    ("environment", "render", "reason"),
    [
        ("velodrome/Chain-v0", "film.gif", "needs pictures, rgb_array, but velodrome/Chain-v0 can be shown as ansi"),
        (BRICKS, "human", "--render human: velodrome/Bricks-v0 can be shown as ansi, rgb_array"),
        (BRICKS, "humam", "human, ansi or a file that ends with .gif, .apng, .png, got 'humam': did you mean 'human'?"),
        (BRICKS, "film.mp4", "human, ansi or a file that ends with .gif, .apng, .png, got 'film.mp4'"),
        (BRICKS, "file.txt/film.gif", "--render film.gif"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_refused_before_training(environment, render, reason, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("file.txt").write_text("")
    assert main(["run", "random", environment, "--episodes", "1", "--render", render]) != 0
    printed = capsys.readouterr()
    assert reason in printed.err
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1


def test_a_film_is_of_pictures(tmp_path):
    frame = film_frame(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ExperimentError, match="an array uint8"):
        film_frame(np.zeros((4, 4)))
    with pytest.raises(ExperimentError, match=r"a film ends with .gif, .apng, .png: did you mean '.gif'"):
        write_film([frame], tmp_path / "film.gfi", 10)
    with pytest.raises(ExperimentError, match="of one size"):
        write_film([frame, film_frame(np.zeros((4, 5, 3), np.uint8))], tmp_path / "film.gif", 10)
