"""Differences, permutation tests, letters and the probability of improvement."""

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from velodrome.experiments import statistics
from velodrome.experiments.statistics import StatisticsError
from velodrome.experiments.statistics.common_seeds import on_common_seeds, seed_tables
from velodrome.experiments.statistics.max_t import max_t_test
from velodrome.experiments.statistics.permutation_tests import differences_by_seed
from velodrome.experiments.statistics.scores import random_stream

RNG = np.random.Generator(np.random.PCG64(3))
FIRST, SECOND = RNG.normal(0.5, 1, 9), RNG.normal(0, 1, 9)
small_scores = st.lists(st.integers(-3, 3).map(float), min_size=2, max_size=8)


def test_an_exact_paired_test_is_scipys():
    found = statistics.paired_permutation_test(FIRST, SECOND)
    theirs = stats.permutation_test(
        (FIRST, SECOND), lambda one, other: np.mean(one - other), permutation_type="samples", n_resamples=np.inf
    )  # fmt: skip
    assert found.exact
    assert found.num_permutations == 2**8
    assert found.p_value == pytest.approx(theirs.pvalue)
    assert found.statistic == pytest.approx(theirs.statistic)


def test_a_random_paired_test_nears_the_exact_one():
    exact = statistics.paired_permutation_test(FIRST, SECOND).p_value
    random = statistics.paired_permutation_test(FIRST, SECOND, num_permutations=200)
    assert not random.exact
    assert random.p_value == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 200))
    far = statistics.paired_permutation_test(np.arange(40) + 100.0, np.arange(40.0), num_permutations=99)
    assert far.p_value == 1 / 100


def test_an_exact_unpaired_test_is_scipys():
    first, second = FIRST[:6], SECOND[:5] - 0.5
    found = statistics.unpaired_permutation_test(first, second)
    theirs = stats.permutation_test(
        (first, second), lambda one, other: stats.ttest_ind(one, other, equal_var=False).statistic,
        permutation_type="independent", n_resamples=np.inf,
    )  # fmt: skip
    # SciPy doubles the smaller tail; absolute values weigh both.
    both = np.mean(np.abs(theirs.null_distribution) >= abs(theirs.statistic) - 1e-9)
    assert found.exact
    assert found.p_value == pytest.approx(both)
    random = statistics.unpaired_permutation_test(first, second, num_permutations=400)
    assert random.p_value == pytest.approx(both, abs=4 * math.sqrt(both * (1 - both) / 400))


def test_constant_scores_differ_only_if_they_do():
    zeros, ones = [0.0] * 8, [1.0] * 8
    for test in (statistics.paired_permutation_test, statistics.unpaired_permutation_test):
        assert test(zeros, zeros).p_value == 1.0
        assert test(ones, zeros).p_value < 0.01
        # The same scores, added up in another order.
        assert test(np.array(ones) * 0.3, np.full(8, 0.1 + 0.2)).p_value == 1.0
    same = statistics.paired_difference(zeros, zeros)
    assert (same.estimate, same.interval.low, same.interval.high) == (0.0, 0.0, 0.0)
    step = statistics.paired_difference([0.3, 0.2], [0.2, 0.1])
    assert step.interval.width == 0
    assert statistics.unpaired_difference(ones, zeros).interval.width == 0


@given(small_scores, st.randoms(use_true_random=False))
def test_a_test_does_not_care_who_comes_first(values, random):
    other = random.sample(values, len(values))
    for test in (statistics.paired_permutation_test, statistics.unpaired_permutation_test):
        one, two = test(values, other), test(other, values)
        assert one.p_value == two.p_value
        assert 0 < one.p_value <= 1


def test_p_values_are_not_too_small_where_nothing_differs():
    rng = np.random.Generator(np.random.PCG64(0))
    for test, size in ((statistics.paired_permutation_test, 7), (statistics.unpaired_permutation_test, 5)):
        p_values = [test(rng.exponential(size=size), rng.exponential(size=size)).p_value for _ in range(600)]
        for level in (0.05, 0.2, 0.5):
            share = np.mean(np.array(p_values) <= level)
            # At most the level (three standard errors), and not far below it: the tests can reject.
            assert level / 2 < share < level + 3 * math.sqrt(level * (1 - level) / 600)


