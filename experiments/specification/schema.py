"""JSON schema of experiment files, by which editors complete and check them as they are written.

It refuses nothing that `read_experiment` accepts, and less than that refuses: what an agent makes of its arguments, and
whether it fits an environment, is seen when it is built.
"""

import inspect
import json
import re
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

from velodrome.envs.make import list_environments
from velodrome.experiments.specification.catalogue import (
    AGENTS,
    POLICIES,
    parameters_of,
)
from velodrome.experiments.specification.entries import (
    BUDGETS,
    ENTRIES,
    LARGEST_INTEGER,
    Entry,
    HopelessEntry,
)
from velodrome.experiments.specification.experiment import MOST_SEEDS, Experiment
from velodrome.experiments.specification.search_spaces import SPANS, Span
from velodrome.experiments.trials.measures import MEASURES
from velodrome.policies.configuration import Configuration, to_expression

# Editors know this draft; taplo and VS Code no later one.
DRAFT = "http://json-schema.org/draft-07/schema#"
_SECTION = re.compile(r"^(?:Args|Attributes):\n((?:(?: .*)?\n)*)", re.M)
_DESCRIPTION = re.compile(r"^ {4}(\*{0,2}\w+(?:, \w+)*)(?: \([^)]*\))?:(.*\n(?:(?: {5,}.*)?\n)*)", re.M)
_SUCCESS_RULES = ("return > 0", "return >= 0", "terminated", "is_success", "none")
# What may be named in the table of each kind.
CATALOGUES: dict[str, Mapping[str, Any]] = {"agent": AGENTS, "learner": AGENTS, "policy": POLICIES}
COUNT = {"type": "integer", "minimum": 1, "maximum": LARGEST_INTEGER}

Schema = dict[str, Any]


def experiment_schema() -> Schema:
    """JSON schema of an experiment file, draft 7, ready to be written as JSON."""
    words = descriptions_of(Experiment)
    fields: dict[str, Schema] = {
        "name": {"type": "string", "minLength": 1},
        "description": {"type": "string", "default": ""},
        **{field: _entries(field) for field in ENTRIES},
        **dict.fromkeys((*BUDGETS, "evaluate_every"), COUNT),
        "snapshots": COUNT | {"minimum": 2},
        "seeds": {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": MOST_SEEDS},
                {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "uniqueItems": True},
            ],
            "default": Experiment.model_fields["seeds"].default,
        },
        "evaluation_episodes": COUNT | {"default": Experiment.model_fields["evaluation_episodes"].default},
        "success": _success(),
        "solved_at": {"type": "number"},
        "hopeless": {"$ref": "#/definitions/hopeless"},
        "metric": {"anyOf": [{"enum": [*MEASURES]}, {"type": "string", "minLength": 1}]},
    }
    return {
        "$schema": DRAFT,
        "title": "Experiment of velodrome",
        "description": "What is compared: agents, environments, budgets and seeds.",
        "type": "object",
        "properties": {field: titled(field, words[field], schema) for field, schema in fields.items()},
        "required": ["name", "environments"],
        "anyOf": [{"required": ["agents"]}, {"required": ["policies"]}],
        "dependencies": {"learners": ["policies"], "solved_at": ["evaluate_every"], "hopeless": ["evaluate_every"]},
        "not": _two_budgets(),
        "additionalProperties": False,
        "definitions": {
            **{model.shorthand: expression_schema(model.shorthand) for model in ENTRIES.values()},
            **{f"{model.shorthand}_entry": _entry(model) for model in ENTRIES.values()},
            "hopeless": _hopeless(),
            "argument": _argument(),
            **{name: _arguments(factory) for name, factory in {**AGENTS, **POLICIES}.items()},
        },
    }


def schema_text(schema: Schema) -> str:
    """A schema as JSON, as `velodrome schema` prints it.

    Args:
        schema: such as that of `experiment_schema`.
    """
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def descriptions_of(value: Callable[..., Any]) -> dict[str, str]:
    """Descriptions of the parameters of a function, or of the fields of a class, by name, from the docstrings.

    Args:
        value: the function or class; fields of a class may be described by its bases.
    """
    if not inspect.isclass(value):
        return _described(inspect.getdoc(value) or "")
    found: dict[str, str] = {}
    for owner in value.__mro__:
        if owner.__module__.partition(".")[0] == __name__.partition(".")[0]:
            found = _described(inspect.cleandoc(owner.__doc__ or "")) | found
    return found


def _described(doc: str) -> dict[str, str]:
    return {
        name: " ".join(found[2].split())
        for section in _SECTION.findall(doc + "\n")
        for found in _DESCRIPTION.finditer(section)
        for name in found[1].lstrip("*").split(", ")
    }


def titled(name: str, description: str, schema: Mapping[str, Any]) -> Schema:
    """The schema of a field with its name and what it means.

    Args:
        name: of the field.
        description: in words.
        schema: of its values.
    """
    # Beside a reference, this draft reads nothing else.
    schema = {"allOf": [schema]} if "$ref" in schema else schema
    return {"title": name, "description": description, **schema}


