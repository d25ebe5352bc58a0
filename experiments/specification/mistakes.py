"""Mistakes in what users write, all told at once: each in a line with the path of its field."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import date, time
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from velodrome.checks import closest

Location = tuple[int | str, ...]

_LONGEST_SHOWN = 80
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class CheckedModel(BaseModel):
    """A model of what users write; the description of a required field says what is allowed there."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Mistake(NamedTuple):
    """A mistake and its place: the keys that lead to it from the outermost table."""

    location: Location
    reason: str
    is_unknown_field: bool = False


def mistakes_in(error: ValidationError, model: type[BaseModel]) -> list[Mistake]:
    """The mistakes that a model found in its fields."""
    mistakes = []
    for details in error.errors(include_url=False):
        kind, location, reason = details["type"], details["loc"], details["msg"]
        if kind == "extra_forbidden":
            mistakes.append(
                Mistake(location, closest(str(location[-1]), _fields_at(model, location)), is_unknown_field=True)
            )
            continue
        reason = f"{reason[:1].lower()}{reason[1:]}"
        if kind == "value_error":
            reason = str(details["ctx"]["error"])
        elif kind == "missing":
            allowed = _fields_at(model, location)[str(location[-1])].description
            reason = f"{reason}: {allowed}" if allowed else reason
        else:
            reason = f"{reason}, got {shown(details['input'])}"
        mistakes.append(Mistake(location, reason))
    return mistakes


def _fields_at(model: type[BaseModel], location: Location) -> Mapping[str, FieldInfo]:
    """Fields of the model that holds the last part of a location: the model itself, or one in it."""
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        inner = () if field is None else (field.annotation, *get_args(field.annotation))
        model = next((one for one in inner if isinstance(one, type) and issubclass(one, BaseModel)), model)
    return model.model_fields


def mistake_lines(mistakes: Iterable[Mistake]) -> str:
    """A line for each mistake, with the path of its field."""
    lines = []
    for location, reason, is_unknown_field in mistakes:
        path = field_path(location)
        where = f"{path}: " if path else ""
        lines.append(f"unknown field {path!r}{reason}" if is_unknown_field else f"{where}{reason}")
    return "\n".join(lines)


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


def _key(part: str) -> str:
    if _BARE_KEY.fullmatch(part):
        return part
    return json.dumps(part, ensure_ascii=not part.isprintable())
