"""Budgets in epochs, and agents that take part on some environments alone: in Python, in files, on the command line."""

import json
from pathlib import Path

import made_up
import pytest

import velodrome as vd
from velodrome.agents import SoftmaxRegression
from velodrome.agents.errors import BudgetError
from velodrome.experiments.cli.application import main
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.reporting.footnotes import footnotes

IMAGES, TEXT, LAKE = "velodrome/Classification-v0", "velodrome/Text-v0", "FrozenLake-v1"
WINDOWS = f"{TEXT}(name='long_sentence', window=10)"
NUM_DIGITS = 1437


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(folder, capsys):
    """Runs a command line; its exit code and what it printed on both streams."""

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def plan_of(agents, environments, **budget):
    return made_up.plan_of(agents, environments, seeds=[0], **budget)


# ---- epochs ----


@pytest.mark.parametrize(
    ("agent", "environment", "epochs", "episodes"),
    [
        ("random", IMAGES, 2, 2 * NUM_DIGITS),
        ("softmax_regression", f"{IMAGES}(validation=437)", 3, 3000),
        ("softmax_regression(validation=437, patience=9)", IMAGES, 3, 3000),
        ("ensemble(member=softmax_regression(validation=437), size=2)", IMAGES, 1, 1000),
        ("neural_bandit(network=softmax_regression)", f"{IMAGES}(split='test')", 1, 360),
        ("char_rnn", TEXT, 30, 30),
        ("q_learning", WINDOWS, 2, 340),
    ],
)
def test_an_epoch_is_a_pass_through_what_the_agent_does_not_hold_out(agent, environment, epochs, episodes):
    budget = plan_of([agent], environment, epochs=epochs).budget(*names(agent, environment))
    assert (budget.episodes, budget.steps, budget.epochs) == (episodes, None, epochs)


def names(agent, environment):
    plan = plan_of([agent], environment, episodes=1)
    return next(iter(plan.agents)), next(iter(plan.environments))


def test_a_run_in_epochs_is_that_in_as_many_episodes():
    one = vd.run("softmax_regression", IMAGES, epochs=2, seed=0)
    other = vd.run("softmax_regression", IMAGES, episodes=2 * NUM_DIGITS, seed=0)
    assert (one.log.returns == other.log.returns).all()
    assert one.evaluation == other.evaluation
    assert one.log.episodes == 2 * NUM_DIGITS


def test_train_takes_epochs_too():
    agent = SoftmaxRegression(validation=437)
    assert agent.train(IMAGES, epochs=2, seed=0).episodes == 2000
    with pytest.raises(BudgetError, match=r"^give episodes, steps or epochs, one of them \(got steps=5, epochs=2\)$"):
        agent.train(IMAGES, epochs=2, steps=5)


def test_epochs_and_episodes_share_their_trials(tmp_path):
    told = []
    vd.compare(["random"], IMAGES, seeds=2, epochs=1, out=tmp_path, workers=0)
    vd.compare(["random"], IMAGES, seeds=2, episodes=NUM_DIGITS, out=tmp_path, workers=0, progress=told.append)
    assert told[-1].reused == 2


def test_own_budgets_in_epochs_come_before_the_others():
    plan = plan_of(
        {"short": {"agent": "random", "epochs": 1}, "long": "random", "steps": {"agent": "random", "steps": 7}},
        {"digits": IMAGES, "text": {"environment": WINDOWS, "epochs": 4}},
        epochs=2,
    )
    amounts = {(agent, place): plan.budget(agent, place) for place in plan.environments for agent in plan.agents}
    assert {pair: (budget.episodes, budget.steps) for pair, budget in amounts.items()} == {
        ("short", "digits"): (NUM_DIGITS, None),
        ("long", "digits"): (2 * NUM_DIGITS, None),
        ("steps", "digits"): (None, 7),
        ("short", "text"): (170, None),
        ("long", "text"): (680, None),
        ("steps", "text"): (None, 7),
    }


def test_notes_tell_budgets_in_epochs():
    agents = {"chance": "random", "longer": {"agent": "random", "epochs": 3}}
    results = vd.compare(agents, {"digits": IMAGES, "text": TEXT}, epochs=2, seeds=1, workers=0)
    notes = footnotes(results)
    assert "Training: 2 epochs in each trial; longer: 3 epochs." in notes
    assert any("unequal budgets" in line and "2 epochs for 'chance'" in line for line in results.warnings)
    assert results.budget("digits", "chance") == (2 * NUM_DIGITS, None)
    assert results.curve_grid("text", "longer").ends[-1] == 3


@pytest.mark.parametrize(
    ("budgets", "told"),
    [
        ({"text": 4, "digits": 1}, "digits: 1 epoch; text: 4 epochs."),
        ({"text": 1, "digits": 1}, "every agent: 1 epoch."),
        ({"table": 4, "digits": 1, "text": 2}, "digits: 1 epoch; chance on text: 2 epochs; table: 4 epochs."),
        ({"chance": 1, "table": 2}, "chance: 1 epoch; table: 2 epochs."),
    ],
)
def test_notes_tell_whose_budgets_they_are_in_few_words(budgets, told):
    agents = {"chance": {"agent": "random"}, "table": {"agent": "q_learning(discount=0)", "environments": ["text"]}}
    places = {"digits": {"environment": IMAGES}, "text": {"environment": TEXT}}
    for label, epochs in budgets.items():
        (agents if label in agents else places)[label]["epochs"] = epochs
    results = vd.compare(agents, places, seeds=1, workers=0)
    assert f"Training: {told}" in footnotes(results)


