"""Action masks that depend on more than the observation: honoured where actions are chosen and bootstrapped from."""

import json

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings, strategies as st

from velodrome import agents, envs, policies
from velodrome.agents.errors import EnvironmentFailureError, UnsupportedEnvironmentError
from velodrome.agents.resuming.saving import SavedAgentError, write_agent
from velodrome.experiments.run import run
from velodrome.experiments.trials.evaluation import evaluate

ALL = (True, True, True)


class Scripted(gym.Env):
    """States, rewards and masks as they are listed, whatever is done; remembers which actions were taken."""

    def __init__(self, states, rewards, masks, *, terminates=True, dtype=np.int8):
        self.states, self.rewards, self.masks, self.terminates = states, rewards, masks, terminates
        self.dtype, self.actions = dtype, []
        self.observation_space, self.action_space = spaces.Discrete(max(states) + 1), spaces.Discrete(len(masks[0]))

    def info(self):
        return {"action_mask": np.array(self.masks[self.place], self.dtype)}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = 0
        return self.states[0], self.info()

    def step(self, action):
        self.actions.append(int(action))
        self.place += 1
        is_last = self.place == len(self.states) - 1
        ends = (is_last and self.terminates, is_last and not self.terminates)
        return self.states[self.place], self.rewards[self.place - 1], *ends, self.info()


# The state is 0 all along; action 1 is forbidden at first and in the end, action 0 in the middle.
BLINKING = ([0, 0, 0, 0], [1.0, 2.0, 4.0], [(1, 0), (0, 1), (1, 0), (1, 0)])


def learnt(agent, *, terminates=True, episodes=1, script=BLINKING, **parameters):
    """Action values after episodes in which the masks leave no choice, with discount and learning rate 1/2."""
    env = Scripted(*script, terminates=terminates)
    trained = agent(discount=0.5, learning_rate=0.5, action_mask=True, policy=policies.Greedy(), **parameters)
    trained.train(env, episodes=episodes, seed=0)
    assert env.actions == [0, 1, 0] * episodes
    return trained.action_values[0].tolist()


@pytest.mark.parametrize(
    ("agent", "parameters"),
    [
        (agents.QLearning, {}),
        (agents.Sarsa, {}),
        (agents.ExpectedSarsa, {}),
        (agents.NStepQ, {"n": 1}),
        (agents.NStepSarsa, {"n": 1}),
        (agents.QLambda, {"trace_decay": 0.0}),
        (agents.DynaQ, {"planning_steps": 0}),
    ],
)
def test_the_bootstrap_is_from_what_is_available_next(agent, parameters):
    # With 8 everywhere: Q(0) = 8 + (1 + Q(1)/2 - 8)/2 = 6.5; Q(1) = 8 + (2 + Q(0)/2 - 8)/2 = 6.625;
    # Q(0) = 6.5 + (4 - 6.5)/2 = 5.25. Where nothing is forbidden, Q(1) would take 8 for the next value.
    assert learnt(agent, initial_value=8.0, **parameters) == [5.25, 6.625]
    # Cut by a time limit, the last step bootstraps from action 0 alone: 6.5 + (4 + 6.5/2 - 6.5)/2.
    assert learnt(agent, initial_value=8.0, terminates=False, **parameters) == [6.875, 6.625]


def test_double_q_learning_values_what_is_available_next():
    # One of the tables learns at each step, from the other's value, which is 8 or was learnt: Q of action 1 is the mean
    # of 8 and 8 + (2 + v/2 - 8)/2 = 7 or, with the other table's Q(0) = 6.5, 6.625. Never is the target below.
    assert learnt(agents.DoubleQLearning, initial_value=8.0)[1] in (7.5, 7.3125)


def test_n_step_targets_end_in_what_is_available():
    # Q(0) = 8 + (1 + 2/2 + Q(0)/4 - 8)/2 = 6 after two steps; then, at the end, 6 + (4 - 6)/2 = 5 for the last pair
    # and 8 + (2 + 4/2 - 8)/2 = 6 for the one before.
    for agent in (agents.NStepQ, agents.NStepSarsa):
        assert learnt(agent, n=2, initial_value=8.0) == [5.0, 6.0]


