"""`velodrome export`: files that hold what the store holds, to the last digit, and are whole or not there."""

import os
import sqlite3
import sys
import threading
from pathlib import Path

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest
from made_up import settings_of

import velodrome as vd
from velodrome.experiments.cli.application import main
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.results.results import Results
from velodrome.experiments.storage import table_files
from velodrome.experiments.storage.episode_curves import EpisodeCurves
from velodrome.experiments.storage.export import export
from velodrome.experiments.storage.store import Store, StoreError, TrialIdentity
from velodrome.experiments.storage.trial_key import key_of_specification
from velodrome.experiments.storage.trial_outcome import TrialOutcome

LAKE, SLIPPERY = "FrozenLake-v1(is_slippery=False)", "FrozenLake-v1"
FORMATS = ("csv", "parquet")
PANDAS_READS_EXACTLY = (3, 1)
LINE_BREAK = 'two\nlines, "quoted"'


def broken():
    env = gym.make(SLIPPERY)
    env.unwrapped.step = lambda action: 1 / 0
    return env


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two experiments that share trials, with trials that failed and labels that need quotes."""
    folder = tmp_path_factory.mktemp("store")
    settings = {"seeds": 3, "out": folder, "workers": 0, "evaluation_episodes": 2}
    agents = {'the "best", of all': "q_learning", "by chance": "random"}
    places = {"湖": LAKE, "no rule": {"environment": "discretize(CartPole-v1, bins=2)", "success": "none"}}
    vd.compare(agents, places | {"broken": broken}, episodes=30, name="first", **settings)
    vd.compare({"learner": "q_learning"}, LAKE, episodes=30, name="second", **settings)
    return folder


def read(path):
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    # Newer releases of pandas read every digit without being told.
    is_old = tuple(int(part) for part in pd.__version__.split(".")[:2]) < PANDAS_READS_EXACTLY
    return pd.read_csv(path, **({"float_precision": "round_trip"} if is_old else {}))


def bits(values):
    return np.asarray(values, dtype=np.float64).tobytes()


def same(frame, other):
    """Whether two tables have equal columns, numbers to the last bit, and nothing is nothing."""
    assert list(frame.columns) == list(other.columns)
    for column in frame.columns:
        if pd.api.types.is_numeric_dtype(other[column]):
            assert bits(frame[column]) == bits(other[column]), column
        else:
            texts = [["" if pd.isna(text) else text for text in table[column]] for table in (frame, other)]
            assert texts[0] == texts[1], column


@pytest.mark.parametrize("file_format", FORMATS)
def test_the_trials_read_back_are_those_of_the_results(folder, tmp_path, file_format):
    for name in ("first", "second"):
        (path,) = export(folder, format=file_format, out=tmp_path / name, experiment=name)
        results = Results.load(folder, name).frame()
        assert len(results) == {"first": 18, "second": 3}[name]
        read_back = read(path)
        assert set(read_back["experiment"]) == {name}
        common = [column for column in results.columns if column in read_back.columns]
        assert set(results.columns) - set(common) == {"steps_per_second"}
        same(read_back[common], results[common])


@pytest.mark.parametrize("file_format", FORMATS)
def test_the_trials_of_all_experiments_are_the_view_of_the_store(folder, tmp_path, file_format):
    (path,) = export(folder, format=file_format, out=tmp_path)
    with sqlite3.connect(f"{(folder / 'trials.sqlite').as_uri()}?mode=ro", uri=True) as connection:
        view = pd.read_sql("SELECT * FROM results", connection)
    connection.close()
    same(read(path), view)
    assert set(read(path)["experiment"]) == {"first", "second"}


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("at_once", [7, 50_000])
def test_the_curves_read_back_are_those_of_the_results(folder, tmp_path, monkeypatch, file_format, at_once):
    monkeypatch.setattr(sys.modules["velodrome.experiments.storage.export"], "_EPISODES_AT_ONCE", at_once)
    monkeypatch.setattr(table_files, "ROW_GROUP", at_once)
    trials_path, curves_path = export(folder, format=file_format, out=tmp_path, curves=True, experiment="first")
    results, frame = Results.load(folder, "first"), read(curves_path)
    header = "experiment key agent environment seed episode return length success"
    assert list(frame.columns) == header.split()
    order = []
    for environment in results.environments:
        for agent in results.agents:
            done = [trial for trial in results.trials(environment, agent) if trial.status == "done"]
            for trial, curves in zip(done, results.episode_curves(environment, agent), strict=True):
                order.append(trial.key)
                rows = frame[frame["key"] == trial.key]
                assert set(zip(rows["agent"], rows["environment"], rows["seed"], strict=True)) == {
                    (agent, environment, trial.seed)
                }
                assert rows["episode"].tolist() == list(range(1, curves.episodes + 1))
                assert bits(rows["return"]) == bits(curves.returns)
                assert rows["length"].tolist() == curves.lengths.tolist()
                if curves.successes is None:
                    assert rows["success"].isna().all()
                else:
                    assert rows["success"].tolist() == curves.successes.tolist()
    assert list(dict.fromkeys(frame["key"])) == order
    assert len(order) == 12
    assert set(read(trials_path)["key"]) > set(order)


def test_parquet_has_the_types_of_the_store_whatever_is_missing(folder, tmp_path):
    from pyarrow import parquet

    trials, curves = export(folder, format="parquet", out=tmp_path, curves=True)
    types = {field.name: str(field.type) for field in parquet.read_schema(trials)}
    assert (types["steps"], types["greedy_mean_return"], types["loop"]) == ("int64", "double", "string")
    types = {field.name: str(field.type) for field in parquet.read_schema(curves)}
    assert (types["return"], types["success"], types["seed"]) == ("double", "bool", "int64")


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("value", [0.1 + 0.2, 5e-324, -1.7976931348623157e308, float("inf"), 1 / 3])
def test_numbers_and_texts_survive(tmp_path, file_format, value):
    specification = '{"seed":9223372036854775807}'
    identity = TrialIdentity(specification, LINE_BREAK, SLIPPERY, 2**63 - 1)
    key = key_of_specification(specification)
    curves = EpisodeCurves(np.array([value, -0.0]), np.array([2**62, 1]), np.array([True, False])).pack()
    outcome = TrialOutcome(key, "done", {"episodes": 2, "greedy_mean_return": value}, curves)
    settings = settings_of({LINE_BREAK: "random"}, {"=1+1": SLIPPERY}, [2**63 - 1], episodes=2)
    with Store.open(tmp_path) as store:
        store.record([(identity, outcome)], store.add_provenance({}))
        store.add_experiment(LINE_BREAK, "", settings, (), [(key, LINE_BREAK, "=1+1", 2**63 - 1)])
    trials, episodes = export(tmp_path, format=file_format, curves=True)
    frame, rows = read(trials), read(episodes)
    assert bits(frame["greedy_mean_return"]) == bits([value])
    assert frame.loc[0, ["experiment", "agent", "environment", "seed"]].tolist() == [
        LINE_BREAK, LINE_BREAK, "=1+1", 2**63 - 1,
    ]  # fmt: skip
    assert frame[["train_mean_return", "loop"]].isna().all(axis=None)
    assert bits(rows["return"]) == bits([value, -0.0])
    assert rows["length"].tolist() == [2**62, 1]
    assert rows["agent"].tolist() == [LINE_BREAK] * 2


def test_only_the_latest_of_experiments_of_one_name_is_exported(tmp_path):
    for discount in (0.5, 0.7):
        vd.compare({"learner": f"q_learning(discount={discount})"}, LAKE, seeds=1, episodes=3, out=tmp_path, workers=0)
    frame = read(*export(tmp_path))
    assert frame["key"].tolist() == [Results.load(tmp_path).records[0].key]


def test_the_command_prints_the_paths(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(folder), "--format", "csv", "--out", "there", "--curves", "--experiment", "second"]) == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == (f"{Path('there/trials.csv')}\n{Path('there/curves.csv')}\n", "")
    assert len(read(Path("there/trials.csv"))) == 3
    assert main(["export", str(folder), "--format", "parquet", "--out", "there"]) == 0
    assert sorted(path.name for path in Path("there").iterdir()) == ["curves.csv", "trials.csv", "trials.parquet"]


def test_files_go_beside_the_store_by_default(tmp_path):
    vd.compare("random", LAKE, seeds=1, episodes=3, out=tmp_path, workers=0)
    assert export(tmp_path, curves=True) == [tmp_path / "trials.csv", tmp_path / "curves.csv"]
    assert (tmp_path / "curves.csv").read_text().count("\n") == 4


@pytest.mark.parametrize("file_format", FORMATS)
def test_files_of_before_stay_where_the_store_is_damaged(tmp_path, file_format):
    vd.compare("random", LAKE, seeds=3, episodes=3, out=tmp_path, workers=0)
    paths = export(tmp_path, format=file_format, out=tmp_path / "files", curves=True)
    before = [path.read_bytes() for path in paths]
    with Store.open(tmp_path) as store:
        store.connection.execute("UPDATE curves SET returns = lengths WHERE key = (SELECT max(key) FROM curves)")
    with pytest.raises(StoreError, match="is damaged: the curves of trial"):
        export(tmp_path, format=file_format, out=tmp_path / "files", curves=True)
    assert [path.read_bytes() for path in paths] == before
    assert sorted((tmp_path / "files").iterdir()) == sorted(paths)


@pytest.mark.parametrize("file_format", FORMATS)
def test_files_of_before_stay_where_the_disk_is_full(folder, tmp_path, monkeypatch, file_format):
    paths = export(folder, format=file_format, out=tmp_path, curves=True)
    before = [path.read_bytes() for path in paths]

    def full(file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ExperimentError, match=r"^cannot write to .*: No space left on device$"):
        export(folder, format=file_format, out=tmp_path, curves=True)
    assert [path.read_bytes() for path in paths] == before
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_a_file_is_seen_whole_or_not_at_all(folder, tmp_path):
    (path,) = export(folder, out=tmp_path)
    whole, seen, stop = path.read_bytes(), set(), threading.Event()

    def watch():
        while not stop.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=watch)
    reader.start()
    for _ in range(20):
        export(folder, out=tmp_path)
    stop.set()
    reader.join()
    assert seen == {whole}


def test_what_cannot_be_exported_is_refused(folder, tmp_path, monkeypatch, capsys):
    with pytest.raises(StoreError, match="no store of trials"):
        export(tmp_path)
    with pytest.raises(StoreError, match="no experiment 'frist': did you mean 'first'"):
        export(folder, out=tmp_path, experiment="frist")
    with pytest.raises(ExperimentError, match="unknown format 'parket': did you mean 'parquet'"):
        export(folder, out=tmp_path, format="parket")
    (tmp_path / "file").touch()
    with pytest.raises(ExperimentError, match="cannot write to"):
        export(folder, out=tmp_path / "file")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main(["export", str(folder), "--out", str(tmp_path), "--format", "parquet"]) == 2
    line = "velodrome: format parquet needs pyarrow: pip install 'velodrome[parquet]'\n"
    assert capsys.readouterr().err == line
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_nothing_is_written_to_the_store(folder, tmp_path):
    before = (folder / "trials.sqlite").read_bytes()
    export(folder, out=tmp_path, curves=True)
    assert (folder / "trials.sqlite").read_bytes() == before
