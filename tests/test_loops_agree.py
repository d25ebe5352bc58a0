"""Two loops, one result: every policy with every learner, bit for bit, on one small environment.

The environment draws its outcomes, and its episodes end both by themselves and by the time limit.
"""

import itertools
from dataclasses import dataclass

import gymnasium as gym
import pytest

from velodrome import agents, policies
from velodrome.agents.engine import compiled_training
from velodrome.agents.engine.sampled_model import SampledModel
from velodrome.checks import ConfigurationError

SEEDS = (0, 1, 2)
EPISODES = 30
LEARNERS = {
    "q_learning": (agents.QLearning, {}),
    "sarsa": (agents.Sarsa, {}),
    "expected_sarsa": (agents.ExpectedSarsa, {}),
    "double_q_learning": (agents.DoubleQLearning, {}),
    "n_step_q": (agents.NStepQ, {"n": 3}),
    "n_step_sarsa": (agents.NStepSarsa, {"n": 3}),
    "q_lambda": (agents.QLambda, {"trace_decay": 0.8, "traces": "accumulating"}),
    "dyna_q": (agents.DynaQ, {"planning_steps": 3}),
    "bootstrapped_q": (agents.BootstrappedQ, {"heads": 3}),
}
POLICIES = {
    "greedy random": policies.Greedy(ties="random"),
    "greedy first": policies.Greedy(ties="first"),
    "epsilon_greedy random": policies.EpsilonGreedy(epsilon=0.3, ties="random"),
    "epsilon_greedy first": policies.EpsilonGreedy(epsilon=0.3, ties="first"),
    "random_noise random": policies.RandomNoise(scale=0.5, ties="random"),
    "random_noise first": policies.RandomNoise(scale=0.5, ties="first"),
    "softmax": policies.Softmax(temperature=0.5),
    "ucb random": policies.UCB(confidence=1.0, ties="random"),
    "ucb first": policies.UCB(confidence=1.0, ties="first"),
    "uniform": policies.Uniform(),
}
# One bandit a state: each with the arguments that it needs.
BANDITS = {
    "bandit": lambda: agents.Bandit(),
    "kl_ucb": lambda: agents.Bandit(policy=policies.KLUCB(c=3.0)),
    "kl_ucb gaussian": lambda: agents.Bandit(policy=policies.KLUCB(rewards="gaussian", ties="first")),
    "bayes_ucb": lambda: agents.Bandit(policy=policies.BayesUCB()),
    "bayes_ucb gaussian": lambda: agents.Bandit(policy=policies.BayesUCB(rewards="gaussian")),
    "moss": lambda: agents.Bandit(policy=policies.MOSS(horizon=40)),
    "imed": lambda: agents.Bandit(policy=policies.IMED()),
    "imed gaussian": lambda: agents.Bandit(policy=policies.IMED(rewards="gaussian")),
    "thompson_beta": lambda: agents.Bandit(policy=policies.ThompsonBeta(successes=0.5, failures=0.5)),
    "thompson_gaussian": lambda: agents.Bandit(policy=policies.ThompsonGaussian()),
    "explore_then_commit": lambda: agents.Bandit(policy=policies.ExploreThenCommit(pulls=2)),
    "gradient_bandit": agents.GradientBandit,
    "gradient_bandit without baseline": lambda: agents.GradientBandit(baseline=False),
    "exp3": agents.EXP3,
    "sliding_window_ucb": lambda: agents.SlidingWindowUCB(window=6),
    "discounted_ucb": lambda: agents.DiscountedUCB(decay=0.9),
    "ucb_tuned": agents.UCBTuned,
    "successive_elimination": lambda: agents.SuccessiveElimination(failure_probability=0.9),
    "q_learning": lambda: agents.QLearning(
        policy=policies.ThompsonGaussian(), learning_rate=policies.Harmonic(clock="visits")
    ),
}
QUICK = ("thompson_beta", "bayes_ucb", "ucb_tuned")
CLOCKS = ("episode", "step", "visits")


@pytest.fixture(scope="module")
def garnet():
    return gym.make(
        "velodrome/Garnet-v0",
        num_states=6,
        num_actions=3,
        terminal_probability=0.15,
        seed=11,
        max_episode_steps=12,
    )


