"""`velodrome repair`: a damaged store loses exactly what is damaged, says what it was, and gets it back."""

import contextlib
import shutil
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
from made_up import settings_of

import velodrome as vd
from velodrome.experiments.cli.application import main
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.storage.episode_curves import EpisodeCurves
from velodrome.experiments.storage.store import STORE_FILE, DamagedStoreError, Store, StoreError, TrialIdentity
from velodrome.experiments.storage.store_file import PAGE_BYTES
from velodrome.experiments.storage.store_owner import StoreOwner
from velodrome.experiments.storage.store_schema import METRICS, STORED_COLUMNS
from velodrome.experiments.storage.trial_key import key_of_specification
from velodrome.experiments.storage.trial_outcome import TrialOutcome

pytestmark = pytest.mark.filterwarnings("ignore:.*too few to tell better")

NUMBER = 400
DAMAGED = 7
WRONG_STEPS = "UPDATE trials SET measures = json_set(measures, '$.steps', 8)"
# Whatever a column holds, something else.
OTHERWISE = "CASE WHEN typeof({0}) IN ('text', 'blob') THEN 'x' || substr({0}, 2) || 'y' ELSE coalesce({0}, 0) + 1 END"


def ended(seed):
    """A trial with made-up results."""
    specification = f'{{"seed":{seed}}}'
    curves = EpisodeCurves(np.arange(5.0) + seed, np.arange(5), np.arange(5) > 2)
    metrics = dict.fromkeys(METRICS, 0.5) | {"loop": "generic", "evaluation": "exact", "success_rule": ""}
    metrics |= {"steps": 7, "episodes": 5}
    outcome = TrialOutcome(key_of_specification(specification), "done", metrics | {"train_seconds": 1.0}, curves.pack())
    return TrialIdentity(specification, "agent", "environment", seed), outcome


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of an undamaged store."""
    folder = tmp_path_factory.mktemp("whole")
    with Store.open(folder) as store:
        outcomes = [ended(seed) for seed in range(NUMBER)]
        store.record(outcomes, store.add_provenance({"versions": {}, "command": ["velodrome"]}))
        settings = settings_of({"A": "agent"}, {"E": "environment"}, range(NUMBER))
        trials = [(outcome.key, "A", "E", seed) for seed, (_, outcome) in enumerate(outcomes)]
        store.add_experiment("made up", "", settings, (), trials)
    return folder


@pytest.fixture
def damaged(whole, tmp_path):
    """Makes a damaged copy of the store by an SQL statement, or by other bytes from an offset on."""

    def damage(statement="", offset=0, content=b""):
        folder = tmp_path / "damaged"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        shutil.copy(whole / STORE_FILE, folder)
        if statement:
            with contextlib.closing(sqlite3.connect(folder / STORE_FILE, isolation_level=None)) as connection:
                connection.execute("PRAGMA ignore_check_constraints = ON")
                connection.execute(statement)
        if content:
            with (folder / STORE_FILE).open("rb+") as file:
                file.seek(offset)
                file.write(content)
        return folder

    return damage


def rows(folder):
    with Store.open_for_reading(folder) as store:
        assert len(list(store.curves(store.keys()))) == len(store.keys())
        return store.trials(store.keys())


def refusal(capsys, *arguments):
    assert main([str(argument) for argument in arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_one_damaged_column_costs_one_trial(whole, damaged):
    undamaged = rows(whole)
    key = ended(DAMAGED)[1].key
    for column in STORED_COLUMNS:
        folder = damaged(f"UPDATE trials SET {column} = {OTHERWISE.format(column)} WHERE key = '{key}'")
        repair = vd.repair(folder)
        lost = [(trial.key, trial.agent, trial.environment, trial.seed) for trial in repair.lost]
        assert (column, lost, repair.remarks) == (column, [(key, "A", "E", DAMAGED)], ())
        assert repair.kept == NUMBER - 1
        assert rows(folder) == {other: row for other, row in undamaged.items() if other != key}


@pytest.mark.parametrize("column", ["key", "returns", "lengths", "successes"])
def test_a_damaged_curve_costs_its_trial(column, damaged):
    folder = damaged(f"UPDATE curves SET {column} = {OTHERWISE.format(column)} WHERE rowid = {DAMAGED + 1}")
    assert [trial.seed for trial in vd.repair(folder).lost] == [DAMAGED]
    assert len(rows(folder)) == NUMBER - 1


@pytest.mark.parametrize("table", ["experiments", "experiment_trials", "provenance"])
def test_no_trial_is_lost_by_what_only_describes_it(table, damaged, whole):
    columns = {
        "experiments": ["name", "description", "settings", "warnings", "digest", "run_number", "checksum"],
        "experiment_trials": ["key", "agent", "environment", "seed"],
        "provenance": ["content", "checksum"],
    }
    for column in columns[table]:
        where = "position = 5" if table == "experiment_trials" else "id = 1"
        folder = damaged(f"UPDATE {table} SET {column} = {OTHERWISE.format(column)} WHERE {where}")
        repair = vd.repair(folder)
        assert (column, repair.kept, repair.lost) == (column, NUMBER, ())
        assert rows(folder) == rows(whole)
        if column != "digest":
            assert repair.remarks
        with Store.open_for_reading(folder) as store:
            is_kept = column in ("digest", "run_number", "checksum", "content")
            assert store.experiments() == (["made up"] if is_kept else [])


@pytest.mark.parametrize("content", [bytes(PAGE_BYTES), b"\xa5" * PAGE_BYTES], ids=["zeros", "other bytes"])
def test_a_broken_page_costs_what_stood_on_it(content, whole, damaged):
    undamaged = rows(whole)
    size = len(content)
    pages = (whole / STORE_FILE).stat().st_size // size
    lost = []
    # Not the first, on which the schema stands.
    for page in range(3, pages, 5):
        folder = damaged(offset=size * page, content=content)
        repair = vd.repair(folder)
        kept = rows(folder)
        assert kept.items() <= undamaged.items()
        assert {trial.key for trial in repair.lost} == undamaged.keys() - kept.keys()
        lost.append(len(repair.lost))
    assert max(lost) < NUMBER / 6
    assert sum(lost) > 0


@pytest.mark.slow
def test_flipped_bytes_cost_at_most_a_page_and_never_give_another_row(whole, damaged):
    undamaged = rows(whole)
    size = (whole / STORE_FILE).stat().st_size
    draw = np.random.default_rng(6)
    for offset in draw.integers(2 * PAGE_BYTES, size, 25):
        byte = (whole / STORE_FILE).read_bytes()[offset] ^ int(draw.integers(1, 256))
        folder = damaged(offset=int(offset), content=bytes([byte]))
        vd.repair(folder)
        kept = rows(folder)
        assert kept.items() <= undamaged.items()
        assert len(kept) > NUMBER - 40


def test_every_command_that_reads_names_the_repair_and_works_after_it(damaged, capsys):
    folder = damaged(f"{WRONG_STEPS} WHERE seed = {DAMAGED}")
    reading = [("table",), ("plot",), ("report",), ("verify", "--workers", "0"), ("export",)]
    for command, *options in reading:
        line = refusal(capsys, command, folder, *options)
        assert "is damaged: trial" in line
        assert line.endswith(f"`velodrome repair {folder}` keeps all that is whole")
    assert main(["repair", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"dropped: A on E, seed {DAMAGED}",
        f"the damaged file is kept as {folder / 'trials.damaged.sqlite'}",
        f"{NUMBER - 1} trials kept, 1 dropped; `velodrome compare` runs what was dropped again",
    ]
    assert main(["export", str(folder)]) == 0
    assert main(["repair", str(folder)]) == 0
    assert capsys.readouterr().out.endswith(f"nothing is damaged: {NUMBER - 1} trials kept\n")


def test_nothing_is_written_where_nothing_is_damaged(whole):
    before = (whole / STORE_FILE).read_bytes()
    assert vd.repair(whole) == vd.repair(whole)
    assert (whole / STORE_FILE).read_bytes() == before
    assert [path.name for path in whole.iterdir()] == [STORE_FILE]


def test_compare_runs_what_was_dropped_and_gives_what_was_there(tmp_path):
    def compare():
        return vd.compare(["q_learning", "random"], "FrozenLake-v1", seeds=4, episodes=20, out=tmp_path, workers=0)

    compare()
    undamaged = rows(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / STORE_FILE, isolation_level=None)) as connection:
        set_return = "UPDATE trials SET measures = json_set(measures, '$.greedy_mean_return', 1)"
        connection.execute(f"{set_return} WHERE seed = 2 AND agent LIKE 'q_learning%'")
    with pytest.raises(DamagedStoreError, match="velodrome repair"):
        compare()
    assert [(trial.agent, trial.seed) for trial in vd.repair(tmp_path).lost] == [("q_learning", 2)]
    assert len(compare().records) == 8
    content = {key: (row["steps"], row["greedy_mean_return"]) for key, row in rows(tmp_path).items()}
    assert content == {key: (row["steps"], row["greedy_mean_return"]) for key, row in undamaged.items()}


KILLED = """
import importlib, os, sys
repair = importlib.import_module("velodrome.experiments.storage.repair")
name = sys.argv[2]
module = os if name == "replace" else repair
setattr(module, name, lambda *given: os._exit(9))
repair.repair(sys.argv[1])
"""


@pytest.mark.parametrize("moment", ["_Salvage", "_check", "_set_aside", "replace"])
def test_a_kill_during_the_repair_loses_nothing(moment, damaged, whole):
    folder = damaged(f"{WRONG_STEPS} WHERE seed = {DAMAGED}")
    program = KILLED if moment != "_check" else KILLED.replace("setattr(", "repair._is_whole = lambda _: 0; setattr(")
    done = subprocess.run([sys.executable, "-c", program, str(folder), moment], check=False, timeout=300)
    assert done.returncode == 9
    repair = vd.repair(folder)
    assert (repair.kept, [trial.seed for trial in repair.lost]) == (NUMBER - 1, [DAMAGED])
    assert not list(folder.glob(".velodrome-*"))


def test_a_store_in_use_is_not_repaired(damaged, capsys):
    folder = damaged(f"{WRONG_STEPS} WHERE seed = {DAMAGED}")
    program = "import sys; from pathlib import Path; from velodrome.experiments.storage.store_owner import StoreOwner\n"
    program += "with StoreOwner(Path(sys.argv[1])): print('runs', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "runs\n"
        assert "is in use by a run of this machine" in refusal(capsys, "repair", folder)
        other.communicate()
    assert main(["repair", str(folder)]) == 0
    assert StoreOwner(folder).name


@pytest.mark.parametrize("content", [b"These are my notes.\n" * 100, b""], ids=["text", "nothing"])
def test_what_is_no_store_is_left_alone(content, tmp_path):
    (tmp_path / STORE_FILE).write_bytes(content)
    with pytest.raises(StoreError, match=r"not an SQLite database|holds no trials yet"):
        vd.repair(tmp_path)
    assert (tmp_path / STORE_FILE).read_bytes() == content


# A published digest


def test_a_table_checks_a_published_digest(damaged, capsys):
    folder = damaged()
    with Store.open_for_reading(folder) as store:
        digest = store.content_digest()
    assert main(["table", str(folder), "--format", "csv", "--digest", digest.upper()]) == 0
    assert capsys.readouterr().out
    line = refusal(capsys, "table", folder, "--digest", "0" * 64)
    assert line == f"velodrome: {folder / STORE_FILE} has the content digest {digest}, not {'0' * 64}"
    assert "64 hexadecimal digits" in refusal(capsys, "table", folder, "--digest", digest[:-1])
    assert "of one store, got 2 folders" in refusal(capsys, "table", folder, folder, "--digest", digest)
    assert issubclass(DamagedStoreError, ExperimentError)
