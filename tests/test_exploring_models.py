"""Agents that explore by a learnt model: updates by hand and by plain NumPy, two loops, acting by step, refusals."""

import math

import gymnasium as gym
import numpy as np
import pytest
from rehearsed import Rehearsed
from scipy.optimize import linprog

import velodrome as vd
from velodrome import agents, envs, policies
from velodrome.agents.engine.sampled_model import SampledModel
from velodrome.agents.errors import UnsupportedEnvironmentError
from velodrome.agents.planning.dynamic_programming import best_possible, evaluate_policy
from velodrome.agents.tabular.psrl import draw_transitions
from velodrome.agents.tabular.ucrl2 import best_plausible
from velodrome.checks import ConfigurationError
from velodrome.envs.model.transition_model import TransitionModel
from velodrome.experiments import ExperimentError
from velodrome.policies.random_numbers import gamma_drawn_by, polar_normal

LEFT, RIGHT = 0, 1
BY_STEP = {
    "ucbvi": lambda **p: agents.UCBVI(bonus_scale=0.001, **p),
    "ucbvi bernstein": lambda **p: agents.UCBVI(bonus="bernstein", bonus_scale=0.001, **p),
    "psrl": lambda **p: agents.PSRL(**p),
}
STATIONARY = {
    "count_bonus_q": lambda **p: agents.CountBonusQ(**p),
    "r_max": lambda **p: agents.RMax(visits_until_known=2, discount=0.9, **p),
    "mbie_eb": lambda **p: agents.MBIE(bonus_scale=0.3, discount=0.9, **p),
    "ucrl2": lambda **p: agents.UCRL2(confidence_scale=0.1, **p),
}
LEARNERS = STATIONARY | BY_STEP


def garnet(steps=7):
    return gym.make(
        "velodrome/Garnet-v0", num_states=6, num_actions=2, terminal_probability=0.15, seed=11, max_episode_steps=steps
    )


class Rooms(envs.ModelEnvironment):
    """Room 0: LEFT stays for 0.25, RIGHT leads to room 1. Room 1: LEFT leads back, RIGHT ends with 1."""

    def __init__(self, render_mode=None):
        outcomes = [
            [[(1.0, 0, 0.25, False)], [(1.0, 1, 0.0, False)]],
            [[(1.0, 0, 0.0, False)], [(1.0, 0, 1.0, True)]],
        ]
        super().__init__(envs.TransitionModel.from_outcomes(outcomes, 0), render_mode=render_mode)


def rooms(steps):
    return gym.wrappers.TimeLimit(Rooms(), steps)


def rehearse(agent, tape, steps=2, **parameters):
    # In the generic loop alone: that both loops agree, bit for bit, is tested below.
    trained = agent(policy=Rehearsed(tuple(tape)), **parameters)
    trained.train(rooms(steps), steps=len(tape), seed=0, loop="generic")
    return trained


# -- by hand ------------------------------------------------------------------------------------------------------


def test_r_max_by_hand():
    # An unknown pair is worth 1 / (1 - 1/2) = 2. Known: Q(0, RIGHT) = 0 + V(1)/2 and Q(1, RIGHT) = 1, an end.
    options = {"discount": 0.5, "visits_until_known": 1, "tolerance": 1e-12}
    learnt = rehearse(agents.RMax, [RIGHT, RIGHT], **options)
    assert learnt.action_values.tolist() == [[2.0, 1.0], [2.0, 1.0]]
    # LEFT in room 0: V(0) = max(1/4 + V(0)/2, 1) = 1.
    learnt = rehearse(agents.RMax, [RIGHT, RIGHT, LEFT], **options)
    np.testing.assert_allclose(learnt.action_values, [[0.75, 1.0], [2.0, 1.0]], atol=1e-9)
    # All known: V(1) = 1, V(0) = 1/2 either way, Q(1, LEFT) = 1/4.
    learnt = rehearse(agents.RMax, [RIGHT, RIGHT, LEFT, RIGHT, LEFT], steps=5, **options)
    np.testing.assert_allclose(learnt.action_values, [[0.5, 0.5], [0.25, 1.0]], atol=1e-9)


def test_r_max_keeps_the_model_of_the_first_visits():
    learnt = rehearse(agents.RMax, [RIGHT, LEFT] * 5, steps=10, visits_until_known=3)
    assert learnt.learner.memory.model_counts.tolist() == [[0, 3], [3, 0]]
    assert learnt.visit_counts.tolist() == [[0, 5], [5, 0]]


