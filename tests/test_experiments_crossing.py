"""Learners × policies: the agents they make, how they are labelled and keyed, and what cannot be crossed."""

import re
from dataclasses import dataclass, replace

import made_up
import pytest
from hypothesis import given, strategies as st

import velodrome as vd
from velodrome.agents import ExpectedSarsa, QLearning, Sarsa
from velodrome.experiments.cli.application import main
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.results.results import Results
from velodrome.experiments.specification.experiment import Experiment
from velodrome.experiments.specification.experiment_file import parse_experiment, read_experiment
from velodrome.policies import UCB, EpsilonGreedy, Greedy, Policy, RandomNoise, Softmax, Uniform
from velodrome.policies.configuration import to_data

LAKE = "FrozenLake-v1"
LEARNERS = {"Q": "q_learning(discount=0.9)", "S": "sarsa"}
POLICIES = {"greedy": "greedy", "noisy": "epsilon_greedy(epsilon=0.2)", "UCB": "ucb"}


def plan_of(agents=None, environments=LAKE, *, seeds=2, episodes=10, steps=None, **crossed):
    return made_up.plan_of(agents, environments, seeds=seeds, episodes=episodes, steps=steps, **crossed)


def plan_of_file(text):
    return parse_experiment(f'name = "x"\nepisodes = 10\nseeds = 2\nenvironments = ["{LAKE}"]\n{text}').plan()


def agents_of(plan):
    return {label: to_data(planned.agent) for label, planned in plan.agents.items()}


def refusal_of(make, *arguments, **crossed):
    with pytest.raises(ExperimentError) as refusal:
        make(*arguments, **crossed)
    return str(refusal.value)


def test_every_learner_is_compared_with_every_policy():
    results = vd.compare(policies=POLICIES, learners=LEARNERS, environments=LAKE, seeds=5, episodes=20, workers=0)
    assert results.agents == ["Q · greedy", "Q · noisy", "Q · UCB", "S · greedy", "S · noisy", "S · UCB"]
    assert results.settings.agents["S · noisy"] == "sarsa(policy=epsilon_greedy(epsilon=0.2))"
    assert results.settings.factors == {
        f"{learner} · {policy}": {"learner": learner, "policy": policy} for learner in LEARNERS for policy in POLICIES
    }
    alone = vd.run("sarsa(policy=ucb)", LAKE, episodes=20, seed=3)
    assert results.trials(LAKE, "S · UCB")[3].measures["train_mean_return"] == alone.record()["train_mean_return"]
    assert {(margin.factor, margin.num_averaged) for margin in results.analysis().margins} == {
        ("policy", 2), ("learner", 3)
    }  # fmt: skip


@given(
    st.lists(st.sampled_from([QLearning(), Sarsa(discount=0.5), ExpectedSarsa(learning_rate=0.3)]), max_size=3),
    st.lists(
        st.sampled_from([Greedy(), UCB(confidence=2), Softmax(), EpsilonGreedy(epsilon=0.3), Uniform()]), min_size=1
    ),
)
def test_a_crossing_changes_the_policy_and_nothing_else(learners, policies):
    found = Experiment(
        name="x", environments=LAKE, episodes=5, learners=dict(enumerate(learners)) or None,
        policies={f"p{place}": policy for place, policy in enumerate(policies)},
    ).agents  # fmt: skip
    assert len(found) == max(len(learners), 1) * len(policies)
    for learner, entry in zip(
        [one for one in learners or [QLearning()] for _ in policies], found.values(), strict=True
    ):
        assert entry.agent.policy == policies[int(entry.policy.removeprefix("p"))]
        assert to_data(replace(entry.agent, policy=learner.policy)) == to_data(learner)


def test_a_trial_has_the_key_of_the_same_agent_written_out():
    crossed = plan_of(learners={"S": "sarsa(discount=0.9)"}, policies={"U": "ucb(confidence=2)"})
    for agents in (["sarsa(discount=0.9, policy=ucb(confidence=2))"], [Sarsa(discount=0.9, policy=UCB(confidence=2))]):
        assert [trial.key for trial in crossed.trials] == [trial.key for trial in plan_of(agents).trials]
    as_objects = plan_of(learners=[Sarsa(discount=0.9)], policies=UCB(confidence=2))
    assert [trial.key for trial in crossed.trials] == [trial.key for trial in as_objects.trials]


