"""TransitionModel: reading P, its traps, and its refusals."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.toy_text.utils import categorical_sample
from hypothesis import given, settings, strategies as st

from velodrome.envs import ModelEnvironment, TransitionModel, TransitionModelError

MODELLED = [
    ("FrozenLake-v1", {}, 100),
    ("FrozenLake-v1", {"is_slippery": False}, 100),
    ("FrozenLake-v1", {"map_name": "8x8"}, 100),
    ("FrozenLake-v1", {"success_rate": 0.8}, 100),
    ("FrozenLake8x8-v1", {}, 200),
    ("Taxi-v4", {}, 200),
    ("Taxi-v4", {"is_rainy": True}, 200),
    ("CliffWalking-v1", {}, None),
    ("CliffWalkingSlippery-v1", {"max_episode_steps": 50}, 50),
    ("FrozenLake-v1", {"max_episode_steps": -1}, None),
    ("velodrome/Chain-v0", {}, 100),
    ("velodrome/DeepSea-v0", {"deterministic": False}, None),
    ("velodrome/GridWorld-v0", {"slip": 0.3}, 500),
    ("velodrome/Garnet-v0", {"terminal_probability": 0.2}, 100),
]


@pytest.mark.parametrize(("identifier", "kwargs", "time_limit"), MODELLED)
def test_arrays_keep_what_P_lists(identifier, kwargs, time_limit):
    env = gym.make(identifier, **kwargs)
    model = TransitionModel.of(env)
    table = env.unwrapped.P
    assert model.time_limit == time_limit
    assert (model.num_states, model.num_actions) == (len(table), len(table[0]))
    pair = 0
    for state in range(model.num_states):
        for action in range(model.num_actions):
            own = slice(model.offsets[pair], model.offsets[pair + 1])
            listed = table[state][action]
            assert model.probabilities[own].tolist() == [p for p, _, _, _ in listed]
            assert model.next_states[own].tolist() == [s for _, s, _, _ in listed]
            assert model.rewards[own].tolist() == [r for _, _, r, _ in listed]
            assert model.terminated[own].tolist() == [bool(t) for _, _, _, t in listed]
            assert model.cumulative[own].tolist() == np.cumsum([p for p, _, _, _ in listed]).tolist()
            assert model.expected_rewards()[pair] == pytest.approx(sum(p * r for p, _, r, _ in listed))
            pair += 1
    assert pair == model.offsets.size - 1
    assert model.initial_distribution.tolist() == list(env.unwrapped.initial_state_distrib)
    assert model.initial_cumulative.tolist() == np.cumsum(env.unwrapped.initial_state_distrib).tolist()


def test_dtypes():
    model = TransitionModel.of(gym.make("FrozenLake-v1"))
    found = [
        (name, str(getattr(model, name).dtype))
        for name in ("offsets", "probabilities", "cumulative", "next_states", "rewards", "terminated")
    ]
    assert found == [
        ("offsets", "int64"),
        ("probabilities", "float64"),
        ("cumulative", "float64"),
        ("next_states", "int32"),
        ("rewards", "float64"),
        ("terminated", "bool"),
    ]


def test_running_sums_of_a_slip_are_not_renormalised():
    model = TransitionModel.of(gym.make("FrozenLake-v1"))
    assert [float(c).hex() for c in model.cumulative[:3]] == [
        "0x1.5555555555556p-2",
        "0x1.5555555555556p-1",
        "0x1.0000000000000p+0",
    ]


def test_taxis_initial_sum_stays_below_one_and_above_it_is_state_0():
    class Highest:
        def random(self):
            return 1.0 - 2.0**-53

    model = TransitionModel.of(gym.make("Taxi-v4"))
    assert model.initial_cumulative[-1] < 1.0 - 2.0**-53
    assert model.initial_distribution[0] == 0.0
    env = ModelEnvironment(model)
    env.np_random = Highest()
    assert env.reset()[0] == 0 == categorical_sample(model.initial_distribution, Highest())


def test_action_mask_only_where_the_environment_has_one():
    env = gym.make("Taxi-v4")
    mask = TransitionModel.of(env).action_mask
    assert mask.dtype == np.bool_
    assert mask.shape == (500, 6)
    assert mask[123].tolist() == env.unwrapped.action_mask(123).astype(bool).tolist()
    assert TransitionModel.of(gym.make("FrozenLake-v1")).action_mask is None


@pytest.mark.parametrize("identifier", ["FrozenLake-v1", "Taxi-v4", "CliffWalking-v1"])
def test_a_table_that_was_edited_is_read_again(identifier):
    env = gym.make(identifier)
    before = TransitionModel.of(env)
    env.unwrapped.P[3][1] = [(0.25, 2, -7.0, True), (0.75, 3, 5.0, False)]
    edited = TransitionModel.of(env)
    pair = 3 * before.num_actions + 1
    assert edited.rewards[edited.offsets[pair] : edited.offsets[pair + 1]].tolist() == [-7.0, 5.0]
    env.unwrapped.P[3][1].pop()
    with pytest.raises(TransitionModelError, match="state 3, action 1"):
        TransitionModel.of(env)
    again = TransitionModel.of(gym.make(identifier))
    for name in ("offsets", "probabilities", "cumulative", "next_states", "rewards", "terminated"):
        assert np.array_equal(getattr(again, name), getattr(before, name))


def test_first_states_and_masks_that_were_edited_are_read_again():
    lake, taxi = gym.make("FrozenLake-v1"), gym.make("Taxi-v4")
    assert TransitionModel.of(lake).initial_distribution[0] == 1.0
    lake.unwrapped.initial_state_distrib[:] = np.eye(16)[6]
    assert TransitionModel.of(lake).initial_distribution[6] == 1.0
    lake.unwrapped.action_mask = lambda state: np.arange(4) <= state
    assert TransitionModel.of(lake).action_mask.sum() == 1 + 2 + 3 + 13 * 4
    assert not TransitionModel.of(taxi).action_mask[20, 2]
    taxi.unwrapped.desc[taxi.unwrapped.desc == b"|"] = b":"
    assert TransitionModel.of(taxi).action_mask[20, 2]


def test_a_model_that_is_written_to_changes_no_other():
    TransitionModel.of(gym.make("FrozenLake-v1")).rewards[:] = 9.0
    assert TransitionModel.of(gym.make("FrozenLake-v1")).rewards.sum() == 3.0


def test_tables_of_what_may_change_are_read_each_time():
    env = gym.make("CliffWalking-v1")
    outcome = [1.0, 36, -1.0, False]
    env.unwrapped.P[0][0] = [outcome]
    assert TransitionModel.of(env).next_states[0] == 36
    outcome[1] = 24
    assert TransitionModel.of(env).next_states[0] == 24
    env.unwrapped.P[0][0] = [(np.ones(2), 24, -1.0, False)]
    with pytest.raises(TransitionModelError, match="state 0, action 0: probability and reward must be numbers"):
        TransitionModel.of(env)


def test_smallest_time_limit_counts_and_can_be_replaced():
    env = gym.wrappers.TimeLimit(gym.make("FrozenLake-v1"), 7)
    model = TransitionModel.of(env)
    assert model.time_limit == 7
    longer = model.with_time_limit(9)
    assert (model.time_limit, longer.time_limit) == (7, 9)
    assert longer.rewards is model.rewards
    with pytest.raises(TransitionModelError, match="time_limit must be None or an integer of at least 1, got 0"):
        model.with_time_limit(0)


class DoubledReward(gym.RewardWrapper):
    def reward(self, reward):
        return 2 * reward


@pytest.mark.parametrize(
    ("env", "words"),
    [
        (lambda: gym.make("Blackjack-v1"), "Blackjack-v1 has no transition model (no attribute P)"),
        (lambda: gym.make("CartPole-v1"), "CartPole-v1 has no transition model (no attribute P)"),
        (lambda: gym.make("Taxi-v4", fickle_passenger=True), "fickle_passenger is not in P"),
        (lambda: DoubledReward(gym.make("FrozenLake-v1")), "wrapper DoubledReward may change it"),
    ],
)
def test_environments_without_a_model(env, words):
    with pytest.raises(TransitionModelError) as caught:
        TransitionModel.of(env())
    assert words in str(caught.value)


def test_spaces_that_do_not_fit_P():
    env = gym.make("FrozenLake-v1")
    env.unwrapped.observation_space = gym.spaces.Discrete(16, start=1)
    with pytest.raises(TransitionModelError, match="observation space must start at 0, got start=1"):
        TransitionModel.of(env)
    env.unwrapped.observation_space = gym.spaces.Discrete(17)
    with pytest.raises(TransitionModelError, match=r"must be Discrete\(16\) as in P, got Discrete\(17\)"):
        TransitionModel.of(env)


def test_environment_without_initial_distribution():
    env = gym.make("FrozenLake-v1")
    del env.unwrapped.initial_state_distrib
    with pytest.raises(TransitionModelError, match="no attribute initial_state_distrib"):
        TransitionModel.of(env)


@st.composite
def tables(draw):
    """Random P with zero probabilities and duplicate next states, pairs of different lengths."""
    num_states, num_actions = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    table = {}
    for state in range(num_states):
        table[state] = {}
        for action in range(num_actions):
            weights = draw(st.lists(st.integers(0, 7), min_size=1, max_size=5).filter(any))
            table[state][action] = [
                (
                    weight / sum(weights),
                    draw(st.integers(0, num_states - 1)),
                    draw(st.integers(-3, 3)),
                    draw(st.booleans()),
                )
                for weight in weights
            ]
    return table


@settings(max_examples=60, deadline=None)
@given(table=tables(), seed=st.integers(0, 2**32 - 1))
def test_a_model_environment_steps_as_gymnasium_samples(table, seed):
    env = ModelEnvironment(TransitionModel.from_outcomes(table, 0))
    reference = np.random.default_rng(seed)
    assert {s: {a: env.P[s][a] for a in env.P[s]} for s in env.P} == table
    state, _ = env.reset(seed=seed)
    assert state == categorical_sample(env.initial_state_distrib, reference)
    for count in range(20):
        action = count % len(table[0])
        listed = table[state][action]
        probability, next_state, reward, terminated = listed[
            categorical_sample([outcome[0] for outcome in listed], reference)
        ]
        assert env.step(action) == (next_state, reward, terminated, False, {"prob": probability})
        state = next_state
    assert env.np_random.bit_generator.state == reference.bit_generator.state
