"""Pictures of what was learnt: arrows are the tied best actions, colours are in the order of the values."""

import gymnasium as gym
import numpy as np
import pytest

import velodrome as vd
from velodrome.agents import ValueIteration
from velodrome.envs import GridLayout, TransitionModel, grid_layout, make_environment
from velodrome.experiments import ExperimentError
from velodrome.experiments.cli.application import main
from velodrome.experiments.views import (
    PICTURES,
    Learnt,
    action_value_table,
    draw_picture,
    learnt_by_agent,
    learnt_by_trial,
    learnt_in,
    policy_map,
)
from velodrome.experiments.views.learnt import optimal_actions, tied_best
from velodrome.experiments.views.pictures import bellman_errors

LAKE = "FrozenLake-v1"
DOWN, RIGHT, UP, LEFT = (1, 0), (0, 1), (-1, 0), (0, -1)


# -- how environments lie --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env", "shape", "directions"),
    [
        (LAKE, (1, 4, 4), (LEFT, DOWN, RIGHT, UP)),
        ("FrozenLake8x8-v1", (1, 8, 8), (LEFT, DOWN, RIGHT, UP)),
        ("CliffWalking-v1", (1, 4, 12), (UP, RIGHT, DOWN, LEFT)),
        ("CliffWalkingSlippery-v1", (1, 4, 12), (UP, RIGHT, DOWN, LEFT)),
        ("Taxi-v4", (20, 5, 5), (DOWN, UP, RIGHT, LEFT, None, None)),
        ("velodrome/GridWorld-v0", (1, 13, 13), (LEFT, DOWN, RIGHT, UP)),
        ("velodrome/DeepSea-v0", (1, 10, 10), (None, None)),
        ("velodrome/Chain-v0", (1, 1, 5), (RIGHT, LEFT)),
        ("velodrome/RiverSwim-v0", (1, 1, 6), (LEFT, RIGHT)),
    ],
)
def test_known_environments_lie_on_their_maps(env, shape, directions):
    layout = grid_layout(make_environment(env))
    assert layout.kinds.shape == shape
    assert layout.directions == directions
    assert layout.is_chain == (shape[1] == 1)
    assert len(layout.to_data()["cells"]) == layout.num_states


@pytest.mark.parametrize("env", ["velodrome/Garnet-v0", "velodrome/BernoulliBandit-v0", "Blackjack-v1", "CartPole-v1"])
def test_others_lie_on_none(env):
    assert grid_layout(make_environment(env)) is None


@pytest.mark.parametrize("env", [LAKE, "CliffWalking-v1", "velodrome/GridWorld-v0"])
def test_a_move_in_the_open_goes_where_its_direction_says(env):
    made = make_environment(env, **({"is_slippery": False} if env == LAKE else {}))
    layout, model = grid_layout(made), TransitionModel.of(made.unwrapped)
    seen = 0
    for state in np.flatnonzero(layout.acting_states):
        for action, direction in enumerate(layout.directions):
            (next_state,) = model.next_states[slice(*model.offsets[state * 4 + action :][:2])]
            there = layout.cells[next_state] - layout.cells[state]
            if np.abs(there).sum() == 1:
                assert tuple(there[1:]) == direction
                seen += 1
    assert seen > layout.acting_states.sum()


def test_kinds_of_cells():
    lake = grid_layout(gym.make(LAKE, desc=["SFH", "FGF"]))
    assert lake.kinds.tolist() == [[["start", "free", "hole"], ["free", "goal", "free"]]]
    assert lake.acting_states.tolist() == [True, True, False, True, False, True]
    cliff = grid_layout(gym.make("CliffWalking-v1"))
    assert cliff.kinds[0, 3].tolist() == ["start", *["cliff"] * 10, "goal"]
    world = grid_layout(gym.make("velodrome/GridWorld-v0", map_text="S#X/..G"))
    assert world.kinds.tolist() == [[["start", "wall", "hole"], ["free", "free", "goal"]]]


