"""A mistake that was found in a submission."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Self

from velodrome.experiments.reporting.languages import Words


class Evidence(str):
    """Where a mistake shows: a text in English, made of a template that gettext can translate."""

    def __new__(cls, template: str, **values: object) -> Self:
        """Evidence of a template; values may be evidence themselves."""
        self = super().__new__(cls, template.format(**values) if values else template)
        self._template = template
        self._values = values
        return self

    _template: str
    _values: dict[str, object]

    @classmethod
    def joined(cls, parts: Iterable[str], template: str = "{one}; {other}") -> str:
        """Parts as one text; empty ones are left out."""
        kept = [part for part in parts if part]
        return reduce(lambda one, other: cls(template, one=one, other=other), kept) if kept else ""

    @classmethod
    def names(cls, names: Iterable[str]) -> str:
        """Names of mistakes, separated by commas."""
        return cls.joined([name if isinstance(name, cls) else cls(name) for name in names], "{one}, {other}")

    def in_words(self, words: Words) -> str:
        """The text in a language."""
        values = {
            name: value.in_words(words) if isinstance(value, Evidence) else value
            for name, value in self._values.items()
        }
        return words(self._template, **values)


@dataclass(frozen=True)
class Finding:
    """A mistake, named.

    Attributes:
        name: short and fixed, such as "bootstrap on truncation"; the same for the same mistake.
        sentence: the mistake, for the student; a fixed text without values, so that gettext can translate it.
        evidence: where it shows, with numbers; what is no `Evidence` stays English.
        certain: whether nothing else explains the evidence; a likely cause otherwise.
    """

    name: str
    sentence: str
    evidence: str
    certain: bool
