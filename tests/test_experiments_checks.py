"""Checks before running: what is warned of, and that a sound experiment is not."""

import random
import threading
import time
import tomllib
from pathlib import Path
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

import velodrome as vd
from velodrome.agents import QLearning, RandomAgent
from velodrome.envs import ModelEnvironment, TransitionModel
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.specification import environment_probe, plan_checks
from velodrome.experiments.specification.entries import read_agent, read_environment
from velodrome.experiments.specification.experiment import Experiment
from velodrome.experiments.specification.plan import Plan, PlannedAgent, PlannedEnvironment
from velodrome.experiments.specification.plan_checks import check_plan
from velodrome.experiments.trials.environment_profile import EnvironmentProfile

ROOT = Path(__file__).parents[1]
GB = 10**9


def plan_of(
    agents=("q_learning",),
    environments=("FrozenLake-v1",),
    *,
    seeds=5,
    episodes=100,
    steps=None,
    success=None,
    budgets=None,
):
    """A plan of expressions, objects or factories by label or in a list; `budgets` are some agents' own."""
    named_agents, named_environments = {}, {}
    for label, given in by_label(agents).items():
        expression, agent = read_agent(given)
        own = (budgets or {}).get(label, {})
        named_agents[label] = PlannedAgent(label, agent, expression, own.get("episodes"), own.get("steps"))
    for label, given in by_label(environments).items():
        named = read_environment(given)
        profile = EnvironmentProfile.of(label, named.make, success)
        named_environments[label] = PlannedEnvironment(
            label, named.label, named.make, profile, success, is_expression=named.is_expression
        )
    return Plan("checks", "", named_agents, named_environments, list(range(seeds)), episodes, steps, success=success)


@pytest.fixture(autouse=True)
def _a_busy_machine_may_take_longer(monkeypatch):
    monkeypatch.setattr(environment_probe, "PROBE_SECONDS", 5.0)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(environment_probe, "PROBE_SECONDS", 0.2)


def by_label(given):
    if isinstance(given, dict):
        return given
    return {item if isinstance(item, str) else getattr(item, "__name__", str(item)): item for item in given}


def warnings_of(*arguments, available_memory=1000 * GB, workers=1, **settings):
    found = check_plan(plan_of(*arguments, **settings), available_memory=available_memory, workers=workers)
    assert all(len(warning.splitlines()) == 1 for warning in found)
    return found


def only_warning(*arguments, **settings):
    (warning,) = warnings_of(*arguments, **settings)
    return warning


class Walk(gym.Env):
    """A walk on five places, whose noise subclasses draw in their own way; it ends when the walker leaves."""

    observation_space = spaces.Discrete(1000)
    action_space = spaces.Discrete(2)
    ends = True

    def noise(self):
        return int(self.np_random.integers(1000))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = 2
        return self.noise(), {}

    def step(self, action):
        self.place += 2 * int(action) - 1
        return self.noise(), 0.0, self.ends and not 0 <= self.place < 5, False, {}


class Endless(Walk):
    ends = False


class OwnGenerator(Walk):
    def __init__(self):
        self.generator = np.random.default_rng(0)

    def noise(self):
        return int(self.generator.integers(1000))


class AlwaysSeedZero(Walk):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=0)


class SeedZeroWrapper(gym.Wrapper):
    def reset(self, *, seed=None, options=None):
        return self.env.reset(seed=0)


class FreshEntropy(Walk):
    def noise(self):
        return int(np.random.default_rng().integers(1000))


class Deterministic(Walk):
    def noise(self):
        return self.place + 10


class RareNoise(Walk):
    def noise(self):
        return int(self.np_random.random() < 0.01)


class ComparesBadly(Walk):
    """Observes NaN and text in a dict, the same array every time: equal runs must count as equal."""

    observation_space = spaces.Dict({"a": spaces.Box(-np.inf, np.inf, (2,)), "b": spaces.Text(3)})

    def noise(self):
        self.array = getattr(self, "array", np.zeros(2))
        self.array[:] = np.nan, self.np_random.random()
        return {"a": self.array, "b": "abc"}