def test_the_taxi_lies_by_passenger_and_goal():
    env = gym.make("Taxi-v4")
    layout = grid_layout(env)
    for state in range(500):
        row, column, passenger, goal = env.unwrapped.decode(state)
        panel = passenger * 4 + goal
        assert layout.cells[state].tolist() == ([-1, -1, -1] if passenger == goal else [panel, row, column])
    assert layout.panel_names[4 * 4 + 1] == "in taxi to G"
    assert layout.panel_names[2] == "R to Y"
    assert ((0, 1), (0, 2)) in layout.walls
    assert ((0, 0), (0, 1)) not in layout.walls
    # Dropping off at the goal is something to do there.
    assert layout.acting_states.sum() == 400


class Stranger(gym.Env):
    """A grid of another library's, which numbers its cells and keeps its map."""

    MOVES = {0: (-1, 0), 1: (1, 0), 2: (0, -1), 3: (0, 1)}  # noqa: RUF012

    def __init__(self):
        self.obstacles = np.array([[0, 0, 1], [0, 0, 0]])
        self.observation_space, self.action_space = gym.spaces.Discrete(6), gym.spaces.Discrete(4)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return 0, {}

    def step(self, action):
        return 1, 0.0, True, False, {}


def test_grids_of_others():
    layout = grid_layout(Stranger())
    assert layout.kinds[0].tolist() == [["free", "free", "wall"], ["free"] * 3]
    assert layout.directions == (UP, DOWN, LEFT, RIGHT)
    assert layout.action_names == ("up", "down", "left", "right")


def test_gym_simplegrid():
    pytest.importorskip("gym_simplegrid")
    layout = grid_layout(make_environment("gym_simplegrid:SimpleGrid-4x4-v0"))
    assert layout.directions == (UP, DOWN, LEFT, RIGHT)
    assert (layout.kinds == "wall").sum() == 4
    trial = vd.run("q_learning", "gym_simplegrid:SimpleGrid-4x4-v0", episodes=3, evaluation_episodes=1)
    assert trial.plot("values")


def test_an_environment_of_ones_own_says_how_it_lies():
    class Own(Stranger):
        def grid_layout(self):
            cells = np.array([[0, 0, 5 - number] for number in range(6)])
            kinds = np.full((1, 1, 6), "free")
            return GridLayout(1, 6, cells, kinds, ("a", "b", "c", "d"), (RIGHT, LEFT, None, None))

    assert grid_layout(Own()).is_chain
    assert grid_layout(gym.wrappers.TransformObservation(Own(), lambda one: 5 - one, gym.spaces.Discrete(6))) is None


# -- pictures --------------------------------------------------------------------------------------------


def of_table(values, env=LAKE, **others):
    values = np.asarray(values, dtype=np.float64)
    values = values[None] if values.ndim == 2 else values
    made = make_environment(env)
    return Learnt("a", env, grid_layout(made), values, model=TransitionModel.of(made), **others)


def parts(figure, gid):
    """What is drawn under a name, on all axes."""
    return [
        one for axes in figure.axes for one in (*axes.collections, *axes.texts, *axes.lines) if one.get_gid() == gid
    ]


def arrows_of(figure, layout):
    """(state, direction) of each arrow that is drawn."""
    state_at = {tuple(cell): state for state, cell in enumerate(layout.cells.tolist())}
    found = []
    for collection in parts(figure, "arrows"):
        for path in collection.get_paths():
            # The tip is its fourth corner.
            (x, y), tip = path.vertices[:-1].mean(axis=0), path.vertices[3]
            column, row = round(x), round(y)
            across, down = tip - (path.vertices[0] + path.vertices[6]) / 2
            direction = (0, int(np.sign(across))) if abs(across) > abs(down) else (int(np.sign(down)), 0)
            found.append((state_at[0, row, column], direction))
    return sorted(found)


