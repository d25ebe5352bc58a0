"""The catalogue: every name builds, text reads back, users' own modules work, and mistakes are told in one line."""

import subprocess
import sys
from dataclasses import MISSING, fields, is_dataclass

import gymnasium as gym
import pytest

from velodrome.agents import NStepQ, QLearning
from velodrome.experiments.specification.catalogue import (
    AGENTS,
    DISTRIBUTIONS,
    POLICIES,
    SCHEDULES,
    CatalogueError,
    build_agent,
    build_policy,
    build_schedule,
)
from velodrome.experiments.specification.environment_configuration import build_environment
from velodrome.experiments.specification.expression import parse_expression
from velodrome.policies import (
    ConfigurationError,
    Constant,
    EpsilonGreedy,
    Greedy,
    Harmonic,
    Linear,
    RandomNoise,
    SteppedHarmonic,
)
from velodrome.policies.configuration import to_data

BUILDERS = {
    "agents": (build_agent, AGENTS),
    "policies": (build_policy, POLICIES),
    "schedules": (build_schedule, SCHEDULES),
}
BANDIT_POLICIES = [
    *("ucb1", "kl_ucb", "bayes_ucb", "moss", "imed", "thompson_beta", "thompson_gaussian", "explore_then_commit"),
]
# Values of what must be given, where 1 is none.
REQUIRED = {"function": "'my_rules:hold'", "command": "'train.py {env} {seed} {steps}'"}
NAMES = [(kind, name) for kind, (_, catalogue) in BUILDERS.items() for name in catalogue]


def message_of(error_class, function, *arguments):
    with pytest.raises(error_class) as caught:
        function(*arguments)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_the_catalogue_has_the_names_of_the_design():
    assert list(AGENTS) == [
        *("random", "q_learning", "sarsa", "expected_sarsa", "double_q_learning", "n_step_q", "n_step_sarsa"),
        *("q_lambda", "dyna_q", "bootstrapped_q", "count_bonus_q", "r_max", "mbie_eb", "ucrl2", "ucbvi", "psrl"),
        *("rlsvi", "optimistic_q", "value_iteration", "policy_iteration"),
        *("bandit", "gradient_bandit", "exp3", "sliding_window_ucb", "discounted_ucb", "ucb_tuned"),
        "successive_elimination",
        *("softmax_regression", "mlp", "plain_cnn", "simple_cnn", "deep_cnn", "modern_cnn", "row_rnn"),
        *("ensemble", "char_rnn", "neural_bandit", "q_network", "dqn_2013", "dqn_2015", "dqn"),
        *("discretized", "numbered", "binned_actions", "linear_q"),
        *("linear_bandit", "lin_ucb", "linear_thompson"),
        *("dummy_q", "epsilon_greedy_q", "noise_q", "discounted_q", "stochastic_q"),
        *("constant", "best_constant", "rule", "sb3", "script"),
    ]
    assert list(POLICIES) == ["greedy", "epsilon_greedy", "random_noise", "softmax", "ucb", "uniform", *BANDIT_POLICIES]
    assert list(DISTRIBUTIONS) == ["quantile", "categorical"]
    assert list(SCHEDULES) == [*("constant", "linear", "exponential", "harmonic", "stepped_harmonic", "reciprocal")]
    # A constant schedule and a constant action: where each may stand, the other may not.
    assert sorted(name for _, name in NAMES if [other for _, other in NAMES].count(name) > 1) == ["constant"] * 2


@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_every_entry_builds_from_its_name_and_from_its_own_text(kind, name):
    build, catalogue = BUILDERS[kind]
    factory = catalogue[name]
    required = [
        f.name
        for f in (fields(factory) if is_dataclass(factory) else ())
        if f.init and f.default is MISSING and f.default_factory is MISSING
    ]
    if required:
        assert f"{name} needs {required[0]!r}" in message_of(CatalogueError, build, name)
    expression = f"{name}({', '.join(f'{key}={REQUIRED.get(key, 1)}' for key in required)})"
    built = build(expression)
    assert built.name == name or kind == "agents" or name == "ucb1"
    assert to_data(build(str(built))) == to_data(built)
    assert to_data(build(str(parse_expression(expression)))) == to_data(built)
    assert to_data(build(parse_expression(expression))) == to_data(built)


