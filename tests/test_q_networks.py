"""Q-networks: their arithmetic is right, they learn, the bits come again, and mistakes are one line."""

import dataclasses
import math
import os
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings, strategies as st
from small_q_network import digest, small

import velodrome as vd
from velodrome.agents import (
    DQN,
    MLP,
    Agent,
    DivergedError,
    EnvironmentFailureError,
    ObservationError,
    PolicyFailureError,
    QLearning,
    SoftmaxRegression,
    UnsupportedEnvironmentError,
    dqn_2013,
    dqn_2015,
    q_network,
)
from velodrome.agents.deep import q_kernels as kernels
from velodrome.agents.deep.q_learner import ObservationReader
from velodrome.agents.deep.q_model import Batch, LearningRule, NetworkShape, QNetwork
from velodrome.agents.deep.replay import Replay
from velodrome.experiments.specification.catalogue import build_agent
from velodrome.experiments.specification.experiment_file import read_experiment
from velodrome.experiments.trials.checkpoints import train_with_checkpoints
from velodrome.policies import ConfigurationError, EpsilonGreedy, Greedy, Linear, Policy, RandomNoise, Softmax

LAKE = "FrozenLake-v1"
CART = "CartPole-v1"
NO_SCALE = np.array([[0.0], [1.0], [np.inf]], dtype=np.float32)


