"""The names that expressions may use, and what they build: agents, policies, schedules and environments."""

import contextlib
import dataclasses
import importlib
import inspect
import os
import sys
import typing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium as gym
from gymnasium.envs.registration import load_env_creator

from velodrome import agents, policies
from velodrome.agents.agent import Agent
from velodrome.envs.discretize import Discretize
from velodrome.envs.make import list_environments, make_environment
from velodrome.experiments.expression import Call, parse_expression, parse_value, to_text
from velodrome.policies.configuration import Configuration, ConfigurationError, closest, to_expression
from velodrome.policies.policy import Policy
from velodrome.policies.schedules import Constant, Schedule

Factory = Callable[..., Any]

AGENTS: dict[str, Callable[..., Agent]] = {
    **{
        cls.name: cls
        for cls in (
            agents.RandomAgent, agents.QLearning, agents.Sarsa, agents.ExpectedSarsa, agents.DoubleQLearning,
            agents.NStepQ, agents.NStepSarsa, agents.QLambda, agents.DynaQ, agents.ValueIteration,
            agents.PolicyIteration,
        )
    },
    "dummy_q": agents.dummy_q,
    "epsilon_greedy_q": agents.epsilon_greedy_q,
    "noise_q": agents.noise_q,
    "discounted_q": agents.discounted_q,
    "stochastic_q": agents.stochastic_q,
}  # fmt: skip
POLICIES: dict[str, Callable[..., Policy]] = {
    cls.name: cls
    for cls in (
        policies.Greedy, policies.EpsilonGreedy, policies.RandomNoise, policies.Softmax, policies.UCB,
        policies.Uniform,
    )
}  # fmt: skip
SCHEDULES: dict[str, Callable[..., Schedule]] = {
    cls.name: cls
    for cls in (
        policies.Constant, policies.Linear, policies.Exponential, policies.Harmonic, policies.SteppedHarmonic,
        policies.Reciprocal,
    )
}  # fmt: skip

DISCRETIZE = "discretize"
_CATALOGUES: dict[str, dict[str, Factory]] = {"agent": AGENTS, "policy": POLICIES, "schedule": SCHEDULES}
_BASES: dict[str, type] = {"agent": Agent, "policy": Policy, "schedule": Schedule}
_PLURALS = {"agents": "agent", "policies": "policy", "schedules": "schedule"}
# Where a name of the second kind belongs when the first was wanted.
_PLACES = {
    ("agent", "policy"): "q_learning(policy={}(...))",
    ("agent", "schedule"): "q_learning(learning_rate={}(...))",
    ("policy", "schedule"): "epsilon_greedy(epsilon={}(...))",
}
# Gymnasium's docstrings rarely begin with a line that says what there is to learn.
_SUMMARIES = {
    "Acrobot": "Swing a two-link robot arm up over a line by its middle joint.",
    "Blackjack": "Hit or stand: come closer to 21 than the dealer, and not above.",
    "CartPole": "Keep a pole upright on a cart by pushing the cart left and right.",
    "CliffWalking": "Walk from start to goal along a cliff without falling off.",
    "CliffWalkingSlippery": "The cliff walk where every move may slip to the side.",
    "FrozenLake": "Cross a slippery frozen lake (4x4) without falling into a hole.",
    "FrozenLake8x8": "The frozen lake on an 8x8 map.",
    "MountainCar": "Rock a weak car out of a valley, with three actions.",
    "MountainCarContinuous": "Rock a weak car out of a valley, with a force as action.",
    "Pendulum": "Swing a pendulum up and keep it there, with a torque as action.",
    "Taxi": "Pick a passenger up and set them down where they want to go.",
}
_HIDDEN_ARGUMENTS = ("render_mode",)
_LONGEST_DEFAULT = 40


class CatalogueError(ValueError):
    """An expression names or passes what does not exist; the message is one line."""


class CatalogueEntry(NamedTuple):
    """A name, its arguments with their defaults, and one line on what it is."""

    name: str
    signature: str
    summary: str


