"""The character RNN learns the lectures' texts, and NumPy, TensorFlow and Keras agree about it."""

import math
import os
import subprocess
import sys
from collections import Counter, defaultdict

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

import velodrome as vd
from velodrome.agents import (
    Agent,
    BudgetError,
    CharRNN,
    ObservationError,
    QLearning,
    SavedAgentError,
    SoftmaxRegression,
    UnsupportedEnvironmentError,
)
from velodrome.agents.deep.keras_runtime import keras, tensorflow
from velodrome.agents.deep.recurrent_network import RecurrentNetwork, SequenceReader
from velodrome.agents.deep.recurrent_training import RecurrentLearner
from velodrome.agents.deep.sequence_loss import length_mask, sequence_loss
from velodrome.checks import ConfigurationError
from velodrome.envs import TEXTS
from velodrome.experiments.trials.checkpoints import train_with_checkpoints

CELLS = ("rnn", "lstm", "gru")
LONG = {"name": "long_sentence", "window": 10}


def text_environment(**arguments):
    return gym.make("velodrome/Text-v0", **arguments)


def read_to_the_end(agent, env):
    """What an agent guesses as it reads one episode."""
    observation, _ = env.reset()
    agent.begin_episode()
    guesses, terminated = [], False
    while not terminated:
        guesses.append(agent.act(observation))
        observation, _, terminated, _, _ = env.step(guesses[-1])
    return "".join(env.unwrapped.vocabulary[guess] for guess in guesses)


def saved_files(agent, folder):
    agent.save(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# ---- the sequence loss ----


def test_the_loss_of_the_lecture_s_example():
    # Lab 12: three steps, the right class is 1, and a logit of 1 for a class against 0 for the other.
    labels = [[1, 1, 1]]
    right, half = [[[0.0, 1.0]] * 3], [[[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]]]
    assert sequence_loss(right, labels) == pytest.approx(math.log(1 + math.exp(-1)))
    expected = (math.log(1 + math.exp(-1)) + math.log(1 + math.e) + math.log(2)) / 3
    assert sequence_loss(half, labels) == pytest.approx(expected)
    assert sequence_loss(half, labels, [[1, 0, 3]]) == pytest.approx((math.log(1 + math.exp(-1)) + 3 * math.log(2)) / 4)


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_numpy_and_tensorflow_give_the_same_loss(data):
    batch, num_steps, num_classes = (data.draw(st.integers(1, 4)) for _ in range(3))
    logits = data.draw(arrays(np.float32, (batch, num_steps, num_classes), elements=st.floats(-50, 50, width=32)))
    labels = data.draw(arrays(np.int64, (batch, num_steps), elements=st.integers(0, num_classes - 1)))
    weights = data.draw(arrays(np.float32, (batch, num_steps), elements=st.sampled_from([0.0, 0.5, 1.0, 3.0])))
    mask = data.draw(arrays(np.bool_, (batch, num_steps)))
    tf = tensorflow()
    ours = sequence_loss(logits, labels, weights, mask=mask)
    theirs = sequence_loss(tf.constant(logits), tf.constant(labels), tf.constant(weights), mask=tf.constant(mask))
    assert isinstance(ours, float)
    assert ours == pytest.approx(float(theirs), rel=1e-5, abs=1e-6)


def test_what_does_not_count_has_no_influence_on_loss_and_gradient():
    tf = tensorflow()
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(2, 4, 3)).astype(np.float32), rng.integers(0, 3, (2, 4))
    mask = length_mask([2, 3], 4)
    assert mask.tolist() == [[True, True, False, False], [True, True, True, False]]
    spoiled, absent = logits.copy(), labels.copy()
    spoiled[~mask], absent[~mask] = np.nan, -1
    expected = sequence_loss(logits, labels, mask.astype(float))
    assert sequence_loss(spoiled, absent, mask=mask) == expected
    with tf.GradientTape() as tape:
        tensor = tf.Variable(spoiled)
        loss = sequence_loss(tensor, absent, mask=mask)
    gradient = tape.gradient(loss, tensor).numpy()
    assert float(loss) == pytest.approx(expected, rel=1e-6)
    assert np.isfinite(gradient).all()
    assert (gradient[~mask] == 0).all()
    assert (gradient[mask] != 0).all()
    assert sequence_loss(logits, labels, np.zeros((2, 4))) == 0.0
    assert float(sequence_loss(tf.constant(logits), labels, np.zeros((2, 4)))) == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((2, 3)), np.zeros((2, 3), int)), r"logits must be \(batch, num_steps, num_classes\)"),
        ((np.zeros((2, 3, 4)), np.zeros((3, 2), int)), r"got \(2, 3, 4\) and \(3, 2\)"),
        ((np.zeros((1, 2, 4)), [[0, 4]]), "labels must be whole numbers from 0 to 3, got 4"),
        ((np.zeros((1, 2, 4)), [[0.0, 1.0]]), "labels must be whole numbers from 0 to 3, got float64"),
        ((np.zeros((1, 2, 4)), [[0, 1]], [[1.0, -1.0]]), "weights must be numbers of at least 0"),
        ((np.zeros((1, 2, 4)), [[0, 1]], [[1.0], [2.0]]), "weights must have shape"),
    ],
)
def test_a_loss_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        sequence_loss(*arguments)


