"""Sphinx extension: the API reference, a page for each face of a room, and one for each long class.

The pages are written into docs/reference/api before the build, from the faces: a new public name has its place by
itself. Docstrings are Markdown in little: code in backticks, lists, indented code; here they become reStructuredText.
"""

import dataclasses
import inspect
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike
from public_names import (
    SECTION,
    doc_of,
    faces,
    is_defined,
    is_ours,
    members_of,
    parameters_of,
    places,
    undocumented,
    value_of,
)
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.typing import stringify_annotation

from velodrome.experiments.grading.assignment_schema import assignment_schema
from velodrome.experiments.specification.catalogue import AGENTS, DISTRIBUTIONS, POLICIES, SCHEDULES
from velodrome.experiments.specification.schema import descriptions_of, experiment_schema, schema_text
from velodrome.policies.configuration import Configuration, to_expression

DOCS = Path(__file__).parents[1]
PAGES = DOCS / "reference" / "api"
# Classes with more methods and properties of their own stand on a page of their own.
LONG = 8
# Pages that speak of a name, at most so many; the word must be code there.
GUIDES = ("tutorials", "how_to", "why")
MOST_GUIDES = 3
# How Sphinx writes NumPy's types of arrays.
ARRAY = re.compile(r"~?numpy\.ndarray\[tuple\[~?typing\.Any, \.\.\.\], ~?numpy\.dtype\[(~?[\w.]+)\]\]")
ARRAY_LIKE = stringify_annotation(ArrayLike, "smart")
CODE = re.compile(r"`([^`]+)`")


def as_rest(text: str, owner: str = "") -> str:
    """Docstring as reStructuredText; names of the reference in it are links."""
    lines, out, code_indent = text.split("\n"), [], None
    for place, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if code_indent is not None and line.strip() and indent < code_indent:
            code_indent = None
        before = [earlier for earlier in lines[:place] if earlier.strip()][-1:]
        if (
            code_indent is None
            and place > 0
            and not lines[place - 1].strip()
            and before
            and before[0].rstrip().endswith(":")
            and indent > len(before[0]) - len(before[0].lstrip())
            and line.strip()
            and not line.strip().startswith(("- ", "* "))
        ):
            code_indent = indent
            out.insert(len(out) - 1, "\n" + " " * (len(before[0]) - len(before[0].lstrip())) + "::")
        out.append(line if code_indent is not None else f"\0{line}")
    # Code may go on in the next line: what is no code block is read as one text.
    parts = re.split(r"((?:^(?!\0).*\n?)+)", "\n".join(out), flags=re.M)
    return "".join(part if place % 2 else _prose(part.replace("\0", ""), owner) for place, part in enumerate(parts))


def _prose(text: str, owner: str) -> str:
    pieces = re.split(r"`([^`]+)`", text)
    for place in range(1, len(pieces), 2):
        before = "\\ " if re.search(r"[^\s'\"(\[{<\-/:]$", pieces[place - 1]) else ""
        after = "\\ " if re.match(r"[^\s'\")\]}>\-/\\:.,;!?]", pieces[place + 1]) else ""
        pieces[place] = f"{before}{_code(pieces[place], owner)}{after}"
    return "".join(piece if place % 2 else _escaped(piece) for place, piece in enumerate(pieces))


def _escaped(text: str) -> str:
    text = re.sub(r"(?<!^)(?<!\s)\*|\*(?=\S)|\|", lambda found: "\\" + found[0], text)
    return re.sub(r"(\w)_(?!\w)", r"\1\\_", text)


def _code(text: str, owner: str) -> str:
    text = " ".join(text.split())
    target = resolve(text, owner)
    return f":py:obj:`{text} <{target}>`" if target else f"``{text}``"


@cache
def _by_name() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in places():
        found.setdefault(path.rpartition(".")[2], []).append(path)
    return found


def resolve(name: str, owner: str = "") -> str | None:
    """Full name of what a docstring calls `name`; None where it is nothing public, or more than one thing."""
    if not re.fullmatch(r"[A-Za-z_][\w.]*(\(\))?", name):
        return None
    name = name.removesuffix("()").removeprefix("vd.").removeprefix("velodrome.")
    if owner in places() and inspect.isclass(value_of(owner)) and "." not in name:
        for base in value_of(owner).__mro__:
            path = path_of(base)
            if path and name in documented_members(path):
                return f"{path}.{name}"
    head, _, rest = name.partition(".")
    for path in (f"velodrome.{name}", f"velodrome.{name.rpartition('.')[0]}.{name.rpartition('.')[2]}"):
        if path in places():
            return path
    room = owner.split(".")[1:2]
    found = [path for path in _by_name().get(head, []) if head[:1].isupper() or path.split(".")[1:2] == room]
    found = [path for path in found if path.split(".")[1:2] == room] or found
    if len(found) != 1 or found[0] == owner:
        return None
    if not rest:
        return found[0]
    return (
        f"{found[0]}.{rest}" if inspect.isclass(value_of(found[0])) and rest in documented_members(found[0]) else None
    )