def build_agent(expression: str | Call) -> Agent:
    """Agent of an expression such as `q_learning(policy=greedy)` or `my_module:MyAgent(...)`.

    Raises:
        ExpressionError: the text is no expression.
        CatalogueError: an unknown name or argument, one of the wrong kind, or one that is missing.
        ConfigurationError: an argument is out of range.
    """
    agent: Agent = _build(_call_of(expression), ("agent",))
    return agent


def build_policy(expression: str | Call) -> Policy:
    """Policy of an expression such as `epsilon_greedy(0.1)`; raises as `build_agent` does."""
    policy: Policy = _build(_call_of(expression), ("policy",))
    return policy


def build_schedule(expression: str | Call) -> Schedule:
    """Schedule of an expression such as `linear(1, 0, 500)`, or of a number; raises as `build_agent` does."""
    value = parse_value(expression) if isinstance(expression, str) else expression
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Constant(value)
    schedule: Schedule = _build(_call_of(expression), ("schedule",))
    return schedule


@dataclass(frozen=True)
class EnvironmentConfiguration:
    """An environment that can be made again and again, such as `FrozenLake-v1(is_slippery=False)`."""

    expression: Call

    @property
    def label(self) -> str:
        """Canonical text of the expression."""
        return str(self.expression)

    def make(self, *, render_mode: str | None = None) -> gym.Env[Any, Any]:
        """A new environment; `render_mode` goes before the expression's own.

        Raises:
            UnknownEnvironmentError: no such id or argument, or its constructor refuses a value.
            CatalogueError: an argument that is not allowed in an environment's expression.
        """
        call = self.expression
        if call.name == DISCRETIZE:
            return self._discretized(render_mode)
        if call.positional:
            raise CatalogueError(
                f"{call.name} takes arguments by name, such as {call.name}(max_episode_steps=100), "
                f"got {to_text(call.positional[0])}"
            )
        for keyword, value in call.keywords.items():
            _refuse_names(call.name, keyword, value)
        if ":" in call.name:
            _add_current_directory()
        shown = {"render_mode": render_mode} if render_mode is not None else {}
        return make_environment(call.name, **(call.keywords | shown))

    def _discretized(self, render_mode: str | None) -> gym.Env[Any, Any]:
        arguments = _arguments(self.expression, Discretize)
        inner = arguments.pop("env")
        if not isinstance(inner, Call):
            raise CatalogueError(
                f"{DISCRETIZE} needs an environment without quotes, such as {DISCRETIZE}(CartPole-v1), "
                f"got {to_text(inner)}"
            )
        for keyword, value in arguments.items():
            _refuse_names(DISCRETIZE, keyword, value)
        env = EnvironmentConfiguration(inner).make(render_mode=render_mode)
        try:
            return Discretize(env, **arguments)
        except ValueError as error:
            env.close()
            raise CatalogueError(f"{DISCRETIZE}: {error}") from None


def build_environment(expression: str | Call) -> EnvironmentConfiguration:
    """Environment of an expression: a Gymnasium id, `module:Id`, or `discretize(<environment>, bins=...)`.

    It is made once and closed, so that a wrong id or argument is known before the first trial.

    Raises:
        ExpressionError: the text is no expression.
        UnknownEnvironmentError: no such id or argument, or its constructor refuses a value.
        CatalogueError: a name of another kind, or an argument that is not allowed.
    """
    configuration = EnvironmentConfiguration(_call_of(expression))
    kind = _kind_of(configuration.expression.name)
    if kind is not None:
        raise CatalogueError(
            f"{configuration.expression.name} is {_with_article(kind)}, not an environment such as FrozenLake-v1"
        )
    configuration.make().close()
    return configuration


def describe(kind: str) -> list[CatalogueEntry]:
    """Every name of `kind`: "agents", "policies", "schedules" or "environments".

    Raises:
        CatalogueError: there is no such kind.
    """
    if kind == "environments":
        return _environment_entries()
    if kind not in _PLURALS:
        raise CatalogueError(f"unknown kind {kind!r}{closest(kind, [*_PLURALS, 'environments'])}")
    return [
        CatalogueEntry(name, _signature(name, factory), _first_line(factory))
        for name, factory in _CATALOGUES[_PLURALS[kind]].items()
    ]


def _call_of(expression: str | Call) -> Call:
    return expression if isinstance(expression, Call) else parse_expression(expression)