def test_epochs_need_labelled_examples():
    line = f"epochs are passes through labelled examples, and {LAKE} has none: give episodes or steps"
    with pytest.raises(BudgetError, match=f"^{line}$"):
        vd.run("q_learning", LAKE, epochs=3)
    with pytest.raises(BudgetError, match=f"^{line}$"):
        vd.compare("random", [IMAGES, LAKE], epochs=3)
    # Nobody asks for epochs where everybody has a budget of their own.
    assert plan_of({"a": {"agent": "random", "steps": 5}}, [LAKE], epochs=3).budget("a", LAKE).steps == 5


@pytest.mark.parametrize("amount", [0, -1, 2.5, True, "3"])
def test_epochs_are_counted_in_whole_numbers(amount):
    with pytest.raises(BudgetError, match=f"^epochs must be a whole number of at least 1, got {amount!r}$"):
        vd.run("random", IMAGES, epochs=amount)


def test_the_command_line_counts_in_epochs(command):
    code, out, _ = command("run", "softmax_regression", IMAGES, "--epochs", "2", "--json")
    record = json.loads(out)
    assert (code, record["episodes"], record["evaluation"], record["evaluation_episodes"]) == (0, 2874, "examples", 360)
    code, out, err = command("run", "q_learning", LAKE, "--epochs", "2")
    assert (code, out) == (2, "")
    assert (
        err == f"velodrome: epochs are passes through labelled examples, and {LAKE} has none: give episodes or steps\n"
    )


FILE = """
name = "mixed"
epochs = 3
seeds = 2

[environments]
digits = "velodrome/Classification-v0"
text = { environment = "velodrome/Text-v0", epochs = 20 }

[agents]
chance = "random"
table = { agent = "q_learning(discount=0)", environments = ["text"] }
linear = { agent = "softmax_regression", epochs = 1, environments = ["digits"] }
"""


def test_a_file_gives_epochs_and_where_agents_take_part(command):
    Path("mixed.toml").write_text(FILE)
    code, out, _ = command("compare", "mixed.toml", "--workers", "0", "--quiet", "--json")
    assert code == 0
    rows = {(row["environment"], row["agent"]): row for row in json.loads(out)["rows"]}
    assert set(rows) == {("digits", "chance"), ("digits", "linear"), ("text", "chance"), ("text", "table")}
    results = vd.Results.load("results")
    assert {record.agent: record.measures["episodes"] for record in results.trials("digits", "linear")} == {
        "linear": 1437
    }
    assert {record.measures["episodes"] for record in results.trials("text", "table")} == {20}
    assert (results.num_planned, len(results.records)) == (8, 8)
    # Instead of all of the file's budgets, in the failed line too.
    code, _, _ = command("compare", "mixed.toml", "--epochs", "1", "--workers", "0", "--quiet")
    assert code == 0
    assert {record.measures["episodes"] for record in vd.Results.load("results").records} == {NUM_DIGITS, 1}


ONE_BUDGET = "give episodes, steps or epochs, one of them"
PLACES = "agents.table.environments"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('["text"]', '["texts"]', f"{PLACES}: no environment 'texts': did you mean 'text'?"),
        ('["text"]', "[]", f"{PLACES}: must name at least one, or be left out"),
        ('["text"]', '"text"', f"{PLACES}: input should be a valid list, got 'text'"),
        ("epochs = 3", "epochs = 3\nsteps = 4", ONE_BUDGET),
        ("epochs = 20", "epochs = 20, steps = 4", f"environments.text: {ONE_BUDGET}"),
        ("epochs = 20", "epochs = 0", "environments.text.epochs: must be a whole number of at least 1, got 0"),
        ("epochs = 3\n", "", f"{ONE_BUDGET}: no budget for 'chance' on 'digits'"),
        ('chance = "random"', "", "environments.text: no agent takes part on it"),
    ],
)
def test_mistakes_in_a_file_are_told_with_their_field(command, old, new, line):
    text = FILE.replace('["text"]', '["digits"]') if old.startswith("chance") else FILE
    Path("mixed.toml").write_text(text.replace(old, new))
    code, _, err = command("compare", "mixed.toml")
    assert code == 2
    assert f"velodrome: mixed.toml: {line}" in err.splitlines()


# ---- where agents take part ----


def test_agents_take_part_where_they_are_told_to():
    agents = {"chance": "random", "table": {"agent": "q_learning(discount=0)", "environments": ["text"]}}
    plan = plan_of(agents, {"digits": IMAGES, "text": TEXT}, episodes=5)
    assert [(trial.agent, trial.environment) for trial in plan.trials] == [
        ("chance", "digits"), ("chance", "text"), ("table", "text"),
    ]  # fmt: skip


