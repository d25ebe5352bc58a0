"""`describe`: facts and measures of hardness, against what is computed by hand."""

import dataclasses
import json
import math

import gymnasium as gym
import numpy as np
import pytest

import velodrome as vd
from velodrome.agents.planning import Gaps, diameter, gaps_of, hardness
from velodrome.checks import ConfigurationError
from velodrome.envs import TransitionModel
from velodrome.experiments.cli.application import main

STAY, GO = 0, 1


def model_of(outcomes, **options):
    return TransitionModel.from_outcomes(outcomes, 0, **options)


def corridor(**options):
    """Three places; GO leads on and pays 1, 2 and 4, and from the last it ends the episode; STAY stays and pays 0."""
    stay = [[(1.0, place, 0.0, False)] for place in range(3)]
    go = [[(1.0, min(place + 1, 2), float(2**place), place == 2)] for place in range(3)]
    return model_of([list(pair) for pair in zip(stay, go, strict=True)], **options)


def two_places(there, back):
    return model_of(
        [
            [[(1.0, 0, 0.0, False)], [(there, 1, 0.0, False), (1.0 - there, 0, 0.0, False)]],
            [[(1.0, 1, 0.0, False)], [(back, 0, 0.0, False), (1.0 - back, 1, 0.0, False)]],
        ]
    )


def test_the_diameter_is_the_longest_of_the_shortest_expected_ways():
    # A geometric number of tries: 1 / (1/4) there, 1 / (1/2) back.
    assert diameter(two_places(0.25, 0.5)) == pytest.approx(4.0, rel=1e-12)
    assert diameter(two_places(0.25, 0.0)) == math.inf


def test_an_episode_that_ends_goes_on_where_episodes_start():
    # From place 1 to 0: on to 2, and by the end to 0. From 2 to 1: by the end to 0, and on.
    assert diameter(corridor()) == pytest.approx(2.0, rel=1e-12)
    # Within two steps place 2 is never acted in, and the second step leads to 0.
    assert diameter(corridor(time_limit=2)) == pytest.approx(1.0, rel=1e-12)
    # With three it is, at the third step only: from 1 to 2 at once, and 2 to 1 by the end and a step.
    assert diameter(corridor(time_limit=3)) == pytest.approx(2.0, rel=1e-12)


def test_the_diameter_of_the_river_is_the_way_up():
    model = TransitionModel.of(gym.make("velodrome/RiverSwim-v0")).with_time_limit(None)
    # To the last place by swimming right everywhere: T = 1 + P T.
    right = np.zeros((5, 6))
    right[0, :2] = 0.4, 0.6
    for place in range(1, 5):
        right[place, place - 1 : place + 2] = 0.05, 0.6, 0.35
    times = np.linalg.solve(np.eye(5) - right[:, :5], np.ones(5))
    assert diameter(model) == pytest.approx(times[0], rel=1e-12)
    assert times[0] == pytest.approx(14.7223379, abs=1e-7)


def test_the_time_limit_counts_the_best_moment_of_a_state():
    # Half the tries go on; the fourth step leads back. To place 2 from 0: T = 4 (1 - p) + (steps within p), p = 11/16
    # of arriving by the third step, in which one acts in it: computed from its three steps below.
    half = [[(0.5, place, 0.0, False), (0.5, min(place + 1, 2), 0.0, False)] for place in range(3)]
    model = model_of([[pair] for pair in half], time_limit=4)
    arrives = {2: 1 / 4, 3: 1 / 4}
    missed = 1.0 - sum(arrives.values())
    from_start = (sum(step * chance for step, chance in arrives.items()) + 4 * missed) / (1.0 - missed)
    # From place 1, at best after one step: at 2 or 3 by halves, or else once more from the start.
    from_one = 1 / 2 * 1 + 1 / 4 * 2 + 1 / 4 * (3 + from_start)
    assert diameter(model) == pytest.approx(max(from_start, from_one), rel=1e-10)


def test_gaps_within_a_time_limit_are_those_of_every_step():
    # With two steps left GO is worth 1 + 2 at place 0, STAY 0 + 1; with one left 1 against 0 there, 2 against 0 at 1.
    found = gaps_of(corridor(time_limit=2))
    assert found == Gaps(1.0, 0.0, 1.0, 1 / 2 + 1 / 1 + 1 / 2, 0.5)


def test_without_a_limit_values_are_discounted_only_where_they_do_not_settle():
    # V = 7, 6, 4, and staying is worth as much: no action is worse.
    assert gaps_of(corridor()) == Gaps(1.0, 0.0, None, 0.0, 1.0)
    # V = 1 + 1 + 1, 2 + 2, 4; staying is worth half.
    found = gaps_of(corridor(), 0.5)
    assert found == Gaps(0.5, 0.0, 1.5, 1 / 1.5 + 1 / 2 + 1 / 2, 0.5)
    for_ever = model_of([[[(1.0, 0, 1.0, False)], [(1.0, 0, 0.0, False)]]])
    found = gaps_of(for_ever)
    assert found.discount == 0.99
    assert found.smallest_gap == pytest.approx(1.0)


