"""Figures of one trial: they show what the agent does, and apply to every agent on labelled examples."""

import dataclasses
import sys

import gymnasium as gym
import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, strategies as st
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

import velodrome as vd
from velodrome.agents import (
    MLP,
    CharRNN,
    DeepCNN,
    Ensemble,
    KerasAgent,
    QLearning,
    RandomAgent,
    SimpleCNN,
    SoftmaxRegression,
)
from velodrome.agents.deep.keras_runtime import keras
from velodrome.envs import Dataset, Discretize
from velodrome.envs.labelled.datasets.dataset import LabelledExamples
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.accuracy_by_epoch import FinalAccuracy, draw_accuracy_by_epoch, mean_by_epoch
from velodrome.experiments.plotting.confident_mistakes import draw_confident_mistakes, most_confident_mistakes
from velodrome.experiments.plotting.confusion_matrix import confusion_counts, draw_confusion_matrix
from velodrome.experiments.plotting.figures import figure_bytes
from velodrome.experiments.plotting.first_layer_filters import draw_first_layer_filters, first_layer_filters
from velodrome.experiments.plotting.prediction_history import is_shown, joined, prediction_history
from velodrome.experiments.plotting.prediction_strip import MOST_LETTERS, draw_prediction_strip
from velodrome.experiments.plotting.trial_figures import FIGURES, trial_figures
from velodrome.experiments.trials.evaluation import wilson_interval
from velodrome.experiments.trials.example_evaluation import guesses_of

DIGITS = "velodrome/Classification-v0"
HIHELLO = "velodrome/Text-v0(name='hihello')"
NUM_DIGITS = 1437


def texts(axes):
    return [text.get_text() for text in axes.texts]


def caption(figure):
    return figure.get_suptitle()


def unwrapped(text):
    return text.replace("\n", " ")


def read_side_by_side(agent, sequences):
    return guesses_of(agent, gym.make("velodrome/Text-v0"), sequences, is_sequence=True)


@pytest.fixture(scope="module")
def digits_trial():
    """Two epochs and 100 images of softmax regression, evaluated on the test images."""
    return vd.run("softmax_regression(learning_rate=0.01)", DIGITS, episodes=2 * NUM_DIGITS + 100, seed=3)


@pytest.fixture(scope="module")
def digits_figures(digits_trial):
    return trial_figures(digits_trial)


@pytest.fixture(scope="module")
def text_trial():
    return vd.run("char_rnn", HIHELLO, episodes=30, seed=0, evaluation_episodes=1)


# ---- which figures there are ----


def test_the_figures_of_a_classifier(digits_figures):
    assert list(digits_figures) == ["accuracy", "confusion", "mistakes", "filters"]
    assert all(isinstance(figure, Figure) for figure in digits_figures.values())


def test_nothing_global_changes_and_files_are_the_same_each_time(digits_trial, digits_figures):
    before = dict(mpl.rcParams)
    again = trial_figures(digits_trial)
    assert dict(mpl.rcParams) == before
    for name, figure in again.items():
        assert figure_bytes(figure, ".png") == figure_bytes(digits_figures[name], ".png")
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


@pytest.mark.parametrize(
    ("agent", "place", "names"),
    [
        ("random", DIGITS, ["accuracy", "confusion"]),
        ("char_rnn(hidden=4)", HIHELLO, ["accuracy", "strip"]),
        ("softmax_regression(learning_rate=0.1)", HIHELLO, ["accuracy", "strip"]),
        ("q_learning(discount=0)", HIHELLO, ["accuracy", "strip"]),
        ("random", "velodrome/Text-v0(name='long_sentence', window=10)", ["accuracy", "strip"]),
        ("q_learning", "FrozenLake-v1", []),
    ],
)
def test_every_agent_has_the_figures_that_apply(agent, place, names):
    assert list(trial_figures(vd.run(agent, place, episodes=20, evaluation_episodes=2))) == names


