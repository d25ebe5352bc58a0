"""Q-networks of layers that Keras has: what the kernels learn, of any layers, and the bits come again."""

import dataclasses
import json
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import FrameStackObservation
from small_q_network import digest

import velodrome as vd
from velodrome.agents import (
    DQN,
    MLP,
    Agent,
    DivergedError,
    KerasAgent,
    NeuralBandit,
    PlainCNN,
    RowRNN,
    SavedAgentError,
    SimpleCNN,
    SoftmaxRegression,
    UnsupportedEnvironmentError,
)
from velodrome.agents.deep import keras_q_network, q_kernels as kernels
from velodrome.agents.deep.keras_q_network import KerasQNetwork
from velodrome.agents.deep.keras_runtime import keras
from velodrome.agents.deep.q_learner import QLearner
from velodrome.agents.deep.q_model import QNetwork
from velodrome.agents.engine.seeding import Streams
from velodrome.agents.stepwise import Spaces
from velodrome.experiments.specification.catalogue import build_agent
from velodrome.experiments.storage.own_code import packages_of
from velodrome.experiments.trials.checkpoints import train_with_checkpoints
from velodrome.policies import ConfigurationError, EpsilonGreedy, Linear
from velodrome.policies.configuration import to_data

CART = "CartPole-v1"
NUMBERS, SYMBOLS = spaces.Box(-1, 1, (6,), np.float32), spaces.Discrete(6)


class TracedMLP(MLP):
    """The multilayer perceptron, which learns in TensorFlow all the same."""

    name = "mlp"
    rectified_layers = None


class TracedLinear(SoftmaxRegression):
    name = "softmax_regression"
    rectified_layers = None


def small(network, **options):
    """A DQN that costs nearly nothing, and learns from the first steps on."""
    few = {
        "batch_size": 8, "replay": 64, "learning_starts": 16, "train_every": 16, "gradient_steps": 16,
        "target_every": 32,
    }  # fmt: skip
    return DQN(network=network, **few | options)


def message_of(error_class, function, *arguments, **options):
    with pytest.raises(error_class) as caught:
        function(*arguments, **options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


# One result, to tolerance, by the kernels and by the program

OPTIONS = {
    "plain": {},
    "no double": {"double": False},
    "dueling": {"dueling": True},
    "Huber": {"loss": "huber", "dueling": True},
    "no target": {"target_every": None},
    "masks": {"action_mask": True},
    "no bias": {"bias": False, "initial_weights": 0.3},
    "Glorot": {"initial_weights": "glorot", "max_gradient_norm": None},
    "short gradients": {"max_gradient_norm": 0.1},
    "gradient descent": {"optimizer": "sgd"},
    "one layer": {"hidden": (5,)},
    "linear": {"hidden": (), "dueling": True},
    "symbols": {"is_symbol": True},
    "all": {"dueling": True, "loss": "huber", "action_mask": True, "max_gradient_norm": 0.5},
    "linear symbols": {"is_symbol": True, "hidden": (), "bias": False, "loss": "huber"},
}


def both(hidden=(9, 7), is_symbol=False, gradient_steps=4, **options):
    """The networks of two learners with equal options and seeds: compiled kernels, and the program."""
    task = Spaces(SYMBOLS if is_symbol else NUMBERS, spaces.Discrete(3))
    pair = []
    for network in (
        MLP(hidden=hidden) if hidden else SoftmaxRegression(),
        TracedMLP(hidden=hidden) if hidden else TracedLinear(),
    ):
        agent = DQN(network=network, batch_size=8, gradient_steps=gradient_steps, **options)
        pair.append(QLearner(agent._options, task, Streams(5)).network)
    assert [type(network) for network in pair] == [QNetwork, KerasQNetwork]
    return pair


def fill(batch, is_symbol, rng):
    for inputs in (batch.inputs, batch.next_inputs):
        inputs[...] = rng.integers(0, 6, inputs.shape) if is_symbol else rng.normal(size=inputs.shape)
    batch.actions[...] = rng.integers(0, 3, batch.actions.shape)
    batch.returns[...] = rng.normal(0, 2, batch.returns.shape)
    batch.factors[...] = np.where(rng.random(batch.factors.shape) < 0.3, 0.0, 0.9)
    # In some there is no action at all.
    batch.next_masks[...] = rng.integers(0, 2, batch.next_masks.shape)
    batch.shares[...] = rng.random(batch.shares.shape)


def weights_of(network, row=kernels.ONLINE):
    if isinstance(network, QNetwork):
        return [part for layer in network.layers(row) for part in layer]
    part = {kernels.ONLINE: "weights", kernels.TARGET: "target"}[row]
    return [array for name, array in network.arrays().items() if name.startswith(f"{part}/")]


def check_equal(name, options, rate=0.01):
    compiled, traced = both(**options)
    rng = np.random.default_rng(1)
    for number in (4, 4):
        before = weights_of(compiled)
        for one, other in zip(before, weights_of(traced), strict=True):
            assert np.allclose(one, other, atol=1e-5), name
        losses, errors = [], []
        for batch in traced.batches:
            fill(batch, options.get("is_symbol", False), rng)
            for own, given in zip(compiled.batch, batch, strict=True):
                own[...] = given
            losses.append(compiled.learn(rate))
            errors.append(compiled.batch.errors.copy())
        found = traced.learn(rate, number)
        assert np.allclose(np.transpose(losses), found, rtol=1e-4, atol=1e-5)
        assert np.allclose(errors, [batch.errors for batch in traced.batches], atol=1e-4)
        for network in (compiled, traced):
            network.move_target(0.25)
    rows = (kernels.ONLINE,) if "target_every" in options else (kernels.ONLINE, kernels.TARGET)
    for row in rows:
        for one, other in zip(weights_of(compiled, row), weights_of(traced, row), strict=True):
            assert np.allclose(one, other, atol=2e-5), name
    size = 1 if options.get("is_symbol") else 6
    scale = np.repeat(np.array([[0.0], [1.0], [np.inf]], np.float32), size, axis=1)
    inputs = traced.batch.inputs
    assert np.allclose(compiled.values(inputs, scale), traced.values(inputs, scale), atol=1e-4)
    values = np.zeros(3, np.float32)
    traced.values_of_one(inputs[0], scale, values)
    assert np.allclose(values, traced.values(inputs, scale)[0], atol=1e-6)
    # The steps of the next burst are counted on.
    assert traced.num_updates == compiled.num_updates == 8


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIONS)
def test_the_program_learns_what_the_kernels_learn(name):
    check_equal(name, OPTIONS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, options in OPTIONS.items() if "optimizer" not in options])
