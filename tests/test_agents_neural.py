"""Neural classifiers: exact budgets, the same bits again, NumPy acts as TensorFlow does, options as they say."""

import dataclasses
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import wrappers

import velodrome as vd
from velodrome.agents import (
    MLP,
    Agent,
    BudgetError,
    DeepCNN,
    DivergedError,
    Ensemble,
    KerasAgent,
    ModernCNN,
    ObservationError,
    RowRNN,
    SavedAgentError,
    SimpleCNN,
    SoftmaxRegression,
    UnsupportedEnvironmentError,
)
from velodrome.agents.deep.augmentation import moved, random_transforms
from velodrome.agents.deep.keras_runtime import keras, tensorflow
from velodrome.agents.deep.network import MOMENTUM, KerasNetwork, model_text
from velodrome.agents.deep.neural_classifier import SCHEDULE_NAMES, learning_rate_share
from velodrome.agents.deep.training_program import Objective, training_program
from velodrome.envs import Dataset, Discretize, Text
from velodrome.envs.make import make_environment
from velodrome.experiments.trials.checkpoints import train_with_checkpoints
from velodrome.policies import ConfigurationError

DIGITS = "velodrome/Classification-v0"
NUM_DIGITS = 1437
# Of the digits: 14 batches of 100 and one of 37.
BATCHES_AN_EPOCH = 15

AGENTS = {
    "softmax_regression": SoftmaxRegression(),
    "mlp": MLP(hidden=16, dropout=0.1),
    "simple_cnn": SimpleCNN(),
    "deep_cnn": DeepCNN(),
    "modern_cnn": ModernCNN(weight_averaging=0.9, rotate=5.0),
    "row_rnn": RowRNN(cell="gru", hidden=16, learning_rate=0.01),
    "ensemble": Ensemble(member=MLP(hidden=8, dropout=0.2), size=3),
    "vote": Ensemble(member=SoftmaxRegression(), size=3, combine="vote"),
}


def fresh(name):
    return dataclasses.replace(AGENTS[name])


def digits(split="train"):
    return make_environment(DIGITS, split=split)


TEST = digits("test").unwrapped.examples


def digest(agent):
    arrays = agent.learner.arrays()
    return hashlib.sha256(b"".join(name.encode() + arrays[name].tobytes() for name in sorted(arrays))).hexdigest()


@pytest.fixture(scope="module")
def trained():
    """Every agent after 1.5 epochs; not to be trained on."""
    agents = {name: fresh(name) for name in AGENTS}
    logs = {name: agent.train(digits(), episodes=2100, seed=4) for name, agent in agents.items()}
    return agents, logs