def test_mbie_eb_by_hand():
    # Q(0, RIGHT) = V(1)/2 + (1/2)/√N with V(1) = 2, for LEFT was never tried there; Q(1, RIGHT) = 1 + 1/2.
    options = {"discount": 0.5, "bonus_scale": 0.5, "growth": 1.0, "tolerance": 1e-12}
    learnt = rehearse(agents.MBIE, [RIGHT, RIGHT], **options)
    assert learnt.action_values.tolist() == [[2.0, 1.5], [2.0, 1.5]]
    learnt = rehearse(agents.MBIE, [RIGHT, RIGHT, RIGHT], **options)
    np.testing.assert_allclose(learnt.action_values, [[2.0, 1.0 + 0.5 / math.sqrt(2)], [2.0, 1.5]], atol=1e-9)


def test_count_bonus_q_by_hand():
    # (0 + 1)/2; then (1 + 1)/2 at the end; then 1/2 + (0 + 1/√2 + 1/2 - 1/2)/2.
    options = {"discount": 0.5, "learning_rate": 0.5, "bonus_scale": 1.0}
    learnt = rehearse(agents.CountBonusQ, [RIGHT, RIGHT, RIGHT], **options)
    np.testing.assert_allclose(learnt.action_values, [[0.0, 0.5 + 0.5 * math.sqrt(0.5)], [0.0, 1.0]], rtol=1e-15)


def test_ucbvi_by_hand():
    # Two steps seen of H = 2: L = ln(5 · 2 · 2 · 2 / 0.05) = ln 800, and the bonus is 7 · 2 · L / 1000.
    bonus = 0.014 * math.log(800.0)
    learnt = rehearse(agents.UCBVI, [RIGHT, RIGHT], bonus_scale=0.001)
    by_hand = [[[2.0, 1.0 + bonus], [2.0, 1.0 + bonus]], [[1.0, bonus], [1.0, 1.0]]]
    np.testing.assert_allclose(learnt.step_values, by_hand, rtol=1e-15)


def test_ucrl2_by_hand():
    # Without confidence in anything (scale 0) the model is the mean of what was seen. One step: the phase ends, and
    # one sweep settles nothing that was never tried: reward 1, and the largest bias.
    learnt = rehearse(agents.UCRL2, [LEFT], steps=9, confidence_scale=0.0)
    assert learnt.learner.memory.planned_counts.tolist() == [[1, 0], [0, 0]]
    assert learnt.action_values.tolist() == [[0.25, 1.0], [1.0, 1.0]]
    # The end leads on to room 0, where the next episode starts.
    learnt = rehearse(agents.UCRL2, [RIGHT, RIGHT, RIGHT], steps=9, confidence_scale=0.0)
    memory = learnt.learner.memory
    assert memory.successors[:, 0].tolist() == [0, 1, 0, 0]
    assert memory.successor_counts[:, 0].tolist() == [0, 2, 0, 1]


# -- by plain NumPy -----------------------------------------------------------------------------------------------


class Recorder(gym.Wrapper):
    """Keeps each transition as (state, action, reward, next_state, terminated, ended)."""

    def __init__(self, env):
        super().__init__(env)
        self.seen = []

    def reset(self, **keywords):
        self.state, info = self.env.reset(**keywords)
        return self.state, info

    def step(self, action):
        answer = observation, reward, terminated, truncated, _ = self.env.step(action)
        self.seen.append((self.state, action, reward, observation, terminated, terminated or truncated))
        self.state = observation
        return answer


class Counts:
    """Dense counts of transitions; an end leads nowhere."""

    def __init__(self, num_states, num_actions):
        self.visits = np.zeros((num_states, num_actions))
        self.rewards = np.zeros((num_states, num_actions))
        self.following = np.zeros((num_states, num_actions, num_states))

    def add(self, state, action, reward, next_state, terminated):
        self.visits[state, action] += 1
        self.rewards[state, action] += reward
        self.following[state, action, next_state] += not terminated

    @property
    def mean(self):
        number = np.maximum(self.visits, 1)
        return self.rewards / number, self.following / number[..., None]


def recorded(agent, **budget):
    env = Recorder(garnet())
    agent.train(env, seed=5, loop="generic", **budget)
    return env.seen