def test_only_those_that_are_wanted(digits_trial):
    assert list(trial_figures(digits_trial, only=["filters", "confusion"])) == ["confusion", "filters"]
    with pytest.raises(
        ExperimentError, match=r"^only must name curves, accuracy, .*, got 'mistake': did you mean 'mistakes'\?"
    ):
        trial_figures(digits_trial, only=["mistake"])
    assert list(FIGURES) == ["accuracy", "confusion", "mistakes", "filters", "strip"]


def test_what_is_shown_is_of_the_images_that_are_evaluated_on(digits_trial, digits_figures):
    right = round(360 * digits_trial.evaluation.success_rate)
    assert f"{right} of 360 images right" in caption(digits_figures["confusion"])
    assert f"{360 - right} mistake" in caption(digits_figures["mistakes"])
    for name in ("accuracy", "confusion", "mistakes"):
        assert "seed 3, evaluated on digits: 360 images of the test split" in unwrapped(caption(digits_figures[name]))


def test_it_is_said_where_the_images_are_those_of_training():
    trial = vd.run("softmax_regression", f"{DIGITS}(split='test')", episodes=360)
    assert "evaluated on the images of training" in caption(trial_figures(trial, only=["confusion"])["confusion"])


# ---- accuracy by epoch ----


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=60), st.integers(1, 20))
def test_epochs_share_the_examples_out(right, epoch_size):
    ends, means = mean_by_epoch(right, epoch_size)
    sizes = np.diff(ends, prepend=0.0) * epoch_size
    assert sizes[:-1] == pytest.approx(np.full(len(sizes) - 1, epoch_size))
    assert 0 < sizes[-1] <= epoch_size + 1e-9
    assert ends[-1] * epoch_size == pytest.approx(len(right))
    assert means @ sizes == pytest.approx(sum(right))


def test_accuracy_shows_the_log_s_epochs_and_what_evaluation_found(digits_trial, digits_figures):
    (axes,) = digits_figures["accuracy"].axes
    complete, _, hollow, interval, final = axes.get_lines()[:5]
    successes = digits_trial.log.successes
    assert complete.get_xdata().tolist() == [1, 2]
    assert complete.get_ydata() == pytest.approx([successes[:NUM_DIGITS].mean(), successes[NUM_DIGITS:-100].mean()])
    assert hollow.get_ydata() == pytest.approx([successes[-100:].mean()])
    assert hollow.get_markerfacecolor() == "white"
    found = digits_trial.evaluation
    assert final.get_ydata() == pytest.approx([found.success_rate])
    assert interval.get_ydata() == pytest.approx(wilson_interval(round(360 * found.success_rate), 360))
    assert "2 epochs, hollow: 100 images of the next" in caption(digits_figures["accuracy"])
    assert any("360 images" in unwrapped(text) for text in texts(axes))


def test_held_out_examples_are_no_part_of_an_epoch():
    trial = vd.run(SoftmaxRegression(validation=437), DIGITS, episodes=2000, seed=0, evaluation_episodes=2)
    (axes,) = trial_figures(trial, only=["accuracy"])["accuracy"].axes
    assert axes.get_xlabel() == "epoch of 1,000 images"
    assert len(axes.get_lines()[0].get_xdata()) == 2


def test_of_a_text_accuracy_is_of_characters(text_trial):
    (axes,) = trial_figures(text_trial, only=["accuracy"])["accuracy"].axes
    curve, final = axes.get_lines()[:2]
    assert curve.get_ydata() == pytest.approx(text_trial.log.returns / 6)
    assert final.get_ydata() == pytest.approx([text_trial.evaluation.mean_return / 6])
    assert axes.get_ylabel() == "share of characters guessed right"


def test_a_success_rule_of_ones_own_is_not_called_accuracy():
    trial = vd.run("random", DIGITS, episodes=30, seed=0, success="return >= 0")
    axes = trial_figures(trial, only=["accuracy"])["accuracy"].axes[0]
    assert axes.get_ylabel() == "success: return >= 0"


