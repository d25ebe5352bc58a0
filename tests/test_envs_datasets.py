"""Datasets: where they come from, what is refused, and that one copy of each is kept."""

import copy
import gzip
import os
import pickle
import struct
import subprocess
import sys
import types
import zipfile
from collections import Counter
from dataclasses import FrozenInstanceError
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given, strategies as st

import velodrome.envs.labelled.datasets.digits
from velodrome.envs import DATASETS, Dataset, DatasetError, LabelledExamples, load_dataset
from velodrome.envs.labelled.datasets.digits import load_digits
from velodrome.envs.labelled.datasets.loading import _of_file, _of_name
from velodrome.envs.labelled.datasets.stratification import stratified_places

PARTS = ("x_train", "y_train", "x_test", "y_test")
# The tests themselves must not depend on it.
REAL_DATA = Path(os.environ.get("VELODROME_DATA", "no folder"))


def arrays(num_train=30, num_test=10, shape=(28, 28), num_classes=10, seed=0):
    """Small arrays in the layout of MNIST."""
    rng = np.random.default_rng(seed)
    return {
        "x_train": rng.integers(0, 256, (num_train, *shape), dtype=np.uint8),
        "y_train": np.arange(num_train, dtype=np.uint8) % num_classes,
        "x_test": rng.integers(0, 256, (num_test, *shape), dtype=np.uint8),
        "y_test": np.arange(num_test, dtype=np.uint8) % num_classes,
    }


def saved(path, **changed):
    np.savez_compressed(path, **(arrays() | changed))
    return path


