"""Plots: one panel an environment, curves that show the stored numbers, and nothing global changed."""

import subprocess
import sys
from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, strategies as st
from matplotlib.figure import Figure
from scipy.optimize import isotonic_regression

import velodrome as vd
from velodrome.experiments.errors import AllTrialsFailedError
from velodrome.experiments.plotting.figures import write_figure
from velodrome.experiments.plotting.style import _isotonic

ENVIRONMENTS = {"ice": "FrozenLake-v1(is_slippery=False)", "slippery ice": "FrozenLake-v1"}
AGENTS = {"by chance": "random", "noise": "noise_q"}


@pytest.fixture(scope="module")
def results():
    return vd.compare(AGENTS, ENVIRONMENTS, seeds=4, episodes=400, name="lakes")


def texts(axes):
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize(
    ("metric", "label"), [("success_rate", "success rate in training"), ("return", "return in training")]
)
def test_one_labelled_panel_an_environment(results, metric, label):
    before = dict(mpl.rcParams)
    figure = results.plot(metric)
    assert dict(mpl.rcParams) == before
    assert isinstance(figure, Figure)
    assert [axes.get_title() for axes in figure.axes] == list(ENVIRONMENTS)
    assert "lakes: mean of 4 seeds, band = 95 % interval" in figure.get_suptitle()
    for axes, best in zip(figure.axes, ("1", "0.744"), strict=True):
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("episode", label)
        assert sorted(texts(axes)) == sorted([*AGENTS, f"best possible {best}"])
        assert len(axes.collections) == len(AGENTS)
        assert axes.get_xlim() == (0, 400)


def test_the_lines_are_the_means_of_the_curves(results):
    axes = results.plot().axes[1]
    for line, agent in zip(axes.get_lines(), AGENTS, strict=False):
        assert line.get_label() == agent
        grid, curves = results.curves("slippery ice", agent)
        assert np.array_equal(line.get_xdata(), grid.ends)
        mean = curves[:, 0].mean(axis=0)
        assert line.get_ydata() == pytest.approx(mean, abs=1e-6)
    band = axes.collections[1].get_paths()[0].vertices[:, 1]
    assert band.min() <= line.get_ydata().min()
    assert band.max() >= mean.max()


def test_names_beside_the_lines_do_not_cover_each_other(results):
    boxes = [text.get_window_extent() for text in results.plot().axes[0].texts]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_one_seed_has_no_band():
    figure = vd.compare(["random"], "FrozenLake-v1", seeds=1, episodes=50).plot()
    assert len(figure.axes[0].collections) == 0
    assert "mean of 1 seed," in figure.get_suptitle()


def test_a_budget_of_steps_is_drawn_over_steps():
    figure = vd.compare(["random"], "FrozenLake-v1", seeds=2, steps=3000).plot()
    assert figure.axes[0].get_xlabel() == "environment step"
    assert figure.axes[0].get_xlim() == (0, 3000)


def test_curves_without_any_number_are_left_out():
    figure = vd.compare(["random"], "CliffWalking-v1(max_episode_steps=50)", seeds=2, steps=20).plot()
    assert "random" not in texts(figure.axes[0])


def drawn(axes):
    """Where the curve of each agent ends."""
    return {line.get_label(): line.get_xdata()[-1] for line in axes.get_lines() if not line.get_label().startswith("_")}


def test_agents_with_budgets_of_their_own_end_where_these_do():
    agents = {"short": {"agent": "random", "episodes": 30}, "long": "random"}
    axes = vd.compare(agents, "FrozenLake-v1", seeds=2, episodes=500).plot().axes[0]
    assert axes.get_xlabel() == "episode"
    assert drawn(axes) == {"short": 30, "long": 500}
    assert axes.get_xlim() == (0, 500)


