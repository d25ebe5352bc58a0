"""Images and texts in experiments: every example asked once, the best possible, and contents as part of the key."""

import itertools
import json
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, strategies as st

import velodrome as vd
from velodrome.agents import CharRNN, QLearning
from velodrome.agents.tabular.random_agent import RandomAgent
from velodrome.envs import Classification, Dataset, Discretize, Text
from velodrome.envs.labelled.datasets.dataset import LabelledExamples
from velodrome.envs.make import make_environment
from velodrome.experiments.reporting.footnotes import footnotes
from velodrome.experiments.reporting.tables import format_table
from velodrome.experiments.storage.store import Store
from velodrome.experiments.trials.contents import Contents
from velodrome.experiments.trials.environment_profile import EnvironmentProfile
from velodrome.experiments.trials.evaluation import evaluate, wilson_interval
from velodrome.experiments.trials.example_evaluation import guesses_of
from velodrome.experiments.trials.example_values import best_on_examples, random_on_examples
from velodrome.policies import EpsilonGreedy

IMAGES, TEXT = "velodrome/Classification-v0", "velodrome/Text-v0"
PIXELS = [2 if place in (18, 20, 21, 26, 36, 43) else 1 for place in range(64)]


def stripes(tmp_path, seed=0, name="stripes.npz"):
    """A file of 90 images of three classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(90) % 3
    images = rng.integers(0, 50, size=(90, 4, 5)).astype(np.uint8)
    images[np.arange(90), 0, labels] = 255
    path = tmp_path / name
    np.savez(path, x_train=images[:60], y_train=labels[:60], x_test=images[60:], y_test=labels[60:])
    return path


# ---- every example once ----


def by_stepping(agent, env, num_episodes):
    """Returns of so many consecutive episodes, sorted: a pass over the examples in another order."""
    returns = []
    for episode in range(num_episodes):
        observation, _ = env.reset(seed=3 if episode == 0 else None)
        agent.begin_episode()
        total, is_over = 0.0, False
        while not is_over:
            observation, reward, terminated, truncated, _ = env.step(agent.act(observation))
            total, is_over = total + reward, terminated or truncated
        returns.append(total)
    return sorted(returns)


HELD_OUT = {"validation": 137, "evaluation": "validation"}
WINDOWS = {"name": "if_you_want_you", "window": 4}


@pytest.mark.parametrize(
    ("agent", "identifier", "learns", "judge"),
    [
        ("softmax_regression", IMAGES, {}, {"split": "test"}),
        ("mlp", IMAGES, HELD_OUT, {"split": "validation", "validation": 137}),
        ("simple_cnn", IMAGES, {"split": "test"}, {"split": "test"}),
        ("neural_bandit(network=softmax_regression)", IMAGES, {}, {"split": "test"}),
        ("q_learning(discount=0)", TEXT, {}, {}),
        ("q_learning(discount=0)", TEXT, WINDOWS, WINDOWS),
        ("char_rnn(cell='gru')", TEXT, {}, {}),
        ("char_rnn", TEXT, WINDOWS, WINDOWS),
    ],
)
def test_asking_every_example_at_once_equals_one_pass_of_episodes(agent, identifier, learns, judge):
    trial = vd.run(agent, gym.make(identifier, **learns), episodes=400, seed=0)
    env = gym.make(identifier, **judge)
    number = len(env.unwrapped.examples.labels)
    returns = by_stepping(trial.trained, env, number)
    found = trial.evaluation
    assert (found.method, found.episodes) == ("examples", number)
    assert found.mean_return == pytest.approx(np.mean(returns), abs=1e-12)
    length = 1 if env.unwrapped.examples.labels.ndim == 1 else env.unwrapped.examples.labels.shape[1]
    assert found.success_rate == pytest.approx(np.mean([one == length for one in returns]), abs=1e-12)


def test_agents_see_the_examples_through_their_wrappers():
    def make(split="train"):
        return Discretize(gym.make(IMAGES, split=split), bins=PIXELS)

    trial = vd.run(QLearning(discount=0, policy=EpsilonGreedy(0.1, ties="first")), make, episodes=3000, seed=0)
    returns = by_stepping(trial.trained, make("test"), 360)
    assert trial.evaluation.mean_return == pytest.approx(np.mean(returns))
    assert trial.evaluation.mean_return > 0.3


def test_of_images_the_interval_is_that_of_other_images_and_of_a_text_there_is_none():
    found = vd.run("softmax_regression", IMAGES, episodes=1437, seed=0).evaluation
    number = round(360 * found.success_rate)
    assert (found.success_low, found.success_high) == wilson_interval(number, 360)
    text = vd.run("q_learning(discount=0)", f"{TEXT}(text='abcab')", episodes=200, seed=0).evaluation
    assert (text.success_low, text.success_rate, text.success_high) == (1.0, 1.0, 1.0)


def test_the_number_of_sampled_episodes_is_of_no_matter():
    few, many = (
        vd.run("random", IMAGES, episodes=10, seed=0, evaluation_episodes=number).evaluation for number in (1, 1000)
    )
    assert few == many


MAY_CHANGE = "may change what is rewarded, done, or seen from step to step"


class Doubled(gym.RewardWrapper):
    def reward(self, reward):
        return 2 * reward


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Doubled(gym.make(IMAGES)), f"wrapper Doubled {MAY_CHANGE}"),
        (lambda: gym.make(TEXT, max_episode_steps=2), "episodes are cut after 2 of 6 steps"),
    ],
)  # fmt: skip
def test_where_episodes_are_no_examples_they_are_sampled(make, reason):
    profile = EnvironmentProfile.of("own", make)
    assert profile.contents.evaluation.reason == reason
    assert (profile.best, profile.random) == (None, None)
    trial = vd.run("random", make, episodes=20, seed=0, evaluation_episodes=50)
    assert (trial.evaluation.method, trial.evaluation.episodes) == ("monte-carlo", 50)


def test_it_is_told_where_images_of_training_had_to_judge():
    notes = vd.run("random", lambda: Doubled(gym.make(IMAGES)), episodes=5, seed=0).log.notes
    assert any(note.startswith("was evaluated where it learnt: wrapper Doubled may change") for note in notes)
    assert not any("was evaluated" in note for note in vd.run("random", IMAGES, episodes=5, seed=0).log.notes)


def test_an_environment_of_ones_own_class_is_sampled():
    class Own(Text):
        """May reward what it likes."""

    profile = EnvironmentProfile.of("own", Own)
    assert (profile.contents.num_examples, profile.contents.evaluation, profile.best) == (1, None, None)
    notes = vd.run("random", Own, episodes=5, seed=0).log.notes
    assert notes[-1] == "was evaluated where it learnt: what its episodes reward is known to its class alone"


def test_where_texts_are_cut_the_share_of_letters_is_not_told():
    cut = gym.make(TEXT, max_episode_steps=3).spec
    results = vd.compare({"a": "q_learning(discount=0)", "b": "random"}, {"cut": lambda: gym.make(cut)}, seeds=2,
                         episodes=20, workers=0)  # fmt: skip
    assert results.settings.contents["cut"].num_guesses == 1
    assert not any("reward a guess" in note for note in footnotes(results))
    assert "cut: success if info['is_success']; learnt on hihello: 1 text" in "\n".join(footnotes(results))


def test_a_share_of_letters_has_an_interval_within_its_limits():
    agents = {"a": "q_learning(discount=0)", "b": "random"}
    results = vd.compare(agents, TEXT, seeds=3, episodes=3, workers=0)
    rows = results.rows()
    assert min(row["greedy_return_low"] for row in rows) < 0
    lines = [line for line in format_table(results, "markdown").splitlines() if line.startswith(("| a |", "| b |"))]
    assert len(lines) == 2
    assert not any("[-" in line.split("|")[5] for line in lines)


def test_a_table_without_a_share_of_letters_does_not_explain_it():
    results = vd.compare(["random", "q_learning(discount=0)"], f"{TEXT}(text='ab')", seeds=2, episodes=3, workers=0)
    assert not any("reward a guess" in note for note in footnotes(results))


def test_memory_is_flat_in_the_number_of_examples():
    asked = []

    class Watched(RandomAgent):
        def act(self, observation, *, explore=False):
            asked.append(len(observation))
            return np.zeros(len(observation), dtype=np.int64)

    images = np.zeros((2500, 2, 2), dtype=np.uint8)
    env = Classification(Dataset("many", images, np.arange(2500) % 2, images, np.arange(2500) % 2))
    assert guesses_of(Watched(), env, images, is_sequence=False).shape == (2500,)
    assert asked == [1000, 1000, 500]


def test_reading_windows_leaves_no_memory_behind():
    agent = CharRNN()
    env = gym.make(TEXT, name="if_you_want_you", window=4)
    agent.train(env, episodes=50, seed=0)
    inputs = env.unwrapped.examples.inputs
    alone = [guesses_of(agent, env, inputs[place : place + 1], is_sequence=True)[0].tolist() for place in range(12)]
    assert guesses_of(agent, env, inputs, is_sequence=True).tolist() == alone
    assert guesses_of(agent, env, inputs[::-1], is_sequence=True)[::-1].tolist() == alone


# ---- the best possible ----


@st.composite
def sequences(draw):
    """Texts of few characters in windows, whose beginnings are often alike; or labels that inputs do not show."""
    num_steps, size = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    row = st.lists(st.integers(0, size - 1), min_size=num_steps, max_size=num_steps)
    number = draw(st.integers(1, 6))
    inputs = np.array(draw(st.lists(row, min_size=number, max_size=number)))
    labels = np.array(draw(st.lists(row, min_size=number, max_size=number)))
    return LabelledExamples(inputs, labels), size


def by_trying_all(examples, size):
    """Best success rate and return of any deterministic policy that remembers what it read: all are tried."""
    inputs, labels = examples
    histories = sorted({tuple(row[: step + 1]) for row in inputs.tolist() for step in range(inputs.shape[1])})
    best_rate = best_return = 0.0
    for choice in itertools.product(range(size), repeat=len(histories)):
        policy = dict(zip(histories, choice, strict=True))
        guesses = [[policy[tuple(row[: step + 1])] for step in range(len(row))] for row in inputs.tolist()]
        right = np.array(guesses) == labels
        best_rate = max(best_rate, right.all(axis=1).mean())
        best_return = max(best_return, right.sum(axis=1).mean())
    return best_rate, best_return


@given(sequences())
def test_the_best_possible_is_that_of_all_policies_that_remember(drawn):
    examples, size = drawn
    histories = {tuple(row[: step + 1]) for row in examples.inputs.tolist() for step in range(examples.inputs.shape[1])}
    if size ** len(histories) > 3000:
        return
    best = best_on_examples(examples)
    rate, mean_return = by_trying_all(examples, size)
    assert best.success_rate == pytest.approx(rate)
    assert best.expected_return == pytest.approx(mean_return)


def test_of_the_long_sentence_the_ceiling_is_that_of_the_lectures_windows():
    best = best_on_examples(Text(name="long_sentence", window=10).examples)
    assert best.expected_return / 10 == pytest.approx(0.8965, abs=5e-5)
    assert best_on_examples(Text(name="long_sentence").examples).success_rate == 1.0


def test_the_random_policy_is_right_by_chance():
    assert random_on_examples(np.zeros(5, dtype=np.int64), 10).success_rate == pytest.approx(0.1)
    value = random_on_examples(np.zeros((5, 3), dtype=np.int64), 4)
    assert (value.success_rate, value.expected_return) == pytest.approx((1 / 64, 0.75))
    env = gym.make(TEXT, name="hello")
    rng = np.random.default_rng(0)
    returns = [sum(env.step(int(rng.integers(4)))[1] for _ in range(4)) for _ in range(2000) if env.reset() is not None]
    value = random_on_examples(env.unwrapped.examples.labels, 4)
    assert np.mean(returns) == pytest.approx(value.expected_return, abs=0.1)


def test_a_success_rule_of_the_experiments_own_is_followed_and_has_no_best():
    trial = vd.run("q_learning(discount=0)", TEXT, episodes=200, seed=0, success="return >= 4")
    assert trial.evaluation.success_rate == 1.0
    assert trial.profile.best.success_rate is None
    assert trial.profile.best.expected_return == 6.0
    assert vd.run("random", IMAGES, episodes=5, success="none").evaluation.mean_return > 0


def test_tables_know_how_far_from_the_best_possible_and_what_learning_cost():
    results = vd.compare({"chance": "random", "table": "q_learning(discount=0)"}, TEXT, seeds=5, episodes=60, workers=0)
    rows = {row["agent"]: row for row in results.rows()}
    assert rows["table"]["best_return"] == 6.0
    assert rows["table"]["regret_mean"] < rows["chance"]["regret_mean"]
    assert rows["chance"]["random_return"] == pytest.approx(1.2)


# ---- contents ----


def test_a_file_that_changed_is_learnt_from_again_and_one_that_moved_is_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = stripes(tmp_path)

    def told():
        progress = []
        vd.compare(["random"], f"{IMAGES}(path='stripes.npz')", seeds=2, episodes=5, out="r", workers=0,
                   progress=progress.append)  # fmt: skip
        return progress[-1].reused

    assert [told(), told()] == [0, 2]
    assert vd.verify("r", workers=0).reproduced == 2
    stripes(tmp_path, seed=1)
    (line,) = {remark for trial in vd.verify("r", workers=0).not_verified for remark in trial.remarks}
    assert line == f"the contents of {IMAGES}(path='stripes.npz') are no longer those that it was trained on"
    assert told() == 0
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    assert told() == 2


def test_joined_results_tell_other_contents_of_one_name_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place, results = f"{IMAGES}(path='stripes.npz')", []
    for seed, name in ((0, "first"), (0, "same"), (1, "other")):
        stripes(tmp_path, seed=seed)
        results.append(vd.compare(["random"], place, seeds=2, episodes=5, name=name, workers=0))
    assert vd.Results.joined(results[:2]).environments == [place]
    assert vd.Results.joined(results[::2]).environments == [f"{place} (first)", f"{place} (other)"]


def test_a_specification_holds_the_digest_of_contents_and_of_nothing_else(tmp_path):
    vd.compare(["random"], {"a": TEXT, "b": "FrozenLake-v1"}, seeds=1, episodes=3, out=tmp_path, workers=0)
    with Store.open_for_reading(tmp_path) as store:
        rows = store.connection.execute("SELECT environment, specification FROM trials").fetchall()
    contents = {environment: json.loads(text).get("contents") for environment, text in rows}
    assert contents == {"FrozenLake-v1": None, TEXT: Text().contents_digest}


def test_notes_say_what_was_learnt_from_and_what_judged():
    results = vd.compare(["random"], {"digits": IMAGES, "text": TEXT}, seeds=2, episodes=3, workers=0)
    notes = "\n".join(footnotes(results))
    assert (
        "digits: success if info['is_success']; learnt on digits: 1,437 images of the train split (scikit-learn's "
        "digits of 8x8 pixels), evaluated on 360 images of the test split; compared by greedy success"
    ) in notes
    assert "text: success if info['is_success']; learnt and evaluated on hihello: 1 text of 6 guesses" in notes
    joined = "\n".join(footnotes(vd.Results.joined([results, results])))
    assert "evaluated on 360 images of the test split" in joined


def test_most_environments_have_no_contents():
    env = make_environment("FrozenLake-v1")
    assert vars(Contents.of(env, EnvironmentProfile.of("lake", lambda: env, keeps_open=env).rule)) == vars(Contents())
    results = vd.compare(["random"], "FrozenLake-v1", seeds=1, episodes=3, workers=0)
    assert results.settings.contents == {}


# ---- without tensorflow ----

NO_TENSORFLOW = """
import sys
from velodrome.experiments.cli.application import main
codes = [main(arguments) for arguments in (
    ["list"],
    ["run", "random", "velodrome/Classification-v0", "--epochs", "1"],
    ["run", "q_learning", "velodrome/Text-v0", "--episodes", "30"],
    ["compare", "frozenlake", "--seeds", "2", "--episodes", "20", "--workers", "0", "--quiet"],
    ["table", "results"],
)]
print(codes, sorted({"tensorflow", "keras"} & set(sys.modules)))
"""


def test_nothing_here_imports_tensorflow_unless_a_network_learns(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", NO_TENSORFLOW], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[0, 0, 0, 0, 0] []"


def test_evaluating_the_same_agent_twice_gives_the_same():
    trial = vd.run("char_rnn", TEXT, episodes=30, seed=0)
    assert evaluate(trial.trained, trial.profile, seed=0) == trial.evaluation