def test_gradients_are_those_of_the_kernels(name, monkeypatch):
    # Neither is compiling what matters here, which takes seconds.
    monkeypatch.setattr(keras_q_network, "_COMPILED_LAYERS", set())
    # A step of gradient descent with rate 1 is the gradient.
    options = OPTIONS[name] | {"optimizer": "sgd", "max_gradient_norm": None}
    compiled, traced = both(gradient_steps=1, **options)
    before = [part.copy() for part in weights_of(compiled)]
    fill(traced.batch, options.get("is_symbol", False), np.random.default_rng(2))
    for own, given in zip(compiled.batch, traced.batch, strict=True):
        own[...] = given
    compiled.learn(1.0)
    traced.learn(1.0)
    for start, one, other in zip(before, weights_of(compiled), weights_of(traced), strict=True):
        assert np.allclose(start - one, start - other, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"prioritized": 0.6, "gradient_steps": 1, "train_every": 2}])
def test_a_training_is_that_of_the_kernels(options):
    agents = [small(network(hidden=(8,)), **options) for network in (MLP, TracedMLP)]
    logs = [agent.train(gym.make(CART), steps=200, seed=3) for agent in agents]
    assert np.array_equal(logs[0].returns, logs[1].returns)
    first, second = (weights_of(agent.learner.network) for agent in agents)
    assert agents[1].learner.network.num_updates == agents[0].learner.network.num_updates > 90
    assert all(np.allclose(one, other, atol=1e-4) for one, other in zip(first, second, strict=True))
    assert np.allclose(agents[0].learner.replay.tree, agents[1].learner.replay.tree, rtol=1e-2)


@pytest.mark.slow
def test_a_burst_longer_than_a_call_is_several():
    agent = small(TracedMLP(hidden=(4,)), gradient_steps=18, prioritized=0.5)
    log = agent.train(gym.make(CART), steps=32, seed=0)
    assert agent.learner.network.num_updates == 36
    assert log.compile_seconds > 0
    priorities = agent.learner.replay.arrays()["priorities"]
    assert len(np.unique(priorities)) > 16