def refusal(make):
    """The one line with which `make` is refused."""
    with pytest.raises(DatasetError) as caught:
        make()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """No data of this machine's, nothing kept from other tests, and no download."""
    monkeypatch.delenv("VELODROME_DATA", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setitem(sys.modules, "keras", None)
    for cached in (_of_file, _of_name):
        cached.cache_clear()


def test_digits_are_the_default():
    digits = load_dataset()
    assert digits is load_dataset("digits")
    assert (digits.name, digits.num_classes, digits.image_shape) == ("digits", 10, (8, 8))
    assert (len(digits.x_train), len(digits.x_test)) == (1437, 360)
    assert digits.x_train.dtype == np.float32
    assert (digits.x_train.min(), digits.x_train.max()) == (0, 1)
    assert set(np.bincount(digits.y_test)) == {35, 36, 37}


def test_digits_load_nothing_heavy():
    code = """
import sys
from velodrome.envs import load_dataset
load_dataset()
print(sorted({"sklearn", "pandas", "scipy", "keras", "tensorflow", "PIL", "psutil"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, encoding="utf-8")
    assert done.stdout == "[]\n"


def test_digits_are_those_that_scikit_learn_loads(monkeypatch):
    quick = load_digits()

    def not_installed_so(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(velodrome.envs.labelled.datasets.digits, "distribution", not_installed_so)
    imported = load_digits()
    assert all(np.array_equal(getattr(quick, part), getattr(imported, part)) for part in PARTS)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.data())
def test_stratified_places_give_every_class_its_share(labels, data):
    number = data.draw(st.integers(1, len(labels)))
    places = stratified_places(np.array(labels), number)
    assert len(places) == number
    assert (np.diff(places) > 0).all()
    assert 0 <= places[0] <= places[-1] < len(labels)
    chosen = Counter(labels[place] for place in places)
    for label, count in Counter(labels).items():
        assert abs(chosen[label] - count * number / len(labels)) <= 1


def test_validation_images_are_held_out_of_the_training_images():
    dataset = Dataset("small", **arrays(num_train=50))
    train, held_out = dataset.examples("train", validation=10), dataset.examples("validation", validation=10)
    assert isinstance(train, LabelledExamples)
    assert (np.bincount(held_out.labels) == 1).all()
    together = np.concatenate([train.inputs, held_out.inputs])
    assert sorted(image.tobytes() for image in together) == sorted(image.tobytes() for image in dataset.x_train)
    assert dataset.examples("validation", validation=10).inputs is held_out.inputs
    assert dataset.examples("test", validation=10).inputs is dataset.x_test
    assert dataset.examples().inputs is dataset.x_train
    assert not train.inputs.flags.writeable


@pytest.mark.parametrize(
    ("changed", "dtype"),
    [
        ({"x_train": np.zeros((30, 28, 28), dtype=np.int64), "x_test": np.full((10, 28, 28), 255)}, np.uint8),
        ({"x_train": np.zeros((30, 28, 28)), "x_test": np.ones((10, 28, 28), dtype=np.float16)}, np.float32),
        ({"x_train": np.zeros((30, 28, 28), dtype=bool), "x_test": np.ones((10, 28, 28))}, np.float32),
        ({"x_train": np.zeros((30, 4, 5, 3), "u1"), "x_test": np.zeros((10, 4, 5, 3), "u1", order="F")}, np.uint8),
        ({"y_train": np.arange(30)[:, None] % 10}, np.uint8),
    ],
    ids=["integers", "fractions", "booleans", "colours", "column of labels"],
)
def test_what_can_be_kept_exactly_is_accepted(changed, dtype):
    given = arrays() | changed
    dataset = Dataset("accepted", **given)
    assert dataset.x_train.dtype == dataset.x_test.dtype == dtype
    assert dataset.y_train.dtype == np.int64
    assert dataset.y_train.shape == (30,)
    assert np.array_equal(dataset.x_test, given["x_test"])
    assert all(getattr(dataset, part).flags.c_contiguous for part in PARTS)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"y_train": np.arange(30) % 10 / 2}, "y_train must be whole numbers, the images' classes, got float64"),
        ({"y_train": np.eye(10)[np.arange(30) % 10]}, "y_train must have shape (labels,), one class number an image"),
        (
            {"y_train": np.arange(30) % 9 + (np.arange(30) % 9 > 2)},
            "y_train has labels 0, 1, 2, 4, 5, …, 9, but none is 3: number the classes 0 to 8 without gaps",
        ),
        ({"y_train": np.arange(30) % 9 + 1}, "but none is 0"),
        ({"y_train": np.array([0] * 29 + [10**15])}, "y_train has labels 0, 1000000000000000, but none is 1"),
        ({"y_train": np.arange(30) - 1}, "y_train must be class numbers from 0 on, got -1"),
        ({"y_train": np.zeros(30, dtype=int)}, "y_train must have at least two classes, got one"),
        ({"y_test": np.full(10, 10)}, "y_test has label 10, but y_train has only 0 to 9"),
        ({"y_test": np.zeros(9, dtype=int)}, "x_test has 10 images, but y_test has 9 labels"),
        ({"x_test": np.zeros((10, 28, 27), "u1")}, "those of x_train are 28x28, those of x_test 28x27"),
        ({"x_test": np.zeros((10, 28, 28))}, "x_train has whole numbers, x_test fractions"),
        ({"x_train": np.zeros((30, 784), "u1")}, "or (images, height, width, channels) with 1, 3 or 4 channels, got"),
        ({"x_train": np.zeros((30, 3, 28, 28), "u1")}, "with 1, 3 or 4 channels, got (30, 3, 28, 28)"),
        ({"x_train": np.zeros((0, 28, 28), "u1")}, "x_train must hold at least one image"),
        ({"x_train": np.full((30, 28, 28), 256)}, "whole numbers from 0 to 255, got values 256 to 256"),
        ({"x_train": np.full((30, 28, 28), -0.5)}, "fractions from 0 to 1, got values -0.5 to -0.5"),
        ({"x_train": np.full((30, 28, 28), np.nan)}, "fractions from 0 to 1, got values: NaN"),
        ({"x_train": np.full((30, 28, 28), np.inf)}, "fractions from 0 to 1, got values inf to inf"),
        ({"x_train": np.full((30, 28, 28), "0")}, "or fractions from 0 to 1, got <U1"),
        ({"x_train": [[[1, 2]], [[1, 2, 3]]]}, "x_train must be one array of images of one size, got objects or rows"),
        ({"y_train": [1, None]}, "y_train must be one array of labels, one an image, got objects"),
    ],
)
def test_arrays_that_make_no_dataset_are_refused_in_a_line(changed, words):
    assert words in refusal(lambda: Dataset("refused", **(arrays() | changed)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("tset",), "split must be one of 'train', 'validation', 'test', got 'tset': did you mean 'test'?"),
        (("validation",), "split 'validation' needs validation=, the number of training images to hold out"),
        (("train", 30), "validation must be at most 29, got 30: small has 30 training images"),
        (("train", 0.1), "validation must be a number of training images from 0 to 29, got 0.1"),
        (("train", -1), "got -1"),
        ((["train"],), "got ['train']"),
    ],
)
def test_splits_that_there_are_not(arguments, words):
    assert words in refusal(lambda: Dataset("small", **arrays()).examples(*arguments))


def test_a_dataset_is_read_only_and_is_its_own_copy():
    given = arrays()
    dataset = Dataset("small", **given)
    assert copy.copy(dataset) is copy.deepcopy(dataset) is dataset
    again = pickle.loads(pickle.dumps(dataset))
    for kept in (dataset, again):
        assert all(np.array_equal(getattr(kept, part), given[part]) for part in PARTS)
        with pytest.raises(ValueError, match="read-only"):
            kept.x_train[0] = 0
    assert given["x_train"].flags.writeable
    assert len(repr(dataset)) < 200


def test_a_file_is_loaded_once_until_it_changes(tmp_path, monkeypatch):
    path = saved(tmp_path / "small.npz")
    monkeypatch.chdir(tmp_path)
    dataset = load_dataset(path=path)
    assert load_dataset(path="small.npz") is dataset
    assert (dataset.name, dataset.source, dataset.path) == ("small", "small.npz", path)
    saved(path, **arrays(num_train=40))
    os.utime(path, ns=(1, 1))
    assert len(load_dataset(path=path).x_train) == 40
    assert load_dataset(dataset) is dataset


def test_a_link_is_called_by_its_own_name(tmp_path):
    target = saved(tmp_path / "0123abcd.npz")
    (tmp_path / "small.npz").symlink_to(target)
    dataset = load_dataset(path=tmp_path / "small.npz")
    assert (dataset.name, dataset.source) == ("small", "small.npz")


def test_the_same_contents_have_the_same_digest_wherever_they_are(tmp_path):
    given = arrays()
    folder = tmp_path / "keras" / "datasets" / "fashion-mnist"
    write_idx(folder, given)
    one, other = tmp_path / "one.npz", tmp_path / "other.npz"
    np.savez(one, **given)
    # Compressed, in another order, with another array among them, of other types, and laid out by columns.
    changed = {"y_test": given["y_test"].astype(">i4"), "x_train": np.asfortranarray(given["x_train"].astype(np.int64))}
    np.savez_compressed(other, more=np.zeros(3), **dict(reversed((given | changed).items())))
    everywhere = [
        Dataset("arrays", **given),
        load_dataset("fashion_mnist"),
        load_dataset(path=one),
        load_dataset("mnist", path=other),
        pickle.loads(pickle.dumps(load_dataset(path=one))),
    ]
    digests = {dataset.digest for dataset in everywhere}
    assert len(digests) == 1
    assert len(digests.pop()) == 64


def test_a_digest_is_the_same_on_every_machine():
    images = np.array([[[0.0, 0.25]], [[0.5, 1.0]]])
    assert Dataset("two", images, [0, 1], images, [1, 0]).digest == (
        "9f97e85fc8f3b129a33999b6ddf4d67d17607e1c74cf9bf65e518237958aee91"
    )


@pytest.mark.parametrize("part", PARTS)
def test_every_value_has_a_part_in_the_digest(part):
    given = arrays()
    other = {name: array.copy() for name, array in given.items()}
    other[part][3] = (other[part][3] + 1) % 10
    assert Dataset("small", **given).digest != Dataset("small", **other).digest


def test_shapes_and_types_have_a_part_in_the_digest():
    given = arrays(shape=(4, 6))
    digest = Dataset("small", **given).digest
    images = ("x_train", "x_test")
    turned = {name: given[name].reshape(-1, 6, 4) for name in images}
    channel = {name: given[name][..., np.newaxis] for name in images}
    fractions = {name: np.zeros(given[name].shape) for name in images}
    zeros = {name: np.zeros(given[name].shape, dtype=np.uint8) for name in images}
    digests = [Dataset("small", **(given | changed)).digest for changed in (turned, channel, fractions, zeros)]
    assert len({digest, *digests}) == 5


def test_a_digest_is_computed_once_and_cannot_be_set(monkeypatch):
    dataset = Dataset("small", **arrays())
    digest = dataset.digest
    monkeypatch.setattr("hashlib.sha256", None)
    assert dataset.digest == digest
    with pytest.raises(FrozenInstanceError):
        dataset.digest = ""


def test_files_are_refused_in_a_line(tmp_path, monkeypatch):
    def file(name, **changed):
        return refusal(lambda: load_dataset(path=saved(tmp_path / name, **changed)))

    assert refusal(lambda: load_dataset(path="no/such.npz")) == "path 'no/such.npz' does not exist"
    assert "path must be the path of a file, got 5" in refusal(lambda: load_dataset(path=5))
    assert "this is a folder" in refusal(lambda: load_dataset(path=tmp_path))
    (tmp_path / "text.npz").write_text("no archive")
    assert "this is no .npz file" in refusal(lambda: load_dataset(path=tmp_path / "text.npz"))
    np.savez(tmp_path / "keys.npz", X_train=1, y_train=1, other=1)
    assert "array 'x_train' is missing: is it called 'X_train'?" in refusal(
        lambda: load_dataset(path=tmp_path / "keys.npz")
    )
    np.savez(tmp_path / "none.npz", a=1, b=2)
    assert "'x_train' is missing: there is 'a', 'b'" in refusal(lambda: load_dataset(path=tmp_path / "none.npz"))
    line = file("gap.npz", y_train=np.arange(30) % 9 + 1)
    assert line.startswith(f"{tmp_path / 'gap.npz'}: y_train has labels 1, 2")
    memory = types.SimpleNamespace(available=20_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    assert "more than half of the free memory" in file("large.npz")


class Boom:
    def __reduce__(self):
        return os.mkdir, ("unpickled",)


def test_nothing_is_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "objects.npz", y_train=np.array([Boom()] * 30))
    assert "y_train holds Python objects" in refusal(lambda: load_dataset(path="objects.npz"))
    assert not Path("unpickled").exists()


def test_damaged_files_are_refused(tmp_path):
    content = bytearray(saved(tmp_path / "whole.npz").read_bytes())
    content[5000] ^= 0xFF
    (tmp_path / "flipped.npz").write_bytes(content)
    assert "cannot be read" in refusal(lambda: load_dataset(path=tmp_path / "flipped.npz"))
    header = {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**6, 10**6)}
    with zipfile.ZipFile(tmp_path / "lying.npz", "w") as archive:
        for part in PARTS:
            with archive.open(f"{part}.npy", "w") as member:
                np.lib.format.write_array_header_1_0(member, header)
    assert f"x_train is damaged: 0 bytes where its shape says {10**18}" in refusal(
        lambda: load_dataset(path=tmp_path / "lying.npz")
    )


def test_names_that_there_are_not():
    assert refusal(lambda: load_dataset("minst")).endswith("got 'minst': did you mean 'mnist'?")
    assert refusal(lambda: load_dataset("my.npz")).endswith("a file is given as path='my.npz'")
    assert "'digits' has no path" in refusal(lambda: load_dataset("digits", "my.npz"))
    assert "is in memory" in refusal(lambda: load_dataset(load_dataset(), "my.npz"))
    assert DATASETS == ("digits", "mnist", "fashion_mnist")


def write_idx(folder, given):
    folder.mkdir(parents=True)
    for part, prefix in (("train", "train"), ("test", "t10k")):
        x, y = given[f"x_{part}"], given[f"y_{part}"]
        images = struct.pack(">4i", 2051, *x.shape) + x.tobytes()
        labels = struct.pack(">2i", 2049, len(y)) + y.tobytes()
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (folder / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))


def test_mnist_is_looked_for_in_the_documented_order(tmp_path, monkeypatch):
    given, named, keras = tmp_path / "given.npz", tmp_path / "data", tmp_path / "keras" / "datasets"
    for seed, place in enumerate((given, named / "mnist.npz", keras / "mnist.npz")):
        place.parent.mkdir(parents=True, exist_ok=True)
        saved(place, **arrays(seed=seed))
    assert load_dataset("mnist").path == keras / "mnist.npz"
    monkeypatch.setenv("VELODROME_DATA", str(named))
    assert load_dataset("mnist").path == named / "mnist.npz"
    assert load_dataset("mnist", given).path == given
    assert load_dataset("mnist", keras).path == keras / "mnist.npz"
    assert load_dataset("mnist", given).source == "given.npz, by its SHA-256 not the published MNIST"
    (named / "mnist.npz").unlink()
    assert load_dataset("mnist", given).name == "mnist"
    assert "has no fashion_mnist.npz" in refusal(lambda: load_dataset("fashion_mnist", named))


def test_fashion_mnist_is_read_from_the_files_in_which_keras_keeps_it(tmp_path):
    given = arrays()
    folder = tmp_path / "keras" / "datasets" / "fashion-mnist"
    write_idx(folder, given)
    dataset = load_dataset("fashion_mnist")
    assert all(np.array_equal(getattr(dataset, part), given[part]) for part in PARTS)
    assert (dataset.source, dataset.path) == ("fashion-mnist/", folder)
    labels = folder / "t10k-labels-idx1-ubyte.gz"
    for content in (gzip.compress(struct.pack(">2i", 2051, 10) + bytes(10)), labels.read_bytes()[:20], b"no gzip"):
        labels.write_bytes(content)
        _of_file.cache_clear()
        _of_name.cache_clear()
        assert refusal(lambda: load_dataset("fashion_mnist")).startswith(f"{labels} cannot be read: ")


def test_keras_downloads_what_is_not_there(monkeypatch, capsys):
    given, calls = arrays(), []

    def load_data():
        print("Downloading")
        calls.append("load_data")
        return (given["x_train"], given["y_train"]), (given["x_test"], given["y_test"])

    mnist = types.SimpleNamespace(load_data=load_data)
    monkeypatch.setitem(sys.modules, "keras", types.SimpleNamespace(datasets=types.SimpleNamespace(mnist=mnist)))
    dataset = load_dataset("mnist")
    assert dataset.source.startswith("downloaded by Keras")
    assert dataset.path is None
    assert load_dataset("mnist") is dataset
    assert calls == ["load_data"]
    assert capsys.readouterr().out == ""


def test_where_nothing_works_one_line_names_all_ways(tmp_path, monkeypatch):
    line = refusal(lambda: load_dataset("fashion_mnist"))
    cache = str(tmp_path / "keras" / "datasets")
    for words in ("give path='…/fashion_mnist.npz'", cache, "VELODROME_DATA", "Keras could not download it"):
        assert words in line
    monkeypatch.setenv("VELODROME_DATA", str(tmp_path / "data"))
    assert f"put mnist.npz in {tmp_path / 'data'} or in {cache};" in refusal(lambda: load_dataset("mnist"))


def test_other_images_are_not_called_mnist(tmp_path):
    path = saved(tmp_path / "small.npz", x_train=np.zeros((30, 8, 8), "u1"), x_test=np.zeros((10, 8, 8), "u1"))
    assert "is not mnist: it has images of 8x8 in 10 classes, not 28x28 in 10" in refusal(
        lambda: load_dataset("mnist", path)
    )
    assert load_dataset(path=path).image_shape == (8, 8)


@pytest.mark.slow
def test_the_published_mnist_is_told_by_its_sha256(monkeypatch):
    if not (REAL_DATA / "mnist.npz").is_file():
        pytest.skip("VELODROME_DATA names no folder with mnist.npz")
    monkeypatch.setenv("VELODROME_DATA", str(REAL_DATA))
    mnist = load_dataset("mnist")
    assert mnist.source == "mnist.npz, by its SHA-256 as published"
    assert (mnist.x_train.shape, mnist.x_test.shape) == ((60_000, 28, 28), (10_000, 28, 28))
    assert len(mnist.examples("train", validation=5000).labels) == 55_000