class RaisesOnReset(Endless):
    def reset(self, *, seed=None, options=None):
        raise RuntimeError("no luck")


class Rendered(AlwaysSeedZero):
    metadata = {"render_modes": ["human"], "render_fps": 4}  # noqa: RUF012 - Gymnasium's own form
    render_mode = "human"


class Corridor(ModelEnvironment):
    """Go right to the goal, for `reward`; with `trap` a first step left leads to a place without a way out."""

    def __init__(self, reward=1.0, step_reward=0.0, trap=False, closed=False, render_mode=None):
        back = 4 if trap else 0
        outcomes = [
            [[(1.0, back, step_reward, False)], [(1.0, 1, step_reward, False)]],
            [[(1.0, 0, step_reward, False)], [(1.0, 2, step_reward, False)]],
            [[(1.0, 1, step_reward, False)], [(1.0, 2, 0.0, False) if closed else (1.0, 3, reward, True)]],
            [[(1.0, 3, 0.0, True)], [(1.0, 3, 0.0, True)]],
            [[(1.0, 4, step_reward, False)], [(1.0, 4, step_reward, False)]],
        ]
        super().__init__(TransitionModel.from_outcomes(outcomes, 0), render_mode=render_mode)


@pytest.mark.parametrize("file", ["experiments/frozenlake.toml", "examples/experiment.toml"])
def test_the_experiments_that_we_ship_are_sound(file):
    content = tomllib.loads((ROOT / file).read_text(encoding="utf-8"))
    plan = plan_of(content["agents"], content["environments"], seeds=content["seeds"], episodes=content["episodes"])
    assert check_plan(plan) == []


@pytest.mark.parametrize(
    "environment",
    [
        "FrozenLake-v1",
        "CliffWalking-v1",
        "CliffWalkingSlippery-v1",
        "Taxi-v4",
        "Taxi-v4(fickle_passenger=True)",
        "Blackjack-v1",
        "discretize(CartPole-v1, bins=4)",
        "discretize(MountainCar-v0, bins=4)",
        "discretize(Acrobot-v1, bins=2)",
        "velodrome/BernoulliBandit-v0",
        "velodrome/Chain-v0",
        "velodrome/DeepSea-v0",
        "velodrome/Garnet-v0",
        "velodrome/GridWorld-v0",
        "velodrome/RiverSwim-v0",
    ],
)
def test_usual_environments_give_no_warning(environment):
    assert warnings_of(["q_learning", "random"], [environment]) == []


def test_the_checks_of_an_ordinary_plan_make_few_environments_and_take_few_steps():
    made, steps = [], []

    class Counted(gym.Wrapper):
        def __init__(self):
            super().__init__(vd.envs.Discretize(gym.make("CartPole-v1"), bins=4))
            made.append(self)

        def step(self, action):
            steps.append(action)
            return super().step(action)

    plan = plan_of(["q_learning", "sarsa", "random"], ["FrozenLake-v1", "Taxi-v4", Counted])
    made.clear(), steps.clear()
    check_plan(plan)
    assert 1 <= len(made) <= 5
    assert 1 <= len(steps) <= 300


# Budgets


def test_unequal_budgets_are_told_with_who_has_which():
    warning = only_warning(["q_learning", "sarsa", "random"], budgets={"sarsa": {"episodes": 500}})
    assert warning == (
        "unequal budgets on 'FrozenLake-v1': 100 episodes for 'q_learning', 'random'; 500 episodes for 'sarsa'; "
        "give every agent the same episodes, steps or epochs"
    )


def test_who_learns_nothing_needs_no_equal_budget():
    agents = {"learner": "q_learning", "left": "constant(0)", "rule": "rule('velodrome.envs.applications:thermostat')"}
    assert warnings_of(agents, budgets={"left": {"episodes": 20}, "rule": {"episodes": 20}}) == []