def test_a_table_over_all_environments_has_those_who_took_part_everywhere():
    agents = {
        "chance": "random",
        "table": {"agent": "q_learning(discount=0)", "environments": ["text"]},
        "other": "q_learning(policy=uniform)",
    }
    places = {"text": TEXT, "abc": f"{TEXT}(text='abcabc')"}
    results = vd.compare(agents, places, episodes=50, seeds=5, workers=0)
    assert [len(one.rows) for one in results.analysis().environments] == [3, 2]
    assert {agent.label for agent in results.analysis().overall.comparison.agents} == {"chance", "other"}
    assert "over all environments: Of the 2 agents with scores on each of them." in footnotes(results)
    assert len(results.plot().axes) == 2


@pytest.mark.parametrize(
    ("places", "line"),
    [
        (["txt"], r"agents\.a\.environments: no environment 'txt': did you mean 'text'\?"),
        ([], r"agents\.a\.environments: must name at least one, or be left out"),
        (["text"], r"environments\.digits: no agent takes part on it"),
    ],
)
def test_places_that_cannot_be_are_refused(places, line):
    with pytest.raises(ExperimentError, match=f"^{line}$"):
        plan_of({"a": {"agent": "random", "environments": places}}, {"digits": IMAGES, "text": TEXT}, episodes=5)


def test_places_may_be_a_tuple():
    plan = plan_of({"a": {"agent": "random", "environments": ("text",)}, "b": "random"}, {"text": TEXT}, episodes=5)
    assert plan.agents["a"].environments == ("text",)


def test_pairs_are_refused_under_the_label_of_their_environment():
    with pytest.raises(ExperimentError) as caught:
        plan_of(["q_learning"], {"one": IMAGES, "other": IMAGES}, episodes=5)
    lines = str(caught.value).splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["agents.q_learning on 'one'", "agents.q_learning on 'other'"]


def test_steps_that_end_inside_a_text_are_refused_before_anything_runs():
    agents = {"reader": "char_rnn", "chance": "random"}
    with pytest.raises(ExperimentError, match=r"^agents\.reader on 'text': steps must be a multiple of 6, the labels"):
        plan_of(agents, {"text": TEXT}, steps=7)
    assert len(plan_of(agents, {"text": TEXT}, steps=12).trials) == 2


def test_joined_results_miss_no_trial_of_who_took_no_part():
    agents = {"chance": "random", "table": {"agent": "q_learning(discount=0)", "environments": ["text"]}}
    places = {"text": TEXT, "abc": f"{TEXT}(text='abcabc')"}
    one = vd.compare(agents, places, episodes=5, seeds=2, workers=0)
    other = vd.compare({"rate": "sarsa(discount=0)"}, places, episodes=5, seeds=2, workers=0)
    joined = vd.Results.joined([one, other])
    assert joined.num_planned == len(joined.records) == 10


def test_seeds_are_added_only_where_agents_take_part():
    agents = {
        "chance": "random",
        "table": {"agent": "q_learning(discount=0)", "environments": ["abc"]},
        "other": "q_learning(discount=0, policy=uniform)",
    }
    places = {"text": TEXT, "abc": f"{TEXT}(text='abcabc')"}
    options = {"episodes": 40, "seeds": 5, "workers": 0, "until_decided": True, "max_seeds": 10}
    results = vd.compare(agents, places, **options)
    assert results.trials("text", "table") == []
    assert len(results.trials("abc", "table")) >= 5
    assert results.settings.sequential_on("text").agents == ("chance", "other")
    agents["other"] = agents["table"]
    with pytest.raises(ExperimentError, match=r"^nothing to decide: 'chance' is the only agent on 'text', give at"):
        vd.compare(agents, places, **options)


# ---- figures of a run ----


def test_a_run_draws_what_was_learnt(command):
    code, out, _ = command("run", "softmax_regression", IMAGES, "--epochs", "1", "--figures", "pictures")
    assert code == 0
    assert sorted(path.name for path in Path("pictures").iterdir()) == [
        "accuracy.png", "confusion.png", "filters.png", "mistakes.png",
    ]  # fmt: skip
    assert "pictures" in out
    assert "each once: digits: 360 images of the test split" in out


def test_figures_are_refused_before_training_where_there_is_nothing_to_draw(command):
    code, out, err = command("run", "random", "CartPole-v1", "--episodes", "5", "--figures", "pictures")
    assert (code, out) == (2, "")
    assert err.startswith("velodrome: --figures: no labelled examples, and CartPole-v1 lies on no grid or chain that ")
    assert err.count("\n") == 1
    assert not Path("pictures").exists()


def test_the_curves_of_a_training_are_drawn_without_labelled_examples(command):
    budget = ("--episodes", "40", "--evaluate-every", "20")
    assert command("run", "q_learning", LAKE, *budget, "--figures", "pictures")[0] == 0
    assert {"curves.png", "values.png"} <= {path.name for path in Path("pictures").iterdir()}