def test_an_action_that_is_the_best_of_those_available_keeps_the_traces():
    # Errors: 1 + 8/2 - 8 = -3 for action 0; 2 + 6.5/2 - 8 = -2.75 for action 1 and, by its trace of 1/2, for action 0:
    # 6.5 - 1.375/2 = 5.8125; 4 - 5.8125 = -1.8125 for action 0 and by its trace for action 1. Greedy was every one.
    values = learnt(agents.QLambda, trace_decay=1.0, initial_value=8.0)
    assert values == [5.8125 - 1.8125 / 2, 6.625 - 1.8125 / 4]


def test_dyna_q_plans_with_the_mask_that_it_met():
    # Whatever is planned, a pair's model ends in the mask that came with it: of action 0 the last, which terminates.
    script = ([0, 0, 1], [1.0, 2.0], [(1, 0), (0, 1), (1, 1)])
    env = Scripted(*script, terminates=True)
    agent = agents.DynaQ(
        discount=0.5,
        learning_rate=1.0,
        action_mask=True,
        policy=policies.Greedy(),
        planning_steps=30,
        initial_value=8.0,
    )
    agent.train(env, episodes=2, seed=0)
    # Q(1) = 2, and Q(0) = 1 + Q(1)/2, not 1 + max(8, …)/2.
    assert agent.action_values[0].tolist() == [2.0, 2.0]


class Cooling(gym.Env):
    """What is available depends on a clock that is not seen; random states, rewards and ends."""

    def __init__(self):
        self.observation_space, self.action_space = spaces.Discrete(4), spaces.Discrete(3)
        self.record = []

    def look(self):
        state, mask = int(self.np_random.integers(4)), self.np_random.random(3) < 0.5
        mask[self.np_random.integers(3)] = True
        self.mask = mask
        return state, {"action_mask": mask.astype(np.int8)}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.clock = 0
        self.state, info = self.look()
        return self.state, info

    def step(self, action):
        assert self.mask[action]
        before, self.clock = (self.state, self.mask), self.clock + 1
        self.state, info = self.look()
        terminated = bool(self.np_random.random() < 0.1)
        truncated = self.clock >= 8
        reward = float(self.np_random.normal() - 2)
        self.record.append((*before, int(action), reward, self.state, self.mask, terminated, terminated or truncated))
        return self.state, reward, terminated, truncated, info


def reference(name, record, discount, rate, initial, *, n=3, decay=0.9):
    """Action values by each method's textbook, with dictionaries."""
    q = {(state, action): initial for state in range(4) for action in range(3)}

    def best(state, mask):
        return max(q[state, action] for action in range(3) if mask[action])

    traces, window = {}, []
    for place, (state, mask, action, reward, after, next_mask, terminated, ended) in enumerate(record):
        if name in ("sarsa", "n_step_sarsa"):
            # The next action is known, but at a time limit.
            follows = None if terminated or ended else q[after, record[place + 1][2]]
        elif name == "expected_sarsa":
            some = [q[after, one] for one in range(3) if next_mask[one]]
            follows = sum(some) / len(some)
        else:
            follows = best(after, next_mask)
        if follows is None and not terminated:
            return None
        follows = 0.0 if terminated else follows
        if name.startswith("n_step"):
            window.append((state, action, reward))
            due = len(window) if ended else int(len(window) == n)
            value = follows
            for age, (s, a, r) in enumerate(reversed(window)):
                value = r + discount * value
                if ended or age == n - 1:
                    q[s, a] += rate * (value - q[s, a])
            del window[:due]
            continue
        error = reward + discount * follows - q[state, action]
        if name != "q_lambda":
            q[state, action] += rate * error
            continue
        if q[state, action] < best(state, mask):
            traces = {}
        traces[state, action] = 1.0
        for pair in traces:
            q[pair] += rate * error * traces[pair]
        traces = {} if ended else {pair: trace * discount * decay for pair, trace in traces.items()}
    return np.array([[q[state, action] for action in range(3)] for state in range(4)])