@cache
def _paths_by_object() -> dict[int, str]:
    return {id(value_of(path)): path for path in places()}


def path_of(value: Any) -> str | None:
    """Public name of an object, or None."""
    return _paths_by_object().get(id(value))


@cache
def documented_members(path: str) -> frozenset[str]:
    """Methods and properties that the entry of a class has: its own, and those of bases that are not public."""
    owner = value_of(path)
    hidden = [base for base in owner.__mro__ if is_ours(base) and (base is owner or path_of(base) is None)]
    own = {name for base in hidden for name, value in vars(base).items() if getattr(value, "__doc__", None)}
    return frozenset(name for name, _ in members_of(owner) if name in own)


@cache
def _guides() -> dict[str, str]:
    """Text of the code in each page that explains, by the page's name."""
    pages = [page for folder in GUIDES for page in sorted((DOCS / folder).rglob("*.md")) if page.stem != "index"]
    return {
        page.relative_to(DOCS).with_suffix("").as_posix(): "\n".join(
            CODE.findall(page.read_text(encoding="utf-8").replace("```", "`"))
        )
        for page in pages
    }


def guides_of(*names: str) -> list[str]:
    """Pages that explain any of the names, the one that is most about it first."""
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?:(?!\w)|(?<=\())" for name in names))
    counts = {page: len(pattern.findall(text)) for page, text in _guides().items()}
    # A page that says it often in few words is about it.
    score = {page: count**2 / len(_guides()[page]) for page, count in counts.items() if count}
    return sorted(score, key=lambda page: -score[page])[:MOST_GUIDES]


@cache
def _names_in_files() -> dict[str, list[str]]:
    """Names that agents, policies, schedules and distributions have in experiment files, by their class."""
    found: dict[str, list[str]] = {}
    for names in (AGENTS, POLICIES, SCHEDULES, DISTRIBUTIONS):
        for name, value in names.items():
            found.setdefault(value.__name__, []).append(name)
    return found


def page_of(path: str) -> str:
    """Page on which a public name stands: that of its innermost face, or its own."""
    value = value_of(path)
    if inspect.isclass(value) and len(documented_members(path)) > LONG:
        return path
    return innermost_face(path)


def innermost_face(path: str) -> str:
    """Face of the room in which a public name lives."""
    return max(places()[path], key=lambda face: face.count("."))


def write_pages(app: Sphinx) -> None:
    """Write the pages of the reference, and refuse to go on where something public is not documented."""
    missing = list(undocumented())
    if missing:
        raise ExtensionError(f"public, but not documented: {', '.join(missing)}")
    pages: dict[str, str] = {}
    for path in places():
        page = page_of(path)
        if page == path:
            pages[page] = f"{_title(page.rpartition('.')[2])}\n{_entry(path)}"
    for face in faces():
        pages[face] = _face_page(face)
    for name, schema in (("experiment", experiment_schema()), ("assignment", assignment_schema())):
        _write(DOCS / "reference" / f"{name}.schema.json", schema_text(schema))
    PAGES.mkdir(parents=True, exist_ok=True)
    for old in PAGES.glob("*.rst"):
        if old.stem not in pages:
            old.unlink()
    for page, text in pages.items():
        _write(PAGES / f"{page}.rst", text)


def _write(file: Path, text: str) -> None:
    """Write a file where it would be another one: Sphinx reads again what is newer."""
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")


def _title(text: str, line: str = "=") -> str:
    return f"{text}\n{line * len(text)}\n"