def test_the_value_norm_is_the_deviation_of_the_next_value():
    # With chance 1/4 to a place worth 8, or else to one worth 4: 4 √(1/4 · 3/4).
    end = [[(1.0, 0, 8.0, True)]], [[(1.0, 0, 4.0, True)]]
    model = model_of([[[(0.25, 1, 0.0, False), (0.75, 2, 0.0, False)]], *end])
    assert gaps_of(model).value_norm == pytest.approx(4.0 * math.sqrt(3.0) / 4.0)
    # An end is worth 0: with chance 1/2 to one, or to the place worth 4.
    model = model_of([[[(0.5, 0, 9.0, True), (0.5, 1, 0.0, False)]], end[1]])
    assert gaps_of(model).value_norm == pytest.approx(2.0)


def test_deep_sea_is_as_deep_as_its_treasure_is_rare():
    found = vd.describe("velodrome/DeepSea-v0(size=6)")
    assert (found.states, found.reachable_states, found.is_deterministic) == (36, 21, True)
    assert found.best_return == pytest.approx(0.99)
    assert found.worst_return == pytest.approx(-0.01 * 5 / 6)
    assert found.random_success_rate == pytest.approx(2.0**-6)
    assert found.random_steps_to_success == pytest.approx(6 * 2.0**6)
    # From the corner of the bottom row, by the end, to the bottom row's other cells.
    assert found.diameter == pytest.approx(1 + 5 + 4)


def test_a_bandit_has_arms_and_the_bound_of_lai_and_robbins():
    found = vd.describe("velodrome/BernoulliBandit-v0(probabilities=[0.2, 0.5, 0.9, 0.0])")
    assert found.arms == (0.2, 0.5, 0.9, 0.0)
    assert found.smallest_gap == pytest.approx(0.4)
    assert found.sum_of_reciprocal_gaps == pytest.approx(1 / 0.7 + 1 / 0.4 + 1 / 0.9)
    divergences = [
        0.2 * math.log(0.2 / 0.9) + 0.8 * math.log(0.8 / 0.1),
        0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1),
        math.log(1.0 / 0.1),
    ]
    bound = sum(gap / divergence for gap, divergence in zip((0.7, 0.4, 0.9), divergences, strict=True))
    assert found.lai_robbins == pytest.approx(bound)


def test_what_has_no_model_says_so():
    found = vd.describe(gym.make("CartPole-v1"))
    assert (found.time_limit, found.states, found.diameter) == (500, None, None)
    assert len(found.notes) == 1
    assert "no transition model" in found.notes[0]
    assert "CartPole-v1" in str(found)


def test_a_model_that_is_too_large_keeps_its_other_numbers(monkeypatch):
    monkeypatch.setattr(hardness, "MAX_TARGETS", 3)
    monkeypatch.setattr(hardness, "MAX_OPERATIONS", 1000)
    found = vd.describe("velodrome/RiverSwim-v0")
    assert found.diameter is None
    assert found.best_return == pytest.approx(3.3973, abs=1e-4)
    assert any("6 reachable states x 20 steps x 22 outcomes" in note for note in found.notes)
    found = vd.describe("velodrome/DeepSea-v0(size=5)")
    assert any("15 states are reachable, more than 3" in note for note in found.notes)


def test_the_command_prints_what_the_function_knows(capsys):
    assert main(["describe", "velodrome/DeepSea-v0(size=3)"]) == 0
    out = capsys.readouterr().out
    assert "9, of which 6 can be reached" in out
    assert main(["describe", "velodrome/DeepSea-v0(size=3)", "--json"]) == 0
    known = json.loads(capsys.readouterr().out)
    found = vd.describe("velodrome/DeepSea-v0(size=3)")
    assert set(known) == {field.name for field in dataclasses.fields(found)}
    assert known["diameter"] == found.diameter


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["FrozenLak-v1"], "did you mean 'FrozenLake-v1'?"),
        (["FrozenLake-v1", "--discount", "2"], "discount must be a number in [0, 1], got 2.0"),
        (["FrozenLake-v1", "--success", "retrun > 0"], "retrun"),
        (["q_learning"], "q_learning"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys):
    assert main(["describe", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_a_discount_out_of_range_is_refused():
    with pytest.raises(ConfigurationError, match=r"discount must be a number in \[0, 1\], got -1"):
        gaps_of(corridor(), -1)
