# ruff: noqa: NPY002 (what all of a process shares is what is looked at)
"""Classes with `learn` and `predict` as agents, without any library installed, and the contract test for agents."""

import json
import random
import sys

import gymnasium as gym
import library_of_ones_own
import numpy as np
import pytest
from library_of_ones_own import Table

import velodrome as vd
from velodrome.agents import Agent, StableBaselines3
from velodrome.checks import ConfigurationError
from velodrome.experiments.specification.catalogue import CatalogueError, build_agent
from velodrome.experiments.storage.trial_key import TrialKeys
from velodrome.experiments.trials.trial import Budget
from velodrome.testing import check_agent

TABLE = "sb3('library_of_ones_own:Table')"
LAKE = "FrozenLake-v1(is_slippery=False)"


def key(agent):
    agent = build_agent(agent) if isinstance(agent, str) else agent
    return TrialKeys(agent, LAKE, (), None, Budget(None, 50), None).of(0)


def test_a_class_of_ones_own_keeps_the_contract():
    check_agent(TABLE)


def test_it_learns_and_is_evaluated_exactly():
    trial = vd.run("sb3('library_of_ones_own:Table', step_size=0.4)", LAKE, steps=3000, seed=1)
    assert (trial.evaluation.method, trial.evaluation.success_rate, trial.log.steps) == ("exact", 1.0, 3000)
    assert trial.log.notes == ()


def test_budgets_schedules_and_streams():
    agent = build_agent("sb3('library_of_ones_own:Table', total_steps=400)")
    log = agent.train("FrozenLake-v1", steps=100, seed=0)
    # The library's schedule falls over its own total, and the budget is kept.
    assert (log.steps, agent.learner.model.remaining[-1]) == (100, pytest.approx(1 - 100 / 400))
    assert build_agent(TABLE).train("FrozenLake-v1", episodes=7, seed=0).episodes == 7
    random.seed(3)
    np.random.seed(3)
    before = random.getstate(), np.random.get_state()[1].tobytes()
    first = build_agent(TABLE).train("FrozenLake-v1", steps=200, seed=4)
    assert (random.getstate(), np.random.get_state()[1].tobytes()) == before
    np.random.seed(9)
    assert build_agent(TABLE).train("FrozenLake-v1", steps=200, seed=4).lengths.tobytes() == first.lengths.tobytes()


def test_a_budget_of_episodes_needs_a_time_limit_or_a_total():
    class Endless(gym.Env):
        observation_space, action_space = gym.spaces.Discrete(2), gym.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return 0, {}

        def step(self, action):
            return 0, 0.0, bool(self.np_random.random() < 0.1), False, {}

    with pytest.raises(vd.VelodromeError, match=r"^sb3 learns for steps: Endless has no time limit"):
        build_agent(TABLE).train(Endless(), episodes=3, seed=0)
    agent = build_agent("sb3('library_of_ones_own:Table', total_steps=5000)")
    assert agent.train(Endless(), episodes=3, seed=0).episodes == 3


@pytest.mark.parametrize(
    "text",
    [
        "sb3('library_of_ones_own:Table', options=dict(sizes=[64, 64], part=dict(rate=0.5)))",
        "sb3('library_of_ones_own:Table', total_steps=90, schedule='library_of_ones_own:half')",
        "sb3('PPO', 'MlpPolicy', 1000, learning_rate=0.001, policy_kwargs=dict(net_arch=[64, 64]))",
    ],
)
def test_it_prints_as_an_expression_that_builds_it_again(text):
    agent = build_agent(text)
    assert str(build_agent(str(agent))) == str(agent)
    assert key(str(agent)) == key(agent)


def test_parameters_arrive_as_they_were_meant(tmp_path):
    text = "sb3('library_of_ones_own:Table', options=dict(sizes=[64, 64]), schedule='library_of_ones_own:half')"
    agent = vd.run(text, LAKE, steps=50, seed=0).trained
    assert agent.learner.model.options == {"sizes": [64, 64]}
    assert agent.learner.model.schedule is library_of_ones_own.half
    agent.save(tmp_path)
    loaded = Agent.load(tmp_path)
    assert [loaded.act(state) for state in range(16)] == [agent.act(state) for state in range(16)]
    assert str(loaded) == str(agent)


