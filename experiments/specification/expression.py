"""The expression language of the command line, of experiment files and of table labels.

`q_learning(discount=0.9, policy=epsilon_greedy(epsilon=0.1, ties="first"))`: a name and, in brackets, positional
arguments before keyword ones. Values are numbers (also `1_000`, `1e-3`, `1/3`, `inf`), quoted strings,
True/False/None (or true/false/none/null), lists, tuples and further expressions; a bare name is an expression
without arguments. Nothing is evaluated.
"""

import functools
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from velodrome.checks import VelodromeError

if TYPE_CHECKING:
    from lark import Lark, Token, Tree
    from lark.exceptions import UnexpectedInput

# Names may be Gymnasium ids (`velodrome/DeepSea-v0`) and places in modules (`my.module:MyPolicy`).
_NAME = r"[^\W\d](?:[\w.:\/-]*\w)?"
_GRAMMAR = rf"""
    ?start: value
    ?value: NAME -> word
        | NAME "(" [_arguments] ")" -> call
        | NUMBER -> number
        | STRING -> string
        | "[" [_values] "]" -> list
        | "(" ")" -> tuple
        | "(" value ")"
        | "(" value "," [_values] ")" -> tuple
    _values: value ("," value)* [","]
    _arguments: _argument ("," _argument)* [","]
    _argument: value | keyword
    keyword: NAME "=" value
    NAME: /{_NAME}/
    NUMBER: /[+-]inf\b|[+-]?\.?[0-9](?:[eE][+-](?=[0-9])|[\w.])*(?:\s*\/\s*[0-9_]+)?/
    STRING: /"(?:[^"\\]|\\[\s\S])*"|'(?:[^'\\]|\\[\s\S])*'/
    %ignore /\s+/
"""
_WORDS: dict[str, Any] = {
    "True": True, "true": True, "False": False, "false": False,
    "None": None, "none": None, "null": None, "inf": math.inf,
}  # fmt: skip
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[\s\S])")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "a": "\a", "b": "\b", "f": "\f", "v": "\v"} | {
    character: character for character in "\\'\""
}
_CLOSING = {"(": ")", "[": "]"}
_STARTS_VALUE = ("NAME", "NUMBER", "STRING", "LPAR", "LSQB")
_ENDS_VALUE = ("NAME", "NUMBER", "STRING", "RPAR", "RSQB")
_LONGEST_QUOTED = 80


class ExpressionError(VelodromeError, ValueError):
    """A text that is no expression; the message is one line that says what is wrong and where."""


@dataclass(frozen=True)
class Call:
    """A name with its arguments; `str` gives the canonical text, which parses back to an equal call.

    Args:
        name: what is called, such as "q_learning" or "velodrome/DeepSea-v0".
        positional: values in order: bool, int, float, str, None, list, tuple or Call.
        keywords: values by argument name.

    Raises:
        ExpressionError: the name or an argument's name cannot be written in an expression.
    """

    name: str
    positional: tuple[Any, ...] = ()
    keywords: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(_NAME, self.name) or self.name in _WORDS:
            raise ExpressionError(f"{self.name!r} is not a name")
        for keyword in self.keywords:
            if not keyword.isidentifier():
                raise ExpressionError(f"{self.name}: {keyword!r} is not the name of an argument")

    def __hash__(self) -> int:
        # Values may be lists, which have no hash.
        return hash((self.name, len(self.positional), frozenset(self.keywords)))

    def __str__(self) -> str:
        arguments = [to_text(value) for value in self.positional]
        arguments += [f"{keyword}={to_text(value)}" for keyword, value in self.keywords.items()]
        return f"{self.name}({', '.join(arguments)})" if arguments else self.name


def to_text(value: Any) -> str:
    """Canonical text of a value.

    Raises:
        ExpressionError: the value has no spelling in an expression.
    """
    if isinstance(value, list):
        return f"[{', '.join(map(to_text, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(to_text, value))}{',' if len(value) == 1 else ''})"
    plain = value is None or isinstance(value, bool | int | float | str)
    if not isinstance(value, Call) and (not plain or value != value):
        raise ExpressionError(f"{value!r} cannot be written in an expression")
    return str(value) if isinstance(value, Call) else repr(value)


def parse_expression(text: str) -> Call:
    """Read an expression: a name, with arguments or without.

    Args:
        text: such as "epsilon_greedy(epsilon=0.1)".

    Raises:
        ExpressionError: in one line, with the column.
    """
    value = parse_value(text)
    if not isinstance(value, Call):
        raise ExpressionError(
            f"expression {_excerpt(text)}: a name with arguments is needed, such as q_learning(discount=0.9)"
        )
    return value


def parse_value(text: str) -> Any:
    """Read an expression or a plain value: bool, int, float, str, None, list, tuple or Call.

    Raises:
        ExpressionError: in one line, with the column.
    """
    if not isinstance(text, str):
        raise ExpressionError(f"an expression is text, got {text!r}")
    if not text.strip():
        raise ExpressionError("an expression is needed, such as q_learning(discount=0.9), got an empty text")
    from lark.exceptions import UnexpectedInput

    try:
        return _Reader(text).value(_tree(text))
    except UnexpectedInput as error:
        position, problem = _explained(text, error)
    except RecursionError:
        position, problem = 0, "it is nested too deeply"
    raise ExpressionError(f"expression {_excerpt(text, position)}: {problem}")


