"""Where an experiment's files are: whatever the folder is called, wherever the program goes, whoever moves them."""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import gymnasium as gym
import pytest

import velodrome as vd
from velodrome.experiments.cli.application import main
from velodrome.experiments.cli.folders import experiment_folder
from velodrome.experiments.storage.store import STORE_FILE, Store, StoreError

pytestmark = pytest.mark.filterwarnings("ignore:.*too few to tell better")
LAKE = "FrozenLake-v1(is_slippery=False)"


def num_trials(folder):
    with Store.open_for_reading(folder) as store:
        return len(store.keys())


# Folders


@pytest.mark.parametrize("name", ["file:y", "file:y?mode=memory", ":memory:", "a b%20c", "naïve#1", "-x"])
def test_a_store_is_in_the_folder_whatever_that_is_called(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    vd.compare("random", LAKE, seeds=2, episodes=2, out=name, workers=0)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / STORE_FILE).is_file()
    assert len(vd.Results.load(name).records) == 2
    assert main(["table", f"./{name}", "--format", "csv"]) == 0


def test_a_factory_that_changes_the_current_folder_takes_no_results_along(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "away").mkdir()

    def wandering():
        os.chdir(tmp_path / "away")
        return gym.make("FrozenLake-v1")

    results = vd.compare("random", {"away": wandering}, seeds=2, episodes=2, out="here", workers=0)
    assert Path.cwd() == tmp_path / "away"
    assert len(list(results.episode_curves("away", "random"))) == 2
    assert num_trials(tmp_path / "here") == 2
    assert list((tmp_path / "away").iterdir()) == []


WANDERING = """
import os
import gymnasium as gym
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv


class Wandering(FrozenLakeEnv):
    def __init__(self, **settings):
        os.chdir(os.environ["AWAY"])
        super().__init__(**settings)


gym.register("Wandering-v0", entry_point=Wandering, max_episode_steps=20)
"""


def test_commands_write_where_they_were_started(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "away").mkdir()
    monkeypatch.setenv("AWAY", str(tmp_path / "away"))
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "wandering.py").write_text(WANDERING)
    (tmp_path / "x.toml").write_text(
        'name = "x"\nagents = ["random"]\nenvironments = ["wandering:Wandering-v0"]\nepisodes = 2\nseeds = 2'
    )
    assert main(["compare", "x.toml", "--out", "here", "--quiet", "--workers", "0"]) == 0
    monkeypatch.chdir(tmp_path)
    assert main(["run", "q_learning", "wandering:Wandering-v0", "--episodes", "2", "--save", "agent"]) == 0
    assert {path.name for path in (tmp_path / "here" / "x").iterdir()} == {"table.md", "learning.png"}
    assert (tmp_path / "agent" / "manifest.json").is_file()
    assert list((tmp_path / "away").iterdir()) == []


# A store that is moved or deleted while an experiment runs


def rename_file(folder):
    (folder / STORE_FILE).rename(folder / "moved.sqlite")


def rename_folder(folder):
    folder.rename(folder.with_name("moved"))


def replace(folder):
    # As an editor or a restored copy does.
    shutil.copy(folder / STORE_FILE, folder / "copy")
    (folder / "copy").replace(folder / STORE_FILE)


@pytest.mark.parametrize(
    ("disturb", "kept", "advice"),
    [
        (rename_file, "out/moved.sqlite", "move it back"),
        (rename_folder, "moved/trials.sqlite", "move it back"),
        (lambda folder: (folder / STORE_FILE).unlink(), "out/trials.rescued.sqlite", "give it the name trials.sqlite"),
        (shutil.rmtree, "out/trials.rescued.sqlite", "give it the name trials.sqlite"),
        (replace, "out/trials.rescued.sqlite", "give it the name trials.sqlite"),
    ],
    ids=["file renamed", "folder renamed", "file deleted", "folder deleted", "replaced"],
)
def test_a_store_that_goes_away_stops_the_run_with_a_line_and_loses_no_trial(disturb, kept, advice, tmp_path):
    folder, done = tmp_path / "out", []

    def progress(status):
        if status.finished >= 3 and not done:
            done.append(status.finished)
            disturb(folder)

    options = {"seeds": 12, "episodes": 5, "out": folder, "workers": 0}
    with pytest.raises(StoreError) as caught:
        vd.compare("random", LAKE, progress=progress, **options)
    line = str(caught.value)
    assert "\n" not in line
    assert advice in line
    if hasattr(os, "O_PATH"):
        assert str(tmp_path / kept) in line
    again = tmp_path / "again"
    again.mkdir()
    source = tmp_path / (kept if hasattr(os, "O_PATH") else "out/trials.rescued.sqlite")
    shutil.copy(source, again / STORE_FILE)
    assert num_trials(again) > done[0]
    assert len(vd.compare("random", LAKE, **(options | {"out": again})).records) == 12


