"""The names that expressions may use, what they build (agents, policies, schedules …), and what they take."""

import contextlib
import dataclasses
import importlib
import inspect
import typing
from collections import ChainMap, UserDict
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache
from types import ModuleType
from typing import Any

import gymnasium as gym
from gymnasium import wrappers

from velodrome import agents, envs, policies
from velodrome.agents.agent import Agent
from velodrome.agents.deep.distributions import Distribution
from velodrome.checks import ConfigurationError, VelodromeError, closest
from velodrome.envs.unimported_modules import NoSuchModuleError, add_current_directory, unimported_module
from velodrome.experiments.specification.expression import Call, parse_expression, parse_value
from velodrome.policies.configuration import DICT, Configuration, checked_dict, defined_classes, to_expression
from velodrome.policies.policy import Policy
from velodrome.policies.schedules import Constant, Schedule

Factory = Callable[..., Any]


class Catalogue(UserDict[str, Any]):
    """Names of expressions to what they build; a class is loaded when it is asked for, as networks' take their time.

    Args:
        module: where the classes and functions are.
        **names: what each name stands for there.
    """

    def __init__(self, module: ModuleType, **names: str) -> None:
        super().__init__(dict.fromkeys(names))
        self._module, self._names = module, names

    def __getitem__(self, name: str) -> Factory:
        found: Factory | None = self.data[name]
        if found is None:
            found = self.data[name] = getattr(self._module, self._names[name])
        return found


AGENTS = Catalogue(
    agents, random="RandomAgent", q_learning="QLearning", sarsa="Sarsa", expected_sarsa="ExpectedSarsa",
    double_q_learning="DoubleQLearning", n_step_q="NStepQ", n_step_sarsa="NStepSarsa", q_lambda="QLambda",
    dyna_q="DynaQ", bootstrapped_q="BootstrappedQ", count_bonus_q="CountBonusQ", r_max="RMax", mbie_eb="MBIE",
    ucrl2="UCRL2", ucbvi="UCBVI", psrl="PSRL", rlsvi="RLSVI", optimistic_q="OptimisticQ",
    value_iteration="ValueIteration", policy_iteration="PolicyIteration",
    bandit="Bandit", gradient_bandit="GradientBandit", exp3="EXP3", sliding_window_ucb="SlidingWindowUCB",
    discounted_ucb="DiscountedUCB", ucb_tuned="UCBTuned", successive_elimination="SuccessiveElimination",
    softmax_regression="SoftmaxRegression", mlp="MLP", plain_cnn="PlainCNN", simple_cnn="SimpleCNN", deep_cnn="DeepCNN",
    modern_cnn="ModernCNN", row_rnn="RowRNN", ensemble="Ensemble", char_rnn="CharRNN", neural_bandit="NeuralBandit",
    q_network="q_network", dqn_2013="dqn_2013", dqn_2015="dqn_2015", dqn="DQN",
    discretized="Discretized", numbered="Numbered", binned_actions="BinnedActions", linear_q="LinearQ",
    linear_bandit="LinearBandit", lin_ucb="LinUCB", linear_thompson="LinearThompson",
    dummy_q="dummy_q", epsilon_greedy_q="epsilon_greedy_q", noise_q="noise_q", discounted_q="discounted_q",
    stochastic_q="stochastic_q", constant="ConstantAction", best_constant="BestConstantAction", rule="Rule",
    sb3="StableBaselines3", script="Script",
)  # fmt: skip
POLICIES = Catalogue(
    policies, greedy="Greedy", epsilon_greedy="EpsilonGreedy", random_noise="RandomNoise", softmax="Softmax", ucb="UCB",
    uniform="Uniform", ucb1="ucb1", kl_ucb="KLUCB", bayes_ucb="BayesUCB", moss="MOSS", imed="IMED",
    thompson_beta="ThompsonBeta", thompson_gaussian="ThompsonGaussian", explore_then_commit="ExploreThenCommit",
)  # fmt: skip
SCHEDULES = Catalogue(
    policies, constant="Constant", linear="Linear", exponential="Exponential", harmonic="Harmonic",
    stepped_harmonic="SteppedHarmonic", reciprocal="Reciprocal",
)  # fmt: skip
DISTRIBUTIONS = Catalogue(agents, quantile="Quantile", categorical="Categorical")

