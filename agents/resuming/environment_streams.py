"""The random streams of an environment between two episodes, as JSON-ready data."""

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from velodrome.checks import VelodromeError
from velodrome.envs.wrapper_chain import layers_of

BIT_GENERATORS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)
}


class NotRestorableError(VelodromeError, ValueError):
    """An environment made anew cannot be brought to where another one stood; the message is one line."""


def environment_streams(env: gym.Env[Any, Any]) -> dict[str, Any]:
    """Streams of the environment, of its wrappers and of their action and observation spaces, by name.

    Args:
        env: environment; it is not changed.

    Raises:
        NotRestorableError: a stream is of a kind that cannot be written down.
    """
    return {
        "streams": {name: _to_data(name, owner._np_random) for name, owner in _owners(env)},
        "seed": env.unwrapped._np_random_seed,
    }


def restore_environment_streams(env: gym.Env[Any, Any], data: dict[str, Any]) -> None:
    """Give `env` the streams that `environment_streams` wrote down.

    Args:
        env: environment of the same kind, made anew.
        data: what `environment_streams` gave.

    Raises:
        NotRestorableError: it has other streams.
    """
    owners, stored = dict(_owners(env)), data["streams"]
    if owners.keys() != stored.keys():
        name = sorted(owners.keys() ^ stored.keys())[0]
        raise NotRestorableError(f"an environment made anew has other random streams ({name})")
    for name, owner in owners.items():
        generator = _from_data(name, stored[name])
        if generator is not owner._np_random:
            owner._np_random = generator
    if env.unwrapped._np_random_seed != data["seed"]:
        env.unwrapped._np_random_seed = data["seed"]


def _owners(env: gym.Env[Any, Any]) -> Iterator[tuple[str, Any]]:
    """Whatever keeps a generator in `_np_random`; asking must not make Gymnasium create one."""
    unwrapped = env.unwrapped
    yield "environment", unwrapped
    for depth, layer in enumerate(layers_of(env)):
        name = f"{depth} {type(layer).__name__}"
        if layer is not unwrapped and "_np_random" in vars(layer):
            yield name, layer
        # A wrapper without spaces of its own hands on those of what it wraps.
        kept = vars(layer)
        for attribute in ("action_space", "observation_space"):
            space = kept.get(attribute, kept.get(f"_{attribute}"))
            if isinstance(space, spaces.Space):
                yield from _spaces(f"{name}.{attribute}", space)


def _spaces(name: str, space: spaces.Space[Any]) -> Iterator[tuple[str, Any]]:
    yield name, space
    parts = getattr(space, "spaces", ())
    for key, part in parts.items() if isinstance(parts, dict) else enumerate(parts):
        yield from _spaces(f"{name}[{key}]", part)


def _to_data(name: str, generator: Any) -> dict[str, Any] | None:
    if generator is None:
        return None
    bits: Any = getattr(generator, "bit_generator", None)
    kind = type(bits).__name__
    if not isinstance(generator, np.random.Generator) or BIT_GENERATORS.get(kind) is not type(bits):
        raise NotRestorableError(f"the random stream of {name} is a {kind if bits is not None else type(generator)}")
    # Generators spawned from this one depend on how many there were.
    sequence = bits.seed_seq
    if type(sequence) is not np.random.SeedSequence:
        raise NotRestorableError(f"the random stream of {name} was seeded by a {type(sequence).__name__}")
    seed = {key: _plain(getattr(sequence, key)) for key in ("entropy", "spawn_key", "pool_size", "n_children_spawned")}
    return {"bit_generator": kind, "state": _plain(bits.state), "seed_sequence": seed}


def _from_data(name: str, data: dict[str, Any] | None) -> np.random.Generator | None:
    if data is None:
        return None
    try:
        seed = data["seed_sequence"]
        sequence = np.random.SeedSequence(
            seed["entropy"],
            spawn_key=seed["spawn_key"],
            pool_size=seed["pool_size"],
            n_children_spawned=seed["n_children_spawned"],
        )
        bits = BIT_GENERATORS[data["bit_generator"]](sequence)
        bits.state = _with_arrays(data["state"])
    except (KeyError, TypeError, ValueError) as error:
        raise NotRestorableError(f"the random stream of {name} cannot be read: {error}") from None
    return np.random.Generator(bits)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {"dtype": value.dtype.str, "values": value.tolist()}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _with_arrays(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"dtype", "values"}:
            return np.array(value["values"], dtype=value["dtype"])
        return {key: _with_arrays(item) for key, item in value.items()}
    return value
