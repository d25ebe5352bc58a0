"""Random streams, one for each role, all from the one seed of a run."""

from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from velodrome.checks import ConfigurationError

Role = Literal["environment", "agent", "evaluation", "acting"]
ROLES: tuple[str, ...] = get_args(Role)


def role_sequence(seed: int, role: Role, index: int = 0) -> np.random.SeedSequence:
    """Seed sequence of one role of the run with `seed`; no two roles, indices or seeds share a stream.

    It is `SeedSequence(seed).spawn(4)[k]` for the k-th role; an `index` above 0 numbers further streams of the
    same role, such as a second environment's.
    """
    spawn_key = (ROLES.index(role), index) if index else (ROLES.index(role),)
    return np.random.SeedSequence(seed, spawn_key=spawn_key)


def role_generator(seed: int, role: Role, index: int = 0) -> np.random.Generator:
    """PCG64 generator of one role of the run with `seed`."""
    return np.random.Generator(np.random.PCG64(role_sequence(seed, role, index)))


def fresh_seed() -> int:
    """A seed that nobody has used, from the operating system's entropy, in [0, 2**64)."""
    return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])


# Every agent of a comparison meets the same environment streams.
@lru_cache(maxsize=4096)
def environment_seed(seed: int, role: Role = "environment", index: int = 0) -> int:
    """Integer for `env.reset(seed=…)`, in [0, 2**31) so that every environment accepts it."""
    return int(role_sequence(seed, role, index).generate_state(1)[0] >> 1)


def environment_generator(seed: int) -> np.random.Generator:
    """Generator that `env.reset(seed=seed)` gives a Gymnasium environment."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))


def check_seed(seed: object) -> int:
    """`seed` as a plain int.

    Raises:
        ConfigurationError: not a whole number of at least 0.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ConfigurationError(f"seed must be a whole number of at least 0, got {seed!r}")
    return int(seed)