def _face_page(face: str) -> str:
    here = [path for path, rooms in places().items() if face in rooms]
    inner = [other for other in faces() if other.rpartition(".")[0] == face]
    here.sort(key=lambda path: path.rpartition(".")[2].lower())
    parts = [_title(face), as_rest(inspect.getdoc(import_module(face)) or ""), ""]
    pages = [path for path in here if page_of(path) == path and face == innermost_face(path)]
    # The outermost face's rooms stand beside it in the contents.
    pages += inner if "." in face else []
    if pages:
        parts += [".. toctree::", "   :hidden:", "", *(f"   {page}" for page in pages), ""]
    if inner:
        parts += [
            _title("Rooms inside", "-"),
            *_table((f":doc:`{room} <{room}>`", _first_line(room)) for room in inner),
        ]
    kinds = ("Classes", "Functions", "Errors and warnings", "Constants and types")
    groups: dict[str, list[str]] = {kind: [] for kind in kinds}
    for path in here:
        value = value_of(path)
        is_error = inspect.isclass(value) and issubclass(value, Exception)
        kind = "Errors and warnings" if is_error else "Classes" if inspect.isclass(value) else "Functions"
        groups[kind if is_defined(value) else "Constants and types"].append(path)
    for title, paths in groups.items():
        if paths:
            parts += [_title(title, "-"), *_table((_link(path), _first_line(path)) for path in paths)]
            parts += [_entry(path) for path in paths if page_of(path) == face]
    return "\n".join(parts)


def _link(path: str) -> str:
    return f":py:obj:`{path.rpartition('.')[2]} <{path}>`"


def _first_line(path: str) -> str:
    doc = doc_of(path) if path in places() else inspect.getdoc(import_module(path)) or ""
    return " ".join(as_rest(doc.strip().partition("\n\n")[0], path).split())


def _table(rows: Iterator[tuple[str, str]]) -> list[str]:
    lines = [".. list-table::", "   :widths: 30 70", ""]
    for name, line in rows:
        lines += [f"   * - {name}", f"     - {line}"]
    return [*lines, ""]


def _entry(path: str) -> str:
    value = value_of(path)
    if not is_defined(value):
        text = as_rest(doc_of(path), path).replace("\n", "\n   ")
        return f".. py:data:: {path}\n\n   {text}\n{_see(path, '   ')}"
    if not inspect.isclass(value):
        return f".. autofunction:: {path}\n{_see(path, '   ')}"
    members = ", ".join(sorted(documented_members(path)))
    shown = f"   :members: {members}\n" if members else ""
    bases = "   :show-inheritance:\n" if any(path_of(base) for base in value.__bases__) else ""
    return f".. autoclass:: {path}\n{bases}{shown}{_see(path, '   ')}"


def _see(path: str, indent: str) -> str:
    name = path.rpartition(".")[2]
    pages = guides_of(name if inspect.isclass(value_of(path)) else f"{name}(", *_names_in_files().get(name, []))
    return "" if not pages else f"\n{indent}Explained in {', '.join(f':doc:`/{page}`' for page in pages)}.\n"


def read_docstring(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Complete the fields of a class from its bases, and make reStructuredText of a docstring."""
    text = "\n".join(lines)
    owner = next((path for path in (name, name.rpartition(".")[0]) if path in places()), "")
    if what == "class" and parameters_of(value):
        fields, known = parameters_of(value), descriptions_of(value)
        own = SECTION.search(text + "\n")
        rows = "".join(f"    {field}: {known[field]}\n" for field in fields if field in known)
        section = f"Args:\n{rows}\n"
        text = text.rstrip() + "\n\n" + section if own is None else text[: own.start()] + section + text[own.end() :]
    lines[:] = as_rest(text, owner).split("\n")


def show_defaults(
    app: Sphinx, what: str, name: str, value: Any, options: Any, arguments: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Show the default of a field that is made anew for each object, as it is written in an experiment file."""
    if arguments and what == "class" and dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            if field.default_factory is not dataclasses.MISSING:
                default = shown_default(field.default_factory())
                arguments = arguments.replace(f"{field.name}=<factory>", f"{field.name}={default}")
    return arguments, returns


def shown_default(value: Any) -> str:
    """A default value as a reader would write it."""
    return to_expression(value) if isinstance(value, Configuration) else repr(value)


def shorten_types(app: Sphinx, domain: str, kind: str, content: Any) -> None:
    """Write types as the source does, and leave out that a function returns None."""
    for annotations in app.env.current_document.autodoc_annotations.values():
        if annotations.get("return") in ("None", ":py:obj:`None`"):
            del annotations["return"]
        for name, text in annotations.items():
            annotations[name] = ARRAY.sub(
                r"~numpy.typing.NDArray[\1]", text.replace(ARRAY_LIKE, "~numpy.typing.ArrayLike")
            )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-docstring", read_docstring, priority=400)
    app.connect("autodoc-process-signature", show_defaults)
    app.connect("object-description-transform", shorten_types, priority=400)
    return {"parallel_read_safe": True}
