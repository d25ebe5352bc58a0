"""Grades: what a submission scored, exactly, and what was found in it."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from velodrome.experiments.grading.findings import Evidence, Finding
from velodrome.experiments.grading.sentences import Sentence
from velodrome.experiments.reporting.languages import Words
from velodrome.experiments.results.numbers import number

# Label of an environment that students do not see, with its number.
HIDDEN = "hidden environment "
_OUTPUT_LINES = 10


@dataclass(frozen=True)
class Run:
    """A submission in one environment; of a learner, with one seed.

    Attributes:
        environment: its label, or "hidden environment 1".
        seed: of a learner, else None.
        score: exact value of what was handed in or learnt; None where there is none.
        best: the best possible.
        random: of uniformly random actions.
        full: score that has all points.
        share: of the points, between 0 and 1.
        mistake: why there is no score, or None.
    """

    environment: str
    seed: int | None
    score: float | None
    best: float
    random: float
    full: float
    share: float
    mistake: Sentence | None = None


@dataclass(frozen=True)
class QuestionGrade:
    """Grade of one question.

    Attributes:
        points: reached.
        of: points of a right submission.
        kind: of the question.
        metric: "return" or "success_rate", which the scores are; of an update, scores are shares of right transitions.
        runs: one, and of a learner one for each environment and seed.
        findings: mistakes that were named.
        claim: variable `score` of the submission, or None.
        remarks: what was refused, and that output was cut.
        output: the beginning of what it printed.
        confinement: by what the kernel refused things, "landlock" and "seccomp"; elsewhere Python alone did.
    """

    points: float
    of: float
    kind: str
    metric: str
    runs: tuple[Run, ...]
    findings: tuple[Finding, ...] = ()
    claim: float | None = None
    remarks: tuple[Sentence, ...] = ()
    output: str = ""
    confinement: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """Share of the points that was reached, mean over the runs."""
        return sum(run.share for run in self.runs) / len(self.runs)

    @property
    def score(self) -> float | None:
        """Mean of the exact scores; None where a run has none."""
        scores = [run.score for run in self.runs if run.score is not None]
        return sum(scores) / len(scores) if len(scores) == len(self.runs) else None

    @property
    def best(self) -> float:
        """Mean of the best possible scores."""
        return sum(run.best for run in self.runs) / len(self.runs)

    @property
    def random(self) -> float:
        """Mean of the scores of uniformly random actions."""
        return sum(run.random for run in self.runs) / len(self.runs)

    @property
    def mistakes(self) -> tuple[Sentence, ...]:
        """Why runs have no score, each reason once."""
        return tuple({str(run.mistake): run.mistake for run in self.runs if run.mistake is not None}.values())


@dataclass(frozen=True)
class Grade:
    """Grade of a submission; as a text it is what `velodrome grade` prints.

    Attributes:
        assignment: its name.
        submission: its file.
        questions: by their label.
    """

    assignment: str
    submission: str
    questions: dict[str, QuestionGrade]

    @property
    def points(self) -> float:
        """Points reached."""
        return sum(question.points for question in self.questions.values())

    @property
    def of(self) -> float:
        """Points of a right submission."""
        return sum(question.of for question in self.questions.values())

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Mistakes that were named, each once."""
        found = [finding for question in self.questions.values() for finding in question.findings]
        return tuple({finding.name: finding for finding in reversed(found)}.values())[::-1]

    @property
    def mistakes(self) -> tuple[str, ...]:
        """Why there is no score, each reason once."""
        found = [mistake for question in self.questions.values() for mistake in question.mistakes]
        return tuple(dict.fromkeys(map(str, found)))

    def as_dict(self) -> dict[str, Any]:
        """Plain values by name, sentences in English."""
        questions = {
            label: _plain(question)
            | {"share": question.share, "score": question.score, "best": question.best, "random": question.random}
            for label, question in self.questions.items()
        }
        return {
            "assignment": self.assignment, "submission": self.submission, "points": self.points, "of": self.of,
            "questions": questions,
        }  # fmt: skip

    def lines(self, language: str = "en") -> list[str]:
        """The grade in words, line by line.

        Args:
            language: "en" or "ko".

        Raises:
            ExperimentError: another language.
        """
        words = Words.of(language)
        lines = [
            words(
                "{submission}: {points} of {of} points", submission=self.submission, points=number(self.points),
                of=number(self.of),
            )
        ]  # fmt: skip
        told: set[Finding] = set()
        for label, question in self.questions.items():
            lines += ["", *_question_lines(label, question, words, told)]
            told.update(question.findings)
        return lines

    def __str__(self) -> str:
        return "\n".join(self.lines())


def _question_lines(label: str, question: QuestionGrade, words: Words, known: set[Finding]) -> list[str]:
    points, of = number(question.points), number(question.of)
    lines = [words("{label}: {points} of {of} points", label=label, points=points, of=of)]
    told = [] if question.score is None else [_score_line(question, words)]
    told += [mistake.in_words(words) for mistake in question.mistakes]
    for finding in question.findings:
        if finding in known:
            continue
        certain = words("mistake") if finding.certain else words("likely mistake")
        shown = finding.evidence
        shown = (shown.in_words(words) if isinstance(shown, Evidence) else shown).rstrip(".")
        evidence = f" ({shown})" if shown else ""
        told.append(f"{certain}: {words(finding.name)}. {words(finding.sentence)}{evidence}")
    told += [remark.in_words(words) for remark in question.remarks]
    lines += [f"  {line}" for line in told]
    if len(question.runs) > 1:
        lines += [f"    {_run_line(run, words)}" for run in question.runs]
    if question.output.strip():
        lines.append(f"  {words('it printed:')}")
        lines += [f"    {line}" for line in question.output.strip().splitlines()[:_OUTPUT_LINES]]
    return lines


def _score_line(question: QuestionGrade, words: Words) -> str:
    values = {name: number(getattr(question, name)) for name in ("score", "best", "random")}
    if question.kind == "update":
        return words("right updates: {score} of 1", score=values["score"])
    metric = words("return") if question.metric == "return" else words("success rate")
    return words("exact {metric} {score}; best possible {best}, random {random}", metric=metric, **values)


def _run_line(run: Run, words: Words) -> str:
    label = run.environment
    if label.startswith(HIDDEN):
        label = words("hidden environment {number}", number=label.removeprefix(HIDDEN))
    place = words("{environment}, seed {seed}", environment=label, seed=run.seed)
    return f"{place}: {'-' if run.score is None else number(run.score)}"


def _plain(value: Any) -> Any:
    if isinstance(value, Sentence):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
