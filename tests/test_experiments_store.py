"""A store that is damaged, foreign, newer, older, read-only or full: a line that says so, and never a wrong table."""

import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import velodrome as vd
from velodrome import agents, policies
from velodrome.experiments.cli.application import main
from velodrome.experiments.results.results import Results
from velodrome.experiments.storage.episode_curves import EpisodeCurves
from velodrome.experiments.storage.store import STORE_FILE, Store, StoreError, TrialIdentity
from velodrome.experiments.storage.store_schema import METRICS, SCHEMA_VERSION
from velodrome.experiments.storage.trial_key import TrialKeys, key_of_specification
from velodrome.experiments.storage.trial_outcome import TrialOutcome
from velodrome.experiments.trials.trial import Budget

pytestmark = pytest.mark.filterwarnings("ignore:.*too few to tell better", "ignore:.*trials failed")

AGENTS = {"q": "q_learning(discount=0.9)", "unsure": "sarsa(policy=softmax(temperature=0.5))"}
ENVIRONMENTS = {
    "lake": "FrozenLake-v1(is_slippery=False)",
    "corridor": "hostile_environments:HostileCorridor-v0",
    "lava": "hostile_environments:Hostile-v0(mischief='raise')",
}


def compare(out, **changes):
    options = {"seeds": 3, "episodes": 20, "evaluation_episodes": 3, "workers": 0}
    return vd.compare(AGENTS, ENVIRONMENTS, out=out, **(options | changes))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a store with trials that are done and trials that failed, all in its one file."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.warns(UserWarning, match="too few"):
        compare(folder)
    assert not list(folder.glob("*-wal"))
    return folder


def contents(folder):
    """What a reader can see of a store."""
    with Store.open_for_reading(folder) as store:
        digest = store.content_digest()
    results = Results.load(folder)
    table = results.table(full=True).to_csv()
    curves = [
        (curve.returns.tobytes(), curve.lengths.tobytes())
        for environment in results.environments
        for agent in results.agents
        for curve in results.episode_curves(environment, agent)
    ]
    rest = results.settings, results.name, results.description, results.warnings, results.provenance, results.notes
    return digest, table, repr(results.records), curves, rest


def contents_or_refusal(folder):
    """What a reader can see, or the line with which the store is refused."""
    try:
        return contents(folder)
    except StoreError as error:
        line = str(error)
    assert "\n" not in line
    assert STORE_FILE in line
    return line


def copy_of(whole, folder, content=None):
    folder.mkdir(exist_ok=True)
    path = folder / STORE_FILE
    for left in folder.glob(f"{STORE_FILE}*"):
        left.unlink()
    path.write_bytes((whole / STORE_FILE).read_bytes() if content is None else content)
    return path