def _build(call: Call, kinds: Sequence[str]) -> Any:
    factory = _find(call.name, kinds)
    arguments = _arguments(call, factory)
    hints = _hints(factory)
    values = {
        key: _value(call.name, key, value, _kinds_in(hints[key]) if key in hints else tuple(_BASES))
        for key, value in arguments.items()
    }
    try:
        built = factory(**values)
    except ConfigurationError:
        raise
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise CatalogueError(f"cannot build {call.name}: {text}") from error
    if not isinstance(built, tuple(_BASES[kind] for kind in kinds)):
        raise CatalogueError(f"{call.name} must make {_any_of(kinds)}, got {type(built).__name__}")
    return built


def _value(owner: str, parameter: str, value: Any, kinds: Sequence[str]) -> Any:
    """A configuration's parameter from its value in the expression; sequences become tuples."""
    if isinstance(value, list | tuple):
        return tuple(_value(owner, parameter, item, kinds) for item in value)
    if not isinstance(value, Call):
        return value
    kind = _kind_of(value.name)
    if not kinds:
        _refuse_names(owner, parameter, value)
    if kind is not None and kind not in kinds:
        raise CatalogueError(f"{owner}: {parameter} takes {_any_of(kinds)}, but {value.name} is {_with_article(kind)}")
    return _build(value, kinds)


def _refuse_names(owner: str, parameter: str, value: Any) -> None:
    """Refuse an expression where a plain value belongs, in lists too: most likely text without quotes."""
    for item in value if isinstance(value, list | tuple) else [value]:
        if isinstance(item, list | tuple):
            _refuse_names(owner, parameter, item)
        elif isinstance(item, Call):
            raise CatalogueError(
                f"{owner}: {parameter} takes a plain value, got the name {item} (text needs quotes: {str(item)!r})"
            )


def _find(name: str, kinds: Sequence[str]) -> Factory:
    for kind in kinds:
        if name in _CATALOGUES[kind]:
            return _CATALOGUES[kind][name]
    if ":" in name:
        return _imported(name, kinds)
    wanted = _any_of(kinds)
    found = _kind_of(name)
    if found is not None:
        place = _PLACES.get((kinds[0], found))
        advice = f": write {place.format(name)}" if place is not None else ""
        raise CatalogueError(f"{name} is {_with_article(found)}, not {wanted}{advice}")
    if name in gym.registry or name == DISCRETIZE:
        raise CatalogueError(f"{name} is an environment, not {wanted}")
    words = [word for kind in kinds for word in _CATALOGUES[kind]]
    raise CatalogueError(f"unknown {' or '.join(kinds)} {name!r}{closest(name, words)}")


def _imported(name: str, kinds: Sequence[str]) -> Factory:
    """The class or function that `module:Name` names."""
    module_name, _, attribute = name.rpartition(":")
    _add_current_directory()
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise CatalogueError(f"cannot import module {module_name!r} of {name!r}: {text}") from error
    if not hasattr(module, attribute):
        public = [key for key in vars(module) if not key.startswith("_")]
        raise CatalogueError(f"module {module_name!r} has no {attribute!r}{closest(attribute, public)}")
    factory = getattr(module, attribute)
    bases = tuple(_BASES[kind] for kind in kinds)
    if isinstance(factory, type):
        if issubclass(factory, bases):
            return factory
        found = next((kind for kind, base in _BASES.items() if issubclass(factory, base)), None)
        what = _with_article(found) if found is not None else f"the class {factory.__name__}"
        raise CatalogueError(f"{name} is {what}, not {_any_of(kinds)}")
    if not callable(factory):
        raise CatalogueError(f"{name} is {factory!r}, not {_any_of(kinds)}")
    # Without this, a shared experiment file could call any function of any installed module.
    returned = _hints(factory).get("return")
    if returned is Any or not set(_kinds_in(returned)) & set(kinds):
        base = " or ".join(_BASES[kind].__name__ for kind in kinds)
        raise CatalogueError(f"{name} must say what it returns: def {attribute}(...) -> {base}")
    return typing.cast(Factory, factory)


