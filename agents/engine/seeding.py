"""Random streams, one for each role, all from the one seed of a run."""

from functools import lru_cache
from typing import Any, Literal, Self, get_args

import numpy as np

from velodrome.checks import ConfigurationError, check_integer

Role = Literal["environment", "agent", "evaluation", "acting"]
ROLES: tuple[str, ...] = get_args(Role)


def role_sequence(seed: int, role: Role, index: int = 0) -> np.random.SeedSequence:
    """Seed sequence of one role of the run with `seed`; no two roles, indices or seeds share a stream.

    It is `SeedSequence(seed).spawn(4)[k]` for the k-th role; an `index` above 0 numbers further streams of the
    same role, such as a second environment's.

    Args:
        seed: of the run, at least 0.
        role: what the stream is for.
        index: number of the stream among those of the role.
    """
    spawn_key = (ROLES.index(role), index) if index else (ROLES.index(role),)
    return np.random.SeedSequence(seed, spawn_key=spawn_key)


def role_generator(seed: int, role: Role, index: int = 0) -> np.random.Generator:
    """PCG64 generator of one role of the run with `seed`.

    Args:
        seed: of the run, at least 0.
        role: what the stream is for.
        index: number of the stream among those of the role.
    """
    return np.random.Generator(np.random.PCG64(role_sequence(seed, role, index)))


def fresh_seed() -> int:
    """A seed that nobody has used, from the operating system's entropy, in [0, 2**64)."""
    return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])


# Every agent of a comparison meets the same environment streams.
@lru_cache(maxsize=4096)
def environment_seed(seed: int, role: Role = "environment", index: int = 0) -> int:
    """Integer for `env.reset(seed=…)`, in [0, 2**31) so that every environment accepts it.

    Args:
        seed: of the run, at least 0.
        role: what the stream is for.
        index: number of the stream among those of the role.
    """
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


class Streams:
    """The random streams of one agent, all from the seed of its run.

    Attributes:
        seed: of the run.
        environments: number of environments that were entered since the seed was given.
    """

    def __init__(self, seed: int) -> None:
        self.seed, self.environments = seed, 0
        self._live: dict[Role, tuple[int, np.random.Generator]] = {}

    def generator(self, role: Role = "agent", index: int = 0) -> np.random.Generator:
        """The stream of a role, one and the same object at every call: it is saved, and a new seed restarts it."""
        generator = self._live[role][1] if role in self._live else role_generator(self.seed, role, index)
        self._live[role] = index, generator
        return generator

    def sequence(self, index: int) -> np.random.SeedSequence:
        """Seed sequence of a further stream of the agent, for what is a function of the seed and of counts."""
        return role_sequence(self.seed, "agent", index)

    def at(self, index: int, count: int) -> np.random.Generator:
        """Generator of the agent for what comes after so many: a function of the seed, of `index` and of `count`."""
        key = (*self.sequence(index).spawn_key, count)
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.seed, spawn_key=key)))

    def restart(self, seed: int) -> None:
        """Begin every stream anew from another seed."""
        self.seed, self.environments = seed, 0
        for role, (index, generator) in self._live.items():
            generator.bit_generator.state = role_generator(seed, role, index).bit_generator.state

    def state(self) -> dict[str, Any]:
        """The streams as JSON-ready entries of a manifest."""
        streams = {f"{role}_stream": dict(self._live[role][1].bit_generator.state) for role in sorted(self._live)}
        return {"seed": self.seed, "environments": self.environments} | streams

    @classmethod
    def from_state(cls, entries: dict[str, Any]) -> Self:
        """Streams from the entries of `state`.

        Raises:
            KeyError, TypeError, ValueError: entries are missing, or are none.
        """
        streams = cls(check_seed(entries["seed"]))
        streams.environments = check_integer("environments", entries.get("environments", 0), minimum=0)
        for role in get_args(Role):
            if f"{role}_stream" in entries:
                generator = np.random.Generator(np.random.PCG64(0))
                generator.bit_generator.state = entries[f"{role}_stream"]
                streams._live[role] = 0, generator
        return streams
