"""The kinds of values that a store holds: a forged one has right checksums and anything behind them."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from velodrome.checks import VelodromeError

# What JSON, SQLite and NumPy all hold.
LARGEST_INTEGER = 2**63 - 1
# A tuple lists alternatives; {str: kind} is a mapping of any names, and {"name": kind, …} one of these names, of which
# those that end in "?" may be missing; [kind] is a list.
Kind = Any
_SETTINGS: Kind = {
    "agents": {str: str},
    "environments": {str: str},
    "episodes": (int, None),
    "steps": (int, None),
    "epochs?": (int, None),
    "budgets": [{"agent": str, "environment": str, "episodes": (int, None), "steps": (int, None), "epochs?": int}],
    "seeds": [int],
    "evaluation_episodes": int,
    "success": (str, None),
    "success_of": {str: str},
    "own_seeds?": [{"agent": str, "environment": str, "seeds": [int]}],
    "sequential?": {str: object},
    "environments_of?": {str: [str]},
    "contents?": {str: {"learnt?": str, "digest?": str, "num_examples?": int, "num_guesses?": int, "evaluated?": str}},
    "factors?": {str: {str: str}},
    "metric?": str,
    "solved_at?": {str: (float, int)},
    "tuning?": {
        "stage": str,
        "sampler": str,
        "seeds": [int],
        "rounds": [int],
        "tuning_seed": int,
        "configurations?": int,
        "metric?": (str, None),
        "spaces": {str: str},
        "agents": [
            {
                "agent": str,
                "environment": str,
                "label": str,
                "expression": str,
                "sampler": str,
                "configurations": int,
                "runs": int,
                "saved": int,
                "dropped": int,
                "claim": [(float, int, None)],
                "optimism": (float, int, None),
                "may_be_best": [{"label": str, "expression": str, "probability": (float, int)}],
                "is_for_all?": bool,
                "unscored?": int,
            }
        ],
    },
    "hopeless?": {str: {"below": (float, int), "after": int}},
    "measures?": [
        {
            "name": str,
            "heading": str,
            "explanation": str,
            "column": str,
            "is_rate": bool,
            "aggregate": str,
            "low": (float, int, None),
            "high": (float, int, None),
            "higher_is_better": bool,
            "percentiles?": [(float, int)],
            "runs?": int,
        }
    ],
}


class ContentError(VelodromeError, ValueError):
    """Content of a kind that no release has written; the message is one line."""


def read_json(text: Any, kind: Kind, name: str) -> Any:
    """Return the content of a JSON text, which is of a kind.

    Raises:
        ContentError: it is no JSON, or of another kind.
    """
    try:
        content = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        raise ContentError(f"{name} is not JSON") from None
    found = _fault(content, kind, name)
    if found:
        raise ContentError(found)
    return content


def read_settings(text: Any, trials: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Return the settings of an experiment, as `Plan.settings` gave them.

    Args:
        text: JSON.
        trials: of the experiment: key, agent label, environment label, seed.

    Raises:
        ContentError: something else, or trials of agents and environments that the settings do not name.
    """
    settings: dict[str, Any] = read_json(text, {str: object}, "settings")
    found = _fault(settings, _SETTINGS, "settings")
    if found:
        raise ContentError(found)
    for trial in trials:
        if any(type(value) is not kind for value, kind in zip(trial, (str, str, str, int), strict=True)):
            raise ContentError("an experiment's trial is no key, agent, environment and seed")
        if trial[1] not in settings["agents"] or trial[2] not in settings["environments"]:
            raise ContentError(f"the settings do not name {trial[1]!r} on {trial[2]!r}")
    return settings


def measures_text(measures: Mapping[str, Any]) -> str:
    """Canonical JSON of measures, in order of names, from which `read_measures` gives every value back to the bit.

    None is left out, NaN is null, and infinities are ±9e999, which all readers of JSON take for them.

    Raises:
        ContentError: a value that JSON does not hold.
    """
    named = sorted((name, value) for name, value in measures.items() if value is not None)
    return "{" + ",".join(f"{_ENCODER.encode(name)}:{_value_text(name, value)}" for name, value in named) + "}"


def read_measures(text: Any) -> dict[str, Any]:
    """Measures of which `measures_text` gave a text.

    Raises:
        ContentError: it is something else.
    """
    try:
        measures = _DECODER.decode(text)
    except (TypeError, ValueError, RecursionError):
        raise ContentError("measures is not JSON") from None
    if not isinstance(measures, dict):
        raise ContentError(wrong_kind(measures, "measures"))
    return {name: math.nan if value is None else value for name, value in measures.items()}


def _value_text(name: str, value: Any) -> str:
    if isinstance(value, float):
        if math.isnan(value):
            return "null"
        return float.__repr__(value) if math.isfinite(value) else "9e999" if value > 0 else "-9e999"
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError, RecursionError):
        raise ContentError(f"the measure {name!r} is a {type(value).__name__}, which JSON does not hold") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def _fault(value: Any, kind: Kind, name: str) -> str:
    """Where a value is not of a kind, in words; empty where it is."""
    if isinstance(kind, tuple):
        return "" if any(not _fault(value, one, name) for one in kind) else wrong_kind(value, name)
    if kind is None or kind is object:
        return "" if kind is object or value is None else wrong_kind(value, name)
    if isinstance(kind, list):
        return _fault_in_list(value, kind[0], name)
    if isinstance(kind, dict):
        return _fault_in_mapping(value, kind, name)
    is_kind = isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool)
    if is_kind and isinstance(value, int):
        is_kind = abs(value) <= LARGEST_INTEGER
    return "" if is_kind else wrong_kind(value, name)


def _fault_in_list(value: Any, kind: Kind, name: str) -> str:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return wrong_kind(value, name)
    return next((found for item in value if (found := _fault(item, kind, name))), "")


def _fault_in_mapping(value: Any, kind: Mapping[Any, Kind], name: str) -> str:
    if not isinstance(value, Mapping):
        return wrong_kind(value, name)
    if str in kind:
        return next((found for item in value.values() if (found := _fault(item, kind[str], name))), "")
    for entry, own in kind.items():
        key = entry.rstrip("?")
        if key in value:
            if found := _fault(value[key], own, f"{name}.{key}"):
                return found
        elif not entry.endswith("?"):
            return f"{name} lacks {key!r}"
    return ""


def wrong_kind(value: Any, name: str) -> str:
    """The fault of a value that is of no kind that its place has, in words."""
    return f"{name} holds a {type(value).__name__} that does not belong there"