def test_several_environments_are_tested_together():
    first, second = [FIRST, SECOND + 3], [FIRST - 1, SECOND]
    assert statistics.paired_permutation_test(first, second).p_value < 1e-4 + 2**-17
    assert statistics.unpaired_permutation_test(first, second).p_value < 0.05
    found = statistics.paired_difference(first, second)
    assert found.estimate == pytest.approx(2.0)
    assert found.interval.width == pytest.approx(0.0, abs=1e-9)


def test_differences_have_welchs_interval_or_that_of_the_pairs():
    theirs = stats.ttest_ind(FIRST, SECOND[:6], equal_var=False).confidence_interval()
    found = statistics.unpaired_difference(FIRST, SECOND[:6])
    assert (found.interval.low, found.interval.high) == pytest.approx((theirs.low, theirs.high))
    paired = statistics.paired_difference(FIRST, SECOND)
    assert paired.estimate == pytest.approx((FIRST - SECOND).mean())
    assert paired.interval == statistics.sign_flip_interval(FIRST - SECOND)
    # A common part of each seed is no part of a paired difference.
    common = RNG.normal(0, 50, 9)
    noisy = statistics.paired_difference(FIRST + common, SECOND + common)
    assert noisy.interval.width == pytest.approx(paired.interval.width, rel=1e-6)


@pytest.mark.slow
def test_holm_is_that_of_statsmodels_to_the_last_bit():
    rng = np.random.default_rng(0)
    for size in (1, 2, 3, 5, 8, 21, 59):
        p_values = rng.random(size).round(size % 4 + 1).tolist()
        assert statistics.holm(p_values).tolist() == multipletests(p_values, method="holm")[1].tolist()


def test_holm():
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.6, 0.9]) == pytest.approx([1.0, 1.0])
    assert len(statistics.holm([])) == 0


def test_letters_by_piephos_rules():
    def letters(size, *different):
        matrix = np.zeros((size, size), dtype=bool)
        for one, other in different:
            matrix[one, other] = matrix[other, one] = True
        return statistics.compact_letters(matrix)

    assert letters(0) == []
    assert letters(1) == ["a"]
    assert letters(3) == ["a", "a", "a"]
    assert letters(3, (0, 2)) == ["a", "ab", "b"]
    assert letters(3, (0, 1), (0, 2), (1, 2)) == ["a", "b", "c"]
    assert letters(4, (0, 2), (0, 3), (1, 3)) == ["a", "ab", "bc", "c"]
    # The second best alone differs from the worst.
    assert letters(3, (1, 2)) == ["ab", "a", "b"]


@given(st.integers(1, 7), st.data())
def test_letters_are_shared_exactly_by_those_that_do_not_differ(size, data):
    different = np.zeros((size, size), dtype=bool)
    for one, other in combinations(range(size), 2):
        different[one, other] = different[other, one] = data.draw(st.booleans())
    letters = statistics.compact_letters(different)
    assert all(letters)
    for one, other in combinations(range(size), 2):
        assert bool(set(letters[one]) & set(letters[other])) == (not different[one, other])
    used = sorted(set("".join(letters)))
    assert used == [chr(ord("a") + index) for index in range(len(used))]


@pytest.mark.parametrize("paired", [True, False])
def test_all_pairs(paired):
    rng = np.random.Generator(np.random.PCG64(2))
    scores = [rng.normal(ahead, 1, 25) for ahead in (0, 3, 0, 6)]
    found = statistics.compare_all_pairs(scores, paired=paired)
    assert found.ranking[:2] == (3, 1)
    assert found.letters[3] == "a"
    assert found.letters[1] == "b"
    assert found.letters[0] == found.letters[2] == "c"
    assert [(pair.first, pair.second) for pair in found.pairs] == list(combinations(range(4), 2))
    assert found.pair(3, 0).better == 3
    assert found.pair(0, 2).better is None
    by_holm = statistics.holm([pair.p_value for pair in found.pairs])
    for pair, largest in zip(found.pairs, by_holm, strict=True):
        assert pair.is_paired == paired
        assert pair.p_value <= pair.adjusted_p_value
        # Step-down max-T is no stricter, but for the patterns that are counted with the observed one.
        assert pair.adjusted_p_value <= largest + 1e-3 if paired else pair.adjusted_p_value == pytest.approx(largest)
    alone = statistics.compare_all_pairs([scores[0]], paired=paired)
    assert (alone.pairs, alone.letters) == ((), ("a",))


