"""A mistake that was found in a submission."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A mistake, named.

    Attributes:
        name: short and fixed, such as "bootstrap on truncation"; the same for the same mistake.
        sentence: the mistake, for the student; a fixed text without values, so that gettext can translate it.
        evidence: where it shows, with numbers; kept in English.
        certain: whether nothing else explains the evidence; a likely cause otherwise.
    """

    name: str
    sentence: str
    evidence: str
    certain: bool