@pytest.fixture
def assert_loops_agree(result, learnt, logged, differences):
    def check(build, env, *, seeds=SEEDS, **budget):
        alone = []
        for seed in seeds:
            results = {}
            for loop in ("generic", "compiled"):
                agent = build()
                log = agent.train(env, seed=seed, loop=loop, **budget)
                assert log.loop == loop
                results[loop] = result(agent, env, log)
            assert differences(results["generic"], results["compiled"]) == []
            alone.append(results["generic"])
        # The same seeds side by side in one call.
        side_by_side, models = [build() for _ in seeds], [SampledModel.of(env) for _ in seeds]
        assert all(agent.trains_together for agent in side_by_side)
        budget = {"episodes": None, "steps": None} | budget
        logs = agents.TabularAgent.train_together(side_by_side, models, seeds, **budget)
        for agent, model, log, expected in zip(side_by_side, models, logs, alone, strict=True):
            stream = {"environment stream": model.generator.bit_generator.state}
            assert differences(learnt(agent) | logged(log) | stream, expected) == []

    return check


def crossed(rows, columns, every):
    """All pairs as parameters; each `every`-th one along the diagonals is quick to run, so that all of both are."""
    return [
        pytest.param(row, column, marks=() if (place + number) % every == 0 else pytest.mark.slow)
        for place, row in enumerate(rows)
        for number, column in enumerate(columns)
    ]


# Each pair is compiled, which takes a second.
@pytest.mark.parametrize(("learner", "policy"), crossed(LEARNERS, POLICIES, every=4))
def test_every_policy_with_every_learner(learner, policy, garnet, assert_loops_agree):
    if learner == "expected_sarsa" and POLICIES[policy].probabilities is None:
        pytest.skip("expected_sarsa refuses a policy without probabilities")
    agent, parameters = LEARNERS[learner]
    assert_loops_agree(lambda: agent(policy=POLICIES[policy], **parameters), garnet, episodes=EPISODES)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in BANDITS]
)
def test_bandits(name, assert_loops_agree):
    # Rewards of 0 and 1, and several states that pay and several that do not.
    env = gym.make("FrozenLake-v1", map_name="4x4")
    assert_loops_agree(BANDITS[name], env, episodes=EPISODES)


def test_the_random_agent(garnet, assert_loops_agree):
    assert_loops_agree(agents.RandomAgent, garnet, episodes=EPISODES)


@pytest.mark.slow
def test_softmax_with_more_actions_than_its_weights_have_room_for_on_the_stack(assert_loops_agree):
    env = gym.make("velodrome/Garnet-v0", num_states=3, num_actions=70, terminal_probability=0.2, seed=1)
    for learner in (agents.QLearning, agents.ExpectedSarsa):
        assert_loops_agree(lambda build=learner: build(policy=policies.Softmax(0.05)), env, seeds=(0,), episodes=200)


@pytest.mark.parametrize(
    ("parameter_clock", "rate_clock"),
    [
        pytest.param(
            *clocks, marks=() if clocks[0] == clocks[1] or clocks == ("episode", "visits") else pytest.mark.slow
        )
        for clocks in itertools.product(CLOCKS, CLOCKS)
    ],
)
@pytest.mark.parametrize(
    "learner",
    [
        "q_learning",
        pytest.param("n_step_sarsa", marks=pytest.mark.slow),
        pytest.param("expected_sarsa", marks=pytest.mark.slow),
    ],
)
def test_schedules_on_every_clock(learner, parameter_clock, rate_clock, garnet, assert_loops_agree):
    agent, parameters = LEARNERS[learner]
    policy = policies.EpsilonGreedy(epsilon=policies.Exponential(0.9, 0.97, 0.05, clock=parameter_clock))
    rate = policies.Reciprocal(every=20, offset=2, clock=rate_clock)
    assert_loops_agree(lambda: agent(policy=policy, learning_rate=rate, **parameters), garnet, episodes=EPISODES)


@pytest.mark.parametrize(
    "schedule",
    [
        policies.Constant(0.4),
        policies.Linear(0.9, 0.1, over=15),
        policies.Exponential(0.9, 0.9),
        policies.Harmonic(0.8),
        policies.SteppedHarmonic(7),
        policies.Reciprocal(every=5, offset=2),
    ],
    ids=str,
)
def test_every_schedule(schedule, garnet, assert_loops_agree):
    assert_loops_agree(
        lambda: agents.QLearning(policy=policies.EpsilonGreedy(epsilon=schedule), learning_rate=schedule),
        garnet,
        episodes=EPISODES,
    )


@pytest.mark.parametrize(
    "schedule",
    [
        lambda clock: policies.RandomNoise(scale=policies.Harmonic(2.0, clock=clock)),
        lambda clock: policies.Softmax(temperature=policies.Exponential(2.0, 0.99, 0.1, clock=clock)),
        lambda clock: policies.UCB(confidence=policies.Reciprocal(every=30, clock=clock)),
    ],
    ids=["random_noise", "softmax", "ucb"],
)
@pytest.mark.parametrize("clock", ["visits", *[pytest.param(clock, marks=pytest.mark.slow) for clock in CLOCKS[:2]]])
def test_schedules_of_the_other_policies(schedule, clock, garnet, assert_loops_agree):
    assert_loops_agree(lambda: agents.QLearning(policy=schedule(clock)), garnet, episodes=EPISODES)