def message_of(error_class, function, *arguments, **options):
    with pytest.raises(error_class) as caught:
        function(*arguments, **options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


# The arithmetic: values, loss and gradient against a plain one in float64

OPTIONS = {
    "plain": {},
    "double": {"is_double": True},
    "dueling": {"is_dueling": True},
    "double dueling Huber": {"is_double": True, "is_dueling": True, "is_huber": True},
    "no target": {"has_target": False, "is_double": True},
    "masks": {"has_masks": True, "is_double": True},
    "no bias": {"has_bias": False, "is_huber": True},
    "linear": {"hidden": ()},
    "linear dueling": {"hidden": (), "is_dueling": True},
    "linear symbols": {"hidden": (), "is_symbol": True, "has_bias": False},
    "symbols": {"is_symbol": True, "is_dueling": True},
    "one layer": {"hidden": (5,), "is_huber": True},
    "wide": {"hidden": (33, 18), "is_double": True},
}


def network(size=6, num_actions=3, **options):
    given = {
        "hidden": (9, 7), "is_symbol": False, "is_dueling": False, "has_bias": True, "is_double": False,
        "has_target": True, "has_masks": False, "is_huber": False, "optimizer": kernels.ADAM,
        "max_gradient_norm": math.inf,
    } | options  # fmt: skip
    names = ("hidden", "is_symbol", "is_dueling", "has_bias")
    shape = NetworkShape(num_inputs=6, num_actions=num_actions, **{name: given.pop(name) for name in names})
    rule = LearningRule(**given)
    made = QNetwork(shape, np.random.default_rng(0), initial_weights="glorot", batch_size=size, rule=rule)
    rng = np.random.default_rng(1)
    for row in (kernels.ONLINE, kernels.TARGET):
        for kernel, bias in made.layers(row):
            kernel[...] = rng.normal(0, 0.5, kernel.shape)
            bias[...] = rng.normal(0, 0.5, bias.shape) if shape.has_bias else 0
    return made, given


def fill(batch: Batch, is_symbol, num_inputs=6, seed=2):
    rng = np.random.default_rng(seed)
    for inputs in (batch.inputs, batch.next_inputs):
        inputs[...] = rng.integers(0, num_inputs, inputs.shape) if is_symbol else rng.normal(size=inputs.shape)
    batch.actions[...] = rng.integers(0, batch.next_masks.shape[1], len(batch.actions))
    batch.returns[...] = rng.normal(0, 2, len(batch.returns))
    batch.factors[...] = np.where(rng.random(len(batch.factors)) < 0.3, 0.0, 0.9)
    batch.next_masks[...] = rng.integers(0, 2, batch.next_masks.shape)
    batch.next_masks[:, 0] = 1
    batch.shares[...] = rng.random(len(batch.shares))


def values_of(layers, inputs, shape):
    """Action values float64 (B, num_actions), layer by layer."""
    now = np.eye(shape.num_inputs)[inputs[:, 0].astype(int)] if shape.is_symbol else inputs.astype(np.float64)
    for number, (kernel, bias) in enumerate(layers):
        now = now @ kernel + bias
        if number < len(layers) - 1:
            now = np.maximum(now, 0)
    if shape.is_dueling:
        advantages = now[:, :-1]
        return now[:, -1:] + advantages - advantages.mean(axis=1, keepdims=True)
    return now


def loss_of(layers, batch, targets, shape, is_huber):
    values = values_of(layers, batch.inputs, shape)
    errors = values[np.arange(len(targets)), batch.actions] - targets
    size = np.abs(errors)
    each = np.where(size <= 1, 0.5 * errors**2, size - 0.5) if is_huber else errors**2
    return float(np.mean(batch.shares * each))


def targets_of(made, options):
    batch, shape = made.batch, made.shape
    online, target = made.layers(kernels.ONLINE), made.layers(kernels.TARGET)
    valued = values_of(target if options["has_target"] else online, batch.next_inputs, shape)
    choosing = values_of(online, batch.next_inputs, shape) if options["is_double"] else valued
    if options["has_masks"]:
        choosing = np.where(batch.next_masks, choosing, -np.inf)
    return batch.returns + batch.factors * valued[np.arange(len(valued)), choosing.argmax(axis=1)]


@pytest.mark.parametrize("name", OPTIONS)
def test_gradients_are_those_of_finite_differences(name):
    made, options = network(**OPTIONS[name])
    fill(made.batch, made.shape.is_symbol)
    layers = [(kernel.astype(np.float64), bias.astype(np.float64)) for kernel, bias in made.layers(kernels.ONLINE)]
    targets = targets_of(made, options)
    values = values_of(layers, made.batch.inputs, made.shape)
    scale = np.repeat(NO_SCALE, made.batch.inputs.shape[1], axis=1)
    assert np.allclose(made.values(made.batch.inputs, scale), values, rtol=1e-5, atol=1e-5)
    loss, mean = made.learn(0.0)
    chosen = values[np.arange(len(targets)), made.batch.actions]
    assert loss == pytest.approx(loss_of(layers, made.batch, targets, made.shape, options["is_huber"]), rel=1e-5)
    assert mean == pytest.approx(chosen.mean(), rel=1e-5)
    assert np.allclose(made.batch.errors, chosen - targets, atol=1e-5)
    for number, gradients in enumerate(made.layers(kernels.GRADIENT)):
        for part, gradient in zip(layers[number], gradients, strict=True):
            found = np.zeros(part.shape)
            for place in np.ndindex(part.shape):
                before = part[place]
                sides = []
                for step in (1e-6, -1e-6):
                    part[place] = before + step
                    sides.append(loss_of(layers, made.batch, targets, made.shape, options["is_huber"]))
                part[place] = before
                found[place] = (sides[0] - sides[1]) / 2e-6
            if part.ndim == 1 and not made.shape.has_bias:
                found[...] = 0
            assert np.allclose(gradient, found, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIONS)
def test_gradients_and_steps_are_those_of_keras(name):
    import keras
    import tensorflow as tf

    made, options = network(max_gradient_norm=0.5, **OPTIONS[name])
    shape = made.shape
    fill(made.batch, shape.is_symbol)
    batch, targets = made.batch, targets_of(made, options)
    rows = np.eye(6, dtype=np.float32)[batch.inputs[:, 0].astype(int)] if shape.is_symbol else batch.inputs
    layers = [keras.layers.Dense(units, activation="relu", use_bias=shape.has_bias) for units in shape.hidden]
    layers.append(keras.layers.Dense(shape.sizes[-1], use_bias=shape.has_bias))
    model = keras.Sequential([keras.Input((6,)), *layers])
    for layer, (kernel, bias) in zip(layers, made.layers(kernels.ONLINE), strict=True):
        layer.set_weights([kernel, bias] if shape.has_bias else [kernel])
    optimizer = keras.optimizers.Adam(0.01, global_clipnorm=0.5)
    for step in range(3):
        # The targets move with the online network unless there is another.
        targets = targets_of(made, options)
        with tf.GradientTape() as tape:
            outputs = model(rows)
            if shape.is_dueling:
                advantages = outputs[:, :-1]
                outputs = outputs[:, -1:] + advantages - tf.reduce_mean(advantages, axis=1, keepdims=True)
            chosen = tf.gather(outputs, batch.actions, batch_dims=1)[:, None]
            kind = keras.losses.Huber if options["is_huber"] else keras.losses.MeanSquaredError
            each = kind(reduction="none")(targets.astype(np.float32)[:, None], chosen)
            loss = tf.reduce_mean(batch.shares * each)
        gradients = tape.gradient(loss, model.trainable_variables)
        own_loss, _ = made.learn(0.01)
        assert own_loss == pytest.approx(float(loss), rel=1e-4)
        own = [part for layer in made.layers(kernels.GRADIENT) for part in layer[: 1 + shape.has_bias]]
        for gradient, part in zip(gradients, own, strict=True):
            assert np.allclose(gradient, part, atol=1e-5)
        optimizer.apply(gradients, model.trainable_variables)
        own = [part for layer in made.layers(kernels.ONLINE) for part in layer[: 1 + shape.has_bias]]
        for variable, part in zip(model.trainable_variables, own, strict=True):
            assert np.allclose(variable, part, atol=1e-5), step


def test_the_target_network_moves_by_its_rate():
    made, _ = network()
    online, target = made.weights[kernels.ONLINE].copy(), made.weights[kernels.TARGET].copy()
    made.move_target(0.25)
    assert np.allclose(made.weights[kernels.TARGET], target + 0.25 * (online - target), atol=1e-7)
    made.move_target(1.0)
    assert np.array_equal(made.weights[kernels.TARGET], online)


def test_dead_weights_come_to_exact_zeros():
    made, _ = network()
    made.weights[kernels.GRADIENT] = 0
    made.weights[kernels.FIRST_MOMENT] = made.weights[kernels.SECOND_MOMENT] = 1e-3
    for _ in range(1000):
        kernels.step_of_optimizer(made.weights, made.powers, kernels.ADAM, 0.001, math.inf)
    assert not made.weights[kernels.FIRST_MOMENT].any()
    assert np.isfinite(made.weights).all()


# The replay


def replay(capacity=7, **options):
    given = {"has_masks": False, "prioritized": 0.0, "rng": np.random.default_rng(0), "batch_size": 400} | options
    return Replay(capacity, 1, np.float32, 2, **given)


def add(ring, number, end, reward=None):
    """A step from `number` to `number + 1`."""
    present, following = np.array([number], np.float32), np.array([number + 1], np.float32)
    statistics = np.zeros((3, 1))
    assert ring.add(present, following, statistics, NO_SCALE, False, number % 2, reward or number, end, None)


@settings(max_examples=30)
@given(
    ends=st.lists(st.sampled_from([0, 0, 0, 1, 2]), min_size=1, max_size=40),
    n_step=st.integers(1, 4),
    capacity=st.integers(1, 12),
)
def test_returns_end_with_episodes_and_at_the_newest_step(ends, n_step, capacity):
    ring = replay(capacity)
    for number, end in enumerate(ends):
        add(ring, number, end)
    batch = Batch.empty(400, 1, 2)
    ring.draw(batch, n_step=n_step, discount=0.5, scale=NO_SCALE, importance=0.0)
    drawn = batch.inputs[:, 0].astype(int)
    assert set(drawn) <= set(range(max(0, len(ends) - capacity), len(ends)))
    for row, first in enumerate(drawn):
        total, last = 0.0, first
        for step in range(n_step):
            last = first + step
            total += 0.5**step * last
            if ends[last] or last == len(ends) - 1:
                break
        assert batch.actions[row] == first % 2
        assert batch.returns[row] == np.float32(total)
        assert batch.next_inputs[row, 0] == last + 1
        assert batch.factors[row] == (0.0 if ends[last] == 1 else np.float32(0.5 ** (last - first + 1)))


def test_steps_are_drawn_by_their_priorities():
    ring = replay(5, prioritized=1.0, batch_size=1000)
    for number in range(5):
        add(ring, number, 0)
    kernels.set_priorities(ring.tree, np.arange(5), np.array([1, 0, 2, 3, 4], np.float32), 1.0, 1.0)
    batch = Batch.empty(1000, 1, 2)
    ring.draw(batch, n_step=1, discount=0.5, scale=NO_SCALE, importance=1.0)
    counts = np.bincount(batch.inputs[:, 0].astype(int), minlength=5)
    assert np.allclose(counts, [100, 0, 200, 300, 400], atol=1)
    # The importance makes up for it.
    importances = [batch.shares[batch.inputs[:, 0] == number][0] for number in (0, 2, 3, 4)]
    assert np.allclose(importances, [1, 1 / 2, 1 / 3, 1 / 4], rtol=1e-4)


@settings(max_examples=20)
@given(
    ends=st.lists(st.sampled_from([0, 0, 1, 2]), min_size=1, max_size=20),
    prioritized=st.sampled_from([0.0, 0.6]),
)
def test_a_replay_comes_back_from_its_arrays(ends, prioritized):
    ring, again = replay(7, prioritized=prioritized), replay(7, prioritized=prioritized)
    for number, end in enumerate(ends):
        add(ring, number, end)
    if prioritized:
        errors = np.arange(ring.count, dtype=np.float32)
        kernels.set_priorities(ring.tree, np.arange(ring.count), errors, 0.6, 1.0)
    again.restore(ring.arrays(), ring.count, ring.position, ring.largest_priority)
    one, other = Batch.empty(400, 1, 2), Batch.empty(400, 1, 2)
    for drawn, batch in ((ring, one), (again, other)):
        drawn.draw(batch, n_step=3, discount=0.9, scale=NO_SCALE, importance=0.5)
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert np.array_equal(ring.tree, again.tree)


# What it learns


class Recorded(gym.Wrapper):
    """Keeps all steps."""

    def __init__(self, env):
        super().__init__(env)
        self.steps = []

    def reset(self, **options):
        self.present, info = self.env.reset(**options)
        return self.present, info

    def step(self, action):
        answer = self.env.step(action)
        self.steps.append((self.present, action, *answer[1:4], answer[0]))
        self.present = answer[0]
        return answer


@settings(max_examples=3)
@given(seed=st.integers(0, 10_000), is_slippery=st.booleans())
def test_the_q_network_of_the_lake_is_q_learning(seed, is_slippery):
    env = Recorded(gym.make(LAKE, is_slippery=is_slippery))
    agent = q_network()
    agent.train(env, episodes=1, seed=seed)
    first = q_network()
    first.train(Recorded(gym.make(LAKE)), steps=1, seed=seed)
    table = QLearning(learning_rate=0.2, discount=0.99)
    table.train(gym.make(LAKE), steps=1, seed=seed)
    fresh = first.new_learner(agent.learner.task, agent.binding.streams)
    table.action_values[...] = fresh.action_values(np.arange(16))
    assert ((table.action_values >= 0) & (table.action_values < 0.01)).all()
    agent.train(env, episodes=149)
    for observation, action, reward, terminated, truncated, following in env.steps:
        table.observe(observation, action, reward, following, terminated, truncated)
    assert len(env.steps) > 500
    assert np.allclose(agent.action_values, table.action_values, rtol=1e-4, atol=1e-6)


def test_the_lake_is_evaluated_exactly_and_along_the_training():
    trial = vd.run(q_network(), LAKE, episodes=300, seed=3, evaluate_every=100)
    assert trial.evaluation.method == "exact"
    curves = {curve.name: curve for curve in trial.measured}
    assert curves["evaluation_success_rate"].at.tolist() == [100, 200, 300]
    assert curves["evaluation_success_rate"].values[-1] == trial.evaluation.success_rate
    updates = curves["updates"]
    assert updates.at.tolist() == list(range(1000, trial.log.steps + 1, 1000))
    assert updates.values.tolist() == updates.at.tolist()
    assert set(curves) >= {"loss", "mean_action_value", "exploration"}
    assert np.array_equal(trial.trained.act(np.arange(16)), trial.trained.action_values.argmax(axis=1))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [700, 701, 709])