@pytest.mark.parametrize("order", [("episodes", "steps"), ("steps", "episodes")])
def test_episodes_and_steps_are_never_drawn_on_one_axis(order):
    budgets = {"episodes": {"agent": "random", "episodes": 100}, "steps": {"agent": "random", "steps": 3000}}
    results = vd.compare({label: budgets[label] for label in order}, "FrozenLake-v1", seeds=3)
    axes = results.plot().axes[0]
    assert axes.get_xlabel() == "environment step"
    most = max(row.measures["steps"] for row in results.trials("FrozenLake-v1", "episodes"))
    assert drawn(axes) == {"steps": 3000, "episodes": most}
    grid, curves = results.curves("FrozenLake-v1", "episodes", over="steps")
    assert (grid.unit, grid.ends[-1], curves.shape) == ("step", most, (3, 2, len(grid.ends)))
    for curve, row in zip(curves, results.episode_curves("FrozenLake-v1", "episodes"), strict=True):
        inside = np.cumsum(row.lengths) - 1 < grid.ends[0]
        expected = row.returns[inside].mean() if inside.any() else np.nan
        assert curve[1, 0] == pytest.approx(expected, nan_ok=True)


def test_environments_may_have_axes_of_different_units():
    places = {"by step": {"environment": "FrozenLake-v1", "steps": 900}, "by episode": "FrozenLake-v1"}
    figure = vd.compare(["random"], places, seeds=2, episodes=70).plot()
    assert [axes.get_xlabel() for axes in figure.axes] == ["environment step", "episode"]
    assert [axes.get_xlim() for axes in figure.axes] == [(0, 900), (0, 70)]


def test_agents_whose_trials_all_failed_are_left_out():
    agents = {"by chance": "random", "planner": "hostile_agents:HopefulPlanner"}
    place = "discretize(CartPole-v1, bins=2)"
    figure = vd.compare(agents, place, seeds=2, episodes=5, evaluation_episodes=1, workers=0).plot("return")
    assert "mean of 2 seeds," in figure.get_suptitle()
    assert texts(figure.axes[0]) == ["by chance"]
    assert len(drawn(figure.axes[0])) == 1


def test_the_title_counts_the_seeds_that_are_drawn(tmp_path):
    def stopped_after(number):
        def stop(status):
            if status.finished >= number:
                raise InterruptedError

        with pytest.raises(InterruptedError):
            vd.compare(AGENTS, "FrozenLake-v1", seeds=10, episodes=5, workers=0, out=tmp_path, progress=stop)
        return vd.Results.load(tmp_path).plot().get_suptitle()

    # Trials run in tasks of eight seeds, the agents in turn.
    assert "mean of 8 seeds," in stopped_after(16)
    assert "mean of 8 to 10 seeds," in stopped_after(18)


def test_a_panel_without_any_curve_says_why():
    place = "discretize(CartPole-v1, bins=2)"
    with pytest.raises(AllTrialsFailedError) as failed:
        vd.compare(["hostile_agents:HopefulPlanner"], place, seeds=1, episodes=5, workers=0)
    figure = failed.value.results.plot()
    assert (texts(figure.axes[0]), drawn(figure.axes[0])) == (["no trial is done"], {})


def test_unknown_metrics_are_refused(results):
    with pytest.raises(ValueError, match="metric must be one of success_rate, return, got 'reward'"):
        results.plot("reward")


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_pictures(tmp_path, ending, start):
    path = tmp_path / f"curves.{ending}"
    write_figure(Figure(), str(path))
    assert path.read_bytes().startswith(start)


def test_pyplot_is_not_imported():
    script = (
        "import sys, velodrome as vd; "
        "vd.compare(['random'], 'FrozenLake-v1', seeds=2, episodes=5).plot(); "
        "assert 'matplotlib.pyplot' not in sys.modules; assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=30))
def test_labels_are_pushed_apart_by_an_isotonic_regression(values):
    assert _isotonic(np.array(values)) == pytest.approx(isotonic_regression(values).x, abs=1e-12)