# They take a function; an expression is of plain values.
_TAKE_FUNCTIONS = {"TransformAction", "TransformObservation", "TransformReward"}
_OF_OTHER_ARRAYS = {"ArrayConversion", "JaxToNumpy", "JaxToTorch", "NumpyToTorch"}
_GYMNASIUMS = sorted({*wrappers.__all__} - _TAKE_FUNCTIONS - _OF_OTHER_ARRAYS - {"vector"})
# What stands around an environment: Gymnasium's under the names of their classes, and ours.
WRAPPERS: ChainMap[str, Any] = ChainMap(
    Catalogue(wrappers, **{name: name for name in _GYMNASIUMS}),
    Catalogue(envs, discretize="Discretize", tile_coding="TileCoding", observation="ObservationPart"),
)
_CATALOGUES: dict[str, Catalogue] = {
    "agent": AGENTS, "policy": POLICIES, "schedule": SCHEDULES, "distribution": DISTRIBUTIONS,
}  # fmt: skip
_BASES: dict[str, type[Configuration]] = {
    "agent": Agent, "policy": Policy, "schedule": Schedule, "distribution": Distribution,
}  # fmt: skip
# Where a name of the second kind belongs when the first was wanted.
_PLACES = {
    ("agent", "policy"): "q_learning(policy={}(...))",
    ("agent", "schedule"): "q_learning(learning_rate={}(...))",
    ("agent", "distribution"): "dqn(distribution={}(...))",
    ("policy", "schedule"): "epsilon_greedy(epsilon={}(...))",
}
_HIDDEN_ARGUMENTS = ("render_mode",)
_LONGEST_DEFAULT = 40


class CatalogueError(VelodromeError, ValueError):
    """An expression names or passes what does not exist; the message is one line."""


def build_agent(expression: str | Call) -> Agent:
    """Agent of an expression such as `q_learning(policy=greedy)` or `my_module:MyAgent(...)`.

    Args:
        expression: text, or what `parse_expression` made of it.

    Raises:
        ExpressionError: the text is no expression.
        CatalogueError: an unknown name or argument, one of the wrong kind, or one that is missing.
        ConfigurationError: an argument is out of range.
    """
    agent: Agent = _build(call_of(expression), ("agent",))
    return agent


def build_known_agent(expression: str | Call) -> Agent:
    """Agent of an expression that somebody else may have written: nothing is imported for it.

    Raises:
        CatalogueError: as of `build_agent`, or a class that the running program has not defined.
        ExpressionError: the text is no expression.
        ConfigurationError: an argument is out of range.
    """
    agent: Agent = _build(call_of(expression), ("agent",), may_import=False)
    return agent


def build_policy(expression: str | Call) -> Policy:
    """Policy of an expression such as `epsilon_greedy(0.1)`; raises as `build_agent` does.

    Args:
        expression: text, or what `parse_expression` made of it.
    """
    policy: Policy = _build(call_of(expression), ("policy",))
    return policy


def build_schedule(expression: str | Call) -> Schedule:
    """Schedule of an expression such as `linear(1, 0, 500)`, or of a number; raises as `build_agent` does.

    Args:
        expression: text, or what `parse_expression` made of it.
    """
    value = parse_value(expression) if isinstance(expression, str) else expression
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Constant(value)
    schedule: Schedule = _build(call_of(expression), ("schedule",))
    return schedule


def factory_of(name: str, kinds: Sequence[str]) -> Factory:
    """The class or function that a name stands for, in the catalogues of some kinds; modules are imported.

    Raises:
        CatalogueError: there is none of these kinds.
    """
    return _find(name, kinds, may_import=True)


def call_of(expression: str | Call) -> Call:
    """The call that a text or a call is."""
    return expression if isinstance(expression, Call) else parse_expression(expression)


def kind_of(name: str, wanted: Sequence[str] = ()) -> str | None:
    """Kind of a name of the catalogue, such as "agent" or "policy", one that is wanted where it has several.

    None for other names.
    """
    kinds = [kind for kind, catalogue in _CATALOGUES.items() if name in catalogue]
    return next((kind for kind in kinds if kind in wanted), kinds[0] if kinds else None)


