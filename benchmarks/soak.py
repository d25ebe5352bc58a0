"""Everything that may go wrong with stored results, again and again: damage, strangers' modules, kills while writing.

Each attack is one function: it does its worst in a folder of its own, draws from the generator that it is given, and
says what was tried and what was lost. The command fails if anything was lost that should not be, if code ran that
should not, or if a kill left half a file. More attacks are more functions in `ATTACKS`.
"""

import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import measuring

ENVIRONMENT = "FrozenLake-v1(is_slippery=False)"
AGENTS = ["q_learning", "sarsa", "random"]
STORE = "trials.sqlite"
PAGE = 4096


class Attack(NamedTuple):
    """What came of one attack.

    Attributes:
        tried: how often it was done.
        lost: how often that cost something it must not cost.
        remark: figures in words.
    """

    tried: int
    lost: int
    remark: str


class Soak:
    """A folder with an undamaged store to attack copies of.

    Args:
        folder: empty.
        times: how often each attack is done.
        generator: of random choices.
    """

    def __init__(self, folder: Path, times: int, generator: random.Random) -> None:
        import velodrome as vd

        self.folder, self.times, self.generator = folder, times, generator
        self.whole = folder / "whole"
        self.seeds = 40
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            vd.compare(AGENTS, ENVIRONMENT, seeds=self.seeds, episodes=20, out=self.whole, name="soak")
        self.trials = contents(self.whole)

    def copy(self) -> Path:
        """A new copy of the store, in a folder of its own."""
        folder = self.folder / "copy"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        shutil.copy(self.whole / STORE, folder)
        return folder


def contents(folder: Path) -> dict[str, dict[str, object]]:
    """Every trial of a store, its curves checked."""
    from velodrome.experiments.storage.store import Store

    with Store.open_for_reading(folder) as store:
        keys = store.keys()
        assert len(list(store.curves(keys))) == len(keys)
        return store.trials(keys)


def repaired(soak: Soak, folder: Path, most: int) -> tuple[bool, int]:
    """Whether a repair kept nothing but true rows and dropped at most so many; and how many it dropped."""
    import velodrome as vd

    repair = vd.repair(folder)
    kept = contents(folder)
    dropped = {trial.key for trial in repair.lost}
    is_right = kept.items() <= soak.trials.items() and dropped == soak.trials.keys() - kept.keys()
    return is_right and len(dropped) <= most, len(dropped)


def damaged_columns(soak: Soak) -> Attack:
    """One column of one row holds something else: exactly that trial goes."""
    from velodrome.experiments.storage.store_schema import STORED_COLUMNS

    lost = 0
    for _ in range(soak.times):
        folder, column = soak.copy(), soak.generator.choice(STORED_COLUMNS)
        row = soak.generator.randrange(1, len(soak.trials) + 1)
        with contextlib.closing(sqlite3.connect(folder / STORE, isolation_level=None)) as connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            value = f"CASE typeof({column}) WHEN 'text' THEN {column} || 'x' ELSE coalesce({column}, 0) + 1 END"
            connection.execute(f"UPDATE trials SET {column} = {value} WHERE rowid = ?", (row,))
        is_right, number = repaired(soak, folder, 1)
        lost += not (is_right and number == 1)
    return Attack(soak.times, lost, "one trial each, named and run again")


def flipped_bytes(soak: Soak) -> Attack:
    """One byte anywhere but in the first page: at most a page of trials goes, and no row is ever another."""
    return _damage(soak, lambda size: (soak.generator.randrange(PAGE, size), bytes([soak.generator.randrange(256)])))


