"""Environments that the user's program has registered with Gymnasium, on their way to another process."""

import sys
import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from velodrome.experiments.errors import ExperimentError

# They are registered wherever this package is imported.
_EVERYWHERE = ("gymnasium", "velodrome")


class PackedRegistration(NamedTuple):
    """A pickled registration, and whether the environment of the trials is its own."""

    content: bytes
    is_needed: bool


def pack_registrations(needed: str | None) -> tuple[PackedRegistration, ...]:
    """Registrations that a new process does not have, pickled one by one.

    Sent are that of the environment, and all whose classes and functions no process could import by their names:
    a factory may make any of them.

    Args:
        needed: id of the environment; None where it has none.

    Raises:
        ExperimentError: the registration of the environment cannot be sent.
    """
    packed = []
    for spec in list(gym.registry.values()):
        if not _is_everywhere(spec) and (spec.id == needed or _lives_in_main(spec)):
            try:
                packed.append(PackedRegistration(_pack(spec), spec.id == needed))
            except Exception as error:
                # Others may have registered what is not needed here.
                if spec.id == needed:
                    reason = " ".join(str(error).split())
                    raise ExperimentError(
                        f"the registration of environment {needed!r} cannot be sent to a worker process ({reason}): "
                        "register it in a module and name it as 'module:Id', or run everything with workers=0"
                    ) from None
    return tuple(packed)


def register(packed: Iterable[PackedRegistration]) -> None:
    """Register here what `pack_registrations` packed in another process; it goes before what is registered here.

    What is not needed may live in a module that this process cannot import; it is left out.

    Raises:
        Exception: whatever reading the registration that is needed raises.
    """
    import pickle

    # Where the module of an environment is imported only now, it registers the same once more.
    warnings.filterwarnings("ignore", message="(?s).*Overriding environment .* already in registry")
    # As in the command line: Gymnasium's checker warns of what our loops refuse in a line of their own.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"gymnasium\.utils\.passive_env_checker")
    for one in packed:
        try:
            # Only this program's own parent sends them.
            spec, named = pickle.loads(one.content)
        except Exception:
            if one.is_needed:
                raise
            continue
        gym.registry[spec.id] = spec
        for name, thing in named.items():
            setattr(sys.modules["__main__"], name, thing)


def _pack(spec: EnvSpec) -> bytes:
    import cloudpickle

    main = vars(sys.modules["__main__"])
    named = {name: main[name] for name in _names_in_main(spec) if name in main}
    packed: bytes = cloudpickle.dumps((spec, named))
    return packed


def _is_everywhere(spec: EnvSpec) -> bool:
    return all(module.partition(".")[0] in _EVERYWHERE for module in _modules_of(spec))


def _lives_in_main(spec: EnvSpec) -> bool:
    """Whether parts of it are known to this program alone."""
    return not isinstance(spec.entry_point, str | None) or "__main__" in _modules_of(spec)


def _modules_of(spec: EnvSpec) -> list[str]:
    parts = [spec.entry_point, spec.vector_entry_point, *(wrapper.entry_point for wrapper in spec.additional_wrappers)]
    return [_module_of(part) for part in parts if part is not None]


def _module_of(entry_point: Any) -> str:
    if isinstance(entry_point, str):
        return entry_point.partition(":")[0]
    return str(getattr(entry_point, "__module__", None) or type(entry_point).__module__)


def _names_in_main(spec: EnvSpec) -> list[str]:
    """Names that its texts look up in the program itself."""
    parts = [spec.entry_point, spec.vector_entry_point, *(wrapper.entry_point for wrapper in spec.additional_wrappers)]
    texts = [part.partition(":") for part in parts if isinstance(part, str)]
    return [name for module, _, name in texts if module == "__main__"]