def message_of(error_class, function, *arguments, **options):
    with pytest.raises(error_class) as caught:
        function(*arguments, **options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


# Shapes


def test_the_lectures_networks_have_their_parameters(monkeypatch):
    images = np.zeros((10, 28, 28), dtype=np.uint8)
    dataset = Dataset("squares", images, np.arange(10), images, np.arange(10))
    env = gym.make(DIGITS, dataset=dataset)
    assert SimpleCNN().describe(env).splitlines()[-1].split() == ["total", "50,186"]
    text = DeepCNN().describe(env)
    assert text.splitlines()[-1].split() == ["total", "1,379,557"]
    assert "convolution_3  (B, 7, 7, 128)       73,856" in text
    assert "max_pooling_3  (B, 4, 4, 128)            0" in text
    assert Ensemble(size=7).describe(env) == f"7 members, each:\n{text}"
    assert SoftmaxRegression().describe(env).splitlines()[-1].split() == ["total", "7,850"]
    assert "batch_normalization_4" in ModernCNN().describe(DIGITS)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_rows_are_read_as_keras_layers_read_steps(cell):
    agent = RowRNN(cell=cell, hidden=7)
    agent.train(digits(), episodes=200, seed=0)
    layer = {"rnn": keras().layers.SimpleRNN, "lstm": keras().layers.LSTM, "gru": keras().layers.GRU}[cell]
    model = keras().Sequential([keras().Input((8, 8)), layer(7), keras().layers.Dense(10)])
    arrays = agent.learner.arrays()
    places = [f"row_recurrence_1/{name}" for name in ("kernel", "recurrent_kernel", "bias")]
    model.set_weights([arrays[f"weights/{name}"] for name in (*places, "dense_1/kernel", "dense_1/bias")])
    inputs = TEST.inputs[:40]
    np.testing.assert_allclose(agent.predict_logits(inputs), model.predict_on_batch(inputs), atol=1e-5)
    assert agent.describe().splitlines()[-1].split() == ["total", f"{model.count_params()}"]


def test_rows_are_read_from_the_top_with_all_their_colours():
    images = np.zeros((20, 4, 5, 3), dtype=np.uint8)
    images[:10, 0], images[10:, 3, :, 2] = 255, 255
    labels = np.repeat([0, 1], 10)
    env = gym.make(DIGITS, dataset=Dataset("colours", images, labels, images, labels))
    agent = RowRNN(hidden=8, learning_rate=0.05)
    assert "row_recurrence_1  (B, 8)" in agent.describe(env)
    agent.train(env, epochs=60, seed=0)
    assert agent.accuracy(images, labels) == 1.0


# The contract


@pytest.mark.parametrize("name", AGENTS)
def test_every_example_seen_is_an_episode_of_one_step(name, trained):
    agents, logs = trained
    log = logs[name]
    assert (log.episodes, log.steps, log.loop, log.seed) == (2100, 2100, "keras", 4)
    assert log.lengths.tolist() == [1] * 2100
    assert log.terminated.all()
    assert set(np.unique(log.returns)) <= {0.0, 1.0}
    assert np.array_equal(log.successes, log.returns == 1)
    assert log.success_rule == "info['is_success']"
    # One and a half epochs: 15 batches, and 7 of the second pass.
    assert len(agents[name].losses) == BATCHES_AN_EPOCH + 7
    assert agents[name].losses[-1] < agents[name].losses[0]
    assert log.returns[-663:].mean() > log.returns[:300].mean() > 0.03


def test_the_log_has_the_predictions_made_before_the_first_update():
    agent, again = SoftmaxRegression(batch_size=NUM_DIGITS), SoftmaxRegression(batch_size=NUM_DIGITS)
    log = agent.train(digits(), episodes=NUM_DIGITS, seed=0)
    again.train(digits(), episodes=1, seed=0)
    env = digits()
    inputs, labels = env.unwrapped.examples
    # Unlike an untrained network only by the one small step on one image.
    assert log.success_rate == pytest.approx(again.accuracy(inputs, labels), abs=0.02)
    assert agent.losses.shape == (1,)


def test_training_in_two_calls_is_training_in_one():
    whole, parts = DeepCNN(), DeepCNN()
    env = digits()
    log = whole.train(digits(), steps=1937, seed=9)
    first = parts.train(env, episodes=300, seed=9)
    second = parts.train(env, steps=1637)
    assert np.array_equal(log.returns, (first + second).returns)
    assert digest(whole) == digest(parts)
    parts.train(env, episodes=100, seed=9)
    assert digest(whole) != digest(parts)


def test_an_id_goes_on_where_it_stopped():
    whole, parts = SoftmaxRegression(), SoftmaxRegression()
    whole.train(DIGITS, episodes=400, seed=1)
    parts.train(DIGITS, episodes=200, seed=1)
    parts.train(DIGITS, episodes=200)
    assert digest(whole) == digest(parts)


def test_every_image_comes_once_a_pass():
    seen = []

    class Recording(SoftmaxRegression):
        def new_network(self, task, rng):
            learner = super().new_network(task, rng)
            learn = learner.learn
            learner.learn = lambda inputs, *rest: (seen.append(inputs.copy()), learn(inputs, *rest))[1]
            return learner

    Recording().train(digits(), episodes=2 * NUM_DIGITS, seed=0)
    sizes = [len(batch) for batch in seen]
    assert sizes == [*[100] * 14, 37] * 2
    passes = [np.concatenate(seen[:BATCHES_AN_EPOCH]), np.concatenate(seen[BATCHES_AN_EPOCH:])]
    images = sorted(image.tobytes() for image in digits().unwrapped.examples.inputs)
    assert [sorted(image.tobytes() for image in images_of_pass) for images_of_pass in passes] == [images, images]
    assert not np.array_equal(*passes)


def test_the_callback_stops_at_the_end_of_a_batch():
    calls = []

    def stop_late(finished):
        calls.append(finished)
        return finished < 400

    log = SoftmaxRegression().train(digits(), episodes=1000, seed=0, callback=stop_late, callback_every=150)
    assert calls == [200, 300, 500]
    assert log.episodes == 500


def test_budgets_are_refused_like_everybody_elses():
    agent = SoftmaxRegression()
    assert "one of them" in message_of(BudgetError, agent.train, digits(), episodes=1, steps=1)
    message_of(BudgetError, agent.train, digits())
    text = make_environment("velodrome/Text-v0")
    assert message_of(BudgetError, agent.train, text, steps=7) == (
        "steps must be a multiple of 6, the labels of an example, got 7"
    )


# The same bits

REPEAT = """
import hashlib, sys
from velodrome.agents import SimpleCNN
agent = SimpleCNN(shift=1, batch_normalization=True)
agent.train("velodrome/Classification-v0", episodes=500, seed=12)
arrays = agent.learner.arrays()
print(hashlib.sha256(b"".join(name.encode() + arrays[name].tobytes() for name in sorted(arrays))).hexdigest())
"""


@pytest.mark.slow
def test_another_process_learns_the_same_to_the_bit_and_in_silence():
    done = subprocess.run([sys.executable, "-c", REPEAT], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    agent, other = (SimpleCNN(shift=1, batch_normalization=True) for _ in range(2))
    agent.train(DIGITS, episodes=500, seed=12)
    other.train(DIGITS, episodes=500, seed=13)
    assert done.stdout.strip() == digest(agent) != digest(other)


def test_nothing_is_drawn_from_global_streams():
    import random

    tensorflow()  # Which draws when it is imported.
    before = random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002
    fresh("ensemble").train(digits(), episodes=200, seed=0)
    fresh("modern_cnn").train(digits(), episodes=200, seed=0)
    now = random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002
    assert before[0] == now[0]
    assert str(before[1]) == str(now[1])


class Killed(BaseException):
    pass


@pytest.mark.parametrize(
    "make_agent",
    [
        lambda: MLP(dropout=0.2, shift=1, schedule="one_cycle", weight_averaging=0.9, validation=100, patience=1),
        lambda: Ensemble(member=MLP(hidden=8, dropout=0.2), size=2),
    ],
    ids=["mlp", "ensemble"],
)
def test_a_killed_trial_ends_with_the_same_weights(make_agent, tmp_path, monkeypatch):
    from velodrome.agents.resuming.checkpointing import CheckpointFolder

    settings = {"folder": tmp_path / "trial", "key": "trial", "seed": 5, "episodes": 4000}
    whole = make_agent()
    log = whole.train(digits(), episodes=4000, seed=5)
    accept = CheckpointFolder.accept

    def accept_and_die(*arguments):
        accept(*arguments)
        raise Killed

    monkeypatch.setattr(CheckpointFolder, "accept", accept_and_die)
    with pytest.raises(Killed):
        train_with_checkpoints(make_agent(), digits, every_seconds=0.001, **settings)
    monkeypatch.setattr(CheckpointFolder, "accept", accept)
    assert list((tmp_path / "trial").glob("checkpoint-*"))
    again, whole_log = train_with_checkpoints(make_agent(), digits, every_seconds=1000.0, **settings)
    assert digest(again) == digest(whole)
    assert np.array_equal(whole_log.returns, log.returns)
    assert whole_log.notes == log.notes


# Acting and storing


@pytest.mark.parametrize("name", AGENTS)
def test_numpy_acts_on_one_image_as_tensorflow_does_on_many(name, trained):
    agent = trained[0][name]
    batch = agent.act(TEST.inputs[:100])
    assert batch.dtype == np.int64
    assert [agent.act(image) for image in TEST.inputs[:100]] == batch.tolist()
    assert np.argmax(agent.predict_logits(TEST.inputs[:100]), axis=1).tolist() == batch.tolist()
    assert agent.accuracy(TEST.inputs, TEST.labels) == np.mean(agent.act(TEST.inputs) == TEST.labels)
    assert isinstance(agent.act(TEST.inputs[0]), int)
    assert agent.act(TEST.inputs[0], explore=True) == batch[0]
    assert agent.act(TEST.inputs[:0]).shape == (0,)


@pytest.mark.parametrize("name", AGENTS)
def test_a_loaded_agent_is_the_saved_one(name, trained, tmp_path):
    agent = trained[0][name]
    agent.save(tmp_path)
    again = Agent.load(tmp_path)
    assert str(again) == str(agent)
    assert [again.act(image) for image in TEST.inputs[:20]] == agent.act(TEST.inputs[:20]).tolist()
    assert np.array_equal(again.predict_logits(TEST.inputs), agent.predict_logits(TEST.inputs))
    again.save(tmp_path / "again")
    for file in ("manifest.json", "arrays.npz"):
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / file).read_bytes()


def test_a_loaded_agent_goes_on_learning(tmp_path):
    whole = ModernCNN(epochs=2)
    whole.train(digits(), episodes=600, seed=2)
    part = ModernCNN(epochs=2)
    part.train(digits(), episodes=300, seed=2)
    part.save(tmp_path)
    again = ModernCNN.load(tmp_path)
    again.resume(digits())
    again.train(again.binding.environment, episodes=300)
    assert digest(again) == digest(whole)


def test_a_loaded_agent_acts_without_tensorflow(trained, tmp_path):
    trained[0]["deep_cnn"].save(tmp_path)
    np.save(tmp_path / "images.npy", TEST.inputs[:5])
    code = f"""
import sys
import numpy as np
from velodrome.agents import Agent
agent = Agent.load({str(tmp_path)!r})
print([agent.act(image) for image in np.load({str(tmp_path / "images.npy")!r})])
assert not {{"tensorflow", "keras"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == trained[0]["deep_cnn"].act(TEST.inputs[:5]).tolist()


def test_damaged_and_foreign_files_are_refused(trained, tmp_path):
    agent = trained[0]["mlp"]
    agent.save(tmp_path)
    assert "holds a mlp agent, not deep_cnn" in message_of(SavedAgentError, DeepCNN.load, tmp_path)
    content = bytearray((tmp_path / "arrays.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "arrays.npz").write_bytes(content)
    assert "is damaged" in message_of(SavedAgentError, Agent.load, tmp_path)
    agent.save(tmp_path)
    manifest = unsigned(tmp_path)
    del manifest["task"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert "is not complete: 'task'" in message_of(SavedAgentError, Agent.load, tmp_path)


def unsigned(folder):
    """A manifest without the digest that refuses its changes."""
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["manifest_sha256"]
    return manifest


def test_weights_of_another_size_are_refused(tmp_path):
    small = MLP(hidden=4)
    small.train(DIGITS, episodes=10, seed=0)
    small.save(tmp_path)
    manifest = unsigned(tmp_path)
    manifest["agent"]["hidden"] = 5
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    message = message_of(SavedAgentError, Agent.load, tmp_path)
    assert message.startswith("the saved mlp agent is not complete: the weights are those of mlp(hidden=4,")
    assert ", not mlp(hidden=5," in message


FIRST_RELEASE = Path(__file__).parent / "saved_by_first_release"


@pytest.mark.parametrize("name", ["mlp", "row_rnn", "char_rnn"])
def test_agents_of_the_first_release_act_and_go_on_learning(name):
    expected = np.load(FIRST_RELEASE / "expected.npz")[name]
    agent = {"mlp": MLP, "row_rnn": RowRNN, "char_rnn": vd.agents.CharRNN}[name].load(FIRST_RELEASE / name)
    env = make_environment("velodrome/Text-v0" if name == "char_rnn" else DIGITS)
    inputs = np.arange(6)[np.newaxis] % 5 if name == "char_rnn" else TEST.inputs[:20]
    np.testing.assert_allclose(agent.predict_logits(inputs), expected, atol=1e-5)
    if name != "char_rnn":
        assert [agent.act(image) for image in inputs] == expected.argmax(axis=1).tolist()
    agent.resume(env)
    assert agent.train(env, episodes=20).episodes == 20


# What TensorFlow and Keras say


def network_of(input_shape, *make_layers):
    """A network of ours, of layers that are made of `keras.layers`."""
    return KerasNetwork(
        model_text("test", input_shape, lambda layers: [make(layers) for make in make_layers]), input_shape
    )


def test_training_steps_are_keras_steps():
    k, rng = keras(), np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 7, 8, 1), dtype=np.uint8)
    env = gym.make(DIGITS, dataset=Dataset("noise", images, np.arange(20) % 3, images, np.arange(20) % 3))
    agent = SimpleCNN(learning_rate=0.01, batch_size=20)
    # As the lecture has them: rectified, then pooled.
    model = k.Sequential(
        [
            k.Input((7, 8, 1)),
            k.layers.Conv2D(32, 3, padding="same", activation="relu"),
            k.layers.MaxPooling2D(2, padding="same"),
            k.layers.Conv2D(64, 3, padding="same", activation="relu"),
            k.layers.MaxPooling2D(2, padding="same"),
            k.layers.Flatten(),
            k.layers.Dense(3),
        ]
    )
    names = [
        f"{layer}/{part}" for layer in ("convolution_1", "convolution_2", "dense_1") for part in ("kernel", "bias")
    ]
    first = agent.new_network(agent._task_of(env), np.random.default_rng(0)).arrays()
    learner = agent.new_network(agent._task_of(env), np.random.default_rng(0))
    model.set_weights([first[f"weights/{name}"] for name in names])
    model.compile(k.optimizers.Adam(1e-2), k.losses.SparseCategoricalCrossentropy(from_logits=True))
    for _ in range(5):
        labels = rng.integers(0, 3, 20)
        expected = float(np.asarray(model.train_on_batch(images / np.float32(images.max()), labels)))
        model.reset_metrics()
        assert learner.learn(images, labels, 0.01, rng).loss == pytest.approx(expected, rel=1e-4)
    for name, theirs in zip(names, model.get_weights(), strict=True):
        np.testing.assert_allclose(learner.arrays()[f"weights/{name}"], theirs, atol=2e-4)


# Options


def test_schedules_have_their_shapes():
    assert {learning_rate_share("constant", progress) for progress in (0.0, 0.3, 1.0, 2.0)} == {1.0}
    assert [learning_rate_share("cosine", p) for p in (0.0, 0.5, 1.0, 9.0)] == pytest.approx([1, 0.501, 0.002, 0.002])
    assert [learning_rate_share("one_cycle", p) for p in (0.0, 0.125, 0.25, 1.0)] == pytest.approx(
        [0.1, 0.55, 1, 0.002]
    )
    for schedule in SCHEDULE_NAMES:
        shares = [learning_rate_share(schedule, progress) for progress in np.linspace(0, 1, 101)]
        assert max(shares) == 1.0
        assert np.abs(np.diff(shares)).max() < 0.05


def test_epochs_lay_the_schedule_out_whatever_the_budget_is():
    agents = [SoftmaxRegression(schedule="cosine", epochs=1) for _ in range(2)]
    agents[0].train(DIGITS, episodes=700, seed=0)
    agents[0].train(DIGITS, episodes=737)
    agents[1].train(DIGITS, episodes=1437, seed=0)
    assert digest(agents[0]) == digest(agents[1])
    over_the_budget = SoftmaxRegression(schedule="cosine")
    over_the_budget.train(DIGITS, episodes=1437, seed=0)
    assert digest(over_the_budget) == digest(agents[1])


def test_whole_pixels_and_angles_are_what_moves_images():
    tf, rng = tensorflow(), np.random.default_rng(0)
    images = rng.random((50, 8, 8, 1), dtype=np.float32)

    def transform(shift, rotate):
        transforms = random_transforms(np.random.default_rng(1), 50, 8, 8, shift, rotate)
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=images, transforms=transforms, output_shape=[8, 8], fill_value=0.0, interpolation="BILINEAR",
            fill_mode="CONSTANT",
        ).numpy()  # fmt: skip

    offsets = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    found = set()
    for image, shifted in zip(images, transform(1, 0.0), strict=True):
        same = [offset for offset in offsets if np.array_equal(moved(image[np.newaxis], *offset)[0], shifted)]
        assert len(same) == 1
        found.update(same)
    assert found == set(offsets)
    assert np.array_equal(transform(0, 0.0), images)
    turned = transform(0, 10.0)
    assert 0.01 < np.abs(turned - images)[:, 2:6, 2:6].mean() < 0.3
    np.testing.assert_allclose(np.rot90(images, axes=(1, 2)), turn(tf, images, np.pi / 2), atol=1e-5)


def turn(tf, images, angle):
    class Fixed:
        def integers(self, low, high, size):
            return np.zeros(size, dtype=np.int64)

        def uniform(self, low, high, size):
            return np.full(size, np.rad2deg(angle))

    transforms = random_transforms(Fixed(), len(images), 8, 8, 0, 1.0)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images, transforms=transforms, output_shape=[8, 8], fill_value=0.0, interpolation="BILINEAR",
        fill_mode="CONSTANT",
    ).numpy()  # fmt: skip


def test_label_smoothing_is_the_cross_entropy_with_a_smooth_target():
    tf, rng = tensorflow(), np.random.default_rng(0)
    network = network_of((3,), lambda layers: layers.Dense(4))
    weights = network.first_weights(rng)
    inputs, labels = rng.random((6, 3), dtype=np.float32), rng.integers(0, 4, 6)
    logits = inputs @ weights["dense_1/kernel"]
    target = 0.9 * np.eye(4)[labels] + 0.1 / 4
    expected = -(target * (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))).sum(axis=1).mean()
    program = training_program(network, Objective(label_smoothing=0.1))
    draw = tf.constant(network.draw(rng))
    _, _, loss = program.step(
        program.first_state(weights), tf.constant(inputs), tf.constant(labels), tf.constant(0.1), draw
    )
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_averaged_weights_act_and_lag_behind():
    plain, averaged = SoftmaxRegression(), SoftmaxRegression(weight_averaging=0.99)
    for agent in (plain, averaged):
        agent.train(DIGITS, episodes=1400, seed=0)
    state = averaged.learner.arrays()
    assert np.array_equal(state["weights/dense_1/kernel"], plain.learner.arrays()["weights/dense_1/kernel"])
    # After t steps the decay is min(0.99, (1 + t) / (10 + t)).
    biases = []
    for number in range(1, 15):
        agent = SoftmaxRegression()
        agent.train(DIGITS, episodes=100 * number, seed=0)
        biases.append(agent.learner.arrays()["weights/dense_1/bias"])
    mean = np.zeros(10)
    for step, bias in enumerate(biases, start=1):
        decay = min(0.99, (1 + step) / (10 + step))
        mean = decay * mean + (1 - decay) * bias
    np.testing.assert_allclose(state["averaged/dense_1/bias"], mean, atol=1e-6)
    assert not np.array_equal(plain.predict_logits(TEST.inputs), averaged.predict_logits(TEST.inputs))


def test_test_time_augmentation_is_the_mean_over_five_images(trained, tmp_path):
    agent = trained[0]["modern_cnn"]
    images = TEST.inputs[:30].astype(np.float32)[..., np.newaxis]
    offsets = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
    expected = agent.predict_logits(TEST.inputs[:30])
    agent.save(tmp_path)
    manifest = unsigned(tmp_path)
    manifest["agent"]["test_time_augmentation"] = False
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    alone = Agent.load(tmp_path)
    single = [alone.predict_logits(moved(images, *offset)[..., 0]) for offset in offsets]
    mean = np.mean([np.exp(x) / np.exp(x).sum(axis=1, keepdims=True) for x in single], axis=0)
    np.testing.assert_allclose(expected, np.log(mean), atol=1e-4)


def test_averages_of_normalisation_hold_nothing_but_what_was_seen():
    tf, rng = tensorflow(), np.random.default_rng(0)
    network = network_of(
        (3,), lambda layers: layers.BatchNormalization(momentum=MOMENTUM), lambda layers: layers.Dense(2)
    )
    program = training_program(network, Objective())
    state = program.first_state(network.first_weights(rng))
    batches = [rng.normal(5.0, 3.0, (8, 3)).astype(np.float32) for _ in range(30)]
    for number, batch in enumerate(batches, start=1):
        labels = tf.constant(rng.integers(0, 2, 8))
        draw = tf.constant(network.draw(rng))
        state, _, _ = program.step(state, tf.constant(batch), labels, tf.constant(0.01), draw)
        shares = 0.9 ** np.arange(number)[::-1]
        for name, values in (
            ("moving_mean", [seen.mean(axis=0) for seen in batches[:number]]),
            ("moving_variance", [seen.var(axis=0) for seen in batches[:number]]),
        ):
            expected = np.average(values, axis=0, weights=shares)
            np.testing.assert_allclose(state["weights"][f"batch_normalization_1/{name}"], expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("agent", "least"),
    [
        # 0.90 to 0.94 for three seeds; 0.11 to 0.49 with averages that begin at 0 and 1.
        (SimpleCNN(batch_normalization=True), 0.85),
        # 0.63 to 0.74 for five seeds; 0.10.
        (ModernCNN(), 0.5),
    ],
    ids=["simple_cnn", "modern_cnn"],
)
def test_networks_with_normalisation_can_be_used_after_one_epoch(agent, least):
    agent.train(digits(), episodes=NUM_DIGITS, seed=0)
    assert agent.accuracy(TEST.inputs, TEST.labels) > least


def test_early_stopping_keeps_the_best_weights_and_the_budget():
    agent = MLP(hidden=64, learning_rate=0.03, validation=200, patience=2)
    log = agent.train(DIGITS, episodes=1237 * 30, seed=0)
    assert log.episodes == 1237 * 30
    assert len(log.notes) == 1
    words = log.notes[0].split()
    last = int(words[words.index("epoch") + 1].rstrip(":"))
    assert 3 <= last < 30
    assert len(agent.losses) == last * 13
    best = MLP(hidden=64, learning_rate=0.03, validation=200, patience=2)
    best.train(DIGITS, episodes=1237 * (last - 2), seed=0)
    assert np.array_equal(best.predict_logits(TEST.inputs), agent.predict_logits(TEST.inputs))
    # What is seen without learning is still predicted.
    assert 0.9 < log.returns[-1237:].mean() <= 1


def test_held_out_examples_are_not_learnt_from():
    agent = SoftmaxRegression(validation=1427, batch_size=10)
    log = agent.train(DIGITS, episodes=3000, seed=0)
    # Ten images are soon known by heart.
    assert log.returns[-10:].all()
    assert agent.accuracy(TEST.inputs, TEST.labels) < 0.9


# Ensembles


def test_an_ensemble_adds_logits_or_counts_votes(trained):
    for name in ("ensemble", "vote"):
        agent = trained[0][name]
        members = agent.member_logits(TEST.inputs)
        assert members.shape == (3, 360, 10)
        assert not np.array_equal(members[0], members[1])
        if name == "ensemble":
            np.testing.assert_allclose(agent.predict_logits(TEST.inputs), members.sum(axis=0), rtol=1e-6)
        else:
            votes = np.eye(10)[members.argmax(axis=2)].sum(axis=0)
            assert np.array_equal(agent.predict_logits(TEST.inputs), votes)
            assert np.array_equal(agent.act(TEST.inputs), votes.argmax(axis=1))


def test_members_learn_from_the_same_batches():
    together = Ensemble(member=SoftmaxRegression(batch_size=50), size=2)
    together.train(DIGITS, episodes=100, seed=0)
    assert together.batch_size == 50
    assert len(together.losses) == 2
    assert "member must be a neural classifier" in message_of(
        ConfigurationError, Ensemble, member=vd.agents.QLearning()
    )


# Texts, and everything together


def test_softmax_without_memory_stops_at_four_of_six_characters():
    agent = SoftmaxRegression(learning_rate=0.1)
    trial = vd.run(agent, "velodrome/Text-v0(name='hihello')", episodes=300, seed=0)
    assert trial.log.lengths.tolist() == [6] * 300
    assert (trial.evaluation.mean_return, trial.evaluation.success_rate) == (4.0, 0.0)
    text = Text(name="hihello")
    assert trial.trained.act(np.array([0, 1])).shape == (2,)
    assert message_of(ObservationError, trial.trained.act, len(text.vocabulary)) == (
        "observation 5 is unknown: 0 to 4 are allowed"
    )


def test_networks_stand_in_a_table_with_everybody_else():
    results = vd.compare(
        {"network": "mlp(learning_rate=0.01)", "random": "random"}, DIGITS, seeds=2, episodes=5 * NUM_DIGITS,
        workers=0, evaluation_episodes=50,
    )  # fmt: skip
    assert not results.failures
    rates = {record.agent: record.measures["greedy_success_rate"] for record in results.records}
    assert rates["network"] > 0.6 > rates["random"]


# The user's own models


def own_model(k, *last):
    return k.Sequential(
        [
            k.Input((8, 8)),
            k.layers.Reshape((8, 8, 1)),
            k.layers.Conv2D(8, 3, activation="relu"),
            k.layers.BatchNormalization(),
            k.layers.Flatten(),
            k.layers.Dropout(0.2),
            *(last or (k.layers.Dense(10),)),
        ]
    )


def test_any_keras_model_is_an_agent(tmp_path):
    model = own_model(keras())
    agent, again, other = (KerasAgent(model=model) for _ in range(3))
    log = agent.train(DIGITS, episodes=6 * NUM_DIGITS, seed=0)
    again.train(DIGITS, episodes=6 * NUM_DIGITS, seed=0)
    other.train(DIGITS, episodes=6 * NUM_DIGITS, seed=1)
    assert digest(agent) == digest(again) != digest(other)
    assert log.returns[-500:].mean() > 0.7
    assert agent.accuracy(TEST.inputs, TEST.labels) > 0.8
    assert agent.act(TEST.inputs[0]) == agent.act(TEST.inputs[:1])[0]
    agent.save(tmp_path)
    loaded = Agent.load(tmp_path)
    assert np.array_equal(loaded.predict_logits(TEST.inputs), agent.predict_logits(TEST.inputs))
    assert "batch_normalization" in agent.describe()
    several = Ensemble(member=KerasAgent(model=model), size=2)
    several.train(DIGITS, episodes=200, seed=0)
    assert several.act(TEST.inputs[0]) == several.act(TEST.inputs[:1])[0]
    assert several.describe().startswith("2 members, each:\nModel:")


def test_models_that_cannot_be_agents_are_refused():
    k = keras()

    class Unregistered(k.layers.Layer):
        def call(self, inputs):
            return inputs

    def train(model):
        KerasAgent(model=model).train(DIGITS, episodes=10, seed=0)

    softmax = own_model(k, k.layers.Dense(10, activation="softmax"))
    assert "leave the softmax of its last layer away" in message_of(ConfigurationError, train, softmax)
    nine = message_of(UnsupportedEnvironmentError, train, own_model(k, k.layers.Dense(9)))
    assert nine == "the Keras model gives (None, 9), but there are 10 actions"
    own = own_model(k, Unregistered(), k.layers.Dense(10))
    assert "decorate class Unregistered with @keras.saving" in message_of(ConfigurationError, train, own)
    code = own_model(k, k.layers.Lambda(lambda inputs: inputs), k.layers.Dense(10))
    assert "a Lambda layer is code" in message_of(ConfigurationError, train, code)
    wide = k.Sequential([k.Input((8, 9)), k.layers.Flatten(), k.layers.Dense(10)])
    assert "reads (8, 9), but observations of" in message_of(UnsupportedEnvironmentError, train, wide)
    unknown = k.Sequential([k.layers.Flatten(), k.layers.Dense(10)])
    assert "must begin with keras.Input" in message_of(ConfigurationError, train, unknown)
    assert "must be a keras.Model" in message_of(ConfigurationError, train, 3)
    assert "must be a keras.Model" in message_of(ConfigurationError, train, "[]")


# Mistakes


@pytest.mark.parametrize(
    ("make_agent", "environment", "message"),
    [
        (SimpleCNN, "FrozenLake-v1", "simple_cnn learns from labelled examples: FrozenLake-v1 has none"),
        (Ensemble, "FrozenLake-v1", "ensemble learns from labelled examples: FrozenLake-v1 has none"),
        (
            SimpleCNN,
            "velodrome/Text-v0",
            "simple_cnn needs images, (height, width) or (height, width, channels), but velodrome/Text-v0 has none",
        ),
        (
            lambda: MLP(shift=1),
            "velodrome/Text-v0",
            "mlp: shift is for images, but velodrome/Text-v0 has none",
        ),
        (
            lambda: MLP(validation=5000, patience=1),
            DIGITS,
            "mlp holds out 1437 examples, and there are no others",
        ),
    ],
)  # fmt: skip
def test_environments_that_do_not_fit_are_refused(make_agent, environment, message):
    assert message_of(UnsupportedEnvironmentError, make_agent().train, environment, episodes=10, seed=0) == message


class CountingWrapper(gym.Wrapper):
    """Overrides neither reset nor step."""

    num_renders = 0

    def render(self):
        self.num_renders += 1
        return super().render()


class OtherSpaceWrapper(gym.Wrapper):
    def __init__(self, env):
        super().__init__(env)
        self.action_space = gym.spaces.Discrete(11)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda env: wrappers.RecordEpisodeStatistics(wrappers.TimeLimit(env, 5)),
        lambda env: wrappers.OrderEnforcing(wrappers.PassiveEnvChecker(env)),
        lambda env: wrappers.TransformReward(env, lambda reward: 2 * reward),
        CountingWrapper,
    ],
    ids=["limit and statistics", "order and checks", "reward", "own"],
)
def test_wrappers_that_leave_observations_and_actions_alone_change_nothing(wrap):
    plain, wrapped = SoftmaxRegression(), SoftmaxRegression()
    plain.train(digits(), episodes=100, seed=0)
    wrapped.train(wrap(digits()), episodes=100, seed=0)
    assert digest(plain) == digest(wrapped)


@pytest.mark.parametrize(
    ("wrap", "name"),
    [
        (lambda env: Discretize(env, bins=[2] + [1] * 63), "Discretize"),
        (lambda env: wrappers.TransformObservation(env, lambda image: 1 - image, None), "TransformObservation"),
        (lambda env: wrappers.FlattenObservation(wrappers.RecordEpisodeStatistics(env)), "FlattenObservation"),
        (lambda env: wrappers.TimeLimit(wrappers.FrameStackObservation(env, 2), 5), "FrameStackObservation"),
        (lambda env: wrappers.TransformAction(env, lambda label: 9 - label, env.action_space), "TransformAction"),
        (lambda env: wrappers.StickyAction(env, 0.5), "StickyAction"),
        (OtherSpaceWrapper, "OtherSpaceWrapper"),
    ],
)
def test_wrappers_that_may_change_what_examples_say_are_refused(wrap, name, tmp_path):
    agent = SoftmaxRegression()
    message = (
        f"softmax_regression learns from the labelled examples of {DIGITS} as they are, but wrapper {name} may change "
        "what is observed or what an action means: change the dataset"
    )
    assert message_of(UnsupportedEnvironmentError, agent.train, wrap(digits()), episodes=100, seed=0) == message
    agent.train(digits(), episodes=100, seed=0)
    agent.save(tmp_path)
    loaded = SoftmaxRegression.load(tmp_path)
    assert message_of(UnsupportedEnvironmentError, loaded.resume, wrap(digits())) == message


def test_other_images_than_those_learnt_are_refused(trained):
    agent = trained[0]["softmax_regression"]
    assert "an observation has shape (8, 8)" in message_of(ObservationError, agent.act, np.zeros((9, 9)))
    assert "a batch has observations of shape (8, 8)" in message_of(
        ObservationError, agent.predict_logits, np.zeros((2, 9, 9))
    )
    untrained = SoftmaxRegression()
    assert "has not been trained or loaded yet" in message_of(
        UnsupportedEnvironmentError, untrained.act, TEST.inputs[0]
    )
    message_of(UnsupportedEnvironmentError, untrained.save, "nowhere")
    small = SoftmaxRegression()
    small.train(DIGITS, episodes=10, seed=0)
    text = message_of(UnsupportedEnvironmentError, small.train, "velodrome/Text-v0", episodes=10)
    assert "softmax_regression was trained on" in text


@pytest.mark.parametrize(
    ("make_agent", "message"),
    [
        (lambda: DeepCNN(dropout=1.0), "deep_cnn: dropout must be a number in [0, 1), got 1.0"),
        (lambda: MLP(hidden=0), "mlp: hidden must be a whole number of at least 1, got 0"),
        (lambda: MLP(layers=1.5), "mlp: layers must be a whole number of at least 1, got 1.5"),
        (lambda: SimpleCNN(learning_rate=0), "simple_cnn: learning_rate must be a number in (0, inf), got 0"),
        (lambda: SimpleCNN(batch_size=0), "simple_cnn: batch_size must be a whole number of at least 1, got 0"),
        (
            lambda: MLP(schedule="cos"),
            "mlp: schedule must be one of 'constant', 'one_cycle', 'cosine', got 'cos': did you mean 'cosine'?",
        ),
        (lambda: SimpleCNN(epochs=0), "simple_cnn: epochs must be a whole number of at least 1, got 0"),
        (lambda: SimpleCNN(shift=-1), "simple_cnn: shift must be a whole number of at least 0, got -1"),
        (lambda: SimpleCNN(rotate=200), "simple_cnn: rotate must be a number in [0, 180], got 200"),
        (lambda: SimpleCNN(batch_normalization=1), "simple_cnn: batch_normalization must be True or False, got 1"),
        (lambda: MLP(patience=1), "mlp: patience needs validation, a number of examples to hold out, got 0"),
        (lambda: Ensemble(size=0), "ensemble: size must be a whole number of at least 1, got 0"),
        (lambda: Ensemble(combine="mean"), "ensemble: combine must be one of 'logits', 'vote', got 'mean'"),
    ],
)  # fmt: skip
def test_parameters_out_of_range_are_refused(make_agent, message):
    assert message_of(ConfigurationError, make_agent) == message


def test_training_that_diverges_says_so():
    text = message_of(DivergedError, MLP(learning_rate=1e30).train, DIGITS, episodes=2000, seed=0)
    assert text.startswith("mlp: the loss is nan after") or text.startswith("mlp: the loss is inf after")


@pytest.mark.slow
def test_the_deep_network_reads_digits():
    # 0.9889, 0.9861 and 0.9944 for three seeds.
    agent = DeepCNN()
    agent.train(DIGITS, episodes=40 * NUM_DIGITS, seed=0)
    assert agent.accuracy(TEST.inputs, TEST.labels) >= 0.98


# Another environment, another seed


def relabelled():
    """The digits under other names."""
    images, labels = make_environment(DIGITS).unwrapped.examples
    dataset = Dataset("relabelled", images, (labels + 3) % 10, TEST.inputs, (TEST.labels + 3) % 10)
    return gym.make(DIGITS, dataset=dataset)


def test_early_stopping_begins_anew_in_another_environment_and_with_another_seed():
    agent = SoftmaxRegression(learning_rate=0.01, validation=200, patience=1)
    agent.train(DIGITS, epochs=12, seed=0)
    before = agent.accuracy(TEST.inputs, TEST.labels)
    env = relabelled()
    agent.train(env, epochs=12)
    assert before > 0.9
    assert agent.accuracy(TEST.inputs, (TEST.labels + 3) % 10) > 0.85
    agent.train(env, epochs=1, seed=1)
    assert len(agent.losses) == 13


def test_a_refused_environment_leaves_the_agent_free_for_others():
    k = keras()
    own = KerasAgent(model=k.Sequential([k.Input((8, 8)), k.layers.Flatten(), k.layers.Dense(9)]))
    message_of(UnsupportedEnvironmentError, own.train, DIGITS, episodes=10)
    nine = make_environment(DIGITS).unwrapped.examples
    few = nine.labels < 9
    dataset = Dataset("nine", nine.inputs[few], nine.labels[few], nine.inputs[few], nine.labels[few])
    own.train(gym.make(DIGITS, dataset=dataset), episodes=10, seed=0)
    held = SoftmaxRegression(validation=5000)
    message_of(UnsupportedEnvironmentError, held.train, DIGITS, episodes=10)
    assert "call train first" in message_of(UnsupportedEnvironmentError, held.act, TEST.inputs[0])


def test_what_training_refuses_is_known_before():
    k = keras()
    own = KerasAgent(model=k.Sequential([k.Input((8, 8)), k.layers.Flatten(), k.layers.Dense(10)]))
    own.check_environment(make_environment(DIGITS))
    for agent, place in ((own, "velodrome/Text-v0"), (SoftmaxRegression(validation=1437), DIGITS)):
        told = message_of(UnsupportedEnvironmentError, agent.check_environment, make_environment(place))
        assert told == message_of(UnsupportedEnvironmentError, agent.train, place, episodes=10)


# Observations and labels of other kinds


def test_accuracy_takes_labels_in_a_column_and_no_other_shape(trained):
    for name in ("softmax_regression", "ensemble"):
        agent = trained[0][name]
        right = agent.accuracy(TEST.inputs, TEST.labels)
        assert agent.accuracy(TEST.inputs, TEST.labels[:, np.newaxis]) == right
        for labels in (TEST.labels[:5], np.eye(10)[TEST.labels]):
            assert "one for each of 360" in message_of(ObservationError, agent.accuracy, TEST.inputs, labels)


@pytest.mark.parametrize(
    ("observation", "message"),
    [
        (np.full((8, 8), np.nan), "observations must be finite, got nan"),
        (np.full((8, 8), "a"), "observations must be numbers, got <U1"),
        ([[1, 2], [3]], "observations must be arrays of numbers: "),
    ],
    ids=["not finite", "text", "ragged"],
)
def test_observations_that_are_no_numbers_are_refused(trained, observation, message):
    for name in ("softmax_regression", "ensemble"):
        assert message_of(ObservationError, trained[0][name].act, observation).startswith(message)


def test_fractions_are_refused_where_whole_numbers_were_learnt_from():
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 4), dtype=np.uint8)
    dataset = Dataset("noise", images, np.arange(40) % 2, images, np.arange(40) % 2)
    agent = SoftmaxRegression()
    agent.train(gym.make(DIGITS, dataset=dataset), episodes=40, seed=0)
    assert agent.act(images[:3].astype(np.int64)).tolist() == agent.act(images[:3]).tolist()
    for ask in (agent.act, agent.predict_logits):
        told = message_of(ObservationError, ask, images / 255)
        assert told == "observations must be whole numbers, as those learnt from up to 255, got float64"


# Keras models in full


def test_penalties_and_constraints_of_a_model_are_those_of_keras():
    k = keras()
    model = k.Sequential(
        [
            k.Input((8, 8)),
            k.layers.Flatten(),
            k.layers.Dense(
                12,
                kernel_regularizer=k.regularizers.L2(0.1),
                kernel_constraint=k.constraints.MaxNorm(0.5),
                name="hidden",
            ),
            k.layers.ReLU(),
            k.layers.Dense(10, activity_regularizer=k.regularizers.L2(0.01), name="last"),
        ]
    )
    network = KerasNetwork(model.to_json(), (8, 8), is_own=False)
    first = network.first_weights(np.random.default_rng(0))
    model.set_weights(list(first.values()))
    model.compile(k.optimizers.Adam(1e-2), k.losses.SparseCategoricalCrossentropy(from_logits=True))
    program, tf, rng = training_program(network, Objective()), tensorflow(), np.random.default_rng(1)
    state, rate = program.first_state(first), tf.constant(1e-2)
    for _ in range(5):
        images, labels = rng.random((20, 8, 8), dtype=np.float32), rng.integers(0, 10, 20)
        expected = float(np.asarray(model.train_on_batch(images, labels)))
        draw = tf.constant(network.draw(rng))
        state, _, loss = program.step(state, tf.constant(images), tf.constant(labels), rate, draw)
        model.reset_metrics()
        assert float(loss) == pytest.approx(expected, rel=1e-4)
    for ours, theirs in zip(state["weights"].values(), model.get_weights(), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, atol=2e-4)
    assert np.linalg.norm(state["weights"]["hidden/kernel"].numpy(), axis=0).max() < 0.51


def test_weights_of_other_types_are_refused_in_a_line():
    k = keras()
    normalization = k.layers.Normalization()
    normalization.adapt(TEST.inputs[:10].astype(np.float32))
    given = k.layers.Normalization(mean=8.0, variance=30.0)

    def train(*layers):
        model = k.Sequential([k.Input((8, 8)), *layers, k.layers.Flatten(), k.layers.Dense(10)])
        return KerasAgent(model=model).train(DIGITS, episodes=10, seed=0)

    told = message_of(ConfigurationError, train, normalization)
    assert "is int64, not float32; give Normalization its mean= and variance=" in told
    assert "not float32" in message_of(ConfigurationError, train, k.layers.Dense(3, dtype="float64"))
    assert train(given).episodes == 10
