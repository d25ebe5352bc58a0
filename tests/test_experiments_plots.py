"""Plots: one panel an environment, curves that show the stored numbers, and nothing global changed."""

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

import velodrome as vd
from velodrome.experiments.plots import write_figure

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
    assert "lakes: mean of 4 seeds, band = 95 % bootstrap interval" in figure.get_suptitle()
    for axes, best in zip(figure.axes, ("1", "0.744"), strict=True):
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("episode", label)
        assert sorted(texts(axes)) == sorted([*AGENTS, f"best possible {best}"])
        assert len(axes.collections) == len(AGENTS)
        assert axes.get_xlim() == (0, 400)


def test_the_lines_are_the_means_of_the_curves(results):
    axes = results.plot().axes[1]
    for line, agent in zip(axes.get_lines(), AGENTS, strict=False):
        assert line.get_label() == agent
        assert np.array_equal(line.get_xdata(), results.grid.ends)
        mean = results.curves[results.places("slippery ice", agent), 0].mean(axis=0)
        assert line.get_ydata() == pytest.approx(mean, abs=1e-6)
    band = axes.collections[1].get_paths()[0].vertices[:, 1]
    assert band.min() <= line.get_ydata().min()
    assert band.max() >= mean.max()


def test_names_beside_the_lines_do_not_cover_each_other(results):
    axes = results.plot().axes[0]
    heights = sorted(text.xyann[1] for text in axes.texts)
    low, high = axes.get_ylim()
    assert min(np.diff(heights)) >= 0.05 * (high - low)


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