def test_texts_that_are_cut_have_no_final_share():
    trial = vd.run("random", "velodrome/Text-v0(max_episode_steps=3)", episodes=5, seed=0)
    axes = trial_figures(trial, only=["accuracy"])["accuracy"].axes[0]
    assert not any("evaluation" in text.get_text() for text in axes.texts)


def test_a_final_accuracy_without_interval_has_no_bar():
    final = FinalAccuracy(1.0, np.nan, np.nan, "9 images")
    (axes,) = draw_accuracy_by_epoch([0, 1, 1, 1], 2, final=final).axes
    assert [line.get_label() for line in axes.get_lines()].count("_leader") == 2
    assert len(axes.get_lines()) == 4
    assert axes.get_ylim()[1] >= 1.01


def test_accuracy_of_nothing_is_refused():
    with pytest.raises(ExperimentError, match="needs one value for each example seen"):
        draw_accuracy_by_epoch([], 3)


# ---- confusion matrix ----


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=50))
def test_confusions_are_counted_as_by_scikit_learn(pairs):
    labels, guesses = np.array(pairs).T
    assert np.array_equal(confusion_counts(labels, guesses, 5), confusion_matrix(labels, guesses, labels=range(5)))


def test_cells_have_counts_and_shares_of_their_row():
    figure = draw_confusion_matrix([0, 0, 0, 0, 1], [0, 0, 0, 1, 1], 3, class_names=["cat", "dog", "$owl$"])
    axes = figure.axes[0]
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "3\n75 %", (1, 0): "1\n25 %", (1, 1): "1\n100 %"}
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["cat  (n = 4)", "dog  (n = 1)", "$owl$  (n = 0)"]
    assert np.isnan(np.ma.filled(axes.images[0].get_array(), np.nan)[2]).all()
    assert "4 of 5 examples right (80 %)" in caption(figure)


def test_a_share_is_never_rounded_to_all_or_nothing():
    labels = np.zeros(10_000, dtype=int)
    guesses = labels.copy()
    guesses[0] = 1
    assert texts(draw_confusion_matrix(labels, guesses, 2).axes[0]) == ["9999\n99.9 %", "1\n<1 %"]


@pytest.mark.parametrize(("num_classes", "text"), [(20, "2\n100 %"), (26, "2"), (40, "2")])
def test_many_classes_have_less_in_a_cell(num_classes, text):
    labels = np.repeat(np.arange(num_classes), 2)
    axes = draw_confusion_matrix(labels, labels, num_classes).axes[0]
    assert texts(axes) == [text] * num_classes


def test_where_cells_have_no_room_the_caption_tells_the_most_frequent_confusions():
    labels = np.repeat(np.arange(100), 10)
    guesses = labels.copy()
    guesses[120:127] = 77
    figure = draw_confusion_matrix(labels, guesses, 100)
    assert texts(figure.axes[0]) == []
    assert len(figure.axes[0].get_yticks()) <= 60
    assert "most frequent: 12 taken for 77 (7)" in caption(figure)


@pytest.mark.parametrize(
    ("labels", "guesses", "match"),
    [
        ([0, 3], [0, 1], "labels must be classes from 0 to 2, got 3"),
        ([0, 1], [-1, 1], "guesses must be classes from 0 to 2, got -1"),
        ([0, 1], [1], "one a example"),
        ([], [], "at least one example"),
    ],
)
def test_confusions_that_cannot_be_are_refused(labels, guesses, match):
    with pytest.raises(ExperimentError, match=match):
        draw_confusion_matrix(np.array(labels, dtype=int), np.array(guesses, dtype=int), 3)