REFERENCES = {
    "q_learning": agents.QLearning,
    "expected_sarsa": agents.ExpectedSarsa,
    "n_step_q": agents.NStepQ,
    "q_lambda": agents.QLambda,
}


@pytest.mark.parametrize("name", REFERENCES)
@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), initial=st.sampled_from([0.0, 5.0, -30.0]))
def test_masks_that_change_give_what_the_textbook_gives(name, seed, initial):
    env = Cooling()
    agent = REFERENCES[name](
        discount=0.9, learning_rate=0.3, initial_value=initial, action_mask=True, policy=policies.Uniform()
    )
    agent.train(env, steps=120, seed=seed)
    expected = reference(name, env.record, 0.9, 0.3, initial)
    np.testing.assert_allclose(agent.action_values, expected, rtol=1e-12)


EVERY_LEARNER = {
    "q_learning": (agents.QLearning, policies.EpsilonGreedy(epsilon=0.3)),
    "sarsa": (agents.Sarsa, policies.Softmax()),
    "expected_sarsa": (agents.ExpectedSarsa, policies.UCB()),
    "double_q_learning": (agents.DoubleQLearning, policies.RandomNoise(scale=1.0)),
    "n_step_q": (agents.NStepQ, policies.Greedy()),
    "n_step_sarsa": (agents.NStepSarsa, policies.EpsilonGreedy(epsilon=0.3, ties="first")),
    "q_lambda": (agents.QLambda, policies.Uniform()),
    "dyna_q": (agents.DynaQ, policies.EpsilonGreedy(epsilon=0.3)),
    "random": (agents.RandomAgent, None),
}


def learner(name, **parameters):
    agent, policy = EVERY_LEARNER[name]
    return agent(action_mask=True, **parameters | ({} if policy is None else {"policy": policy}))


@pytest.mark.parametrize("name", EVERY_LEARNER)
@settings(max_examples=5)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_forbidden_action_is_ever_taken_and_every_value_is_finite(name, seed):
    agent = learner(name)
    # The environment asserts that each action is available.
    agent.train(Cooling(), steps=150, seed=seed)
    for array in agent.learner.memory:
        assert np.isfinite(array).all()
    mask = np.array([0, 0, 1])
    assert agent.act(1, action_mask=mask) == 2
    assert agent.act(1, explore=True, action_mask=mask) == 2
    assert agent.act(np.arange(4), action_mask=np.tile(mask, (4, 1))).tolist() == [2] * 4
    assert agent.act(np.arange(4), explore=True, action_mask=np.tile(mask, (4, 1))).tolist() == [2] * 4


@pytest.mark.parametrize("name", EVERY_LEARNER)
def test_training_in_two_calls_and_by_hand_gives_the_same(name, learnt):
    whole, parts, by_hand = learner(name), learner(name), learner(name)
    whole.train(Cooling(), steps=60, seed=5)
    env = Cooling()
    parts.train(env, steps=13, seed=5)
    parts.train(env, steps=47)
    assert learnt(whole) == learnt(parts)
    env = Cooling()
    by_hand.train(env, steps=1, seed=5)
    for _ in range(20):
        env.reset()
        before, mask = env.state, env.mask
        action = by_hand.act(before, explore=True, action_mask=mask)
        after, reward, terminated, truncated, info = env.step(action)
        by_hand.observe(
            before, action, reward, after, terminated, truncated,
            action_mask=mask, next_action_mask=info["action_mask"],
        )  # fmt: skip
    assert np.isfinite(by_hand.action_values).all()


class Gun(gym.Env):
    """Firing (1) pays 1, then comes a step of cooling; 20 steps."""

    observation_space, action_space = spaces.Discrete(1), spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return 0, {"action_mask": np.array([1, 1], np.int8)}

    def step(self, action):
        self.time += 1
        return 0, float(action), False, self.time >= 20, {"action_mask": np.array([1, action == 0], np.int8)}