@pytest.mark.parametrize("bonus", ["hoeffding", "bernstein"])
def test_ucbvi_is_backward_induction_on_the_mean_model_with_bonuses(bonus):
    horizon, scale, low, high = 7, 1e-3, -2.0, 3.0
    agent = agents.UCBVI(bonus=bonus, bonus_scale=scale, reward_low=low, reward_high=high)
    counts, step, steps = Counts(6, 2), 0, 0
    by_step = np.zeros((horizon + 1, 6))
    values = np.broadcast_to(high * np.arange(horizon, 0, -1)[:, None, None], (horizon, 6, 2)).copy()
    for state, action, reward, next_state, terminated, ended in recorded(agent, episodes=40):
        counts.add(state, action, reward, next_state, terminated)
        by_step[step, state] += 1
        step, steps = step + 1, steps + 1
        if not ended:
            continue
        step = 0
        rewards, chances = counts.mean
        size, log = horizon * (high - low), math.log(5 * 6 * 2 * steps / 0.05)
        after = np.zeros(6)
        for at in range(horizon - 1, -1, -1):
            number = np.maximum(counts.visits, 1)
            if bonus == "hoeffding":
                extra = 7 * size * log / np.sqrt(number)
            else:
                variance = chances @ after**2 - (chances @ after) ** 2
                with np.errstate(divide="ignore"):
                    rare = np.minimum(1e4 * size**2 * horizon * 36 * 2 * log**2 / by_step[at + 1], size**2)
                extra = 14 * size * log / 3 / number
                if at < horizon - 1:
                    extra += np.sqrt(8 * log * np.maximum(variance, 0) / number)
                    extra += np.sqrt(8 * (chances @ rare) / number)
            found = rewards + chances @ after + scale * extra
            values[at] = np.where(counts.visits > 0, np.minimum(values[at], found), values[at])
            after = values[at].max(axis=1)
    np.testing.assert_allclose(agent.step_values, values, rtol=1e-9)


def test_mbie_eb_is_value_iteration_on_the_mean_model_with_bonuses():
    agent = agents.MBIE(
        bonus_scale=0.2,
        growth=1.0,
        discount=0.8,
        tolerance=1e-13,
        reward_low=-5,
        reward_high=5,
        policy=policies.EpsilonGreedy(0.5),
    )
    counts = Counts(6, 2)
    for *transition, _ in recorded(agent, episodes=30):
        counts.add(*transition)
    rewards, chances = counts.mean
    values = np.full((6, 2), 25.0)
    for _ in range(500):
        found = rewards + 0.8 * chances @ values.max(axis=1) + 0.2 / np.sqrt(np.maximum(counts.visits, 1))
        values = np.where(counts.visits > 0, np.minimum(found, 25.0), 25.0)
    np.testing.assert_allclose(agent.action_values, values, rtol=1e-10)


def test_ucrl2_takes_the_best_plausible_transitions():
    rng = np.random.default_rng(0)
    for width in (0.0, 0.1, 0.5, 1.3, 1.9, 2.5):
        for _ in range(10):
            memory = agents.UCRL2().new_memory(5, 1)
            memory.biases[:] = rng.integers(0, 4, 5)
            order = rng.permutation(5)[: rng.integers(1, 6)]
            memory.successors[0, : len(order)] = order
            memory.successor_counts[0, : len(order)] = rng.integers(1, 5, len(order))
            memory.num_successors[0], memory.model_counts[0] = len(order), memory.successor_counts[0].sum()
            mean = np.zeros(5)
            mean[order] = memory.successor_counts[0, : len(order)] / memory.model_counts[0]
            # Variables: the distribution, and its distance from the mean in each place.
            identity = np.eye(5)
            distances = np.block([[identity, -identity], [-identity, -identity]])
            best = linprog(
                np.r_[-memory.biases, np.zeros(5)],
                A_ub=np.vstack([distances, np.r_[np.zeros(5), np.ones(5)]]),
                b_ub=np.r_[mean, -mean, width],
                A_eq=np.r_[np.ones(5), np.zeros(5)][None],
                b_eq=[1.0],
            )
            found = best_plausible(memory, 0, width, int(memory.biases.argmax()))
            assert found == pytest.approx(-best.fun, abs=1e-9)


