"""A tabular agent that gives a row to each observation that it meets."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, strategies as st

import velodrome as vd
from velodrome.agents import Agent, BinnedActions, Discretized, Numbered, QLearning, SimpleCNN
from velodrome.agents.errors import EnvironmentFailureError
from velodrome.agents.resuming.environment_streams import environment_streams, restore_environment_streams
from velodrome.agents.resuming.saving import SavedAgentError, read_agent, write_agent
from velodrome.agents.tabular.numbered import digest_of
from velodrome.policies import ConfigurationError, EpsilonGreedy


class Room(gym.Env):
    """A 3x3 room, seen as a picture, a text and a number; the goal is in the corner."""

    observation_space = spaces.Dict(
        picture=spaces.Box(0, 255, (3, 3), np.uint8), text=spaces.Text(20), steps=spaces.Box(-1.0, 1.0, ())
    )
    action_space = spaces.Discrete(4)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = int(self.np_random.integers(8))
        return self.seen(), {}

    def step(self, action):
        row, column = divmod(self.place, 3)
        row, column = row + (0, 1, 0, -1)[action], column + (1, 0, -1, 0)[action]
        if 0 <= row < 3 and 0 <= column < 3:
            self.place = 3 * row + column
        return self.seen(), float(self.place == 8), self.place == 8, False, {}

    def seen(self):
        picture = np.zeros((3, 3), dtype=np.uint8)
        picture.flat[self.place] = 255
        return {"picture": picture, "text": "find the corner", "steps": np.float32(0.0)}


def room():
    return gym.wrappers.TimeLimit(Room(), max_episode_steps=30)


def learner():
    return QLearning(discount=0.9, learning_rate=0.5, policy=EpsilonGreedy(0.3, ties="first"))


def test_it_learns_from_what_it_sees_and_needs_no_more_rows_than_that():
    agent = Numbered(learner(), limit=20)
    log = agent.train(room(), episodes=300, seed=0)
    assert len(log.notes) == 1
    assert agent.action_values.shape == (21, 4)
    assert agent.num_met == 9
    place = room()
    observation, _ = place.reset(seed=3)
    terminated, steps = False, 0
    while not terminated and steps < 4:
        observation, _, terminated, _, _ = place.step(agent.act(observation))
        steps += 1
    assert terminated
    assert agent.action_values_of([observation]).shape == (1, 4)
    assert agent.action_probabilities([observation, observation]).shape == (2, 4)


def test_what_was_never_met_shares_the_last_row_and_is_given_none_by_acting():
    agent = Numbered(learner(), limit=3)
    log = agent.train(room(), episodes=30, seed=0)
    assert agent.num_met == 3
    assert "met more than 3 different observations: all later ones share a row" in log.notes
    unseen = {"picture": np.full((3, 3), 7, np.uint8), "text": "", "steps": 0.0}
    before = agent.action_values.copy()
    assert agent.act(unseen) == int(np.argmax(before[3]))
    assert agent.num_met == 3


def test_it_does_in_a_numbered_world_what_the_table_does(learnt):
    plain, numbered = learner(), Numbered(learner(), limit=16)
    log = plain.train("FrozenLake-v1", episodes=60, seed=0, loop="generic")
    same = numbered.train("FrozenLake-v1", episodes=60, seed=0)
    assert np.array_equal(log.returns, same.returns)
    assert np.array_equal(log.lengths, same.lengths)
    met = [numbered._number_of(state) for state in range(16)]
    known = [state for state in range(16) if met[state] < 16]
    assert np.array_equal(numbered.action_values[[met[state] for state in known]], plain.action_values[known])
    assert [numbered.act(state) for state in known] == [plain.act(state) for state in known]


def test_a_loaded_agent_goes_on_as_if_nothing_had_happened(tmp_path):
    undisturbed = Numbered(learner(), limit=6)
    log = undisturbed.train(room(), episodes=40, seed=2)
    agent, env = Numbered(learner(), limit=6), room()
    first = agent.train(env, episodes=3, seed=2)
    agent.save(tmp_path)
    resumed, anew = Numbered.load(tmp_path), room()
    restore_environment_streams(anew, environment_streams(env))
    resumed.resume(anew)
    later = resumed.train(anew, episodes=37)
    assert np.array_equal(log.returns, (first + later).returns)
    assert np.array_equal(log.lengths, (first + later).lengths)
    assert np.array_equal(resumed.action_values, undisturbed.action_values)
    assert resumed._numbers == undisturbed._numbers


def test_it_stands_in_comparisons_and_under_binned_actions():
    results = vd.compare(
        {"numbered": "numbered(q_learning, limit=100)", "chance": "random"},
        {"room": room},
        seeds=2,
        episodes=150,
        workers=0,
        evaluation_episodes=20,
    )
    returns = {row["agent"]: row["greedy_return_mean"] for row in results.rows()}
    assert returns["numbered"] > returns["chance"]
    along = vd.run("numbered(q_learning)", "FrozenLake-v1(is_slippery=False)", episodes=50, seed=0, evaluate_every=25)
    assert along.evaluation.method == "exact"
    agent = BinnedActions(Numbered(learner(), limit=50), bins=2)
    agent.train("Pendulum-v1", episodes=1, seed=0)
    assert agent.action_values.shape == (51, 2)
    assert agent.act(np.zeros(3, np.float32)).shape == (1,)


PARTS = st.recursive(
    st.one_of(st.integers(-(2**40), 2**40), st.text(max_size=3), st.floats(allow_nan=False, allow_infinity=False)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple), st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)


@given(PARTS, PARTS)
def test_observations_have_one_digest_where_they_are_equal(one, other):
    def kinds(part):
        if isinstance(part, dict):
            return {key: kinds(value) for key, value in part.items()}
        return tuple(map(kinds, part)) if isinstance(part, tuple) else (type(part), part)

    assert (digest_of(one) == digest_of(other)) == (kinds(one) == kinds(other))


def test_forms_of_the_same_numbers_are_one_observation():
    same = [(3, "a"), (np.int64(3), "a"), (np.array(3, np.uint8), "a"), [np.int32(3), "a"]]
    assert len({digest_of(observation) for observation in same}) == 1
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert digest_of(np.float32(0.0)) == digest_of(-0.0)
    different = [np.zeros(4, int), np.zeros((2, 2), int), np.zeros(4), (0, 0, 0, 0), "0000", ("ab", "c"), ("a", "bc")]
    assert len({digest_of(observation) for observation in different}) == len(different)
    with pytest.raises(EnvironmentFailureError, match=r"^observation None holds neither numbers nor text$"):
        digest_of(None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Numbered(SimpleCNN()), "numbered: agent must be a tabular agent, got simple_cnn"),
        (lambda: Numbered(Discretized()), "numbered: agent must be a tabular agent, got discretized("),
        (lambda: Numbered(QLearning(action_mask=True)), "numbered: agent must learn without action masks, got q_lea"),
        (lambda: Numbered(limit=0), "numbered: limit must be a whole number of at least 1 and at most 10000000, got 0"),
    ],
)
def test_parameters_that_cannot_be_are_refused(make, message):
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_actions_that_are_not_discrete_are_refused():
    with pytest.raises(vd.VelodromeError, match=r"^numbered needs a Discrete action space, but Pendulum-v1 has Box"):
        Numbered().train("Pendulum-v1", episodes=1)


def test_a_saved_agent_that_does_not_fit_together_is_refused(tmp_path):
    agent = Numbered(learner(), limit=20)
    agent.train(room(), episodes=2, seed=0)
    entries, arrays = agent.state()
    with pytest.raises(ValueError, match=r"^array met_observations has shape"):
        Numbered(learner(), limit=20).set_state(entries, arrays | {"met_observations": np.zeros((30, 16), np.uint8)})
    agent.save(tmp_path)
    with pytest.raises(SavedAgentError, match="holds a numbered agent, not q_learning"):
        QLearning.load(tmp_path)
    assert isinstance(Agent.load(tmp_path), Numbered)


# Entries that writing an agent adds.
ADDED = ("format", "version", "sha256", "manifest_sha256")


def corner(observation):
    return bool(observation["picture"][2, 2]), int(observation["picture"].argmax())


def failing(observation):
    raise KeyError("corner")


def test_features_are_numbered_instead_of_what_is_seen(tmp_path):
    plain, seen = Numbered(learner(), limit=20), Numbered(learner(), limit=20, features=corner)
    for agent in (plain, seen):
        agent.train(room(), episodes=50, seed=0)
    assert np.array_equal(plain.action_values, seen.action_values)
    assert str(seen).endswith("limit=20, features='test_agents_numbered:corner')")
    seen.save(tmp_path / "seen")
    again = Agent.load(tmp_path / "seen")
    observation, _ = room().reset(seed=1)
    assert again.act(observation) == seen.act(observation)
    assert list(seen.named_code()) == ["features=test_agents_numbered:corner"]
    for agent in (seen, again):
        agent.train(room(), episodes=20)
    assert np.array_equal(again.action_values, seen.action_values)


def test_features_of_our_environments_are_loaded_and_none_of_others(tmp_path):
    agent = Numbered(features="velodrome.envs:ball_from_paddle")
    agent.train(gym.make("velodrome/Bricks-v0"), steps=300, seed=0)
    assert 10 < agent.num_met < 200
    agent.save(tmp_path)
    assert Agent.load(tmp_path).num_met == agent.num_met
    entries, arrays = read_agent(tmp_path)
    for name in ("os:getcwd", "velodrome.envs:make.importlib.import_module", "velodrome.envs:__getattr__"):
        entries["agent"]["features"] = name
        write_agent(tmp_path / "forged", {key: value for key, value in entries.items() if key not in ADDED}, arrays)
        with pytest.raises(SavedAgentError) as caught:
            Agent.load(tmp_path / "forged")
        assert f"{name} is no function or class of your own" in str(caught.value) or "has no" in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        (
            "test_agents_numbered:cornr",
            "numbered: module 'test_agents_numbered' has no 'cornr': did you mean 'corner'?",
        ),
        ("test_agents_numbered:np.pi", "features=test_agents_numbered:np.pi must be a function, got 3.14"),
        (failing, "features=test_agents_numbered:failing on observation {'picture': "),
        ("corner", "features must be a function, or a name such as 'my_features:corner', got 'corner'"),
        (3, "features must be a function, or a name such as 'my_features:corner', got 3"),
    ],
)
def test_features_that_are_none_are_refused_in_one_line(features, reason):
    with pytest.raises((ConfigurationError, EnvironmentFailureError)) as caught:
        Numbered(learner(), features=features).train(room(), episodes=1)
    assert reason in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
