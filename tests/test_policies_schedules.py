"""Schedules: their formulas, their bounds, and how configurations are written and read."""

import json
import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, strategies as st

from velodrome import policies
from velodrome.policies.configuration import from_data, to_data

positive = st.floats(1e-3, 1e3)
fraction = st.floats(0.0, 1.0)
whole = st.integers(1, 1000)
clocks = st.sampled_from(["episode", "step", "visits"])
schedules = st.one_of(
    st.builds(policies.Constant, st.floats(-1e6, 1e6)),
    st.builds(policies.Linear, st.floats(-10, 10), st.floats(-10, 10), whole, clock=clocks),
    st.builds(policies.Exponential, positive, st.floats(1e-3, 1.0), fraction, clock=clocks),
    st.builds(policies.Harmonic, positive, clock=clocks),
    st.builds(policies.SteppedHarmonic, whole, clock=clocks),
    st.builds(policies.Reciprocal, positive, positive, clock=clocks),
)


@given(schedule=schedules, start=st.integers(0, 10_000), length=st.integers(0, 50))
def test_values_are_the_schedule_at_each_index(schedule, start, length):
    values = schedule.values(start, start + length)
    assert values.dtype == np.float64
    assert values.tolist() == [schedule(index) for index in range(start, start + length)]


@given(schedule=schedules, index=st.integers(0, 1_000_000))
def test_no_value_leaves_the_bounds(schedule, index):
    low, high = schedule.bounds()
    assert low <= schedule(index) <= high


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (policies.Constant(0.3), {0: 0.3, 1_000_000: 0.3}),
        (policies.Linear(1.0, 0.0, over=4), {0: 1.0, 1: 0.75, 2: 0.5, 3: 0.25, 4: 0.0, 5: 0.0, 999: 0.0}),
        (policies.Linear(0.25, 0.75, over=2), {0: 0.25, 1: 0.5, 2: 0.75, 3: 0.75}),
        (policies.Exponential(1.0, 0.5, 0.1), {0: 1.0, 1: 0.5, 2: 0.25, 3: 0.125, 4: 0.1, 5000: 0.1}),
        (policies.Harmonic(), {0: 1.0, 1: 1 / 2, 2: 1 / 3, 1999: 1 / 2000}),
        (policies.Harmonic(0.1), {0: 0.1, 1: 0.1 / 2, 9: 0.1 / 10}),
        (policies.SteppedHarmonic(100), {0: 1.0, 99: 1.0, 100: 1 / 2, 250: 1 / 3, 1999: 1 / 20}),
        (policies.Reciprocal(50, 10), {0: 1 / 10, 25: 1 / 10.5, 50: 1 / 11, 1950: 1 / 49}),
        (policies.Reciprocal(10), {0: 1.0, 10: 1 / 2, 15: 1 / 2.5}),
    ],
    ids=str,
)
def test_each_formula_gives_the_hand_computed_values(schedule, expected):
    assert {index: schedule(index) for index in expected} == expected


@pytest.mark.parametrize(
    ("build", "field", "value"),
    [
        (lambda v: policies.Constant(v), "value", math.nan),
        (lambda v: policies.Constant(v), "value", "much"),
        (lambda v: policies.Linear(v, 0.0, over=3), "start", math.inf),
        (lambda v: policies.Linear(0.0, 1.0, over=v), "over", 0),
        (lambda v: policies.Linear(0.0, 1.0, over=v), "over", 2.5),
        (lambda v: policies.Linear(0.0, 1.0, over=3, clock=v), "clock", "hour"),
        (lambda v: policies.Exponential(v, 0.5), "start", -1.0),
        (lambda v: policies.Exponential(1.0, v), "decay", 0.0),
        (lambda v: policies.Exponential(1.0, v), "decay", 1.5),
        (lambda v: policies.Exponential(1.0, 0.5, v), "floor", -0.1),
        (lambda v: policies.Harmonic(v), "scale", -1.0),
        (lambda v: policies.SteppedHarmonic(v), "every", 0),
        (lambda v: policies.SteppedHarmonic(v), "every", True),
        (lambda v: policies.Reciprocal(v), "every", 0.0),
        (lambda v: policies.Reciprocal(10.0, v), "offset", 0.0),
    ],
)
def test_a_parameter_out_of_range_is_refused_in_one_line(build, field, value):
    with pytest.raises(policies.ConfigurationError) as caught:
        build(value)
    message = str(caught.value)
    assert "\n" not in message
    assert field in message
    assert repr(value) in message


@dataclass(frozen=True)
class Sawtooth(policies.Schedule):
    """A user's own schedule, of which nothing is known beforehand."""

    period: int = 4
    clock: str = "step"

    def __call__(self, index):
        return (index % self.period) / self.period


def test_a_schedule_of_ones_own_needs_no_more_than_a_formula():
    assert Sawtooth().values(2, 6).tolist() == [0.5, 0.75, 0.0, 0.25]
    assert Sawtooth().bounds() is None
    assert policies.EpsilonGreedy(epsilon=Sawtooth()).schedule == Sawtooth()


POLICIES = st.one_of(
    st.builds(policies.Greedy, ties=st.sampled_from(["random", "first"])),
    st.builds(policies.EpsilonGreedy, epsilon=fraction, ties=st.sampled_from(["random", "first"])),
    st.builds(policies.EpsilonGreedy, epsilon=st.builds(policies.SteppedHarmonic, whole, clock=clocks)),
    st.builds(policies.RandomNoise, scale=st.builds(policies.Harmonic, positive, clock=clocks)),
    st.builds(policies.Softmax, temperature=positive),
    st.builds(policies.UCB, confidence=positive),
    st.just(policies.Uniform()),
)


@given(policy=POLICIES)
def test_a_policy_survives_its_way_through_json(policy):
    assert from_data(json.loads(json.dumps(to_data(policy))), policies.Policy) == policy


def test_a_policy_is_written_as_the_command_line_spells_it():
    policy = policies.EpsilonGreedy(epsilon=policies.SteppedHarmonic(100), ties="first")
    assert str(policy) == "epsilon_greedy(epsilon=stepped_harmonic(every=100), ties='first')"
    assert str(policies.EpsilonGreedy()) == "epsilon_greedy()"
    assert str(policies.Linear(1.0, 0.1, over=50, clock="step")) == (
        "linear(start=1.0, end=0.1, over=50, clock='step')"
    )


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        ({"name": "epsilon_gredy"}, "did you mean 'epsilon_greedy'?"),
        ({"name": "epsilon_greedy", "epsilom": 0.1}, "did you mean 'epsilon'?"),
        ({"name": "my_policy"}, "import it before loading"),
        ("greedy", "an object with a name"),
        ({}, "an object with a name"),
    ],
)
def test_data_of_no_known_policy_is_refused_with_a_hint(data, hint):
    with pytest.raises(policies.ConfigurationError, match=r"^[^\n]*$") as caught:
        from_data(data, policies.Policy)
    assert hint in str(caught.value)