def test_the_same_unequal_budgets_on_many_environments_are_one_warning():
    warning = only_warning(
        ["q_learning", "sarsa"], ["FrozenLake-v1", "CliffWalking-v1"], budgets={"sarsa": {"steps": 100}}
    )
    assert "on 'FrozenLake-v1', 'CliffWalking-v1': 100 episodes for 'q_learning'; 100 steps for 'sarsa'" in warning


def test_many_agents_are_told_by_the_first_few():
    agents = {f"agent {number}": f"q_learning(discount={number / 10})" for number in range(8)}
    warning = only_warning(agents, budgets={"agent 7": {"steps": 3}})
    assert "100 episodes for 'agent 0', 'agent 1', 'agent 2' and 4 more; 3 steps for 'agent 7'" in warning


def test_environments_may_have_their_own_budgets_and_planning_needs_none():
    plan = plan_of(["q_learning", "value_iteration"], budgets={"value_iteration": {"steps": 1}})
    assert plan_checks.check_budgets(plan) == []
    two = plan_of(["q_learning", "sarsa"], ["FrozenLake-v1", "CliffWalking-v1"])
    longer = two.environments["CliffWalking-v1"]
    object.__setattr__(longer, "episodes", 500)
    assert plan_checks.check_budgets(two) == []


# Seeds


@pytest.mark.parametrize(("seeds", "told"), [(1, "1 seed is too few"), (4, "4 seeds are too few")])
def test_fewer_than_five_seeds_are_too_few(seeds, told):
    assert only_warning(seeds=seeds).startswith(told)


def test_five_seeds_are_enough():
    assert warnings_of(seeds=5) == []


# Repetitions


def test_the_same_agent_under_two_labels_is_told_once():
    environments = ["FrozenLake-v1", "CliffWalking-v1"]
    agents = {"one": "q_learning", "two": "q_learning(discount=0.99)", "other": "sarsa"}
    assert only_warning(agents, environments) == (
        "agents 'one', 'two' are the same, and so will be their results: leave one"
    )


def test_the_same_environment_under_two_labels_is_told():
    warning = only_warning(environments={"a": "FrozenLake-v1", "b": "FrozenLake-v1()", "c": "CliffWalking-v1"})
    assert warning == "environments 'a', 'b' are the same, and so will be their results: leave one"


def test_the_same_agent_with_another_budget_is_another():
    found = warnings_of({"short": "q_learning", "long": "q_learning"}, budgets={"long": {"episodes": 200}})
    assert [warning.split(" on ")[0] for warning in found] == ["unequal budgets"]


# The environment's seed


def seed_zero_cards():
    return SeedZeroWrapper(gym.make("Blackjack-v1"))


@pytest.mark.parametrize("environment", [OwnGenerator, AlwaysSeedZero, seed_zero_cards])
def test_an_environment_that_ignores_its_seed_is_told(environment):
    warning = only_warning(environments=[environment])
    assert warning.startswith(f"environment {environment.__name__!r} ignores reset(seed=…), so every run meets the")
    assert "super().reset(seed=seed)" in warning


def test_an_environment_that_is_not_reproducible_is_told():
    warning = only_warning(environments=[FreshEntropy])
    assert warning.startswith("environment 'FreshEntropy' is not reproducible, two runs with the same seed differ")


@pytest.mark.parametrize("environment", [Walk, Deterministic, RareNoise, Rendered])
def test_an_environment_that_hears_its_seed_or_needs_none_or_renders_is_not(environment):
    assert warnings_of(environments=[environment]) == []


def test_observations_of_any_kind_are_compared():
    assert warnings_of(agents=["random"], environments=[ComparesBadly]) == []


def test_an_environment_that_raises_is_left_to_its_trials():
    assert warnings_of(environments=[RaisesOnReset]) == []


def test_an_environment_that_warns_does_not_warn_twice():
    class Warns(Walk):
        def step(self, action):
            gym.logger.warn("old")
            return super().step(action)

    assert warnings_of(environments=[Warns]) == []


