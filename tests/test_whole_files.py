"""Files are seen whole or not at all, whatever ends the program that writes them."""

import os
import stat
import subprocess
import sys

import numpy as np
import pytest

import velodrome as vd
from velodrome.agents import Agent, QLearning
from velodrome.agents.resuming.saving import SavedAgentError, read_agent, write_agent
from velodrome.agents.resuming.whole_files import remove_abandoned, whole_file, write_whole

LAKE = "FrozenLake-v1(is_slippery=False)"

# Writes what its arguments say over an earlier file, and is killed when it is about to move the new one to its place.
KILLED = """
import os, sys, warnings
warnings.simplefilter("ignore")
import velodrome as vd
from velodrome.experiments.cli.application import main

os.replace = lambda *given: os._exit(9)
if sys.argv[1] == "save":
    vd.run("q_learning", "FrozenLake-v1", episodes=5, seed=1).trained.save(sys.argv[2])
else:
    main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    vd.compare(["q_learning", "random"], LAKE, seeds=6, episodes=10, out=folder, workers=0, name="lake")
    return folder


def killed(*arguments):
    done = subprocess.run([sys.executable, "-c", KILLED, *map(str, arguments)], check=False, timeout=600)
    assert done.returncode == 9


def unfinished(folder):
    return list(folder.glob(".velodrome-*.part"))


@pytest.mark.parametrize(
    "command", ["report --out page.html", "plot --out picture.png", "export --curves --out .", "compare"]
)
def test_a_kill_while_writing_leaves_the_file_of_before(command, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name, *options = command.split()
    if name == "compare":
        places = [store / "lake" / "table.md"]
        places[0].parent.mkdir(exist_ok=True)
        file = tmp_path / "lake.toml"
        file.write_text(
            f'name = "lake"\nagents = ["q_learning", "random"]\nenvironments = ["{LAKE}"]\nepisodes = 10\nseeds = 6'
        )
        arguments = ["compare", file, "--out", store, "--quiet", "--workers", "0"]
    else:
        places = [tmp_path / ("trials.csv" if name == "export" else options[-1])]
        arguments = [name, store, *options]
    for place in places:
        place.write_text("whole")
    killed(*arguments)
    assert [place.read_text() for place in places] == ["whole"] * len(places)
    assert unfinished(places[0].parent)
    write_whole(places[0].parent / "other", "next")
    assert not unfinished(places[0].parent)


def test_a_kill_while_an_agent_is_saved_leaves_one_of_the_two(tmp_path):
    first = vd.run("q_learning", "FrozenLake-v1", episodes=5, seed=0).trained
    first.save(tmp_path)
    before = read_agent(tmp_path)[1]
    killed("save", tmp_path)
    assert isinstance(Agent.load(tmp_path), QLearning)
    after = read_agent(tmp_path)[1]
    assert all(np.array_equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("moment", range(4))
def test_at_every_moment_a_folder_holds_one_of_two_agents(moment, tmp_path, monkeypatch):
    for number in (1, 2, 3):
        write_agent(tmp_path, {"number": number}, {"values": np.full(5, number)})
    replace, calls = os.replace, []

    def interrupted(*given):
        calls.append(given)
        if len(calls) > moment:
            raise KeyboardInterrupt
        replace(*given)

    monkeypatch.setattr(os, "replace", interrupted)
    for number in (4, 5):
        calls.clear()
        try:
            write_agent(tmp_path, {"number": number}, {"values": np.full(5, number)})
        except KeyboardInterrupt:
            assert moment < 3
        manifest, arrays = read_agent(tmp_path)
        assert (arrays["values"] == manifest["number"]).all()
        # The arrays have to be complete before the manifest names them.
        assert manifest["number"] == (number if moment >= 2 else 3)
    monkeypatch.undo()
    write_agent(tmp_path, {"number": 6}, {"values": np.full(5, 6)})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["arrays.npz", "manifest.json"]


def test_a_damaged_agent_is_still_refused(tmp_path):
    write_agent(tmp_path, {}, {"values": np.ones(3)})
    (tmp_path / "arrays.npz").write_bytes(b"other")
    with pytest.raises(SavedAgentError, match=r"arrays\.npz is damaged"):
        read_agent(tmp_path)


def test_an_error_while_writing_leaves_the_file_of_before_and_nothing_else(tmp_path):
    place = tmp_path / "page.html"
    place.write_text("whole")

    def write():
        with whole_file(place) as temporary:
            temporary.write_text("half")
            assert place.read_text() == "whole"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert place.read_text() == "whole"


def test_a_file_keeps_its_permissions_its_link_and_a_long_name(tmp_path):
    place, link = tmp_path / ("n" * 250 + ".html"), tmp_path / "link.html"
    write_whole(place, "one")
    assert stat.S_IMODE(place.stat().st_mode) == 0o666 & ~_umask()
    place.chmod(0o640)
    link.symlink_to(place)
    write_whole(link, b"two")
    assert (place.read_text(), stat.S_IMODE(place.stat().st_mode), link.is_symlink()) == ("two", 0o640, True)
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path, "three")
    with pytest.raises(FileNotFoundError, match=r"absent.page\.html"):
        write_whole(tmp_path / "absent" / "page.html", "four")


def _umask():
    now = os.umask(0)
    os.umask(now)
    return now


def test_only_what_killed_programs_left_is_removed(tmp_path):
    program = """
import os, sys
from velodrome.agents.resuming.whole_files import whole_file
with whole_file(sys.argv[1]) as temporary:
    print(temporary.name, flush=True)
    sys.stdin.read()
    os._exit(9)
"""
    other_names = ["velodrome-1.part", ".velodrome-notes", "mine.part", ".velodrome"]
    for name in other_names:
        (tmp_path / name).touch()
    command = [sys.executable, "-c", program, str(tmp_path / "page.html")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writing:
        temporary = tmp_path / writing.stdout.readline().strip()
        remove_abandoned(tmp_path)
        with whole_file(tmp_path / "other.html"):
            assert temporary.exists()
        writing.communicate()
    assert temporary.exists()
    vd.compare("random", LAKE, seeds=1, episodes=1, out=tmp_path, workers=0)
    assert not temporary.exists()
    assert {path.name for path in tmp_path.iterdir()} >= set(other_names)
