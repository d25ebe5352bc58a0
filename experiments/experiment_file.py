"""Experiment files: TOML, checked whole before anything runs."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from velodrome.envs.success_rules import parse_success_rule
from velodrome.experiments.catalogue import build_agent
from velodrome.experiments.environment_configuration import build_environment
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.shipped import shipped_experiments, shipped_text
from velodrome.policies.configuration import closest


class Experiment(BaseModel):
    """What `velodrome compare` runs.

    Attributes:
        name: title of tables and plots.
        description: the question, in a sentence.
        agents: label to agent expression.
        environments: label to environment expression.
        episodes: training episodes of a trial; this or `steps`.
        steps: training steps of a trial.
        seeds: how many, or the seeds themselves.
        evaluation_episodes: sampled episodes where the greedy policy's value cannot be computed.
        success: success rule instead of the environments' own.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str = Field(min_length=1)
    description: str = ""
    agents: dict[str, str] = Field(min_length=1)
    environments: dict[str, str] = Field(min_length=1)
    episodes: int | None = Field(default=None, ge=1)
    steps: int | None = Field(default=None, ge=1)
    seeds: int | list[int] = 30
    evaluation_episodes: int = Field(default=100, ge=1)
    success: str | None = None

    @field_validator("agents", "environments", mode="before")
    @classmethod
    def _label_by_expression(cls, given: Any) -> Any:
        return {item: item for item in given} if isinstance(given, list) else given

    @field_validator("agents")
    @classmethod
    def _agents_exist(cls, agents: dict[str, str]) -> dict[str, str]:
        return _all_built(agents, build_agent)

    @field_validator("environments")
    @classmethod
    def _environments_exist(cls, environments: dict[str, str]) -> dict[str, str]:
        return _all_built(environments, build_environment)

    @field_validator("success")
    @classmethod
    def _success_is_a_rule(cls, success: str | None) -> str | None:
        if success is not None:
            parse_success_rule(success)
        return success

    @field_validator("seeds")
    @classmethod
    def _seeds_are_usable(cls, seeds: int | list[int]) -> int | list[int]:
        if isinstance(seeds, int):
            if seeds < 1:
                raise ValueError(f"must be a whole number of at least 1, or a list of seeds, got {seeds}")
        elif not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
            raise ValueError(f"must be different whole numbers of at least 0, got {seeds}")
        return seeds

    @model_validator(mode="after")
    def _one_budget(self) -> "Experiment":
        if (self.episodes is None) == (self.steps is None):
            raise ValueError("give episodes or steps, and not both")
        return self


def read_experiment(name_or_path: str) -> Experiment:
    """Experiment of a TOML file or a shipped name.

    Raises:
        ExperimentError: no such file or name, or mistakes in the file, each in a line with its field.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml" or path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = "no such file" if isinstance(error, FileNotFoundError) else str(error)
            raise ExperimentError(f"experiment {name_or_path}: {reason}") from None
    elif name_or_path in shipped_experiments():
        text = shipped_text(name_or_path)
    else:
        names = shipped_experiments()
        raise ExperimentError(
            f"unknown experiment {name_or_path!r}{closest(name_or_path, names)} (or give the path of a TOML file)"
        )
    return parse_experiment(text, name_or_path)


def parse_experiment(text: str, source: str = "experiment") -> Experiment:
    """Experiment of a TOML text.

    Raises:
        ExperimentError: mistakes in the text, each in a line with its field.
    """
    try:
        return Experiment.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ExperimentError(f"{source}: {error}") from None
    except ValidationError as error:
        known = list(Experiment.model_fields)
        lines = [line for mistake in error.errors() for line in _lines(mistake, known)]
        raise ExperimentError("\n".join(f"{source}: {line}" for line in lines)) from None


def _all_built(expressions: dict[str, str], build: Callable[[str], Any]) -> dict[str, str]:
    """The expressions, if all can be built; otherwise one mistake for each that cannot, under its label."""
    mistakes: list[InitErrorDetails] = []
    for label, expression in expressions.items():
        try:
            build(expression)
        except ValueError as error:
            kind = PydanticCustomError("value_error", "{reason}", {"reason": str(error)})
            mistakes.append(InitErrorDetails(type=kind, loc=(label,), input=expression))
    if mistakes:
        raise ValidationError.from_exception_data("expressions", mistakes)
    return expressions


def _lines(mistake: Any, known: list[str]) -> list[str]:
    inner = mistake.get("ctx", {}).get("error")
    if isinstance(inner, ValidationError):
        field = ".".join(str(part) for part in mistake["loc"])
        return [f"{field}.{nested['loc'][0]}: {nested['msg']}" for nested in inner.errors()]
    return [_line(mistake, known)]


def _line(mistake: Any, known: list[str]) -> str:
    field = ".".join(str(part) for part in mistake["loc"])
    if mistake["type"] == "extra_forbidden":
        return f"unknown field {field!r}{closest(field, known)}"
    message = str(mistake["msg"]).removeprefix("Value error, ")
    given = mistake.get("input")
    shown = (
        f", got {given!r}" if isinstance(given, int | float | str | bool) and mistake["type"] != "value_error" else ""
    )
    return f"{field}: {message[:1].lower()}{message[1:]}{shown}" if field else message