@pytest.mark.parametrize("where", ["reset", "step"])
@pytest.mark.usefixtures("impatient")
def test_an_environment_that_hangs_does_not_hang_the_checks(where):
    go_on = threading.Event()

    class Hangs(Endless):
        def reset(self, *, seed=None, options=None):
            if where == "reset":
                go_on.wait(600)
            return super().reset(seed=seed)

        def step(self, action):
            go_on.wait(600)
            return super().step(action)

    plan = plan_of(environments=[Hangs])
    started = time.monotonic()
    try:
        assert check_plan(plan) == []
        assert time.monotonic() - started < 300
    finally:
        go_on.set()


@pytest.mark.usefixtures("impatient")
def test_a_slow_environment_is_not_stepped_for_long():
    steps = []

    class Slow(AlwaysSeedZero):
        def step(self, action):
            steps.append(time.sleep(0.03))
            return super().step(action)

    warnings_of(environments=[Slow])
    time.sleep(0.2)
    assert len(steps) <= 2 * environment_probe.PROBE_SECONDS / 0.03


def test_a_slow_environment_is_compared_over_fewer_steps(monkeypatch):
    seconds = [0.0]
    monkeypatch.setattr(environment_probe, "PROBE_SECONDS", 60.0)
    monkeypatch.setattr(environment_probe, "time", SimpleNamespace(monotonic=lambda: seconds[0]))

    class Slow(AlwaysSeedZero):
        def step(self, action):
            seconds[0] += 0.6
            return super().step(action)

    assert "ignores reset(seed=…)" in only_warning(environments=[Slow])


def test_the_checks_close_what_they_make():
    opened = []

    class Counted(OwnGenerator):
        def __init__(self):
            super().__init__()
            opened.append(1)

        def close(self):
            opened.append(-1)

    assert len(warnings_of(environments=[Counted])) == 1
    assert sum(opened) == 0


def test_neither_the_callers_environment_nor_global_generators_are_touched():
    own = AlwaysSeedZero()
    own.reset = own.step = own.close = None
    profile = EnvironmentProfile.of("own", lambda: own, keeps_open=own)
    place = PlannedEnvironment("own", "own", lambda: own, profile, is_expression=False)
    agent = PlannedAgent("random", read_agent("random")[1], "random()")
    plan = Plan("checks", "", {"random": agent}, {"own": place}, list(range(5)), 100, None)
    before = random.getstate(), repr(np.random.get_state())  # noqa: NPY002 - the state that must not change
    assert check_plan(plan) == []
    assert warnings_of(environments=["discretize(CartPole-v1, bins=3)", AlwaysSeedZero]) != []
    assert (random.getstate(), repr(np.random.get_state())) == before  # noqa: NPY002


# Time limits


def test_a_model_without_an_end_or_a_time_limit_is_told():
    environment = "velodrome/RiverSwim-v0(max_episode_steps=-1)"
    assert only_warning(environments=[environment]) == (
        f"environment {environment!r} has no time limit and a trial of 100 episodes will never end: "
        "no episode ever ends; give it max_episode_steps=… in its expression"
    )
    in_steps = only_warning(environments=[environment], episodes=None, steps=1000)
    assert in_steps.startswith(f"environment {environment!r} has no time limit: no episode ever ends; give it")


def test_a_model_with_a_trap_needs_a_time_limit():
    warning = only_warning(environments={"corridor": lambda: Corridor(trap=True)})
    assert "a trial of 100 episodes may never end: no episode ends that has come to state 4; wrap it in" in warning
    assert "gymnasium.wrappers.TimeLimit" in warning
    assert warnings_of(environments={"corridor": lambda: gym.wrappers.TimeLimit(Corridor(trap=True), 50)}) == []


def test_a_place_without_way_out_that_nobody_comes_to_is_none():
    assert warnings_of(environments={"corridor": Corridor}) == []


@pytest.mark.parametrize("environment", ["discretize(CartPole-v1(max_episode_steps=-1), bins=3)", CartPoleEnv])
def test_an_environment_that_lost_its_time_limit_is_told(environment):
    found = warnings_of(environments={"pole": environment})
    (warning,) = [warning for warning in found if "time limit" in warning]
    assert "may never end: CartPoleEnv is registered with one of 500 steps" in warning
    assert "max_episode_steps=500" in warning


