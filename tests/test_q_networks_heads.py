"""Q-networks with noisy weights, distributions of returns and several heads: arithmetic, exploration, the same bits."""

import json
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
from velodrome.agents import DQN, Agent, Categorical, Quantile, SoftmaxRegression
from velodrome.agents.deep import q_heads, q_kernels as kernels
from velodrome.agents.deep.headed_q_network import HeadedQNetwork
from velodrome.agents.deep.q_model import LearningRule, NetworkShape, layers_in
from velodrome.agents.resuming.environment_streams import environment_streams, restore_environment_streams
from velodrome.experiments.specification.catalogue import build_agent
from velodrome.experiments.trials.checkpoints import train_with_checkpoints
from velodrome.policies import ConfigurationError, Greedy

CART = "CartPole-v1"
CHANCES = Categorical(-2.0, 2.5, 5)
# What a network is, and with what it learns: each of the first with each of the second.
KINDS = {
    "noisy": {"is_noisy": True},
    "quantiles": {"distribution": Quantile(4)},
    "categories": {"distribution": CHANCES},
    "noisy quantiles": {"is_noisy": True, "distribution": Quantile(4)},
    "noisy categories": {"is_noisy": True, "distribution": CHANCES},
    "heads": {"num_heads": 3},
}
OPTIONS = {
    "plain": {},
    "double with masks": {"is_double": True, "has_masks": True},
    "double dueling": {"is_double": True, "is_dueling": True},
    "no target": {"has_target": False, "is_double": True},
    "symbols": {"is_symbol": True, "is_dueling": True},
    "linear": {"hidden": (), "has_bias": False},
    "linear symbols Huber": {"hidden": (), "is_symbol": True, "is_huber": True},
}
TRAINED = {
    "noisy": {"noisy": True, "policy": Greedy()},
    "quantiles": {"distribution": Quantile(5), "prioritized": 0.6},
    "categories": {"distribution": Categorical(0, 50, 11), "dueling": True},
    "heads": {"heads": 3, "policy": Greedy()},
    "all of Rainbow": {
        "noisy": True, "policy": Greedy(), "distribution": Categorical(0, 50, 11), "dueling": True, "prioritized": 0.5,
        "n_step": 3,
    },
}  # fmt: skip


# The arithmetic, against a plain one in float64


def network(size=6, num_inputs=4, num_actions=3, **options):
    given = {
        "hidden": (5, 4), "is_symbol": False, "is_dueling": False, "has_bias": True, "is_double": False,
        "has_target": True, "has_masks": False, "is_huber": False, "optimizer": kernels.ADAM,
        "max_gradient_norm": math.inf, "is_noisy": False, "distribution": None, "num_heads": 1, "prior_scale": 0.7,
        "head_share": 0.5,
    } | options  # fmt: skip
    names = ("hidden", "is_symbol", "is_dueling", "has_bias")
    distribution = given["distribution"]
    shape = NetworkShape(
        num_inputs=num_inputs,
        num_actions=num_actions,
        num_atoms=1 if distribution is None else distribution.num_atoms,
        **{name: given.pop(name) for name in names},
    )
    of_rule = {name: given[name] for name in LearningRule.__dataclass_fields__}
    made = HeadedQNetwork(
        shape,
        rng := np.random.default_rng(1),
        np.random.default_rng(3),
        initial_weights="fan_in",
        batch_size=size,
        rule=LearningRule(**of_rule),
        **{name: value for name, value in given.items() if name not in of_rule},
    )
    for row in (kernels.ONLINE, kernels.TARGET):
        for head in made.weights[:, row]:
            for part in (head[: shape.num_weights], head[shape.num_weights :]):
                for kernel, bias in layers_in(part, shape.sizes) if len(part) else ():
                    kernel[...] = rng.normal(0, 0.5, kernel.shape)
                    bias[...] = rng.normal(0, 0.5, bias.shape) if shape.has_bias else 0
    batch = made.batch
    for inputs in (batch.inputs, batch.next_inputs):
        inputs[...] = rng.integers(0, num_inputs, inputs.shape) if shape.is_symbol else rng.normal(size=inputs.shape)
    batch.actions[...] = rng.integers(0, num_actions, size)
    batch.returns[...] = rng.normal(0, 2, size)
    batch.factors[...] = np.where(rng.random(size) < 0.3, 0.0, 0.9)
    batch.next_masks[...] = rng.integers(0, 2, batch.next_masks.shape)
    batch.next_masks[:, 0] = 1
    batch.shares[...] = rng.random(size)
    made.batch_heads[...] = rng.random(made.batch_heads.shape) < 0.5
    if made.batch_heads.size:
        made.batch_heads[:2, :2] = 1
        made.batch_heads[:, 2] = 0
    return made, given