# Any layers


class Board(gym.Env):
    """A ball falls through a board of 5x5x2 zeros and ones; action 0, 1 or 2 moves the paddle at the bottom."""

    observation_space = spaces.Box(0, 1, (5, 5, 2), np.uint8)
    action_space = spaces.Discrete(3)

    def _seen(self):
        board = np.zeros((5, 5, 2), np.uint8)
        board[self.row, self.column, 0] = board[4, self.paddle, 1] = 1
        return board

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.row, self.paddle = 0, 2
        self.column = int(self.np_random.integers(5))
        return self._seen(), {}

    def step(self, action):
        self.row += 1
        self.paddle = min(max(self.paddle + int(action) - 1, 0), 4)
        is_down = self.row == 4
        return self._seen(), float(is_down and self.paddle == self.column), is_down, False, {}


class Flags(Board):
    observation_space = spaces.MultiBinary((5, 5, 2))

    def _seen(self):
        return super()._seen().astype(np.int8)


class Cue(gym.Env):
    """Shows -1 or 1 at first and zeros then; the third action must be 0 or 1 accordingly."""

    observation_space = spaces.Box(-1, 1, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps, self.cue = 0, int(self.np_random.integers(2))
        return np.array([2 * self.cue - 1], np.float32), {}

    def step(self, action):
        self.steps += 1
        is_over = self.steps == 3
        return np.zeros(1, np.float32), float(is_over and action == self.cue), is_over, False, {}


def stacked():
    return FrameStackObservation(gym.make(CART), 3)


NETWORKS = {
    "perceptron with dropout": (MLP(hidden=(16,), dropout=0.2), lambda: gym.make(CART)),
    "normalised": (MLP(hidden=(8, 8), batch_normalization=True), lambda: gym.make("FrozenLake-v1")),
    "convolutions": (PlainCNN(filters=(4, 4), hidden=16), Board),
    "pooled": (SimpleCNN(), Board),
    "board of flags": (PlainCNN(filters=(2,), hidden=4), Flags),
    "recurrent": (RowRNN(cell="gru", hidden=8), stacked),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_it_acts_by_numpy_as_keras_would(name):
    network, make = NETWORKS[name]
    env = make()
    agent = small(network, dueling=True)
    agent.train(env, steps=48, seed=0)
    learner = agent.learner
    rows = np.stack([learner.reader.row(env.observation_space.sample()) for _ in range(7)])
    scaled = np.empty(rows.shape, np.float32)
    kernels.scaled_into(rows, learner.scale, scaled)
    inside = learner.network
    theirs = inside._program.values(inside._ready_state()["weights"], scaled).numpy()
    assert np.allclose(inside.values(rows, learner.scale), theirs, atol=1e-4)
    assert agent.describe().splitlines()[0].startswith("layer")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["perceptron with dropout", "convolutions", "normalised"])
def test_two_calls_are_one_and_a_saved_agent_goes_on(name, tmp_path):
    network, make = NETWORKS[name]
    options = {"dueling": True, "prioritized": 0.5}
    whole, again, parts = (small(network, **options) for _ in range(3))
    whole.train(make(), steps=150, seed=1)
    again.train(make(), steps=150, seed=1)
    env = make()
    parts.train(env, steps=61, seed=1)
    parts.train(env, steps=89)
    assert digest(whole) == digest(again) == digest(parts)
    # An episode that is under way is not kept.
    whole.train(make(), episodes=3, seed=2)
    whole.save(tmp_path)
    loaded = Agent.load(tmp_path)
    assert digest(loaded) == digest(whole)
    samples = [env.observation_space.sample() for _ in range(9)]
    assert np.array_equal(loaded.act(np.array(samples)), whole.act(np.array(samples)))
    for agent in (whole, loaded):
        agent.train(make(), steps=60, seed=4)
    assert digest(loaded) == digest(whole)


@pytest.mark.slow
def test_a_checkpointed_training_ends_with_the_same_bits(tmp_path):
    whole = small(RowRNN(hidden=4))
    log = whole.train(stacked(), episodes=12, seed=4)
    agent, checkpointed = train_with_checkpoints(
        small(RowRNN(hidden=4)), stacked, folder=tmp_path, key="k", every_seconds=0.01, seed=4, episodes=12
    )
    assert checkpointed.notes == ()
    assert np.array_equal(log.returns, checkpointed.returns)
    assert digest(agent) == digest(whole)


@pytest.mark.slow
def test_a_loaded_agent_acts_without_tensorflow(tmp_path):
    agent = small(PlainCNN(filters=(2,), hidden=4))
    env = Board()
    agent.train(env, steps=33, seed=0)
    agent.save(tmp_path)
    boards = np.stack([env.reset(seed=seed)[0] for seed in range(4)])
    code = f"""
import sys
import numpy as np
from velodrome.agents import Agent
agent = Agent.load({str(tmp_path)!r})
print(agent.act(np.array({boards.tolist()}, np.uint8)).tolist())
assert not {{"tensorflow", "keras"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == agent.act(boards).tolist()
    with np.load(tmp_path / "arrays.npz") as found:
        arrays = dict(found)
    learner = agent.learner
    del arrays["network/target/dense_1/kernel"]
    entries, _ = learner.state()
    fresh = agent.new_learner(learner.task, Streams(0))
    fresh.set_state(entries | agent.binding.streams.state(), arrays)
    with pytest.raises(SavedAgentError, match=r"target/dense_1/kernel is missing or does not fit"):
        fresh.network.move_target(0.5)


@pytest.mark.slow
def test_a_plain_convolutional_network_learns_a_board():
    policy = EpsilonGreedy(Linear(1.0, 0.05, 1500, clock="step"))
    agent = DQN(
        network=PlainCNN(hidden=32), policy=policy, learning_starts=200, n_step=1, discount=0.9, train_every=8,
        gradient_steps=8, target_every=64,
    )  # fmt: skip
    trial = vd.run(agent, Board, steps=3000, seed=0, evaluation_episodes=50)
    assert trial.evaluation.mean_return > 0.9


@pytest.mark.slow
def test_a_recurrent_network_reads_the_last_observations():
    policy = EpsilonGreedy(Linear(1.0, 0.05, 1000, clock="step"))
    options = {"policy": policy, "learning_starts": 200, "n_step": 1, "train_every": 8, "gradient_steps": 8,
               "target_every": 64, "discount": 0.9}  # fmt: skip
    found = {}
    for frames in (1, 3):
        agent = DQN(network=RowRNN(hidden=16), **options)
        trial = vd.run(agent, lambda: FrameStackObservation(Cue(), frames), steps=2000, seed=0, evaluation_episodes=60)  # noqa: B023
        found[frames] = trial.evaluation.mean_return
    assert found[3] == 1.0
    assert found[1] < 0.8


# A model of the user's


def model(num_outputs=2, shape=(4,), *last):
    layers = keras().layers
    dense = [layers.Dense(8, activation="tanh"), layers.Dense(num_outputs, name="values")]
    return keras().Sequential([keras().Input(shape), layers.Flatten(), *dense, *last])


def test_a_keras_model_learns_and_comes_back(tmp_path):
    agent = small(model())
    assert isinstance(agent.network, KerasAgent)
    log = agent.train(CART, steps=64, seed=1)
    assert log.steps == 64
    from_function = small(lambda: model())
    assert to_data(from_function) == to_data(agent)
    from_function.train(CART, steps=64, seed=1)
    assert digest(from_function) == digest(agent)
    agent.save(tmp_path)
    loaded = Agent.load(tmp_path)
    observations = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    assert np.array_equal(loaded.act(observations), agent.act(observations))
    assert loaded.act(observations[0]) == agent.act(observations)[0]
    for each in (agent, loaded):
        each.train(gym.make(CART), steps=40, seed=2)
    assert digest(loaded) == digest(agent)
    # The architecture is part of the key, and so are the versions of what learns.
    found = json.loads(to_data(agent)["network"]["model"])["config"]["layers"]
    assert [layer["config"]["name"] for layer in found] == ["input_layer", "flatten", "dense", "values"]
    assert to_data(small(model(3))) != to_data(agent)
    assert packages_of(agent).keys() == {"keras", "tensorflow"}
    assert agent.describe().startswith("Model:")


def test_a_functional_model_is_the_same_when_made_again():
    k = keras()

    def make():
        inputs = k.Input((4,))
        inner = k.Sequential([k.Input((8,)), k.layers.Dense(8), k.layers.ReLU()])
        both = [k.layers.Dense(8)(inputs), inner(k.layers.Dense(8, activation="relu")(inputs))]
        return k.Model(inputs, k.layers.Dense(2)(k.layers.Add()(both)))

    first, second = KerasAgent(model=make()), KerasAgent(model=make())
    assert first.model == second.model
    made = k.models.model_from_json(second.model)
    names = [layer.name for layer in made.layers]
    assert set(names) == {"input_layer", "dense", "dense_1", "sequential", "add", "dense_3"}


def test_models_that_do_not_fit_are_refused():
    layers = keras().layers
    outputs = message_of(UnsupportedEnvironmentError, small(model(3)).train, CART, steps=1)
    assert outputs == "the Keras model gives (None, 3), but there are 2 actions"
    inputs = message_of(UnsupportedEnvironmentError, small(model(2, (5,))).train, CART, steps=1)
    assert inputs == "keras_agent: the Keras model reads (5,), but observations of CartPole-v1 are (4,)"
    softmax = message_of(ConfigurationError, small, model(2, (4,), layers.Softmax()))
    assert "leave the softmax of its last layer away" in softmax
    code = model(2, (4,), layers.Lambda(lambda inputs: inputs))
    assert "a Lambda layer is code" in message_of(ConfigurationError, small(code).train, CART, steps=1)
    dueling = message_of(ConfigurationError, small, model(), dueling=True)
    assert dueling == (
        "dqn: dueling=True is for layers of ours: a keras.Model gives the action values as they are, leave it at False"
    )
    glorot = message_of(ConfigurationError, small, model(), initial_weights="glorot")
    assert glorot.startswith("dqn: initial_weights='glorot' is for layers of ours")
    assert "model must be a keras.Model" in message_of(ConfigurationError, small, lambda: 3)
    broken = message_of(ConfigurationError, small, lambda: 1 / 0)
    assert broken == "keras_agent: model is to give a keras.Model when called: ZeroDivisionError: division by zero"


@pytest.mark.slow
def test_a_loss_that_is_no_number_ends_the_trial_with_its_step():
    agent = small(MLP(hidden=(4,), dropout=0.5), learning_rate=1e30, max_gradient_norm=None)
    line = message_of(DivergedError, agent.train, gym.make(CART), steps=500, seed=0)
    assert line.startswith("dqn: the loss is ")
    assert line.endswith(" with learning_rate=1e+30: give a smaller learning_rate")


# What needs no TensorFlow


def test_networks_that_do_not_fit_are_refused():
    flat = message_of(UnsupportedEnvironmentError, build_agent("dqn(network=row_rnn)").train, CART, steps=1)
    assert flat == ("row_rnn needs images, (height, width) or (height, width, channels), but CartPole-v1 has none")
    assert message_of(UnsupportedEnvironmentError, small(PlainCNN()).train, CART, steps=1).startswith("plain_cnn needs")
    line = message_of(ConfigurationError, build_agent, "plain_cnn(filters=16)")
    assert line == "plain_cnn: filters must be those of each convolution, such as [16], got 16"
    line = message_of(ConfigurationError, build_agent, "dqn(network=plain_cnn(batch_size=7))")
    assert line.startswith("dqn: of network=plain_cnn only the layers are taken: batch_size=7 is for learning from")


def test_units_of_each_layer_are_those_of_equal_ones():
    equal, each = MLP(hidden=8, layers=3), MLP(hidden=[8, 8, 8])
    assert equal.rectified_layers == each.rectified_layers == (8, 8, 8)
    assert str(each) == "mlp(hidden=[8, 8, 8])"
    assert str(build_agent(str(each))) == str(each)
    assert to_data(MLP())["hidden"] == 256
    assert dataclasses.replace(each, hidden=(4,)).units == (4,)
    assert MLP(dropout=0.1).rectified_layers is MLP(batch_normalization=True).rectified_layers is None


def test_the_key_holds_the_versions_of_what_learns():
    assert packages_of(DQN()) == packages_of(build_agent("q_network")) == {}
    assert packages_of(build_agent("dqn(network=mlp(dropout=0.1))")).keys() == {"keras", "tensorflow"}
    assert packages_of(build_agent("dqn(network=plain_cnn)")).keys() == {"keras", "tensorflow"}
    assert packages_of(NeuralBandit()).keys() == {"keras", "tensorflow"}
    assert packages_of(build_agent("binned_actions(dqn, bins=3)")) == {}
