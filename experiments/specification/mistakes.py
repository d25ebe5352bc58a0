"""Models of what users write, which tell all mistakes at once: each in a line with the path of its field."""

import json
import re
from collections.abc import Mapping
from datetime import date, time
from typing import Any, ClassVar, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from velodrome.checks import closest

Location = tuple[int | str, ...]

_TOLD = "told"
_LONGEST_SHOWN = 80
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class Mistake(NamedTuple):
    """What is wrong, and where: the keys that lead to it from the outermost table."""

    location: Location
    reason: str
    given: Any = None
    is_unknown_field: bool = False


class CheckedModel(BaseModel):
    """A model whose validation collects the mistakes of its fields and those between its fields.

    A subclass with a `shorthand` may be given as the value of that field alone, in place of a table. The
    description of a required field says what is allowed there.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    shorthand: ClassVar[str | None] = None

    @classmethod
    def mistakes_between_fields(cls, given: Mapping[str, Any]) -> list[Mistake]:
        """Mistakes that no single field shows; `given` is as the user wrote it, other mistakes included."""
        return []

    # A validator after the fields' own would not run where a field is wrong, and its mistakes come a run later.
    @model_validator(mode="wrap")
    @classmethod
    def _tell_all_mistakes(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(given, cls):
            return handler(given)
        is_short = cls.shorthand is not None and not isinstance(given, Mapping)
        fields: Any = {cls.shorthand: given} if is_short else given
        between = cls.mistakes_between_fields(fields) if isinstance(fields, Mapping) else []
        try:
            checked = handler(fields)
        except ValidationError as error:
            within = [_mistake(details, cls) for details in error.errors(include_url=False)]
            if is_short:
                within = [mistake._replace(location=mistake.location[1:]) for mistake in within]
            raise _as_error(cls, [*within, *between]) from None
        if between:
            raise _as_error(cls, between)
        return checked


def mistake_lines(error: ValidationError, *outer: str) -> list[str]:
    """A line for each mistake that a `CheckedModel` found; `outer` are the keys of the tables around the model."""
    lines = []
    for details in error.errors(include_url=False):
        path, reason = field_path((*outer, *details["loc"])), details["msg"]
        if details.get("ctx", {}).get("is_unknown_field"):
            lines.append(f"unknown field {path!r}{reason}")
        else:
            lines.append(f"{path}: {reason}" if path else reason)
    return lines


def field_path(location: Location) -> str:
    """Dotted path of a field, its keys in quotes where TOML wants them so."""
    return ".".join(_key(str(part)) for part in location)


def shown(value: Any) -> str:
    """A value as a message quotes it: short, and in one line."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "an empty list" if not value else "a list"
    if isinstance(value, date | time):
        return f"the {'time' if isinstance(value, time) else 'date'} {value}"
    if isinstance(value, int) and value.bit_length() > 4 * _LONGEST_SHOWN:
        return f"a whole number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"


def _mistake(details: ErrorDetails, model: type[BaseModel]) -> Mistake:
    kind, location, reason = details["type"], details["loc"], details["msg"]
    given, context = details["input"], details.get("ctx", {})
    if kind == _TOLD:
        return Mistake(location, reason, given, context["is_unknown_field"])
    if kind == "extra_forbidden":
        return Mistake(location, closest(str(location[-1]), model.model_fields), given, is_unknown_field=True)
    if kind == "value_error":
        return Mistake(location, str(context["error"]), given)
    reason = f"{reason[:1].lower()}{reason[1:]}"
    if kind == "missing":
        allowed = model.model_fields[str(location[-1])].description
        return Mistake(location, f"{reason}: {allowed}" if allowed else reason)
    advice = f": write {given:.0f}" if kind == "int_type" and isinstance(given, float) and given.is_integer() else ""
    return Mistake(location, f"{reason}, got {shown(given)}{advice}", given)


def _as_error(model: type[BaseModel], mistakes: list[Mistake]) -> ValidationError:
    details = []
    for mistake in mistakes:
        context = {"reason": mistake.reason, "is_unknown_field": mistake.is_unknown_field}
        kind = PydanticCustomError(_TOLD, "{reason}", context)
        details.append(InitErrorDetails(type=kind, loc=mistake.location, input=mistake.given))
    return ValidationError.from_exception_data(model.__name__, details)


def _key(part: str) -> str:
    if _BARE_KEY.fullmatch(part):
        return part
    return json.dumps(part, ensure_ascii=not part.isprintable())