def broken_pages(soak: Soak) -> Attack:
    """A whole page of random bytes."""
    return _damage(
        soak, lambda size: (PAGE * soak.generator.randrange(1, size // PAGE), soak.generator.randbytes(PAGE))
    )


def _damage(soak: Soak, draw: Callable[[int], tuple[int, bytes]]) -> Attack:
    from velodrome.experiments.storage.store import StoreError

    lost, numbers, refused = 0, [], 0
    for _ in range(soak.times):
        folder = soak.copy()
        offset, content = draw((folder / STORE).stat().st_size)
        with (folder / STORE).open("rb+") as file:
            file.seek(offset)
            file.write(content)
        try:
            is_right, number = repaired(soak, folder, len(soak.trials))
        except StoreError:
            refused += 1
            continue
        lost += not is_right
        numbers.append(number)
    of = f"of {len(soak.trials)}"
    return Attack(
        soak.times, lost, f"{sum(numbers)} trials dropped, at most {max(numbers, default=0)} {of}; {refused} refused"
    )


def killed_reports(soak: Soak) -> Attack:
    """A report is killed at a random moment: the page of before stays, or the new one is whole."""
    folder = soak.copy()
    page = folder / "page.html"
    command = [sys.executable, "-m", "velodrome", "report", str(folder), "--out", str(page)]
    # The first may have to compile what it imports.
    subprocess.run(command, check=True, capture_output=True)
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    seconds, whole, lost, killed = time.monotonic() - started, page.read_bytes(), 0, 0
    for _ in range(soak.times):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as writing:
            time.sleep(soak.generator.uniform(0.3, 1.0) * seconds)
            writing.kill()
        killed += writing.returncode != 0
        lost += page.read_bytes() != whole
    subprocess.run(command, check=True, capture_output=True)
    lost += bool(list(folder.glob(".velodrome-*")))
    return Attack(soak.times, lost, f"{killed} were killed, no page was half")


def killed_moves(soak: Soak) -> Attack:
    """A report, export, picture or repair is killed between writing its file and moving it to its place."""
    program = (
        "import os, sys; os.replace = lambda *given: os._exit(9); "
        "from velodrome.experiments.cli.application import main; main(sys.argv[1:])"
    )
    commands = {"report": "page.html", "export": "trials.csv", "plot": "page.png", "repair": STORE}
    lost = 0
    for _ in range(max(1, soak.times // len(commands))):
        for name, file in commands.items():
            folder = soak.copy()
            place = folder / file
            if name == "repair":
                with contextlib.closing(sqlite3.connect(place, isolation_level=None)) as connection:
                    connection.execute("UPDATE trials SET measures = json_set(measures, '$.steps', 1) WHERE rowid = 3")
            else:
                place.write_bytes(b"whole")
            # SQLite may note in the file itself that its log is folded in: what counts is what can be read.
            before = place.read_bytes()
            options = ["--out", str(place)] if name in ("report", "plot") else []
            subprocess.run(
                [sys.executable, "-c", program, name, str(folder), *options], capture_output=True, check=False
            )
            lost += repaired(soak, folder, 1) != (True, 1) if name == "repair" else place.read_bytes() != before
    return Attack(max(1, soak.times // len(commands)) * len(commands), lost, ", ".join(commands))


def modules_beside_a_store(soak: Soak) -> Attack:
    """A module of the name that the store's agents have lies beside it: no command that reads may run it."""
    folder = soak.copy()
    mark = folder / "ran"
    (folder / "evil.py").write_text(f"from pathlib import Path\nPath({str(mark)!r}).touch()\nclass Evil(dict): ...\n")
    with contextlib.closing(sqlite3.connect(folder / STORE, isolation_level=None)) as connection:
        _rename_agents(connection)
    lines = ["table .", "plot . --kind sweep --parameter strength --out s.png", "report . --out r.html", "export ."]
    lines += ["repair ."]
    program = "import sys\nsys.path.insert(0, '')\nfrom velodrome.experiments.cli.application import main\n"
    program += "for line in sys.argv[1:]: main(line.split())"
    lost = 0
    for line in lines:
        subprocess.run([sys.executable, "-c", program, line], cwd=folder, capture_output=True, check=False)
        lost += mark.exists()
        mark.unlink(missing_ok=True)
    return Attack(len(lines), lost, "table, plot, report, export, repair ran none of it")


def _rename_agents(connection: sqlite3.Connection) -> None:
    """Let the experiment's agents be those of a module."""

    def renamed(settings: dict[str, Any]) -> dict[str, Any]:
        return settings | {
            "agents": {label: f"evil:Evil(strength={place})" for place, label in enumerate(settings["agents"])}
        }

    _sign_experiment(connection, renamed)


def _sign_experiment(connection: sqlite3.Connection, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change an experiment's settings and make its checksums true, as whoever made the store could."""
    import json

    from velodrome.experiments.storage.store import experiment_digest
    from velodrome.experiments.storage.trial_rows import text_sha256

    columns = "name, description, settings, warnings, run_number"
    *header, run_number = connection.execute(f"SELECT {columns} FROM experiments").fetchone()
    header[2] = json.dumps(change(json.loads(header[2])), sort_keys=True, separators=(",", ":"))
    trials = connection.execute("SELECT key, agent, environment, seed FROM experiment_trials ORDER BY position")
    digest = experiment_digest(tuple(header), trials.fetchall())
    connection.execute(
        "UPDATE experiments SET settings = ?, digest = ?, checksum = ?",
        (header[2], digest, text_sha256(f"{digest} {run_number}")),
    )


# Forgeries are quick.
FORGERIES = 4
ODD_VALUES = [None, True, -1, 10**400, 0.5, float("inf"), "text", [], [1], {}, {"a": {"b": [None]}}]


def forged_stores(soak: Soak) -> Attack:
    """Anything stands in a column or a setting, with true checksums: it is read, or refused in one line."""
    import json

    from velodrome.experiments.storage.store_schema import STORED_COLUMNS
    from velodrome.experiments.storage.stored_content import ContentError
    from velodrome.experiments.storage.trial_rows import read_row, row_checksum

    lost = refused = 0
    names = [name for name in STORED_COLUMNS if name not in ("key", "specification", "status")]
    for _ in range(FORGERIES * soak.times):
        folder, value = soak.copy(), soak.generator.choice(ODD_VALUES)
        with contextlib.closing(sqlite3.connect(folder / STORE, isolation_level=None)) as connection:
            if soak.generator.random() < 0.5:
                setting = soak.generator.choice(["agents", "environments", "episodes", "steps", "budgets", "seeds"])
                _sign_experiment(connection, lambda settings, name=setting, other=value: settings | {name: other})
            else:
                content = value if isinstance(value, str | float | None) else json.dumps(value)
                with contextlib.suppress(sqlite3.IntegrityError):
                    connection.execute(
                        f"UPDATE trials SET {soak.generator.choice(names)} = ? WHERE rowid = 3", (content,)
                    )
                for row in connection.execute(f"SELECT {', '.join(STORED_COLUMNS)} FROM trials").fetchall():
                    # Measures that are no JSON have no checksum.
                    with contextlib.suppress(ContentError):
                        checksum = row_checksum(read_row(STORED_COLUMNS, row)[0])
                        connection.execute("UPDATE trials SET checksum = ? WHERE key = ?", (checksum, row[0]))
        outcome = _reading(folder)
        lost += outcome is None
        refused += outcome is True
    return Attack(FORGERIES * soak.times, lost, f"{refused} refused in one line, the others read")


def _reading(folder: Path) -> bool | None:
    """Whether a store is refused in one line; None where something else is raised."""
    import velodrome as vd
    from velodrome.experiments.errors import ExperimentError

    try:
        vd.Results.load(folder).table()
    except ExperimentError as error:
        return True if "\n" not in str(error) else None
    except Exception:
        return None
    return False


def forged_agents(soak: Soak) -> Attack:
    """Anything stands in the manifest or the arrays of a saved agent, with true digests."""
    import json

    import numpy as np

    import velodrome as vd
    from velodrome.agents import Agent
    from velodrome.agents.resuming.saving import MANIFEST, SavedAgentError, read_agent, write_agent

    folder, lost, refused = soak.folder / "agent", 0, 0
    agent = vd.agents.QLearning()
    agent.train("FrozenLake-v1", episodes=5, seed=0)
    agent.save(folder)
    manifest, arrays = read_agent(folder)
    for _ in range(FORGERIES * soak.times):
        entries, tables = json.loads((folder / MANIFEST).read_text()) | manifest, dict(arrays)
        if soak.generator.random() < 0.5:
            entries[soak.generator.choice(sorted(manifest))] = soak.generator.choice(ODD_VALUES)
        else:
            shape = tuple(soak.generator.randrange(1, 40) for _ in range(soak.generator.randrange(4)))
            tables[soak.generator.choice(sorted(arrays))] = np.full(shape, np.nan)
        written = {name: value for name, value in entries.items() if name not in ("format", "version", "sha256")}
        with contextlib.suppress(ValueError, TypeError):
            write_agent(soak.folder / "forged", written, tables)
        try:
            Agent.load(soak.folder / "forged")
        except SavedAgentError as error:
            refused += 1
            lost += "\n" in str(error)
        except Exception:
            lost += 1
    return Attack(FORGERIES * soak.times, lost, f"{refused} refused in one line")


PROGRAM = """
import sys, velodrome as vd, warnings
warnings.simplefilter("ignore")
vd.compare(["q_learning", "sarsa", "random"], {lake!r}, seeds={seeds}, episodes=20, out=sys.argv[1], name="soak",
           workers=int(sys.argv[2]))
"""


def killed_programs(soak: Soak) -> Attack:
    """A comparison is killed at random moments and started again: its trials are those of one that was not."""
    folder, killed, lost = soak.folder / "killed", 0, 0
    program = PROGRAM.format(lake=ENVIRONMENT, seeds=soak.seeds)
    command = [sys.executable, "-c", program, str(folder), "2"]
    started = time.monotonic()
    subprocess.run([*command[:-2], str(soak.folder / "timed"), "2"], check=True, capture_output=True)
    seconds = time.monotonic() - started
    for _ in range(soak.times):
        shutil.rmtree(folder, ignore_errors=True)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
            time.sleep(soak.generator.uniform(0.2, 1.0) * seconds)
            running.kill()
        killed += running.returncode != 0
        subprocess.run(command, check=True, capture_output=True)
        lost += _results(contents(folder)) != _results(soak.trials)
    return Attack(soak.times, lost, f"{killed} were killed, the same command went on")


def _results(trials: dict[str, dict[str, object]]) -> dict[str, list[object]]:
    from velodrome.experiments.storage.store_schema import CONTENT_COLUMNS

    return {key: [row[column] for column in CONTENT_COLUMNS] for key, row in trials.items()}


INTRUDER = """
import sys
from distributed import Client, Security
for port in map(int, sys.argv[1:]):
    for address, security in ((f"tcp://127.0.0.1:{port}", None), (f"tls://127.0.0.1:{port}", Security.temporary())):
        try:
            Client(address, timeout=2, security=security).run_on_scheduler(lambda: 7)
        except Exception:
            continue
        print("came in")
"""


def intruders(soak: Soak) -> Attack:
    """A process that shares nothing tries to run code in a run on `local:2`, plainly and with its own certificate."""
    import psutil

    import velodrome as vd

    tried: list[int] = []
    reached: list[str] = []

    def intrude(status: object) -> None:
        if tried:
            return
        family = psutil.Process().children(recursive=True)
        places = [place for process in family for place in process.net_connections("inet")]
        tried.extend(place.laddr.port for place in places if place.status == psutil.CONN_LISTEN)
        command = [sys.executable, "-c", INTRUDER, *map(str, tried)]
        reached.append(subprocess.run(command, capture_output=True, text=True, check=False).stdout)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        vd.compare(AGENTS, ENVIRONMENT, seeds=4, episodes=20, name="soak", cluster="local:2", progress=intrude)
    return Attack(2 * len(tried), sum(text.count("came in") for text in reached), f"{len(tried)} ports, two ways each")


ATTACKS: dict[str, Callable[[Soak], Attack]] = {
    "a column of a row": damaged_columns,
    "a byte of the file": flipped_bytes,
    "a page of the file": broken_pages,
    "a kill during a report": killed_reports,
    "a kill before a move": killed_moves,
    "a module beside a store": modules_beside_a_store,
    "a forged store": forged_stores,
    "a forged agent": forged_agents,
    "a kill during a comparison": killed_programs,
    "a process that shares nothing": intruders,
}


def main() -> int:
    """Run every attack; returns 1 if one of them cost something."""
    given = measuring.arguments(__doc__, 3, ("--seed", {"type": int, "default": 0, "help": "of random choices"}))
    times = 2 if given.quick else 40 * given.rounds
    rows, is_whole = [], True
    with measuring.Load(), tempfile.TemporaryDirectory() as folder:
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        soak = Soak(Path(folder), times, random.Random(given.seed))
        for name, attack in ATTACKS.items():
            started = time.monotonic()
            found = attack(soak)
            is_whole &= found.lost == 0
            seconds = measuring.as_time(time.monotonic() - started)
            rows.append([name, str(found.tried), str(found.lost), seconds, found.remark])
        title = f"{len(soak.trials)} trials in a store, seed {given.seed}"
        measuring.print_table(title, ["attack", "tried", "lost", "took", "remark"], rows)
    return 0 if is_whole else 1


if __name__ == "__main__":
    sys.exit(main())
