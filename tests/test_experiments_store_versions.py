"""Stores of earlier releases, and what the store of this one holds beyond theirs: further measures and curves."""

import contextlib
import gzip
import json
import math
import sqlite3
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up import settings_of

import velodrome as vd
from velodrome.agents.training_log import Curve
from velodrome.experiments.cli.application import main
from velodrome.experiments.results.results import Results
from velodrome.experiments.running import trial_runner
from velodrome.experiments.storage.episode_curves import EpisodeCurves
from velodrome.experiments.storage.store import STORE_FILE, DamagedStoreError, Store, StoreError, TrialIdentity
from velodrome.experiments.storage.store_schema import APPLICATION_ID, METRICS, SCHEMA_VERSION
from velodrome.experiments.storage.trial_key import key_of_specification
from velodrome.experiments.storage.trial_outcome import TrialOutcome
from velodrome.experiments.storage.trial_rows import further_measures

pytestmark = pytest.mark.filterwarnings("ignore:.*too few to tell better", "ignore:.*trials? failed")

# Two agents on two environments with three seeds each, of which one trial failed, and a second experiment that was
# killed, written by the last release with version 2 of the schema.
EARLIER = Path(__file__).parent / "data" / "store_of_version_2.sqlite.gz"
EARLIER_DIGEST = "3318da68e861be25a9dac6dc66d7cc88b2d19b13c037d568638ab953885191c6"
FROZENLAKE_DIGEST = "d0be8524305981ff85ea2fc180db2056fe359c3956b918850d865dd2a6cd0ce2"
AGENTS = {"Q-learning": "q_learning(discount=0.9)", "SARSA": "sarsa(policy=softmax(temperature=0.5))"}
ENVIRONMENTS = {"lake": "FrozenLake-v1(is_slippery=False)", "pole": "discretize(CartPole-v1, bins=2)"}


@pytest.fixture
def earlier(tmp_path, request):
    """Folder of a store that an earlier release wrote, with version 2 of the schema or with the one asked for."""
    folder = tmp_path / "earlier"
    folder.mkdir()
    (folder / STORE_FILE).write_bytes(gzip.decompress(EARLIER.read_bytes()))
    if getattr(request, "param", 2) == 1:
        with contextlib.closing(sqlite3.connect(folder / STORE_FILE, isolation_level=None)) as connection:
            # The first version lacks the view alone.
            connection.execute("DROP VIEW results")
            connection.execute("PRAGMA user_version = 1")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder


def everything(store):
    keys = store.keys()
    curves = {key: (one.returns.tobytes(), one.lengths.tobytes()) for key, one in store.curves(keys)}
    return store.content_digest(), store.trials(keys), curves, [store.experiment(name) for name in store.experiments()]


def version_of(folder):
    with contextlib.closing(sqlite3.connect(folder / STORE_FILE)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


def test_an_earlier_store_is_read_as_it_is_and_nothing_is_written_to_it(earlier, tmp_path, capsys):
    before = (earlier / STORE_FILE).read_bytes()
    with Store.open_for_reading(earlier) as store:
        assert store.content_digest() == EARLIER_DIGEST
        assert list(store.measured_curves(store.keys())) == []
        rows = store.trials(store.keys())
    assert sum(row["status"] == "failed" for row in rows.values()) == 1
    assert [row["error"] for row in rows.values() if row["error"]] == ["RuntimeError: the pole broke"]
    results = Results.load(earlier, "whole")
    assert results.description == "Stored by an earlier release."
    assert len(results.records) == 12
    assert any("generic loop" in note for note in results.notes)
    assert len(Results.load(earlier, "interrupted").records) == 3
    out = tmp_path / "out"
    assert main(["table", str(earlier), "--experiment", "whole", "--digest", EARLIER_DIGEST]) == 0
    assert "Q-learning" in capsys.readouterr().out
    places = {"export": out, "plot": out / "whole.png", "report": out / "whole.html"}
    for command, place in places.items():
        options = ["--curves"] if command == "export" else ["--experiment", "whole"]
        assert main([command, str(earlier), "--out", str(place), *options]) == 0
    assert {"trials.csv", "curves.csv"} <= {path.name for path in out.iterdir()}
    assert len(pd.read_csv(out / "trials.csv")) == 15
    assert not (out / "measured.csv").exists()
    assert vd.repair(earlier).damaged_file is None
    assert (earlier / STORE_FILE).read_bytes() == before


@pytest.mark.parametrize("earlier", [2, 1], indirect=True)
def test_an_earlier_store_on_a_disk_that_cannot_be_written_is_read(earlier):
    if subprocess.run(["mount", "--bind", earlier, earlier], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let us mount")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", earlier], capture_output=True, check=True)
        with Store.open_for_reading(earlier) as store:
            assert store.content_digest() == EARLIER_DIGEST
        with pytest.raises(StoreError, match=STORE_FILE):
            Store.open(earlier)
    finally:
        subprocess.run(["umount", earlier], capture_output=True, check=True)


