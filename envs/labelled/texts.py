"""Texts: those of the lectures by name, a file's, or one's own; and their vocabularies."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from velodrome.checks import did_you_mean
from velodrome.envs.labelled.datasets.checks import DatasetError
from velodrome.envs.labelled.datasets.files import existing_path

#: The texts of the lecture, by their names.
TEXTS = {
    "hello": "hello",
    "hihello": "hihello",
    "if_you_want_you": " if you want you",
    "long_sentence": (
        "if you want to build a ship, don't drum up people together to collect wood and don't assign them tasks "
        "and work, but rather teach them to long for the endless immensity of the sea."
    ),
}

_DEFAULT = "hihello"
_LONGEST_QUOTED = 60


def chosen_text(text: object = None, path: object = None, name: object = None) -> tuple[str, str]:
    """The text that at most one of the arguments chooses, and what to call it.

    Args:
        text: itself; it is called by its first characters, in quotes.
        path: of a UTF-8 file, taken as it is; it is called by the file's name.
        name: among `TEXTS`; "hihello" where nothing is given.

    Raises:
        DatasetError: two are given, there is no such text, it cannot be read, or is shorter than two characters.
    """
    given = [f"{key}=" for key, value in (("text", text), ("path", path), ("name", name)) if value is not None]
    if len(given) > 1:
        raise DatasetError(f"give one of text=, path= and name=, got {' and '.join(given)}")
    if path is not None:
        found = existing_path(path)
        return _long_enough(f"the text in {str(path)!r}", _read(found)), found.name
    if text is not None:
        own = _long_enough("text", text)
        return own, _quoted(own)
    chosen = _DEFAULT if name is None else name
    # A tuple, because what is given may have no hash.
    if chosen not in tuple(TEXTS):
        listed = ", ".join(map(repr, TEXTS))
        raise DatasetError(f"name must be one of {listed}, got {chosen!r}{did_you_mean(chosen, TEXTS)}")
    return TEXTS[str(chosen)], str(chosen)


def vocabulary_of(text: str, given: object = None) -> str:
    """The characters to read and to guess among, sorted by code point.

    Args:
        text: whose characters they are, unless others are given.
        given: different characters, those of the text among them.

    Raises:
        DatasetError: `given` is no text, has a character twice, or lacks one of the text's.
    """
    own = "".join(sorted(set(text)))
    if given is None:
        return own
    if not isinstance(given, str):
        raise DatasetError(f"vocabulary must be a text of different characters, got {given!r}")
    counts = Counter(given)
    repeated = next((character for character, count in counts.items() if count > 1), None)
    if repeated is not None:
        raise DatasetError(f"vocabulary must have each character once, got {repeated!r} {counts[repeated]} times")
    ordered = "".join(sorted(given))
    unknown = next((character for character in text if character not in counts), None)
    if unknown is not None:
        raise DatasetError(f"character {unknown!r} of the text is not in the vocabulary {_quoted(ordered)}")
    return ordered


def _read(path: Path) -> str:
    try:
        # Not `read_text`, which makes one of the kinds of line ends.
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from None


def _long_enough(what: str, text: object) -> str:
    if not isinstance(text, str):
        raise DatasetError(f"{what} must be a text, got {text!r}")
    if len(text) < 2:
        raise DatasetError(f"{what} must have at least two characters, one to read and one to guess, got {text!r}")
    return text


def _quoted(text: str) -> str:
    """A text in quotes and in one line, shortened."""
    return repr(text if len(text) <= _LONGEST_QUOTED else f"{text[: _LONGEST_QUOTED - 1]}…")