@pytest.mark.parametrize("env", [LAKE, "FrozenLake8x8-v1", "CliffWalking-v1", "velodrome/GridWorld-v0"])
def test_arrows_are_all_tied_best_actions(env):
    layout = grid_layout(make_environment(env))
    # Few different values, so that many are tied.
    values = np.random.default_rng(0).integers(0, 3, (layout.num_states, 4))
    expected = sorted(
        (int(state), layout.directions[action])
        for state, action in zip(*np.nonzero(tied_best(values)), strict=True)
        if layout.acting_states[state]
    )
    assert arrows_of(draw_picture(of_table(values, env), "values"), layout) == expected


def test_colours_are_in_the_order_of_the_values():
    values = np.random.default_rng(1).random((16, 4))
    (cells,) = parts(draw_picture(of_table(values), "values"), "cells")
    layout = grid_layout(make_environment(LAKE))
    shown = values.max(axis=1)[layout.acting_states]
    luminance = cells.get_facecolors()[:, :3] @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(luminance[np.argsort(shown)]) >= 0).all()
    assert np.ptp(luminance) > 0.5
    texts = [text.get_text() for text in parts(draw_picture(of_table(values), "values"), "number")]
    assert texts == [f"{value:.2f}" for value in shown]


def test_triangles_are_the_action_values():
    values = np.random.default_rng(2).random((16, 4))
    figure = draw_picture(of_table(values), "action_values")
    (triangles,) = parts(figure, "triangles")
    layout = grid_layout(make_environment(LAKE))
    luminance = triangles.get_facecolors()[:, :3] @ (0.2126, 0.7152, 0.0722)
    shown = values[layout.acting_states].reshape(-1)
    assert (np.diff(luminance[np.argsort(shown)]) >= 0).all()
    # Each lies on the side to which its action leads.
    middles = np.array([path.vertices[:3].mean(axis=0) for path in triangles.get_paths()]).reshape(-1, 4, 2)
    offsets = middles - layout.cells[layout.acting_states][:, None, :0:-1]
    for action, (down, right) in enumerate(layout.directions):
        np.testing.assert_allclose(offsets[:, action], np.tile((right / 3, down / 3), (len(offsets), 1)), atol=1e-9)
    (dots,) = parts(figure, "best")
    assert len(dots.get_offsets()) == len(shown) // 4


def test_seeds_are_averaged_and_agreement_is_the_size_of_the_arrows():
    # Three seeds go right, one down; the states' values are 1, 1, 1 and 5.
    values = np.zeros((4, 16, 4))
    values[:3, :, 2], values[3, :, 1] = 1.0, 5.0
    figure = draw_picture(of_table(values, seeds=(0, 1, 2, 3)), "values")
    assert {text.get_text() for text in parts(figure, "number")} == {"2.00"}
    (arrows,) = parts(figure, "arrows")
    sizes = sorted({round(float(np.ptp(path.vertices, axis=0).max()), 6) for path in arrows.get_paths()})
    assert sizes[1] / sizes[0] == pytest.approx(np.sqrt(3), rel=1e-4)
    assert "mean of 4 seeds" in figure.get_suptitle()


def test_visits_are_counted_and_what_was_never_visited_is_white():
    visits = np.arange(16.0)[None]
    figure = draw_picture(of_table(np.zeros((16, 4)), visits=visits), "visits")
    (cells,) = parts(figure, "cells")
    colours = cells.get_facecolors()
    assert colours[0].tolist() == [1.0] * 4
    luminance = colours[1:, :3] @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(luminance) > 0).all()
    assert "1 of 11 states were never visited" in figure.get_suptitle().replace("\n", " ")


