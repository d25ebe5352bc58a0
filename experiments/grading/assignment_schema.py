"""JSON schema of assignment files, by which editors complete and check them as they are written.

It refuses nothing that `velodrome grade` accepts.
"""

from typing import Any

from velodrome.experiments.grading.assignment import NAMES, ONLY_OF_LEARNERS, Assignment, Limits, Question
from velodrome.experiments.specification.entries import LARGEST_INTEGER
from velodrome.experiments.specification.mistakes import CheckedModel
from velodrome.experiments.specification.schema import (
    COUNT,
    DRAFT,
    Schema,
    descriptions_of,
    expression_schema,
    titled,
)

_LINE = {"type": "string", "pattern": r"\S"}
_ENVIRONMENT, _AGENT = {"$ref": "#/definitions/environment"}, {"$ref": "#/definitions/agent"}
_SIZE = r"^\s*[0-9]+(\.[0-9]+)?\s*([KMGTkmgt][Ii]?)?[Bb]\s*$"
_LEARNER = {"properties": {"kind": {"const": "learner"}}, "required": ["kind"]}


def assignment_schema() -> Schema:
    """JSON schema of an assignment file, draft 7, ready to be written as JSON."""
    question = _question_fields()
    own = _with_words(
        Assignment,
        {
            "name": _LINE,
            "text": {"type": "string"},
            "environment": _environments(),
            "reference": _AGENT,
            "questions": {
                "type": "object",
                "propertyNames": {"pattern": r"\S"},
                "additionalProperties": {"$ref": "#/definitions/question"},
                "minProperties": 1,
            },
            "limits": {"$ref": "#/definitions/limits"},
        },
    )
    return {
        "$schema": DRAFT,
        "title": "Assignment of velodrome",
        "description": "What is asked, where it is tried, and how many points it is worth.",
        "type": "object",
        "properties": question | own,
        "required": ["name"],
        "if": {"required": ["questions"]},
        "then": {"propertyNames": {"enum": [*own]}, "allOf": _of_questions()},
        # An assignment with one question has its fields beside its own.
        "else": {"required": ["kind", "environment"], "allOf": _rules()},
        "additionalProperties": False,
        "definitions": {
            "environment": expression_schema("environment"),
            "agent": expression_schema("agent"),
            "question": {
                "type": "object",
                "properties": question,
                "required": ["kind"],
                "allOf": _rules(inherits=True),
                "additionalProperties": False,
            },
            "limits": {
                "type": "object",
                "properties": _with_words(Limits, _limits()),
                "additionalProperties": False,
            },
        },
    }


def _with_words(model: type[CheckedModel], fields: dict[str, Schema]) -> dict[str, Schema]:
    """Fields with their descriptions and defaults."""
    words, found = descriptions_of(model), {}
    for name, schema in fields.items():
        default = model.model_fields[name].get_default(call_default_factory=True, validated_data={})
        is_plain = isinstance(default, str | int | float | list) and default not in ("", [])
        found[name] = titled(name, words[name], schema) | ({"default": default} if is_plain else {})
    return found


def _question_fields() -> dict[str, Schema]:
    return _with_words(
        Question,
        {
            "kind": {"enum": [*NAMES]},
            "points": {"type": "number", "exclusiveMinimum": 0, "maximum": 1e6},
            "text": {"type": "string"},
            "name": {"type": "string", "pattern": r"^[^\s\d-][^\s-]*$"},
            "environment": _environments(),
            "hidden_environments": _environments(),
            "reference": _AGENT,
            "episodes": COUNT,
            "steps": COUNT,
            "seeds": {
                "type": "array",
                "items": {"type": "integer", "minimum": 0, "maximum": LARGEST_INTEGER},
                "minItems": 1,
                "uniqueItems": True,
            },
            "ties": {"enum": ["first", "random"]},
            "metric": {"enum": ["return", "success_rate"]},
            "least_score": {"type": "number"},
            "full_share": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
            "full_of": {"enum": ["best", "reference"]},
            "refused_modules": {"type": "array", "items": {"type": "string"}},
        },
    )


def _environments() -> Schema:
    return {"anyOf": [_ENVIRONMENT, {"type": "array", "items": _ENVIRONMENT}]}


def _limits() -> dict[str, Schema]:
    size = {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": _SIZE}]}
    return {
        "seconds": {"type": "number", "exclusiveMinimum": 0, "maximum": 86_400},
        **dict.fromkeys(("memory", "output", "file_size"), size),
    }


def _rules(*, inherits: bool = False) -> list[dict[str, Any]]:
    """What the fields of a question need of each other; those that it may inherit are asked for elsewhere."""
    only_of_learners = [{"required": [name]} for name in ONLY_OF_LEARNERS if name != "hidden_environments"]
    others = {
        "not": {"anyOf": only_of_learners},
        "properties": {
            "hidden_environments": {"type": "array", "maxItems": 0},
            "environment": {"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1, "maxItems": 1}]},
        },
    }
    budgets = {"oneOf": [{"required": ["episodes"]}, {"required": ["steps"]}]}
    return [{"if": _LEARNER, "then": budgets, "else": others}, *([] if inherits else _needs_reference())]


def _needs_reference() -> list[dict[str, Any]]:
    return [
        {"if": {"properties": {field: {"const": value}}, "required": [field]}, "then": {"required": ["reference"]}}
        for field, value in (("kind", "update"), ("full_of", "reference"))
    ]


def _of_questions() -> list[dict[str, Any]]:
    """What each question needs that has nothing of the assignment to inherit."""

    def unless(field: str, question: Schema) -> Schema:
        return {
            "if": {"not": {"required": [field]}},
            "then": {"properties": {"questions": {"additionalProperties": question}}},
        }

    return [
        unless("environment", {"required": ["environment"]}),
        unless("reference", {"allOf": _needs_reference()}),
    ]