def test_the_gamma_numbers_have_the_moments_of_their_distribution():
    rng = np.random.default_rng(3)
    numbers = np.array([polar_normal(rng) for _ in range(20_000)])
    assert abs(numbers.mean()) < 0.03
    assert abs(numbers.std() - 1.0) < 0.03
    draw_gamma = gamma_drawn_by(polar_normal)
    for shape in (0.2, 1.0, 3.5):
        numbers = np.array([draw_gamma(shape, rng) for _ in range(20_000)])
        assert abs(numbers.mean() - shape) < 4 * math.sqrt(shape / 20_000)
        assert abs(numbers.var() / shape - 1.0) < 0.25


@pytest.mark.parametrize("prior", [0.1, 1.0])
def test_psrl_draws_transitions_from_the_dirichlet_distribution(prior):
    memory, rng = agents.PSRL(transition_prior=prior).new_memory(4, 1, 1), np.random.default_rng(1)
    memory.successors[0, :2], memory.successor_counts[0, :2], memory.num_successors[0] = (2, 0), (3, 1), 2
    memory.ends[0] = 2
    drawn = np.zeros((6_000, 4))
    for row in drawn:
        draw_transitions(memory, 0, rng)
        number = memory.num_outcomes[0]
        assert len(set(memory.successors[0, :number].tolist())) == number
        row[memory.successors[0, :number]] = memory.weights[0, :number]
    parameters = np.array([1.0, 0.0, 3.0, 0.0]) + prior
    total = parameters.sum() + 2.0 + prior
    mean = parameters / total
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.012)
    np.testing.assert_allclose(drawn.var(axis=0), mean * (1 - mean) / (total + 1), rtol=0.2, atol=2e-4)


def test_psrl_plans_on_the_model_that_it_drew():
    agent = agents.PSRL()
    agent.train(garnet(), episodes=30, seed=2)
    memory = agent.learner.memory
    chances = np.zeros((12, 6))
    for pair, number in enumerate(memory.num_outcomes):
        chances[pair, memory.successors[pair, :number]] = memory.weights[pair, :number]
    after = np.zeros(6)
    for values in agent.step_values[::-1]:
        np.testing.assert_allclose(values, memory.drawn_rewards + (chances @ after).reshape(6, 2), atol=1e-12)
        after = values.max(axis=1)


def test_psrl_comes_to_the_true_model():
    agent = agents.PSRL(reward_noise=0.01)
    agent.train(garnet(), episodes=20_000, seed=0)
    best = best_possible(TransitionModel.of(garnet()), None).expected_return
    start = TransitionModel.of(garnet()).initial_distribution
    assert start @ agent.step_values[0].max(axis=1) == pytest.approx(best, abs=0.1)


# -- loops, parts, saving -----------------------------------------------------------------------------------------


# The others are compiled in seconds each.
_AGREE = [
    name if name in ("psrl", "ucbvi", "r_max") else pytest.param(name, marks=pytest.mark.slow) for name in LEARNERS
]


@pytest.mark.parametrize("name", _AGREE)
def test_loops_agree_bit_for_bit_in_parts_and_side_by_side(name, result, learnt, logged, differences, tmp_path):
    parts, build = (31, 7, 90), (lambda: LEARNERS[name](**({} if name in ("psrl", "count_bonus_q") else RANGE)))
    whole, env = build(), garnet()
    log = whole.train(env, seed=7, loop="generic", steps=sum(parts))
    expected = result(whole, env, log)
    for order in (("compiled",) * 3, ("generic", "compiled", "generic"), ("compiled", "generic", "compiled")):
        agent, env, log = build(), garnet(), None
        for part, loop in zip(parts, order, strict=True):
            one = agent.train(env, seed=7 if log is None else None, loop=loop, steps=part)
            log = one if log is None else log + one
        assert differences(expected, result(agent, env, log)) == []
    model, alone = SampledModel.of(garnet()), build()
    assert alone.trains_together
    (log,) = agents.TabularAgent.train_together([alone], [model], [7], episodes=None, steps=sum(parts))
    stream = {"environment stream": model.generator.bit_generator.state}
    assert differences(expected, learnt(alone) | logged(log) | stream) == []
    # Saved at an episode's end, it goes on in an environment made anew.
    agent = build()
    agent.train(garnet(), episodes=9, seed=1)
    agent.save(tmp_path)
    loaded = agents.Agent.load(tmp_path)
    assert str(loaded) == str(agent)
    for trained in (agent, loaded):
        trained.train(garnet(), episodes=9)
    assert differences(learnt(agent), learnt(loaded)) == []


RANGE = {"reward_low": -10.0, "reward_high": 10.0}