@pytest.mark.parametrize("earlier", [2, 1], indirect=True)
def test_opening_an_earlier_store_for_writing_migrates_it_and_loses_nothing(earlier):
    with Store.open_for_reading(earlier) as store:
        before = everything(store)
    with Store.open_for_reading(earlier) as reader, Store.open(earlier) as store:
        assert everything(store) == before
        # A reader that was there goes on.
        assert everything(reader) == before
        assert store.connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    assert version_of(earlier) == SCHEMA_VERSION == 3
    with Store.open_for_reading(earlier) as store:
        assert everything(store) == before
        view = pd.read_sql("SELECT * FROM results", store.connection)
    assert len(view) == 15
    assert {*METRICS, "experiment", "status", "train_seconds", "key"} <= set(view.columns)


def test_the_command_that_wrote_an_earlier_store_runs_only_what_is_missing(earlier, monkeypatch):
    ran, run_trial = [], trial_runner.run_trial

    def counted(label, *given, **options):
        ran.append(label)
        return run_trial(label, *given, **options)

    monkeypatch.setattr(trial_runner, "run_trial", counted)
    common = {"seeds": 3, "evaluation_episodes": 3, "workers": 0, "out": earlier}
    description = "Stored by an earlier release."
    results = vd.compare(AGENTS, ENVIRONMENTS, episodes=20, name="whole", description=description, **common)
    assert (len(results.records), ran) == (12, [])
    assert version_of(earlier) == SCHEMA_VERSION
    with Store.open_for_reading(earlier) as store:
        assert store.content_digest() == EARLIER_DIGEST
    assert len(vd.compare(AGENTS, ENVIRONMENTS["lake"], episodes=30, name="interrupted", **common).records) == 6
    assert ran == ["SARSA"] * 3


def test_an_earlier_store_is_verified(earlier):
    verdict = vd.verify(earlier, experiment="interrupted", workers=0)
    assert verdict.content_digest == EARLIER_DIGEST
    assert (verdict.reproduced, verdict.differing) == (3, ())


@pytest.mark.parametrize("earlier", [2, 1], indirect=True)
@pytest.mark.parametrize("is_migrated", [False, True])
def test_an_earlier_store_is_repaired(earlier, is_migrated):
    if is_migrated:
        Store.open(earlier).close()
    with Store.open_for_reading(earlier) as store:
        undamaged = store.trials(store.keys())
    damage = "measures = json_set(measures, '$.steps', 8)" if is_migrated else "steps = 8"
    with contextlib.closing(sqlite3.connect(earlier / STORE_FILE, isolation_level=None)) as connection:
        connection.execute(f"UPDATE trials SET {damage} WHERE rowid = 2")
    if not is_migrated:
        # The checksum of a row vouches for it through the migration.
        Store.open(earlier).close()
    with pytest.raises(DamagedStoreError), Store.open_for_reading(earlier) as store:
        store.content_digest()
    repair = vd.repair(earlier)
    assert (repair.kept, [(trial.agent, trial.seed) for trial in repair.lost]) == (14, [("Q-learning", 1)])
    with Store.open_for_reading(earlier) as store:
        assert store.trials(store.keys()).items() <= undamaged.items()


