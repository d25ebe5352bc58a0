"""What is said of a submission: fixed templates, which gettext translates, and their values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from velodrome.checks import VelodromeError
from velodrome.experiments.reporting.languages import Words

_LONGEST = 300

# Why there is nothing to grade, by the kinds that the submission's process names.
MISTAKES = {
    "exception": "{error}",
    "exit": "it called sys.exit, which ends a program",
    "memory": "it needs more memory than {memory}",
    "missing": "there is no {name} in the submission{hint}",
    "not_callable": "{name} must be a function, got {got}",
    "not_numbers": "{name} must be an array of numbers, got {got}",
    "not_an_action": "{name} must be an action, a whole number, got {got}",
    "changes": "{name} gave different actions when it was asked twice: {one} and {other} in state {state}",
    "shape": "{name} must have the shape {shape}, got {got}",
    "not_finite": "{name} holds {got} at {place}",
    "not_whole": "{name} must hold actions, whole numbers, got {got} in state {state}",
    "no_such_action": "{name} must hold actions from 0 to {last}, got {got} in state {state}",
    "not_probabilities": "{name} must hold probabilities that sum to 1 in each state, got {got} in state {state}",
    "time": "it took more than {seconds} seconds of computing",
    "waited": "it slept or waited for {seconds} seconds without computing",
    "busy": "it was not done after {wall} seconds, in which it computed for less than {seconds}: it sleeps, or the "
    "grader's machine was too busy; grade it again when it is not",
    "ended": "it ended its process itself, such as by os._exit",
    "killed": "its process was ended by the signal {signal}",
    "meddled": "it wrote to the grader's connection itself",
    "unread": "it cannot be read: {error}",
}
# What was refused, by what was tried.
REFUSALS = {
    "read": "reading {what} was refused",
    "write": "writing to {what} was refused",
    "many": "writing more than {what} files was refused",
    "module": "importing {what} was refused",
    "process": "starting another process was refused",
    "signal": "sending signals was refused",
    "network": "using the network was refused",
    "native": "calling {what} was refused",
    "limit": "changing limits was refused",
}
AT_LINE = "line {line}: {what}"
PRINTED = "it printed {printed} bytes, of which the first {kept} are kept"


@dataclass(frozen=True)
class Sentence:
    """A template and its values; as a text it is English."""

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.in_words(Words())

    def in_words(self, words: Words) -> str:
        """The sentence in a language."""
        values = {
            name: value.in_words(words) if isinstance(value, Sentence) else " ".join(str(value).split())[:_LONGEST]
            for name, value in self.values.items()
        }
        return words(self.template, **values)


def at_line(line: int, sentence: Sentence) -> Sentence:
    """A sentence about a line of the submission; 0 stands for none."""
    return Sentence(AT_LINE, {"line": line, "what": sentence}) if line else sentence


class SubmissionError(VelodromeError):
    """A submission cannot be graded.

    Attributes:
        sentence: why.
    """

    def __init__(self, kind: str, **values: Any) -> None:
        self.sentence = Sentence(MISTAKES[kind], values)
        super().__init__(str(self.sentence))