def test_what_the_store_has_of_an_agent_is_not_run_again(tmp_path):
    written = {"mine": "q_learning(policy=ucb)"}
    common = {"environments": LAKE, "seeds": 5, "episodes": 10, "out": tmp_path, "workers": 0}
    before = vd.compare(written, **common)
    states = []
    after = vd.compare(policies="ucb", progress=states.append, **common)
    assert (states[-1].total, states[-1].reused) == (5, 5)
    assert [row.key for row in after.records] == [row.key for row in before.records]
    stored = Results.load(tmp_path)
    assert stored.settings.factors == {"q_learning · ucb": {"learner": "q_learning", "policy": "ucb"}}
    assert before.settings.factors == {}


def test_a_file_plans_what_python_does():
    file = plan_of_file("""
        agents = ["random"]
        learners = ["q_learning(discount=0.9)", "sarsa"]
        [policies]
        greedy = "greedy"
        UCB = {policy = "ucb"}
    """)
    python = plan_of(["random"], learners=list(LEARNERS.values()), policies={"greedy": Greedy(), "UCB": "ucb"})
    assert agents_of(file) == agents_of(python)
    assert list(file.agents)[:2] == ["random", "q_learning(discount=0.9) · greedy"]
    assert file.settings() == python.settings()
    assert [trial.key for trial in file.trials] == [trial.key for trial in python.trials]
    assert set(file.factors) == set(file.agents) - {"random"}


def test_a_file_may_hold_policies_alone():
    assert list(plan_of_file("policies = ['ucb', 'greedy']").agents) == ["q_learning · ucb", "q_learning · greedy"]


def test_without_labels_the_expressions_are():
    plan = plan_of(policies=["ucb", Softmax(temperature=0.5)], learners=[Sarsa(), "q_learning(discount = 0.9)"])
    assert list(plan.agents) == [
        "sarsa() · ucb",
        "sarsa() · softmax(temperature=0.5)",
        "q_learning(discount=0.9) · ucb",
        "q_learning(discount=0.9) · softmax(temperature=0.5)",
    ]


def test_a_learner_keeps_its_budget():
    learners = {"D": {"learner": "dyna_q", "episodes": 3}, "Q": "q_learning"}
    plan = plan_of(learners=learners, policies=["ucb"])
    assert [plan.budget(agent, LAKE).episodes for agent in plan.agents] == [3, 10]
    alone = plan_of(learners={"learner": "dyna_q", "steps": 7}, policies={"policy": "ucb"}, episodes=None)
    assert plan_of_file("policies=['ucb']\n[learners.D]\nlearner='dyna_q'\nsteps=7").settings()["budgets"] == [
        {"agent": "D · ucb", "environment": LAKE, "episodes": None, "steps": 7}
    ]
    assert list(alone.agents) == ["dyna_q · ucb"]
    assert alone.budget("dyna_q · ucb", LAKE).steps == 7


def test_learners_that_were_trained_are_crossed_as_new_ones():
    learner = QLearning()
    learner.train(LAKE, episodes=5, seed=0)
    before = learner.action_values.copy()
    crossed = plan_of(learners={"q": learner}, policies={"u": "ucb"})
    assert crossed.trials == plan_of(learners={"q": "q_learning"}, policies={"u": "ucb"}).trials
    assert (learner.action_values == before).all()
    assert learner.policy == EpsilonGreedy()


@dataclass(kw_only=True, eq=False)
class Demanding(QLearning):
    """A learner whose policy must be given, and that refuses some in words of its own."""

    policy: Policy

    def __post_init__(self):
        super().__post_init__()
        if isinstance(self.policy, UCB):
            raise RuntimeError("no\nUCB")


def test_a_learner_that_cannot_be_without_a_policy_is_crossed_too():
    plan = plan_of(learners={"own": Demanding(policy=Greedy())}, policies=["softmax"])
    assert plan.agents["own · softmax"].agent.policy == Softmax()