def test_an_environment_without_model_and_end_is_told():
    warning = only_warning(environments=[Endless])
    assert "has no time limit and a trial of 100 episodes may never end: random actions end no episode" in warning
    assert warnings_of(environments={"limited": lambda: gym.wrappers.TimeLimit(Endless(), 50)}) == []


# Tables


def test_a_table_larger_than_memory_is_told_before_it_is_made():
    environment = "discretize(CartPole-v1, bins=200)"
    warning = only_warning(environments=[environment], available_memory=16 * GB)
    assert warning == (
        f"agent 'q_learning' on environment {environment!r} needs 51.2 GB for its tables of 1,600,000,000 states and "
        "2 actions, but 16 GB of memory are free: use fewer states, such as fewer bins in discretize(…)"
    )


def test_the_least_thrifty_agent_is_named():
    agents = ["q_learning", "dyna_q", "random"]
    warning = only_warning(agents, ["discretize(CartPole-v1, bins=200)"], available_memory=16 * GB)
    assert warning.startswith("agent 'dyna_q' (and 2 more) on environment")


def test_every_worker_needs_its_own_tables():
    environment = "discretize(CartPole-v1, bins=100)"  # 3.2 GB a worker
    settings = {"environments": [environment], "available_memory": 10 * GB}
    assert warnings_of(**settings, workers=3) == []
    warning = only_warning(**settings, workers=4)
    assert "needs 3.2 GB for each of 4 workers" in warning
    assert warning.endswith("10 GB of memory are free: use at most 3 workers")
    # Five seeds are never more than five trials of an agent at once.
    assert "for each of 5 workers" in only_warning(**settings, workers=64)
    assert warnings_of(**settings, workers=0) == []


def test_a_model_tells_its_size_too():
    assert warnings_of(["q_learning"], ["Taxi-v4"], available_memory=48_000) == []
    assert "of 500 states and 6 actions" in only_warning(["q_learning"], ["Taxi-v4"], available_memory=47_999)


@pytest.mark.parametrize("agent", ["q_learning", "double_q_learning", "dyna_q", "q_lambda", "n_step_q(n=7)", "random"])
def test_the_size_of_a_table_is_exact(agent):
    learner = read_agent(agent)[1]
    size = sum(array.nbytes for array in learner.new_memory(500, 6))
    assert warnings_of([agent], ["Taxi-v4"], available_memory=size) == []
    assert "kB for its tables" in only_warning([agent], ["Taxi-v4"], available_memory=size - 1)


def test_the_machines_own_memory_is_the_default():
    assert check_plan(plan_of()) == []
    (warning,) = check_plan(plan_of(environments=["discretize(CartPole-v1, bins=215)"]), workers=10_000)
    assert "of memory are free" in warning


def experiment(agents, environments):
    return Experiment(name="pairs", agents=agents, environments=environments, episodes=5)


def refusal(agents, environments):
    with pytest.raises(ExperimentError) as caught:
        experiment(agents, environments)
    return str(caught.value)


def test_an_agent_that_cannot_learn_in_an_environment_is_refused():
    line = refusal(["q_learning", "random"], ["CartPole-v1"])
    assert line.startswith("agents.q_learning on 'CartPole-v1': q_learning needs a ")
    assert line.endswith("discretize(CartPole-v1, bins=10) or discretized(q_learning, bins=10)")
    assert refusal(["q_learning", "random"], ["Pendulum-v1"]).startswith(
        "agents.q_learning on 'Pendulum-v1': q_learning needs a Discrete action space"
    )
    experiment(["random", "binned_actions(discretized(q_learning, bins=3))"], ["Pendulum-v1"])
    masked = "q_learning(action_mask=True)"
    assert "the info of FrozenLake-v1 has no 'action_mask'" in refusal([masked], ["FrozenLake-v1"])
    experiment([masked, "value_iteration"], ["Taxi-v4"])


