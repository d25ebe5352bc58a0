"""The neural bandit: it learns images from reward alone, exactly within its budget, the same bits again."""

import dataclasses
import hashlib
import json
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings, strategies as st

import velodrome as vd
from velodrome.agents import (
    MLP,
    Agent,
    BudgetError,
    DeepCNN,
    DivergedError,
    EnvironmentFailureError,
    KerasAgent,
    ModernCNN,
    NeuralBandit,
    ObservationError,
    PolicyFailureError,
    QLearning,
    SavedAgentError,
    SimpleCNN,
    SoftmaxRegression,
    UnsupportedEnvironmentError,
)
from velodrome.agents.engine.seeding import role_generator
from velodrome.agents.resuming.environment_streams import environment_streams, restore_environment_streams
from velodrome.envs.make import make_environment
from velodrome.experiments.specification.catalogue import build_agent
from velodrome.experiments.trials.checkpoints import train_with_checkpoints
from velodrome.policies import (
    UCB,
    ConfigurationError,
    EpsilonGreedy,
    Greedy,
    Harmonic,
    Linear,
    Policy,
    RandomNoise,
    Softmax,
    Uniform,
)
from velodrome.policies.configuration import to_data

DIGITS = "velodrome/Classification-v0"
NUM_DIGITS = 1437
TEST = make_environment(DIGITS, split="test").unwrapped.examples


def observations(number, rng=None):
    """What `Signs` shows, float32 (number, 8)."""
    rng = np.random.default_rng(0) if rng is None else rng
    shown = rng.uniform(-1, 1, (number, 8)).astype(np.float32)
    shown[:, 0] = np.copysign(np.float32(0.8), shown[:, 0])
    return shown