def test_the_default_learns_to_balance(seed):
    trial = vd.run(DQN(), CART, steps=20_000, seed=seed, evaluation_episodes=10)
    assert trial.evaluation.mean_return > 300


@pytest.mark.slow
def test_the_presets_of_the_lectures_learn_to_balance():
    for agent in (dqn_2013(), dqn_2015(target_every=200)):
        log = agent.train(CART, episodes=400, seed=5)
        assert log.returns[-50:].mean() > 100 > 30 > log.returns[:50].mean()


class Corridor(gym.Env):
    """Numbers 0 to 3; action 1 goes right; the end pays 1 and terminates, or, after `limit` steps, is cut."""

    def __init__(self, limit=50, observation_space=None, make=None):
        self.observation_space = observation_space or spaces.Box(0, 3, (1,), np.float32)
        self.action_space = spaces.Discrete(2, start=5)
        self.limit, self.make = limit, make or (lambda place: np.array([place], np.float32))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = self.steps = 0
        return self.make(self.place), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.steps += 1
        self.place = max(0, self.place + (1 if action == 6 else -1))
        is_there = self.place == 3
        return self.make(self.place), float(is_there), is_there, self.steps == self.limit and not is_there, {}


SPACES = {
    "symbols": (spaces.Discrete(4, start=2), lambda place: place + 2),
    "bytes": (spaces.Box(0, 255, (2, 2), np.uint8), lambda place: np.full((2, 2), place * 80, np.uint8)),
    "two kinds": (
        spaces.Tuple([spaces.Discrete(4), spaces.Box(0, 1, (1,), np.float32)]),
        lambda place: (place, np.zeros(1, np.float32)),
    ),
    "float64": (spaces.Box(-np.inf, np.inf, (1,), np.float64), lambda place: np.array([place * 1.0])),
    "flags": (spaces.MultiBinary(4), lambda place: np.eye(4, dtype=np.int8)[place]),
}