def test_an_agent_that_learns_from_reward_sees_the_images_through_its_wrappers():
    bins = np.ones(64, dtype=int)
    bins[[20, 28, 36, 43]] = 3

    def pixels():
        return Discretize(gym.make(DIGITS, split="test"), bins=bins.tolist())

    agent = QLearning(discount=0, policy=vd.policies.EpsilonGreedy(epsilon=0.1, ties="first"))
    trial = vd.run(agent, pixels, episodes=2000, seed=0, evaluation_episodes=360)
    figures = trial_figures(trial)
    assert list(figures) == ["accuracy", "confusion"]
    right = round(360 * trial.evaluation.success_rate)
    assert right > 72
    assert f"{right} of 360 images right" in caption(figures["confusion"])


# ---- confident mistakes ----


@given(st.data())
def test_mistakes_come_the_surest_first(data):
    number = data.draw(st.integers(1, 30))
    weights = data.draw(st.lists(st.integers(1, 5), min_size=3 * number, max_size=3 * number))
    probabilities = np.array(weights, dtype=float).reshape(number, 3)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    labels = np.array(data.draw(st.lists(st.integers(0, 2), min_size=number, max_size=number)))
    places, count = most_confident_mistakes(labels, probabilities, 4)
    wrong = set(np.flatnonzero(probabilities.argmax(axis=1) != labels))
    confidences = probabilities.max(axis=1)
    assert count == len(wrong)
    assert len(places) == min(4, count)
    assert set(places) <= wrong
    assert (np.diff(confidences[places]) <= 0).all()
    assert all(confidences[other] <= confidences[places[-1]] for other in wrong - set(places))


def test_a_mistake_is_told_with_label_guess_and_confidence():
    images = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)
    probabilities = [[0.1, 0.9], [0.8, 0.2], [0.00001, 0.99999]]
    figure = draw_confident_mistakes(images, [0, 0, 0], probabilities, class_names=["$cat$", "dog"])
    (axes,) = figure.axes
    assert texts(axes) == ["true $cat$\nguess dog\n> 0.999", "true $cat$\nguess dog\n0.900"]
    assert np.array_equal(axes.images[0].get_array() * 255, images[2])
    assert "all 2 mistakes in 3 images" in caption(figure)


def test_without_mistakes_a_sentence_says_so():
    figure = draw_confident_mistakes(np.zeros((2, 4, 4, 3)), [0, 1], np.eye(2))
    assert texts(figure.axes[0]) == ["no mistakes: all 2 images were guessed right"]


def test_confidences_are_the_agent_s(digits_trial, digits_figures):
    inputs, labels = gym.make(DIGITS, split="test").unwrapped.examples
    logits = digits_trial.trained.predict_logits(inputs).astype(float)
    wrong = np.flatnonzero(logits.argmax(axis=1) != labels)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    largest = (shares / shares.sum(axis=1, keepdims=True)).max(axis=1)[wrong].max()
    first = texts(digits_figures["mistakes"].axes[0])[0].splitlines()[-1]
    assert first == (f"{largest:.3f}" if largest < 0.9995 else "> 0.999")
    assert f"the 24 most confident of {len(wrong)} mistakes in 360 images" in caption(digits_figures["mistakes"])


def test_of_an_ensemble_that_votes_confidence_is_the_share_of_votes():
    agent = Ensemble(member=SoftmaxRegression(), size=4, combine="vote")
    figure = trial_figures(vd.run(agent, DIGITS, episodes=100, evaluation_episodes=2), only=["mistakes"])["mistakes"]
    shares = {text.splitlines()[-1] for text in texts(figure.axes[0])}
    assert shares <= {"0.250", "0.500", "0.750", "1.000"}
    assert "share of the votes" in caption(figure)


# ---- filters ----


def saved_arrays(agent, folder):
    agent.save(folder)
    with np.load(folder / "arrays.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (SimpleCNN(), "network/weights/convolution_1/kernel"),
        (DeepCNN(weight_averaging=0.9), "network/averaged/convolution_1/kernel"),
        (Ensemble(member=SimpleCNN(), size=2), "network/member_1/weights/convolution_1/kernel"),
    ],
    ids=["simple_cnn", "averaged", "ensemble"],
)
def test_filters_are_the_first_convolution_s(agent, name, tmp_path):
    agent.train(DIGITS, episodes=20, seed=0)
    found = first_layer_filters(agent)
    assert np.array_equal(found.weights, saved_arrays(agent, tmp_path)[name].transpose(3, 0, 1, 2))
    assert ("first member" in found.description) == isinstance(agent, Ensemble)


