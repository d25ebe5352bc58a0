"""TransitionModel names the state, the action and the value at fault."""

import numpy as np
import pytest

from velodrome.envs import TransitionModel, TransitionModelError


def bad(outcomes, initial=0):
    with pytest.raises(TransitionModelError) as caught:
        TransitionModel.from_outcomes(outcomes, initial)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def one(*outcomes):
    return [[list(outcomes)], [[(1.0, 1, 0.0, True)]]]


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        (one((0.5, 0, 0.0, False)), "state 0, action 0: probabilities must sum to 1, got 0.5"),
        (one((1.5, 0, 0.0, False), (-0.5, 0, 0.0, False)), "probability must be 0 or more, got -0.5"),
        (one((float("nan"), 0, 0.0, False)), "probability must be 0 or more, got nan"),
        (one((1.0, 2, 0.0, False)), "state 0, action 0: next state must be 0 to 1, got 2"),
        (one((1.0, -1, 0.0, False)), "next state must be 0 to 1, got -1"),
        (one((1.0, 2**32, 0.0, False)), "next state must be 0 to 1, got 4294967296"),
        (one((1.0, 0.5, 0.0, False)), "next state must be an integer, got 0.5"),
        (one((1.0, 0, float("inf"), False)), "reward must be a finite number, got inf"),
        (one((1.0, 0, "much", False)), "probability and reward must be numbers"),
        (one((1.0, 0, 0.0, "no")), "terminated must be True or False, got 'no'"),
        (one((1.0, 0, 0.0)), "an outcome is (probability, next_state, reward, terminated)"),
        (one(), "state 0, action 0 has no outcome, at least one is needed"),
        ([[[(1.0, 0, 0.0, False)]], [[(1.0, 0, 0.0, False)]] * 2], "same number of actions"),
        ({0: {0: [(1.0, 0, 0.0, True)]}, 2: {0: [(1.0, 0, 0.0, True)]}}, "P lacks state 1"),
        ([], "P has no state"),
        ([[]], "P[0] has no action"),
        (5, "P must be a dict or a list, got int"),
        ([[3]], "outcomes must be a list, got int"),
    ],
)
def test_bad_outcomes_say_where(outcomes, words):
    assert words in bad(outcomes)


@pytest.mark.parametrize(
    ("initial", "words"),
    [
        ([1.0], "initial_distribution must have 2 entries, one a state, got 1"),
        ([0.5, 0.4], "initial_distribution must sum to 1, got 0.9"),
        ([1.5, -0.5], "initial_distribution of state 1 must be 0 or more, got -0.5"),
        (2, "initial state must be 0 to 1, got 2"),
        ("start", "initial_distribution must be numbers, got 'start'"),
    ],
)
def test_bad_initial_distributions(initial, words):
    assert words in bad(one((1.0, 0, 0.0, False)), initial)


def arrays(**changes):
    given = {
        "probabilities": np.ones((2, 1)),
        "next_states": np.zeros((2, 1), dtype=int),
        "rewards": np.zeros((2, 1)),
        "terminated": np.zeros((2, 1), dtype=bool),
        "initial_distribution": 0,
    }
    return TransitionModel.from_arrays(2, 1, **(given | changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"next_states": np.zeros(2)}, "next_states must be integers, got an array of float64"),
        ({"next_states": np.array([0, 2**32])}, "next state must be 0 to 1, got 4294967296"),
        ({"terminated": [0, 2]}, "terminated must be True or False"),
        ({"rewards": np.zeros(3)}, "rewards must have 2 entries, one an outcome, got 3"),
        ({"success": np.zeros(3, dtype=bool)}, "success must have 2 entries, one an outcome, got 3"),
        ({"offsets": [0, 2]}, "offsets must have 3 entries, got 2"),
        ({"offsets": [0, 1, 1]}, "offsets must run from 0 to 2, got 0 to 1"),
        ({"offsets": [0, 2, 2]}, "state 1, action 0 has no outcome"),
        ({"time_limit": -1}, "time_limit must be None or an integer of at least 1, got -1"),
    ],
)
def test_bad_arrays(changes, words):
    assert arrays().num_outcomes == 2
    with pytest.raises(TransitionModelError) as caught:
        arrays(**changes)
    assert words in str(caught.value)