def test_an_end_that_waits_for_its_next_state_is_saved(tmp_path, learnt, differences):
    agent, env = agents.UCRL2(), rooms(9)
    agent.train(env, episodes=3, seed=0)
    agent.save(tmp_path)
    loaded, again = agents.Agent.load(tmp_path), rooms(9)
    assert loaded.learner.memory.pending[0] > 0
    loaded.resume(again)
    again.reset(seed=0)
    for trained, place in ((agent, env), (loaded, again)):
        trained.train(place, episodes=3)
    assert differences(learnt(agent), learnt(loaded)) == []


# -- acting by step -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BY_STEP)
def test_an_agent_acts_by_the_values_of_the_step_and_is_evaluated_as_it_acts(name):
    env = gym.make("velodrome/RiverSwim-v0")
    agent = BY_STEP[name]()
    log = agent.train(env, episodes=30, seed=4, evaluate_every=30)
    agent.begin_episode()
    for step in range(20):
        assert agent.act(3) == agent.step_values[step, 3].argmax()
    assert agent.act(np.arange(6)).tolist() == agent.step_values[0].argmax(axis=1).tolist()
    agent.begin_episode()
    total = 0.0
    for seed in range(600):
        observation, _ = env.reset(seed=seed)
        agent.begin_episode()
        ended = False
        while not ended:
            observation, reward, terminated, truncated, _ = env.step(agent.act(observation))
            total += reward
            ended = terminated or truncated
    (exact,) = [curve.values[-1] for curve in log.curves if curve.name == "evaluation_return"]
    policy = agent.action_probabilities_by_step(np.arange(6))
    assert exact == evaluate_policy(TransitionModel.of(env), policy, None).expected_return
    assert total / 600 == pytest.approx(exact, abs=0.45)
    # A reading of one table is none of what it does.
    assert agent.action_probabilities(np.arange(6)) is None


def test_a_policy_by_step_is_evaluated_by_step_within_a_limit_and_without():
    # LEFT earns 1/4 and stays, RIGHT twice ends with 1.
    policy = np.zeros((3, 2, 2))
    policy[0, :, LEFT] = policy[1:, :, RIGHT] = 1.0
    assert evaluate_policy(TransitionModel.of(rooms(3)), policy, None).expected_return == 1.25
    assert evaluate_policy(TransitionModel.of(rooms(2)), policy, None).expected_return == 0.25
    assert evaluate_policy(TransitionModel.of(Rooms()), policy, None).expected_return == 1.25
    again = np.zeros((1, 2, 2))
    again[0, :, LEFT] = 1.0
    assert evaluate_policy(TransitionModel.of(rooms(8)), again, None).expected_return == 2.0
    assert evaluate_policy(TransitionModel.of(Rooms()), again, None).expected_return == math.inf


def test_an_episode_that_outlives_the_horizon_is_the_next_one():
    agent = agents.PSRL(horizon=3)
    agent.train(rooms(5), episodes=4, seed=0)
    assert agent.step_values.shape == (3, 2, 2)
    agent.begin_episode()
    assert [agent.act(0) for _ in range(6)] == agent.step_values[:, 0].argmax(axis=1).tolist() * 2


def test_exploring_while_acting_leaves_training_alone(result, differences):
    runs = []
    for acts in (False, True):
        agent, env = agents.PSRL(policy=policies.Greedy(ties="first")), garnet()
        log = agent.train(env, steps=33, seed=0, loop="generic")
        if acts:
            agent.act(2), agent.act(2, explore=True)
        runs.append(result(agent, env, log + agent.train(env, steps=33, loop="generic")))
    assert differences(*runs) == []


# -- what they find -----------------------------------------------------------------------------------------------


def test_r_max_and_psrl_swim_up_the_river():
    env = gym.make("velodrome/RiverSwim-v0")
    best = best_possible(TransitionModel.of(env), None).expected_return
    for agent in (agents.RMax(visits_until_known=20, discount=0.95), agents.PSRL()):
        log = agent.train(env, episodes=1_000, seed=0, evaluate_every=1_000)
        (found,) = [curve.values[-1] for curve in log.curves if curve.name == "evaluation_return"]
        assert found > 0.95 * best


# -- refusals -----------------------------------------------------------------------------------------------------


def refusal(error, function):
    with pytest.raises(error) as caught:
        function()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", BY_STEP)
