"""Laws that every exploration policy obeys, whatever the action values."""

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from velodrome import policies

TIES = ("random", "first")
WITH_PROBABILITIES = [
    policies.Greedy(ties="random"),
    policies.Greedy(ties="first"),
    policies.EpsilonGreedy(epsilon=0.3, ties="random"),
    policies.EpsilonGreedy(epsilon=0.3, ties="first"),
    policies.Softmax(temperature=2.0),
    policies.UCB(confidence=1.5, ties="random"),
    policies.UCB(confidence=1.5, ties="first"),
    policies.Uniform(),
    policies.KLUCB(c=3.0),
    policies.KLUCB(rewards="gaussian", ties="first"),
    policies.BayesUCB(ties="first"),
    policies.BayesUCB(rewards="gaussian"),
    policies.MOSS(horizon=30),
    policies.IMED(),
    policies.IMED(rewards="gaussian", standard_deviation=2.0, ties="first"),
]
WITHOUT_PROBABILITIES = [
    *(policies.RandomNoise(scale=1.0, ties=ties) for ties in TIES),
    policies.ThompsonBeta(),
    policies.ThompsonGaussian(),
    policies.ExploreThenCommit(pulls=3),
]
SYMMETRIC = [policy for policy in WITH_PROBABILITIES if getattr(policy, "ties", "random") == "random"]
IGNORING_THE_LEVEL = [
    policy for policy in WITH_PROBABILITIES if isinstance(policy, policies.EpsilonGreedy | policies.Greedy)
] + [policies.Softmax(temperature=2.0), *(policies.UCB(confidence=1.5, ties=ties) for ties in TIES)]


@st.composite
def rows(draw, max_actions=6):
    """One state's action values, small whole numbers so that ties are common, and its visit counts."""
    num_actions = draw(st.integers(1, max_actions))
    values = draw(st.lists(st.integers(-4, 4), min_size=num_actions, max_size=num_actions))
    counts = draw(st.lists(st.integers(0, 9), min_size=num_actions, max_size=num_actions))
    return np.array(values, dtype=np.float64), np.array(counts, dtype=np.int64)


def generator(seed=0):
    return np.random.Generator(np.random.PCG64(seed))


def parameter_of(policy):
    return policy.schedule(0)


def probabilities_of(policy, values, counts):
    filled = np.full(len(values), np.nan)
    policy.probabilities(values, counts, parameter_of(policy), filled)
    return filled


def frequencies_of(policy, values, counts, num_draws, seed=0):
    rng, select, parameter = generator(seed), policy.select, parameter_of(policy)
    values, counts = values.tolist(), counts.tolist()
    chosen = [select(values, counts, parameter, rng) for _ in range(num_draws)]
    return np.bincount(chosen, minlength=len(values))


def assert_frequencies(observed, expected_probabilities):
    """Within six standard errors (and six draws) of the expected counts; never an action of probability 0."""
    num_draws = observed.sum()
    p = np.asarray(expected_probabilities)
    allowed = 6 * np.sqrt(num_draws * p * (1 - p)) + 6 * (p > 0)
    assert (np.abs(observed - num_draws * p) <= allowed).all(), (observed, num_draws * p)


@pytest.mark.parametrize("policy", WITH_PROBABILITIES + WITHOUT_PROBABILITIES, ids=str)
@given(row=rows(), seed=st.integers(0, 2**32 - 1))
def test_select_gives_an_action_that_exists(policy, row, seed):
    values, counts = row
    action = policy.select(values, counts, parameter_of(policy), generator(seed))
    assert isinstance(action, int)
    assert 0 <= action < len(values)


@pytest.mark.parametrize("policy", WITH_PROBABILITIES, ids=str)
@given(row=rows())
def test_probabilities_are_not_negative_and_sum_to_one(policy, row):
    probabilities = probabilities_of(policy, *row)
    assert (probabilities >= 0).all()
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("policy", WITH_PROBABILITIES, ids=str)
@settings(max_examples=12)
@given(row=rows(max_actions=4))
def test_probabilities_are_the_frequencies_of_select(policy, row):
    assert_frequencies(frequencies_of(policy, *row, num_draws=3000), probabilities_of(policy, *row))


@pytest.mark.parametrize("policy", SYMMETRIC, ids=str)
@given(row=rows(), data=st.data())
def test_renaming_the_actions_renames_their_probabilities(policy, row, data):
    values, counts = row
    order = data.draw(st.permutations(range(len(values))))
    renamed = probabilities_of(policy, values[order], counts[order])
    np.testing.assert_allclose(renamed, probabilities_of(policy, values, counts)[order], atol=1e-14)


@pytest.mark.parametrize("policy", IGNORING_THE_LEVEL, ids=str)
@given(row=rows(), constant=st.integers(-1000, 1000))
def test_a_constant_added_to_all_action_values_changes_nothing(policy, row, constant):
    values, counts = row
    np.testing.assert_allclose(
        probabilities_of(policy, values + constant, counts),
        probabilities_of(policy, values, counts),
        atol=1e-12,
    )


