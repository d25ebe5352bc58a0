"""Sentences in the reader's language: English templates and their translations in `locale`, read by gettext."""

import gettext
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from velodrome.checks import closest
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.reporting.particles import WithParticle

Language = Literal["en", "ko"]
LANGUAGES: tuple[str, ...] = get_args(Language)
# Labels that are named in one list.
MOST_NAMES = 5


@dataclass(frozen=True)
class Words:
    """The words of a language.

    Attributes:
        language: "en" or "ko", as in the `lang` attribute of HTML.
        quotes: whether labels are put in quotation marks, as lists of labels with commas need.
        is_shipped: whether the experiment is one of velodrome's, whose labels have translations.
    """

    language: str = "en"
    quotes: bool = False
    is_shipped: bool = False

    @classmethod
    def of(cls, language: str, labels: Sequence[str] = (), *, is_shipped: bool = False) -> "Words":
        """Words for a report on agents of these labels; `is_shipped` as in `Words`.

        Raises:
            ExperimentError: a language that is not known.
        """
        if language not in LANGUAGES:
            known = f"language must be one of {', '.join(LANGUAGES)}"
            raise ExperimentError(f"{known}, got {language!r}{closest(language, LANGUAGES)}")
        words = cls(language, is_shipped=is_shipped)
        quotes = any("," in label or label != label.strip() for label in map(words.shipped, labels))
        return replace(words, quotes=quotes)

    def __call__(self, template: str, **values: object) -> str:
        """A sentence: the template's translation with its fields filled in.

        A template without translation stays English.
        """
        # The catalogue has its header under the empty message.
        return _filled(_messages(self.language).gettext(template), values) if template else ""

    def counted(self, one: str, several: str, number: int, **values: object) -> str:
        """A sentence that depends on a number, which it may name as `{number}`."""
        template = _messages(self.language).ngettext(one, several, number)
        return _filled(template, {"number": f"{number:,}", **values})

    def seeds(self, numbers: Sequence[int]) -> str:
        """Such as "30 seeds" or "27–30 seeds"."""
        fewest, most = min(numbers), max(numbers)
        if fewest == most:
            return self.counted("{number} seed", "{number} seeds", most)
        return self("{fewest}–{most} seeds", fewest=fewest, most=most)

    def name(self, label: str) -> str:
        """A label within a sentence."""
        label = self.shipped(label)
        return f"“{label}”" if self.quotes else label

    def shipped(self, text: str) -> str:
        """A label or the description of a shipped experiment, translated; those of users stay as they are."""
        if not (self.is_shipped and text):
            return text
        # Learners that were crossed with policies are named by both.
        return " · ".join(_messages(self.language).pgettext("label", part) for part in text.split(" · "))

    def names(self, labels: Sequence[str], most: int = MOST_NAMES) -> str:
        """Labels as a list: "A, B and C", or "A, B, C and 17 others"."""
        if len(labels) > most:
            told = ", ".join(self.name(label) for label in labels[: most - 1])
            return self("{told} and {others} others", told=told, others=len(labels) - most + 1)
        named = [self.name(label) for label in labels]
        if len(named) < 2:
            return "".join(named)
        return self("{told} and {last}", told=", ".join(named[:-1]), last=named[-1])


@cache
def _messages(language: str) -> gettext.NullTranslations:
    if language == "en":
        return gettext.NullTranslations()
    return gettext.translation("velodrome", Path(__file__).with_name("locale"), languages=[language])


def _filled(template: str, values: Mapping[str, object]) -> str:
    return template.format(**{name: WithParticle(value) for name, value in values.items()})