def test_an_action_that_was_forbidden_once_is_learnt_and_taken_again():
    trial = run("q_learning(action_mask=True)", Gun(), episodes=50, seed=0)
    assert np.isfinite(trial.trained.action_values).all()
    assert trial.log.returns.mean() > 9
    # Sampled, each act with the mask of its moment: every second step fires.
    assert (trial.evaluation.method, trial.evaluation.mean_return) == ("monte-carlo", 10.0)
    assert trial.trained.needs_action_mask
    with pytest.raises(UnsupportedEnvironmentError, match=r"^q_learning honours action masks [^\n]*action_mask=info"):
        trial.trained.act(0)
    with pytest.raises(UnsupportedEnvironmentError, match="no function of the observation"):
        trial.trained.greedy_probabilities()


class Doors(gym.Env):
    """Its method `action_mask` takes no state: it says what is available now."""

    def __init__(self):
        self.observation_space, self.action_space = spaces.Discrete(3), spaces.Discrete(2)

    def action_mask(self):
        return np.array([True, self.state < 1])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = self.time = 0
        return 0, {"action_mask": self.action_mask()}

    def step(self, action):
        assert action == 0 or self.state < 1
        self.time += 1
        self.state = self.time % 3
        return self.state, float(action), self.time > 9, False, {"action_mask": self.action_mask()}


def test_a_method_without_a_state_is_no_function_of_the_state():
    trial = run("q_learning(action_mask=True)", Doors(), episodes=50, seed=0)
    assert trial.evaluation.mean_return == 4.0
    assert trial.trained.visit_counts[1:, 1].sum() == 0


class Contradicted(Doors):
    """Its method says by the state what the infos say otherwise."""

    def action_mask(self, state=None):
        return np.array([True, True] if state is not None else [True, self.state < 1])


def test_the_info_counts_where_a_function_of_the_state_says_otherwise():
    agent = agents.QLearning(action_mask=True, policy=policies.Uniform())
    agent.train(Contradicted(), episodes=20, seed=0)
    assert agent.visit_counts[1:, 1].sum() == 0
    assert agent.needs_action_mask


class Told(Scripted):
    """Gives these infos instead."""

    def __init__(self, infos):
        super().__init__([0, 0, 0], [0.0, 0.0], [(1, 1)] * 3)
        self.infos = infos

    def info(self):
        return self.infos[self.place]


GOOD = {"action_mask": [1, 0]}


@pytest.mark.parametrize(
    ("infos", "error", "message"),
    [
        ([{}] * 3, UnsupportedEnvironmentError, "action_mask=True, but the info of Told has no 'action_mask'"),
        ([GOOD, {}, GOOD], EnvironmentFailureError, "Told: action_mask=True, but this time the info has no"),
        ([None] * 3, EnvironmentFailureError, "Told: info None of reset is not a dictionary"),
        ([{"action_mask": None}] * 3, EnvironmentFailureError, "must have 2 entries, one an action, got None"),
        ([{"action_mask": [1]}] * 3, EnvironmentFailureError, r"must have 2 entries, one an action, got \[1\]"),
        ([{"action_mask": [[1, 1]]}] * 3, EnvironmentFailureError, "must have 2 entries"),
        ([{"action_mask": [[1], [1, 1]]}] * 3, EnvironmentFailureError, "must have 2 entries"),
        ([{"action_mask": [0.0, -np.inf]}] * 3, EnvironmentFailureError, r"must hold 0 and 1 \(or False and True\)"),
        ([{"action_mask": [np.nan, 1]}] * 3, EnvironmentFailureError, "must hold 0 and 1"),
        ([{"action_mask": [2, 1]}] * 3, EnvironmentFailureError, "must hold 0 and 1"),
        ([{"action_mask": ["yes", "no"]}] * 3, EnvironmentFailureError, "must hold 0 and 1"),
        (
            [{"action_mask": [0, 0]}] * 3,
            EnvironmentFailureError,
            "allows no action, but the episode has not terminated",
        ),
    ],
)
def test_a_mask_that_is_none_is_refused_in_one_line(infos, error, message):
    agent = agents.QLearning(action_mask=True)
    with pytest.raises(error, match=f"^[^\n]*{message}[^\n]*$"):
        agent.train(Told(infos), episodes=1, seed=0)