def test_the_optimum_is_beside_what_was_learnt():
    learnt = of_table(np.zeros((16, 4)), discount=0.99)
    best = learnt.optimal_action_values()
    np.testing.assert_allclose(best, ValueIteration(discount=0.99).plan(learnt.model))
    figure = draw_picture(learnt, "optimum")
    # All four are tied in what was learnt, and the optimum has few.
    number = int(optimal_actions(best)[learnt.layout.acting_states].sum())
    assert [len(one.get_paths()) for one in parts(figure, "arrows")] == [4 * 11, number]
    same = draw_picture(of_table(best, discount=0.99), "optimum")
    assert "optimal action in 100% of the states" in same.get_suptitle()
    assert [len(one.get_paths()) for one in parts(same, "outlines")] == [0]


@pytest.fixture(scope="module")
def trial():
    policy = "epsilon_greedy(epsilon=linear(start=1.0, end=0.1, over=80))"
    return vd.run(f"q_learning(policy={policy})", LAKE, episodes=100, snapshots=11)


def test_the_map_fills_up(trial):
    figure = trial.plot("learning")
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles[0] == "before training"
    assert titles[-1] == "episode 100"
    first, last = parts(figure, "cells")[0], parts(figure, "cells")[len(titles) - 1]
    assert len(np.unique(first.get_facecolors(), axis=0)) == 1
    assert len(np.unique(last.get_facecolors(), axis=0)) > 1
    # All actions are tied before.
    assert len(parts(figure, "arrows")[0].get_paths()) == 4 * 11


def test_exploration_and_errors_over_time(trial):
    figure = trial.plot("exploration")
    (parameter,), (error,) = parts(figure, "parameter"), parts(figure, "error")
    np.testing.assert_allclose(parameter.get_ydata(), trial.snapshots.exploration)
    np.testing.assert_array_equal(parameter.get_xdata(), trial.snapshots.episodes)
    model, table = trial.profile.model, trial.snapshots.action_values[-1].astype(np.float64)
    expected = np.zeros((16, 4))
    for pair in range(64):
        own = slice(*model.offsets[pair : pair + 2])
        later = np.where(model.terminated[own], 0.0, table.max(axis=1)[model.next_states[own]])
        expected[divmod(pair, 4)] = model.probabilities[own] @ (model.rewards[own] + 0.99 * later)
    acting = grid_layout(make_environment(LAKE)).acting_states
    assert error.get_ydata()[-1] == pytest.approx(np.abs(expected - table)[acting].mean())
    # The optimum has none.
    learnt = learnt_by_trial(vd.run("value_iteration", LAKE, episodes=1, snapshots=2))
    assert bellman_errors(learnt).max() < 1e-6


@pytest.mark.parametrize(
    ("kind", "language"), [*((kind, "en") for kind in PICTURES), ("values", "ko"), ("exploration", "ko")]
)
def test_every_kind_is_drawn_in_both_languages(trial, kind, language):
    figure = trial.plot(kind, language=language)
    assert trial.profile.label in figure.get_suptitle()
    assert ("시드" if language == "ko" else "seed 0") in figure.get_suptitle()


@pytest.mark.parametrize("env", ["Taxi-v4", "velodrome/Chain-v0", "velodrome/DeepSea-v0"])
def test_panels_chains_and_actions_without_direction(env):
    learnt = learnt_by_trial(vd.run("q_learning", env, episodes=5))
    assert draw_picture(learnt, "action_values")
    if env == "Taxi-v4":
        texts = [text.get_text() for axes in draw_picture(learnt, "values").axes for text in axes.texts]
        assert {"R to G", "in taxi to B", "P", "D"} <= set(texts)


def test_actions_that_are_masked_are_no_best_ones(tmp_path):
    masked = "q_learning(action_mask=True)"
    learnt = learnt_by_trial(vd.run(masked, "Taxi-v4", episodes=20, snapshots=2))
    allowed = TransitionModel.of(make_environment("Taxi-v4")).action_mask
    best = tied_best(learnt.action_values[0])[learnt.layout.acting_states]
    assert not best[~allowed[learnt.layout.acting_states]].any()
    assert draw_picture(learnt, "action_values")
    assert np.isfinite(bellman_errors(learnt)).all()
    assert " - " in action_value_table(learnt)
    results = vd.compare(masked, "Taxi-v4", episodes=20, seeds=2, snapshots=2, workers=0)
    stored = learnt_in(results, "Taxi-v4", results.agents[0], make_environment("Taxi-v4"))
    np.testing.assert_array_equal(stored.action_values[0], learnt.action_values[0].astype(np.float32))