def test_agents_with_failed_trials_are_compared_on_the_seeds_that_both_have():
    scores = [FIRST[[4, 0, 1, 2, 3]], SECOND[:6], SECOND[3:], FIRST[[8]]]
    seeds = [[4, 0, 1, 2, 3], range(6), range(3, 9), [8]]
    found = statistics.compare_all_pairs(scores, seeds=seeds)
    pair = found.pair(0, 1)
    assert pair.num_seeds == 5
    assert pair.difference == pytest.approx((FIRST[:5] - SECOND[:5]).mean())
    assert pair.p_value == statistics.paired_permutation_test(FIRST[:5], SECOND[:5]).p_value
    # One common seed says nothing; without any, agents are compared as those of different seeds are.
    few, apart = found.pair(2, 3), found.pair(1, 3)
    assert (few.is_paired, few.num_seeds, few.p_value, few.different) == (True, 1, 1.0, False)
    assert (apart.is_paired, apart.num_seeds, apart.different) == (False, 1, False)
    assert apart.p_value == statistics.unpaired_permutation_test(SECOND[:6], FIRST[[8]]).p_value
    assert found.pair(2, 3).difference == pytest.approx(SECOND[3:].mean() - FIRST[8])
    assert found.pair(1, 2).difference == 0.0


@given(st.integers(2, 12), st.integers(0, 100))
def test_with_all_seeds_in_common_naming_them_changes_nothing(size, start):
    scores = [RNG.normal(ahead, 1, size) for ahead in (0.0, 0.5, 2.0)]
    seeds = [range(start, start + size)] * 3
    named = statistics.compare_all_pairs(scores, seeds=seeds, num_permutations=1000)
    assert named == statistics.compare_all_pairs(scores, num_permutations=1000)


def test_failed_trials_void_no_error_and_hide_no_difference():
    rng = np.random.Generator(np.random.PCG64(5))
    scores = [rng.normal(ahead, 1, 30) for ahead in (0, 0, 2)]
    kept = [np.sort(rng.permutation(30)[:24]) for _ in scores]
    found = statistics.compare_all_pairs([one[own] for one, own in zip(scores, kept, strict=True)], seeds=kept)
    assert found.pair(2, 0).better == found.pair(2, 1).better == 2
    assert found.pair(0, 1).better is None


def test_many_agents_can_still_differ():
    scores = [np.full(30, float(place)) + RNG.normal(0, 0.01, 30) for place in range(30)]
    assert all(pair.different for pair in statistics.compare_all_pairs(scores).pairs)


@given(small_scores, small_scores)
def test_the_probabilities_of_improvement_of_both_sum_to_one(first, second):
    one, other = (statistics.probability_of_improvement(*pair) for pair in ((first, second), (second, first)))
    assert one + other == pytest.approx(1.0)
    theirs = stats.mannwhitneyu(first, second).statistic / (len(first) * len(second))
    assert one == pytest.approx(theirs)