@pytest.mark.parametrize("last", [{}, {"action_mask": [0, 0]}])
def test_nothing_need_be_available_where_the_episode_has_terminated(last):
    agent = agents.Sarsa(action_mask=True, policy=policies.Uniform())
    assert agent.train(Told([GOOD, GOOD, last]), episodes=3, seed=0).episodes == 3
    assert agent.visit_counts.tolist() == [[6, 0]]


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.int64, np.float32])
def test_masks_of_every_kind_of_number(dtype):
    env = Scripted(*BLINKING, dtype=dtype)
    agents.QLearning(action_mask=True, policy=policies.Uniform()).train(env, episodes=2, seed=0)
    assert env.actions == [0, 1, 0] * 2


def test_masks_reach_a_learner_through_bins():
    class Seen(Gun):
        observation_space = spaces.Box(0.0, 1.0, (1,))

        def reset(self, *, seed=None, options=None):
            return np.zeros(1, np.float32), super().reset(seed=seed)[1]

        def step(self, action):
            return np.zeros(1, np.float32), *super().step(action)[1:]

    trial = run(agents.Discretized(agent=agents.QLearning(action_mask=True), bins=2), Seen(), episodes=50, seed=0)
    assert trial.evaluation.mean_return == 10.0
    assert trial.trained.act(np.zeros(1), action_mask=[1, 0]) == 0


# Masks that are a function of the state


class Ladder(envs.ModelEnvironment):
    """Up or down; the masks are its own."""

    masks = ((0, 1), (1, 1), (1, 1))

    def __init__(self, render_mode=None):
        outcomes = [[[(1.0, max(0, s - 1), -1.0, False)], [(1.0, min(2, s + 1), -1.0, s == 1)]] for s in range(3)]
        super().__init__(envs.TransitionModel.from_outcomes(outcomes, 0), render_mode=render_mode)

    def action_mask(self, state):
        return np.array(self.masks[state])


def ladder(**masks):
    kind = type("Ladder", (Ladder,), masks)
    return gym.wrappers.TimeLimit(kind(), 9)


# Each is compiled, which takes some seconds.
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("double_q_learning", "expected_sarsa", "dyna_q") else pytest.mark.slow)
        for name in EVERY_LEARNER
    ],
)
def test_both_loops_agree_on_masks_by_state_and_so_does_the_exact_value(name, result, differences):
    env, results = ladder(), []
    for loop in ("generic", "compiled"):
        agent = learner(name)
        log = agent.train(env, episodes=40, seed=1, loop=loop)
        assert (log.loop, agent.needs_action_mask) == (loop, False)
        assert agent.visit_counts[0, 0] == 0
        assert np.isfinite(agent.action_values).all()
        assert (agent.greedy_probabilities()[0] == [0, 1]).all()
        assert agent.act(0) == agent.act([0])[0] == agent.act(0, explore=True) == 1
        results.append(result(agent, env, log))
    assert differences(*results) == []


def test_what_is_known_of_masks_is_saved(tmp_path):
    agent = learner("q_learning")
    agent.train(ladder(), episodes=3, seed=0)
    agent.save(tmp_path)
    loaded = agents.Agent.load(tmp_path)
    assert loaded.act([0, 0, 0]).tolist() == [1] * 3
    assert loaded.action_values.tolist() == agent.action_values.tolist()


