"""Texts from outside: their control characters are shown, never sent to the terminal that prints them."""

import shlex
import sys
import unicodedata
from collections.abc import Iterable

# Controls, halves of characters, and separators of lines and paragraphs.
_COMMANDING = ("Cc", "Cs", "Zl", "Zp")
# Spreadsheets take cells that begin so for formulas, and run them.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
# Letters after these are shown in another order than they are written.
_REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def is_printable(label: str) -> bool:
    """Whether a label is one line without control characters, which would command the terminal that prints it."""
    return not any(map(_commands, label))


def visible(text: str, *, keep: str = "\n\t") -> str:
    r"""A text with its control characters shown, such as `\x1b`.

    Args:
        text: of any origin.
        keep: control characters that stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(_shown(letter) if letter not in keep and _commands(letter) else letter for letter in text)


def visible_line(text: str) -> str:
    r"""A text as one line: breaks are shown, too, as `\n`."""
    return visible(text, keep="")


def visible_json(text: str) -> str:
    """JSON whose strings show those control characters that JSON allows as they are."""
    escaped = (f"\\u{ord(letter):04x}" if letter != "\n" and _commands(letter) else letter for letter in text)
    return text if text.isprintable() else "".join(escaped)


def no_formula(text: str) -> str:
    """A text that spreadsheets show, and do not run as a formula: one that begins like one gets a leading `'`."""
    return f"'{text}" if text.startswith(_FORMULAS) else text


def _commands(letter: str) -> bool:
    return unicodedata.category(letter) in _COMMANDING or letter in _REORDERING


def _shown(letter: str) -> str:
    # Halves of characters are left to the encoding of the stream.
    return letter if unicodedata.category(letter) == "Cs" else letter.encode("unicode_escape").decode("ascii")


def command_line(words: Iterable[str]) -> str:
    """A command for a shell; a word with apostrophes, as expressions have, is in double quotes where these suffice."""
    return " ".join(
        f'"{word}"' if "'" in word and not any(letter in word for letter in '"\\$`!') else shlex.quote(word)
        for word in words
    )


def is_notebook() -> bool:
    """Whether this runs in a notebook's kernel."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return getattr(shell, "kernel", None) is not None
