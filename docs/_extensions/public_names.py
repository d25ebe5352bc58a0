"""The public names of velodrome: what the faces of its rooms give out, and where each has its place."""

import ast
import dataclasses
import importlib
import inspect
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from velodrome.experiments.specification.schema import descriptions_of

ROOT = Path(__file__).parents[2]
# A section in which a docstring describes parameters or fields, each as `name: …`.
SECTION = re.compile(r"^(?:Args|Attributes):\n((?:(?: .*)?\n)*)", re.M)


def faces() -> list[str]:
    """Packages of the project, and the modules that are faces without being packages; an outer one comes first."""
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    return [*packages, "velodrome.checks", "velodrome.testing"]


def names_of(face: str) -> dict[str, Any]:
    """Public objects of a face that are no modules, by name."""
    module = importlib.import_module(face)
    names = getattr(module, "__all__", None)
    if names is None:
        names = [name for name, value in vars(module).items() if getattr(value, "__module__", None) == face]
    found = {name: getattr(module, name) for name in sorted(names) if not name.startswith("_")}
    return {name: value for name, value in found.items() if not isinstance(value, ModuleType)}


def places() -> dict[str, list[str]]:
    """Every public object under its shortest name, with all the faces that give it out, outermost first."""
    by_object: dict[int, tuple[str, list[str]]] = {}
    for face in sorted(faces(), key=lambda face: face.count(".")):
        for name, value in names_of(face).items():
            by_object.setdefault(id(value), (f"{face}.{name}", []))[1].append(face)
    return dict(sorted(by_object.values()))


def value_of(path: str) -> Any:
    """Object of a public name such as "velodrome.agents.QLearning"."""
    face, _, name = path.rpartition(".")
    return getattr(importlib.import_module(face), name)


def is_defined(value: Any) -> bool:
    """Whether a value is a class or a function, and no constant or alias of a type."""
    return inspect.isclass(value) or inspect.isfunction(inspect.unwrap(value))


def module_of(path: str) -> str:
    """Module that defines a public name."""
    value, (face, _, name) = value_of(path), path.rpartition(".")
    if is_defined(value):
        return str(value.__module__)
    source = Path(sys.modules[face].__file__ or "")
    stub = source.with_suffix(".pyi")
    for statement in ast.parse((stub if stub.exists() else source).read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.ImportFrom) and name in {alias.name for alias in statement.names}:
            return f"{face}.{statement.module}" if statement.level else str(statement.module)
    raise LookupError(f"{path}: no module of the face {face} defines it")


def data_doc(path: str) -> str:
    """Comment above a public constant, in lines that begin with `#: `."""
    source = inspect.getsource(importlib.import_module(module_of(path)))
    found = re.search(rf"^((?:#:.*\n)+){path.rpartition('.')[2]}\b", source, re.M)
    return re.sub(r"^#: ?", "", found[1], flags=re.M).strip() if found else ""


def doc_of(path: str) -> str:
    """Docstring of a public name, or the comment above a constant."""
    value = value_of(path)
    return (inspect.getdoc(value) if is_defined(value) else data_doc(path)) or ""


def is_ours(value: Any) -> bool:
    """Whether a class or a function is defined in velodrome."""
    return str(getattr(value, "__module__", "")).partition(".")[0] == "velodrome"


def members_of(owner: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties of a class that velodrome defines, inherited ones too."""
    fields = parameters_of(owner)
    for name, value in inspect.getmembers_static(owner):
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        function = getattr(function, "func", function)
        if not name.startswith("_") and name not in fields and inspect.isfunction(function) and is_ours(function):
            yield name, value


def parameters_of(value: Callable[..., Any]) -> list[str]:
    """Parameters of a function, or fields of a dataclass that its caller gives or reads."""
    if inspect.isclass(value):
        fields = dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()
        return [field.name for field in fields if not field.name.startswith("_")]
    return [name for name in inspect.signature(value).parameters if name not in ("self", "cls")]


def undocumented_of_method(owner: type, name: str, method: Any) -> list[str]:
    """Parameters of a method that neither its docstring describes nor that of the method of a base."""
    function = inspect.unwrap(getattr(method, "__func__", method))
    if not inspect.isfunction(function):
        return []
    methods = [getattr(base, name) for base in owner.__mro__ if name in vars(base)]
    known = {parameter for each in methods if callable(each) for parameter in descriptions_of(each)}
    return [parameter for parameter in parameters_of(function) if parameter not in known]


def undocumented() -> Iterator[str]:
    """What public modules, names, methods, properties, parameters and fields lack a word of documentation."""
    for face in faces():
        if not (importlib.import_module(face).__doc__ or "").strip():
            yield face
    for path in places():
        value = value_of(path)
        if not doc_of(path):
            yield path
        if inspect.isclass(value) and (value.__doc__ or "").startswith(f"{value.__name__}("):
            yield f"{path}: its docstring is the one that dataclasses make"
        if is_defined(value):
            known = descriptions_of(value)
            yield from (f"{path}({name})" for name in parameters_of(value) if name not in known)
        if inspect.isclass(value):
            for name, method in members_of(value):
                if not inspect.getdoc(getattr(value, name)):
                    yield f"{path}.{name}"
                yield from (f"{path}.{name}({one})" for one in undocumented_of_method(value, name, method))