class Signs(gym.Env):
    """Eight numbers an episode, the first -0.8 or 0.8; an action pays what `rewards` says for its sign.

    Args:
        rewards: of the signs and actions, (2, num_actions).
        start: the smallest action.
        length: steps of an episode.
        fault: what step 7 of the first episodes does wrong.
    """

    def __init__(self, rewards=((1, 0), (0, 1)), start=0, length=1, fault=None):
        self.observation_space = spaces.Box(-1, 1, (8,), dtype=np.float32)
        self.action_space = spaces.Discrete(len(rewards[0]), start=start)
        self.rewards, self.length, self.fault = rewards, length, fault
        self.steps = self.place = 0

    def see(self):
        self.observation = observations(1, self.np_random)[0]
        return self.observation

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = 0
        return self.see(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.steps, self.place = self.steps + 1, self.place + 1
        reward = self.rewards[int(self.observation[0] > 0)][action - int(self.action_space.start)]
        observation = self.see()
        if self.fault is not None and self.steps == 7:
            observation, reward = self.fault(observation, reward)
        return observation, reward, self.place == self.length, False, {}


class RewardOnly(gym.Wrapper):
    """Hides whatever else than observation and reward could tell the right action."""

    unwrapped = property(lambda self: self)

    def reset(self, **options):
        return self.env.reset(**options)[0], {}

    def step(self, action):
        observation, reward, terminated, truncated, _ = self.env.step(action)
        return np.zeros_like(observation), reward, terminated, truncated, {}


def small(**options):
    """A bandit that costs nearly nothing."""
    network = options.pop("network", None) or MLP(hidden=4, layers=1)
    return NeuralBandit(**{"network": network, "batch_size": 3, "learning_rate": 0.01} | options)


def digest(agent):
    manifest, arrays = agent.state()
    content = b"".join(name.encode() + arrays[name].tobytes() for name in sorted(arrays))
    return hashlib.sha256(json.dumps(manifest).encode() + content).hexdigest()


def message_of(error_class, function, *arguments, **options):
    with pytest.raises(error_class) as caught:
        function(*arguments, **options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


# What it learns


@pytest.mark.parametrize("seed", range(3))  # of seeds 0 to 7 the worst reached 0.853 and 0.77
def test_it_learns_digits_from_reward_alone(seed):
    agent = NeuralBandit(network=MLP(hidden=64), learning_rate=0.003)
    log = agent.train(DIGITS, episodes=3 * NUM_DIGITS, seed=seed)
    assert (log.episodes, log.steps, log.loop, log.notes) == (3 * NUM_DIGITS, 3 * NUM_DIGITS, "generic", ())
    assert np.array_equal(log.successes, log.returns == 1)
    assert len(agent.losses) == 3 * NUM_DIGITS // 20
    assert np.mean(agent.act(TEST.inputs) == TEST.labels) > 0.75
    # A tenth of the guesses is random.
    assert 0.65 < log.returns[-NUM_DIGITS:].mean() < 0.95


def test_a_convolutional_network_learns_digits_from_reward_alone():
    agent = NeuralBandit(learning_rate=0.003)
    agent.train(DIGITS, episodes=2 * NUM_DIGITS, seed=0)
    assert np.mean(agent.act(TEST.inputs) == TEST.labels) > 0.7  # of four seeds the worst reached 0.83


def test_it_sees_neither_labels_nor_examples():
    seeing, blind = small(), small()
    env = make_environment(DIGITS)
    logs = [seeing.train(env, episodes=200, seed=3), blind.train(RewardOnly(env), episodes=200, seed=3)]
    assert np.array_equal(logs[0].returns, logs[1].returns)
    assert digest(seeing) == digest(blind)


@pytest.mark.parametrize("rewards", [((1, 0), (0, 1)), ((-2, 5, 0.5), (3, 0, -4))], ids=["right or wrong", "any"])
def test_it_estimates_the_expected_reward_of_every_action(rewards):
    agent = small(network=SoftmaxRegression(), policy=Uniform(), batch_size=5, learning_rate=0.02)
    agent.train(Signs(rewards), episodes=5000, seed=0)
    shown = observations(200)
    expected = np.array(rewards)[(shown[:, 0] > 0).astype(int)]
    np.testing.assert_allclose(agent.expected_rewards(shown), expected, atol=1e-3)
    assert np.array_equal(agent.act(shown), expected.argmax(axis=1))


def test_only_the_chosen_actions_are_learnt():
    agent = NeuralBandit(network=SoftmaxRegression(), policy=Greedy(), batch_size=2)
    before = agent._classifier.new_network(SoftmaxRegression()._task_of(DIGITS), role_generator(5, "agent")).arrays()
    chosen = []

    class Watched(gym.ActionWrapper):
        def action(self, action):
            chosen.append(action)
            return action

    agent.train(Watched(make_environment(DIGITS)), episodes=2, seed=5)
    after = agent.learner.model.arrays()
    moved = (after["weights/dense_1/kernel"] != before["weights/dense_1/kernel"]).any(axis=0)
    assert np.flatnonzero(moved).tolist() == sorted(set(chosen))


def test_it_begins_with_the_weights_of_the_network_that_learns_from_labels():
    agent = NeuralBandit()
    agent.train(DIGITS, episodes=19, seed=5)
    learner = SimpleCNN().new_network(SimpleCNN()._task_of(DIGITS), role_generator(5, "agent"))
    np.testing.assert_array_equal(agent.expected_rewards(TEST.inputs[:9]), learner.logits(TEST.inputs[:9]))
    assert agent.losses.shape == (0,)


# The contract


@settings(max_examples=25)
@given(
    first=st.integers(1, 20),
    second=st.integers(1, 20),
    units=st.tuples(*[st.sampled_from(["episodes", "steps"])] * 2),
    length=st.integers(1, 3),
)
def test_budgets_are_exact_and_training_in_two_calls_is_training_in_one(first, second, units, length):
    parts, whole, env = small(), small(), Signs(length=length)
    logs = [parts.train(env, seed=2, **{units[0]: first}), parts.train(env, **{units[1]: second})]
    for log, unit, amount in zip(logs, units, (first, second), strict=True):
        assert (log.episodes if unit == "episodes" else log.steps) == amount
    undisturbed = whole.train(Signs(length=length), steps=sum(log.steps for log in logs), seed=2)
    joined = logs[0] + logs[1]
    for name in ("returns", "lengths", "terminated"):
        assert np.array_equal(getattr(joined, name), getattr(undisturbed, name))
    assert digest(parts) == digest(whole)


def with_all_chance(seed):
    agent = small(network=MLP(hidden=8, dropout=0.2, batch_normalization=True), policy=RandomNoise(0.5))
    agent.train(DIGITS, episodes=200, seed=seed)
    return digest(agent)


REPEAT = """
import sys; sys.path.insert(0, sys.argv[1])
import test_agents_neural_bandit
print(test_agents_neural_bandit.with_all_chance(12))
"""


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits_in_another_process():
    folder = __file__.rpartition("/")[0]
    done = subprocess.run([sys.executable, "-c", REPEAT, folder], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == with_all_chance(12) != with_all_chance(13)


def test_a_seed_begins_anew_and_keeps_what_was_learnt():
    agent, env = small(), Signs()
    agent.train(env, episodes=100, seed=1)
    learnt = agent.expected_rewards(np.eye(8))
    agent.train(env, episodes=1, seed=1)  # one experience waits for two more
    assert np.array_equal(agent.expected_rewards(np.eye(8)), learnt) == (101 % 3 != 0)
    first = [small().train(Signs(), episodes=1, seed=seed).seed for seed in (1, None)]
    assert first[0] == 1 != first[1]


def test_acting_changes_nothing_that_training_depends_on():
    acting, other = small(), small()
    envs = Signs(), Signs()
    for agent, env in zip((acting, other), envs, strict=True):
        agent.train(env, episodes=40, seed=0)
    batch = observations(300)
    actions = acting.act(batch)
    assert actions.shape == (300,)
    assert actions.tolist() == [acting.act(observation) for observation in batch]
    assert acting.act(batch[:0]).tolist() == []
    for agent, env in zip((acting, other), envs, strict=True):
        agent.train(env, episodes=40)
    assert digest(acting) == digest(other)


def test_exploring_follows_the_policy():
    agent = small(policy=EpsilonGreedy(epsilon=Linear(0.0, 1.0, 100, clock="step")))
    agent.train(Signs(), steps=50, seed=0)
    batch = np.tile(np.linspace(-1, 1, 8, dtype=np.float32), (4000, 1))
    greedy = agent.act(batch[0])
    # By now epsilon is 1/2, and half of the random actions are the greedy one.
    assert np.mean(agent.act(batch, explore=True) == greedy) == pytest.approx(0.75, abs=0.03)
    assert np.mean([agent.act(batch[0], explore=True) == greedy for _ in range(2000)]) == pytest.approx(0.75, abs=0.04)
    assert set(agent.act(batch).tolist()) == {greedy}


def test_actions_may_start_anywhere():
    agent = small(network=SoftmaxRegression(), policy=Uniform(), batch_size=20)
    agent.train(Signs(start=5), episodes=1000, seed=0)
    assert agent.act(np.eye(8, dtype=np.float32)[0]) == 6
    assert agent.act(-np.eye(8, dtype=np.float32))[0] == 5
    assert agent.act(np.eye(8, dtype=np.float32)[0], explore=True) in (5, 6)


@pytest.mark.parametrize(
    "policy",
    [Greedy(), EpsilonGreedy(0.2, ties="first"), Softmax(0.1), RandomNoise(), Uniform(), EpsilonGreedy(Harmonic())],
    ids=str,
)
def test_policies_explore(policy):
    agent = small(network=SoftmaxRegression(), policy=policy, batch_size=5)
    log = agent.train(Signs(), episodes=1500, seed=1)
    assert log.returns[-300:].mean() > (0.4 if policy == Uniform() else 0.75)


def test_symbols_and_texts_are_learnt_with_discount_0():
    agent = small(network=SoftmaxRegression(), batch_size=6, learning_rate=0.05)
    log = agent.train("velodrome/Text-v0", episodes=400, seed=0)
    alone = "learnt the reward of each step alone (discount 0)"
    assert log.notes == (f"{alone}, though episodes of velodrome/Text-v0 have several",)
    assert log.lengths.tolist() == [6] * 400
    # As good as anything without memory.
    symbols, labels = make_environment("velodrome/Text-v0").unwrapped.examples
    assert (agent.act(symbols[0]) == labels[0]).sum() == 4


def test_any_network_serves():
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(2)])
    agent = small(network=KerasAgent(model=model), batch_size=10, policy=Uniform())
    agent.train(Signs(), episodes=1500, seed=0)
    batch = observations(50)
    assert np.mean(agent.act(batch) == (batch[:, 0] > 0)) > 0.9
    assert agent.act(batch)[:5].tolist() == [agent.act(observation) for observation in batch[:5]]


def test_the_harness_takes_its_expression():
    trial = vd.run("neural_bandit(network=mlp(hidden=8), policy=softmax(temperature=0.1))", DIGITS, episodes=60, seed=0)
    assert trial.log.success_rule == "info['is_success']"
    agent = build_agent("neural_bandit(network=simple_cnn, policy=softmax(temperature=0.1))")
    assert to_data(agent) == to_data(NeuralBandit(policy=Softmax(0.1)))
    assert "total" in agent.describe(DIGITS)
    assert agent.describe(DIGITS) == SimpleCNN().describe(DIGITS)


# On disk


@pytest.mark.parametrize("episodes", [30, 31])
def test_a_saved_agent_goes_on_as_the_one_that_was_saved(episodes, tmp_path):
    agent = small(policy=EpsilonGreedy(Linear(1.0, 0.0, 50)))
    agent.train(Signs(), episodes=episodes, seed=3)
    agent.save(tmp_path)
    loaded = Agent.load(tmp_path)
    assert str(loaded) == str(agent)
    logs = [trained.train(Signs(), episodes=25) for trained in (agent, loaded)]
    assert np.array_equal(logs[0].returns, logs[1].returns)
    assert digest(agent) == digest(loaded)


def test_it_goes_on_in_an_environment_made_anew(tmp_path):
    assert NeuralBandit.can_checkpoint
    whole, agent = small(), small()
    log = whole.train(Signs(), episodes=50, seed=3)
    env, anew = Signs(), Signs()
    first = agent.train(env, episodes=50, seed=3, callback=lambda finished: False, callback_every=20)
    agent.save(tmp_path)
    resumed = NeuralBandit.load(tmp_path)
    restore_environment_streams(anew, json.loads(json.dumps(environment_streams(env))))
    resumed.resume(anew)
    later = resumed.train(anew, episodes=30)
    assert first.episodes == 20
    assert np.array_equal((first + later).returns, log.returns)
    assert digest(resumed) == digest(whole)


def test_checkpoints_are_proven_and_change_nothing(tmp_path):
    whole = small()
    log = whole.train(DIGITS, episodes=300, seed=1)
    agent, checkpointed = train_with_checkpoints(
        small(), lambda: make_environment(DIGITS), folder=tmp_path, key="k", every_seconds=0.02, seed=1, episodes=300
    )
    assert checkpointed.notes == ()
    assert np.array_equal(log.returns, checkpointed.returns)
    assert digest(agent) == digest(whole)


def test_a_loaded_agent_acts_without_tensorflow(tmp_path):
    agent = NeuralBandit(network=DeepCNN(batch_normalization=True))
    agent.train(DIGITS, episodes=40, seed=0)
    agent.save(tmp_path)
    code = f"""
import sys
from velodrome.agents import Agent, NeuralBandit
from velodrome.envs.make import make_environment
NeuralBandit()
agent = Agent.load({str(tmp_path)!r})
images = make_environment("velodrome/Classification-v0", split="test").unwrapped.examples.inputs
print([agent.act(image) for image in images[:5]])
assert "tensorflow" not in sys.modules and "keras" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == agent.act(TEST.inputs[:5]).tolist()


def test_damaged_and_foreign_files_are_refused(tmp_path):
    agent = small()
    agent.train(Signs(), episodes=10, seed=0)
    agent.save(tmp_path)
    assert "holds a neural_bandit agent, not q_learning" in message_of(SavedAgentError, QLearning.load, tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    del manifest["manifest_sha256"]
    wider = to_data(small(network=MLP(hidden=5, layers=1)))
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"agent": wider}))
    assert "the weights are those of mlp(hidden=4, " in message_of(SavedAgentError, Agent.load, tmp_path)
    del manifest["updates"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert "is not complete: 'updates'" in message_of(SavedAgentError, Agent.load, tmp_path)


# Refusals


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"network": QLearning()}, "network must be a neural classifier, got q_learning"),
        ({"network": SimpleCNN(learning_rate=0.1)}, "learning_rate=0.1 is for learning from labels"),
        ({"network": ModernCNN()}, "of network=modern_cnn only the layers are taken"),
        ({"policy": UCB()}, "policy ucb() needs visit counts"),
        ({"policy": EpsilonGreedy(Harmonic(clock="visits"))}, "needs visit counts"),
        ({"policy": "greedy"}, "policy must be a policy, got 'greedy'"),
        ({"learning_rate": 0}, "learning_rate must be a number in (0, inf), got 0"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
    ],
)
def test_wrong_parameters_are_refused(options, said):
    assert said in message_of(ConfigurationError, NeuralBandit, **options)


def test_what_it_cannot_learn_is_refused_before_it_is_tried():
    agent = NeuralBandit()
    assert message_of(UnsupportedEnvironmentError, agent.train, "CartPole-v1", episodes=1) == (
        "simple_cnn needs images, (height, width) or (height, width, channels), but CartPole-v1 has none"
    )
    continuous = message_of(UnsupportedEnvironmentError, agent.train, "Pendulum-v1", episodes=1)
    assert continuous.startswith("neural_bandit needs a Discrete action space, but Pendulum-v1 has Box(")
    cards = message_of(UnsupportedEnvironmentError, small().train, "Blackjack-v1", episodes=1)
    assert cards.startswith("neural_bandit needs a Box or Discrete observation space, but Blackjack-v1 has a Tuple of ")
    assert message_of(UnsupportedEnvironmentError, agent.train, DIGITS, episodes=1, loop="compiled") == (
        "loop='compiled' is not possible: neural_bandit learns with a network"
    )
    message_of(BudgetError, agent.train, DIGITS)
    for use in (lambda: agent.act(TEST.inputs[0]), lambda: agent.losses, lambda: agent.save("nowhere")):
        assert "call train first" in message_of(UnsupportedEnvironmentError, use)
    trained = small()
    trained.train(Signs(), episodes=1, seed=0)
    assert "was trained on" in message_of(UnsupportedEnvironmentError, trained.train, DIGITS, episodes=1)
    assert "got (3,)" in message_of(ObservationError, trained.act, np.zeros(3))


FAULTS = {
    "reward nan is not finite": lambda observation, reward: (observation, float("nan")),
    "observations must be finite, got nan": lambda observation, reward: (observation * np.nan, reward),
    "a batch has observations of shape (8,), got (3,)": lambda observation, reward: (observation[:3], reward),
    "step of Signs raised": lambda observation, reward: 1 / 0,
}


@pytest.mark.parametrize("said", FAULTS)
def test_a_failing_environment_is_named_and_training_goes_on_afterwards(said):
    agent, env = small(), Signs(length=2, fault=FAULTS[said])
    message = message_of(EnvironmentFailureError, agent.train, env, episodes=20, seed=0)
    assert said in message
    assert "episode 4" in message
    log = agent.train(env, episodes=20)
    assert log.lengths.tolist() == [2] * 20
    assert np.isfinite(agent.expected_rewards(np.eye(8))).all()


@dataclasses.dataclass(frozen=True)
class Curious(Policy):
    @property
    def select(self):
        return lambda action_values, visit_counts, parameter, rng: int(np.argmin(visit_counts))


@dataclasses.dataclass(frozen=True)
class Outside(Policy):
    @property
    def select(self):
        return lambda action_values, visit_counts, parameter, rng: len(action_values)


@pytest.mark.parametrize(
    ("policy", "said"),
    [(Curious(), "visit counts were asked for"), (Outside(), "chose action 2, but there are actions 0 to 1")],
)
def test_a_failing_policy_is_named(policy, said):
    assert said in message_of(PolicyFailureError, small(policy=policy).train, Signs(), episodes=1, seed=0)


@pytest.mark.parametrize(("learning_rate", "what"), [(1e15, "the loss is inf"), (1e20, "an expected reward is not")])
def test_numbers_that_are_not_finite_end_training(learning_rate, what):
    agent = small(learning_rate=learning_rate)
    message = message_of(DivergedError, agent.train, Signs(), episodes=100, seed=0)
    assert message.startswith(f"neural_bandit: {what}")
    assert message.endswith("give a smaller learning_rate")