def test_every_pair_that_cannot_be_is_told_with_where_the_agent_can_learn():
    places = ["FrozenLake-v1", "Blackjack-v1", "velodrome/Text-v0"]
    lines = refusal(["q_learning", "value_iteration", "char_rnn"], places).splitlines()
    assert len(lines) == 4
    assert lines[0] == (
        "agents.char_rnn on 'FrozenLake-v1': char_rnn learns from labelled examples: FrozenLake-v1 has none; "
        "to leave the pair out, give it environments = ['velodrome/Text-v0']"
    )
    assert [line.partition(":")[0] for line in lines[1:]] == [
        "agents.value_iteration on 'Blackjack-v1'",
        "agents.char_rnn on 'Blackjack-v1'",
        "agents.value_iteration on 'velodrome/Text-v0'",
    ]
    assert lines[3].endswith("environments = ['FrozenLake-v1']")


def test_what_raises_while_it_is_asked_is_left_to_its_trials():
    class Broken(RandomAgent):
        def check_environment(self, env):
            raise RuntimeError("no idea")

    experiment({"own": Broken()}, ["CartPole-v1"])


def test_an_agent_of_ones_own_that_raises_is_left_to_its_trials():
    class Broken(QLearning):
        def new_memory(self, num_states, num_actions):
            raise RuntimeError("no memory")

    assert warnings_of({"broken": Broken(), "random": "random"}) == []


def test_what_is_said_to_fail_fails():
    for agent, environment in [("q_learning", "CartPole-v1"), ("value_iteration", "Blackjack-v1")]:
        with pytest.raises(ValueError, match=r"needs a|plans on"):
            vd.run(agent, environment, episodes=1, seed=0)


# Success rules


@pytest.mark.parametrize(
    ("environment", "success", "told"),
    [
        ("FrozenLake-v1", "return > 1", "the largest possible return is 1; lower the threshold"),
        ("FrozenLake-v1(max_episode_steps=5)", None, "is 0; raise max_episode_steps or lower the threshold"),
        ("CliffWalking-v1", "return > -13", "the largest possible return is -13; lower the threshold"),
        (
            "CliffWalking-v1(max_episode_steps=12)",
            None,
            "no terminating outcome is within 12 steps of the start; raise",
        ),
        ("velodrome/RiverSwim-v0", "terminated", "no terminating outcome can be reached from the start; give another"),
        ("velodrome/RiverSwim-v0", "return >= 15.1", "the largest possible return is 15; lower the threshold"),
        ("velodrome/DeepSea-v0", "return >= 1", "the largest possible return is 0.99; lower the threshold"),
        ("FrozenLake-v1", "is_success", "the environment reports no is_success; give another rule"),
        ("velodrome/GridWorld-v0(max_episode_steps=3)", None, "no successful outcome is within 3 steps of the start"),
        ("discretize(CartPole-v1(max_episode_steps=200), bins=3)", None, "is 200; raise max_episode_steps or lower"),
        ("discretize(MountainCar-v0, bins=3)", "return > -1", "the largest possible return is -1; lower the threshold"),
    ],
)
def test_a_success_rule_that_can_never_be_met_is_told(environment, success, told):
    warning = only_warning(environments=[environment], success=success)
    assert warning.startswith("success rule ")
    assert f"on environment {environment!r} can never be met: " in warning
    assert told in warning


@pytest.mark.parametrize(
    ("environment", "success"),
    [
        ("FrozenLake-v1", "return >= 1"),
        ("FrozenLake-v1(max_episode_steps=6)", None),
        ("CliffWalking-v1", "return >= -13"),
        ("CliffWalking-v1(max_episode_steps=13)", None),
        ("velodrome/RiverSwim-v0", "return >= 15"),
        ("velodrome/RiverSwim-v0", "none"),
        ("velodrome/DeepSea-v0", "return >= 0.99"),
        ("velodrome/GridWorld-v0", "is_success"),
        ("Taxi-v4", "return >= 15"),
        ("Taxi-v4(max_episode_steps=1)", "none"),
        ("Taxi-v4(fickle_passenger=True)", "is_success"),
        ("discretize(CartPole-v1(max_episode_steps=475), bins=3)", None),
        ("discretize(Acrobot-v1, bins=2)", "return >= 0"),
    ],
)
def test_a_success_rule_that_can_be_met_is_not(environment, success):
    assert warnings_of(environments=[environment], success=success) == []