def test_a_broken_page_of_an_earlier_store_costs_what_stood_on_it(earlier):
    with Store.open_for_reading(earlier) as store:
        undamaged = store.trials(store.keys())
    content = (earlier / STORE_FILE).read_bytes()
    lost = []
    for page in range(1, len(content) // 4096):
        (earlier / STORE_FILE).write_bytes(content[: 4096 * page] + bytes(4096) + content[4096 * (page + 1) :])
        vd.repair(earlier)
        with Store.open_for_reading(earlier) as store:
            kept = store.trials(store.keys())
        assert kept.items() <= undamaged.items()
        lost.append(len(undamaged) - len(kept))
        for path in earlier.glob("*damaged*"):
            path.unlink()
    # All curves but one stand on one page.
    assert sorted(lost)[-2] <= 6


KILLED = """
import os, sqlite3, sys
from velodrome.experiments.storage import store_file
from velodrome.experiments.storage.store import Store
connect, left = sqlite3.connect, int(sys.argv[2])

class Killed(sqlite3.Connection):
    def execute(self, statement, *given):
        global left
        left -= 1
        if left == 0:
            os._exit(9)
        return super().execute(statement, *given)

store_file.sqlite3.connect = lambda *given, **options: connect(*given, factory=Killed, **options)
Store.open(sys.argv[1]).close()
"""


def test_a_kill_during_the_migration_leaves_the_earlier_store_or_the_new_one(earlier):
    with Store.open_for_reading(earlier) as store:
        before = everything(store)
    versions = []
    for number in (16, 19, 22, 99):
        done = subprocess.run([sys.executable, "-c", KILLED, earlier, str(number)], check=False, timeout=120)
        versions.append((done.returncode, version_of(earlier)))
        with Store.open_for_reading(earlier) as store:
            assert everything(store) == before
    killed = {version for code, version in versions if code == 9}
    assert min(killed) < SCHEMA_VERSION
    assert versions[-1] == (0, SCHEMA_VERSION)


def test_a_store_whose_columns_hold_what_no_measure_can_is_not_migrated(earlier):
    with contextlib.closing(sqlite3.connect(earlier / STORE_FILE, isolation_level=None)) as connection:
        connection.execute("UPDATE trials SET loop = x'00ff' WHERE rowid = 2")
    with pytest.raises(DamagedStoreError, match=r"the measure 'loop' is a bytes.*velodrome repair"):
        Store.open(earlier)
    assert version_of(earlier) < SCHEMA_VERSION
    assert vd.repair(earlier).kept == 14
    assert version_of(earlier) == SCHEMA_VERSION


def test_the_digest_of_a_comparison_is_that_of_earlier_releases(tmp_path):
    command = ["compare", "frozenlake", "--seeds", "3", "--out", str(tmp_path), "--quiet", "--workers", "0"]
    assert main(command) == 0
    with Store.open_for_reading(tmp_path) as store:
        assert store.content_digest() == FROZENLAKE_DIGEST


# Further measures and curves

FURTHER = {
    "third": 1 / 3,
    "negative zero": -0.0,
    "tiny": 5e-324,
    "most": math.inf,
    "least": -math.inf,
    "nothing": math.nan,
    "whole": 2**63 - 1,
    "one": 1,
    "one point": 1.0,
    "yes": True,
    'in "words"\n': "two\nlines \u0000 없음",
    "numpy": np.float64(0.1),
    "absent": None,
}
CURVES = (
    Curve("loss", "epoch", np.arange(1, 4), np.array([0.1 + 0.2, math.nan, -0.0])),
    Curve("evaluation_return", "step", np.array([1000, 2000]), np.array([math.inf, 1 / 3])),
)


def ended(seed, further=(), measured=()):
    """A trial with made-up results."""
    specification = f'{{"seed":{seed}}}'
    curves = EpisodeCurves(np.arange(5.0) + seed, np.arange(5), np.arange(5) > 2)
    metrics = dict.fromkeys(METRICS, 0.5) | {"loop": "generic", "evaluation": "exact", "success_rule": "", "steps": 7}
    metrics |= {"episodes": 5, "train_seconds": 1.0} | dict(further)
    outcome = TrialOutcome(key_of_specification(specification), "done", metrics, curves.pack(), measured=measured)
    return TrialIdentity(specification, "agent", "environment", seed), outcome


@pytest.fixture
def furthered(tmp_path):
    """Folder of a store of three trials; the second has further measures and curves."""
    outcomes = [ended(0), ended(1, FURTHER, CURVES), ended(2)]
    with Store.open(tmp_path / "store") as store:
        store.record(outcomes, store.add_provenance({"versions": {}, "command": ["velodrome"]}))
        trials = [(outcome.key, "A", "E", seed) for seed, (_, outcome) in enumerate(outcomes)]
        settings = settings_of({"A": "agent"}, {"E": "environment"}, range(3))
        store.add_experiment("made up", "", settings, (), trials)
    return tmp_path / "store"


def exactly(value):
    return struct.pack("<d", value) if isinstance(value, float) else (type(value), value)


def test_further_measures_come_back_to_the_bit(furthered):
    with Store.open_for_reading(furthered) as store:
        rows = store.trials(store.keys())
        without = [further_measures(rows[ended(seed)[1].key]) for seed in (0, 2)]
        found = further_measures(rows[ended(1)[1].key])
        kinds = store.further_measures(store.keys())
        in_sql = dict(
            store.connection.execute(
                "SELECT name, value FROM measures WHERE key = ? AND name IN ('third', 'most', 'steps')",
                (ended(1)[1].key,),
            )
        )
    assert without == [{}, {}]
    expected = {name: value for name, value in FURTHER.items() if value is not None} | {"numpy": 0.1}
    assert {name: exactly(value) for name, value in found.items()} == {
        name: exactly(value) for name, value in expected.items()
    }
    assert (kinds["whole"], kinds["third"], kinds["nothing"], kinds['in "words"\n']) == (
        "INTEGER", "REAL", "REAL", "TEXT",
    )  # fmt: skip
    assert in_sql == {"third": 1 / 3, "most": math.inf, "steps": 7}
    assert len(Results.load(furthered).records) == 3


def test_measures_that_cannot_be_stored_are_refused_in_one_line(tmp_path):
    with Store.open(tmp_path) as store:
        way = store.add_provenance({})
        for further, line in (({"seed": 1}, "no measure can have the name 'seed'"), ({"a": {1, 2}}, "'a' is a set")):
            with pytest.raises(StoreError, match=line):
                store.record([ended(0, further)], way)
        assert store.keys() == []


def test_measured_curves_come_back_to_the_bit(furthered):
    with Store.open_for_reading(furthered) as store:
        ((key, curves),) = store.measured_curves(store.keys())
    assert key == ended(1)[1].key
    assert list(curves) == ["evaluation_return", "loss"]
    for curve in CURVES:
        found = curves[curve.name]
        assert (found.name, found.unit) == (curve.name, curve.unit)
        assert (found.at.dtype, found.at.tolist()) == (np.int64, curve.at.tolist())
        assert (found.values.dtype, found.values.tobytes()) == (np.float64, curve.values.tobytes())


def test_the_digest_tells_further_measures_and_curves_apart(tmp_path):
    def digest(*given):
        with Store.in_memory() as store:
            store.record([ended(0, *given)], store.add_provenance({}))
            return store.content_digest()

    some = [(), ({"a": 1},), ({"a": 1.0},), ({"b": 1},), ((), CURVES), ((), CURVES[:1]), ({"a": 1}, CURVES)]
    assert len({digest(*given) for given in some}) == len(some)
    assert digest() == digest({"absent": None}, ())


def test_results_are_copied_with_further_measures_and_curves(furthered, tmp_path):
    Results.load(furthered).save(tmp_path / "copy")
    with Store.open_for_reading(furthered) as one, Store.open_for_reading(tmp_path / "copy") as other:
        assert one.content_digest() == other.content_digest()
        assert len(list(other.measured_curves(other.keys()))) == 1


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_further_measures_and_curves_are_exported(furthered, tmp_path, file_format):
    trials, _, measured = vd.experiments.storage.export(furthered, format=file_format, out=tmp_path, curves=True)
    assert measured == tmp_path / f"measured.{file_format}"
    read = pd.read_parquet if file_format == "parquet" else pd.read_csv
    table, points = read(trials), read(measured)
    columns = list(table.columns)
    assert columns[columns.index("key") + 1 :] == sorted(set(FURTHER) - {"absent"})
    assert table["third"].isna().tolist() == [True, False, True]
    assert (table["third"][1], table["most"][1], table["one"][1]) == (1 / 3, math.inf, 1)
    assert list(points.columns) == ["experiment", "key", "agent", "environment", "seed", "curve", "unit", "at", "value"]
    assert points["curve"].tolist() == ["evaluation_return"] * 2 + ["loss"] * 3
    assert points["at"].tolist() == [1000, 2000, 1, 2, 3]
    assert points["value"].tolist()[:3] == [math.inf, 1 / 3, 0.1 + 0.2]


DAMAGE = {
    "a name": "UPDATE measured_curves SET name = 'los' WHERE name = 'loss'",
    "a unit": "UPDATE measured_curves SET unit = 'step'",
    "a number": "UPDATE measured_curves SET num_points = 9",
    "places": "UPDATE measured_curves SET at_blob = values_blob",
    "values": "UPDATE measured_curves SET values_blob = substr(values_blob, 2)",
    "text": "UPDATE measured_curves SET values_blob = 'text'",
    "a key": "UPDATE measured_curves SET key = 'other' WHERE name = 'loss'",
    "one gone": "DELETE FROM measured_curves WHERE name = 'loss'",
    "all gone": "DELETE FROM measured_curves",
    "the checksum": "UPDATE trials SET measured_sha256 = 'x' WHERE measured_sha256 IS NOT NULL",
    "no checksum": "UPDATE trials SET measured_sha256 = NULL",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_measured_curves_cost_their_trial(damage, furthered):
    with Store.open(furthered) as store:
        store.connection.execute(DAMAGE[damage])
        with pytest.raises(DamagedStoreError):
            store.content_digest()
    repair = vd.repair(furthered)
    assert (repair.kept, [trial.seed for trial in repair.lost]) == (2, [1])
    with Store.open(furthered) as store:
        assert list(store.measured_curves(store.keys())) == []
        # It can be run and stored again.
        store.record([ended(1, FURTHER, CURVES)], store.add_provenance({}))
        assert len(list(store.measured_curves(store.keys()))) == 1
        assert len(list(store.curves(store.keys()))) == 3


@pytest.mark.parametrize(
    ("blob", "number"),
    [
        (zlib.compress(bytes(400_000_000), 9), 3),
        (zlib.compress(bytes(24)), 2**62),
        (zlib.compress(bytes(24)), -3),
        (zlib.compress(bytes(24))[:-1], 3),
        (b"", 3),
        (b"no stream", 3),
    ],
)
def test_measured_curves_take_no_more_memory_than_their_points(furthered, monkeypatch, blob, number):
    import tracemalloc

    monkeypatch.setattr("velodrome.experiments.storage.store.measured_sha256", lambda _: "x")
    with Store.open(furthered) as store:
        store.connection.execute("UPDATE trials SET measured_sha256 = 'x' WHERE measured_sha256 IS NOT NULL")
        store.connection.execute("UPDATE measured_curves SET values_blob = ?, num_points = ?", (blob, number))
        tracemalloc.start()
        try:
            with pytest.raises(StoreError, match=r"is damaged: trial .* points of"):
                list(store.measured_curves(store.keys()))
            assert tracemalloc.get_traced_memory()[1] < 20_000_000
        finally:
            tracemalloc.stop()


def test_what_a_later_release_measures_is_kept(furthered, tmp_path):
    with Store.open(furthered) as store:
        (text,) = store.connection.execute("SELECT measures FROM trials WHERE seed = 0").fetchone()
    later = json.dumps(json.loads(text) | {"layers": [1, 2]}, sort_keys=True)
    with Store.in_memory() as store:
        store.record([ended(0, {"layers": [1, 2]})], store.add_provenance({}))
        (row,) = store.trials(store.keys()).values()
        assert row["layers"] == [1, 2]
        assert json.loads(store.connection.execute("SELECT measures FROM trials").fetchone()[0]) == json.loads(later)
