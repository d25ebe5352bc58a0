"""Which code a function reaches, so that compiled loops are rebuilt when any of it is edited."""

import hashlib
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np


def reachable_functions(function: Callable[..., Any]) -> list[FunctionType]:
    """The plain Python functions that `function` calls by name, itself included, callees first.

    Names are followed through globals, closure cells and `module.name`; functions of the standard library and
    of installed numerical packages are left to Numba.
    """
    found: dict[int, FunctionType] = {}

    def visit(candidate: FunctionType) -> None:
        if id(candidate) in found:
            return
        found[id(candidate)] = candidate
        for _, value in _references(candidate):
            if _is_user_function(value):
                visit(value)

    if isinstance(function, FunctionType):
        visit(function)
    return list(found.values())[::-1]


def code_fingerprint(*functions: Callable[..., Any]) -> str:
    """SHA-256 (hex) of the byte code, constants, defaults and referenced values of all reachable functions."""
    digest = hashlib.sha256()
    for function in functions:
        for reached in reachable_functions(function):
            _add_code(digest, reached.__code__)
            _add(digest, _value_text(reached.__defaults__), _value_text(reached.__kwdefaults__))
            for name, value in _references(reached):
                _add(digest, name, _value_text(value))
    return digest.hexdigest()


def referenced_values(function: FunctionType) -> list[Any]:
    """Every value that `function` can reach by name: functions, classes, modules' members and plain values."""
    return [value for _, value in _references(function)]


def _references(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Every value that a function can reach by name, members of the user's own modules included."""
    code, namespace = function.__code__, function.__globals__
    names = sorted(set(_names(code)))
    for name in names:
        if name in namespace:
            yield from _named(name, namespace[name], names, set())
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        yield from _named(name, cell.cell_contents, names, set())


def _named(name: str, value: Any, names: list[str], seen: set[int]) -> Iterator[tuple[str, Any]]:
    # A function that the user compiled with Numba counts by its source.
    value = getattr(value, "py_func", value)
    yield name, value
    if isinstance(value, ModuleType) and _is_user_module(value.__name__) and id(value) not in seen:
        seen.add(id(value))
        for attribute in names:
            if hasattr(value, attribute):
                yield from _named(f"{name}.{attribute}", getattr(value, attribute), names, seen)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _is_user_function(value: Any) -> bool:
    return isinstance(value, FunctionType) and _is_user_module(value.__module__ or "")


def _is_user_module(name: str) -> bool:
    package = name.partition(".")[0]
    return package == "__main__" or package not in {*sys.stdlib_module_names, "numpy", "numba", "scipy"}


def _add_code(digest: Any, code: CodeType) -> None:
    _add(digest, code.co_code.hex(), repr(code.co_names), repr(code.co_varnames), repr(code.co_freevars))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _add_code(digest, constant)
        else:
            _add(digest, _value_text(constant))


def _add(digest: Any, *texts: str) -> None:
    for text in texts:
        digest.update(text.encode())
        digest.update(b"\0")


def _value_text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype.str}{value.shape}{value.tobytes().hex()}"
    if isinstance(value, tuple | list):
        return f"{type(value).__name__}({', '.join(_value_text(item) for item in value)})"
    if isinstance(value, set | frozenset):
        # The order of a set of texts changes from process to process.
        return f"{type(value).__name__}({', '.join(sorted(_value_text(item) for item in value))})"
    if isinstance(value, FunctionType | ModuleType | type) or callable(value):
        # Functions are hashed on their own; an address in the text would change from run to run.
        return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__name__)}"
    text = repr(value)
    # The text of an object that does not describe itself holds its address.
    return f"{type(value).__module__}.{type(value).__qualname__}" if " at 0x" in text else text