class Reference:
    """The same network in float64, of one head and with the noise of a seed."""

    def __init__(self, made, options, head):
        self.shape, self.options, self.batch = made.shape, options, made.batch
        self.distribution, self.sizes, self.number = options["distribution"], made.shape.sizes, made.shape.num_weights
        rng = np.random.default_rng()
        rng.bit_generator.state = made.stream.bit_generator.state
        self.noises = [self.noise(rng) if options["is_noisy"] else 0.0 for _ in range(3)]
        weights = made.weights[head].astype(np.float64)
        self.online = self.perturbed(weights[kernels.ONLINE], 2)
        valuing = weights[kernels.TARGET if options["has_target"] else kernels.ONLINE]
        self.valuing, self.choosing = self.perturbed(valuing, 0), self.perturbed(weights[kernels.ONLINE], 1)
        self.prior = made.priors[head].astype(np.float64)
        self.rows = made.batch_heads[:, head] == 1 if made.batch_heads.size else np.ones(len(made.batch.inputs), bool)

    def noise(self, rng):
        parts = []
        for number, (before, after) in enumerate(zip(self.sizes, self.sizes[1:], strict=False)):
            normals = rng.standard_normal(before + after, dtype=np.float32).astype(np.float64)
            factors = np.sign(normals) * np.sqrt(np.abs(normals))
            product = np.outer(factors[:before], factors[before:])
            parts += [(product.T if number == len(self.sizes) - 2 else product).ravel(), factors[before:]]
        return np.concatenate(parts)

    def perturbed(self, weights, place):
        if not self.options["is_noisy"]:
            return weights
        return weights[: self.number] + weights[self.number :] * self.noises[place]

    def atoms(self, weights, inputs):
        """Float64 (B, A, N)."""
        shape = self.shape
        now = np.eye(shape.num_inputs)[inputs[:, 0].astype(int)] if shape.is_symbol else inputs.astype(np.float64)
        layers = layers_in(weights, self.sizes)
        for number, (kernel, bias) in enumerate(layers):
            now = now @ kernel + bias
            if number < len(layers) - 1:
                now = np.maximum(now, 0)
        now = now.reshape(len(inputs), -1, shape.num_atoms)
        if shape.is_dueling:
            now = now[:, -1:] + now[:, :-1] - now[:, :-1].mean(axis=1, keepdims=True)
        if weights is not self.prior and len(self.prior):
            now = now + self.options["prior_scale"] * self.atoms(self.prior, inputs)
        return now

    def values(self, atoms):
        if isinstance(self.distribution, Categorical):
            return softmax(atoms) @ self.distribution.support.astype(np.float64)
        return atoms.mean(axis=2)

    def targets(self):
        """What the taken actions' atoms, or probabilities, are compared with: (B, N)."""
        batch, number = self.batch, np.arange(len(self.batch.inputs))
        atoms = self.atoms(self.valuing, batch.next_inputs)
        chosen_by = self.values(atoms)
        if self.options["is_double"]:
            chosen_by = self.values(self.atoms(self.choosing, batch.next_inputs))
            if not self.options["has_target"] and not self.options["is_noisy"]:
                chosen_by = self.values(atoms)
        if self.options["has_masks"]:
            chosen_by = np.where(batch.next_masks, chosen_by, -np.inf)
        best = atoms[number, chosen_by.argmax(axis=1)]
        returns, factors = batch.returns[:, None].astype(np.float64), batch.factors[:, None].astype(np.float64)
        if not isinstance(self.distribution, Categorical):
            return returns + factors * best
        support = self.distribution.support.astype(np.float64)
        moved = (returns + factors * support).clip(support[0], support[-1])
        # Each probability is shared by the two nearest of the support, in proportion to the distances.
        near = np.clip(1 - np.abs(moved[:, :, None] - support) / (support[1] - support[0]), 0, 1)
        return np.einsum("bi,bij->bj", softmax(best), near)

    def losses(self, targets):
        """Loss of each step, float64 (B,), by the online network."""
        number = np.arange(len(targets))
        own = self.atoms(self.online, self.batch.inputs)[number, self.batch.actions]
        if isinstance(self.distribution, Categorical):
            return -(targets * np.log(softmax(own))).sum(axis=1)
        if isinstance(self.distribution, Quantile):
            errors = targets[:, None, :] - own[:, :, None]
            shares = ((np.arange(own.shape[1]) + 0.5) / own.shape[1])[None, :, None]
            return (np.abs(shares - (errors < 0)) * huber(errors)).mean(axis=2).sum(axis=1)
        errors = (own - targets)[:, 0]
        return huber(errors) if self.options["is_huber"] else errors**2

    def loss(self, targets):
        return float((self.batch.shares * self.losses(targets))[self.rows].mean())


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def huber(errors):
    return np.where(np.abs(errors) <= 1, 0.5 * errors**2, np.abs(errors) - 0.5)