@pytest.mark.parametrize("lengths", [[2], [2, 3], [[2, 3, 1]], 3], ids=str)
def test_there_is_one_length_for_each_sequence(lengths):
    agent = CharRNN(cell="gru", hidden=4)
    agent.train("velodrome/Text-v0", episodes=1, seed=0)
    with pytest.raises(ValueError, match=r"^lengths must be one for each of 3 sequences, got shape"):
        agent.outputs(np.zeros((3, 4), dtype=np.int64), lengths=lengths)


def test_lengths_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="lengths must be whole numbers from 0 to 4"):
        length_mask([2, 5], 4)


# ---- the network ----


def keras_model_of(network, num_steps=4):
    """The network made of Keras' layers."""
    kinds = {"rnn": keras().layers.SimpleRNN, "lstm": keras().layers.LSTM, "gru": keras().layers.GRU}
    layers = [kinds[network.cell](network.hidden, return_sequences=True) for _ in range(network.layers)]
    if network.bidirectional:
        layers = [keras().layers.Bidirectional(layer) for layer in layers]
    size = network.num_characters
    return keras().Sequential([keras().Input((num_steps, size)), *layers, keras().layers.Dense(size)])


def keras_model(network, weights, num_steps):
    """The network made of Keras' layers, with the same weights."""
    model = keras_model_of(network, num_steps)
    model.set_weights([*(part for layer in weights.layers for cell in layer for part in cell), *weights.head])
    return model


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_keras_computes_the_same_from_the_same_weights(cell, bidirectional):
    network = RecurrentNetwork(5, cell, 3, 2, bidirectional, True)
    rng = np.random.default_rng(1)
    vector = RecurrentLearner(network, rng).arrays()["weights"]
    vector += rng.normal(0, 0.1, len(vector)).astype(np.float32)
    model = keras_model(network, network.weights_of(vector), 7)
    sequences = rng.integers(0, 5, (4, 7))
    logits = SequenceReader(network, vector).logits(sequences)
    np.testing.assert_allclose(logits, model(np.eye(5, dtype=np.float32)[sequences]).numpy(), atol=2e-6)