def test_arguments_reach_their_parameters():
    agent = build_agent(
        "q_learning(discount=0.9, learning_rate=linear(1, 0, 500, clock='step'), "
        "policy=epsilon_greedy(stepped_harmonic(100), 'first'))"
    )
    assert isinstance(agent, QLearning)
    assert (agent.discount, agent.initial_value) == (0.9, 0.0)
    assert agent.learning_rate == Linear(1, 0, 500, clock="step")
    assert agent.policy == EpsilonGreedy(SteppedHarmonic(100), "first")
    assert build_agent("q_learning(policy=greedy)").policy == Greedy()
    assert build_agent("dyna_q(planning_steps=0)").planning_steps == 0
    assert isinstance(build_agent("n_step_q(n=2)"), NStepQ)
    assert build_agent("noise_q(scale=0.5)").policy == RandomNoise(0.5, "first")
    assert build_policy("random_noise(harmonic)") == RandomNoise(Harmonic())
    assert build_policy("epsilon_greedy(1/4)") == EpsilonGreedy(0.25)
    assert build_schedule("0.5") == Constant(0.5)


@pytest.mark.parametrize(
    ("build", "expression", "message"),
    [
        (build_agent, "q_lerning", "unknown agent 'q_lerning': did you mean 'q_learning'?"),
        (
            build_agent,
            "zzzz",
            "unknown agent 'zzzz'; allowed: bandit, best_constant, binned_actions, bootstrapped_q, char_rnn, ",
        ),
        (
            build_agent,
            "epsilon_greedy",
            "epsilon_greedy is a policy, not an agent: write q_learning(policy=epsilon_greedy(...))",
        ),
        (
            build_agent,
            "harmonic(2)",
            "harmonic is a schedule, not an agent: write q_learning(learning_rate=harmonic(...))",
        ),
        (
            build_policy,
            "harmonic",
            "harmonic is a schedule, not a policy: write epsilon_greedy(epsilon=harmonic(...))",
        ),
        (build_policy, "q_learning", "q_learning is an agent, not a policy"),
        (build_schedule, "greedy", "greedy is a policy, not a schedule"),
        (build_agent, "FrozenLake-v1", "FrozenLake-v1 is an environment, not an agent"),
        (build_agent, "q_learning(polcy=greedy)", "q_learning has no argument 'polcy': did you mean 'policy'?"),
        (build_policy, "uniform(x=1)", "uniform has no argument 'x'"),
        (build_policy, "uniform(1)", "uniform takes no positional arguments, got 1: uniform()"),
        (
            build_policy,
            "greedy('first', 2)",
            "greedy takes at most 1 positional argument, got 2: greedy(ties='random')",
        ),
        (
            build_policy,
            "epsilon_greedy(0.9, epsilon=1)",
            "epsilon_greedy has the argument 'epsilon' twice, by position and by name",
        ),
        (build_agent, "q_learning(0.9)", "q_learning takes its arguments by name: q_learning(discount=...)"),
        (build_agent, "n_step_q(2)", "n_step_q takes its arguments by name: n_step_q(n=...)"),
        (build_agent, "n_step_sarsa(2)", "n_step_sarsa takes its arguments by name: n_step_sarsa(n=...)"),
        (build_agent, "q_lambda(0.9)", "q_lambda takes its arguments by name: q_lambda(trace_decay=...)"),
        (build_agent, "random(1)", "random takes its arguments by name: random(action_mask=...)"),
        (build_schedule, "constant", "constant needs 'value': constant(value)"),
        (
            build_schedule,
            "linear(1)",
            "linear needs 'end', 'over': linear(start, end, over, clock='episode')",
        ),
        (build_agent, "q_learning(policy=greedi)", "unknown policy 'greedi': did you mean 'greedy'?"),
        (
            build_agent,
            "q_learning(policy=harmonic)",
            "q_learning: policy takes a policy, but harmonic is a schedule",
        ),
        (
            build_agent,
            "q_learning(learning_rate=greedy)",
            "q_learning: learning_rate takes a schedule, but greedy is a policy",
        ),
        (
            build_policy,
            "greedy(ties=first)",
            "greedy: ties takes a plain value, got the name first (text needs quotes: 'first')",
        ),
        (build_agent, "no_such_module_here:X", "cannot import module 'no_such_module_here' of"),
        (build_agent, "os:getcw", "module 'os' has no 'getcw': did you mean 'getcwd'?"),
        (build_agent, "math:pi", "math:pi is 3.14"),
        (build_agent, "velodrome.policies:Greedy", "velodrome.policies:Greedy is a policy, not an agent"),
        (build_agent, "builtins:int", "builtins:int is the class int, not an agent"),
        (
            build_policy,
            "os:system('exit 1')",
            "os:system must say what it returns: def system(...) -> Policy",
        ),
    ],
)
def test_mistakes_are_told_in_one_line(build, expression, message):
    assert message_of(CatalogueError, build, expression).startswith(message)


