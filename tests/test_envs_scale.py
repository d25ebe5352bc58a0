"""A million states fit, and importing the environments is light."""

import subprocess
import sys
import time

import numpy as np
import pytest

from velodrome.envs import Chain, GridWorld, TransitionModel


@pytest.mark.parametrize(
    ("make", "num_states"),
    [
        (lambda: Chain(num_states=1_000_000), 1_000_000),
        (lambda: GridWorld(["S" + "." * 999] + ["." * 1000] * 998 + ["." * 999 + "G"]), 1_000_000),
    ],
)
def test_a_million_states_are_built_quickly_and_small(make, num_states):
    started = time.process_time()
    model = TransitionModel.of(make())
    assert time.process_time() - started < 20
    assert model.num_states == num_states
    arrays = [value for value in vars(model).values() if isinstance(value, np.ndarray)]
    assert sum(array.nbytes for array in arrays) < 250 * num_states


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
def test_the_peak_of_a_million_slipping_states_stays_below_a_gigabyte():
    # In a process of its own: the peak counts from a process' start.
    script = (
        "import resource\n"
        "import velodrome.envs as envs\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "env = envs.GridWorld(['S' + '.' * 999] + ['.' * 1000] * 998 + ['.' * 999 + 'G'], slip=0.2)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10)\n"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert float(answer.stdout) < 1024


def test_the_import_is_light():
    script = (
        "import sys, velodrome.envs\n"
        "heavy = ('tensorflow', 'numba', 'pandas', 'matplotlib', 'scipy')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
