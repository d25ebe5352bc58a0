"""Both loops of a Q-network give the same bits, whatever is asked of them, and the log says which of them ran."""

from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numba.core.errors import TypingError
from small_q_network import digest, small

from velodrome.agents import (
    DQN,
    MLP,
    DivergedError,
    SoftmaxRegression,
    UnsupportedEnvironmentError,
    dqn_2015,
    q_network,
)
from velodrome.agents.deep.matrix_product import add_product
from velodrome.experiments.trials.checkpoints import train_with_checkpoints
from velodrome.policies import (
    ConfigurationError,
    EpsilonGreedy,
    Exponential,
    Greedy,
    Linear,
    Policy,
    RandomNoise,
    Schedule,
    Softmax,
    Uniform,
)

CART, CAR, ACROBOT = "CartPole-v1", "MountainCar-v0", "Acrobot-v1"
LAKE, CLIFF, TAXI = "FrozenLake-v1", "CliffWalking-v1", "Taxi-v4"


def seen(log, env):
    """A log and where it left the environment, to be compared."""
    curves = [(curve.name, curve.at.tolist(), curve.values.tolist()) for curve in log.curves]
    # Times are no result.
    curves = [curve for curve in curves if curve[0] != "training_cpu_seconds"]
    ends = log.returns.tolist(), log.lengths.tolist(), log.terminated.tolist(), log.steps, log.unfinished_return
    success = None if log.successes is None else log.successes.tolist()
    return *ends, success, curves, env.unwrapped.np_random.bit_generator.state


def trained(agent, env, *budgets, loops=("compiled",), **options):
    """What a row of trainings gives, each in the next of the loops; the first has a seed."""
    found = []
    for number, (unit, amount) in enumerate(budgets):
        loop = loops[number % len(loops)]
        seed = {"seed": 5} if number == 0 else {}
        log = agent.train(env, **{unit: amount}, loop=loop, **seed, **options)
        assert log.loop == loop
        found.append(seen(log, env))
    return found, digest(agent)


def assert_loops_agree(make_agent, make_env, *budgets, **options):
    generic = trained(make_agent(), make_env(), *budgets, loops=("generic",), **options)
    for loops in (("compiled",), ("compiled", "generic"), ("generic", "compiled")):
        assert trained(make_agent(), make_env(), *budgets, loops=loops, **options) == generic


@pytest.mark.parametrize("name", [CART, CAR, ACROBOT, LAKE, CLIFF, TAXI])
def test_the_loops_agree_in_every_environment(name):
    budgets = ("steps", 333), ("steps", 1), ("steps", 950), ("steps", 40)
    assert_loops_agree(small, lambda: gym.make(name, max_episode_steps=70), *budgets)


@pytest.mark.parametrize("agent", [q_network, dqn_2015, lambda: DQN(learning_starts=100, network=MLP(hidden=(17, 33)))])
def test_the_loops_agree_for_presets(agent):
    name = LAKE if agent is q_network else CART
    assert_loops_agree(agent, lambda: gym.make(name), ("episodes", 12), ("steps", 150))