@functools.lru_cache(maxsize=64)
def _tree(text: str) -> Any:
    return _parser().parse(text)


@functools.cache
def _parser() -> "Lark":
    from lark import Lark

    return Lark(_GRAMMAR, parser="lalr", lexer="basic", maybe_placeholders=False, propagate_positions=True)


class _Reader:
    """Turns the syntax tree of `text` into values."""

    def __init__(self, text: str) -> None:
        self.text = text

    def value(self, node: "Tree[Token]") -> Any:
        children: list[Any] = node.children
        if node.data == "call":
            return self._call(children[0], children[1:])
        if node.data == "word":
            return _WORDS[children[0]] if children[0] in _WORDS else Call(str(children[0]))
        if node.data == "number":
            return self._number(children[0])
        if node.data == "string":
            return self._string(children[0])
        values = [self.value(child) for child in children]
        return values if node.data == "list" else tuple(values)

    def _call(self, name: "Token", arguments: "list[Tree[Token]]") -> Call:
        if name in _WORDS:
            self._refuse(name.start_pos, f"{str(name)!r} takes no brackets")
        positional: list[Any] = []
        keywords: dict[str, Any] = {}
        for argument in arguments:
            if argument.data != "keyword":
                if keywords:
                    self._refuse(argument.meta.start_pos, "a positional argument follows a keyword one")
                positional.append(self.value(argument))
                continue
            key: Any = argument.children[0]
            if not key.isidentifier():
                self._refuse(key.start_pos, f"{_excerpt(key)} is not the name of an argument")
            if key in keywords:
                self._refuse(key.start_pos, f"{name} has the argument {str(key)!r} twice, the second time")
            keywords[str(key)] = self.value(argument.children[1])  # type: ignore[arg-type]
        return Call(str(name), tuple(positional), keywords)

    def _number(self, token: "Token") -> int | float:
        numerator, slash, denominator = token.partition("/")
        try:
            if slash:
                return int(numerator) / int(denominator)
            return int(token) if re.fullmatch(r"[+-]?[0-9_]+", token) else float(token)
        except (ValueError, ArithmeticError):
            self._refuse(token.start_pos, f"{_excerpt(token)} is not a number")

    def _string(self, token: "Token") -> str:
        def character(escape: re.Match[str]) -> str:
            code = escape[1]
            if len(code) > 1 and int(code[1:], 16) <= 0x10FFFF:
                return chr(int(code[1:], 16))
            if code not in _ESCAPED:
                self._refuse(token.start_pos, rf"{escape[0]!r} is no escape (write \\ for a backslash) in the string")
            return _ESCAPED[code]

        return _ESCAPE.sub(character, token[1:-1])

    def _refuse(self, position: int | None, problem: str) -> NoReturn:
        place = _place(self.text, position or 0)
        raise ExpressionError(f"expression {_excerpt(self.text, position or 0)}: {problem} at {place}")


def _explained(text: str, error: "UnexpectedInput") -> tuple[int, str]:
    """Position of a syntax error and what is wrong there."""
    token = getattr(error, "token", None)
    at_end = token is not None and token.type == "$END"
    position = len(text) if at_end else (error.pos_in_stream or 0)
    previous, opened = "", []
    for before in _parser().lex(text[:position]):
        previous = before.type
        if before in _CLOSING:
            opened.append(before)
        elif before in _CLOSING.values():
            opened.pop()
    if at_end:
        position = opened[-1].start_pos or 0
        return position, f"the bracket opened at {_place(text, position)} is not closed"
    place = _place(text, position)
    if token is None:
        if text[position] in "\"'":
            return position, f"the string opened at {place} is not closed"
        return position, f"unexpected character {text[position]!r} at {place}"
    if token in _CLOSING.values() and not opened:
        return position, f"the bracket {str(token)!r} at {place} closes nothing"
    if token in _CLOSING.values() and token != _CLOSING[opened[-1]]:
        start = _place(text, opened[-1].start_pos or 0)
        return position, f"{str(token)!r} at {place} does not close {str(opened[-1])!r} opened at {start}"
    if opened and token.type in _STARTS_VALUE and previous in _ENDS_VALUE:
        return position, f"a comma is missing before {_excerpt(token)} at {place}"
    if token.type in ("COMMA", "RPAR", "RSQB"):
        return position, f"a value is missing before {str(token)!r} at {place}"
    return position, f"unexpected {_excerpt(token)} at {place}"


def _place(text: str, position: int) -> str:
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    return f"line {line}, column {column}" if "\n" in text else f"column {column}"


def _excerpt(text: str, position: int = 0) -> str:
    """The text in quotes; of a long one, what surrounds `position`."""
    if len(text) <= _LONGEST_QUOTED:
        return repr(str(text))
    start = min(max(position - _LONGEST_QUOTED // 2, 0), len(text) - _LONGEST_QUOTED)
    stop = start + _LONGEST_QUOTED
    return repr(("…" if start else "") + text[start:stop] + ("…" if stop < len(text) else ""))