def test_filters_of_dense_layers_are_images(tmp_path):
    regression, perceptron = SoftmaxRegression(), MLP(hidden=5, layers=1)
    regression.train(DIGITS, episodes=20, seed=0)
    perceptron.train(DIGITS, episodes=20, seed=0)
    found = first_layer_filters(regression)
    kernel = saved_arrays(regression, tmp_path)["network/weights/dense_1/kernel"]
    assert np.array_equal(found.weights[7, :, :, 0].ravel(), kernel[:, 7])
    assert found.names == tuple("0123456789")
    assert first_layer_filters(perceptron).weights.shape == (5, 8, 8, 1)
    assert first_layer_filters(perceptron).names is None


def test_filters_of_the_user_s_own_model():
    layers = keras().layers
    model = keras().Sequential(
        [
            keras().Input((8, 8)), layers.Reshape((8, 8, 1)), layers.Conv2D(6, 5), layers.Conv2D(4, 3),
            layers.Flatten(), layers.Dense(10),
        ]
    )  # fmt: skip
    without = keras().Sequential([keras().Input((8, 8)), layers.Flatten(), layers.Dense(10)])
    found = []
    for own in (model, without):
        agent = KerasAgent(model=own)
        agent.train(DIGITS, episodes=10, seed=0)
        found.append(first_layer_filters(agent))
    assert found[0].weights.shape == (6, 5, 5, 1)
    assert found[1] is None


def test_agents_without_filters():
    assert first_layer_filters(SimpleCNN()) is None
    assert first_layer_filters(RandomAgent()) is None


def test_all_filters_are_on_one_scale_around_zero():
    weights = np.random.default_rng(0).normal(size=(5, 3, 3, 3))
    figure = draw_first_layer_filters(weights, names=list("abcde"))
    axes = figure.axes[0]
    assert texts(axes) == list("abcde")
    largest = np.abs(weights).max()
    assert {image.get_clim() for image in axes.images} == {(-largest, largest)}
    assert axes.images[0].get_array().shape == (3, 11)
    assert np.array_equal(axes.images[4].get_array()[:, 4:7], weights[4, :, :, 1])
    assert "5, 3x3, 3 channels side by side" in caption(figure)


def test_of_many_filters_the_first_are_shown():
    assert "the first 64 of 100, 2x2" in caption(draw_first_layer_filters(np.zeros((100, 2, 2))))
    with pytest.raises(ExperimentError, match=r"filters must be .* got \(4, 4\)"):
        draw_first_layer_filters(np.zeros((4, 4)))
    with pytest.raises(ExperimentError, match="names must be 3, one a filter, got 2"):
        draw_first_layer_filters(np.zeros((3, 2, 2)), names=["a", "b"])


# ---- the history of predictions ----


@pytest.mark.parametrize(
    ("agent", "arguments", "episodes"),
    [
        (CharRNN(cell="gru"), {"name": "hihello"}, 30),
        (CharRNN(batch_size=60), {"name": "long_sentence", "window": 10}, 400),
        # Its learning rate is laid out over the call, so that training in parts would not be the same.
        (SoftmaxRegression(schedule="cosine", learning_rate=0.1), {"name": "hihello"}, 25),
    ],
    ids=["gru", "in batches", "cosine"],
)
def test_being_asked_changes_nothing(agent, arguments, episodes):
    env = gym.make("velodrome/Text-v0", **arguments)
    inputs = env.unwrapped.examples.inputs
    undisturbed = dataclasses.replace(agent)
    undisturbed.train(gym.make("velodrome/Text-v0", **arguments), episodes=episodes, seed=5)
    history = prediction_history(agent, env, episodes=episodes, seed=5)
    assert history[-1].episodes == episodes
    assert np.array_equal(history[-1].guesses, read_side_by_side(undisturbed, inputs))
    by_logits = undisturbed.predict_logits(inputs if agent.name == "char_rnn" else inputs.ravel()).argmax(axis=-1)
    assert np.array_equal(history[-1].guesses.ravel(), by_logits.ravel())
    assert not agent.is_trained