# Refused in Python as in files: arguments, and the lines, the second without what only files say.
ADVICE = "; to leave this pair out, give the others under agents, each with a policy of its own"
NO_PROBABILITIES = (
    "expected_sarsa: policy random_noise states no action probabilities; "
    "use epsilon_greedy, softmax, ucb, greedy or uniform, or sarsa"
)
OPEN = "of its own, which crossing would replace: write {}, or give it under agents"
REFUSED = {
    "pairs that do not fit": (
        {"E": "expected_sarsa", "Q": "q_learning"}, {"noise": "random_noise", "U": "ucb", "n": "random_noise(scale=2)"},
        [f"learners.E: with policy 'noise': {NO_PROBABILITIES}{ADVICE}",
         f"learners.E: with policy 'n': {NO_PROBABILITIES}{ADVICE}"],
    ),
    "planning": (
        {"V": "value_iteration"}, {"U": "ucb"},
        ["learners.V: value_iteration has no policy that could be exchanged: give it under agents"],
    ),
    "chance, whose policy is fixed": (
        {"R": "random"}, {"U": "ucb"},
        ["learners.R: random has no policy that could be exchanged: give it under agents"],
    ),
    "a policy that is given": (
        {"Q": "q_learning(discount=0.9, policy=greedy)"}, {"U": "ucb"},
        [f"learners.Q: has the policy greedy() {OPEN.format('q_learning(discount=0.9)')}"],
    ),
    "the default policy that is given": (
        {"Q": "q_learning(policy=epsilon_greedy)"}, {"U": "ucb"},
        [f"learners.Q: has the policy epsilon_greedy() {OPEN.format('q_learning()')}"],
    ),
    "a policy that the name stands for": (
        {"D": "dummy_q"}, {"U": "ucb"},
        [f"learners.D: has the policy greedy() {OPEN.format('q_learning(discount=1.0, learning_rate=1.0)')}"],
    ),
    "a policy among learners": (
        {"U": "ucb"}, {"U": "ucb"}, ["learners.U: ucb is a policy, not a learner: give it under policies"],
    ),
    "an agent among policies": (
        {"Q": "q_learning"}, {"S": "sarsa"}, ["policies.S: sarsa is an agent, not a policy: give it under learners"],
    ),
    "a schedule among policies": (
        {"Q": "q_learning"}, {"L": "linear(1, 0, 5)"},
        ["policies.L: linear is a schedule, not a policy: write epsilon_greedy(epsilon=linear(...))"],
    ),
    "a misspelt policy": (
        {"Q": "q_learning"}, {"s": "sofmax"}, ["policies.s: unknown policy 'sofmax': did you mean 'softmax'?"],
    ),
    "a number": (
        {"Q": "q_learning"}, {"n": 0.1},
        ["policies.n: must be an expression such as 'epsilon_greedy(epsilon=0.1)', got 0.1"],
    ),
    "a budget of a policy": (
        {"Q": "q_learning"}, {"U": {"policy": "ucb", "episodes": 5}},
        ["unknown field 'policies.U.episodes'; allowed: policy, or an argument of ucb"],
    ),
    "two budgets of a learner": (
        {"Q": {"learner": "q_learning", "episodes": 5, "steps": 5}}, {"U": "ucb"},
        ["learners.Q: give episodes, steps or epochs, one of them"],
    ),
    "labels that meet": (
        {"a": "sarsa", "a · b": "q_learning"}, {"b · c": "ucb", "c": "greedy"},
        ["""learners."a · b": with policy 'c': another agent has the label 'a · b · c': change one of them"""],
    ),
}  # fmt: skip


def toml_value(given):
    if isinstance(given, dict):
        return "{" + ", ".join(f"{key} = {toml_value(value)}" for key, value in given.items()) + "}"
    return repr(given)


def toml_table(name, entries):
    return f"[{name}]\n" + "\n".join(f'"{label}" = {toml_value(entry)}' for label, entry in entries.items()) + "\n"


@pytest.mark.parametrize(("learners", "policies", "lines"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_crossed_is_told_by_pair_or_field(learners, policies, lines):
    assert refusal_of(plan_of, learners=learners, policies=policies).split("\n") == lines
    file = toml_table("learners", learners) + toml_table("policies", policies)
    told = [line.removeprefix("experiment: ") for line in refusal_of(plan_of_file, file).split("\n")]
    assert told == lines


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({}, "agents: field required: a table of label = expression, or a list of expressions"),
        ({"learners": ["sarsa"]}, "learners are crossed with policies: give policies too, or give the learners under"),
        ({"learners": ["sarsa"], "agents": ["random"]}, "learners are crossed with policies: give policies too"),
        ({"policies": []}, "policies: must hold at least one label = expression, got none"),
        ({"policies": ["ucb"], "learners": {}}, "learners: must hold at least one label = expression, got none"),
        ({"policies": ["ucb"], "agents": []}, "agents: must hold at least one label = expression, got none"),
        ({"policies": ["ucb"], "environments": None}, "environments: field required: a table of label = expression"),
        ({"policies": ["ucb", UCB(), "ucb()"]}, "policies.2: policy 'ucb()' is given twice: give labels"),
        ({"policies": ["ucb"], "learners": [UCB()]}, "learners.0: ucb is a policy, not a learner: give it under"),
        ({"policies": [Sarsa()]}, "policies.0: sarsa is an agent, not a policy: give it under learners"),
        ({"policies": [UCB]}, "policies.0: a policy is an expression or a Policy, got the class UCB: call it"),
        ({"policies": ["ucb"], "learners": [Sarsa]}, "learners.0: an agent is an expression or an Agent, got the"),
        ({"policies": [RandomNoise()], "learners": {"E": ExpectedSarsa()}}, "learners.E: with policy 'random_noise()'"),
        ({"policies": ["ucb"], "learners": {"S": Sarsa(policy=Greedy())}}, "learners.S: has the policy greedy() of"),
        ({"policies": ["ucb"], "learners": {"own": Demanding(policy=Greedy())}},
         f"learners.own: with policy 'ucb': RuntimeError: no UCB{ADVICE}"),
        ({"policies": {"b": "ucb"}, "learners": {"a": "sarsa"}, "agents": {"a · b": "random"}},
         "learners.a: with policy 'b': another agent has the label 'a · b': change one of them"),
    ],
)  # fmt: skip
def test_what_python_cannot_cross_is_one_line(arguments, line):
    told = refusal_of(plan_of, **arguments)
    assert told.startswith(line)
    assert "\n" not in told