@pytest.mark.parametrize("name", SPACES)
def test_it_learns_in_every_space_of_numbers(name):
    env = Corridor(observation_space=SPACES[name][0], make=SPACES[name][1])
    agent = small(network=MLP(hidden=(16,)), learning_rate=0.01, n_step=1, replay=500, discount=0.9, train_every=1)
    agent.train(env, steps=1500, seed=1)
    assert [agent.act(env.make(place)) for place in range(3)] == [6, 6, 6]


BATCHES = {
    "flags": (spaces.MultiBinary(4), np.eye(4, dtype=np.int8), np.eye(4)),
    "numbers": (spaces.MultiDiscrete([2, 3]), np.array([[0, 1]]), [[1, 0, 0, 1, 0]]),
    "hand": (
        spaces.Tuple([spaces.Discrete(2), spaces.Discrete(2, start=1)]),
        (np.array([0, 1]), np.array([1, 2])),
        [[1, 0, 1, 0], [0, 1, 0, 1]],
    ),
    "named": (
        spaces.Dict(a=spaces.Discrete(2), b=spaces.Box(0, 1, (1,))),
        {"a": np.array([1]), "b": np.array([[0.5]], np.float32)},
        [[0, 1, 0.5]],
    ),
    "symbols": (spaces.Discrete(4, start=2), np.array([2, 5]), [[0], [3]]),
}