@pytest.mark.parametrize("agent", ["random", "q_learning(discount=0)"])
def test_who_acts_by_chance_ends_with_what_was_evaluated(agent):
    trial = vd.run(agent, "velodrome/Text-v0", episodes=3, seed=0)
    env = gym.make("velodrome/Text-v0")
    history = prediction_history(trial.trained, env, episodes=3, seed=0)
    right = history[-1].guesses == env.unwrapped.examples.labels
    assert right.sum() == trial.evaluation.mean_return


def test_iterations_are_batches():
    env = gym.make("velodrome/Text-v0", name="long_sentence", window=10)
    history = prediction_history(CharRNN(batch_size=60), env, episodes=400, seed=0, sequences=[[0, 1, 2]])
    assert [one.iteration for one in history] == [1, 2, 3, 4, 5, 6, 7]
    assert [one.episodes for one in history] == [60, 120, 170, 230, 290, 340, 400]
    assert history[0].guesses.shape == (1, 3)


def test_each_early_iteration_is_asked_and_later_ones_less_and_less():
    env = gym.make("velodrome/Text-v0", name="hihello")
    agent = QLearning(discount=0, policy=vd.policies.EpsilonGreedy(epsilon=0.1, ties="first"))
    history = prediction_history(agent, env, steps=6 * 900 + 2, seed=0)
    asked = [one.iteration for one in history]
    assert asked[:100] == list(range(1, 101))
    assert len(asked) < 200
    assert {number for number in range(1, 901) if is_shown(number)} <= set(asked)
    assert asked[-1] == 900
    trained = dataclasses.replace(agent)
    trained.train(gym.make("velodrome/Text-v0", name="hihello"), steps=6 * 900 + 2, seed=0)
    assert np.array_equal(read_side_by_side(trained, env.unwrapped.examples.inputs), history[-1].guesses)


def test_the_iterations_of_a_strip():
    assert [number for number in range(1, 600) if is_shown(number)] == [
        1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 300, 500,
    ]  # fmt: skip


def test_windows_are_put_together_where_one_follows_the_other():
    inputs = np.array([[0, 1, 2], [1, 2, 3], [2, 3, 4]])
    guesses = np.array([[10, 11, 12], [20, 21, 22], [30, 31, 32]])
    assert joined(inputs, guesses).tolist() == [10, 11, 12, 22, 32]
    assert joined(inputs[::-1], guesses).tolist() == [10, 11, 12]
    assert joined(inputs[:1], guesses[:1]).tolist() == [10, 11, 12]


def test_a_history_needs_sequences():
    with pytest.raises(ExperimentError, match=r"of sequences, .* these have shape \(1437, 8, 8\)"):
        prediction_history(SoftmaxRegression(), gym.make(DIGITS), episodes=5, seed=0)


# ---- the strip ----


def rows_of(figure):
    """Texts of the strip's rows by the name beside them, without the counts."""
    (axes,) = figure.axes
    rows = {}
    for height, tick in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True):
        letters = sorted((t.get_position()[0], t.get_text()) for t in axes.texts if t.get_position()[1] == height)
        rows[tick.get_text()] = "".join(text for _, text in letters if len(text) == 1)
    return rows


