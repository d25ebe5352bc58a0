"""Agents to be beaten: a constant action, the best one, a user's rule; and how a table is ranked against one."""

import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

import velodrome as vd
from velodrome.agents import (
    Agent,
    BestConstantAction,
    BudgetError,
    ConstantAction,
    Rule,
    SavedAgentError,
    UnsupportedEnvironmentError,
)
from velodrome.agents.errors import AgentFailureError
from velodrome.agents.planning import evaluate_policy
from velodrome.envs.model import TransitionModel
from velodrome.experiments.cli.application import main
from velodrome.experiments.reporting.tables import format_table
from velodrome.experiments.results import AnalysisOptions
from velodrome.experiments.specification.catalogue import CatalogueError, build_agent, build_known_agent, build_schedule
from velodrome.policies import ConfigurationError, Constant

LAKE = "FrozenLake-v1(is_slippery=False)"
RULES = """
import json

def hold(observation):
    return {0: 1, 4: 1, 8: 2, 9: 1, 13: 2, 14: 2}[observation]

def wrong(observation):
    return 9 if observation == 4 else 1

def raising(observation):
    raise ValueError("no idea")

LIMIT = 3
"""


@pytest.fixture
def rules(tmp_path, monkeypatch):
    """A module of rules in the current folder, which nobody has imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(tmp_path)])
    (tmp_path / "my_rules.py").write_text(RULES)
    yield tmp_path
    sys.modules.pop("my_rules", None)


class Spaced(gym.Env):
    """Episodes of three steps in any spaces; the reward is the sum of the action's numbers."""

    def __init__(self, action_space, observation_space=None, rewards=None):
        self.action_space, self.rewards = action_space, rewards
        self.observation_space = observation_space or spaces.Box(-1.0, 1.0, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.time += 1
        reward = float(np.sum(action)) if self.rewards is None else self.rewards[action]
        return self.observation_space.sample(), reward, False, self.time == 3, {}


def one_line(error, function, *arguments, **keywords):
    with pytest.raises(error) as caught:
        function(*arguments, **keywords)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize(
    ("space", "action", "total"),
    [
        (spaces.Discrete(3, start=-1), 1, 3.0),
        (spaces.Box(-1.0, 1.0, (2,), np.float32), [0.5, -0.25], 0.75),
        (spaces.MultiDiscrete([2, 3]), (1, 2), 9.0),
        (spaces.MultiBinary(3), np.array([1, 0, 1]), 6.0),
    ],
    ids=str,
)
@pytest.mark.parametrize("observations", [None, spaces.Dict({"a": spaces.Discrete(3)})], ids=["box", "dict"])
def test_a_constant_action_of_any_space_is_taken_on_any_observation(space, action, total, observations, tmp_path):
    agent = ConstantAction(action)
    log = agent.train(Spaced(space, observations), episodes=4, seed=0)
    assert (log.episodes, log.steps) == (4, 12)
    assert log.returns == pytest.approx([total] * 4)
    agent.save(tmp_path / "kept")
    again = Agent.load(tmp_path / "kept")
    assert np.array_equal(again.act(None), agent.act(None))
    assert str(again) == str(agent)


def test_a_constant_action_is_evaluated_exactly():
    trial = vd.run("constant(1)", "FrozenLake-v1", steps=200)
    model = TransitionModel.of(gym.make("FrozenLake-v1"))
    policy = np.eye(4)[np.ones(16, dtype=int)]
    assert trial.evaluation.method == "exact"
    assert trial.evaluation.mean_return == evaluate_policy(model, policy, None).expected_return
    assert (trial.log.steps, trial.log.loop) == (200, "generic")


@pytest.mark.parametrize(
    ("action", "space", "message"),
    [
        (7, spaces.Discrete(4), "constant on Spaced: action must be a whole number, 0 to 3, got 7"),
        (0.5, spaces.Box(-1, 1, (1,)), "constant on Spaced: action must be an action of shape (1,), got 0.5 of shape"),
        ([2.0], spaces.Box(-1, 1, (1,)), "constant on Spaced: action gave an action outside Box"),
        ("left", spaces.MultiDiscrete([2]), "constant on Spaced: action must be an action of MultiDiscrete([2]), got"),
    ],
)
def test_an_action_that_does_not_exist_is_refused_before_anything_runs(action, space, message):
    assert message in one_line(UnsupportedEnvironmentError, ConstantAction(action).check_environment, Spaced(space))


def test_the_constant_schedule_stays_what_it_was():
    assert build_schedule("constant(0.1)") == Constant(0.1)
    assert build_agent("q_learning(learning_rate=constant(0.1))").learning_rate == Constant(0.1)
    assert build_agent("constant(2)").action == 2
    assert "learning_rate takes a schedule, but best_constant is an agent" in one_line(
        CatalogueError, build_agent, "q_learning(learning_rate=best_constant)"
    )


def test_the_best_constant_action_is_computed_where_the_model_is_known():
    agent = BestConstantAction()
    env = gym.make("FrozenLake-v1")
    log = agent.train(env, episodes=2, seed=0)
    model = TransitionModel.of(env)
    returns = [evaluate_policy(model, np.eye(4)[np.full(16, action)], None).expected_return for action in range(4)]
    assert agent.mean_returns == pytest.approx(returns)
    assert agent.act(0) == int(np.argmax(returns))
    assert log.episodes == 2


def test_elsewhere_every_action_is_tried_equally_often_and_the_best_is_kept(tmp_path):
    env = Spaced(spaces.Discrete(3, start=5), rewards={5: 1.0, 6: 4.0, 7: 4.0})
    agent = BestConstantAction()
    log = agent.train(env, episodes=7, seed=0)
    assert log.returns.tolist() == [3.0, 12.0, 12.0, 3.0, 12.0, 12.0, 3.0]
    assert agent.learner.counts.tolist() == [3, 2, 2]
    # The first of equals.
    assert agent.act(None) == 6
    agent.save(tmp_path / "kept")
    again = Agent.load(tmp_path / "kept")
    assert again.act(None) == 6
    assert again.mean_returns.tolist() == agent.mean_returns.tolist() == [3.0, 12.0, 12.0]


def test_two_trainings_are_one():
    def env():
        return Spaced(spaces.Discrete(3), rewards=[1.0, 2.0, 3.0])

    whole, parts, place = BestConstantAction(), BestConstantAction(), env()
    log = whole.train(env(), steps=20, seed=0)
    joined = parts.train(place, steps=8, seed=0) + parts.train(place, steps=12)
    assert log.returns.tolist() == joined.returns.tolist()
    assert whole.learner.counts.tolist() == parts.learner.counts.tolist()


@pytest.mark.parametrize(
    ("text", "space"),
    [("best_constant", spaces.Discrete(5)), ("binned_actions(best_constant, bins=5)", spaces.Box(-1.0, 1.0, (1,)))],
)
def test_a_budget_may_come_in_parts_that_are_fewer_than_the_actions(text, space, tmp_path, monkeypatch):
    # A trial trains in segments, and after each it asks for what is left.
    def make():
        return Spaced(space)

    agent = build_agent(text)
    evaluated = agent.train(make(), episodes=7, seed=0, evaluate_every=2, evaluator=lambda agent: {}).episodes
    assert evaluated == 7
    assert agent.train(make(), episodes=3).episodes == 3
    results = vd.compare({"best": text}, {"made": make}, seeds=2, episodes=7, evaluation_episodes=2, workers=0)
    assert not results.failures


def test_the_best_constant_action_says_what_it_could_not_try():
    env = Spaced(spaces.Discrete(5), rewards=[1.0] * 5)
    log = BestConstantAction().train(env, steps=7, seed=0)
    assert log.notes == ("tried 2 of 5 actions for whole episodes within its steps",)
    message = one_line(BudgetError, BestConstantAction().train, env, episodes=3)
    assert "tries each of the 5 actions of Spaced" in message
    assert "give at least 5 episodes, got 3" in message
    for space in (spaces.Box(-1, 1, (1,)), spaces.Discrete(1001)):
        message = one_line(UnsupportedEnvironmentError, BestConstantAction().check_environment, Spaced(space))
        assert "best_constant needs a Discrete action space of at most 1,000 actions" in message


def test_a_rule_by_its_name_and_as_a_function_are_the_same(rules):
    trial = vd.run("rule('my_rules:hold')", LAKE, episodes=3)
    assert (trial.evaluation.method, trial.evaluation.success_rate) == ("exact", 1.0)
    assert trial.log.returns.tolist() == [1.0] * 3
    function = sys.modules["my_rules"].hold
    given = vd.run(Rule(function), LAKE, episodes=3)
    assert given.record()["greedy_mean_return"] == 1.0
    assert str(Rule(function)) == str(Rule("my_rules:hold")) == "rule(function='my_rules:hold')"


def test_a_rule_of_this_program_sees_pictures_and_goes_into_worker_processes(tmp_path):
    def lean(observation):
        return int(observation[2] > 0)

    results = vd.compare(
        {"lean": Rule(lean), "left": "constant(0)"},
        "CartPole-v1",
        seeds=5,
        episodes=3,
        evaluation_episodes=5,
        workers=1,
        out=tmp_path,
    )
    frame = results.frame().groupby("agent")["greedy_mean_return"].mean()
    assert not results.failures
    assert frame["lean"] > 3 * frame["left"]


def test_nothing_is_imported_to_read_a_rule(rules):
    vd.compare({"mine": "rule('my_rules:hold')"}, LAKE, seeds=2, episodes=2, out="kept", workers=0)
    trained = vd.run("rule('my_rules:hold')", LAKE, episodes=1).trained
    trained.save("agent")
    del sys.modules["my_rules"]
    (rules / "my_rules.py").write_text("raise SystemExit('imported')")
    assert build_known_agent("rule('my_rules:hold')").function == "my_rules:hold"
    vd.Results.load("kept").table(full=True)
    assert one_line(SavedAgentError, Agent.load, "agent").endswith(
        "rule: my_rules:hold is not imported: import it before loading"
    )
    assert "my_rules" not in sys.modules
    (rules / "my_rules.py").write_text(RULES)
    import my_rules

    assert Agent.load("agent").act(0) == trained.act(0) == my_rules.hold(0)


def test_an_edited_rule_runs_again(rules):
    def keys():
        sys.modules.pop("my_rules", None)
        return vd.compare("rule('my_rules:hold')", LAKE, seeds=1, episodes=1, out="kept", workers=0).frame()["key"]

    before = keys()
    assert keys().equals(before)
    (rules / "my_rules.py").write_text(RULES.replace("8: 2", "8: 3"))
    assert not keys().equals(before)


def test_a_rule_that_does_wrong_fails_alone(rules, capsys):
    agents = {name: f"rule('my_rules:{name}')" for name in ("hold", "wrong", "raising")}
    results = vd.compare(agents, LAKE, seeds=2, episodes=2, out="kept", workers=0)
    errors = {one.agent: one.error for one in results.failures}
    assert errors == {
        "wrong": "rule my_rules:wrong on observation 4 must give a whole number, 0 to 3, got 9",
        "raising": "rule my_rules:raising on observation 0 raised ValueError: no idea",
    }
    assert results.frame().query("agent == 'hold'")["status"].tolist() == ["done"] * 2


def test_mistakes_about_rules_are_told_in_one_line(rules):
    env = gym.make("FrozenLake-v1")
    for name, message in {
        "my_rules:holt": "cannot import module 'my_rules' of 'my_rules:holt': it has no 'holt': did you mean 'hold'?",
        "my_rules:LIMIT": "it has 'LIMIT' as a plain value",
        "no_such_rules:hold": "No module named 'no_such_rules'",
    }.items():
        assert message in one_line(UnsupportedEnvironmentError, Rule(name).check_environment, env)
    for given in (3, "hold", "my rules:hold"):
        assert "rule: function must be a function, or a name such as 'my_rules:hold', got" in one_line(
            ConfigurationError, Rule, given
        )
    import my_rules

    assert my_rules.hold(0) == 1
    assert "module 'my_rules' has no 'holt': did you mean 'hold'?" in one_line(
        UnsupportedEnvironmentError, Rule("my_rules:holt").check_environment, env
    )
    assert "my_rules:LIMIT must be a function, got 3" in one_line(
        UnsupportedEnvironmentError, Rule("my_rules:LIMIT").check_environment, env
    )
    with pytest.raises(AgentFailureError, match="on observation 4 must give"):
        Rule(my_rules.wrong).train(env, episodes=50, seed=0)


def test_verify_runs_rules_again(rules, capsys):
    vd.compare({"mine": "rule('my_rules:hold')"}, LAKE, seeds=2, episodes=2, out=".", workers=0)
    del sys.modules["my_rules"]
    with pytest.warns(
        vd.experiments.ExperimentWarning, match="runs the code of a module in the store's folder: my_rules"
    ):
        found = vd.verify(".", workers=0)
    assert found.reproduced == 2


def test_a_table_is_ranked_against_a_baseline(rules, capsys):
    agents = {"mine": "rule('my_rules:hold')", "nothing": "constant(0)", "best": "best_constant"}
    results = vd.compare(agents, LAKE, seeds=8, episodes=2, out="kept", workers=0)
    rows = results.table(full=True, baseline="nothing").set_index("agent")
    assert rows.loc["nothing", "verdict"] == "reference"
    assert (rows.loc["mine", "verdict"], rows.loc["best", "verdict"]) == ("different", "not distinguishable")
    assert rows.loc["mine", "difference"] == rows.loc["mine", "greedy_success_rate_mean"] == 1.0
    assert rows.loc["mine", "p_value"] < 0.05
    text = format_table(results, "markdown", AnalysisOptions(baseline="nothing"))
    assert "| agent | letters | greedy success | vs baseline |" in text
    assert main(["table", "kept", "--baseline", "nothing"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Against the baseline nothing: better: mine; 1 not distinguishable." in said