@pytest.mark.parametrize("loop", ["generic", "compiled"])
def test_a_state_in_which_nothing_is_available_is_refused_before_training(loop):
    message = r"^action_mask=True, but the masks of Ladder allow no action in state 1$"
    with pytest.raises(UnsupportedEnvironmentError, match=message):
        learner("q_learning").train(ladder(masks=((0, 1), (0, 0), (1, 1))), episodes=1, seed=0, loop=loop)
    # Where an episode has terminated, nothing is done.
    learner("q_learning").train(ladder(masks=((0, 1), (1, 1), (0, 0))), episodes=1, seed=0, loop=loop)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (((1,),) * 3, r"action_mask\(state\) must have 2 entries, got shape \(1,\)"),
        (((0.5, 1),) * 3, r"action_mask\(0\) must hold 0 and 1 \(or False and True\), got \[0.5, 1.0\]"),
        ((), r"action_mask\(0\) raised IndexError: tuple index out of range"),
    ],
)
def test_a_function_that_gives_no_masks_is_refused_in_one_line(masks, message):
    with pytest.raises(envs.TransitionModelError, match=f"^{message}$"):
        envs.TransitionModel.of(ladder(masks=masks))


def test_a_model_whose_method_takes_no_state_has_no_masks():
    assert envs.TransitionModel.of(ladder(action_mask=lambda self: [1, 1])).action_mask is None


# Agents of earlier releases and of users


def saved_before(folder, agent, **changed):
    """Save an agent as the release before did: with minus infinity for what a mask forbids."""
    agent.save(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in ("action_masks", "manifest_sha256", "sha256"):
        manifest.pop(name, None)
    with np.load(folder / "arrays.npz") as stored:
        arrays = dict(stored)
    masks = arrays.pop("action_masks", None)
    for name in ("first_counts", "turn", "model_masks"):
        arrays.pop(name, None)
    for name, array in arrays.items():
        if masks is not None and name.endswith("_values"):
            array[~masks] = -np.inf
    write_agent(folder, manifest, arrays | changed)


@pytest.mark.parametrize("name", [name for name in EVERY_LEARNER if name != "random"])
def test_an_agent_that_an_earlier_release_saved_keeps_to_its_masks(name, tmp_path):
    agent = learner(name)
    agent.train(ladder(), episodes=5, seed=0)
    saved_before(tmp_path, agent)
    loaded = agents.Agent.load(tmp_path)
    assert loaded.action_values.tolist() == agent.action_values.tolist()
    assert loaded.act([0, 0]).tolist() == [1, 1]
    loaded.train(ladder(), episodes=5)
    assert np.isfinite(loaded.action_values).all()
    assert loaded.visit_counts[0, 0] == 0


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_an_agent_whose_values_were_overwritten_by_masks_is_refused(value, tmp_path):
    agent = learner("q_learning")
    agent.train(Gun(), episodes=5, seed=0)
    saved_before(tmp_path, agent, action_values=np.array([[1.0, value]]))
    with pytest.raises(SavedAgentError, match=r"^[^\n]*wrote action masks over what it had learnt; train it anew$"):
        agents.Agent.load(tmp_path)


class Own(agents.QLearning):
    """A learner of one's own, from before masks were handed to updates."""

    @property
    def update(self):
        def learn(action_values, state, action, reward, next_state, learning_rate):
            action_values[state][action] += learning_rate * (reward - action_values[state][action])

        return learn


def test_a_learner_of_ones_own_without_masks_learns_and_refuses_them(result, differences):
    env, results = ladder(), []
    for loop in ("generic", "compiled"):
        agent = Own()
        results.append(result(agent, env, agent.train(env, episodes=9, seed=0, loop=loop)))
    assert differences(*results) == []
    with pytest.raises(UnsupportedEnvironmentError, match=r"^own cannot honour action masks: its update function must"):
        Own(action_mask=True).train(env, episodes=1, seed=0)


def test_masks_need_an_agent_that_honours_them_to_be_observed():
    agent = agents.QLearning()
    agent.train(ladder(), episodes=1, seed=0)
    with pytest.raises(UnsupportedEnvironmentError, match=r"^q_learning learns without action masks: make it with"):
        agent.observe(0, 1, 0.0, 1, False, False, action_mask=[1, 1])


def test_evaluation_is_exact_where_masks_are_a_function_of_the_state():
    trial = run("q_learning(action_mask=True)", ladder(), episodes=30, seed=0)
    assert (trial.evaluation.method, trial.evaluation.mean_return) == ("exact", -2.0)
    assert evaluate(trial.trained, trial.profile, seed=0).mean_return == -2.0