@pytest.mark.parametrize("name", BATCHES)
def test_observations_of_every_space_become_rows(name):
    space, batch, rows = BATCHES[name]
    reader = ObservationReader(space)
    assert reader.is_batch(batch)
    assert np.array_equal(reader.read_batch(batch), rows)
    assert not reader.is_batch(space.sample())
    assert reader.row(space.sample()).shape == (reader.size,)


def test_truncations_bootstrap_and_terminations_do_not():
    learnt = {}
    for is_terminated in (False, True):

        class Once(Corridor):
            def step(self, action):
                return self.make(0), 1.0, is_terminated, not is_terminated, {}  # noqa: B023

        agent = small(
            network=SoftmaxRegression(), scaling="none", discount=0.5, n_step=3, learning_rate=0.05, train_every=1
        )
        agent.train(Once(), steps=1500, seed=0)
        learnt[is_terminated] = agent.action_values_of(np.zeros((1, 1)))[0]
    assert np.allclose(learnt[True], 1, atol=0.05)
    assert np.allclose(learnt[False], 2, atol=0.1)


def test_a_reward_of_ones_own_takes_the_place_of_the_last():
    agent = small(
        network=SoftmaxRegression(),
        scaling="none",
        discount=0.5,
        terminal_reward=-1.0,
        learning_rate=0.05,
        train_every=1,
    )
    log = agent.train(gym.make(CART), steps=300, seed=0)
    assert log.returns.min() > 0
    kept = agent.learner.replay
    assert set(kept.rewards[kept.ends == kernels.TERMINATED]) == {-1.0}
    assert set(kept.rewards[kept.ends == kernels.GOES_ON]) == {1.0}


@pytest.mark.parametrize("policy", [Greedy(), Softmax(), RandomNoise(0.5), EpsilonGreedy(Linear(1, 0, 5))])
def test_it_explores_with_the_policies_of_tables(policy):
    agent = small(policy=policy)
    log = agent.train(gym.make(CART), steps=200, seed=0)
    assert log.steps == 200
    assert agent.act(np.zeros(4, np.float32), explore=True) in (0, 1)


def test_random_actions_come_first():
    agent = small(policy=Greedy(), learning_starts=400, learning_rate=0.0)
    agent.train(gym.make(CART), steps=400, seed=0)
    assert agent.learner.network.num_updates == 1
    assert 150 < agent.learner.replay.actions[:64].sum() * 400 / 64 < 250


class Blinking(Corridor):
    """Allows the two actions in turn."""

    is_obeyed = True

    def reset(self, **options):
        return super().reset(**options)[0], {"action_mask": np.array([1, 0], np.int8)}

    def step(self, action):
        self.is_obeyed &= action == 5 + self.steps % 2
        return *super().step(action)[:4], {"action_mask": np.eye(2, dtype=np.int8)[self.steps % 2]}


def test_masks_are_honoured_in_choice_and_target():
    agent = small(action_mask=True, discount=0.5, learning_rate=0.01, n_step=1)
    env = gym.make("Taxi-v4")
    agent.train(env, steps=300, seed=0)
    learner = agent.learner
    masks = learner.action_masks.by_state
    kept = learner.replay
    assert masks[kept.observations[:, 0].astype(int), kept.actions].all()
    goes_on = kept.ends == kernels.GOES_ON
    assert np.array_equal(kept.masks[goes_on], masks[kept.next_observations[goes_on, 0].astype(int)])
    actions = agent.act(np.arange(500))
    usable = masks.any(axis=1)
    assert masks[np.arange(500), actions][usable].all()


def test_masks_that_the_observation_does_not_decide_are_given():
    env = Blinking()
    agent = small(action_mask=True, discount=0.5, learning_rate=0.01, n_step=1)
    agent.train(env, steps=200, seed=0)
    assert env.is_obeyed
    message = message_of(UnsupportedEnvironmentError, agent.act, np.zeros(1, np.float32))
    assert 'give act that of the observation, action_mask=info["action_mask"]' in message
    assert [agent.act(np.zeros(1, np.float32), action_mask=mask) for mask in ([1, 0], [0, 1])] == [5, 6]
    assert agent.act(np.zeros((2, 1)), action_mask=[[1, 0], [0, 1]]).tolist() == [5, 6]
    without = message_of(UnsupportedEnvironmentError, small(action_mask=True).train, gym.make(CART), steps=9, seed=0)
    assert without == "action_mask=True, but the info of CartPole-v1 has no 'action_mask'"