POLICIES = [
    EpsilonGreedy(Linear(1.0, 0.1, 60, clock="step")),
    EpsilonGreedy(Exponential(1.0, 0.7), ties="first"),
    Greedy(),
    Greedy(ties="first"),
    Softmax(0.3),
    RandomNoise(),
    RandomNoise(0.1, ties="first"),
    Uniform(),
]
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "network": st.sampled_from([SoftmaxRegression(), *[MLP(hidden=units) for units in [(5,), (16,), (7, 6)]]]),
        "policy": st.sampled_from(POLICIES),
        "bias": st.booleans(),
        "discount": st.sampled_from([0.0, 0.9, 1.0]),
        "learning_rate": st.sampled_from([0.01, Linear(0.01, 0.001, 20), Linear(0.01, 0.001, 90, clock="step")]),
        "optimizer": st.sampled_from(["adam", "sgd"]),
        "max_gradient_norm": st.sampled_from([None, 0.1]),
        "loss": st.sampled_from(["squared", "huber"]),
        "scaling": st.sampled_from(["running", "bounds", "none"]),
        "replay": st.sampled_from([8, 9, 1000]),
        "learning_starts": st.sampled_from([0, 33]),
        "train_every": st.sampled_from([1, 3]),
        "gradient_steps": st.sampled_from([1, 2]),
        "target_every": st.sampled_from([None, 1, 7]),
        "target_rate": st.sampled_from([0.1, 1.0]),
        "double": st.booleans(),
        "dueling": st.booleans(),
        "n_step": st.sampled_from([1, 3]),
        "terminal_reward": st.sampled_from([None, -7.0]),
    },
)
BUDGETS = st.lists(
    st.one_of(
        st.tuples(st.just("steps"), st.integers(1, 60)),
        st.tuples(st.just("episodes"), st.integers(1, 4)),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=25)
@given(options=OPTIONS, budgets=BUDGETS, name=st.sampled_from([CART, LAKE, TAXI, CAR]))
def test_the_loops_agree_for_all_options_and_budgets(options, budgets, name):
    assert_loops_agree(lambda: small(**options), lambda: gym.make(name, max_episode_steps=30), *budgets)


@pytest.mark.parametrize("rule", [None, "return > 0", "return >= 20", "terminated"])
def test_successes_are_the_same_by_every_rule(rule):
    for name in (LAKE, CLIFF, CAR) if rule is None else (LAKE, CART):
        assert_loops_agree(
            small, lambda name=name: gym.make(name, max_episode_steps=40), ("episodes", 40), success=rule
        )
    found = [
        small(train_every=50).train(gym.make(LAKE), steps=5000, seed=1, loop=loop, success=rule).successes.tolist()
        for loop in ("auto", "compiled", "generic")
    ]
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("name", [CART, LAKE])
def test_evaluations_and_callbacks_come_at_the_same_moments(name):
    found = []
    for loop in ("generic", "compiled"):
        agent, env, moments = small(), gym.make(name), []

        def watch(moment, moments=moments):
            moments.append((int(moment), moment.step, moment.log.returns.tolist(), digest(moment.agent)))
            return moment < 12

        log = agent.train(env, episodes=40, seed=2, loop=loop, callback=watch, callback_every=5)
        evaluated = agent.train(
            env, steps=100, loop=loop, evaluate_every=30, evaluator=lambda agent: {"values": agent.learner.step}
        )
        found.append((moments, seen(log, env), seen(evaluated, env), digest(agent)))
    assert len(found[0][0]) == 3
    assert found[0] == found[1]


@pytest.mark.parametrize("name", [CART, LAKE])
def test_a_checkpointed_training_goes_on_in_either_loop(name, tmp_path):
    whole = small()
    log = whole.train(gym.make(name), episodes=30, seed=4, loop="generic")
    agent, checkpointed = train_with_checkpoints(
        small(), lambda: gym.make(name), folder=tmp_path, key="k", every_seconds=0.001, seed=4, episodes=30,
        loop="compiled",
    )  # fmt: skip
    assert checkpointed.loop == "compiled"
    assert np.array_equal(log.returns, checkpointed.returns)
    assert digest(agent) == digest(whole)
    whole.save(tmp_path / "agent")
    found = []
    for loop in ("generic", "compiled"):
        loaded, env = DQN.load(tmp_path / "agent"), gym.make(name)
        env.reset(seed=9)
        loaded.resume(env)
        found.append((seen(loaded.train(env, steps=50, loop=loop), env), digest(loaded)))
    assert found[0] == found[1]


def test_a_long_training_is_one_of_many_compiled_calls():
    make_agent = lambda: small(train_every=50)  # noqa: E731
    assert_loops_agree(make_agent, lambda: gym.make(LAKE), ("steps", 5000))


@dataclass(frozen=True)
class Falling(Schedule):
    """1 up to an index, and a value that no parameter has from there on."""

    until: int
    clock: str = "step"

    def __call__(self, index):
        return 1.0 if index < self.until else -1.0


def test_what_goes_wrong_is_said_in_the_same_words():
    cases = [
        (DivergedError, {"learning_rate": 1e30, "max_gradient_norm": None}),
        (ConfigurationError, {"learning_rate": Falling(40)}),
        (ConfigurationError, {"learning_rate": Falling(3, "episode")}),
        (ConfigurationError, {"policy": EpsilonGreedy(Falling(40))}),
        (ConfigurationError, {"policy": EpsilonGreedy(Falling(4, "episode"))}),
        (ConfigurationError, {"policy": EpsilonGreedy(Falling(1000)), "learning_starts": 2000}),
    ]
    for error, options in cases:
        found = []
        for loop in ("generic", "compiled"):
            agent, env = small(**options), gym.make(CART)
            with pytest.raises(error) as caught:
                agent.train(env, steps=1500, seed=0, loop=loop)
            progress = agent.binding.progress
            found.append((str(caught.value), agent.learner.step, progress.step, progress.episode, progress.in_episode))
        assert found[0] == found[1]


def plain_product(left, right, result):
    """Four terms at a time, added up from the first to the last, each rounded to float32."""
    whole = left.shape[1] // 4 * 4
    for term in range(0, whole, 4):
        parts = [left[:, place, None] * right[place] for place in range(term, term + 4)]
        result += ((parts[0] + parts[1]) + parts[2]) + parts[3]
    for term in range(whole, left.shape[1]):
        result += left[:, term, None] * right[term]


@settings(max_examples=40)
@given(rows=st.integers(1, 11), terms=st.integers(1, 21), columns=st.integers(1, 40), seed=st.integers(0, 99))
def test_products_have_the_bits_of_plain_ones(rows, terms, columns, seed):
    rng = np.random.default_rng(seed)
    left, right, result = (
        rng.normal(size=shape).astype(np.float32) for shape in ((rows, terms), (terms, columns), (rows, columns))
    )
    expected = result.copy()
    plain_product(left, right, expected)
    add_product(left, right, result)
    assert result.tobytes() == expected.tobytes()


def test_products_of_other_numbers_are_refused():
    with pytest.raises(TypingError, match="a product needs float32 in rows"):
        add_product(np.ones((2, 2)), np.ones((2, 2)), np.ones((2, 2)))


class Own(Policy):
    select = property(lambda self: lambda values, counts, parameter, rng: 0)
    __hash__ = object.__hash__


class Child(DQN):
    pass


@pytest.mark.parametrize(
    ("agent", "env", "words"),
    [
        (small(prioritized=0.5, train_every=50), CART, "dqn draws by priorities"),
        (small(action_mask=True, train_every=50), TAXI, "dqn honours action masks"),
        (small(policy=Own(), train_every=50), CART, "own is a policy of your own"),
        (Child(network=MLP(hidden=(4,)), train_every=50), CART, "its class is your own"),
        (small(train_every=50), "Blackjack-v1", "Blackjack-v1 has no compiled step"),
        (
            small(train_every=50),
            gym.wrappers.RecordEpisodeStatistics(gym.make(CART)),
            "wrapper RecordEpisodeStatistics may",
        ),
    ],
)
def test_the_generic_loop_takes_what_the_compiled_one_does_not(agent, env, words):
    log = agent.train(env, steps=5000, seed=0)
    assert (log.loop, log.notes) == ("generic", ())
    with pytest.raises(UnsupportedEnvironmentError, match=words):
        agent.train(env, steps=20, loop="compiled")


def test_short_trainings_are_not_worth_compiling():
    agent, env = small(train_every=50), gym.make(LAKE)
    loops = [agent.train(env, **budget).loop for budget in ({"steps": 4999}, {"steps": 5000}, {"episodes": 50})]
    assert loops == ["generic", "compiled", "compiled"]
    assert agent.train(env, steps=5000, loop="generic").loop == "generic"
