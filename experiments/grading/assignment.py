"""Assignments: what is asked, where, and how many points it is worth; TOML, read and checked before anything runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, field_validator, model_validator

from velodrome.agents.agent import Agent
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.running.limits import check_size
from velodrome.experiments.specification.catalogue import build_agent
from velodrome.experiments.specification.entries import Count, read_environment
from velodrome.experiments.specification.experiment import different_seeds
from velodrome.experiments.specification.experiment_file import tables_of
from velodrome.experiments.specification.mistakes import CheckedModel, Mistake, mistake_lines, mistakes_in, shown
from velodrome.experiments.texts import is_printable

Kind = Literal["policy", "action_values", "update", "learner"]
# What a submission calls the thing that is asked for, where the question gives no name.
NAMES: dict[str, str] = {
    "policy": "policy", "action_values": "action_values", "update": "update", "learner": "learn",
}  # fmt: skip
_SEEDS = (0, 1, 2)
ONLY_OF_LEARNERS = ("episodes", "steps", "seeds", "hidden_environments")
# Memory that a process needs before a submission has done anything.
_LEAST_MEMORY = 50_000_000


def _text(given: Any) -> Any:
    if isinstance(given, str) and not (is_printable(given) and given.strip()):
        raise ValueError(f"must be one line of text, got {shown(given)}")
    return given


def _several(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


def _labels(given: list[str]) -> list[str]:
    return [read_environment(one).label for one in given]


def _expression(given: str) -> str:
    build_agent(given)
    return given


Line = Annotated[str, BeforeValidator(_text)]
Environments = Annotated[list[str], BeforeValidator(_several), AfterValidator(_labels)]
Reference = Annotated[str, AfterValidator(_expression)]


class Limits(CheckedModel):
    """Limits of the process of one submission; every seed of a learner has a process of its own.

    Attributes:
        seconds: of CPU time, and as many of sleeping or waiting; how busy the machine is does not count.
        memory: in bytes, beside what Python and NumPy take; written as "1GB".
        output: bytes of what it prints that are kept, the rest is counted.
        file_size: bytes of one file that it writes; at most 100 files.
    """

    seconds: float = Field(default=60.0, gt=0.0, le=86_400.0)
    memory: int = 1_000_000_000
    output: int = 10_000
    file_size: int = 10_000_000

    @field_validator("memory", "output", "file_size", mode="before")
    @classmethod
    def _is_a_size(cls, given: Any) -> int:
        try:
            size = check_size("", given)
        except ExperimentError as error:
            raise ValueError(str(error).strip()) from None
        if size is None:
            raise ValueError("must be a size such as '1GB'")
        return size

    @field_validator("memory")
    @classmethod
    def _is_enough(cls, memory: int) -> int:
        if memory < _LEAST_MEMORY:
            raise ValueError(f"must be at least 50MB, got {memory} bytes")
        return memory


class Question(CheckedModel):
    """One question: what is to be handed in, where it is tried, and its points.

    The exact score of a submission is mapped on points along a line: none for the score of uniformly random actions,
    all for a share of the way from there to the best possible score, or to that of a reference agent.

    Attributes:
        kind: "policy", "action_values", "update" or "learner".
        points: of a right submission.
        text: the question in words.
        name: of the variable or function that is asked for; by default `policy`, `action_values`, `update`, `learn`.
        environment: expression; a learner may have several. The assignment's by default.
        hidden_environments: where learners are tried, too, and whose names they do not see.
        reference: expression of an agent: it shows what can be reached, and its update is the right one.
        episodes: budget of a learner.
        steps: likewise; one of both.
        seeds: of a learner, which is tried with each; 0, 1 and 2 by default.
        ties: what is done where several actions have the best value: "first" takes that with the lowest index,
            "random" any of them.
        metric: exact score, "return" or "success_rate" within the time limit.
        least_score: exact score that gives no points; that of uniformly random actions by default. Where these are
            far worse than doing nothing, as in Taxi, doing nothing would have most of the points.
        full_share: share of the way from random to best or reference that gives all points; by default 1, of learners
            0.9.
        full_of: "best" or "reference"; by default the reference where there is one.
        refused_modules: that a submission may not import.
    """

    kind: Kind = Field(description="'policy', 'action_values', 'update' or 'learner'")
    points: float = Field(default=1.0, gt=0.0, le=1e6)
    text: str = ""
    name: str | None = None
    environment: Environments | None = None
    hidden_environments: Environments = Field(default_factory=list)
    reference: Reference | None = None
    episodes: Count | None = None
    steps: Count | None = None
    seeds: list[int] = Field(default_factory=lambda: list(_SEEDS))
    ties: Literal["first", "random"] = "first"
    metric: Literal["return", "success_rate"] = "return"
    least_score: float | None = None
    full_share: float | None = Field(default=None, gt=0.0, le=1.0)
    full_of: Literal["best", "reference"] | None = None
    refused_modules: list[str] = Field(default_factory=lambda: ["velodrome"])

    @field_validator("seeds", mode="before")
    @classmethod
    def _are_seeds(cls, given: Any) -> Any:
        return different_seeds(list(given)) if isinstance(given, list | tuple) else given

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, given: str | None) -> str | None:
        if given is not None and not given.isidentifier():
            raise ValueError(f"must be a name of Python, got {shown(given)}")
        return given

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.kind == "learner":
            if (self.episodes is None) == (self.steps is None):
                raise ValueError("a learner needs episodes or steps, one of them")
            return self
        given = [field for field in ONLY_OF_LEARNERS if field in self.model_fields_set and getattr(self, field)]
        if given:
            raise ValueError(f"{given[0]} is for learners, and the kind is {self.kind!r}")
        return self

    @property
    def submitted_name(self) -> str:
        """Name of the variable or function that is asked for."""
        return self.name or NAMES[self.kind]

    def reference_agent(self) -> Agent | None:
        """A new, untrained agent of the reference, None without one."""
        return None if self.reference is None else build_agent(self.reference)


class Assignment(CheckedModel):
    """An assignment: questions with their points, and the limits of the process that a submission runs in.

    Attributes:
        name: of the assignment.
        text: the assignment in words.
        environment: expression; of questions without their own.
        reference: expression of an agent; of questions without their own.
        questions: by their label.
        limits: of each process.
    """

    name: Line = Field(description="one line of text")
    text: str = ""
    environment: Environments | None = None
    reference: Reference | None = None
    questions: dict[str, Question] = Field(description="a table of questions: [questions.policy]")
    limits: Limits = Limits()

    @field_validator("questions")
    @classmethod
    def _are_some(cls, given: dict[str, Question]) -> dict[str, Question]:
        if not given:
            raise ValueError("an assignment has at least one question")
        for label in given:
            _text(label)
        return given

    @property
    def points(self) -> float:
        """Points of all questions together."""
        return sum(question.points for question in self.questions.values())

    @classmethod
    def of(cls, fields: Mapping[str, Any], source: str = "assignment") -> "Assignment":
        """Assignment of the fields of a file.

        Args:
            fields: as in a file. Where they have a `kind`, they are those of an assignment with this one question.
            source: what the file is called in messages.

        Raises:
            ExperimentError: mistakes, each in a line with its field.
        """
        own = set(cls.model_fields)
        if "kind" in fields and "questions" not in fields:
            question = {field: value for field, value in fields.items() if field not in own or field == "text"}
            fields = {field: value for field, value in fields.items() if field in own}
            fields["questions"] = {str(question["kind"]): question}
        try:
            assignment = cls(**fields)
            mistakes = assignment._inherit()
        except ValidationError as error:
            mistakes = mistakes_in(error, cls)
        if mistakes:
            raise ExperimentError("\n".join(f"{source}: {line}" for line in mistake_lines(mistakes).splitlines()))
        return assignment

    def _inherit(self) -> list[Mistake]:
        """Give each question what the assignment has for all; the mistakes that are left."""
        mistakes = []
        for label, question in self.questions.items():
            known = {field: getattr(self, field) for field in ("environment", "reference")}
            inherited = {field: value for field, value in known.items() if getattr(question, field) is None}
            question = self.questions[label] = question.model_copy(update=inherited)
            at = ("questions", label)
            if not question.environment:
                mistakes.append(Mistake((*at, "environment"), "is missing: an expression such as 'FrozenLake-v1'"))
            elif question.kind != "learner" and len(question.environment) > 1:
                mistakes.append(Mistake((*at, "environment"), f"a question of kind {question.kind!r} has one"))
            if question.reference is None and (question.kind == "update" or question.full_of == "reference"):
                why = "is missing: an agent such as 'q_learning(learning_rate=0.1, discount=0.99)'"
                mistakes.append(Mistake((*at, "reference"), why))
        return mistakes


def read_assignment(path: str | Path) -> Assignment:
    """Assignment of a TOML file.

    Args:
        path: of the file.

    Raises:
        ExperimentError: no such file, or mistakes in it, each in a line with its field.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise ExperimentError(f"assignment {path}: {getattr(error, 'strerror', None) or error}") from None
    return Assignment.of(tables_of(text, str(path)), str(path))