def test_a_reward_that_a_wrapper_changes_is_not_taken_for_known():
    def scaled():
        pole = gym.make("CartPole-v1", max_episode_steps=100)
        return gym.wrappers.TransformReward(pole, lambda reward: 10 * reward)

    assert [w for w in warnings_of(["random"], {"pole": scaled}) if "success rule" in w] == []


def test_pendulum_never_terminates():
    found = warnings_of(["random"], ["Pendulum-v1"], success="terminated")
    assert any("can never be met: PendulumEnv never terminates" in warning for warning in found)


def test_a_goal_that_is_walled_off_is_told():
    closed = {"corridor": lambda: gym.wrappers.TimeLimit(Corridor(closed=True), 50)}
    told = "no successful outcome can be reached from the start"
    assert "no terminating outcome can be reached" in only_warning(environments=closed, success="terminated")
    assert "the largest possible return is 0; lower" in only_warning(environments=closed, success="return > 0")
    rooms = "velodrome/GridWorld-v0(map_text='S#G')"
    assert told in only_warning(environments=[rooms])


@pytest.mark.parametrize(
    ("environment", "success"),
    [("FrozenLake-v1", "return >= 0"), ("velodrome/RiverSwim-v0", "return >= 0"), ("Taxi-v4", "return >= -2000")],
)
def test_a_rule_of_the_experiment_that_every_episode_meets_is_told(environment, success):
    assert "is met by every episode" in only_warning(environments=[environment], success=success)


def test_the_largest_return_counts_luck_and_pays_for_steps():
    priced = {"corridor": lambda: Corridor(step_reward=-0.1)}
    assert warnings_of(environments=priced, success="return >= 0.8") == []
    assert "the largest possible return is 0.8" in only_warning(environments=priced, success="return >= 0.81")
    # A reward that can be collected for ever sets no largest return.
    endless = {"corridor": lambda: Corridor(step_reward=0.1)}
    assert warnings_of(environments=endless, success="return >= 1e6") == []


# Rules that say nothing, whoever gave them


class Pays(gym.Env):
    """Two steps without a model, with a reward in each."""

    observation_space, action_space = gym.spaces.Discrete(2), gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return 0, {}

    def step(self, action):
        self.steps += 1
        ends = self.steps == 2
        return int(ends), 1.0 + self.np_random.random(), ends, False, {"is_success": True} if ends else {}


def test_a_rule_that_every_random_episode_meets_is_told_without_a_model_too():
    warning = only_warning(environments={"pays": Pays}, success="is_success")
    assert "on environment 'pays' is met by all of 30 episodes of random actions, which tells no agent" in warning
    assert "is met by all of 30 episodes" in only_warning(environments={"pays": Pays}, success="return > 1")
    assert warnings_of(environments={"pays": Pays}, success="return > 3") == []


def test_a_rule_that_every_episode_meets_is_told_with_a_model():
    environment = "FrozenLake-v1(is_slippery=False, reward_schedule=(1, 0, 0.01))"
    assert warnings_of(environments=[environment]) == []
    assert "is met by every episode, which tells no agent" in only_warning(
        environments=[environment], success="return >= 0"
    )


def test_a_rule_that_cart_pole_can_no_longer_meet_is_told():
    environment = "discretize(CartPole-v1(sutton_barto_reward=True), bins=2)"
    assert (
        "has no success rate: 'return >= 475' is the rule of CartPole-v1, but its rewards are others"
        in only_warning(environments=[environment])
    )
    told = only_warning(environments=[environment], success="return >= 475")
    assert "can never be met: the largest possible return is 0" in told