COMBINATIONS = [
    (kind, name) for kind in KINDS for name in OPTIONS if not ("Huber" in name and "distribution" in KINDS[kind])
]


@pytest.mark.parametrize(("kind", "name"), COMBINATIONS)
def test_gradients_are_those_of_finite_differences(kind, name):
    made, options = network(**KINDS[kind] | OPTIONS[name])
    references = [Reference(made, options, head) for head in range(options["num_heads"])]
    before = made.weights.copy()
    scale = np.repeat(np.array([[0.0], [1.0], [np.inf]], np.float32), made.batch.inputs.shape[1], axis=1)
    # Greedily noise is left out, and heads are asked for their mean.
    plain = [
        reference.values(reference.atoms(before[head, kernels.ONLINE, : reference.number], made.batch.inputs))
        for head, reference in enumerate(references)
    ]
    assert np.allclose(made.values(made.batch.inputs, scale), np.mean(plain, axis=0), rtol=1e-5, atol=1e-5)
    loss, _ = made.learn(0.0)
    losses, errors, learning = [], np.zeros(len(made.batch.inputs)), np.zeros(len(made.batch.inputs))
    for head, reference in enumerate(references):
        gradient = made.weights[head, kernels.GRADIENT]
        if not reference.rows.any():
            assert not gradient.any()
            losses.append(0.0)
            continue
        targets = reference.targets()
        losses.append(reference.loss(targets))
        each = reference.losses(targets)
        if options["distribution"] is None:
            each = np.abs(
                reference.values(reference.atoms(reference.online, made.batch.inputs))[
                    np.arange(len(each)), made.batch.actions
                ]
                - targets[:, 0]
            )
        errors[reference.rows] += each[reference.rows]
        learning[reference.rows] += 1
        found = np.zeros(reference.number)
        for place in range(reference.number):
            weight, sides = reference.online[place], []
            for step in (1e-6, -1e-6):
                reference.online[place] = weight + step
                sides.append(reference.loss(targets))
            reference.online[place] = weight
            found[place] = (sides[0] - sides[1]) / 2e-6
        if not made.shape.has_bias:
            for _, bias in layers_in(found, made.shape.sizes):
                bias[...] = 0
        assert np.allclose(gradient[: reference.number], found, atol=3e-5)
        if options["is_noisy"]:
            assert np.allclose(gradient[reference.number :], found * reference.noises[2], atol=3e-5)
    assert loss == pytest.approx(np.mean(losses), rel=1e-4)
    assert np.allclose(np.abs(made.batch.errors), errors / np.maximum(learning, 1), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), COMBINATIONS)