@pytest.mark.parametrize("ties", TIES)
@given(row=rows())
def test_epsilon_zero_is_greedy(ties, row):
    np.testing.assert_array_equal(
        probabilities_of(policies.EpsilonGreedy(epsilon=0.0, ties=ties), *row),
        probabilities_of(policies.Greedy(ties=ties), *row),
    )


@given(row=rows(), seed=st.integers(0, 1000))
def test_epsilon_zero_selects_the_greedy_action(row, seed):
    values, counts = row
    exploring, greedy = policies.EpsilonGreedy(epsilon=0.0, ties="first"), policies.Greedy(ties="first")
    chosen = exploring.select(values, counts, 0.0, generator(seed))
    assert chosen == greedy.select(values, counts, 0.0, generator(seed))


@given(row=rows())
def test_epsilon_one_is_uniform(row):
    np.testing.assert_allclose(
        probabilities_of(policies.EpsilonGreedy(epsilon=1.0), *row),
        probabilities_of(policies.Uniform(), *row),
        atol=1e-15,
    )


@given(row=rows())
def test_softmax_of_temperature_towards_zero_is_greedy(row):
    np.testing.assert_allclose(
        probabilities_of(policies.Softmax(temperature=1e-3), *row),
        probabilities_of(policies.Greedy(ties="random"), *row),
        atol=1e-12,
    )


@given(row=rows())
def test_softmax_of_temperature_towards_infinity_is_uniform(row):
    np.testing.assert_allclose(
        probabilities_of(policies.Softmax(temperature=1e9), *row),
        probabilities_of(policies.Uniform(), *row),
        atol=1e-8,
    )


@pytest.mark.parametrize("values", [[8e307, -8e307], [-8e307, -8e307, 8e307], [0.0, 750.0]])
def test_softmax_survives_action_values_of_any_size(values):
    values, counts = np.array(values), np.zeros(len(values), dtype=np.int64)
    policy = policies.Softmax(temperature=1.0)
    best = int(values.argmax())
    assert probabilities_of(policy, values, counts)[best] == pytest.approx(1.0)
    assert policy.select(values, counts, 1.0, generator()) == best


def test_softmax_of_known_values_is_the_hand_computed_one():
    values, counts = np.array([0.0, math.log(3.0)]), np.zeros(2, dtype=np.int64)
    np.testing.assert_allclose(probabilities_of(policies.Softmax(temperature=1.0), values, counts), [0.25, 0.75])
    half = math.sqrt(3.0)
    np.testing.assert_allclose(
        probabilities_of(policies.Softmax(temperature=2.0), values, counts), [1 / (1 + half), half / (1 + half)]
    )


def test_epsilon_greedy_of_known_values_is_the_hand_computed_one():
    values, counts = np.array([5.0, 7.0, 7.0, 1.0]), np.zeros(4, dtype=np.int64)
    first = probabilities_of(policies.EpsilonGreedy(epsilon=0.2, ties="first"), values, counts)
    np.testing.assert_allclose(first, [0.05, 0.85, 0.05, 0.05])
    random = probabilities_of(policies.EpsilonGreedy(epsilon=0.2, ties="random"), values, counts)
    np.testing.assert_allclose(random, [0.05, 0.45, 0.45, 0.05])


@pytest.mark.parametrize(
    "policy",
    [
        policies.Greedy(ties="random"),
        policies.EpsilonGreedy(epsilon=0.0, ties="random"),
        policies.RandomNoise(scale=0.0, ties="random"),
        policies.UCB(confidence=0.0, ties="random"),
    ],
    ids=str,
)
def test_random_ties_are_uniform(policy):
    values, counts = np.array([2.0, 1.0, 2.0, 2.0, 0.0]), np.full(5, 3, dtype=np.int64)
    observed = frequencies_of(policy, values, counts, num_draws=6000)
    assert_frequencies(observed, [1 / 3, 0, 1 / 3, 1 / 3, 0])


@pytest.mark.parametrize(
    "policy",
    [
        policies.Greedy(ties="first"),
        policies.EpsilonGreedy(epsilon=0.0, ties="first"),
        policies.RandomNoise(scale=0.0, ties="first"),
        policies.UCB(confidence=0.0, ties="first"),
    ],
    ids=str,
)
@given(row=rows())
def test_first_ties_take_the_lowest_index_of_the_best(policy, row):
    values, counts = row
    counts = counts + 1
    action = policy.select(values, counts, parameter_of(policy), generator())
    assert action == values.tolist().index(max(values))


@pytest.mark.parametrize("ties", TIES)
@given(row=rows(), seed=st.integers(0, 1000))
def test_noise_of_scale_zero_is_greedy(ties, row, seed):
    values, counts = row
    action = policies.RandomNoise(scale=0.0, ties=ties).select(values, counts, 0.0, generator(seed))
    assert values[action] == values.max()