def test_networks_and_agents_of_other_kinds_are_drawn(trial):
    assert vd.run("dqn(network=mlp(hidden=[8]))", LAKE, steps=20, snapshots=3).plot("learning")
    assert vd.run("value_iteration", LAKE, episodes=1).plot()


def test_networks_of_stable_baselines3_are_drawn():
    pytest.importorskip("stable_baselines3")
    agent = "sb3('DQN', learning_starts=10)"
    trial = vd.run(agent, LAKE, steps=60, snapshots=4, evaluation_episodes=1)
    # Its model is made when it learns.
    assert trial.snapshots.steps.tolist() == [20, 40, 60]
    without = vd.run(agent, LAKE, steps=60, evaluation_episodes=1)
    np.testing.assert_array_equal(trial.log.returns, without.log.returns)
    values = without.trained.action_values_of(np.arange(16))
    np.testing.assert_array_equal(trial.snapshots.action_values[-1], values.astype(np.float32))
    assert values.argmax(axis=1).tolist() == [int(without.trained.act(state)) for state in range(16)]
    assert trial.plot("values")


# -- tables ----------------------------------------------------------------------------------------------


def test_the_table_as_text_and_latex():
    values = np.zeros((5, 2))
    values[:, 0] = 1.5
    learnt = of_table(values, "velodrome/Chain-v0")
    lines = action_value_table(learnt).splitlines()
    assert lines[0].split() == ["state", "cell", "forward", "back"]
    assert lines[1].split() == ["0", "start", "1.500*", "0.000"]
    latex = action_value_table(learnt, "latex").splitlines()
    assert latex[0] == r"\begin{tabular}{rlrr}"
    assert latex[2] == r"state & cell & forward & back \\"
    assert latex[4] == r"0 & start & \textbf{1.500} & 0.000 \\"
    assert policy_map(learnt) == "→ → → → →"


def test_the_map_as_text_has_all_tied_arrows():
    values = np.zeros((16, 4))
    values[:8, 1] = 1.0
    assert policy_map(of_table(values)).splitlines() == [
        "↓    ↓    ↓    ↓",
        "↓    o    ↓    o",
        "←↓→↑ ←↓→↑ ←↓→↑ o",
        "o    ←↓→↑ ←↓→↑ G",
    ]


# -- the command -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored")
    vd.compare(
        {"quick": "q_learning", "dummy": "dummy_q"},
        {"lake": LAKE},
        episodes=60,
        seeds=3,
        snapshots=4,
        out=folder,
        workers=0,
    )
    return folder


def test_stored_trials_are_drawn_without_training(stored, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(vd.Agent, "train", None)
    assert main(["show", str(stored), "--out", str(tmp_path), "--kind", "values", "--kind", "optimum"]) == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"{agent}_lake_{kind}.png" for agent in ("dummy", "quick") for kind in ("optimum", "values")]
    assert sorted(capsys.readouterr().out.split()) == [str(tmp_path / name) for name in names]
    monkeypatch.undo()
    learnt = learnt_in(vd.Results.load(stored), "lake", "quick", make_environment(LAKE))
    expected = [vd.run("q_learning", LAKE, episodes=60, seed=seed).trained.action_values for seed in range(3)]
    np.testing.assert_allclose(learnt.action_values, expected, rtol=1e-6)
    assert learnt.discount == 0.99