def test_gradients_are_those_of_pytorch(kind, name):
    torch = pytest.importorskip("torch")
    made, options = network(size=32, num_actions=4, **KINDS[kind] | OPTIONS[name])
    shape, distribution, batch = made.shape, options["distribution"], made.batch
    references = [Reference(made, options, head) for head in range(options["num_heads"])]
    before = made.weights[:, kernels.ONLINE].copy()
    made.learn(0.0)
    rows = np.eye(shape.num_inputs)[batch.inputs[:, 0].astype(int)] if shape.is_symbol else batch.inputs
    for head, reference in enumerate(references):
        if not reference.rows.any():
            continue

        def atoms(flat):
            now, place = torch.tensor(rows, dtype=torch.float32), 0
            for number, (size, units) in enumerate(zip(shape.sizes, shape.sizes[1:], strict=False)):
                kernel, bias = flat[place : place + size * units], flat[place + size * units :][:units]
                is_last = number == len(shape.sizes) - 2
                now = now @ (kernel.view(units, size).T if is_last else kernel.view(size, units)) + bias
                now = now if is_last else torch.relu(now)
                place += (size + 1) * units
            now = now.view(len(rows), -1, shape.num_atoms)
            if shape.is_dueling:
                now = now[:, -1:] + now[:, :-1] - now[:, :-1].mean(dim=1, keepdim=True)
            return now

        weights = torch.tensor(before[head], requires_grad=True)
        flat = weights
        if options["is_noisy"]:
            noise = torch.tensor(reference.noises[2], dtype=torch.float32)
            flat = weights[: reference.number] + weights[reference.number :] * noise
        found = atoms(flat)
        if len(reference.prior):
            found = found + options["prior_scale"] * atoms(torch.tensor(made.priors[head]))
        own = found[torch.arange(len(rows)), torch.tensor(batch.actions)]
        targets = torch.tensor(reference.targets(), dtype=torch.float32)
        if isinstance(distribution, Categorical):
            each = torch.nn.functional.cross_entropy(own, targets, reduction="none")
        elif distribution is not None:
            errors = targets[:, None, :] - own[:, :, None]
            size = torch.nn.functional.huber_loss(torch.zeros_like(errors), errors, reduction="none")
            shares = (torch.arange(own.shape[1]) + 0.5) / own.shape[1]
            each = ((shares[None, :, None] - (errors.detach() < 0).float()).abs() * size).mean(dim=2).sum(dim=1)
        else:
            kind_of_loss = torch.nn.functional.huber_loss if options["is_huber"] else torch.nn.functional.mse_loss
            each = kind_of_loss(own, targets, reduction="none")[:, 0]
        (torch.tensor(batch.shares) * each)[torch.tensor(reference.rows)].mean().backward()
        gradient = weights.grad.numpy()
        if not shape.has_bias:
            parts = (gradient[: reference.number], gradient[reference.number :])
            for _, bias in [layer for part in parts if len(part) for layer in layers_in(part, shape.sizes)]:
                bias[...] = 0
        assert np.allclose(made.weights[head, kernels.GRADIENT], gradient, atol=2e-6)


def test_exponentials_are_those_of_the_library():
    numbers = -np.random.default_rng(0).exponential(5, 1000)
    numbers[:3] = 0, -1e-9, -64
    found = numbers.copy()
    q_heads.exponentials(found)
    assert np.allclose(found, np.exp(numbers), rtol=1e-9)
    far = np.array([-1e4])
    q_heads.exponentials(far)
    assert 0 <= far[0] < 1e-27


def test_noise_is_fresh_and_greedy_actions_are_without():
    made, _ = network(is_noisy=True)
    scale, observation = np.array([[0.0] * 4, [1.0] * 4, [np.inf] * 4], np.float32), np.ones(4, np.float32)
    drawn, greedy = np.zeros((400, 3), np.float32), np.zeros((2, 3), np.float32)
    for values in drawn:
        made.exploring_values_of_one(observation, scale, values)
    for values in greedy:
        made.values_of_one(observation, scale, values)
    assert len(np.unique(drawn, axis=0)) == 400
    assert np.array_equal(greedy[0], greedy[1])
    made.weights[0, kernels.ONLINE, made.shape.num_weights :] = 0
    made.exploring_values_of_one(observation, scale, drawn[0])
    assert np.array_equal(drawn[0], greedy[0])