def test_the_interval_of_the_probability_of_improvement():
    found = statistics.probability_of_improvement_interval(FIRST, SECOND)
    assert 0 <= found.low < statistics.probability_of_improvement(FIRST, SECOND) < found.high <= 1
    # Ten of ten wins do not make certain.
    apart = statistics.probability_of_improvement_interval(np.arange(10) + 50.0, np.arange(10.0))
    assert (apart.low, apart.high) == pytest.approx((stats.binomtest(10, 10).proportion_ci().low, 1.0))
    mirrored = statistics.probability_of_improvement_interval(np.arange(10.0), np.arange(10) + 50.0)
    assert (mirrored.low, mirrored.high) == pytest.approx((0.0, 1 - apart.low))
    assert statistics.probability_of_improvement_interval([1.0, 1.0], [1.0, 1.0]).low == 0.5
    assert not statistics.probability_of_improvement_interval([1.0], [0.0, 2.0]).is_known


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: statistics.paired_difference([1.0, 2.0], [1.0]), "first, second: must have the same seeds"),
        (lambda: statistics.unpaired_difference([1.0], [[1.0], [2.0]]), "the same environments, got 1 and 2"),
        (lambda: statistics.compare_all_pairs([[1.0, 2.0], [1.0]]), "must have the same seeds"),
        (lambda: statistics.compare_all_pairs([[1.0]], seeds=[]), "seeds: must be of 1 agents, got 0"),
        (lambda: statistics.compare_all_pairs([[1.0]], seeds=[[1, 2]]), r"seeds\[0\]: must be 1 different ones"),
        (lambda: statistics.compare_all_pairs([[1.0, 2.0]], seeds=[[1, 1]]), r"seeds\[0\]: must be 2 different ones"),
        (lambda: statistics.compare_all_pairs([[[1.0], [2.0]]], seeds=[[1]]), "must be one sequence an environment"),
        (lambda: statistics.compare_all_pairs([[1.0]], seeds=[[1]], paired=False), "seeds: only with paired=True"),
        (lambda: statistics.paired_permutation_test([1.0], [math.nan]), "second: 1 of 1 are not finite"),
        (lambda: statistics.paired_permutation_test([1.0], [1.0], num_permutations=0), "num_permutations: must be"),
        (lambda: statistics.holm([0.5, 2.0]), "p_values: must be"),
        (lambda: statistics.compact_letters([[True]]), "different: must be a symmetric matrix"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(call, message):
    with pytest.raises(StatisticsError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_ties_on_one_environment_and_wins_on_another_still_leave_an_open_end():
    first, second = [[1.0] * 5, [2.0] * 6], [[1.0] * 5, [0.0] * 6]
    interval = statistics.probability_of_improvement_interval(first, second)
    assert statistics.probability_of_improvement(first, second) == 0.75
    assert interval.high == 0.75
    assert interval.low == pytest.approx(0.75 - (1 - 0.025 ** (1 / 6)) / 2)
    mirrored = statistics.probability_of_improvement_interval(second, first)
    assert (mirrored.low, mirrored.high) == (0.25, pytest.approx(1 - interval.low))


def test_two_seeds_have_a_detectable_difference():
    assert statistics.minimum_detectable_difference([0.1, 0.3]) > 0.3


few_agents = st.lists(st.lists(st.integers(0, 4).map(float), min_size=7, max_size=7), min_size=2, max_size=5)


def adjusted(scores, **options):
    found = statistics.compare_all_pairs(scores, **options)
    return {(pair.first, pair.second): pair.adjusted_p_value for pair in found.pairs}


@given(few_agents, st.randoms(use_true_random=False))
def test_the_order_of_the_agents_changes_no_verdict(scores, random):
    order = random.sample(range(len(scores)), len(scores))
    before, after = adjusted(scores), adjusted([scores[place] for place in order])
    for (first, second), p_value in after.items():
        assert before[min(order[first], order[second]), max(order[first], order[second])] == p_value


@given(few_agents)
def test_a_copy_of_an_agent_changes_no_other_verdict(scores):
    before, after = adjusted(scores), adjusted([*scores, scores[0]])
    assert {pair: after[pair] for pair in before} == before
    assert after[0, len(scores)] == 1.0


@given(few_agents)
def test_a_larger_statistic_has_no_larger_p_value(scores):
    found = statistics.compare_all_pairs(scores)
    differences = [np.subtract(scores[pair.first], scores[pair.second]) for pair in found.pairs]
    sizes = [abs(values.sum()) / max(1e-9, math.sqrt((values**2).sum())) for values in differences]
    ordered = sorted(zip(sizes, found.pairs, strict=True), key=lambda one: -one[0])
    for (size, pair), (less, other) in pairwise(ordered):
        assert pair.p_value <= pair.adjusted_p_value
        assert size < less + 1e-9 or pair.adjusted_p_value <= other.adjusted_p_value


def test_one_seed_on_several_environments_is_one_piece_of_evidence():
    """Environments that say the same are no more evidence than one of them."""
    seeds, once = [range(9)] * 2, statistics.compare_all_pairs([FIRST, SECOND]).pairs[0]
    thrice = statistics.compare_all_pairs([[FIRST] * 3, [SECOND] * 3], seeds=[[range(9)] * 3] * 2).pairs[0]
    assert (thrice.p_value, thrice.difference) == pytest.approx((once.p_value, once.difference))
    assert adjusted([FIRST, SECOND], seeds=seeds)[0, 1] == once.p_value
    test = statistics.paired_permutation_test([FIRST] * 3, [SECOND] * 3, seeds=[range(9)] * 3)
    assert test.p_value == once.p_value
    interval = statistics.paired_difference([FIRST] * 3, [SECOND] * 3, seeds=[range(9)] * 3).interval
    alone = statistics.paired_difference(FIRST, SECOND).interval
    assert (interval.low, interval.high) == pytest.approx((alone.low, alone.high))
    # Taken for independent runs they would be.
    assert statistics.paired_permutation_test([FIRST] * 3, [SECOND] * 3).p_value != once.p_value
    profile = statistics.performance_profile([FIRST] * 3, [0.5], seeds=[range(9)] * 3)
    single = statistics.performance_profile(FIRST, [0.5])
    assert (profile.low, profile.high) == (pytest.approx(single.low), pytest.approx(single.high))
    better = statistics.probability_of_improvement_interval
    joint = better([FIRST] * 3, [SECOND] * 3, seeds=([range(9)] * 3, [range(9)] * 3))
    assert (joint.low, joint.high) == pytest.approx((better(FIRST, SECOND).low, better(FIRST, SECOND).high))


@pytest.mark.parametrize("aggregate", [statistics.mean, statistics.iqm, statistics.optimality_gap_to(2.0)])
def test_numbers_by_seed_have_the_aggregate_as_their_mean(aggregate):
    scores = [FIRST, SECOND[:7], FIRST[2:] + 1]
    numbers = statistics.by_seed(scores, [range(9), range(7), range(2, 9)], aggregate)
    assert len(numbers) == 9
    assert numbers.mean() == pytest.approx(aggregate(scores))
    assert statistics.by_seed([FIRST, SECOND]) == pytest.approx((FIRST + SECOND) / 2)
    assert np.ptp(statistics.by_seed([[0.1] * 3, [0.2] * 3])) == 0.0
    for call, message in (
        (lambda: statistics.by_seed(scores), r"seeds: must be given where environments have \[9, 7, 7\] scores"),
        (lambda: statistics.by_seed([FIRST], [[1, 2]]), r"seeds\[0\]: must be 9 different ones"),
        (lambda: statistics.by_seed([FIRST, FIRST], aggregate=statistics.median), "the median has no numbers by seed"),
    ):
        with pytest.raises(StatisticsError, match=message):
            call()


def test_what_cancels_over_environments_is_no_difference():
    first, second = [[0.1, 0.2, 0.3] * 3, [0.3, 0.2, 0.1] * 3], [[0.3, 0.2, 0.1] * 3, [0.1, 0.2, 0.3] * 3]
    pair = statistics.compare_all_pairs([first, second], seeds=[[range(9)] * 2] * 2).pairs[0]
    assert (pair.p_value, pair.different) == (1.0, False)


def test_pairs_on_other_seeds_are_tested_too():
    """Two that share their seeds, and one of other seeds that is far behind both."""
    scores = [FIRST[:8] + 9, FIRST[:8] + 9, FIRST[:8] * 0.1]
    found = statistics.compare_all_pairs(scores, seeds=[range(8), range(8), range(100, 108)])
    assert [pair.is_paired for pair in found.pairs] == [True, False, False]
    assert [pair.different for pair in found.pairs] == [False, True, True]
    assert found.letters == ("a", "a", "b")
    assert found.correction == "max-T and Holm"
    assert not found.paired
    by_holm = statistics.holm([statistics.unpaired_permutation_test(scores[0], scores[2]).p_value] * 2)
    assert found.pair(0, 2).adjusted_p_value == pytest.approx(2 * by_holm[0])
    apart = statistics.compare_all_pairs(scores[::2], seeds=[range(8), range(100, 108)])
    assert apart.correction == "Holm"


def test_a_missing_trial_on_one_environment_hides_no_difference():
    rng = np.random.Generator(np.random.PCG64(11))
    common = rng.normal(size=20)
    scores = [[common + rng.normal(ahead, 0.1, 20) for _ in range(2)] for ahead in (0, 1)]
    scores[1][0] = scores[1][0][:17]
    found = statistics.compare_all_pairs(scores, seeds=[[range(20)] * 2, [range(17), range(20)]]).pairs[0]
    assert (found.num_seeds, found.different, found.is_paired) == (17, True, True)
    assert found.difference == pytest.approx(-1, abs=0.1)


def slow_signs(size, count, seed):
    """Patterns as they were drawn one block after another, and written out."""
    rng = random_stream(seed)
    blocks = [rng.integers(0, 256, (min(256, count - start), -(-size // 8)), dtype=np.uint8)
              for start in range(0, count, 256)]  # fmt: skip
    return 1.0 - 2.0 * np.unpackbits(np.concatenate(blocks), axis=1, count=size)


@pytest.mark.parametrize(("num_seeds", "num_pairs"), [(15, 3), (20, 40), (37, 17), (300, 5)])
def test_max_t_counts_what_each_pattern_reaches(num_seeds, num_pairs):
    rng = np.random.default_rng(num_seeds)
    values = np.round(rng.normal(rng.normal(0, 0.4, num_pairs), 1, (num_seeds, num_pairs)), 1)
    values[:, 1] = values[:, 0]
    found = max_t_test(values, 1000, 7)
    lengths = np.sqrt((values**2).sum(axis=0))
    observed = np.abs(values.sum(axis=0)) / lengths
    sums = np.abs(slow_signs(num_seeds, 1000, 7) @ values) / lengths
    assert found.p_values.tolist() == ((1 + (sums >= observed - 1e-9).sum(axis=0)) / 1001).tolist()
    order = np.argsort(-observed, kind="stable")
    adjusted, least = np.empty(num_pairs), 0.0
    for place, column in enumerate(order):
        reached = (sums[:, order[place:]].max(axis=1) >= observed[column] - 1e-9).sum()
        least = max(least, (1 + reached) / 1001)
        adjusted[column] = least
    assert found.adjusted.tolist() == pytest.approx(adjusted.tolist(), abs=1e-15)


@pytest.mark.parametrize("num_seeds", [15, 21, 40, 333])
def test_sums_that_are_looked_up_are_those_of_the_patterns(num_seeds):
    values = np.random.default_rng(num_seeds).normal(0.3, 1, num_seeds)
    flipped = slow_signs(num_seeds, 500, 3) < 0
    number = flipped.sum(axis=1)
    means = np.stack([(flipped @ values) / number, (~flipped @ values) / (num_seeds - number)])
    lowest, highest = np.sort(np.append(means.min(axis=0), -np.inf)), np.sort(np.append(means.max(axis=0), np.inf))
    place = math.floor(0.05 * 501 + 1e-9)
    found = statistics.sign_flip_interval(values, num_permutations=500, seed=3)
    assert (found.low, found.high) == pytest.approx((lowest[place], highest[-place - 1]), rel=1e-12)


@pytest.mark.parametrize("num_environments", [1, 3])
def test_differences_of_all_pairs_are_those_of_each_alone(num_environments):
    rng = np.random.default_rng(num_environments)
    seeds = [[sorted(rng.permutation(12)[: 12 - agent]) for _ in range(num_environments)] for agent in range(5)]
    scores = [[np.round(rng.random(len(own)), 1) for own in each] for each in seeds]
    pairs = list(combinations(range(5), 2))
    found = on_common_seeds(seed_tables(scores, seeds), pairs)
    for column, (first, second) in enumerate(pairs):
        common = [sorted(set(one) & set(other)) for one, other in zip(seeds[first], seeds[second], strict=True)]
        ours, theirs = (
            [scores[agent][place][np.searchsorted(seeds[agent][place], own)] for place, own in enumerate(common)]
            for agent in (first, second)
        )
        (expected,) = differences_by_seed(ours, theirs, common if num_environments > 1 else None)
        places = sorted(set().union(*common))
        assert found.columns[places, column] == pytest.approx(expected, abs=1e-12)
        assert not np.delete(found.columns[:, column], places).any()
        assert found.differences[column] == pytest.approx(statistics.mean(ours) - statistics.mean(theirs), abs=1e-12)
        assert found.counts[column] == min(map(len, common))