def test_no_horizon_and_no_time_limit_is_refused(name):
    agent = BY_STEP[name](**({} if name == "psrl" else {"reward_low": -1}))
    for use in (lambda: agent.train("velodrome/DeepSea-v0", episodes=1), lambda: agent.check_environment(Rooms())):
        assert "has no time limit: give horizon=" in refusal(UnsupportedEnvironmentError, use)


@pytest.mark.parametrize("name", BY_STEP)
def test_boxes_are_refused_without_the_advice_of_agents_that_refuse_it(name):
    message = refusal(UnsupportedEnvironmentError, lambda: BY_STEP[name]().train("CartPole-v1", episodes=1))
    assert message.endswith("has a box of 4 numbers: cut them into bins, discretize(CartPole-v1, bins=10)")


def test_a_comparison_refuses_what_has_no_time_limit_before_anything_runs(tmp_path):
    with pytest.raises(ExperimentError, match=r"^agents.psrl on 'CliffWalking-v1': psrl plans for a number of steps"):
        vd.compare("psrl", "CliffWalking-v1", episodes=2, seeds=2, out=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["r_max", "mbie_eb", "ucrl2", "ucbvi"])
def test_rewards_outside_their_range_are_refused(name):
    env = gym.make("velodrome/DeepSea-v0", size=4, max_episode_steps=4)
    agent = LEARNERS[name]()
    for use in (lambda: agent.train(env, episodes=1), lambda: agent.check_environment(env)):
        message = refusal(UnsupportedEnvironmentError, use)
        assert "assumes rewards in [0, 1], but those of" in message
        assert message.endswith("are between -0.0025 and 0.9975: give reward_low= and reward_high=")
    # A wrapper of rewards, of which nothing is known before one comes.
    unknown = gym.wrappers.TransformReward(env, lambda reward: reward)
    message = refusal(UnsupportedEnvironmentError, lambda: LEARNERS[name]().train(unknown, episodes=60, seed=0))
    assert message.endswith("assumes rewards in [0, 1], got -0.0025: give reward_low= and reward_high=")


@pytest.mark.parametrize("name", [name for name in LEARNERS if name != "count_bonus_q"])
def test_a_model_that_is_too_large_is_refused(name):
    env = gym.make("velodrome/Chain-v0", num_states=9_000)
    agent = LEARNERS[name](**({} if name == "psrl" else {"reward_high": 10}))
    message = refusal(UnsupportedEnvironmentError, lambda: agent.check_environment(env))
    assert "9,000 states and 2 actions, would take 1,296,000,000 bytes" in message or name == "psrl"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: agents.UCBVI(horizon=0), "horizon must be a whole number of at least 1, got 0"),
        (lambda: agents.UCBVI(bonus="bernstien"), "did you mean 'bernstein'?"),
        (lambda: agents.UCBVI(failure_probability=0.0), "failure_probability must be a number in (0, 1], got 0.0"),
        (lambda: agents.RMax(discount=1.0), "discount must be a number in [0, 1), got 1.0"),
        (lambda: agents.MBIE(growth=0.5), "growth must be"),
        (lambda: agents.UCRL2(reward_low=1.0), "reward_high must be above reward_low"),
        (lambda: agents.PSRL(reward_noise=0.0), "reward_noise must be"),
        (lambda: agents.CountBonusQ(bonus_scale=-1.0), "bonus_scale must be"),
        (lambda: agents.Discretized(agents.PSRL()), "agent must act by the observation alone, not by the step"),
        (lambda: agents.Numbered(agents.PSRL()), "agent must act by the observation alone, not by the step"),
    ],
)
def test_parameters_that_could_not_be_are_refused(build, message):
    assert message in refusal(ConfigurationError, build)


@pytest.mark.parametrize(
    ("name", "array", "value"),
    [
        ("r_max", "successors", 6),
        ("mbie_eb", "num_successors", 7),
        ("ucrl2", "pending", 13),
        ("psrl", "num_outcomes", -1),
        ("ucbvi", "clock", 7),
    ],
)
def test_saved_arrays_that_would_lead_beyond_the_tables_are_refused(name, array, value):
    agent = LEARNERS[name](**({} if name == "psrl" else RANGE))
    agent.train(garnet(), episodes=2, seed=0, loop="generic")
    entries, arrays = agent.state()
    changed = arrays[array].copy()
    changed.flat[0] = value
    with pytest.raises(ValueError, match=f"array {array} "):
        LEARNERS[name]().set_state(entries, arrays | {array: changed})