def test_a_class_and_a_function_may_be_given_as_such():
    agent = StableBaselines3(Table, schedule=lambda remaining: 0.0)
    assert "library_of_ones_own:Table" in str(agent)
    assert agent.train("FrozenLake-v1", steps=30, seed=0).steps == 30
    assert agent.learner.model.schedule(1.0) == 0.0


def test_the_code_of_a_class_and_the_versions_of_packages_are_in_the_key(monkeypatch):
    import importlib.metadata

    agent = StableBaselines3("PPO")
    assert agent.packages == ("stable-baselines3", "torch")
    assert build_agent("sb3('sb3_contrib:QRDQN')").packages == ("sb3-contrib", "stable-baselines3", "torch")
    assert build_agent(TABLE).packages == ()
    assert build_agent("mlp").packages == ("keras", "tensorflow")
    inside = build_agent("discretized(agent=q_learning, bins=3)")
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.0")
    before = key(agent), key("q_learning"), key(inside), key("mlp"), key(TABLE)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.1")
    after = key(agent), key("q_learning"), key(inside), key("mlp"), key(TABLE)
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, True, True, False, True]
    monkeypatch.setattr(Table, "predict", lambda self, observation: 1)
    assert key(TABLE) != after[4]


def test_keys_of_tabular_agents_hold_no_packages():
    text = TrialKeys(build_agent("q_learning"), LAKE, (), None, Budget(None, 50), None).specification(0)
    assert "packages" not in text


def test_the_version_of_the_package_that_an_environment_is_of_is_in_the_key(monkeypatch):
    import importlib.metadata

    class Foreign(gym.Env):
        """As from a package that is installed."""

    def specification(*classes):
        return json.loads(
            TrialKeys(build_agent("q_learning"), LAKE, classes, None, Budget(None, 50), None).specification(0)
        )

    own = specification(Foreign)
    assert "packages" not in own
    Foreign.__module__ = "pytest"
    assert specification(Foreign)["packages"] == {"pytest": importlib.metadata.version("pytest")}
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.1")
    assert specification(Foreign, gym.wrappers.TimeLimit)["packages"] == {"pytest": "1.1"}


