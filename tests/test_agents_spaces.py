"""Which observation and action spaces tabular agents take, and how action masks are honoured."""

import copy
import dataclasses
import itertools
import json

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings, strategies as st

import velodrome as vd
from velodrome import agents, envs, policies
from velodrome.agents.errors import EnvironmentFailureError, UnsupportedEnvironmentError
from velodrome.agents.tabular.observation_index import ObservationIndex, index_observations
from velodrome.experiments.specification.catalogue import build_agent


class Walk(gym.Env):
    """Five places in a row, told as the space likes; one action walks on, the other stays. The end pays 1."""

    def __init__(self, observation_space, observations, action_start=0):
        self.observation_space = observation_space
        self.action_space = spaces.Discrete(2, start=action_start)
        self.observations = observations

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = 0
        return self.observations[0], {}

    def step(self, action):
        assert self.action_space.contains(action), action
        self.place += int(action - self.action_space.start)
        ended = self.place == 4
        return self.observations[self.place], float(ended), ended, False, {}


SPACES = {
    "Discrete": (spaces.Discrete(5), [0, 1, 2, 3, 4]),
    "Discrete with a start": (spaces.Discrete(5, start=-2), [-2, -1, 0, 1, 2]),
    "MultiDiscrete": (
        spaces.MultiDiscrete([2, 3]),
        [np.array(pair) for pair in ((0, 0), (1, 2), (0, 1), (1, 0), (0, 2))],
    ),
    "MultiDiscrete with a start": (
        spaces.MultiDiscrete([2, 3], start=[10, -1]),
        [np.array(pair) for pair in ((10, -1), (11, 1), (10, 0), (11, -1), (10, 1))],
    ),
    "MultiDiscrete of two dimensions": (
        spaces.MultiDiscrete([[2, 2], [2, 2]]),
        [np.array([[place % 2, 0], [place // 2 % 2, place // 4]]) for place in range(5)],
    ),
    "MultiBinary": (spaces.MultiBinary(3), [np.array([k % 2, k // 2 % 2, k // 4], np.int8) for k in range(5)]),
    "Tuple": (
        spaces.Tuple([spaces.Discrete(3, start=1), spaces.MultiDiscrete([2])]),
        [(1 + k % 3, np.array([k // 3])) for k in range(5)],
    ),
    "Dict": (
        spaces.Dict({"where": spaces.Discrete(3, start=1), "is_far": spaces.MultiBinary(1)}),
        # The order of the keys is the space's, not that of an observation.
        [{"where": 1 + k % 3, "is_far": np.array([k // 3], np.int8)} for k in range(5)],
    ),
    "Dict in a Tuple": (
        spaces.Tuple([spaces.Dict(b=spaces.Discrete(2), a=spaces.Discrete(2)), spaces.Discrete(2, start=-1)]),
        [({"a": k % 2, "b": k // 2 % 2}, k // 4 - 1) for k in range(5)],
    ),
    "Box of whole numbers": (
        spaces.Box(np.array([0, -1]), np.array([1, 1]), dtype=np.int64),
        [np.array([k % 2, k // 2 - 1]) for k in range(5)],
    ),
}


def walked(name, loop="auto", action_start=0):
    env = gym.wrappers.TimeLimit(Walk(*SPACES[name], action_start=action_start), max_episode_steps=50)
    agent = agents.QLearning(discount=0.5, learning_rate=1.0, policy=policies.EpsilonGreedy(epsilon=0.5, ties="first"))
    return agent, env, agent.train(env, episodes=100, seed=0, loop=loop)


def stacked(observations):
    first = observations[0]
    if isinstance(first, dict):
        return {key: stacked([observation[key] for observation in observations]) for key in first}
    if isinstance(first, tuple):
        return tuple(stacked([observation[part] for observation in observations]) for part in range(2))
    return np.array(observations)


@pytest.mark.parametrize("name", SPACES)
def test_every_finite_space_gets_a_row_for_each_observation(name):
    agent, _, _ = walked(name)
    assert np.count_nonzero(agent.visit_counts.sum(axis=1)) == 4
    # The value of walking on doubles towards the end; staying is worth half the best.
    assert sorted(agent.action_values[agent.visit_counts.sum(axis=1) > 0, 1].tolist()) == [0.125, 0.25, 0.5, 1.0]
    observations = SPACES[name][1]
    assert [agent.act(observation) for observation in observations[:4]] == [1] * 4
    assert agent.act(stacked(observations[:4])).tolist() == [1] * 4
    assert agent.act(stacked(observations[4:])).shape == (1,)


def test_a_tuple_counts_by_its_whole_numbers_however_often_it_was_seen():
    agent = agents.QLearning()
    agent.train(gym.make("Blackjack-v1"), episodes=200, seed=0)
    row = agent.learner.state_of((14, 10, 0))
    for same in ((14, 10, 0), (14.0, np.int64(10), False), (np.array(14), 10, 0)):
        assert agent.learner.state_of(same) == row
    for other in ((14, 10, 2), (14, 10), (14.5, 10, 0), ("14", 10, 0), [14, 10, 0], (14, 10, 0, 0), -1):
        with pytest.raises(EnvironmentFailureError):
            agent.learner.state_of(other)


@pytest.mark.parametrize("start", [0, 3, -5])
def test_actions_are_counted_from_the_start_of_their_space(start):
    agent, _, log = walked("Discrete", action_start=start)
    plain, _, plain_log = walked("Discrete")
    assert agent.action_values.tobytes() == plain.action_values.tobytes()
    assert log.lengths.tobytes() == plain_log.lengths.tobytes()
    assert agent.act(0) == start + 1
    assert agent.act(np.arange(4)).tolist() == [start + 1] * 4
    assert agent.act(2, explore=True) in (start, start + 1)
    assert set(agent.act(np.arange(4), explore=True).tolist()) <= {start, start + 1}


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("when", ["reset", "step"])
def test_an_observation_outside_its_space_is_the_environments_failure(name, when):
    space, observations = SPACES[name]
    outside = {
        "Discrete": 5,
        "Discrete with a start": 3,
        "MultiDiscrete": np.array([0, 3]),
        "MultiDiscrete with a start": np.array([9, 1]),
        "MultiDiscrete of two dimensions": np.array([[0, 2], [0, 0]]),
        "MultiBinary": np.array([0, 2, 0], np.int8),
        "Tuple": (0, np.array([1])),
        "Dict": {"where": 0, "is_far": np.array([1])},
        "Dict in a Tuple": ({"a": 0, "b": 2}, 0),
        "Box of whole numbers": np.array([0, 2]),
    }[name]
    places = [outside, *observations[1:]] if when == "reset" else [observations[0]] + [outside] * 4
    env = gym.wrappers.TimeLimit(Walk(space, places), max_episode_steps=50)
    with pytest.raises(EnvironmentFailureError, match=r"^Walk: observation [^\n]*outside[^\n]*episode 1, step \d+\)$"):
        agents.QLearning().train(env, episodes=3, seed=0)


@pytest.mark.parametrize("explore", [False, True])
@pytest.mark.parametrize("observation", [-1, 16, "left", None, [0, 99], [-1, 3]])
def test_acting_outside_the_observation_space_is_refused_in_one_line(observation, explore):
    agent = agents.QLearning()
    agent.train("FrozenLake-v1", episodes=2, seed=0)
    with pytest.raises(EnvironmentFailureError, match=r"^[^\n]*outside the observation space[^\n]*$"):
        agent.act(observation, explore=explore)


def test_blackjack_with_its_tuple_observations():
    env = gym.make("Blackjack-v1")
    agent = agents.QLearning(
        learning_rate=policies.Harmonic(clock="visits"), policy=policies.EpsilonGreedy(epsilon=0.3)
    )
    log = agent.train(env, episodes=3000, seed=0)
    assert agent.action_values.shape == (32 * 11 * 2, 2)
    assert log.loop == "generic"
    assert log.success_rule == "return > 0"
    # With 20 or 21 one stays, with 5 to 8 one cannot go bust.
    assert agent.act((20, 5, 0)) == 0
    assert agent.act((np.array([20, 21]), np.array([10, 6]), np.array([0, 0]))).tolist() == [0, 0]


FINITE = st.recursive(
    st.one_of(
        st.builds(spaces.Discrete, st.integers(1, 4), start=st.integers(-3, 3)),
        st.builds(spaces.MultiDiscrete, st.lists(st.integers(1, 3), min_size=1, max_size=2)),
        st.builds(spaces.MultiBinary, st.integers(1, 2)),
        st.builds(lambda low, more: spaces.Box(low, low + more, (2,), np.int8), st.integers(-3, 3), st.integers(0, 2)),
    ),
    lambda parts: st.one_of(
        st.builds(spaces.Tuple, st.lists(parts, min_size=1, max_size=2)),
        st.builds(spaces.Dict, st.dictionaries(st.sampled_from("abc"), parts, min_size=1, max_size=2)),
    ),
    max_leaves=4,
)


def observations_of(space):
    """All of them, in the order in which they are numbered."""
    if isinstance(space, spaces.Discrete):
        return [int(space.start) + number for number in range(int(space.n))]
    if isinstance(space, spaces.Dict):
        parts = [observations_of(part) for part in space.spaces.values()]
        return [dict(zip(space.spaces, values, strict=True)) for values in itertools.product(*parts)]
    if isinstance(space, spaces.Tuple):
        return list(itertools.product(*map(observations_of, space.spaces)))
    if isinstance(space, spaces.MultiBinary):
        values = [[0, 1]] * space.n
    elif isinstance(space, spaces.MultiDiscrete):
        values = [range(number) for number in space.nvec]
    else:
        values = [range(low, high + 1) for low, high in zip(space.low, space.high, strict=True)]
    return [np.array(numbers, dtype=space.dtype) for numbers in itertools.product(*values)]


@settings(max_examples=60, deadline=None)
@given(FINITE)
def test_every_observation_has_one_row_and_every_row_one_observation(space):
    index = index_observations(Walk(space, []), "q_learning")
    observations = observations_of(space)
    assert all(space.contains(observation) for observation in observations)
    assert [index.index(observation) for observation in observations] == list(range(index.num_states))
    assert index.index_batch(stacked_like(space, observations)).tolist() == list(range(index.num_states))
    again = ObservationIndex.from_data(json.loads(json.dumps(dataclasses.asdict(index))))
    assert again == index
    assert not any(index.is_batch(observation) for observation in observations)
    assert index.is_batch(stacked_like(space, observations[:1]))


def stacked_like(space, observations):
    if isinstance(space, spaces.Dict):
        return {
            key: stacked_like(part, [observation[key] for observation in observations])
            for key, part in space.spaces.items()
        }
    if isinstance(space, spaces.Tuple):
        return tuple(
            stacked_like(part, [observation[place] for observation in observations])
            for place, part in enumerate(space.spaces)
        )
    return np.array(observations)


@pytest.mark.parametrize(
    ("observation", "said"),
    [
        ({"where": 1}, "has no 'is_far'"),
        ((1, np.array([0])), "has a tuple where 'is_far' is looked up"),
        ({"where": 4, "is_far": np.array([0])}, "whole numbers from 1 to 3 are allowed"),
        ({"where": 1, "is_far": np.array([0, 1])}, "has shape (2,), but the observation space has (1,)"),
    ],
)
def test_what_is_no_observation_of_a_dict_is_said(observation, said):
    agent, _, _ = walked("Dict")
    with pytest.raises(EnvironmentFailureError) as caught:
        agent.act(observation)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_saved_agent_knows_the_parts_of_its_observations(tmp_path):
    agent, _, _ = walked("Dict")
    agent.save(tmp_path)
    loaded = agents.Agent.load(tmp_path)
    assert [loaded.act(observation) for observation in SPACES["Dict"][1]] == [
        1,
        1,
        1,
        1,
        agent.act(SPACES["Dict"][1][4]),
    ]


REFUSED = {
    "a few numbers": (
        spaces.Box(-1.0, 1.0, (4,)),
        "has a box of 4 numbers: cut them into bins, discretize(Walk, bins=10) or discretized(q_learning, bins=10)",
    ),
    "many numbers": (
        spaces.Box(-1.0, 1.0, (60,)),
        "has a box of 60 numbers: too many for a table of bins, look at a few with discretized(q_learning, bins=4, "
        "dimensions=[0, 1]), or take an agent with a network, dqn",
    ),
    "a picture": (
        spaces.Box(0, 255, (210, 160, 3), np.uint8),
        "has a picture of 210x160x3: a table is too small for pictures, take an agent with a network, neural_bandit "
        "where an episode is one step, sb3('DQN', policy='CnnPolicy')",
    ),
    "a small picture": (
        spaces.Box(0, 255, (7, 7, 3), np.uint8),
        "has a picture of 7x7x3: a table is too small for pictures, take an agent with a network, neural_bandit where "
        "an episode is one step, dqn, or number what it meets, numbered(q_learning)",
    ),
    "whole numbers": (
        spaces.Box(-5, 5, (60,), np.int8),
        "has a box of 60 whole numbers: too many for a table of bins, look at a few with discretized(q_learning, "
        "bins=4, dimensions=[0, 1]), or take an agent with a network, dqn",
    ),
    "an array": (spaces.Box(-1.0, 1.0, (5, 7)), "has an array of 5x7 numbers: too many for a table of bins"),
    "a Dict with a part that fits": (
        spaces.Dict(image=spaces.Box(0, 255, (7, 7, 3), np.uint8), direction=spaces.Discrete(4), text=spaces.Text(3)),
        "has a Dict of 'image', 'direction' and 'text': name the part that it is to see, observation(Walk, "
        "'direction'), or number what it meets, numbered(q_learning)",
    ),
    "a Tuple with parts that fit": (
        spaces.Tuple([spaces.Text(3), spaces.Discrete(4), spaces.MultiBinary(2)]),
        "has a Tuple of 3 parts: name the part that it is to see, observation(Walk, 1) (or 2), or "
        "number what it meets, numbered(q_learning)",
    ),
    "a Dict of numbers": (
        spaces.Dict(speed=spaces.Box(-1.0, 1.0, (2,))),
        "has a Dict of 'speed': name a part and cut it into bins, discretize(observation(Walk, 'speed'), bins=4)",
    ),
    "a Dict of texts": (
        spaces.Dict(a=spaces.Text(3)),
        "has a Dict of 'a': none of its parts fits, take random, or number what it meets, numbered(q_learning)",
    ),
    "Text": (spaces.Text(3), "take random, or number what it meets, numbered(q_learning)"),
    "too many": (
        spaces.MultiDiscrete([1000] * 6),
        "q_learning needs at most 2,147,483,647 observations for its table, but Walk has more, MultiDiscrete([1000 "
        "1000 1000 1000 1000 1000]): take linear_q, which learns a weight for each value of each part, or number "
        "what it meets, numbered(q_learning)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_observations_that_a_table_cannot_take_are_named_with_what_can(name):
    space, said = REFUSED[name]
    with pytest.raises(UnsupportedEnvironmentError) as caught:
        agents.QLearning().train(Walk(space, []), episodes=1, seed=0)
    assert str(caught.value).startswith("q_learning needs a")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (spaces.Box(-1.0, 1.0, (2,)), "cut them into bins, binned_actions(q_learning, bins=5)"),
        (spaces.MultiDiscrete([2, 3]), "MultiDiscrete([2 3]): cut them into bins, binned_actions(q_learning, bins=5)"),
        (spaces.Box(-np.inf, np.inf, (2,)), "without finite limits there are no bins either, take sb3('PPO')"),
        (spaces.Text(3), "of the agents here only random takes these"),
    ],
)
def test_actions_that_a_table_cannot_take_are_named_with_what_can(space, said):
    env = Walk(spaces.Discrete(5), [])
    env.action_space = space
    with pytest.raises(UnsupportedEnvironmentError) as caught:
        agents.QLearning().train(env, episodes=1, seed=0)
    assert str(caught.value).startswith("q_learning needs a Discrete action space, but Walk has ")
    assert str(caught.value).endswith(said)


ANY_SPACE = {
    "Box": spaces.Box(-1.0, 2.0, (2,)),
    "Box without limits": spaces.Box(-np.inf, np.inf, (2, 2)),
    "Box of whole numbers": spaces.Box(-3, 3, (2,), np.int8),
    "MultiDiscrete": spaces.MultiDiscrete([3, 4], start=[1, -1]),
    "MultiBinary": spaces.MultiBinary(3),
    "Tuple": spaces.Tuple([spaces.Discrete(3, start=2), spaces.Box(0.0, 1.0, (1,))]),
    "Dict": spaces.Dict(b=spaces.Discrete(2), a=spaces.Tuple([spaces.MultiBinary(2), spaces.Text(3)])),
    "Text": spaces.Text(4),
    "Sequence": spaces.Sequence(spaces.Discrete(3)),
    "OneOf": spaces.OneOf([spaces.Discrete(2), spaces.Box(0.0, 1.0)]),
    "Graph": spaces.Graph(spaces.Box(0.0, 1.0, (2,)), spaces.Discrete(3)),
}
SAVED_SPACES = [name for name in ANY_SPACE if name not in ("Sequence", "OneOf", "Graph")]


class Anything(gym.Env):
    """Five steps an episode; the actions that were taken are kept."""

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = copy.deepcopy((observation_space, action_space))
        self.taken = []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(0)
        self.length = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        self.taken.append(repr(action))
        self.length += 1
        return self.observation_space.sample(), 1.0, False, self.length == 5, {}


@pytest.mark.parametrize("name", ANY_SPACE)
def test_random_acts_in_every_space(name):
    space = ANY_SPACE[name]
    first, second, other = Anything(space, space), Anything(space, space), Anything(space, space)
    agent = agents.RandomAgent()
    log = agent.train(first, episodes=4, seed=0)
    # Neither the space's own stream nor that of the process is drawn from.
    second.action_space.seed(9)
    np.random.seed(3)  # noqa: NPY002
    agents.RandomAgent().train(second, steps=12, seed=0)
    agents.RandomAgent().train(other, episodes=4, seed=1)
    assert log.steps == 20
    assert second.taken == first.taken[:12]
    assert other.taken != first.taken
    observation = first.observation_space.sample()
    before = copy.deepcopy(agent.acting_generator().bit_generator.state)
    for explore in (False, True):
        assert space.contains(agent.act(observation, explore=explore))
    assert space.contains(agent.decide(observation, {}, first.action_space))
    assert agent.acting_generator().bit_generator.state != before
    assert agent.action_values_of([observation]) is None
    assert agent.action_probabilities([observation]) is None


@pytest.mark.parametrize("name", SAVED_SPACES)
def test_a_loaded_random_agent_goes_on_in_every_space(name, tmp_path):
    space = ANY_SPACE[name]
    whole, parts, agent = Anything(space, space), Anything(space, space), agents.RandomAgent()
    agents.RandomAgent().train(whole, episodes=6, seed=0)
    agent.train(parts, episodes=4, seed=0)
    agent.save(tmp_path)
    loaded, anew = agents.Agent.load(tmp_path), Anything(space, space)
    observation = anew.observation_space.sample()
    assert repr(loaded.act(observation)) == repr(agent.act(observation))
    loaded.resume(anew)
    loaded.train(anew, episodes=2)
    assert parts.taken + anew.taken == whole.taken


def test_random_says_where_it_cannot_be_saved_or_go_on(tmp_path):
    space = ANY_SPACE["OneOf"]
    agent = agents.RandomAgent()
    agent.train(Anything(space, space), episodes=1, seed=0)
    with pytest.raises(
        agents.SavedAgentError, match=r"^random cannot be saved: a space of kind OneOf cannot be saved$"
    ):
        agent.save(tmp_path)
    for other, said in [("Box", "has actions Box("), ("Text", "has actions Text(")]:
        with pytest.raises(UnsupportedEnvironmentError) as caught:
            agent.train(Anything(space, ANY_SPACE[other]), episodes=1, seed=0)
        assert said in str(caught.value)
    with pytest.raises(UnsupportedEnvironmentError, match=r"^random: action_mask is for Discrete actions, but Pend"):
        agents.RandomAgent(action_mask=True).train("Pendulum-v1", episodes=1)


def test_random_is_uniform_between_finite_limits():
    agent = agents.RandomAgent()
    agent.train("Pendulum-v1", episodes=1, seed=0)
    actions = agent.act(np.zeros((4000, 3), dtype=np.float32))
    assert actions.shape == (4000, 1)
    counts, _ = np.histogram(actions, bins=4, range=(-2.0, 2.0))
    assert counts.min() > 900


FINITE_SPACES = {"MultiDiscrete", "MultiBinary", "Box of whole numbers", "Discrete"}
OF_NUMBERS = set(ANY_SPACE) | {"Discrete"}
# The table of docs/reference/spaces.md: agents with the observations, and the actions, that they take.
TAKEN = {
    "random": (OF_NUMBERS, OF_NUMBERS),
    "q_learning": (FINITE_SPACES, {"Discrete"}),
    "discretized(q_learning, bins=3)": ({"Box", "Box of whole numbers"}, {"Discrete"}),
    "numbered(q_learning)": (OF_NUMBERS, {"Discrete"}),
    "neural_bandit(network=mlp)": ({"Box", "Box without limits", "Box of whole numbers", "Discrete"}, {"Discrete"}),
    "binned_actions(q_learning)": (
        FINITE_SPACES,
        {"Box", "Box of whole numbers", "MultiDiscrete", "MultiBinary", "Tuple"},
    ),
}


@pytest.mark.parametrize("expression", TAKEN)
def test_the_table_of_the_docs_says_what_each_agent_takes(expression):
    agent, every = build_agent(expression), ANY_SPACE | {"Discrete": spaces.Discrete(3, start=-1)}
    observed, acted = TAKEN[expression]
    for name, space in every.items():
        one_of_each = ((name in observed, space, every[min(acted)]), (name in acted, every[min(observed)], space))
        for fits, observations, actions in one_of_each:
            env = Anything(observations, actions)
            if fits:
                agent.check_environment(env)
            else:
                with pytest.raises(UnsupportedEnvironmentError, match=r"^[^\n]+$"):
                    agent.check_environment(env)


class Fixed(agents.Agent):
    """Gives what the test wants it to."""

    answer = None

    def act(self, observation, *, explore=False):
        return type(self).answer


@pytest.mark.parametrize(
    ("name", "answer", "said"),
    [
        ("Dict", {"b": 1}, "fixed.act must give a dict with 'b', 'a', got none with 'a'"),
        ("Dict", {"b": 1, "A": 1}, "fixed.act gave 'A', which is no part of the action: did you mean 'a'?"),
        ("Dict", 3, "fixed.act must give a dict with 'b', 'a', got 3"),
        ("Dict", {"b": 2, "a": (np.zeros(2), "a")}, "'b' of fixed.act must give a whole number, 0 to 1, got 2"),
        ("Dict", {"b": 1, "a": (np.zeros(2), 7)}, "part 1 of 'a' of fixed.act must give an action of Text(1, 3, "),
        ("Tuple", (2,), "fixed.act must give a tuple of 2 parts, got (2,)"),
        ("Tuple", (2, [1.5]), "part 1 of fixed.act gave an action outside Box(0.0, 1.0, (1,), float32), [1.5]: clip"),
        ("MultiDiscrete", [0, 0], "fixed.act gave an action outside MultiDiscrete([3 4], start=[ 1 -1]), [0, 0]"),
        ("Text", 5, "fixed.act must give an action of Text(1, 4, "),
    ],
)
def test_what_is_no_action_of_a_space_is_said(name, answer, said):
    Fixed.answer = answer
    with pytest.raises(agents.AgentFailureError) as caught:
        Fixed().train(Anything(ANY_SPACE["Box"], ANY_SPACE[name]), episodes=1, seed=0)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_part_of_an_observation_is_what_a_table_sees():
    whole, part = agents.QLearning(), agents.QLearning()
    env = Walk(*SPACES["Dict"])
    seen = vd.envs.ObservationPart(env, "where")
    part.train(seen, episodes=5, seed=0)
    assert part.action_values.shape == (3, 2)
    assert part.act(2) in (0, 1)
    both = vd.envs.ObservationPart(Walk(*SPACES["Dict"]), ["where", "is_far"])
    whole.train(both, episodes=20, seed=0)
    assert both.observation_space.contains(both.reset(seed=0)[0])
    assert whole.action_values.shape == (6, 2)
    cards = vd.envs.ObservationPart(gym.make("Blackjack-v1"), [2, 0])
    assert cards.observation_space == spaces.Tuple([spaces.Discrete(2), spaces.Discrete(32)])
    assert cards.observation_space.contains(cards.reset(seed=0)[0])
    results = vd.compare(["q_learning", "random"], "observation(Blackjack-v1, 0)", seeds=2, episodes=50, workers=0)
    assert {row["environment"] for row in results.rows()} == {"observation(Blackjack-v1, 0)"}
    assert all(row["greedy_success_rate_mean"] > 0.1 for row in results.rows())


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        (
            "observation(CartPole-v1, 'x')",
            "observation: ObservationPart needs a Dict or Tuple observation space, got Box",
        ),
        (
            "observation(Blackjack-v1, 3)",
            "observation: the observations of Blackjack-v1 have no part 3: it has 0, 1, 2",
        ),
        (
            "observation(Blackjack-v1, [[0]])",
            "observation: the observations of Blackjack-v1 have no part [0]: it has 0",
        ),
        (
            "observation(Blackjack-v1, [0, 0])",
            "observation: part must be one or several different ones of 0, 1, 2, got",
        ),
        ("observation(Blackjack-v1, [])", "observation: part must be one or several different ones of 0, 1, 2, got []"),
        ("observation(Blackjack-v1)", "observation needs 'part': observation(env, part)"),
        ("observatoin(Blackjack-v1, 0)", "unknown wrapper 'observatoin': did you mean 'observation'?"),
        ("observation('Blackjack-v1', 0)", "observation needs an environment without quotes, such as observation(Bl"),
        ("observation(Blackjack-v1, hand)", "observation: part takes a plain value, got the name hand (text needs"),
    ],
)
def test_parts_that_are_not_there_are_said_in_one_line(expression, said):
    with pytest.raises(vd.VelodromeError) as caught:
        vd.run("random", expression, episodes=1)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_the_closest_part_is_named():
    with pytest.raises(ValueError, match=r"^the observations of Walk have no part 'were': did you mean 'where'\?$"):
        vd.envs.ObservationPart(Walk(*SPACES["Dict"]), "were")


def test_an_environment_of_another_size_is_refused_and_changes_nothing():
    agent = agents.QLearning()
    agent.train("FrozenLake-v1", episodes=5, seed=0)
    before = agent.action_values.copy()
    with pytest.raises(UnsupportedEnvironmentError, match=r"^[^\n]*16 states and 4 actions[^\n]*500 and 6$"):
        agent.train("Taxi-v4", episodes=5)
    np.testing.assert_array_equal(agent.action_values, before)
    assert agent.train("FrozenLake-v1", episodes=5).episodes == 5


def test_discretized_cartpole_is_learnt():
    env = envs.Discretize(gym.make("CartPole-v1"), bins=6, low=[-2.4, -2.0, -0.21, -2.0], high=[2.4, 2.0, 0.21, 2.0])
    agent = agents.QLearning(learning_rate=0.2, policy=policies.EpsilonGreedy(epsilon=policies.Linear(1.0, 0.01, 150)))
    log = agent.train(env, episodes=300, seed=0)
    assert log.loop == "generic"
    assert log.returns[-50:].mean() > 2 * log.returns[:50].mean()


def test_the_random_agent_takes_any_observation():
    agent = agents.RandomAgent()
    env = gym.make("CartPole-v1")
    log = agent.train(env, episodes=20, seed=0)
    assert 10 < log.returns.mean() < 40
    observation, _ = env.reset(seed=0)
    assert agent.act(observation) in (0, 1)
    assert agent.act(observation, explore=True) in (0, 1)


def test_the_random_agent_acts_on_a_batch_of_any_observations():
    agent = agents.RandomAgent()
    agent.train("CartPole-v1", episodes=1, seed=0)
    actions = agent.act(np.zeros((500, 4), dtype=np.float32))
    assert actions.shape == (500,)
    assert 150 < actions.sum() < 350


def test_a_loaded_random_agent_still_takes_any_observation(tmp_path):
    agent = agents.RandomAgent()
    agent.train("CartPole-v1", episodes=1, seed=0)
    agent.save(tmp_path)
    loaded = agents.Agent.load(tmp_path)
    assert (
        loaded.train("CartPole-v1", episodes=2, seed=5).returns.tolist()
        == agent.train("CartPole-v1", episodes=2, seed=5).returns.tolist()
    )


# Action masks

MASKED = {
    "q_learning": (agents.QLearning, policies.EpsilonGreedy(epsilon=0.5)),
    "sarsa": (agents.Sarsa, policies.Uniform()),
    "expected_sarsa": (agents.ExpectedSarsa, policies.Softmax(temperature=1.0)),
    "double_q_learning": (agents.DoubleQLearning, policies.RandomNoise(scale=2.0)),
    "n_step_q": (agents.NStepQ, policies.UCB(confidence=5.0)),
    "q_lambda": (agents.QLambda, policies.EpsilonGreedy(epsilon=0.5, ties="first")),
    "dyna_q": (agents.DynaQ, policies.Greedy(ties="random")),
}


def allowed_actions(env):
    return np.array([env.unwrapped.action_mask(state) for state in range(500)], dtype=bool)


@pytest.mark.parametrize("name", MASKED)
def test_a_masked_agent_never_takes_a_forbidden_action_in_either_loop(name, result, differences):
    agent, policy = MASKED[name]
    env, results = gym.make("Taxi-v4"), []
    for loop in ("generic", "compiled"):
        trained = agent(action_mask=True, policy=policy)
        log = trained.train(env, episodes=8, seed=3, loop=loop)
        assert log.loop == loop
        results.append(result(trained, env, log))
        forbidden = ~allowed_actions(env)
        assert trained.visit_counts[forbidden].sum() == 0
        assert trained.visit_counts.sum() == log.steps
        assert np.isfinite(trained.action_values[~forbidden]).all()
        # The destination states end an episode: nothing is chosen there.
        assert allowed_actions(env)[np.arange(500), trained.act(np.arange(500))].all()
    assert differences(*results) == []


def test_without_a_mask_the_forbidden_actions_are_taken():
    env = gym.make("Taxi-v4")
    agent = agents.QLearning()
    agent.train(env, episodes=8, seed=3)
    assert agent.visit_counts[~allowed_actions(env)].sum() > 0


def test_a_masked_agent_keeps_to_the_mask_when_loaded(tmp_path):
    env = gym.make("Taxi-v4")
    agent = agents.QLearning(action_mask=True, policy=policies.Uniform())
    agent.train(env, episodes=2, seed=0)
    agent.save(tmp_path)
    loaded = agents.Agent.load(tmp_path)
    loaded.train(gym.make("Taxi-v4"), episodes=5)
    assert loaded.visit_counts[~allowed_actions(env)].sum() == 0


@pytest.mark.parametrize("loop", ["auto", "generic", "compiled"])
def test_an_environment_without_masks_is_refused_in_one_line(loop):
    with pytest.raises(UnsupportedEnvironmentError, match=r"^[^\n]*action_mask[^\n]*FrozenLake-v1[^\n]*$"):
        agents.QLearning(action_mask=True).train("FrozenLake-v1", episodes=5, seed=0, loop=loop)


class MaskedWalk(Walk):
    """Says in `info` that standing still is not available."""

    def __init__(self):
        super().__init__(*SPACES["MultiDiscrete"])

    def reset(self, *, seed=None, options=None):
        observation, _ = super().reset(seed=seed)
        return observation, {"action_mask": np.array([0, 1], np.int8)}

    def step(self, action):
        observation, reward, terminated, truncated, _ = super().step(action)
        return observation, reward, terminated, truncated, {"action_mask": np.array([0, 1], np.int8)}


@pytest.mark.parametrize("agent", [agents.QLearning, agents.Sarsa, agents.ExpectedSarsa])
def test_masks_that_come_with_each_observation_are_honoured(agent):
    trained = agent(action_mask=True, policy=policies.EpsilonGreedy(epsilon=1.0))
    log = trained.train(MaskedWalk(), episodes=10, seed=0)
    assert log.lengths.tolist() == [4] * 10
    assert trained.visit_counts[:, 0].sum() == 0