# The same bits again


@settings(max_examples=6)
@given(first=st.integers(1, 150), options=st.sampled_from([{}, {"prioritized": 0.6}, {"dueling": True, "n_step": 3}]))
def test_two_calls_are_one(first, options):
    whole, parts = small(**options), small(**options)
    log = whole.train(gym.make(CART), steps=200, seed=1)
    env = gym.make(CART)
    one = parts.train(env, steps=first, seed=1)
    two = parts.train(env, steps=200 - first)
    assert np.array_equal((one + two).returns, log.returns)
    assert digest(parts) == digest(whole)


def test_curves_of_two_calls_are_those_of_one():
    log = small().train(gym.make(CART), steps=2500, seed=1)
    parts, env = small(), gym.make(CART)
    joined = parts.train(env, steps=700, seed=1) + parts.train(env, steps=1800)
    assert len(log.curves) == 4
    for one, other in zip(log.curves, joined.curves, strict=True):
        assert (one.name, one.unit, one.at.tolist()) == (other.name, other.unit, [1000, 2000])
        assert np.array_equal(one.values, other.values)


@pytest.mark.parametrize(
    "options", [{}, {"prioritized": 0.7, "network": MLP(hidden=(8, 8))}, {"target_every": None, "n_step": 1}]
)
def test_a_saved_agent_goes_on_as_if_nothing_had_happened(options, tmp_path):
    make = lambda: gym.make(CART)  # noqa: E731
    whole = small(**options)
    log = whole.train(make(), episodes=30, seed=4)
    agent, checkpointed = train_with_checkpoints(
        small(**options), make, folder=tmp_path, key="k", every_seconds=0.01, seed=4, episodes=30
    )
    assert checkpointed.notes == ()
    assert np.array_equal(log.returns, checkpointed.returns)
    assert digest(agent) == digest(whole)
    whole.save(tmp_path / "agent")
    loaded = Agent.load(tmp_path / "agent")
    assert digest(loaded) == digest(whole)
    observations = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    assert np.array_equal(loaded.act(observations), whole.act(observations))


def test_an_episode_that_is_not_kept_ends_in_the_replay(tmp_path):
    agent = small(n_step=5)
    agent.train(gym.make(CART), steps=33, seed=0)
    agent.save(tmp_path)
    loaded = DQN.load(tmp_path)
    newest = loaded.learner.replay.position - 1
    assert loaded.learner.replay.ends[newest] != kernels.GOES_ON
    agent.train(gym.make(CART), steps=5)
    assert agent.learner.replay.ends[newest] != kernels.GOES_ON


def test_a_seed_begins_all_streams_anew():
    first, second = small(learning_rate=0.0), small(learning_rate=0.0)
    env = gym.make(CART)
    first.train(env, steps=100, seed=8)
    log = first.train(env, steps=100, seed=9)
    again = first.train(env, steps=100, seed=9)
    assert np.array_equal(log.returns, again.returns)
    second.train(gym.make(CART), steps=100, seed=8)
    assert second.learner.replay.rng.bit_generator.state != first.learner.replay.rng.bit_generator.state


def test_nobody_else_is_drawn_from_and_tensorflow_stays_away():
    code = """
import random, sys
import numpy as np, gymnasium as gym
random.seed(1); np.random.seed(1)
before = random.getstate(), np.random.get_state()[1].tobytes()
from velodrome.agents import DQN, MLP
agent = DQN(network=MLP(hidden=(8,)), learning_starts=10)
agent.train("CartPole-v1", steps=200, seed=0)
agent.act(np.zeros(4, np.float32))
assert before == (random.getstate(), np.random.get_state()[1].tobytes())
assert not {"tensorflow", "keras", "torch"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_the_bits_are_the_same_on_other_processors(tmp_path):
    code = """