def test_the_strip_of_a_trial_ends_with_what_was_learnt(text_trial):
    figure = trial_figures(text_trial, only=["strip"])["strip"]
    rows = rows_of(figure)
    env = text_trial.profile.make()
    history = prediction_history(text_trial.trained, env, episodes=30, seed=0)
    first = next(one.iteration for one in history if (one.guesses == env.unwrapped.examples.labels).all())
    assert rows["text"] == rows["30"] == rows[str(first)] == "ihello"
    assert {"1", "2", "3", "5", "8", "12", "20", "30", str(first)} | {"text"} == set(rows)
    assert f"no mistake, first after iteration {first}" in caption(figure)
    before = history[first - 2]
    assert "".join("ehilo"[number] for number in before.guesses[0]) != "ihello"


def test_wrong_characters_are_told_without_colour_and_spaces_seen():
    figure = draw_prediction_strip("a b\n", {1: "  b.", 2: "a b\n"})
    rows = rows_of(figure)
    assert rows == {"text": "a␣b↵", "1": "␣␣b.", "2": "a␣b↵"}
    (axes,) = figure.axes
    bold = [t.get_position() for t in axes.texts if t.get_weight() == "bold"]
    assert bold == [(0, 1), (3, 1)]
    assert [text for text in texts(axes) if "of" in text] == ["2 of 4", "4 of 4"]
    assert "␣: a space" in caption(figure)


def test_of_a_long_text_the_beginning_is_shown():
    right = "abcdefghij" * 25
    figure = draw_prediction_strip(right, {1: right[::-1], 7: right})
    (axes,) = figure.axes
    assert sum(len(text) == 1 for text in texts(axes)) == 3 * MOST_LETTERS
    assert f"the first {MOST_LETTERS} of 250 characters" in caption(figure)
    assert texts(axes).count("250 of 250") == 1


@pytest.mark.parametrize(
    ("right", "guesses", "match"),
    [
        ("", {1: ""}, "at least one character"),
        ("abc", {}, "a row of guesses"),
        ("abc", {1: "abc", 2: "ab"}, "as long as the text, 3 characters: iteration 2 has 2"),
    ],
)
def test_a_strip_that_cannot_be_is_refused(right, guesses, match):
    with pytest.raises(ExperimentError, match=match):
        draw_prediction_strip(right, guesses)


# ---- classes that do not begin at 0 ----


class Signs(gym.Env):
    """Bright images are of class 6, dark ones of class 5."""

    def __init__(self):
        images = np.repeat(np.arange(40, dtype=np.uint8) * 6, 4).reshape(40, 2, 2)
        self.examples = LabelledExamples(images, 5 + (images[:, 0, 0] > 120).astype(np.int64))
        self.observation_space = gym.spaces.Box(0, 255, (2, 2), np.uint8)
        self.action_space = gym.spaces.Discrete(2, start=5)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._place = int(self.np_random.integers(40))
        return self.examples.inputs[self._place], {}

    def step(self, action):
        right = bool(action == self.examples.labels[self._place])
        return self.examples.inputs[self._place], float(right), True, False, {"is_success": right}


def test_classes_keep_their_numbers():
    figures = trial_figures(vd.run(SoftmaxRegression(learning_rate=0.1), Signs, episodes=400, evaluation_episodes=40))
    names = [tick.get_text() for tick in figures["confusion"].axes[0].get_xticklabels()]
    assert names == ["5", "6"]
    cells = {text.get_position(): text.get_text() for text in figures["confusion"].axes[0].texts}
    assert int(cells[0, 0].split("\n")[0]) > 10
    assert int(cells[1, 1].split("\n")[0]) > 10
    assert texts(figures["filters"].axes[0]) == ["5", "6"]


def test_a_user_s_own_dataset_of_colours():
    rng = np.random.default_rng(0)
    images = rng.random((90, 6, 6, 3), dtype=np.float32)
    labels = np.arange(90) % 3
    colours = Dataset("colours", images[:60], labels[:60], images[60:], labels[60:])

    def make():
        return gym.make(DIGITS, dataset=colours)

    figures = trial_figures(vd.run(SimpleCNN(), make, episodes=60, evaluation_episodes=3))
    assert list(figures) == ["accuracy", "confusion", "mistakes", "filters"]
    assert "3 channels side by side" in caption(figures["filters"])
