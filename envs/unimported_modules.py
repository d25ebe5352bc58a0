"""Names that a module would define, read from its source before anything of it runs."""

import ast
import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from velodrome.checks import VelodromeError, did_you_mean

# Calls by which a module may define or import what its source does not name.
_DYNAMIC = {"exec", "eval", "__import__", "globals", "vars", "locals", "setattr", "import_module"}
_BLOCKS = (ast.If, ast.Try, ast.TryStar, ast.With, ast.For, ast.While, ast.Match)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_LITERALS = (ast.Constant, ast.JoinedStr, ast.List, ast.Tuple, ast.Dict, ast.Set, *_COMPREHENSIONS)


class NoSuchModuleError(VelodromeError, ValueError):
    """There is no module of a name; the message is the reason alone."""


@dataclass(frozen=True)
class UnimportedModule:
    """A module that has a source and was not imported yet.

    Attributes:
        name: dotted.
        path: of its file, None where it is not known.
        source: its text.
    """

    name: str
    path: Path | None
    source: str

    @cached_property
    def names(self) -> dict[str, list[ast.stmt]]:
        """Names that the source binds, each with the statements that do so."""
        names: dict[str, list[ast.stmt]] = {}
        for name, statement in _bindings(self._tree.body):
            names.setdefault(name, []).append(statement)
        return names

    @cached_property
    def is_open(self) -> bool:
        """Whether the module may define more than its source names."""
        if "__getattr__" in self.names or "*" in self.names:
            return True
        nodes = list(ast.walk(self._tree))
        calls = (node.func for node in nodes if isinstance(node, ast.Call))
        names = (getattr(called, "id", getattr(called, "attr", "")) for called in calls)
        return any(isinstance(node, ast.Global) for node in nodes) or any(name in _DYNAMIC for name in names)

    @cached_property
    def imports_only_python(self) -> bool:
        """Whether it imports nothing but Python's own library, and so cannot register an environment."""
        if self.is_open:
            return False
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""] if not node.level else [""]
            else:
                continue
            if any(module.partition(".")[0] not in sys.stdlib_module_names for module in modules):
                return False
        return True

    @cached_property
    def _tree(self) -> ast.Module:
        return ast.parse(self.source)

    def why_no_factory(self, name: str) -> str | None:
        """Why a name cannot stand for a class or a function that says what it returns; None where it can."""
        if self.is_open:
            return None
        if name not in self.names:
            return f"has no {name!r}{did_you_mean(name, self.names)}"
        reasons = [_why_no_factory(name, statement) for statement in self.names[name]]
        return None if None in reasons else reasons[-1]

    def is_silent_function(self, name: str) -> bool:
        """Whether a name stands for a function that does not say what it returns."""
        found = [] if self.is_open else self.names.get(name, [])
        return bool(found) and all(
            isinstance(one, ast.FunctionDef) and not (one.returns or one.decorator_list) for one in found
        )


def add_current_directory() -> None:
    """Let the user's own modules be found, as `python -m` does."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    importlib.invalidate_caches()


def unimported_module(name: str) -> UnimportedModule | None:
    """A module that importing `name` would run; None where it is imported already, or has no source to read.

    Nothing is imported, not even the packages around it.

    Raises:
        NoSuchModuleError: there is no such module, or its source is no Python.
    """
    if name in sys.modules:
        return None
    spec = _find(name)
    source = None
    with contextlib.suppress(ImportError, OSError, AttributeError, UnicodeError, SyntaxError):
        source = spec.loader.get_source(name)  # type: ignore[union-attr]
    if not isinstance(source, str):
        return None
    module = UnimportedModule(name, Path(spec.origin) if spec.has_location and spec.origin else None, source)
    try:
        module.names  # noqa: B018 (a syntax error is to be known now)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise NoSuchModuleError(f"its source is no Python: {' '.join(str(error).split())}") from None
    return module


def _find(name: str) -> ModuleSpec:
    """Where a module is, found from package to package as an import would, but without running any."""
    parts = name.split(".")
    places: Any = None
    spec = None
    for number in range(1, len(parts) + 1):
        whole = ".".join(parts[:number])
        if not all(parts[:number]):
            raise NoSuchModuleError(f"{name!r} is not the name of a module")
        if whole in sys.modules:
            places = getattr(sys.modules[whole], "__path__", [])
            continue
        spec = _found(whole, places)
        if spec is None:
            raise NoSuchModuleError(f"No module named {whole!r}")
        places = spec.submodule_search_locations or []
    assert spec is not None
    return spec


def _found(name: str, places: Any) -> ModuleSpec | None:
    finders = (getattr(finder, "find_spec", None) for finder in sys.meta_path)
    return next((spec for find in finders if find is not None and (spec := find(name, places)) is not None), None)


def _bindings(body: list[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """Each name that statements bind at the level of the module, with its statement."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield statement.name, statement
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            for alias in statement.names:
                yield alias.asname or alias.name.partition(".")[0], statement
        else:
            for part in _own_parts(statement):
                for name in _stored(part):
                    yield name, statement
            for inner in _bodies(statement):
                yield from _bindings(inner)


def _own_parts(statement: ast.stmt) -> list[ast.AST]:
    """The parts of a statement that are not statements inside it."""
    inner = (ast.stmt, ast.excepthandler, ast.match_case)
    return [part for part in ast.iter_child_nodes(statement) if not isinstance(part, inner)]


def _stored(node: ast.AST) -> Iterator[str]:
    """Names that an expression or target binds; what runs over a comprehension stays inside it."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    if not isinstance(node, _COMPREHENSIONS):
        for part in ast.iter_child_nodes(node):
            yield from _stored(part)


def _bodies(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    if isinstance(statement, _BLOCKS):
        for field in ("body", "orelse", "finalbody"):
            yield getattr(statement, field, [])
        for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
            yield part.body


def _why_no_factory(name: str, statement: ast.stmt) -> str | None:
    if isinstance(statement, ast.Import):
        return f"has {name!r} as a module"
    if isinstance(statement, ast.For):
        return f"has {name!r} as a value of a loop"
    value = getattr(statement, "value", None)
    if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(value, _LITERALS):
        return f"has {name!r} as a plain value"
    if isinstance(statement, ast.ClassDef) and not (statement.bases or statement.keywords or statement.decorator_list):
        return f"has {name!r} as a class without a base"
    return None