import hashlib
from velodrome.agents import DQN
agent = DQN(learning_starts=100, train_every=2)
agent.train("CartPole-v1", steps=3000, seed=0)
print(hashlib.sha256(agent.learner.network.weights.tobytes()).hexdigest())
"""
    digests = set()
    for number, changes in enumerate(
        [
            {},
            {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
            {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        ]
    ):
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / str(number))} | changes
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        digests.add(done.stdout.strip())
    assert len(digests) == 1


# What cannot be


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (
            "dqn(network=64)",
            "dqn: network must be a neural classifier such as mlp(hidden=[64, 64]), or a keras.Model, got",
        ),
        ("dqn(network=q_learning)", "dqn: network must be a neural classifier, got q_learning("),
        ("dqn(network=greedy)", "dqn: network takes an agent, but greedy is a policy"),
        ("dqn(network=mlp(hidden=[64, 0]))", "mlp: hidden must be a whole number of at least 1, got 0"),
        ("dqn(network=mlp(hidden=[]))", "mlp: hidden has no layers: without any, take softmax_regression"),
        (
            "dqn(network=mlp(hidden=[4, 4, 4], layers=5))",
            "mlp: layers=5 does not fit hidden=[4, 4, 4]: leave layers out",
        ),
        (
            "dqn(network=mlp(learning_rate=0.1))",
            "dqn: of network=mlp only the layers are taken: learning_rate=0.1 is for learning from labels, leave it at",
        ),
        ("dqn(batch_size=65, replay=64)", "dqn: batch_size=65 is more than the replay can hold, replay=64"),
        ("dqn(prioritized=-1)", "dqn: prioritized must be a number in [0, inf), got -1"),
        ("dqn(importance=2)", "dqn: importance must be a number in [0, 1], got 2"),
        ("dqn(learning_rate=-0.1)", "dqn: learning_rate must be a number in [0, inf), got -0.1"),
        ("dqn(loss='hubber')", "dqn: loss must be one of 'squared', 'huber', got 'hubber': did you mean 'huber'?"),
        ("dqn(optimizer='adm')", "dqn: optimizer must be one of 'adam', 'sgd', got 'adm': did you mean 'adam'?"),
        ("dqn(scaling='bound')", "dqn: scaling must be one of 'running', 'bounds', 'none', got 'bound': did you mean"),
        (
            "dqn(initial_weights='glorit')",
            "dqn: initial_weights must be one of 'fan_in', 'glorot', got 'glorit': did you",
        ),
        ("dqn(initial_weights=-1)", "dqn: initial_weights must be a number in [0, inf), got -1"),
        ("dqn(target_rate=0)", "dqn: target_rate must be a number in (0, 1], got 0"),
        ("dqn(target_every=0)", "dqn: target_every must be a whole number of at least 1, got 0"),
        ("dqn(double=1)", "dqn: double must be True or False, got 1"),
        ("dqn(policy=ucb)", "dqn: policy ucb() needs visit counts of a state, and a network keeps none"),
        (
            "dqn(policy=epsilon_greedy(harmonic(1, clock='visits')))",
            "dqn: policy epsilon_greedy(epsilon=harmonic(clock='visits')) needs visit counts",
        ),
        ("dqn(learning_rate=harmonic(1, clock='visits'))", "dqn: learning_rate harmonic(clock='visits') counts visits"),
        ("dqn(netwrk=mlp)", "dqn has no argument 'netwrk': did you mean 'network'?"),
    ],
)
def test_mistakes_are_one_line(expression, message):
    assert message_of((ConfigurationError, ValueError), build_agent, expression).startswith(message)


def test_spaces_that_it_cannot_take_are_refused():
    pendulum = message_of(UnsupportedEnvironmentError, DQN().train, "Pendulum-v1", steps=1)
    assert pendulum.startswith("dqn needs a Discrete action space, but Pendulum-v1 has Box(-2.0, 2.0, (1,), float32)")
    assert pendulum.endswith("cut them into bins, binned_actions(dqn, bins=5)")
    words = Corridor(observation_space=spaces.Sequence(spaces.Discrete(3)))
    refused = message_of(UnsupportedEnvironmentError, DQN().train, words, steps=1)
    assert (
        refused
        == "dqn needs a numerical observation space, but Corridor has Sequence(Discrete(3), stack=False): take random"
    )
    large = message_of(UnsupportedEnvironmentError, DQN(replay=10**12).train, CART, steps=1)
    assert large.startswith("dqn: replay=1000000000000 steps of 4 numbers need 38,184.2 GiB, but this machine has ")


def test_a_loss_that_is_no_number_ends_the_trial_with_its_step():
    agent = small(learning_rate=1e30, max_gradient_norm=None)
    line = message_of(DivergedError, agent.train, gym.make(CART), steps=500, seed=0)
    assert line.startswith("dqn: the loss is ")
    assert line.endswith(" with learning_rate=1e+30: give a smaller learning_rate")
    assert " at step " in line


class Wrong(Policy):
    select = property(lambda self: lambda values, counts, parameter, rng: counts[0])
    __hash__ = object.__hash__


def test_a_policy_that_asks_for_visits_or_chooses_nothing_is_told():
    with pytest.raises(PolicyFailureError, match="visit counts were asked for, and there are none"):
        small(policy=Wrong(), learning_starts=0).train(gym.make(CART), steps=5, seed=0)


@pytest.mark.parametrize("observation", [np.array([np.nan], np.float32), np.zeros(2, np.float32), "no"])
def test_an_observation_that_is_none_is_the_environments_failure(observation):
    env = Corridor(make=lambda place: observation if place else np.zeros(1, np.float32))
    with pytest.raises(EnvironmentFailureError, match="episode"):
        small().train(env, steps=50, seed=0)


def test_acting_on_something_else_is_refused():
    agent = small()
    agent.train(gym.make(CART), steps=20, seed=0)
    assert "an observation has shape (4,)" in message_of(ObservationError, agent.act, np.zeros(3))
    assert agent.act(np.zeros((0, 4))).shape == (0,)


def test_it_says_its_layers_and_the_size_of_its_replay():
    text = DQN().describe(CART)
    assert text.splitlines() == [
        "dense, rectified: 4 -> 64, 320 weights",
        "dense, rectified: 64 -> 64, 4,160 weights",
        "dense: 64 -> 2, 130 weights",
        "replay: 100,000 steps, 3.9 MiB in memory; a checkpoint has up to 2.5 MiB before it is compressed",
    ]


def test_presets_are_configurations_of_dqn():
    for name, made in (("q_network", q_network()), ("dqn_2013", dqn_2013()), ("dqn_2015", dqn_2015())):
        assert isinstance(build_agent(name), DQN)
        assert str(build_agent(name)) == str(made)
        assert str(build_agent(str(made))) == str(made)
    assert dataclasses.replace(dqn_2013(), target_every=5).target_every == 5


# As a user meets it: in an experiment


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("batch_size=0", "batch_size must be a whole number of at least 1, got 0"),
        ("gradient_steps=-1", "gradient_steps must be a whole number of at least 1, got -1"),
        ("learning_starts=-5", "learning_starts must be a whole number of at least 0, got -5"),
        ("max_gradient_norm=0", "max_gradient_norm must be a number in (0, inf), got 0"),
        ("n_step=2.5", "n_step must be a whole number of at least 1, got 2.5"),
        ("terminal_reward='x'", "terminal_reward must be a finite number, got 'x'"),
        ("learning_rate=linear(0.1, -0.1, 20)", "learning_rate must stay in [0, inf), but linear(start=0.1, end=-0.1"),
        ("discount=1.5", "discount must be a number in [0, 1], got 1.5"),
    ],
)
def test_more_mistakes_are_one_line(option, message):
    line = message_of((ConfigurationError, ValueError), build_agent, f"dqn({option})")
    assert line.startswith(f"dqn: {message}")


def test_a_trial_whose_loss_is_no_number_fails_alone():
    agents = {"explodes": small(learning_rate=1e30, max_gradient_norm=None), "random": "random"}
    with pytest.warns(match="trials failed, the first: explodes on CartPole-v1, seed 0: .*the loss is .* at step "):
        results = vd.compare(agents, CART, seeds=5, steps=100, evaluation_episodes=1, workers=0)
    assert {record.agent for record in results.failures} == {"explodes"}
    assert len(results.done(CART, "random")) == 5


def test_curves_go_into_pictures_and_the_shipped_experiments_can_be_run():
    results = vd.compare(
        {"q": small(), "random": "random"}, CART, seeds=5, steps=2_000, evaluate_every=1_000, evaluation_episodes=1,
        workers=0,
    )  # fmt: skip
    panels = results.plot(kind="curves").axes
    assert [axes.get_ylabel() for axes in panels] == ["exploration", "loss", "mean action value", "updates"]
    assert all(axes.get_lines()[0].get_xdata().tolist() == [1_000, 2_000] for axes in panels)
    for name, number in (("q_networks", 12), ("dqn", 3 * 12 + 1)):
        plan = read_experiment(name).plan()
        assert len(plan.trials) == number * 10
        assert all(place.solved_at is not None for place in plan.environments.values())


@pytest.mark.parametrize(
    "space", [spaces.Box(0, 1, (3, 2), bool), spaces.MultiBinary(5), spaces.Box(0, 255, (2, 2), np.uint8)]
)
def test_flags_and_bytes_are_kept_as_bytes_and_nothing_else_is_taken_for_them(space):
    class Flags(gym.Env):
        observation_space, action_space = space, spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            space.seed(seed)
            return space.sample(), {}

        def step(self, action):
            return space.sample(), 1.0, False, True, {}

    agent = small()
    agent.train(Flags(), steps=30, seed=0)
    assert agent.learner.replay.observations.dtype == np.uint8
    one = space.sample()
    many = np.stack([one, one])
    assert agent.act(many).tolist() == [agent.act(one)] * 2
    for wrong in (many * 0 + 0.5, many.astype(np.int64) * 0 - 1):
        with pytest.raises(ObservationError, match="is none of"):
            agent.act(wrong)
        with pytest.raises(ObservationError, match="is none of"):
            agent.act(wrong[0])