def test_noise_of_two_actions_chooses_as_the_normal_distribution_says():
    # P(1 + 0.5 X > 0.4 + 0.5 Y) for independent standard normal X, Y is the normal distribution at 0.6 / (0.5 √2).
    first = 0.5 * (1 + math.erf(0.6 / (0.5 * math.sqrt(2)) / math.sqrt(2)))
    policy = policies.RandomNoise(scale=0.5)
    observed = frequencies_of(policy, np.array([1.0, 0.4]), np.zeros(2, dtype=np.int64), num_draws=8000)
    assert_frequencies(observed, [first, 1 - first])


def test_noise_states_no_probabilities():
    assert policies.RandomNoise().probabilities is None


@given(row=rows())
def test_greedy_draws_one_number_for_a_tie_and_none_without(row):
    values, counts = row
    rng, expected = generator(), generator()
    policies.Greedy(ties="random").select(values, counts, 0.0, rng)
    if (values == values.max()).sum() > 1:
        expected.random()
    assert rng.bit_generator.state == expected.bit_generator.state


@pytest.mark.parametrize("ties", TIES)
@given(row=rows(), seed=st.integers(0, 1000))
def test_ucb_tries_each_untried_action_first(ties, row, seed):
    values, counts = row
    policy, rng = policies.UCB(confidence=0.5, ties=ties), generator(seed)
    untried = {action for action in range(len(values)) if counts[action] == 0}
    for _ in range(len(untried)):
        action = policy.select(values, counts, 0.5, rng)
        assert action in untried
        assert ties == "random" or action == min(untried)
        untried.remove(action)
        counts[action] += 1


@pytest.mark.parametrize(("confidence", "chosen"), [(3.0, 0), (1.0, 1)])
def test_ucb_weighs_value_against_visits(confidence, chosen):
    # ln 4 = 1.386: the bonus of one visit is 1.177, that of three is 0.680.
    values, counts = np.array([1.0, 2.0]), np.array([1, 3])
    assert policies.UCB().select(values, counts, confidence, generator()) == chosen


NUMBERS = [
    (policies.EpsilonGreedy, "epsilon", "[0, 1]", [-0.1, 1.0001, math.nan, math.inf, "0.1", None, True]),
    (policies.RandomNoise, "scale", "[0, inf)", [-1e-9, math.nan, math.inf, "1", None, False]),
    (policies.UCB, "confidence", "[0, inf)", [-1.0, math.nan, math.inf, [1.0]]),
    (policies.Softmax, "temperature", "(0, inf)", [0.0, -1.0, math.nan, math.inf, "hot"]),
]


@pytest.mark.parametrize(
    ("policy", "field", "allowed", "value"),
    [(policy, field, allowed, value) for policy, field, allowed, values in NUMBERS for value in values],
)
def test_a_parameter_out_of_range_is_refused_in_one_line(policy, field, allowed, value):
    with pytest.raises(policies.ConfigurationError) as caught:
        policy(**{field: value})
    message = str(caught.value)
    assert "\n" not in message
    for part in (policy.name, field, allowed, repr(value)):
        assert part in message


@pytest.mark.parametrize(
    ("policy", "field", "schedule", "allowed"),
    [
        (policies.EpsilonGreedy, "epsilon", policies.Linear(2.0, 0.0, over=10), "[0, 1]"),
        (policies.EpsilonGreedy, "epsilon", policies.Exponential(1.5, 0.5), "[0, 1]"),
        (policies.EpsilonGreedy, "epsilon", policies.Reciprocal(every=10, offset=0.5), "[0, 1]"),
        (policies.RandomNoise, "scale", policies.Linear(1.0, -1.0, over=10), "[0, inf)"),
        (policies.UCB, "confidence", policies.Constant(-1.0), "[0, inf)"),
        (policies.Softmax, "temperature", policies.Constant(0.0), "(0, inf)"),
        (policies.Softmax, "temperature", policies.Linear(1.0, 0.0, over=10), "(0, inf)"),
    ],
    ids=str,
)
def test_a_schedule_that_leaves_the_range_is_refused_in_one_line(policy, field, schedule, allowed):
    with pytest.raises(policies.ConfigurationError) as caught:
        policy(**{field: schedule})
    message = str(caught.value)
    assert "\n" not in message
    for part in (policy.name, field, allowed, str(schedule)):
        assert part in message


@pytest.mark.parametrize("value", ["last", "", None, 1])
@pytest.mark.parametrize("policy", [policies.Greedy, policies.EpsilonGreedy, policies.RandomNoise, policies.UCB])
def test_an_unknown_tie_rule_is_refused_in_one_line(policy, value):
    with pytest.raises(policies.ConfigurationError) as caught:
        policy(ties=value)
    assert str(caught.value) == f"{policy.name}: ties must be one of 'random', 'first', got {value!r}"


@pytest.mark.parametrize("policy", WITH_PROBABILITIES + WITHOUT_PROBABILITIES, ids=str)
def test_a_policy_cannot_be_changed_once_built(policy):
    with pytest.raises(AttributeError):
        policy.ties = "first"
