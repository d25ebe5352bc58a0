"""Shared by all tests: reproducible hypothesis runs, and what it means that two runs are the same."""

import shutil
import signal

import numpy as np
import pytest
from hypothesis import settings

# Slow shared machines must not fail a property by the clock, and a failure must come back on the next run.
settings.register_profile("velodrome", deadline=None, derandomize=True)
settings.load_profile("velodrome")


def pytest_configure(config):
    # Warnings are errors (pyproject.toml); these come from other packages and say nothing about ours.
    for ignored in ("ignore::DeprecationWarning:pkg_resources", "ignore:pkg_resources is deprecated"):
        config.addinivalue_line("filterwarnings", ignored)


@pytest.fixture(scope="session", autouse=True)
def _programs_heed_ctrl_c():
    """What a shell starts in the background ignores Ctrl-C, and so would all programs that tests start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Headless Chromium with its logs, or the reason why there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("Chromium and its driver are not installed (Debian: chromium, chromium-driver)")
    folder = tmp_path_factory.mktemp("browser")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
        f"--user-data-dir={folder / 'profile'}",
    ):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    driving = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    driving.downloads = folder
    yield driving
    driving.quit()


def _bits(array):
    return array.dtype.str, array.shape, array.tobytes()


def _learnt(agent):
    """Everything that a tabular agent has learnt and will draw, as comparable values."""
    memory = agent.learner.memory
    return {f"memory.{name}": _bits(array) for name, array in memory._asdict().items()} | {
        "agent stream": agent.learner.rng.bit_generator.state
    }


def _logged(log):
    successes = None if log.successes is None else _bits(np.asarray(log.successes))
    return {
        "returns": _bits(log.returns),
        "lengths": _bits(log.lengths),
        "terminated": _bits(log.terminated),
        "successes": successes,
        "success rule": log.success_rule,
        "steps": log.steps,
        "seed": log.seed,
    }


def _result(agent, env, log):
    """Everything that a run of a tabular agent leaves behind, but for times and the name of the loop."""
    stream = {"environment stream": env.unwrapped.np_random.bit_generator.state}
    return _learnt(agent) | _logged(log) | stream


def _differences(one, other):
    """Names of what differs between two results; the same run leaves none."""
    return [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]


@pytest.fixture(scope="session")
def learnt():
    return _learnt


@pytest.fixture(scope="session")
def logged():
    return _logged


@pytest.fixture(scope="session")
def result():
    return _result


@pytest.fixture(scope="session")
def differences():
    return _differences