def _add_current_directory() -> None:
    """Let the user's own modules be found, as `python -m` does."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    importlib.invalidate_caches()


def _arguments(call: Call, factory: Factory) -> dict[str, Any]:
    """The call's values by parameter; positional ones fill keyword-only parameters where all are that."""
    parameters = _parameters(factory)
    named = {key: p for key, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    order = [key for key, p in named.items() if p.kind is p.POSITIONAL_OR_KEYWORD] or list(named)
    if len(call.positional) > len(order):
        raise CatalogueError(
            f"{call.name} takes at most {len(order)} positional arguments, got {len(call.positional)}: "
            f"{_signature(call.name, factory)}"
        )
    given = dict(zip(order, call.positional, strict=False))
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for keyword, value in call.keywords.items():
        if keyword in given:
            raise CatalogueError(f"{call.name} has the argument {keyword!r} twice, by position and by name")
        if keyword not in named and not takes_any:
            raise CatalogueError(f"{call.name} has no argument {keyword!r}{closest(keyword, named)}")
        given[keyword] = value
    missing = [repr(key) for key, p in named.items() if p.default is p.empty and key not in given]
    if missing:
        raise CatalogueError(f"{call.name} needs {', '.join(missing)}: {_signature(call.name, factory)}")
    return given


def _parameters(factory: Factory) -> dict[str, inspect.Parameter]:
    """Parameters of a class or function in order, the defaults of a dataclass made by their factories."""
    parameters = dict(inspect.signature(factory).parameters)
    for f in dataclasses.fields(factory) if dataclasses.is_dataclass(factory) else ():
        if f.name in parameters and f.default_factory is not dataclasses.MISSING:
            parameters[f.name] = parameters[f.name].replace(default=f.default_factory())
    return parameters


def _hints(factory: Factory) -> dict[str, Any]:
    is_plain_class = isinstance(factory, type) and not dataclasses.is_dataclass(factory)
    with contextlib.suppress(Exception):
        return typing.get_type_hints(factory.__init__ if is_plain_class else factory)
    return {}


def _kinds_in(hint: Any) -> tuple[str, ...]:
    """Which kinds a type hint allows: ("schedule",) for `float | Schedule`, all of them for Any."""
    if hint is Any or hint is Configuration:
        return tuple(_BASES)
    parts = [hint, *_leaves(hint)]
    return tuple(
        kind
        for kind, base in _BASES.items()
        if any(isinstance(part, type) and issubclass(part, base) for part in parts)
    )


def _leaves(hint: Any) -> Iterable[Any]:
    for argument in typing.get_args(hint):
        yield argument
        yield from _leaves(argument)


def _kind_of(name: str) -> str | None:
    return next((kind for kind, catalogue in _CATALOGUES.items() if name in catalogue), None)


def _with_article(kind: str) -> str:
    return f"an {kind}" if kind == "agent" else f"a {kind}"


def _any_of(kinds: Sequence[str]) -> str:
    return " or ".join(_with_article(kind) for kind in kinds)


def _signature(name: str, factory: Factory, **other_defaults: Any) -> str:
    texts = []
    for key, parameter in _parameters(factory).items():
        default = other_defaults.get(key, parameter.default)
        if key in _HIDDEN_ARGUMENTS:
            continue
        text = to_expression(default)
        short = text if len(text) <= _LONGEST_DEFAULT else "..."
        texts.append(key if default is parameter.empty else f"{key}={short}")
    return f"{name}({', '.join(texts)})"


def _first_line(factory: Factory) -> str:
    return (inspect.getdoc(factory) or "").partition("\n")[0]


def _environment_entries() -> list[CatalogueEntry]:
    entries = []
    for identifier in list_environments():
        spec = gym.registry[identifier]
        creator = load_env_creator(str(spec.entry_point))
        summary = _SUMMARIES.get(spec.name) or _first_line(creator)
        entries.append(CatalogueEntry(identifier, _signature(identifier, creator, **spec.kwargs), summary))
    num_ours = sum(entry.name.startswith("velodrome/") for entry in entries)
    wrapper = CatalogueEntry(DISCRETIZE, _signature(DISCRETIZE, Discretize), _first_line(Discretize))
    return [*entries[:num_ours], wrapper, *entries[num_ours:]]