@pytest.mark.parametrize(
    ("cell", "layers", "bidirectional"),
    [
        ("rnn", 1, True),
        ("lstm", 2, False),
        pytest.param("lstm", 1, True, marks=pytest.mark.slow),
        pytest.param("gru", 2, False, marks=pytest.mark.slow),
    ],
)
def test_training_is_keras_training(cell, layers, bidirectional):
    """Loss by loss and weight by weight that of Keras' layers, its cross-entropy and its Adam."""
    inputs, labels = text_environment(name="hihello", window=4).unwrapped.examples
    network = RecurrentNetwork(5, cell, 3, layers, bidirectional, True)
    learner = RecurrentLearner(network, np.random.default_rng(0))
    model = keras_model(network, network.weights_of(learner.arrays()["weights"]), 4)
    model.compile(keras().optimizers.Adam(0.05), keras().losses.SparseCategoricalCrossentropy(from_logits=True))
    for _ in range(5):
        expected = float(model.train_on_batch(np.eye(5, dtype=np.float32)[inputs], labels))
        model.reset_metrics()
        outcome = learner.learn(inputs, labels, 0.05, np.random.default_rng())
        assert outcome.loss == pytest.approx(expected, rel=2e-5)
    theirs = np.concatenate([array.ravel() for array in model.get_weights()])
    np.testing.assert_allclose(learner.arrays()["weights"], theirs, atol=2e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_first_weights_are_those_that_keras_draws_in_distribution(cell):
    network = RecurrentNetwork(40, cell, 30, 1, False, True)
    ((ours,),), head = network.weights_of(RecurrentLearner(network, np.random.default_rng(0)).arrays()["weights"])
    weights = [array.numpy() for array in keras_model_of(network).weights]
    for found, theirs in zip((*ours, *head), weights, strict=True):
        assert found.shape == theirs.shape
        assert found.std() == pytest.approx(theirs.std(), rel=0.05)
    np.testing.assert_array_equal(ours.bias, weights[2])
    np.testing.assert_allclose(ours.recurrent_kernel @ ours.recurrent_kernel.T, np.eye(30), atol=1e-6)


def test_training_needs_no_tensorflow():
    code = (
        "import sys\n"
        "from velodrome.agents import CharRNN\n"
        "CharRNN().train('velodrome/Text-v0', episodes=2, seed=0)\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_long_windows_are_learnt():
    agent = CharRNN(hidden=3)
    log = agent.train(text_environment(text="ab" * 50), episodes=30, seed=0)
    assert log.returns[-1] >= 98


def test_the_shapes_of_the_lecture():
    agent = CharRNN(hidden=2)
    env = text_environment(name="hello")
    agent.train(env, episodes=1, seed=0)
    encoded = np.array(
        [[env.unwrapped.vocabulary.index(letter) for letter in text] for text in ("hello", "eolll", "lleel")]
    )
    assert agent.outputs(encoded[:1, :1]).shape == (1, 1, 2)
    assert agent.outputs(encoded[:1]).shape == (1, 5, 2)
    outputs = agent.outputs(encoded)
    assert outputs.shape == (3, 5, 2)
    assert agent.predict_logits(encoded).shape == (3, 5, 4)
    shorter = agent.outputs(encoded, lengths=[5, 3, 4])
    assert (shorter[1, 3:] == 0).all()
    assert (shorter[2, 4:] == 0).all()
    assert (shorter[1, :3] == outputs[1, :3]).all()
    assert CharRNN(hidden=2).describe(env, batch=3, num_steps=5) == agent.describe(batch=3, num_steps=5)
    assert agent.describe(batch=3, num_steps=5).splitlines() == [
        "layer               output shape  parameters",
        "one-hot characters  (3, 5, 4)              0",
        "SimpleRNN           (3, 5, 2)             14",
        "Dense               (3, 5, 4)             12",
        "total                                     26",
    ]


def test_backward_layers_begin_at_each_sequence_s_own_end():
    agent = CharRNN(cell="gru", hidden=3, layers=2, bidirectional=True)
    agent.train("velodrome/Text-v0", episodes=1, seed=0)
    sequences = np.random.default_rng(0).integers(0, 5, (3, 6))
    outputs = agent.outputs(sequences, lengths=[6, 2, 4])
    np.testing.assert_allclose(outputs[1:2, :2], agent.outputs(sequences[1:2, :2]), atol=1e-6)
    np.testing.assert_allclose(outputs[2:3, :4], agent.outputs(sequences[2:3, :4]), atol=1e-6)


# ---- learning ----


@pytest.mark.parametrize("cell", CELLS)
def test_hihello_is_learnt_in_50_iterations_by_20_of_20_seeds(cell):
    env = text_environment(name="hihello")
    guessed = []
    for seed in range(20):
        agent = CharRNN(cell=cell)
        log = agent.train(env, episodes=50, seed=seed)
        assert (log.episodes, log.steps, log.loop) == (50, 300, "numpy")
        guessed.append(read_to_the_end(agent, env))
    assert guessed == ["ihello"] * 20


def check_if_you_want_you(cell):
    env = text_environment(name="if_you_want_you")
    for seed in range(10):
        agent = CharRNN(cell=cell)
        agent.train(env, episodes=50, seed=seed)
        assert read_to_the_end(agent, env) == "if you want you"


def test_if_you_want_you_is_learnt_by_10_of_10_seeds():
    check_if_you_want_you("lstm")


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["rnn", "gru"])
def test_if_you_want_you_is_learnt_with_the_other_cells(cell):
    check_if_you_want_you(cell)


def loss_floor(inputs, labels):
    """Smallest loss of anyone who has only seen the window so far: the mean entropy of what comes next."""
    followers = defaultdict(Counter)
    for window, right in zip(inputs.tolist(), labels.tolist(), strict=True):
        for step, label in enumerate(right):
            followers[tuple(window[: step + 1])][label] += 1
    surprise = sum(
        -count * math.log(count / sum(counter.values())) for counter in followers.values() for count in counter.values()
    )
    return surprise / labels.size


def check_long_sentence(cell, iterations, seed):
    env = text_environment(**LONG)
    inputs, labels = env.unwrapped.examples
    floor = loss_floor(inputs, labels)
    assert floor == pytest.approx(0.2285, abs=5e-5)
    agent = CharRNN(cell=cell, layers=2)
    log = agent.train(env, episodes=iterations * 170, seed=seed)
    assert log.steps == iterations * 1700
    assert floor <= agent.loss(inputs, labels) <= 1.03 * floor
    # As in the lecture: all of the first window, then the last character of each.
    guesses = agent.predict_logits(inputs).argmax(axis=-1)
    text = "".join(env.unwrapped.vocabulary[number] for number in [*guesses[0], *guesses[1:, -1]])
    assert text[1:] == TEXTS["long_sentence"][2:]


def test_the_long_sentence_comes_within_3_percent_of_its_loss_floor():
    check_long_sentence("gru", 100, 0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("cell", CELLS)
def test_the_long_sentence_after_the_lecture_s_500_iterations(cell, seed):
    check_long_sentence(cell, 500, seed)


def test_without_the_dense_layer_the_loss_stays_above_its_bound_and_seeds_fail():
    env = text_environment(name="hihello")
    right, smallest = 0, np.inf
    for seed in range(20):
        agent = CharRNN(cell="lstm", head=False)
        agent.train(env, episodes=50, seed=seed)
        smallest = min(smallest, agent.losses.min())
        right += read_to_the_end(agent, env) == "ihello"
    assert smallest > math.log(1 + 4 * math.exp(-2)) > 0.4326
    assert 5 <= right <= 15


def test_without_memory_4_of_6_characters_are_the_most():
    env = text_environment(name="hihello")
    inputs, labels = env.unwrapped.examples
    followers = defaultdict(Counter)
    for character, label in zip(inputs.ravel(), labels.ravel(), strict=True):
        followers[character][label] += 1
    assert sum(max(counter.values()) for counter in followers.values()) == 4
    agent = CharRNN()
    agent.train(env, episodes=50, seed=0)
    assert agent.accuracy(inputs, labels) == 1
    for memoryless in (QLearning(discount=0), SoftmaxRegression(learning_rate=0.1)):
        memoryless.train(env, episodes=300, seed=0)
        assert np.sum(memoryless.act(inputs.ravel()) == labels.ravel()) == 4


def test_a_bidirectional_network_learns_what_it_can_see():
    env = text_environment(**LONG)
    agent = CharRNN(cell="gru", bidirectional=True)
    agent.train(env, episodes=40 * 170, seed=0)
    inputs, labels = env.unwrapped.examples
    # The next character is in the window, but for the last one's.
    assert (agent.predict_logits(inputs).argmax(axis=-1) == labels)[:, :-1].mean() > 0.99
    encoded = env.unwrapped.encoded
    agent.begin_episode()
    acted = [agent.act(character) for character in encoded[:10]]
    so_far = [agent.predict_logits([encoded[: end + 1]])[0, -1].argmax() for end in range(10)]
    assert acted == so_far


# ---- acting ----


@pytest.fixture(scope="module")
def trained():
    agent = CharRNN(cell="lstm", layers=2)
    agent.train(text_environment(name="hihello"), episodes=60, seed=0)
    return agent


@pytest.mark.parametrize("cell", CELLS)
def test_acting_step_by_step_is_reading_the_sequence(cell):
    agent = CharRNN(cell=cell, layers=2, hidden=7)
    agent.train("velodrome/Text-v0", episodes=3, seed=0)
    sequences = np.random.default_rng(0).integers(0, 5, (4, 9))
    expected = agent.predict_logits(sequences).argmax(axis=-1)
    agent.begin_episode()
    assert (np.stack([agent.act(column) for column in sequences.T], axis=1) == expected).all()
    for sequence, row in zip(sequences, expected, strict=True):
        agent.begin_episode()
        guesses = [agent.act(character) for character in sequence]
        assert guesses == row.tolist()
        assert all(type(guess) is int for guess in guesses)


def test_the_state_is_carried_until_an_episode_begins(trained):
    h, e, i = ("ehilo".index(letter) for letter in "hei")
    trained.begin_episode()
    assert trained.act(h) == i
    assert trained.act(i) == h
    assert trained.act(h) == e
    trained.begin_episode()
    assert trained.act(h) == i


def test_evaluation_begins_its_episodes():
    trial = vd.run("char_rnn(cell='gru')", "velodrome/Text-v0(text='hihello')", episodes=50, seed=3)
    assert (trial.evaluation.success_rate, trial.evaluation.mean_return) == (1.0, 6.0)
    assert trial.log.success_rule == "info['is_success']"
    assert trial.log.successes.tolist() == (trial.log.returns == 6).tolist()
    # The untrained network guesses at first, the trained one is right.
    assert trial.log.returns[0] < 6
    assert (trial.log.returns[-20:] == 6).all()


def test_what_acting_refuses(trained):
    with pytest.raises(ObservationError, match="observation 5 is unknown: 0 to 4 are allowed"):
        trained.act(5)
    trained.begin_episode()
    trained.act([0, 1, 2])
    with pytest.raises(ObservationError, match=r"reading 3 episodes, got 2 characters: call begin_episode\(\)"):
        trained.act([0, 1])
    trained.begin_episode()
    assert trained.act([0, 1]).shape == (2,)
    with pytest.raises(ObservationError, match=r"sequences must be \(batch, num_steps\), got \(3,\)"):
        trained.predict_logits([0, 1, 2])
    with pytest.raises(ObservationError, match=r"labels must have the sequences' shape \(2, 2\), got \(1, 2\)"):
        trained.accuracy([[0, 1], [1, 2]], [[0, 1]])
    with pytest.raises(UnsupportedEnvironmentError, match="char_rnn has not been trained or loaded yet"):
        CharRNN().act(0)


def test_what_was_learnt_on_one_text_can_be_tried_on_another(trained):
    learnt = text_environment(name="hihello").unwrapped
    beginning = text_environment(text="hihel", vocabulary=learnt.vocabulary)
    assert read_to_the_end(trained, beginning) == "ihel"
    # Of its own seven characters, the "l" is the first that is none of the five learnt.
    with pytest.raises(ObservationError, match=r"^observation 5 is unknown: 0 to 4 are allowed$"):
        read_to_the_end(trained, text_environment(text="hi, hello"))


def test_training_ends_the_episode_that_was_read():
    agent = CharRNN()
    env = text_environment(name="hihello")
    agent.train(env, episodes=40, seed=0)
    observation, _ = env.reset(seed=0)
    agent.act(observation)
    agent.train(env, episodes=10)
    assert env.unwrapped.vocabulary[agent.act(observation)] == "i"


# ---- budgets, determinism, disk ----


def test_the_same_seed_gives_the_same_weights_and_another_does_not(tmp_path):
    def files(seed, folder):
        agent = CharRNN(cell="gru")
        agent.train("velodrome/Text-v0", episodes=5, seed=seed)
        return saved_files(agent, tmp_path / folder)

    assert files(0, "a") == files(0, "b")
    assert files(0, "a")["arrays.npz"] != files(1, "c")["arrays.npz"]


def test_training_in_two_calls_is_training_in_one(tmp_path):
    one, two = CharRNN(batch_size=60), CharRNN(batch_size=60)
    env = text_environment(**LONG)
    log = one.train(env, episodes=500, seed=0)
    parts = two.train(env, episodes=290, seed=0)
    two.save(tmp_path / "half")
    two = Agent.load(tmp_path / "half")
    two.resume(text_environment(**LONG))
    parts += two.train(two.binding.environment, episodes=210)
    assert (log.episodes, log.steps) == (500, 5000)
    assert (parts.returns == log.returns).all()
    assert saved_files(one, tmp_path / "one") == saved_files(two, tmp_path / "two")


def test_a_trial_with_checkpoints_learns_the_same(tmp_path):
    def make():
        return text_environment(**LONG)

    plain = CharRNN(batch_size=60)
    log = plain.train(make(), episodes=700, seed=4)
    agent, checked = train_with_checkpoints(
        CharRNN(batch_size=60), make, folder=tmp_path / "trial", key="k", every_seconds=0.0, seed=4, episodes=700
    )
    assert checked.notes == ()
    assert (checked.returns == log.returns).all()
    assert saved_files(agent, tmp_path / "a") == saved_files(plain, tmp_path / "b")


def test_steps_count_characters():
    agent = CharRNN()
    log = agent.train("velodrome/Text-v0", steps=60, seed=0)
    assert (log.episodes, log.steps) == (10, 60)
    assert (log.lengths == 6).all()
    assert len(agent.losses) == 10
    with pytest.raises(BudgetError, match="steps must be a multiple of 6"):
        agent.train("velodrome/Text-v0", steps=61)


def test_a_saved_agent_acts_without_tensorflow(tmp_path, trained):
    trained.save(tmp_path / "saved")
    code = (
        "import sys\n"
        "from velodrome.agents import Agent\n"
        "agent = Agent.load('saved')\n"
        "letters = 'ehilo'\n"
        "print(''.join(letters[agent.act(letters.index(letter))] for letter in 'hihell'))\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == "ihello\n"


def test_a_saved_agent_goes_on_where_it_stood(tmp_path, trained):
    trained.save(tmp_path / "saved")
    loaded = CharRNN.load(tmp_path / "saved")
    assert str(loaded) == "char_rnn(cell='lstm', layers=2)"
    sequences = np.random.default_rng(0).integers(0, 5, (2, 6))
    assert (loaded.predict_logits(sequences) == trained.predict_logits(sequences)).all()
    content = bytearray((tmp_path / "saved" / "arrays.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "saved" / "arrays.npz").write_bytes(content)
    with pytest.raises(SavedAgentError, match=r"arrays\.npz is damaged"):
        Agent.load(tmp_path / "saved")


# ---- what is refused ----


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cell": "ltsm"}, "char_rnn: cell must be one of 'rnn', 'lstm', 'gru', got 'ltsm'"),
        ({"hidden": 0}, "char_rnn: hidden must be a whole number of at least 1, got 0"),
        ({"layers": 1.5}, "char_rnn: layers must be a whole number of at least 1, got 1.5"),
        ({"head": 1}, "char_rnn: head must be True or False, got 1"),
        ({"bidirectional": True, "head": False}, "char_rnn: bidirectional=True needs head=True"),
        ({"learning_rate": 0}, "char_rnn: learning_rate must be a number in"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        CharRNN(**arguments)


@pytest.mark.parametrize(
    ("agent", "env", "message"),
    [
        (CharRNN(), "FrozenLake-v1", "char_rnn learns from labelled examples: FrozenLake-v1 has none"),
        (CharRNN(), "velodrome/Classification-v0", "char_rnn guesses the next of the characters that it reads"),
        (CharRNN(head=False, hidden=4), "velodrome/Text-v0", "hidden must be the number of characters, which is 5"),
    ],
)
def test_environments_that_it_cannot_learn_from_are_refused(agent, env, message):
    with pytest.raises(UnsupportedEnvironmentError, match=message) as caught:
        agent.train(env, episodes=1, seed=0)
    assert "\n" not in str(caught.value)


# ---- the harness ----


@pytest.mark.slow
def test_another_process_learns_the_same_bits_with_another_number_of_threads(tmp_path):
    code = (
        "from velodrome.agents import CharRNN\n"
        "agent = CharRNN(cell='lstm', layers=2)\n"
        "agent.train('velodrome/Text-v0', episodes=50, seed=0)\n"
        "agent.save('other')\n"
    )
    threads = os.environ | {"OPENBLAS_NUM_THREADS": "2" if os.environ.get("OPENBLAS_NUM_THREADS") == "1" else "1"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=threads, check=True)
    agent = CharRNN(cell="lstm", layers=2)
    agent.train("velodrome/Text-v0", episodes=50, seed=0)
    assert saved_files(agent, tmp_path / "here") == {
        path.name: path.read_bytes() for path in (tmp_path / "other").iterdir()
    }


@pytest.mark.slow
def test_a_comparison_shows_what_memory_is_worth():
    results = vd.compare(
        {"memory": "char_rnn(cell='gru')", "none": "q_learning(discount=0)"},
        "velodrome/Text-v0",
        episodes=50,
        seeds=2,
        workers=2,
    )
    assert results.failures == []
    returns = {(row.agent, row.seed): row.measures["greedy_mean_return"] for row in results.records}
    assert returns == {(agent, seed): score for agent, score in (("memory", 6), ("none", 4)) for seed in (0, 1)}
