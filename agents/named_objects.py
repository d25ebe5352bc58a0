"""Classes and functions of other modules, named as text, `torch.nn:ReLU`; and which of them are the user's own."""

import functools
import importlib
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any, Self

from velodrome.agents.adapters.torch_imports import imports_of_torch
from velodrome.checks import ConfigurationError, did_you_mean, one_line
from velodrome.envs.unimported_modules import NoSuchModuleError, add_current_directory, unimported_module
from velodrome.policies.configuration import checked_dict, function_name

# Entry of a dict that names what is called with the others.
MAKE = "make"
_PLAIN = (type(None), bool, int, float, str)
_PACKAGE_FOLDERS = {"site-packages", "dist-packages"}


class NamedObject(str):
    """Text `module:Name` of a class or function that was given as such and is kept with it, for those of scripts."""

    thing: Any

    @classmethod
    def of(cls, thing: Any) -> Self:
        """Name of a class or function."""
        name = cls(function_name(thing))
        name.thing = thing
        return name


def named(place: str, value: Any) -> Any:
    """A parameter as text, numbers, lists and dicts, with classes and functions as their names.

    Raises:
        ConfigurationError: it is, or holds, something else.
    """
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return NamedObject.of(value)
    if isinstance(value, str) and value.startswith("__main__:") and not isinstance(value, NamedObject):
        # Worker processes have another main module.
        thing = _attribute(sys.modules["__main__"], value.partition(":")[2])
        return value if thing is None else NamedObject.of(thing)
    if isinstance(value, dict):
        return {key: named(f"{place}: {key}", item) for key, item in checked_dict(value).items()}
    if isinstance(value, list | tuple):
        return tuple(named(place, item) for item in value)
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if not isinstance(value, _PLAIN):
        raise ConfigurationError(
            f"{place} must be a number, text, a list, a dict, a class or a function, got {type(value).__name__}; "
            "an object is written dict(make='module:Name', argument=value)"
        )
    return value


def names_in(value: Any) -> list[str]:
    """Texts in a parameter that name an object."""
    if isinstance(value, dict):
        return [name for item in value.values() for name in names_in(item)]
    if isinstance(value, tuple):
        return [name for item in value for name in names_in(item)]
    return [value] if isinstance(value, NamedObject) or (isinstance(value, str) and is_name(value)) else []


def is_name(text: str) -> bool:
    """Whether a text is `module:Name`."""
    module, colon, path = text.partition(":")
    parts = [*module.split("."), *path.split(".")]
    return bool(colon) and all(part.isidentifier() for part in parts)


def resolved(owner: str, value: Any, trusts: Callable[[Any, bool], bool] | None = None, *, nested: bool = False) -> Any:
    """A parameter with the objects that it names; lists inside of dicts are lists, others tuples.

    Args:
        owner: whose it is, for messages.
        value: the parameter, as `named` gives it.
        trusts: whether an object, inside a dict or not, may be used for a parameter that a stranger may have written;
            then nothing is imported. None where the user wrote it.
        nested: whether it stands inside a dict.

    Raises:
        ConfigurationError: a name leads nowhere; one line.
    """
    if isinstance(value, dict):
        items = {key: resolved(owner, item, trusts, nested=True) for key, item in value.items()}
        return items.pop(MAKE)(**items) if MAKE in items else items
    if isinstance(value, tuple):
        parts = [resolved(owner, item, trusts, nested=nested) for item in value]
        return parts if nested else tuple(parts)
    if not isinstance(value, NamedObject) and not (isinstance(value, str) and is_name(value)):
        return value
    thing = find(owner, value, may_import=trusts is None)
    if trusts is not None and not trusts(thing, nested):
        raise ConfigurationError(f"{owner}: {value} is no part of a network, and so is not called by loading an agent")
    return thing


def find(owner: str, name: str, *, may_import: bool) -> Any:
    """Class or function `module:Name`.

    Raises:
        ConfigurationError: there is none, or its module is not imported and may not be.
    """
    if isinstance(name, NamedObject):
        return name.thing
    module_name, _, path = name.partition(":")
    module = sys.modules.get(module_name)
    if module is None and not may_import:
        raise ConfigurationError(f"{owner}: {name} is not imported: import it before loading")
    if module is None:
        module = _imported(owner, name, module_name, path)
    thing = _attribute(module, path, may_import=may_import)
    if thing is None:
        public = [key for key in vars(module) if not key.startswith("_")]
        raise ConfigurationError(f"{owner}: module {module_name!r} has no {path!r}{did_you_mean(path, public)}")
    return thing


def _imported(owner: str, name: str, module_name: str, path: str) -> Any:
    add_current_directory()
    try:
        source = unimported_module(module_name)
        first = path.partition(".")[0]
        if source is not None and not source.is_open and first not in source.names:
            # It is not run for something that is not in it.
            hint = did_you_mean(first, source.names)
            raise ConfigurationError(f"{owner}: module {module_name!r} has no {first!r}{hint}")
        with imports_of_torch():
            return importlib.import_module(module_name)
    except ConfigurationError:
        raise
    except NoSuchModuleError as error:
        raise ConfigurationError(f"{owner}: cannot import module {module_name!r} of {name!r}: {error}") from None
    except Exception as error:
        raise ConfigurationError(
            f"{owner}: cannot import module {module_name!r} of {name!r}: {one_line(error)}"
        ) from error


def _attribute(thing: Any, path: str, *, may_import: bool = True) -> Any:
    for part in path.split("."):
        # Modules may import what they are asked for.
        is_module = isinstance(thing, ModuleType) and not may_import
        thing = vars(thing).get(part) if is_module else getattr(thing, part, None)
    return thing


def own_object(owner: str, name: str) -> Any:
    """Function or class of the user's own that a saved agent names: all that loading one may call.

    Raises:
        ConfigurationError: there is none of that name that the program has imported, or it is not the user's own.
    """
    thing = find(owner, name, may_import=False)
    if not is_own_object(thing):
        raise ConfigurationError(f"{owner}: {name} is no function or class of your own, which alone a saved agent runs")
    return thing


def is_own_object(thing: Any) -> bool:
    """Whether a thing is a function, method or class that the user's own code defines."""
    return isinstance(thing, type | FunctionType | MethodType) and is_own(thing.__module__)


def is_own(module: str | None) -> bool:
    """Whether a module is the user's: neither ours nor the standard library's nor an installed package's."""
    package = (module or "").partition(".")[0]
    if package == "__main__":
        return True
    if package in {"velodrome", "builtins", "", *sys.stdlib_module_names}:
        return False
    file = getattr(sys.modules.get(module or ""), "__file__", None)
    # Packages may be installed elsewhere too: for the user alone, or in an environment that this one borrows from.
    is_installed = file is not None and not _PACKAGE_FOLDERS.isdisjoint(Path(file).parts)
    return file is not None and not is_installed and not file.startswith(_library_folders())


@functools.lru_cache(maxsize=1)
def _library_folders() -> tuple[str, ...]:
    return tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
