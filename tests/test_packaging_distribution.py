"""What is installed: the packages that pyproject.toml lists, with all their files, as a command and as a module."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import velodrome

ROOT = Path(__file__).parents[1]
ROOMS = {"front": "velodrome"} | {room: f"velodrome.{room}" for room in ("agents", "envs", "policies", "experiments")}


@pytest.fixture(scope="module")
def pyproject():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def folders_with_modules():
    """Every folder of the rooms that holds modules, from the root."""
    found = {path.parent.relative_to(ROOT) for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    return {folder for folder in found if "__pycache__" not in folder.parts}


def package_of(folder):
    return ".".join([ROOMS[folder.parts[0]], *folder.parts[1:]])


def files_to_ship():
    """Places in the wheel of all files that an installation needs."""
    places = set()
    for folder in folders_with_modules():
        inside = package_of(folder).replace(".", "/")
        for path in (ROOT / folder).iterdir():
            if path.suffix in (".py", ".pyi", ".toml", ".jinja", ".css", ".js") or path.name == "py.typed":
                places.add(f"{inside}/{path.name}")
        places |= {f"{inside}/{path.relative_to(ROOT / folder)}" for path in (ROOT / folder).glob("locale/*/*/*.mo")}
    return places


def test_pyproject_lists_the_packages_that_there_are(pyproject):
    setuptools = pyproject["tool"]["setuptools"]
    assert sorted(setuptools["packages"]) == sorted(package_of(folder) for folder in folders_with_modules())
    assert setuptools["package-dir"] == {package: room for room, package in ROOMS.items()}


def test_every_package_has_its_init():
    assert [str(folder) for folder in folders_with_modules() if not (ROOT / folder / "__init__.py").is_file()] == []


def test_the_version_is_told_once(pyproject):
    version = pyproject["project"]["version"]
    assert version == velodrome.__version__
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    ((latest, day),) = re.findall(r"^## \[(\d.*)\] - (\d{4}-\d\d-\d\d)$", changelog, re.M)[:1]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert latest == version
    assert f'\nversion: {version}\ndate-released: "{day}"\n' in citation


def test_the_python_versions_agree(pyproject):
    project = pyproject["project"]
    assert project["requires-python"] == ">=3.11,<3.14"
    named = [line.rpartition(" ")[2] for line in project["classifiers"] if "Python :: 3." in line]
    assert named == ["3.11", "3.12", "3.13"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights that Windows does not give")
@pytest.mark.skipif(not (ROOT / ".imports").is_dir(), reason="the source distribution has no links")
def test_the_links_of_the_type_checker_resolve():
    links = {path.name: path for path in (ROOT / ".imports" / "velodrome").iterdir()}
    own = {"__init__.py", "__init__.pyi", "__main__.py", "checks.py", "testing.py", "py.typed"}
    assert set(links) == {*own, *ROOMS} - {"front"}
    for name, link in links.items():
        room = ROOT / name if name in ROOMS else ROOT / "front" / name
        assert not os.path.isabs(os.readlink(link))
        assert link.resolve() == room.resolve()
        assert link.exists()


def output_of(*arguments, folder):
    done = subprocess.run(arguments, cwd=folder, check=False, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_module_and_the_command_are_the_same(tmp_path):
    module = output_of(sys.executable, "-m", "velodrome", "--version", folder=tmp_path)
    assert module.strip() == velodrome.__version__
    command = shutil.which("velodrome", path=str(Path(sys.executable).parent))
    if command is None:
        pytest.skip("velodrome is not installed as a command here")
    assert output_of(command, "--version", folder=tmp_path) == module


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    # A copy, because a stale build folder would put deleted modules into the wheel.
    copy = tmp_path_factory.mktemp("source")
    for name in [*ROOMS, "pyproject.toml", "README.md", "LICENSE", "THIRD_PARTY_LICENSES.md"]:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(copy)]
    output_of(*build, folder=copy)
    (built,) = folder.glob("velodrome-*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_holds_every_module_and_its_data(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == files_to_ship()


@pytest.mark.slow
def test_the_wheel_works_away_from_the_repository(wheel, tmp_path):
    shutil.unpack_archive(wheel, tmp_path / "site", format="zip")
    code = (
        "import sys; sys.path.insert(0, 'site'); import velodrome, pathlib;"
        "assert pathlib.Path(velodrome.__file__).resolve().is_relative_to(pathlib.Path('site').resolve());"
        "from velodrome.experiments.cli.application import main;"
        "sys.exit(main(['run', 'q_learning', 'FrozenLake-v1', '--episodes', '20', '--json']))"
    )
    assert '"loop": "compiled"' in output_of(sys.executable, "-c", code, folder=tmp_path)