def test_the_table_of_one_seed_is_printed(stored, capsys):
    assert main(["show", str(stored), "--agent", "quick", "--seed", "2", "--format", "text"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("quick on lake, seed 2\n")
    values = vd.run("q_learning", LAKE, episodes=60, seed=2).trained.action_values.astype(np.float32)
    assert out.count("*") == tied_best(values)[grid_layout(make_environment(LAKE)).acting_states].sum()
    assert main(["show", str(stored), "--agent", "quick", "--format", "latex"]) == 0
    assert capsys.readouterr().out.startswith(r"\begin{tabular}{rrrlrrrr}")


def test_a_saved_agent_and_figures_of_a_run(tmp_path, capsys):
    agent, figures = tmp_path / "agent", tmp_path / "figures"
    command = ["run", "q_learning", LAKE, "--episodes", "30", "--save", str(agent)]
    assert main([*command, "--figures", str(figures)]) == 0
    # The others are of snapshots.
    assert {path.stem for path in figures.iterdir()} == PICTURES.keys() - {"learning", "exploration"}
    assert main(["show", str(agent), "--on", LAKE]) == 0
    assert (agent / "pictures" / "q_learning_FrozenLake-v1_values.png").is_file()
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["none"], "none is no folder of a store or of a saved agent, and no experiment; allowed: "),
        (["frozenlak"], "frozenlak is no folder of a store or of a saved agent, and no experiment: did you mean "),
        (["empty"], "empty holds neither a store, which `velodrome compare ... --snapshots 50 --out empty` writes, "),
        (["STORE", "--kind", "value"], "--kind must be one of values, action_values, visits, learning, exploration, "),
        (["STORE", "--agent", "quik"], "--agent must be one of quick, dummy, got 'quik': did you mean 'quick'?"),
        (["STORE", "--seed", "7"], "seed must be one of 0, 1, 2, of quick on lake; got 7"),
        (["STORE", "--on", LAKE], "--on is for a saved agent, and "),
        (["PLAIN"], "q_learning on FrozenLake-v1 has no snapshots: give compare --snapshots 50, and the trials are "),
        (["POLE"], "CartPole-v1 lies on no grid or chain that is known, so that there is no map to draw: "),
        (["CONSTANT"], "constant(0) on FrozenLake-v1 has no snapshots: constant has no action values of all states"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_said_in_one_line(arguments, line, stored, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    options = {"episodes": 5, "seeds": 2, "workers": 0}
    if arguments == ["PLAIN"]:
        vd.compare("q_learning", LAKE, **options, out="PLAIN")
    if arguments == ["POLE"]:
        vd.compare("random", "CartPole-v1", **options, snapshots=2, evaluation_episodes=1, out="POLE")
    if arguments == ["CONSTANT"]:
        vd.compare("constant(0)", LAKE, **options, snapshots=2, out="CONSTANT")
    place = str(stored) if arguments[0] == "STORE" else arguments[0]
    assert main(["show", place, *arguments[1:]]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"velodrome: {line}")
    assert err.count("\n") == 1


def test_what_cannot_be_drawn_in_python():
    pole = vd.run("discretized(q_learning)", "CartPole-v1", episodes=2, evaluation_episodes=1)
    with pytest.raises(ExperimentError, match="CartPole-v1 lies on no grid or chain that is known"):
        pole.plot()
    lake = vd.run("q_learning", LAKE, episodes=2)
    with pytest.raises(ExperimentError, match=r"has no snapshots of its training: give snapshots=50"):
        lake.plot("learning")
    with pytest.raises(ExperimentError, match=r"kind must be one of values, .*got 'valeus': did you mean 'values'"):
        lake.plot("valeus")
    with pytest.raises(ExperimentError, match="q_learning gives no action values of FrozenLake8x8-v1"):
        learnt_by_agent(lake.trained, make_environment("FrozenLake8x8-v1"))
    with pytest.raises(ExperimentError, match=r"constant\(0\) has no action values of FrozenLake-v1: draw an"):
        vd.run("constant(0)", LAKE, episodes=2).plot()
    with pytest.raises(ExperimentError, match="language must be one of en, ko, got 'kr'"):
        lake.plot(language="kr")