def test_all_mistakes_of_a_file_are_told_at_once():
    with pytest.raises(ExperimentError) as refusal:
        parse_experiment("""
            name = "x"
            environments = ["FrozenLake-v1"]
            [policies]
            noise = "random_noise"
            epsilon0.1 = "epsilon_greedy(epsilon=0.1)"
            [learners]
            E = "expected_sarsa"
            Q = "q_learning(discount=2)"
            " " = "sarsa"
            [agents]
            a = "q_lerning"
        """)
    assert str(refusal.value).replace("experiment: ", "").split("\n") == [
        "policies.epsilon0.policy: field required: an expression such as 'epsilon_greedy(epsilon=0.1)'",
        "unknown field 'policies.epsilon0.1'; allowed: policy",
        'policies.epsilon0: a label with a dot needs quotes: "epsilon0.1"',
        "learners.Q: q_learning: discount must be a number in [0, 1], got 2",
        "learners.\" \": a label must be one line of visible text, got ' '",
        f"learners.E: with policy 'noise': {NO_PROBABILITIES}{ADVICE}",
        "agents.a: unknown agent 'q_lerning': did you mean 'q_learning'?",
        "give episodes, steps or epochs, one of them: no budget for 'a' on 'FrozenLake-v1', "
        "'E · noise' on 'FrozenLake-v1', 'E · epsilon0' on 'FrozenLake-v1' and 4 more",
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("learners = ['sarsa']",
         ["learners are crossed with policies: give policies too, or give the learners under agents"]),
        ("policies = []", ["policies: must hold at least one label = expression, got none"]),
        ("policies = ['ucb', 'ucb()']", ["policies.1: policy 'ucb()' is given twice: give labels"]),
        ("policies = ['ucb']\n[[learners]]\nlearnr = 'sarsa'",
         ["learners.0.learner: field required: an expression such as 'q_learning(discount=0.9)'",
          "unknown field 'learners.0.learnr': did you mean 'learner'?"]),
        ("policies = ['ucb']\nlearners = ['sarsa', 'sarsa(']",
         ["learners.\"sarsa(\": expression 'sarsa(': the bracket opened at column 6 is not closed"]),
        ("polices = ['ucb']",
         ["agents: field required: a table of label = expression, or a list of expressions",
          "unknown field 'polices': did you mean 'policies'?"]),
    ],
)  # fmt: skip
def test_mistakes_of_lists_and_tables_are_told_with_their_field(text, lines):
    assert [line.removeprefix("experiment: ") for line in refusal_of(plan_of_file, text).split("\n")] == lines


def test_the_command_line_runs_a_crossed_file_with_a_budget_of_its_own(tmp_path, capsys):
    path = tmp_path / "crossed.toml"
    path.write_text(
        f'name = "x"\nenvironments = ["{LAKE}"]\npolicies = ["ucb", "greedy"]\n'
        '[learners.Q]\nlearner = "q_learning"\nepisodes = 50\n[learners.S]\nlearner = "sarsa"\nepisodes = 50\n'
    )
    assert main(["compare", str(path), "--out", str(tmp_path), "--seeds", "5", "--episodes", "4", "--quiet"]) == 0
    assert "S · greedy" in re.sub(r"\s+", " ", capsys.readouterr().out)
    results = Results.load(tmp_path)
    assert {row.measures["episodes"] for row in results.records} == {4}
    assert results.settings.factors["Q · ucb"] == {"learner": "Q", "policy": "ucb"}


def test_the_shipped_experiment_crosses_four_policies_with_three_learners():
    told = read_experiment("exploration")
    plan = told.plan()
    assert (len(told.policies), len(told.learners), len(plan.factors)) == (4, 3, 12)
    assert [label for label in plan.agents if label not in plan.factors] == ["random"]