def refuses(capsys, *arguments):
    """The one line on standard error with which a command refuses."""
    assert main([str(argument) for argument in arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("velodrome: ")
    return lines[0]


@pytest.fixture
def experiment(tmp_path):
    file = tmp_path / "experiment.toml"
    file.write_text('agents = ["random"]\nenvironments = ["FrozenLake-v1"]\nepisodes = 5\nseeds = 5\nname = "x"\n')
    return file


# Damage


@pytest.mark.slow
def test_a_flipped_byte_gives_the_same_table_or_a_refusal(whole, tmp_path):
    _flip(whole, tmp_path, number=300, seed=1)


@pytest.mark.slow
def test_ten_times_as_many_flipped_bytes(whole, tmp_path):
    _flip(whole, tmp_path, number=3000, seed=2)


def _flip(whole, tmp_path, number, seed):
    undamaged = contents(whole)
    content = (whole / STORE_FILE).read_bytes()
    draw = np.random.default_rng(seed)
    # The file's header, then anywhere.
    offsets = [*range(100), *(int(offset) for offset in draw.integers(100, len(content), number))]
    refused = 0
    for offset in offsets:
        flipped = bytearray(content)
        flipped[offset] ^= int(draw.integers(1, 256))
        copy_of(whole, tmp_path / "flipped", bytes(flipped))
        seen = contents_or_refusal(tmp_path / "flipped")
        assert isinstance(seen, str) or seen == undamaged, f"byte {offset}"
        refused += isinstance(seen, str)
    print(f"{refused} of {len(offsets)} refused")
    assert refused > len(offsets) / 4


def test_a_flipped_byte_is_refused_or_repaired_by_compare(whole, tmp_path):
    undamaged = contents(whole)
    content = (whole / STORE_FILE).read_bytes()
    draw = np.random.default_rng(3)
    for offset in [*range(15, 100, 8), *(int(offset) for offset in draw.integers(100, len(content), 30))]:
        flipped = bytearray(content)
        flipped[offset] ^= int(draw.integers(1, 256))
        path = copy_of(whole, tmp_path / "flipped", bytes(flipped))
        with contextlib.suppress(StoreError):
            compare(path.parent)
            seen = contents_or_refusal(path.parent)
            assert isinstance(seen, str) or seen[:2] == undamaged[:2], f"byte {offset}"


def test_a_flipped_byte_in_the_log_never_changes_what_was_stored(tmp_path):
    folder = tmp_path / "store"
    store, other = Store.open(folder), Store.open(folder)
    way = store.add_provenance({})
    for seed in range(4):
        store.record([ended(seed)], way)
    log = Path(f"{folder / STORE_FILE}-wal").read_bytes()
    main_file = (folder / STORE_FILE).read_bytes()
    rows = store.trials(store.keys())
    store.close()
    other.close()
    draw = np.random.default_rng(4)
    for offset in draw.integers(0, len(log), 60):
        flipped = bytearray(log)
        flipped[offset] ^= int(draw.integers(1, 256))
        path = copy_of(folder, tmp_path / "flipped", main_file)
        Path(f"{path}-wal").write_bytes(flipped)
        with contextlib.suppress(StoreError), Store.open_for_reading(path.parent) as damaged:
            assert damaged.trials(damaged.keys()).items() <= rows.items()


def test_a_truncated_store_is_refused(whole, tmp_path):
    content = (whole / STORE_FILE).read_bytes()
    page = int.from_bytes(content[16:18], "big")
    lengths = [1, 15, 16, 50, 99, 100, 500, page - 1, len(content) - page, len(content) - 1]
    lengths += range(page, len(content), page)
    lengths += [int(length) for length in np.random.default_rng(5).integers(1, len(content), 50)]
    for length in lengths:
        copy_of(whole, tmp_path / "cut", content[:length])
        assert isinstance(contents_or_refusal(tmp_path / "cut"), str), f"{length} bytes"
        with pytest.raises(StoreError, match="is damaged"), Store.open(tmp_path / "cut") as store:
            store.content_digest()


FOREIGN = {
    "text": lambda path: path.write_text("These are my notes.\n" * 100),
    "short text": lambda path: path.write_text("notes"),
    "zeros": lambda path: path.write_bytes(bytes(8192)),
    "another database": lambda path: other_database(path),
    "another program's database": lambda path: other_database(path, "PRAGMA application_id = 7"),
    "a newer store": lambda path: newer_store(path),
    "a folder": lambda path: path.mkdir(),
}


def other_database(path, *statements):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for statement in ("CREATE TABLE trials (key, name)", "INSERT INTO trials VALUES (1, 'mine')", *statements):
            connection.execute(statement)
        connection.commit()


def newer_store(path):
    Store.open(path.parent).close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_not_our_store_is_refused_and_left_as_it_is(kind, tmp_path, capsys, experiment):
    folder = tmp_path / "out"
    folder.mkdir()
    path = folder / STORE_FILE
    FOREIGN[kind](path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreError, match=STORE_FILE):
        Results.load(folder)
    lines = [refuses(capsys, "table", folder), refuses(capsys, "compare", experiment, "--out", folder)]
    assert all(str(path) in line or "no store of trials" in line for line in lines)
    if kind == "a newer store":
        assert all(f"version {SCHEMA_VERSION + 1}" in line and "newer" in line for line in lines)
    assert before is None or path.read_bytes() == before
    assert sorted(file.name for file in folder.iterdir() if file.suffix != ".lock") == [STORE_FILE]


def test_an_empty_file_is_a_new_store(tmp_path, capsys):
    (tmp_path / STORE_FILE).touch()
    assert "holds no trials yet" in refuses(capsys, "table", tmp_path)
    Store.open(tmp_path).close()
    with pytest.raises(StoreError, match="holds no experiment"):
        Results.load(tmp_path)


def test_a_missing_store_is_named_with_the_folder_above_that_has_one(whole, tmp_path, capsys):
    assert f"no store of trials in {tmp_path}" in refuses(capsys, "table", tmp_path)
    (whole / "inside").mkdir(exist_ok=True)
    assert refuses(capsys, "table", whole / "inside").endswith(f"did you mean {whole}?")


def test_an_unknown_experiment_is_named_with_the_closest(whole, capsys):
    assert "did you mean 'comparison'" in refuses(capsys, "table", whole, "--experiment", "comparisson")


def ended(seed, status="done"):
    """A trial with made-up results."""
    specification = f'{{"seed":{seed}}}'
    key = key_of_specification(specification)
    identity = TrialIdentity(specification, "agent", "environment", seed)
    if status != "done":
        return identity, TrialOutcome(key, status, error="it broke", error_place="somewhere.py:1 in step")
    curves = EpisodeCurves(np.arange(5.0) + seed, np.arange(5), np.arange(5) > 2)
    metrics = dict.fromkeys(METRICS, 0.5) | {
        "loop": "generic",
        "evaluation": "exact",
        "success_rule": "",
        "steps": 7,
        "episodes": 5,
    }
    return identity, TrialOutcome(key, "done", metrics | {"train_seconds": 1.0}, curves.pack(), ("a note",))


# Places that cannot be written


def test_a_folder_that_cannot_be_written_is_named(tmp_path, capsys, experiment):
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    assert f"--out {in_the_way}" in refuses(capsys, "compare", experiment, "--out", in_the_way)
    with pytest.raises(StoreError, match="file"):
        compare(in_the_way)
    for place in ("/proc/velodrome", "/dev/null/velodrome"):
        assert f"--out {place}" in refuses(capsys, "compare", experiment, "--out", place)


def test_a_store_on_a_read_only_file_system_can_be_read(whole, tmp_path):
    place = tmp_path / "read-only"
    place.mkdir()
    copy_of(whole, place)
    if subprocess.run(["mount", "--bind", place, place], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let us mount")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", place], capture_output=True, check=True)
        assert contents(place) == contents(whole)
        with pytest.raises(StoreError, match=STORE_FILE):
            compare(place, seeds=4)
    finally:
        subprocess.run(["umount", place], capture_output=True, check=True)


def test_a_full_store_says_so_and_keeps_what_it_has(tmp_path):
    with Store.open(tmp_path) as store:
        way = store.add_provenance({})
        store.record([ended(0)], way)
        pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
        store.connection.execute(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(StoreError, match=r"trials.sqlite: database or disk is full"):
            store.record([ended(seed) for seed in range(1, 200)], way)
        assert store.keys() == [ended(0)[1].key]
    with Store.open(tmp_path) as store:
        store.record([ended(1)], way)
        assert len(store.keys()) == 2


FULL_DISK = """
import resource, sys, warnings
warnings.simplefilter("ignore")
from velodrome.experiments.cli.application import main
code = main(["compare", sys.argv[1], "--out", sys.argv[2], "--seeds", "5", "--quiet", "--workers", "0"])
assert code == 0, code
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
sys.exit(main(["compare", sys.argv[1], "--out", sys.argv[2], "--seeds", "40", "--quiet", "--workers", "1"]))
"""


def test_a_disk_that_runs_full_ends_the_run_with_one_line_and_loses_nothing(tmp_path, experiment):
    experiment.write_text(experiment.read_text().replace("episodes = 5", "episodes = 8000"))
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, experiment, out], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert str(out / STORE_FILE) in line
    with Store.open_for_reading(out) as store:
        assert len(store.keys("done")) >= 5
        assert len(list(store.curves(store.keys()))) == len(store.keys())
    assert main(["compare", str(experiment), "--out", str(out), "--seeds", "40", "--quiet", "--workers", "1"]) == 0
    with Store.open_for_reading(out) as store:
        assert len(store.keys("done")) == 40


# What is stored is what was found


def test_stored_rows_and_curves_come_back_as_they_were(tmp_path):
    with Store.open(tmp_path) as store:
        way = store.add_provenance({"command": ["velodrome"]})
        identity, outcome = ended(3)
        store.record([(identity, outcome), ended(4, "failed"), ended(5, "timed out")], way)
        row = store.trials([outcome.key])[outcome.key]
        assert (row["seed"], row["steps"], row["status"], row["greedy_mean_return"]) == (3, 7, "done", 0.5)
        ((key, curves),) = store.curves(store.keys())
        assert key == outcome.key
        assert curves.returns.tolist() == [3, 4, 5, 6, 7]
        assert sorted(store.statuses(store.keys()).values()) == ["done", "failed", "timed out"]
        assert store.provenance(way) == {"command": ["velodrome"]}


def test_a_trial_that_is_done_stays_and_one_that_failed_is_replaced(tmp_path):
    with Store.open(tmp_path) as store:
        way = store.add_provenance({})
        store.record([ended(0), ended(1, "failed")], way)
        before = store.trials([ended(0)[1].key])
        store.record([ended(0, "failed"), ended(1)], way)
        assert store.trials([ended(0)[1].key]) == before
        assert store.keys("failed") == []
        assert len(store.keys("done")) == 2


def test_the_digest_tells_results_but_not_times_or_order(tmp_path):
    def digest(*outcomes):
        with Store.in_memory() as store:
            way = store.add_provenance({"pid": len(outcomes)})
            for identity, outcome in outcomes:
                store.record([(identity, outcome.lasting(float(np.pi), 0.0))], way)
            return store.content_digest()

    assert digest(ended(0), ended(1)) == digest(ended(1), ended(0))
    assert len({digest(ended(0)), digest(ended(1)), digest(ended(0, "failed")), digest()}) == 4


def test_a_store_in_memory_is_closed_with_the_last_that_has_it():
    store = Store.in_memory()
    connection = store.connection
    read = store.keys
    del store
    assert read() == []
    del read
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_claims_are_given_to_one_owner_until_released(tmp_path):
    with Store.open(tmp_path) as one, Store.open(tmp_path) as two:
        keys = [ended(seed)[1].key for seed in range(4)]
        assert one.claim(keys[:3], "one") == (keys[:3], {})
        assert two.claim(keys, "two") == (keys[3:], {})
        way = one.add_provenance({})
        one.record([ended(0)], way)
        one.release("one")
        assert two.claim(keys, "two") == (keys[1:], {keys[0]: "done"})
        assert one.owners() == ["two"]


def test_results_are_copied_whole_into_another_folder(whole, tmp_path):
    Results.load(whole).save(tmp_path)
    Results.load(whole).save(tmp_path)
    assert contents(tmp_path)[:4] == contents(whole)[:4]


def test_readers_do_not_disturb_and_see_what_is_committed(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "copy")
    with Store.open(tmp_path / "copy") as writer, Store.open_for_reading(tmp_path / "copy") as reader:
        way = writer.add_provenance({})
        for seed in range(3):
            writer.record([ended(seed)], way)
            assert len(reader.keys()) == 19 + seed
        with pytest.raises(StoreError, match="readonly"):
            reader.record([ended(9)], way)


def test_the_store_opens_in_pandas_in_one_line(whole):
    import pandas as pd

    with contextlib.closing(sqlite3.connect(f"{(whole / STORE_FILE).as_uri()}?mode=ro", uri=True)) as connection:
        frame = pd.read_sql("SELECT * FROM results", connection)
    assert set(frame.environment) == set(ENVIRONMENTS)
    assert len(frame) == 18
    assert set(frame[frame.environment == "lava"].status) == {"failed"}


def test_a_result_that_changed_has_another_key_and_no_other_has():
    def keys(agent, **budget):
        return TrialKeys(agent, "FrozenLake-v1", (), None, Budget(**{"episodes": None, "steps": None} | budget), None)

    def version(agent, **budget):
        return json.loads(keys(agent, **budget).specification(0))["result_version"]

    by_visits = policies.Harmonic(clock="visits")
    assert version(agents.QLearning(), episodes=9) == 1
    assert version(agents.QLearning(learning_rate=by_visits), episodes=9) == 1
    assert version(agents.DoubleQLearning(), episodes=9) == 1
    # Each table counts its own visits.
    assert version(agents.DoubleQLearning(learning_rate=by_visits), episodes=9) == 2
    inside = agents.DoubleQLearning(learning_rate=by_visits)
    assert version(agents.Discretized(agent=inside, bins=3), episodes=9) == 2
    # Masks are no longer kept in the table.
    assert version(agents.Sarsa(action_mask=True), episodes=9) == 2
    # The training return counts the episode that the budget cut.
    assert version(agents.QLearning(), steps=9) == 2