def test_the_first_deviations_are_those_of_the_paper():
    agent = small(noisy=True)
    agent.train(CART, steps=1, seed=0)
    made = agent.learner.network
    for kernel, bias in layers_in(made.weights[0, kernels.ONLINE, made.shape.num_weights :], made.shape.sizes):
        assert np.allclose(kernel, 0.5 / math.sqrt(len(kernel)))
        assert np.allclose(bias, 0.5 / math.sqrt(len(kernel)))


# What it learns


class Coin(gym.Env):
    """Ends at once: action 0 pays 6, action 1 pays 20 or 0 with equal chances."""

    observation_space, action_space = spaces.Discrete(1), spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return 0, {}

    def step(self, action):
        return 0, (20.0 * self.np_random.integers(2) if action else 6.0), True, False, {}


@pytest.mark.parametrize("distribution", [Quantile(8), Categorical(-5, 25, 7)])
def test_the_distribution_of_a_return_is_learnt(distribution):
    agent = small(
        network=SoftmaxRegression(), distribution=distribution, learning_rate=0.02, train_every=1, batch_size=64,
        replay=2000, dueling=True,
    )  # fmt: skip
    agent.train(Coin(), steps=3000, seed=0)
    assert np.allclose(agent.action_values[0], [6, 10], atol=1)
    assert agent.act(0) == 1
    made, shape = agent.learner.network, agent.learner.network.shape
    reference = {"distribution": distribution, "is_noisy": False, "has_target": True}
    atoms = Reference(made, reference, 0).atoms(made.weights[0, kernels.ONLINE].astype(float), np.zeros((1, 1)))[0]
    assert atoms.shape == (2, shape.num_atoms)
    if isinstance(distribution, Quantile):
        assert np.allclose(atoms[1], [0] * 4 + [20] * 4, atol=1)
        assert np.allclose(atoms[0], 6, atol=0.3)
    else:
        assert np.allclose(softmax(atoms[1]), [0, 0.5, 0, 0, 0, 0.5, 0], atol=0.08)
        # 6 lies between 5 and 10.
        assert np.allclose(softmax(atoms[0]), [0, 0, 0.8, 0.2, 0, 0, 0], atol=0.08)


def test_heads_act_for_an_episode_and_learn_from_their_own_steps():
    agent = small(heads=4, policy=Greedy(), learning_starts=0, head_share=0.25, replay=5000)
    env = gym.make("velodrome/DeepSea-v0", size=4)
    heads = set()
    for _ in range(20):
        agent.train(env, steps=2, seed=None if heads else 3)
        head = agent.learner.network.head
        heads.add(head)
        agent.train(env, steps=2)
        assert agent.learner.network.head == head
    assert heads == {0, 1, 2, 3}
    agent.train(env, steps=2000)
    given = agent.learner.replay.heads[: agent.learner.replay.count]
    assert np.allclose(given.mean(axis=0), 0.25, atol=0.05)
    assert abs(np.corrcoef(given.T) - np.eye(4)).max() < 0.1


def test_heads_differ_and_priors_stay():
    agent = small(heads=3, policy=Greedy())
    agent.train(CART, steps=20, seed=0)
    before = agent.learner.network.priors.copy()
    agent.train(CART, steps=200)
    made = agent.learner.network
    assert np.array_equal(made.priors, before)
    assert len({network.tobytes() for network in (*made.priors, *made.weights[:, kernels.ONLINE])}) == 6
    observations = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    values = []
    for made.head in range(3):
        values.append(made.exploring_values(observations, agent.learner.scale))
    assert np.allclose(np.mean(values, axis=0), made.values(observations, agent.learner.scale), atol=1e-5)


@pytest.mark.parametrize("options", TRAINED.values(), ids=TRAINED)
def test_all_of_them_are_evaluated_exactly_and_keep_to_masks(options):
    agent = small(**options, action_mask=True, n_step=1) if "n_step" not in options else small(**options)
    env = gym.make("Taxi-v4")
    agent.train(env, steps=300, seed=0)
    learner = agent.learner
    if agent.action_mask:
        masks, kept = learner.action_masks.by_state, learner.replay
        assert masks[kept.observations[:, 0].astype(int), kept.actions].all()
    trial = vd.run(small(**options), "FrozenLake-v1", steps=200, seed=0)
    assert trial.evaluation.method == "exact"
    assert np.array_equal(trial.trained.act(np.arange(16)), trial.trained.action_values.argmax(axis=1))
    assert trial.trained.act(np.arange(16), explore=True).shape == (16,)


