"""Bad input about images, texts and those who learn from them: one clear line, by every way in."""

import json
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import velodrome as vd
from velodrome.envs import Dataset
from velodrome.envs.labelled.datasets.loading import _of_file, _of_name
from velodrome.experiments.cli.application import main
from velodrome.experiments.errors import ExperimentError

IMAGES, TEXT, LAKE = "velodrome/Classification-v0", "velodrome/Text-v0", "FrozenLake-v1"

# What is wrong with an environment, and the words with which it is said.
ENVIRONMENTS = [
    (f"{IMAGES}(path='no/such.npz')", "path 'no/such.npz' does not exist"),
    (f"{IMAGES}(path='keys.npz')", "keys.npz: array 'x_train' is missing: is it called 'X_train'?"),
    (f"{IMAGES}(path='floats.npz')", "floats.npz: y_train must be whole numbers, the images' classes, got float64"),
    (f"{IMAGES}(path='gaps.npz')", "gaps.npz: y_train has labels 0, 1, 3, but none is 2: number the classes 0 to 2"),
    (f"{IMAGES}(path='sizes.npz')", "images must be of one size: those of x_train are 8x8, those of x_test 8x9"),
    (
        f"{IMAGES}(path='ragged.npz')",
        "x_train holds Python objects, which are not read: save one array of numbers, with",
    ),
    (
        f"{IMAGES}(path='text.txt')",
        "text.txt: this is no .npz file; numpy.savez writes one, with x_train, y_train, x_t",
    ),
    (f"{IMAGES}(dataset='minst')", "got 'minst': did you mean 'mnist'?"),
    (f"{IMAGES}(dataset='mnist')", "no mnist found: give path='…/mnist.npz', or put mnist.npz in "),
    (f"{IMAGES}(datset='mnist')", "has no argument 'datset': did you mean 'dataset'?"),
    (f"{IMAGES}(split='tset')", "got 'tset': did you mean 'test'?"),
    (f"{IMAGES}(validation=1437)", "validation must be at most 1436, got 1437: digits has 1437 training images"),
    (f"{TEXT}(name='hihelo')", "got 'hihelo': did you mean 'hihello'?"),
    (f"{TEXT}(text='')", "text must have at least two characters, one to read and one to guess, got ''"),
    (f"{TEXT}(path='empty.txt')", "the text in 'empty.txt' must have at least two characters"),
    (f"{TEXT}(path='no.txt')", "path 'no.txt' does not exist"),
    (f"{TEXT}(window=7)", "window must be a whole number of at least 1 and at most 6, got 7"),
    (f"{TEXT}(text='hello', vocabulary='ehl')", "character 'o' of the text is not in the vocabulary 'ehl'"),
]
# Who cannot learn where, and why.
PAIRS = [
    ("softmax_regression", LAKE, "softmax_regression learns from labelled examples: FrozenLake-v1 has none"),
    ("ensemble(member=mlp)", LAKE, "ensemble learns from labelled examples: FrozenLake-v1 has none"),
    ("char_rnn", LAKE, "char_rnn learns from labelled examples: FrozenLake-v1 has none"),
    ("char_rnn", IMAGES, "char_rnn guesses the next of the characters that it reads: velodrome/Classification-v0 must"),
    (
        "simple_cnn",
        TEXT,
        "simple_cnn needs images, (height, width) or (height, width, channels), but velodrome/Text-v0",
    ),
    ("mlp(shift=1)", TEXT, "mlp: shift is for images, but velodrome/Text-v0 has none"),
    ("softmax_regression", f"discretize({IMAGES}, bins=1)", "but wrapper Discretize may change what is observed"),
    ("q_learning", IMAGES, "but velodrome/Classification-v0 has a picture of 8x8: a table is too small for pictures"),
]
RUNS = [*(("softmax_regression", *case) for case in ENVIRONMENTS), *PAIRS]


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """A folder with wrong files, no data of this machine's, no download, and no tensorflow to import."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VELODROME_DATA", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    for heavy in ("keras", "tensorflow"):
        monkeypatch.setitem(sys.modules, heavy, None)
    for cached in (_of_file, _of_name):
        cached.cache_clear()
    write_wrong_files()


def write_wrong_files():
    images, labels = np.zeros((9, 8, 8), dtype=np.uint8), np.arange(9) % 3
    right = {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}
    ragged = np.empty(9, dtype=object)
    ragged[:] = [np.zeros((8, 8 + number % 2)) for number in range(9)]
    wrong = {
        "floats": {"y_train": labels.astype(float)},
        "gaps": {"y_train": labels + (labels == 2)},
        "sizes": {"x_test": np.zeros((9, 8, 9), dtype=np.uint8)},
        "ragged": {"x_train": ragged},
    }
    for name, changed in wrong.items():
        np.savez(f"{name}.npz", **right | changed)
    np.savez("keys.npz", X_train=images, y_train=labels)
    Path("text.txt").write_text("hello")
    Path("empty.txt").write_text("")


def line_of(error_class, function, *arguments, **options):
    with pytest.raises(error_class) as caught:
        function(*arguments, **options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.fixture
def refused(capsys):
    """Runs a command line that must be refused; the line on standard error, without the program's name."""

    def run_command(*arguments):
        code = main(list(arguments))
        printed = capsys.readouterr()
        assert (code, printed.out) == (2, "")
        assert len(printed.err.splitlines()) == 1
        return printed.err.removeprefix("velodrome: ")

    return run_command