def test_what_was_moved_away_can_be_moved_back(tmp_path):
    folder = tmp_path / "out"
    options = {"seeds": 6, "episodes": 5, "out": folder, "workers": 0}

    def progress(status):
        if status.finished >= 2 and folder.exists():
            rename_folder(folder)

    with pytest.raises(StoreError, match=r"was moved|was deleted"):
        vd.compare("random", LAKE, progress=progress, **options)
    (tmp_path / "moved").rename(folder)
    assert len(vd.compare("random", LAKE, **options).records) == 6


# Names of experiments

NAMES = [
    "lake", "Lake-1.0_x", "seen",
    "a/b", "a-b", "a b", "a:b", "../a", "..a", ".a", "a.", "a ", "a...",
    "n" * 300, "n" * 299 + "m", "호" * 150, "호" * 150 + "수",
    "CON", "con", "nul.txt", "COM1", "lpt9.csv", "AUX ", "PRN.", "com¹", "CONIN$",
    STORE_FILE, "Trials.SQLite", "trials.csv", "curves.parquet", "trials.damaged.sqlite", "checkpoints", ".running",
    "tensorboard", "wandb",
]  # fmt: skip


@pytest.mark.parametrize("order", [1, -1])
def test_every_name_has_a_folder_of_its_own_that_every_system_takes(order, tmp_path):
    folders = {}
    with Store.open(tmp_path) as store:
        for name in NAMES[::order]:
            store.add_experiment(name, "", {}, (), [])
            folders[name] = experiment_folder(tmp_path, name)
        # Another run of an experiment, also an edited one, stays in its folder.
        store.add_experiment(NAMES[3], "edited", {}, (), [])
    assert folders == {name: experiment_folder(tmp_path, name) for name in NAMES}
    assert len({str(folder).casefold() for folder in folders.values()}) == len(NAMES)
    for name, folder in folders.items():
        assert folder.parent == tmp_path, name
        assert len(folder.name.encode()) <= 120
        assert folder.name.rstrip(". ") == folder.name
        assert folder.name.partition(".")[0].casefold() not in {"con", "nul", "com1", "lpt9", "aux", "prn", "com¹"}
        assert not folder.name.casefold().startswith(("trials.", "curves."))


def test_plain_names_keep_their_folders(tmp_path):
    for name, folder in {"lake": "lake", "Lake-1.0_x": "Lake-1.0_x", "two agents": "two-agents", "a/b": "a-b"}.items():
        assert experiment_folder(tmp_path, name).name == folder


@pytest.mark.parametrize("name", ["n" * 300, STORE_FILE, "checkpoints", "a/b"])
def test_an_experiment_of_any_name_is_compared_drawn_and_reported(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("x.toml").write_text(
        f'name = "{name}"\nagents = ["random"]\nenvironments = ["{LAKE}"]\nepisodes = 2\nseeds = 2'
    )
    for _ in range(2):
        assert main(["compare", "x.toml", "--quiet", "--workers", "0"]) == 0
    assert main(["report", "results"]) == 0
    (folder,) = [path for path in Path("results").iterdir() if path.is_dir() and path.name != ".running"]
    assert {path.name for path in folder.iterdir()} == {"table.md", "learning.png", "report.html"}


# Disks that cannot be written


@pytest.mark.parametrize("state", ["full", "read-only", "read-only with a log"])
def test_reading_needs_no_disk_that_can_be_written(state, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False
    ).returncode:
        pytest.skip("this machine does not let us mount")
    try:
        vd.compare("random", LAKE, seeds=3, episodes=2, out=disk, workers=0, name="x")
        expected = vd.Results.load(disk).table(full=True).to_csv()
        shutil.rmtree(disk / ".running", ignore_errors=True)
        if state == "full":
            _fill(disk / "fill")
        if state == "read-only with a log":
            store = Store.open(disk)
            store.add_experiment("later", "", {}, (), [])
            for name in (STORE_FILE, f"{STORE_FILE}-wal"):
                shutil.copy(disk / name, tmp_path)
            store.close()
            for name in (STORE_FILE, f"{STORE_FILE}-wal"):
                shutil.move(tmp_path / name, disk / name)
        if state != "full":
            subprocess.run(["mount", "-o", "remount,ro", disk], capture_output=True, check=True)
        assert vd.Results.load(disk, "x").table(full=True).to_csv() == expected
        with Store.open_for_reading(disk) as store:
            assert ("later" in store.experiments()) == (state == "read-only with a log")
    finally:
        subprocess.run(["umount", disk], capture_output=True, check=True)


def _fill(path):
    """Write until there is no space left."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