@pytest.mark.slow
def test_heads_with_priors_find_what_random_actions_do_not():
    sea = lambda: gym.make("velodrome/DeepSea-v0", size=16)  # noqa: E731
    options = {
        "hidden": (32,), "learning_starts": 0, "n_step": 1, "train_every": 2, "target_every": 50,
        "learning_rate": 0.002,
    }  # fmt: skip
    for seed in (10, 11):
        agent = DQN(heads=10, policy=Greedy(), **options)
        log = agent.train(sea(), episodes=1000, seed=seed)
        assert (log.returns[-100:] > 0.5).mean() > 0.9
        trial = vd.run(DQN(**options), "velodrome/DeepSea-v0(size=16)", episodes=1000, seed=seed)
        assert trial.log.returns.max() < 0.5
        assert trial.evaluation.success_rate == 0


# The same bits again


@settings(max_examples=8)
@given(first=st.integers(1, 110), name=st.sampled_from([*TRAINED]))
def test_two_calls_are_one(first, name):
    whole, parts = small(**TRAINED[name]), small(**TRAINED[name])
    log = whole.train(gym.make(CART), steps=150, seed=1)
    env = gym.make(CART)
    one = parts.train(env, steps=first, seed=1)
    two = parts.train(env, steps=150 - first)
    assert np.array_equal((one + two).returns, log.returns)
    assert digest(parts) == digest(whole)


@pytest.mark.parametrize("options", TRAINED.values(), ids=TRAINED)
def test_a_saved_agent_goes_on_as_if_nothing_had_happened(options, tmp_path):
    make = lambda: gym.make(CART)  # noqa: E731
    whole = small(**options)
    log = whole.train(make(), episodes=20, seed=4)
    agent, checkpointed = train_with_checkpoints(
        small(**options), make, folder=tmp_path, key="k", every_seconds=0.01, seed=4, episodes=20
    )
    assert checkpointed.notes == ()
    assert np.array_equal(log.returns, checkpointed.returns)
    assert digest(agent) == digest(whole)
    whole.save(tmp_path / "agent")
    loaded = Agent.load(tmp_path / "agent")
    assert digest(loaded) == digest(whole)
    observations = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    assert np.array_equal(loaded.act(observations), whole.act(observations))
    env = make()
    more = [trained.train(make() if trained is loaded else env, episodes=3, seed=9) for trained in (whole, loaded)]
    assert np.array_equal(more[0].returns, more[1].returns)
    assert digest(loaded) == digest(whole)


@pytest.mark.parametrize("name", ["heads", "all of Rainbow"])
def test_training_goes_on_in_an_environment_made_anew(name, tmp_path):
    whole = small(**TRAINED[name])
    log = whole.train(gym.make(CART), episodes=30, seed=4)
    agent, env = small(**TRAINED[name]), gym.make(CART)
    first = agent.train(env, episodes=30, seed=4, callback=lambda finished: False, callback_every=18)
    agent.save(tmp_path)
    streams = json.dumps(environment_streams(env))
    resumed, anew = DQN.load(tmp_path), gym.make(CART)
    restore_environment_streams(anew, json.loads(streams))
    resumed.resume(anew)
    later = resumed.train(anew, episodes=12)
    assert first.episodes == 18
    assert np.array_equal((first + later).returns, log.returns)
    assert digest(resumed) == digest(whole)


@pytest.mark.parametrize("options", [TRAINED["noisy"], TRAINED["heads"]], ids=["noisy", "heads"])
def test_a_seed_begins_all_streams_anew(options):
    agent = small(learning_rate=0.0, scaling="none", **options)
    env = gym.make(CART)
    agent.train(env, steps=100, seed=8)
    log, states = agent.train(env, steps=100, seed=9), []
    states.append(agent.learner.network.stream.bit_generator.state)
    again = agent.train(env, steps=100, seed=9)
    states.append(agent.learner.network.stream.bit_generator.state)
    assert states[0] == states[1]
    assert np.array_equal(log.returns, again.returns)