def written(agent, environment):
    """An experiment file."""
    agents, environments = json.dumps(agent), json.dumps(environment)
    Path("bad.toml").write_text(
        f'name = "bad"\nepisodes = 5\nseeds = 1\n[environments]\nhere = {environments}\n[agents]\nsomeone = {agents}\n'
    )
    return "bad.toml"


@pytest.mark.parametrize(("agent", "environment", "message"), RUNS)
def test_run_says_it_in_a_line(agent, environment, message, refused):
    assert message in line_of(ValueError, vd.run, agent, environment, episodes=5, seed=0)
    assert message in refused("run", agent, environment, "--episodes", "5")


@pytest.mark.parametrize(("environment", "message"), ENVIRONMENTS)
def test_compare_names_the_environment_before_anything_runs(environment, message, refused):
    agents = {"chance": "random", "someone": "softmax_regression"}
    line = line_of(ExperimentError, vd.compare, agents, {"here": environment}, episodes=5, seeds=1, out="results")
    assert line.startswith("environments.here: ")
    assert message in line
    line = refused("compare", written("softmax_regression", environment))
    assert line.startswith("bad.toml: environments.here: ")
    assert message in line
    assert not Path("results").exists()


@pytest.mark.parametrize(("agent", "environment", "message"), PAIRS)
def test_compare_names_a_pair_that_cannot_be_before_anything_runs(agent, environment, message, refused):
    options = {"episodes": 5, "seeds": 1, "workers": 0, "out": "results"}
    assert message in line_of(ValueError, vd.compare, {"someone": agent}, {"here": environment}, **options)
    assert message in refused("compare", written(agent, environment), "--workers", "0", "--quiet")
    assert not Path("results").exists()


def test_arrays_that_make_no_dataset_are_said_to_be_the_environments(refused):
    def ragged():
        rows = [[[0, 1]], [[0, 1, 2]]]
        return gym.make(IMAGES, dataset=Dataset("ragged", rows, [0, 1], rows, [0, 1]))

    line = line_of(ExperimentError, vd.compare, {"chance": "random"}, {"here": ragged}, episodes=5, seeds=1)
    assert line.startswith("environments.here: x_train must be one array of images of one size")


def test_where_mnist_is_nowhere_every_place_is_named(tmp_path, monkeypatch, refused):
    monkeypatch.setenv("VELODROME_DATA", str(tmp_path / "data"))
    line = refused("compare", written("simple_cnn", f"{IMAGES}(dataset='mnist')"))
    for place in (str(tmp_path / "data"), str(tmp_path / "keras" / "datasets"), "path=", "Keras could not download it"):
        assert place in line


ALL_IN_ONE_PROCESS = """
import contextlib, io, json, sys
from velodrome.experiments.cli.application import main

told = io.StringIO()
with contextlib.redirect_stderr(told):
    codes = {main(["run", *pair, "--episodes", "5"]) for pair in json.loads(sys.argv[1])}
print(codes, len(told.getvalue().splitlines()), sorted({"tensorflow", "keras"} & set(sys.modules)))
"""


def test_none_of_these_imports_tensorflow():
    # Keras itself would be asked to download.
    pairs = [(agent, environment) for agent, environment, _ in RUNS if "dataset='mnist'" not in environment]
    arguments = [sys.executable, "-c", ALL_IN_ONE_PROCESS, json.dumps(pairs)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert done.stdout == f"{{2}} {len(pairs)} []\n"
