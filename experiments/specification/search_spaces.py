"""Search spaces: agents of which some parameters are open, given as ranges, choices, and alternatives with their own.

In the table of an agent, a parameter may be `{log = [0.01, 1]}`, `{uniform = [0, 1]}`, `{integers = [1, 20]}` or
`{log_integers = [1, 1000]}`; a list of values or of alternatives; or, where a policy (or schedule, …) belongs, a table
around its expression with further open parameters: `{policy = "epsilon_greedy", epsilon = {uniform = [0, 0.5]}}`.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, NamedTuple, Protocol

import numpy as np
from pydantic import BeforeValidator, ValidationError, model_validator

from velodrome.agents.agent import Agent
from velodrome.checks import ConfigurationError, VelodromeError, did_you_mean
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.specification.catalogue import (
    CatalogueError,
    build_agent,
    build_policy,
    build_schedule,
    kind_of,
    kinds_in,
)
from velodrome.experiments.specification.entries import AgentEntry, is_alone
from velodrome.experiments.specification.expression import Call, ExpressionError, parse_expression, to_text
from velodrome.experiments.specification.grids import (
    GridError,
    call_in,
    check_is_grid,
    known_factory,
    parameter_types,
    read_argument,
    takes_no_list,
)
from velodrome.experiments.specification.mistakes import CheckedModel, Mistake, mistake_lines, mistakes_in, shown
from velodrome.policies.configuration import to_expression

SPANS = ("uniform", "log", "integers", "log_integers")
_KINDS = ("policy", "schedule", "distribution", "agent")
_BUILDERS = {"policy": build_policy, "schedule": build_schedule, "agent": build_agent}
# Of what is drawn: so that expressions can be read, and copied by hand.
_DIGITS = 4
_EXAMPLE = "such as {log = [0.01, 1]}"


def _limits(given: Any) -> Any:
    is_pair = isinstance(given, list | tuple) and len(given) == 2
    if not is_pair or not all(isinstance(end, int | float) and not isinstance(end, bool) for end in given):
        got = repr(given) if is_pair else shown(given)
        raise ValueError(f"must be two numbers, [low, high], got {got}")
    if not all(math.isfinite(end) for end in given):
        raise ValueError(f"must be finite, got {list(given)}")
    if given[0] >= given[1]:
        reason = "is empty" if given[0] == given[1] else "has a low end above its high end"
        raise ValueError(f"the range {list(given)} {reason}: give [low, high], low below high")
    return tuple(given)


def _above_zero(given: tuple[float, float]) -> tuple[float, float]:
    if given[0] <= 0:
        raise ValueError(f"a logarithmic range must be above 0, got {list(given)}")
    return given


def _whole(given: tuple[float, float]) -> tuple[float, float]:
    if any(end != int(end) for end in given):
        raise ValueError(f"must be whole numbers, got {list(given)}")
    return int(given[0]), int(given[1])


def _points(given: Any) -> Any:
    if not isinstance(given, int) or isinstance(given, bool) or given < 2:
        raise ValueError(f"must be a whole number of at least 2, got {shown(given)}")
    return given


# Validators run from right to left.
_Limits = Annotated[tuple[float, float] | None, BeforeValidator(_limits)]
_LogLimits = Annotated[tuple[float, float] | None, BeforeValidator(_above_zero), BeforeValidator(_limits)]
_WholeLimits = Annotated[tuple[int, int] | None, BeforeValidator(_whole), BeforeValidator(_limits)]
_LogWholeLimits = Annotated[
    tuple[int, int] | None, BeforeValidator(_whole), BeforeValidator(_above_zero), BeforeValidator(_limits)
]


class Span(CheckedModel):
    """A range of numbers, one of the four.

    Attributes:
        uniform: low and high of numbers that are equally likely everywhere.
        log: likewise of their logarithms.
        integers: low and high, both included, of whole numbers.
        log_integers: likewise of their logarithms.
        points: of a grid, evenly spread from end to end.
    """

    uniform: _Limits = None
    log: _LogLimits = None
    integers: _WholeLimits = None
    log_integers: _LogWholeLimits = None
    points: Annotated[int | None, BeforeValidator(_points)] = None

    @model_validator(mode="after")
    def _is_one(self) -> "Span":
        if len([name for name in SPANS if getattr(self, name) is not None]) != 1:
            raise ValueError(f"give one of {', '.join(SPANS)}, {_EXAMPLE}")
        return self

    @property
    def kind(self) -> str:
        """Which of the four it is."""
        return next(name for name in SPANS if getattr(self, name) is not None)

    @property
    def ends(self) -> tuple[float, float]:
        """Low and high."""
        low, high = getattr(self, self.kind)
        return low, high

    @property
    def is_whole(self) -> bool:
        """Whether it holds whole numbers alone."""
        return self.kind.endswith("integers")

    @property
    def is_log(self) -> bool:
        """Whether logarithms are spread evenly."""
        return self.kind.startswith("log")

    def at(self, share: float) -> float:
        """The number at a share, in [0, 1), of the way from low to high."""
        low, high = self.ends
        top = high + 1 if self.is_whole else high
        value = low * (top / low) ** share if self.is_log else low + share * (top - low)
        return self.rounded(math.floor(value) if self.is_whole else value)

    def rounded(self, value: float) -> float:
        """A number of four significant digits, or a whole one, within the range."""
        low, high = self.ends
        value = int(value) if self.is_whole else float(f"{value:.{_DIGITS}g}")
        return min(max(value, low), high)

    def grid(self) -> list[float]:
        """Its points; all whole numbers where no number of points is given.

        Raises:
            GridError: there is no number of points.
        """
        low, high = self.ends
        if self.points is None:
            if not self.is_whole:
                raise GridError(f"a grid needs points, such as {{{self.kind} = [{low:g}, {high:g}], points = 5}}")
            return list(range(int(low), int(high) + 1))
        spread = np.geomspace if self.is_log else np.linspace
        values = spread(low, high, self.points).tolist()
        return list(dict.fromkeys(self.rounded(round(value) if self.is_whole else value) for value in values))

    @property
    def size(self) -> float:
        """How many numbers it holds."""
        return self.ends[1] - self.ends[0] + 1 if self.is_whole else math.inf


class Choices(NamedTuple):
    """Values or alternatives, of which there is one; an alternative is a call that may have open parameters."""

    options: tuple[Any, ...]

    @property
    def names(self) -> list[str]:
        """Names of the options, each another."""
        names = [one.name if isinstance(one, Call) and is_open(one) else to_text(one) for one in self.options]
        return [name if names.count(name) == 1 else f"{name} {place}" for place, name in enumerate(names, start=1)]


class Chooser(Protocol):
    """Chooses a value for each open parameter, by its path."""

    def option(self, path: str, names: Sequence[str]) -> int:
        """Index of one of several options."""

    def number(self, path: str, span: Span) -> float:
        """A number of a range."""


@dataclass(frozen=True, eq=False)
class SearchSpace:
    """An agent with open parameters.

    Attributes:
        label: of the agent.
        call: its expression, with `Span` and `Choices` in the place of open values.
        base: the agent itself, where it was given as an object; its open parameters are replaced.
    """

    label: str
    call: Call
    base: Agent | None = None

    @property
    def size(self) -> float:
        """Number of configurations; infinite where a number may be any of a range."""
        return _size(self.call)

    def configuration(self, chooser: Chooser) -> Call:
        """The expression with all open values chosen."""
        chosen: Call = _filled(self.call, chooser, "")
        return chosen

    @property
    def grid_size(self) -> int:
        """Number of configurations of its grid.

        Raises:
            ExperimentError: a range without a number of points.
        """
        try:
            return _grid_size(self.call)
        except GridError as error:
            raise ExperimentError(f"agents.{self.label}: {error}") from None

    def grid(self) -> list[Call]:
        """Every combination; the last parameter varies fastest.

        Raises:
            ExperimentError: a range without a number of points.
        """
        try:
            return _grid(self.call)
        except GridError as error:
            raise ExperimentError(f"agents.{self.label}: {error}") from None

    def words(self, call: Call) -> str:
        """What a configuration has that others have not, such as "learning_rate=0.1, discount=0.9"."""
        return ", ".join(f"{path}={to_text(value)}" for path, value in _varied(self.call, call, ""))

    def build(self, call: Call) -> Agent:
        """Agent of a configuration; raises as `build_agent`."""
        if self.base is None:
            return build_agent(call)
        values = {name: _object(value) for name, value in call.keywords.items()}
        return dataclasses.replace(self.base, **values)  # type: ignore[type-var]

    def to_text(self) -> str:
        """The space in one line, to compare it with others."""
        return _text(self.call) if self.base is None else f"{to_expression(self.base)} with {_text(self.call)}"


def separate_spaces(agents: Any) -> tuple[Any, dict[str, SearchSpace]]:
    """Agents of an experiment with one configuration in the place of each search space, and the spaces by label.

    Args:
        agents: as `Experiment` takes them.

    Raises:
        ExperimentError: mistakes in the spaces, each in a line with its path.
    """
    mistakes: list[Mistake] = []
    spaces: dict[str, SearchSpace] = {}
    plain: dict[str, Any] = {}
    if not isinstance(agents, Mapping | list | tuple | str | Agent) or not agents:
        return agents, {}
    if isinstance(agents, Mapping) and not is_alone(AgentEntry, agents) and "agent" not in agents:
        by_label = dict(agents)
    else:
        by_label = {_label(one): one for one in (agents if isinstance(agents, list | tuple) else [agents])}
    for label, given in by_label.items():
        found: list[Mistake] = []
        space = _space(str(label), given, found)
        mistakes += [mistake._replace(location=("agents", label, *mistake.location)) for mistake in found]
        plain[label] = given
        if space is None:
            continue
        spaces[str(label)] = space
        fields = given if isinstance(given, Mapping) else {}
        kept = {key: value for key, value in fields.items() if key in AgentEntry.model_fields}
        plain[label] = kept | {"agent": space.build(_lowest(space.call))}
    if mistakes:
        raise ExperimentError(mistake_lines(mistakes))
    return plain, spaces


def has_space(agents: Any) -> bool:
    """Whether what a user gave for agents holds ranges, or tables of alternatives."""
    entries = agents.values() if isinstance(agents, Mapping) else agents if isinstance(agents, list | tuple) else ()
    tables = [entry for entry in [agents, *entries] if isinstance(entry, Mapping) and "agent" in entry]
    return any(_is_space(value) for table in tables for key, value in table.items() if key != "agent")


def _is_space(value: Any) -> bool:
    if isinstance(value, Mapping):
        return not {*SPANS, *_KINDS}.isdisjoint(value)
    return isinstance(value, list | tuple) and any(map(_is_space, value))


def is_open(value: Any) -> bool:
    """Whether something of a value is to be chosen."""
    if isinstance(value, Call):
        return any(map(is_open, [*value.positional, *value.keywords.values()]))
    return isinstance(value, Span | Choices)


def _label(given: Any) -> str:
    named = given.get("agent") if isinstance(given, Mapping) else given
    return str(named) if isinstance(named, str) else to_expression(named)


def _space(label: str, given: Any, mistakes: list[Mistake]) -> SearchSpace | None:
    """The space of an entry; None where nothing is open, or where others say what is wrong."""
    is_table = isinstance(given, Mapping)
    named = given.get("agent") if is_table else given
    arguments = {key: value for key, value in given.items() if key not in AgentEntry.model_fields} if is_table else {}
    call = call_in(named) if isinstance(named, str | Agent) else None
    if call is None:
        return None
    base = named if isinstance(named, Agent) else None
    call = _opened(call, ("agent",)) if base is None else Call(call.name)
    call = _with_arguments(call, ("agent",), type(base) if base is not None else None, arguments, mistakes)
    if mistakes or not is_open(call):
        return None
    space = SearchSpace(label, call, base)
    reasons: set[str] = set()
    for corner in _corners(call):
        try:
            space.build(corner)
        except (ConfigurationError, CatalogueError, ExpressionError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())
            if reason not in reasons:
                mistakes.append(Mistake((), reason))
            reasons.add(reason)
    return None if mistakes else space


def _with_arguments(
    call: Call, kinds: Sequence[str], factory: Any, arguments: Mapping[str, Any], mistakes: list[Mistake]
) -> Call:
    """The call with the arguments of a table."""
    factory = factory or known_factory(call, kinds)
    parameters = None if factory is None else parameter_types(factory, kinds)
    keywords = dict(call.keywords)
    for key, value in arguments.items():
        if parameters is not None and key not in parameters and "**" not in parameters:
            names = did_you_mean(key, AgentEntry.model_fields if kinds == ("agent",) else ())
            names = names or did_you_mean(key, parameters)
            mistakes.append(
                Mistake((key,), names or f": {call.name} has {', '.join(parameters) or 'none'}", is_unknown_field=True)
            )
        elif key in call.keywords:
            mistakes.append(Mistake((key,), "is given twice, here and in the expression"))
        else:
            found: list[Mistake] = []
            keywords[key] = _open_value(value, (parameters or {}).get(key), found)
            mistakes += [mistake._replace(location=(key, *mistake.location)) for mistake in found]
    return Call(call.name, call.positional, keywords)


def _open_value(value: Any, hint: Any, mistakes: list[Mistake]) -> Any:
    """A value of a table as a space has it."""
    try:
        if isinstance(value, Mapping):
            return _open_table(value, hint, mistakes)
        if isinstance(value, list | tuple):
            check_is_grid(list(value), hint)
            return Choices(tuple(_open_value(item, hint, mistakes) for item in value))
        read = read_argument(value, hint)
        return _opened(read, kinds_in(hint)) if isinstance(read, Call) and hint is not None else read
    except VelodromeError as error:
        mistakes.append(Mistake((), str(error)))
        return None


def _open_table(value: Mapping[str, Any], hint: Any, mistakes: list[Mistake]) -> Any:
    kinds = () if hint is None else kinds_in(hint)
    named = next((kind for kind in _KINDS if kind in value), None)
    if named is not None:
        if kinds and named not in kinds:
            raise GridError(f"takes {' or '.join(f'a {kind}' for kind in kinds)}, got a table with {named!r}")
        others = {key: item for key, item in value.items() if key != named}
        call = _opened(parse_expression(value[named]), (named,))
        if known_factory(call, (named,)) is None and ":" not in call.name:
            # Says what there is.
            _BUILDERS.get(named, build_policy)(call.name)
        return _with_arguments(call, (named,), None, others, mistakes)
    try:
        return Span.model_validate(dict(value))
    except ValidationError as error:
        mistakes += mistakes_in(error, Span)
        return None


def _opened(call: Call, kinds: Sequence[str]) -> Call:
    """The call with choices in the place of lists where a parameter takes none, at any depth."""
    factory = known_factory(call, kinds)
    parameters = {} if factory is None else parameter_types(factory, kinds)

    def one(key: str | None, value: Any) -> Any:
        hint = parameters.get(key or "")
        if isinstance(value, list) and value and takes_no_list(hint):
            check_is_grid(value, hint)
            return Choices(tuple(one(key, item) if isinstance(item, Call) else item for item in value))
        if isinstance(value, Call) and hint is not None:
            return _opened(value, kinds_in(hint))
        return value

    names = list(parameters)
    positional = tuple(
        one(names[place] if place < len(names) else None, value) for place, value in enumerate(call.positional)
    )
    return Call(call.name, positional, {key: one(key, value) for key, value in call.keywords.items()})


def _size(value: Any) -> float:
    if isinstance(value, Span):
        return value.size
    if isinstance(value, Choices):
        return sum(map(_size, value.options))
    if isinstance(value, Call):
        return math.prod(map(_size, [*value.positional, *value.keywords.values()]))
    return 1


def _filled(value: Any, chooser: Chooser, path: str) -> Any:
    if isinstance(value, Span):
        return chooser.number(path, value)
    if isinstance(value, Choices):
        names = value.names
        chosen = chooser.option(path, names)
        return _filled(value.options[chosen], chooser, f"{path}.{names[chosen]}")
    if not isinstance(value, Call) or not is_open(value):
        return value
    start = f"{path}." if path else ""
    positional = tuple(_filled(item, chooser, f"{start}{place}") for place, item in enumerate(value.positional))
    keywords = {key: _filled(item, chooser, f"{start}{key}") for key, item in value.keywords.items()}
    return Call(value.name, positional, keywords)


class _First:
    """The first option and the low end of everything."""

    def option(self, path: str, names: Sequence[str]) -> int:
        return 0

    def number(self, path: str, span: Span) -> float:
        return span.ends[0]


def _lowest(value: Any) -> Any:
    return _filled(value, _First(), "")


def _corners(value: Any) -> list[Any]:
    """Every option and both ends of every range at least once, with the first of all others."""
    if isinstance(value, Span):
        return list(value.ends)
    if isinstance(value, Choices):
        return [corner for option in value.options for corner in _corners(option)]
    if not isinstance(value, Call) or not is_open(value):
        return [value]
    lowest = _lowest(value)
    corners = [lowest]
    for key, item in value.keywords.items():
        if is_open(item):
            corners += [Call(value.name, lowest.positional, lowest.keywords | {key: one}) for one in _corners(item)]
    for place, item in enumerate(value.positional):
        if is_open(item):
            before, after = lowest.positional[:place], lowest.positional[place + 1 :]
            corners += [Call(value.name, (*before, one, *after), lowest.keywords) for one in _corners(item)]
    return corners


def _grid_size(value: Any) -> int:
    if isinstance(value, Span):
        return len(value.grid())
    if isinstance(value, Choices):
        return sum(map(_grid_size, value.options))
    return math.prod(map(_grid_size, [*value.positional, *value.keywords.values()])) if isinstance(value, Call) else 1


def _grid(value: Any) -> list[Any]:
    if isinstance(value, Span):
        return list(value.grid())
    if isinstance(value, Choices):
        return [one for option in value.options for one in _grid(option)]
    if not isinstance(value, Call) or not is_open(value):
        return [value]
    items = [*value.positional, *value.keywords.values()]
    number = len(value.positional)
    return [
        Call(value.name, chosen[:number], dict(zip(value.keywords, chosen[number:], strict=True)))
        for chosen in product(*map(_grid, items))
    ]


def _varied(space: Any, value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(space, Span | Choices):
        yield path, value
    elif isinstance(space, Call) and is_open(space):
        start = f"{path}." if path else ""
        for place, (open_item, item) in enumerate(zip(space.positional, value.positional, strict=True)):
            yield from _varied(open_item, item, f"{start}{place}")
        for key, open_item in space.keywords.items():
            yield from _varied(open_item, value.keywords[key], f"{start}{key}")


def _text(value: Any) -> str:
    if isinstance(value, Span):
        return f"{{{value.kind}={list(value.ends)}}}"
    if isinstance(value, Choices):
        return f"[{', '.join(map(_text, value.options))}]"
    if isinstance(value, Call) and is_open(value):
        items = [*map(_text, value.positional), *(f"{key}={_text(item)}" for key, item in value.keywords.items())]
        return f"{value.name}({', '.join(items)})"
    return to_text(value)


def _object(value: Any) -> Any:
    """What a value of an expression stands for."""
    if not isinstance(value, Call):
        return tuple(value) if isinstance(value, list) else value
    kind = kind_of(value.name, ("policy", "schedule")) or "policy"
    return _BUILDERS.get(kind, build_policy)(value)