def with_article(kind: str) -> str:
    """Such as "an agent"."""
    return f"an {kind}" if kind == "agent" else f"a {kind}"


def unknown_wrapper(name: str) -> str:
    """One line on a name that stands around an environment and is no wrapper."""
    if name in _TAKE_FUNCTIONS:
        return f"{name} takes a function, which cannot be written here: register an environment that has this wrapper"
    return f"unknown wrapper {name!r}{closest(name, WRAPPERS)}"


def _build(call: Call, kinds: Sequence[str], may_import: bool = True) -> Any:
    factory = _find(call.name, kinds, may_import)
    arguments = bound_arguments(call, factory)
    hints = type_hints(factory)
    values = {
        key: _value(call.name, key, value, kinds_in(hints[key]) if key in hints else tuple(_BASES), may_import)
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


def _value(owner: str, parameter: str, value: Any, kinds: Sequence[str], may_import: bool) -> Any:
    """A configuration's parameter from its value in the expression; sequences become tuples."""
    if isinstance(value, list | tuple):
        return tuple(_value(owner, parameter, item, kinds, may_import) for item in value)
    if not isinstance(value, Call):
        return value
    if value.name == DICT:
        if value.positional:
            raise CatalogueError(f"{owner}: {parameter}: write dict(key=value), got {value}")
        items = {key: _value(owner, parameter, item, kinds, may_import) for key, item in value.keywords.items()}
        return checked_dict(items)
    kind = kind_of(value.name, kinds)
    if not kinds:
        refuse_names(owner, parameter, value)
    if kind is not None and kind not in kinds:
        raise CatalogueError(f"{owner}: {parameter} takes {_any_of(kinds)}, but {value.name} is {with_article(kind)}")
    return _build(value, kinds, may_import)


def _find(name: str, kinds: Sequence[str], may_import: bool) -> Factory:
    # Where anything may stand, constant(0.1) is the schedule that it always was.
    for kind in reversed(kinds):
        if name in _CATALOGUES[kind]:
            return _CATALOGUES[kind][name]
    if ":" in name:
        return _imported(name, kinds) if may_import else _defined(name, kinds)
    wanted = _any_of(kinds)
    found = kind_of(name)
    if found is not None:
        place = _PLACES.get((kinds[0], found))
        advice = f": write {place.format(name)}" if place is not None else ""
        raise CatalogueError(f"{name} is {with_article(found)}, not {wanted}{advice}")
    if name in gym.registry or name in WRAPPERS:
        raise CatalogueError(f"{name} is an environment, not {wanted}")
    words = [word for kind in kinds for word in _CATALOGUES[kind]]
    raise CatalogueError(f"unknown {' or '.join(kinds)} {name!r}{closest(name, words)}")


def _defined(name: str, kinds: Sequence[str]) -> Factory:
    """The class of that name among those that the running program has defined."""
    for kind in kinds:
        cls = defined_classes(_BASES[kind]).get(name)
        if cls is not None:
            return cls
    raise CatalogueError(f"{name} is not imported")


def _imported(name: str, kinds: Sequence[str]) -> Factory:
    """The class or function that `module:Name` names."""
    module_name, _, attribute = name.rpartition(":")
    add_current_directory()
    _check_may_define(name, module_name, attribute, kinds)
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
        what = with_article(found) if found is not None else f"the class {factory.__name__}"
        raise CatalogueError(f"{name} is {what}, not {_any_of(kinds)}")
    if not callable(factory):
        raise CatalogueError(f"{name} is {factory!r}, not {_any_of(kinds)}")
    # Without this, a shared experiment file could call any function of any installed module.
    returned = type_hints(factory).get("return")
    if returned is Any or not set(kinds_in(returned)) & set(kinds):
        raise _unsaid(name, kinds)
    return typing.cast(Factory, factory)


def _check_may_define(name: str, module_name: str, attribute: str, kinds: Sequence[str]) -> None:
    """Refuse to run a module whose source shows that what is wanted is not in it, such as Python's `this`."""
    if not attribute.isidentifier():
        raise CatalogueError(f"{name} is not {_any_of(kinds)}: {attribute!r} is not the name of a class or function")
    try:
        module = unimported_module(module_name)
    except NoSuchModuleError as error:
        raise CatalogueError(f"cannot import module {module_name!r} of {name!r}: {error}") from None
    if module is None:
        return
    reason = module.why_no_factory(attribute)
    if reason is not None:
        raise CatalogueError(f"module {module_name!r} {reason}")
    if module.is_silent_function(attribute):
        raise _unsaid(name, kinds)


def _unsaid(name: str, kinds: Sequence[str]) -> CatalogueError:
    base = " or ".join(_BASES[kind].__name__ for kind in kinds)
    return CatalogueError(f"{name} must say what it returns: def {name.rpartition(':')[2]}(...) -> {base}")


def kinds_in(hint: Any) -> tuple[str, ...]:
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


def _any_of(kinds: Sequence[str]) -> str:
    return " or ".join(with_article(kind) for kind in kinds)


def bound_arguments(call: Call, factory: Factory) -> dict[str, Any]:
    """The values that a call gives to the parameters of a class or function, by name.

    Raises:
        CatalogueError: too many positional arguments, one by position where names are needed, or an argument that is
            unknown, missing or given twice.
    """
    parameters = parameters_of(factory)
    named = {key: p for key, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    order = [key for key, p in named.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    if call.positional and named and not order:
        example = f"{call.name}({_most_telling(factory, named)}=...)"
        raise CatalogueError(f"{call.name} takes its arguments by name: {example}")
    if len(call.positional) > len(order):
        most = f"at most {len(order)}" if order else "no"
        raise CatalogueError(
            f"{call.name} takes {most} positional argument{'s' * (len(order) != 1)}, got {len(call.positional)}: "
            f"{signature_text(call.name, factory)}"
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
        raise CatalogueError(f"{call.name} needs {', '.join(missing)}: {signature_text(call.name, factory)}")
    return given


def type_hints(factory: Factory) -> dict[str, Any]:
    """Types of the parameters by name, and "return"; empty where they cannot be read."""
    with contextlib.suppress(Exception):
        return _hints_of_class(factory) if isinstance(factory, type) else typing.get_type_hints(factory)
    return {}


@lru_cache(maxsize=64)
def _hints_of_class(cls: Any) -> dict[str, Any]:
    return typing.get_type_hints(cls if dataclasses.is_dataclass(cls) else cls.__init__)


def refuse_names(owner: str, parameter: str, value: Any) -> None:
    """Refuse an expression where a plain value belongs, in lists too: most likely text without quotes.

    Raises:
        CatalogueError: naming the owner, the parameter and the name.
    """
    for item in value if isinstance(value, list | tuple) else [value]:
        if isinstance(item, list | tuple):
            refuse_names(owner, parameter, item)
        elif isinstance(item, Call):
            raise CatalogueError(
                f"{owner}: {parameter} takes a plain value, got the name {item} (text needs quotes: {str(item)!r})"
            )


def signature_text(name: str, factory: Factory, **other_defaults: Any) -> str:
    """`name(argument=default, ...)`; `other_defaults` go before the function's own."""
    texts = []
    for key, parameter in parameters_of(factory).items():
        default = other_defaults.get(key, parameter.default)
        if key in _HIDDEN_ARGUMENTS:
            continue
        text = to_expression(default)
        short = text if len(text) <= _LONGEST_DEFAULT else "..."
        takes_any = parameter.kind is parameter.VAR_KEYWORD
        texts.append(f"{'**' * takes_any}{key}" if default is parameter.empty else f"{key}={short}")
    return f"{name}({', '.join(texts)})"


def parameters_of(factory: Factory) -> dict[str, inspect.Parameter]:
    """Parameters of a class or function in order, the defaults of a dataclass made by their factories."""
    parameters = dict(inspect.signature(factory).parameters)
    for f in dataclasses.fields(factory) if dataclasses.is_dataclass(factory) else ():
        if f.name in parameters and f.default_factory is not dataclasses.MISSING:
            parameters[f.name] = parameters[f.name].replace(default=f.default_factory())
    return parameters


def _most_telling(factory: Factory, named: Collection[str]) -> str:
    """Parameter for an example: the first that the class itself adds, else the first that its base adds."""
    bases = inspect.getmro(factory) if isinstance(factory, type) else ()
    own = (key for base in bases for key in inspect.get_annotations(base) if key in named)
    return next(own, next(iter(named)))