@pytest.mark.parametrize("budget", [{"steps": 1}, {"steps": 137}, {"episodes": 1}], ids=str)
def test_small_budgets(budget, garnet, assert_loops_agree):
    assert_loops_agree(agents.Sarsa, garnet, **budget)


@pytest.mark.parametrize("learner", LEARNERS)
def test_discount_one_learning_rate_one_and_optimism(learner, garnet, assert_loops_agree):
    agent, parameters = LEARNERS[learner]
    assert_loops_agree(
        lambda: agent(discount=1.0, learning_rate=1.0, initial_value=2.5, **parameters),
        garnet,
        seeds=(5,),
        episodes=EPISODES,
    )


@pytest.mark.parametrize(
    "budget", [{"steps": 137}, {"episodes": 31}, pytest.param({"episodes": 200}, marks=pytest.mark.slow)], ids=str
)
def test_seeds_that_take_turns_through_many_chunks(budget, garnet, assert_loops_agree, monkeypatch):
    for name, value in {
        "FIRST_CHUNK_STEPS": 8,
        "MAX_CHUNK_STEPS": 32,
        "FIRST_CHUNK_EPISODES": 2,
        "MAX_CHUNK_EPISODES": 5,
        "MAX_AHEAD": 9,
        "TOGETHER": 3,
    }.items():
        monkeypatch.setattr(compiled_training, name, value)
    epsilon, rate = policies.Harmonic(0.9, clock="step"), policies.Reciprocal(every=20, offset=2, clock="visits")
    assert_loops_agree(
        lambda: agents.QLearning(policy=policies.EpsilonGreedy(epsilon=epsilon), learning_rate=rate),
        garnet,
        seeds=tuple(range(7)),
        **budget,
    )
    assert_loops_agree(agents.QLearning, garnet, seeds=tuple(range(7)), **budget)


@pytest.mark.parametrize(
    ("environment", "arguments"),
    [
        ("FrozenLake-v1", {}),
        ("FrozenLake-v1", {"is_slippery": False}),
        ("Taxi-v4", {}),
        pytest.param("CliffWalkingSlippery-v1", {"max_episode_steps": 50}, marks=pytest.mark.slow),
        # Pairs with more outcomes than are laid out in places of their own.
        ("velodrome/Garnet-v0", {"num_states": 9, "num_actions": 4, "branching": 6, "max_episode_steps": 20}),
    ],
)
def test_every_shape_of_a_model(environment, arguments, assert_loops_agree):
    policy = policies.EpsilonGreedy(epsilon=policies.SteppedHarmonic(10))
    env = gym.make(environment, **arguments)
    assert_loops_agree(lambda: agents.QLearning(policy=policy), env, episodes=40)


@dataclass(frozen=True)
class Leaving(policies.Schedule):
    """A half for 25 steps; then a value that is not allowed."""

    clock: str = "step"

    def __call__(self, index):
        return 0.5 if index < 25 else 2.0


def test_a_seed_that_fails_leaves_the_others_alone(learnt, differences):
    model = SampledModel.of(gym.make("FrozenLake-v1"))
    seeds = range(12)

    def build():
        return agents.QLearning(policy=policies.EpsilonGreedy(epsilon=Leaving()))

    alone, errors = [], []
    for seed in seeds:
        agent = build()
        try:
            agent.train(SampledModel(model.model, model.rule, model.label), episodes=3, seed=seed)
            errors.append(None)
        except ConfigurationError as error:
            errors.append(str(error))
        alone.append(agent)
    assert None in errors
    assert set(errors) != {None}
    together = [build() for _ in seeds]
    models = [SampledModel(model.model, model.rule, model.label) for _ in seeds]
    logs = agents.TabularAgent.train_together(together, models, seeds, episodes=3, steps=None)
    for one, other, error, log in zip(alone, together, errors, logs, strict=True):
        assert differences(learnt(one), learnt(other)) == []
        assert (str(log) if isinstance(log, ConfigurationError) else None) == error


@pytest.mark.parametrize("loop", ["generic", "compiled"])
def test_the_comparison_sees_another_seed_and_another_number_of_episodes(loop, garnet, result, differences):
    runs = []
    for seed, episodes in ((0, 30), (1, 30), (0, 31)):
        agent = agents.QLearning()
        runs.append(result(agent, garnet, agent.train(garnet, episodes=episodes, seed=seed, loop=loop)))
    seen = {"memory.action_values", "memory.visit_counts", "agent stream", "environment stream", "returns"}
    assert seen <= set(differences(runs[0], runs[1]))
    assert seen <= set(differences(runs[0], runs[2]))
