"""The film of learning: what it shows, that the same seeds give the same pictures, and what it refuses."""

import numpy as np
import pytest
from PIL import Image

import velodrome as vd
from velodrome.experiments.cli.application import main
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.views import write_learning_film

LAKE = "FrozenLake-v1(is_slippery=False)"
AGENTS = {
    "first": "dummy_q(ties='first')",
    "무작위 $x$": "dummy_q",
    "constant": "constant(action=0)",
    "short": "dummy_q",
}


@pytest.fixture(scope="module")
def results():
    environments = {"garnet": "velodrome/Garnet-v0", "lake": LAKE, "chain": "velodrome/Chain-v0"}
    return vd.compare(AGENTS, environments, seeds=3, episodes=100, snapshots=4, workers=0)


def pictures(path):
    with Image.open(path) as film:
        return [np.asarray(film.convert("RGB")) for place in range(film.n_frames) if film.seek(place) is None]


def test_a_film_has_a_picture_of_each_moment_on_white_ground(results, tmp_path):
    first, again = (write_learning_film(results, tmp_path / name) for name in ("learning.gif", "again.gif"))
    assert first.read_bytes() == again.read_bytes()
    shown = pictures(first)
    assert len(shown) == 4
    assert all(one.shape[1] == 880 and (one[[0, -1]] == 255).all() for one in shown)
    # Maps fill with blue, and curves grow to the right.
    coloured = [(np.ptp(one.astype(int), axis=2) > 60).sum() for one in shown]
    assert coloured[0] < coloured[-1]
    right_half = [one[-200:-60, 500:].min(axis=2) < 250 for one in shown]
    assert right_half[1].sum() < right_half[-1].sum()
    with Image.open(first) as film:
        assert film.info["loop"] == 0
        durations = [film.info["duration"] for place in range(film.n_frames) if film.seek(place) is None]
    assert durations == [100, 100, 100, 1500]


def test_the_environment_and_the_language_are_chosen(results, tmp_path):
    chain = write_learning_film(results, tmp_path / "chain.png", environment="chain", language="ko")
    lake = write_learning_film(results, tmp_path / "lake.apng", environment="lake")
    assert pictures(chain)[0].shape != pictures(lake)[0].shape


def test_a_film_is_of_a_map_and_of_snapshots(results, tmp_path):
    with pytest.raises(ExperimentError, match="garnet: the states lie on no grid or chain"):
        write_learning_film(results, tmp_path / "film.gif", environment="garnet")
    with pytest.raises(ExperimentError, match="no learning snapshots of agents with action values"):
        write_learning_film(results.only(["constant"], ["lake"]), tmp_path / "film.gif")
    with pytest.raises(ExperimentError, match=r"film.gfi: a film ends with .gif, .apng, .png: did you mean '.gif'"):
        write_learning_film(results, tmp_path / "film.gfi")
    with pytest.raises(ExperimentError, match="language must be one of en, ko, got 'de'"):
        write_learning_film(results, tmp_path / "film.gif", language="de")
    assert not list(tmp_path.iterdir())


def test_the_command_trains_and_writes_page_and_film(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    trained = ["q_learning", "sarsa", "--on", LAKE, "--episodes", "20", "--seeds", "2", "--snapshots", "3", "--quiet"]
    assert main(["show", *trained, "--film", "learning.gif", "--html", "page.html"]) == 0
    assert capsys.readouterr().out.split() == ["page.html", "learning.gif"]
    assert len(pictures("learning.gif")) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--film", "film.gfi"], "--film must end in .gif, .apng, .png, got film.gfi: did you mean '.gif'?"),
        (["--film", "folder.gif"], "--film folder.gif: is a folder, give the path of a file"),
        (["--film", "file/film.gif"], "--film file: "),
        (["--film", "film.gif", "--kind", "values"], "--kind is of pictures, and --film writes a film"),
        (["--seeds", "3"], "--seeds is of a page or a film: add --html FILE or --film FILE"),
    ],
)
def test_the_command_refuses_in_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.gif").mkdir()
    (tmp_path / "file").touch()
    assert main(["show", "frozenlake", *arguments]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