def test_an_upgrade_runs_its_trials_again(tmp_path, monkeypatch):
    import importlib.metadata

    monkeypatch.setattr(StableBaselines3, "packages", ("numpy",))
    agents = {"table": TABLE, "q": "q_learning"}

    vd.compare(agents, LAKE, seeds=5, steps=50, out=tmp_path, workers=0)
    real = importlib.metadata.version
    verified = vd.verify(tmp_path, workers=0)
    assert (verified.reproduced, verified.not_verified) == (10, ())
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "99" if name == "numpy" else real(name))
    verified = vd.verify(tmp_path, workers=0)
    assert (verified.reproduced, len(verified.not_verified)) == (5, 5)
    assert "it was run with other versions: numpy" in verified.not_verified[0].remarks[0]
    again = vd.compare(agents, LAKE, seeds=5, steps=50, out=tmp_path, workers=0)
    assert not again.failures
    assert vd.verify(tmp_path, workers=0).reproduced == 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sb3('library_of_ones_own:NoLearner')", "sb3: algorithm 'library_of_ones_own:NoLearner' is a class without"),
        ("sb3('library_of_ones_own:Tabel')", "sb3: module 'library_of_ones_own' has no 'Tabel': did you mean 'Table'?"),
        ("sb3('no_such_library:Table')", "sb3: cannot import module 'no_such_library'"),
        ("sb3('library_of_ones_own:Table', step=0.5)", "sb3: Table has no argument 'step': did you mean 'step_size'?"),
    ],
)  # fmt: skip
def test_what_is_no_algorithm_fails_alone_in_one_line(text, message):
    results = vd.compare({"wrong": text, "q": "q_learning"}, LAKE, seeds=5, steps=20, workers=0)
    errors = {failure.error for failure in results.failures if failure.agent == "wrong"}
    assert len(errors) == 1
    assert errors.pop().startswith(message)
    assert {failure.agent for failure in results.failures} == {"wrong"}


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("sb3(total_steps=0)", ConfigurationError, "sb3: total_steps must be"),
        ("sb3(seed=3)", ConfigurationError, "sb3: seed is not given here: the trial has its own"),
        ("sb3(learning_rate=linear(1, 0, 5))", ConfigurationError, "sb3: learning_rate must be a number, text"),
        ("sb3(policy_kwargs=dict([64]))", CatalogueError, "sb3: policy_kwargs: write dict(key=value)"),
        ("sb3(policy_kwargs=dict(name=3))", ConfigurationError, "the keys of a dict must be names"),
        ("q_learning(discounts=0.9)", CatalogueError, "q_learning has no argument 'discounts'"),
    ],
)
def test_what_cannot_be_written_down_is_refused_where_it_stands(text, error, message):
    with pytest.raises(error) as caught:
        build_agent(text)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_package_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr("velodrome.agents.adapters.stable_baselines3.find_spec", lambda name: None)
    for name in [name for name in sys.modules if name.partition(".")[0] in ("stable_baselines3", "sb3_contrib")]:
        monkeypatch.delitem(sys.modules, name)
    results = vd.compare({"ppo": "sb3('PPO')", "q": "q_learning"}, LAKE, seeds=5, steps=20, workers=0)
    assert {failure.error for failure in results.failures} == {
        "sb3: 'PPO' needs stable-baselines3, which is not installed: pip install 'velodrome[sb3]'"
    }


def test_an_agent_without_checkpoints_says_so():
    agent = build_agent(TABLE)
    agent.train("FrozenLake-v1", steps=30, seed=0)
    with pytest.raises(vd.VelodromeError, match=r"^sb3 cannot go on in an environment made anew: no checkpoints$"):
        agent.resume(gym.make("FrozenLake-v1"))


# The contract test itself


class Draws(vd.Agent):
    def act(self, observation, explore=False):
        return np.random.randint(4)


class Constant(vd.Agent):
    def act(self, observation, explore=False):
        return 2


class ChangesItself(vd.Agent):
    def begin(self, observation_space, action_space, rng):
        self.asked, self.rng = 0, rng

    def act(self, observation, explore=False):
        self.asked += 1
        return self.rng.integers(4) if explore else 2


class HoldsAFunction(vd.Agent):
    def begin(self, observation_space, action_space, rng):
        self.rng, self.network = rng, lambda: 0

    def act(self, observation, explore=False):
        return self.rng.integers(4) if explore else 2


@pytest.mark.parametrize(
    ("agent", "message"),
    [
        (Draws(), "train changes a random stream that all of the process shares"),
        (Constant(), "chooses alike with another seed; give explores=False if it does not explore"),
        (ChangesItself(), "act changes what was learnt"),
        (HoldsAFunction(), r"cannot be saved: self\.network is a builtins\.function; give saves=False"),
        ("sb3('library_of_ones_own:Forgets')", "act gives"),
    ],
    ids=["draws", "constant", "changes itself", "holds a function", "forgets"],
)
def test_what_breaks_the_contract_is_named_in_one_line(agent, message):
    with pytest.raises(AssertionError, match=message) as caught:
        check_agent(agent, elsewhere=False)
    assert "\n" not in str(caught.value).strip()


@pytest.mark.parametrize("agent", ["q_learning", "value_iteration", "random"])
def test_our_own_agents_keep_the_contract(agent):
    check_agent(agent, elsewhere=False)


def test_what_does_not_explore_or_save_may_say_so():
    check_agent(Constant(), explores=False, elsewhere=False)
    check_agent(HoldsAFunction(), saves=False, elsewhere=False)