def _two_budgets() -> Schema:
    return {"anyOf": [{"required": list(pair)} for pair in combinations(BUDGETS, 2)]}


def _success() -> Schema:
    return {"anyOf": [{"enum": [*_SUCCESS_RULES]}, {"type": "string", "pattern": r"\S"}]}


def _hopeless() -> Schema:
    words = descriptions_of(HopelessEntry)
    fields: dict[str, Schema] = {"below": {"type": "number"}, "after": COUNT}
    return {
        "type": "object",
        "properties": {field: titled(field, words[field], schema) for field, schema in fields.items()},
        "required": [*fields],
        "additionalProperties": False,
    }


def expression_schema(kind: str) -> Schema:
    """Schema of an expression: a name is completed; one of a class of one's own, or an environment's id, is free.

    Args:
        kind: "environment", "agent", "learner" or "policy".
    """
    if kind == "environment":
        names = list_environments()
        known = "|".join(name for name in names if name.startswith("velodrome/"))
        free = rf"^(?!\s*velodrome/)\s*\S|^\s*(?:{known})\s*(?:\(|$)"
        return {"anyOf": [{"enum": names}, {"type": "string", "pattern": free}]}
    catalogue = CATALOGUES[kind]
    known = "|".join(catalogue)
    # Whatever has a colon in front of its arguments may be a class of the user's own.
    free = rf"^\s*(?:(?:{known})\s*(?:\(|$)|[^\s(]+:)"
    return {"anyOf": [{"enum": [*catalogue]}, {"type": "string", "pattern": free}]}


def _entries(field: str) -> Schema:
    """Entries by label, in a list, or one alone."""
    shorthand = ENTRIES[field].shorthand
    expression, entry = {"$ref": f"#/definitions/{shorthand}"}, {"$ref": f"#/definitions/{shorthand}_entry"}
    return {
        "anyOf": [
            expression,
            entry,
            {"type": "array", "items": {"anyOf": [expression, entry]}, "minItems": 1},
            {
                "type": "object",
                "propertyNames": {"pattern": r"\S"},
                "additionalProperties": {"anyOf": [expression, entry]},
                "minProperties": 1,
            },
        ]
    }


def _entry(model: type[Entry]) -> Schema:
    """A table around an expression, with fields and arguments of what it names."""
    words, shorthand = descriptions_of(model), model.shorthand
    known: dict[str, Schema] = {
        shorthand: {"$ref": f"#/definitions/{shorthand}"},
        **dict.fromkeys(BUDGETS, COUNT),
        "environments": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "success": _success(),
        "solved_at": {"type": "number"},
        "hopeless": {"$ref": "#/definitions/hopeless"},
    }
    fields = {name: titled(name, words[name], known[name]) for name in model.model_fields}
    schema: Schema = {"type": "object", "properties": fields, "required": [shorthand], "not": _two_budgets()}
    if shorthand == "environment":
        return schema
    # Beside its fields, a table has the arguments of what it names, and no others.
    schema["allOf"] = [
        {
            "if": {"properties": {shorthand: {"pattern": rf"^\s*{name}\s*(?:\(|$)"}}, "required": [shorthand]},
            "then": {
                "allOf": [{"$ref": f"#/definitions/{name}"}],
                **({} if _takes_any(factory) else {"propertyNames": {"enum": [*fields, *parameters_of(factory)]}}),
            },
        }
        for name, factory in CATALOGUES[shorthand].items()
    ]
    return schema


def _takes_any(factory: Callable[..., Any]) -> bool:
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters_of(factory).values())


def _arguments(factory: Callable[..., Any]) -> Schema:
    words, found = descriptions_of(factory), {}
    for name, parameter in parameters_of(factory).items():
        if parameter.kind is not parameter.VAR_KEYWORD:
            found[name] = titled(name, words.get(name, ""), {"$ref": "#/definitions/argument"}) | _default(parameter)
    return {"properties": found}


def _default(parameter: inspect.Parameter) -> Schema:
    """The default as a file would have it, where it can be written there."""
    value = parameter.default
    if isinstance(value, Configuration):
        return {"default": to_expression(value)}
    if isinstance(value, bool | int | float | str):
        return {"default": value}
    return {"default": list(value)} if isinstance(value, list | tuple) and not any(map(_is_object, value)) else {}


def _is_object(value: Any) -> bool:
    return not isinstance(value, bool | int | float | str)


def _argument() -> Schema:
    """A value, a list of values (a grid), or what a search chooses from."""
    words = descriptions_of(Span)
    limits = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
    spans = {name: titled(name, words[name], limits) for name in SPANS}
    span: Schema = {
        "type": "object",
        "properties": {**spans, "points": titled("points", words["points"], {"type": "integer", "minimum": 2})},
        "oneOf": [{"required": [name]} for name in SPANS],
        "additionalProperties": False,
    }
    alternative: Schema = {
        "type": "object",
        "anyOf": [{"required": [kind]} for kind in ("policy", "schedule", "distribution", "agent")],
    }
    plain = {"type": ["boolean", "number", "string"]}
    return {"anyOf": [plain, {"type": "array", "minItems": 1}, span, alternative]}
