"""Standard output and error that show what they can of a text, whatever their encoding."""

import codecs
import contextlib
import os
import sys
from typing import IO

from velodrome.experiments.texts import visible

# Columns of a terminal; narrower ones hold no table, wider ones are mistakes.
LEAST_WIDTH, USUAL_WIDTH, MOST_WIDTH = 20, 80, 10_000
_MOST_DIGITS = 9
_HANDLER = "velodrome.substitutes"
# Encodings that lacked a character since `make_printable` was called.
_lacking: set[str] = set()
# What tables and messages use, in letters that every encoding has.
_SUBSTITUTES = {
    "\N{MIDDLE DOT}": "*", "\N{MULTIPLICATION SIGN}": "x", "\N{HORIZONTAL ELLIPSIS}": "...", "\N{EN DASH}": "-",
    "\N{EM DASH}": "-", "\N{MINUS SIGN}": "-", "\N{PLUS-MINUS SIGN}": "+-", "\N{GREATER-THAN OR EQUAL TO}": ">=",
    "\N{LESS-THAN OR EQUAL TO}": "<=", "\N{ALMOST EQUAL TO}": "~", "\N{RIGHTWARDS ARROW}": "->", "\N{BULLET}": "*",
    "\N{INFINITY}": "inf", "\N{LEFT SINGLE QUOTATION MARK}": "'", "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"', "\N{RIGHT DOUBLE QUOTATION MARK}": '"', "\N{NO-BREAK SPACE}": " ",
    "\N{BOX DRAWINGS LIGHT HORIZONTAL}": "-", "\N{BOX DRAWINGS HEAVY HORIZONTAL}": "-",
}  # fmt: skip


def make_printable() -> None:
    """Let standard output and error replace what their encoding lacks, instead of raising in the middle of a result.

    A stream whose owner has chosen to ignore or replace such characters is left alone.
    """
    _lacking.clear()
    codecs.register_error(_HANDLER, _substituted)
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) in ("strict", "surrogateescape", "backslashreplace"):
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure is not None:
                reconfigure(errors=_HANDLER)


def heed_width() -> None:
    """Let all that is printed take a usable width, whatever the variable COLUMNS says."""
    given = os.environ.get("COLUMNS", "").strip()
    if not (given.isascii() and given.isdigit()):
        os.environ.pop("COLUMNS", None)
    elif not LEAST_WIDTH <= int(given[:_MOST_DIGITS]) <= MOST_WIDTH:
        is_narrow = 0 < int(given[:_MOST_DIGITS]) < LEAST_WIDTH
        os.environ["COLUMNS"] = str(LEAST_WIDTH if is_narrow else USUAL_WIDTH)


def say(text: object, stream: IO[str] | None = None) -> None:
    """Print a text, on standard output by default, with its control characters shown instead of obeyed."""
    print(visible(str(text)), file=stream)


def replacement_lines() -> list[str]:
    """One line of warning where characters were replaced."""
    if not _lacking:
        return []
    names = " and ".join(sorted(_lacking))
    return [f"the encoding {names} lacks some characters, which were replaced: PYTHONIOENCODING=utf-8 keeps them"]


def holds_all(stream: IO[str] | None) -> bool:
    """Whether a stream's encoding has all characters."""
    name = getattr(stream, "encoding", None) or "utf-8"
    try:
        return codecs.lookup(name).name.startswith("utf")
    except LookupError:
        return False


def leave(stream: IO[str] | None) -> None:
    """Send what a stream still holds to nowhere, where it can no longer be written to; else Python says so at exit."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # type: ignore[union-attr]
        os.close(nowhere)


def _substituted(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    _lacking.add(error.encoding)
    parts = []
    for place in range(error.start, error.end):
        letter = error.object[place]
        escape = UnicodeEncodeError(error.encoding, letter, 0, 1, error.reason)
        parts.append(_SUBSTITUTES.get(letter) or str(codecs.backslashreplace_errors(escape)[0]))
    return "".join(parts), error.end