def test_values_out_of_range_are_told_by_the_classes():
    assert "discount must be a number in [0, 1], got 2" in message_of(
        ConfigurationError, build_agent, "q_learning(discount=2)"
    )
    assert "policy must be a policy" in message_of(ConfigurationError, build_agent, "q_learning(policy='greedy')")
    message_of(ValueError, build_schedule, "true")
    message_of(ValueError, build_agent, 3)


OWN_MODULE = '''
from __future__ import annotations
from dataclasses import dataclass
import gymnasium as gym
from velodrome.agents import QLearning
from velodrome.policies import EpsilonGreedy, Greedy, Policy, Schedule

@dataclass(frozen=True)
class Bold(Greedy):
    """Mine."""
    boldness: float | Schedule = 0.5
    levels: tuple = ()

    def __post_init__(self):
        if self.boldness == 7:
            raise ValueError("seven\\nis unlucky")

class Falling(Schedule):
    def __init__(self, height):
        self.height = height
    def __call__(self, index):
        return self.height

def careful(epsilon: float | Schedule, inner=None) -> Policy:
    return EpsilonGreedy(epsilon)

def learner(**settings) -> QLearning:
    return QLearning(**settings)

def wrong() -> Policy:
    return 3

def unsaid():
    return Greedy()

gym.register("own/Lake-v0", entry_point="gymnasium.envs.toy_text.frozen_lake:FrozenLakeEnv")
'''


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "own_catalogue.py").write_text(OWN_MODULE)
    (tmp_path / "own_broken.py").write_text("class X(list): ...\nraise RuntimeError('no\\nluck')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("own_catalogue", None)
    gym.registry.pop("own/Lake-v0", None)


@pytest.mark.usefixtures("own_module")
def test_users_own_classes_and_functions():
    policy = build_policy("own_catalogue:Bold(boldness=harmonic(2), levels=[1, [2]])")
    assert (policy.name, policy.boldness, policy.levels) == ("bold", Harmonic(2), (1, (2,)))
    assert build_schedule("own_catalogue:Falling(3)").height == 3
    agent = build_agent("own_catalogue:learner(discount=0.5, policy=own_catalogue:Bold)")
    assert (agent.discount, agent.policy.name) == (0.5, "bold")
    assert build_policy("own_catalogue:careful(linear(1, 0, 9), inner=q_learning)") == EpsilonGreedy(Linear(1, 0, 9))
    env = build_environment("own_catalogue:own/Lake-v0(is_slippery=False)").make()
    assert env.spec.kwargs["is_slippery"] is False


@pytest.mark.usefixtures("own_module")
@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("own_catalogue:Blod", "module 'own_catalogue' has no 'Blod': did you mean 'Bold'?"),
        ("own_catalogue:wrong", "own_catalogue:wrong must make a policy, got int"),
        ("own_catalogue:unsaid", "own_catalogue:unsaid must say what it returns: def unsaid(...) -> Policy"),
        ("own_catalogue:learner", "own_catalogue:learner must say what it returns: def learner(...) -> Policy"),
        ("own_catalogue:Falling(3)", "own_catalogue:Falling is a schedule, not a policy"),
        ("own_catalogue:careful", "own_catalogue:careful needs 'epsilon': own_catalogue:careful(epsilon, inner="),
        ("own_catalogue:Bold(bold=1)", "own_catalogue:Bold has no argument 'bold': did you mean 'boldness'?"),
        ("own_catalogue:learner(0.9)", "own_catalogue:learner must say what it returns"),
        ("own_catalogue:Bold(boldness=7)", "cannot build own_catalogue:Bold: seven is unlucky"),
        ("own_broken:X", "cannot import module 'own_broken' of 'own_broken:X': no luck"),
    ],
)
def test_mistakes_in_users_own_modules(expression, message):
    assert message_of(CatalogueError, build_policy, expression).startswith(message)


def test_nothing_heavy_is_imported():
    heavy = ["pandas", "matplotlib", "tensorflow", "numba", "scipy", "lark", "pygame"]
    script = (
        "import sys; from velodrome.experiments.specification import catalogue, descriptions; "
        f"assert not set({heavy}) & set(sys.modules), set({heavy}) & set(sys.modules); "
        "descriptions.describe('environments'); catalogue.build_agent('q_learning(policy=greedy)'); "
        f"assert not set({heavy}) - {{'lark'}} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