@pytest.mark.slow
def test_the_bits_are_the_same_on_other_processors(tmp_path):
    code = """
import hashlib
from velodrome.agents import DQN, Categorical, Quantile
whole = hashlib.sha256()
for options in ({"noisy": True}, {"distribution": Quantile()}, {"distribution": Categorical(0, 100)}, {"heads": 5}):
    agent = DQN(learning_starts=100, train_every=2, dueling=True, **options)
    agent.train("CartPole-v1", steps=1000, seed=0)
    whole.update(agent.learner.network.weights.tobytes())
print(whole.hexdigest())
"""
    digests = set()
    for number, changes in enumerate([{}, {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}]):
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / str(number))} | changes
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        digests.add(done.stdout.strip())
    assert len(digests) == 1


# Expressions and mistakes


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("dqn(noisy=1)", "dqn: noisy must be True or False, got 1"),
        ("dqn(heads=0)", "dqn: heads must be a whole number of at least 1, got 0"),
        ("dqn(prior_scale=-1)", "dqn: prior_scale must be a number in [0, inf), got -1"),
        ("dqn(head_share=0)", "dqn: head_share must be a number in (0, 1], got 0"),
        ("dqn(heads=10, noisy=True)", "dqn: heads=10 and noisy=True do not combine: take one of them"),
        (
            "dqn(heads=10, distribution=quantile)",
            "dqn: heads=10 and distribution=quantile() do not combine: take one of them",
        ),
        (
            "dqn(loss='huber', distribution=quantile)",
            "dqn: loss='huber' is one of action values, and quantile() has its own: leave one of them out",
        ),
        ("dqn(distribution='quantile')", "dqn: distribution must be quantile(), categorical(low, high) or None, got "),
        ("dqn(distribution=greedy)", "dqn: distribution takes a distribution, but greedy is a policy"),
        ("dqn(distribution=quantle)", "unknown distribution 'quantle': did you mean 'quantile'?"),
        ("dqn(distribution=quantile(0))", "quantile: num_quantiles must be a whole number of at least 1, got 0"),
        ("dqn(distribution=quantile(num_quantile=3))", "quantile has no argument 'num_quantile': did you mean"),
        ("dqn(distribution=categorical)", "categorical needs 'low', 'high': categorical(low, high, num_atoms=51)"),
        ("dqn(distribution=categorical(1, 1))", "categorical: low=1 must be less than high=1"),
        ("dqn(distribution=categorical(0, 1, 1))", "categorical: num_atoms must be a whole number of at least 2, got"),
        ("dqn(policy=quantile)", "dqn: policy takes a policy, but quantile is a distribution"),
        ("quantile", "quantile is a distribution, not an agent: write dqn(distribution=quantile(...))"),
    ],
)
def test_mistakes_are_one_line(expression, message):
    with pytest.raises((ConfigurationError, ValueError)) as caught:
        build_agent(expression)
    assert str(caught.value).startswith(message)
    assert len(str(caught.value).splitlines()) == 1


def test_distributions_are_spelt_as_expressions(tmp_path):
    agent = build_agent("dqn(network=mlp(hidden=[4]), distribution=categorical(0, 20, num_atoms=5))")
    assert agent.distribution == Categorical(0, 20, 5)
    assert str(build_agent(str(agent))) == str(agent)
    assert build_agent("dqn(distribution=quantile(7))").distribution == Quantile(7)
    agent.train(CART, steps=5, seed=0)
    agent.save(tmp_path)
    assert Agent.load(tmp_path).distribution == agent.distribution


def test_it_says_what_there_is_besides():
    assert "noisy: as many deviations" in DQN(noisy=True).describe(CART)
    assert "heads: 10 such networks, and as many priors" in DQN(heads=10).describe(CART)
    assert "dense: 64 -> 102, 6,630 weights" in DQN(distribution=Categorical(0, 1)).describe(CART)
