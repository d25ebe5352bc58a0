"""The speed tables of docs and benchmarks: run the benchmarks, keep their rows, and write the tables.

    python benchmarks/tables.py [NAME ...] [--peers DIR]     run all benchmarks, or those named, and write the tables
    python benchmarks/tables.py --rewrite                    write the tables anew from the rows that are kept
    python benchmarks/tables.py --quick                      see that all of them run; nothing is kept or written

Each benchmark is a command of its own that leaves its rows, with date, machine and other load, in
`benchmarks/results/NAME.json`. A page says where a table goes: between `<!-- speed: NAME -->`, with keys of single
tables after the name if not all are meant, and `<!-- end of speed -->`; `summary` is one line of each benchmark.
`--peers` is the folder into which `peers.py --setup DIR` installed the other projects; a row whose other is not
installed says so.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import measuring
from peers import interpreter

ROOT = measuring.HERE.parent
RESULTS = measuring.HERE / "results"
PAGES = [
    measuring.HERE / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
BLOCK = re.compile(r"(?<=<!-- speed: )(?P<what>[^\n]+?)( -->\n).*?(?=<!-- end of speed -->)", re.S)

# Options of each benchmark, so that all of them take less than 15 minutes; {NAME} is a peer's interpreter.
BENCHMARKS: dict[str, list[str]] = {
    "compiled_vs_c": ["--rounds", "5"],
    "compiled_vs_jax": ["--rounds", "3", "--jax-python", "{jax}"],
    "tutorial_loop": ["--rounds", "3"],
    "generic_overhead": ["--rounds", "9"],
    "learners": ["--rounds", "5"],
    "bandits": ["--rounds", "5", "--pymab-python", "{PyMAB}"],
    "vectorised": ["--rounds", "3"],
    "threads": ["--rounds", "3"],
    "compare_command": ["--rounds", "1"],
    "large_tables": ["--rounds", "1"],
    "manager": ["--rounds", "1"],
    "start_up": ["--rounds", "1"],
    "statistics_vs_rliable": ["--rounds", "2", "--venvs", "{}"],
    "peers": ["--rounds", "2", "--venvs", "{}"],
    "cnn_training": ["--rounds", "5", "--torch-python", "{torch}"],
    "recurrent_training": ["--rounds", "3", "--torch-python", "{torch}"],
    "acting": ["--rounds", "3", "--torch-python", "{torch}"],
    "q_networks": ["--rounds", "3", "--sb3-python", "{stable-baselines3}", "--jax-python", "{jax}"],
}


class Line(NamedTuple):
    """A line of the summary: rows of some tables of a benchmark, those against one other alone if it is named."""

    what: str
    benchmark: str
    keys: tuple[str, ...]
    other: str = ""


RATIOS = [
    Line(
        "the same algorithm in C, 10 M steps in one call",
        "compiled_vs_c",
        ("long",),
    ),
    Line(
        "the same in C, 16 trials of 20,000 episodes, stored",
        "compiled_vs_c",
        ("trials",),
    ),
    Line(
        "the same in C, 200 short trials, stored",
        "compiled_vs_c",
        ("short",),
    ),
    Line(
        "JAX, 1024 seeds in one `vmap` on each core",
        "compiled_vs_jax",
        ("seeds",),
    ),
    Line(
        "the tutorial's Python loop, on a model",
        "tutorial_loop",
        ("compiled",),
    ),
    Line(
        "the tutorial's Python loop, without a model",
        "tutorial_loop",
        ("generic",),
    ),
    Line("PyMAB, pulls of bandits", "bandits", ("pulls",)),
    Line("itself on one thread, with one a core", "threads", ("threads",)),
    Line("rliable, bootstrap intervals", "statistics_vs_rliable", ("intervals",)),
    Line("Keras `fit`, training CNNs", "cnn_training", ("simple_cnn", "deep_cnn"), "keras fit"),
    Line("PyTorch, training CNNs", "cnn_training", ("simple_cnn", "deep_cnn"), "pytorch"),
    Line("PyTorch, training character RNNs", "recurrent_training", ("steady",), "pytorch"),
]
TIMES = [
    Line(
        "added by the generic loop to `env.step`, a step",
        "generic_overhead",
        ("added",),
    ),
    Line("added by the experiment manager to a trial", "manager", ("trial",)),
    Line(
        "`velodrome compare frozenlake --seeds 1000`: cold, warm, all stored",
        "compare_command",
        ("many",),
    ),
    Line(
        "`velodrome compare frozenlake`, all stored",
        "compare_command",
        ("few",),
    ),
    Line("`velodrome report` of the 1000 seeds", "compare_command", ("report",)),
    Line(
        "tables of 128 agents × 2 × 20 seeds, of 40 × 5 × 100",
        "large_tables",
        ("tables",),
    ),
]


def kept(name: str, folder: Path = RESULTS) -> dict[str, Any] | None:
    """What the last run of a benchmark left; None if there was none."""
    file = folder / f"{name}.json"
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None


def rendered(what: str, folder: Path = RESULTS) -> str:
    """Text of a block: of `summary`, or of a benchmark and the keys of its tables.

    Raises:
        KeyError: no such benchmark.
    """
    name, *keys = what.split()
    if name == "summary":
        return _summary(folder)
    if name not in BENCHMARKS:
        raise KeyError(f"no benchmark {name!r}: {', '.join(BENCHMARKS)}")
    result = kept(name, folder)
    if result is None:
        return "not measured yet\n"
    tables = {table["key"]: table for table in result["tables"]}
    parts = [_table(tables[key]) if key in tables else f"{key}: not measured yet" for key in keys or tables]
    return "\n\n".join([*parts, f"{_circumstances(result)} `python benchmarks/tables.py {name}` writes this."]) + "\n"


def rewritten(page: str, folder: Path = RESULTS) -> str:
    """A page with the text of each block as the kept rows give it."""
    return BLOCK.sub(lambda found: f"{found['what']} -->\n\n{rendered(found['what'], folder)}\n", page)


def _table(table: dict[str, Any]) -> str:
    header = ["", "velodrome", "compared with", "its figure", table["ratio"], "goal"]
    lines = [
        [*(row[name] for name in ("what", "ours", "other", "theirs")), _ratio(row), row["goal"]]
        for row in table["rows"]
    ]
    # A column in which nothing stands is left out.
    columns = [place for place in range(len(header)) if place < 2 or any(line[place] for line in lines)]
    return "\n".join([f"**{table['title']}**", "", *_lines(header, lines, columns)])


def _lines(header: list[str], lines: list[list[str]], columns: list[int]) -> list[str]:
    signs = [":---" if place in (0, 2) else "---:" for place in columns]
    cells = [[line[place].replace("|", "\\|") for place in columns] for line in (header, *lines)]
    rows = [f"| {' | '.join(line)} |" for line in cells]
    return [rows[0], f"|{'|'.join(signs)}|", *rows[1:]]


def _ratio(row: dict[str, Any]) -> str:
    return measuring.as_ratio(row["ratios"]) if row["ratios"] else ""


def _circumstances(result: dict[str, Any]) -> str:
    machine, load = result["machine"], result["load"]
    cores = f"{machine['usable_cores']} core{'s' * (machine['usable_cores'] > 1)}"
    rounds = f"{result['rounds']} round{'s' * (result['rounds'] > 1)}"
    return (
        f"{result['date']}, {cores} ({machine['processor']}), {rounds}; other programs took {load['others']:.0%} of "
        f"all cores meanwhile, load average {load['before']} before and {load['after']} after; {result['versions']}."
    )


def _summary(folder: Path) -> str:
    results = {line.benchmark: kept(line.benchmark, folder) for line in (*RATIOS, *TIMES)}
    tables = []
    for header, lines, cell in (
        (("velodrome against", "is faster by"), RATIOS, _range),
        (("what", "time"), TIMES, _figures),
    ):
        cells = []
        for line in lines:
            result = results[line.benchmark]
            found = cell(_rows(result, line)) if result else "not measured yet"
            cells.append([line.what, found or measuring.NOT_INSTALLED, result["date"] if result else ""])
        rows = [f"| {' | '.join(each)} |" for each in ([*header, "measured"], *cells)]
        tables.append("\n".join([rows[0], "|:---|---:|---:|", *rows[1:]]))
    machines = dict.fromkeys(
        f"{result['machine']['usable_cores']} cores ({result['machine']['processor']})"
        for result in results.values()
        if result
    )
    shares = [result["load"]["others"] for result in results.values() if result]
    last = []
    if shares:
        share = "–".join(dict.fromkeys(f"{each:.0%}" for each in (min(shares), max(shares))))
        last = [f"{'; '.join(machines)}; other programs took {share} of all cores meanwhile."]
    return "\n\n".join([*tables, *last]) + "\n"


def _rows(result: dict[str, Any], line: Line) -> list[dict[str, Any]]:
    tables = {table["key"]: table for table in result["tables"]}
    rows = [row for key in line.keys for row in tables.get(key, {"rows": []})["rows"]]
    return [row for row in rows if line.other in row["other"]]


def _range(rows: list[dict[str, Any]]) -> str:
    """The smallest and the largest median ratio; empty where there is none."""
    medians = sorted(measuring.median(row["ratios"]) for row in rows if row["ratios"])
    return "–".join(dict.fromkeys(measuring.as_ratio([one]) for one in medians[:1] + medians[-1:]))


def _figures(rows: list[dict[str, Any]]) -> str:
    return "; ".join(row["ours"] for row in rows)


def run(name: str, folder: Path, peers: Path | None, quick: bool) -> bool:
    """Run a benchmark that leaves its rows in a folder; whether it did."""

    def filled(option: str) -> str:
        if option == "{}":
            return str(peers or "")
        if option.startswith("{"):
            return str(interpreter(peers / option[1:-1])) if peers else sys.executable
        return option

    options = [filled(option) for option in BENCHMARKS[name]]
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / f"{name}.json"
        command = [sys.executable, str(measuring.HERE / f"{name}.py"), *options, "--json", str(file)]
        code = subprocess.run([*command, *(["--quick", "--rounds", "1"] if quick else [])], check=False).returncode
        done = code == 0 and file.exists()
        if done:
            folder.mkdir(exist_ok=True)
            (folder / file.name).write_bytes(file.read_bytes())
    print(f"\n{name}: {'done' if done else f'FAILED with code {code}'}, {time.monotonic() - started:.0f} s", flush=True)
    return done


def main() -> int:
    """Run, keep and write; 1 if a benchmark failed."""
    parser = argparse.ArgumentParser(
        description="Run the benchmarks and write the speed tables of docs and benchmarks."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all if none is named: {', '.join(BENCHMARKS)}")
    parser.add_argument("--peers", type=Path, metavar="DIR", help="where `peers.py --setup DIR` installed the others")
    parser.add_argument("--quick", action="store_true", help="a small amount of work; nothing is kept or written")
    parser.add_argument("--rewrite", action="store_true", help="run nothing: write the tables from what is kept")
    given = parser.parse_args()
    if unknown := set(given.names) - set(BENCHMARKS):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    peers = given.peers.resolve() if given.peers else None
    failed: list[str] = []
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if given.quick else RESULTS
        if not given.rewrite:
            names = given.names or BENCHMARKS
            failed = [name for name in names if not run(name, folder, peers, given.quick)]
        for page in PAGES:
            text = page.read_text(encoding="utf-8")
            new = rewritten(text, folder)
            if new != text and not given.quick:
                page.write_text(new, encoding="utf-8")
                print(f"written: {page.relative_to(ROOT)}")
    print(f"{time.monotonic() - started:.0f} s in all")
    if failed:
        print(f"failed, and kept as they were: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
