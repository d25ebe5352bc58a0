"""Sequential comparison: its error, its power, its resuming, and agents that never differ."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from velodrome.experiments import statistics
from velodrome.experiments.statistics import (
    SequentialDesign,
    SequentialState,
    StatisticsError,
    sequential_rejections,
)


def run(scores, design):
    """The states after each look, with the seeds that agents were trained with."""
    state, states = SequentialState.start(len(scores), design), []
    while not state.is_finished:
        given = [
            row[: state.next_size] if agent in state.agents_to_run else row[:0] for agent, row in enumerate(scores)
        ]
        state = statistics.look(state, given)
        states.append(state)
    return states


def normal(seed, means, size):
    rng = np.random.Generator(np.random.PCG64(seed))
    return [rng.normal(mean, 1, size) for mean in means]


def test_agents_that_differ_are_found_and_no_longer_trained():
    states = run(normal(0, (0, 0, 4), 60), SequentialDesign((10, 20, 40, 60)))
    first, last = states[0], states[-1]
    assert [pair.verdict for pair in first.pairs] == ["undecided", "different", "different"]
    assert first.agents_to_run == (0, 1)
    assert first.next_size == 20
    assert [pair.better for pair in last.pairs] == [None, 2, 2]
    assert [pair.num_seeds for pair in last.pairs] == [60, 10, 10]
    assert last.pairs[0].verdict == "not distinguishable"
    assert last.letters([2, 0, 1]) == ["b", "b", "a"]
    assert last.next_size is None
    assert last.agents_to_run == ()


@pytest.mark.parametrize("value", [0.0, 0.3])
@pytest.mark.parametrize("futility", [0.0, 0.1])
def test_agents_that_always_score_the_same_are_not_distinguishable(value, futility):
    states = run([np.full(30, value)] * 3, SequentialDesign((5, 10, 30), futility=futility))
    assert {pair.verdict for pair in states[-1].pairs} == {"not distinguishable"}
    assert {pair.difference for pair in states[-1].pairs} == {0.0}
    assert len(states) == (1 if futility else 3)


def test_agents_that_always_differ_are_found():
    states = run([np.zeros(12), np.ones(12)], SequentialDesign((6, 12)))
    assert states[0].pairs[0].verdict == "undecided"  # two of 2^6 patterns are more than may be spent
    assert states[1].pairs[0].better == 1


def test_going_on_from_a_file_is_the_same():
    design = SequentialDesign.up_to(10, 50, spending="obrien-fleming", futility=0.02)
    scores = normal(1, (0, 0.6, 0.7, 1.5), 50)
    state = SequentialState.start(4, design)
    for expected in run(scores, design):
        state = SequentialState.from_data(json.loads(json.dumps(state.to_data())))
        # Seeds beyond the look's are left for later.
        state = statistics.look(state, scores)
        assert state == expected
    assert state.is_finished


def test_one_look_is_the_permutation_test_with_holm():
    for seed in range(30):
        scores = normal(seed, (0, 0.5, 1, 1.2), 12)
        fixed = statistics.compare_all_pairs(scores, num_permutations=20_000)
        looked = run(scores, SequentialDesign((12,), num_permutations=20_000))[-1]
        close = [pair for pair in fixed.pairs if 0.04 < pair.adjusted_p_value < 0.0625]
        if not close:
            verdicts = [pair.verdict == "different" for pair in looked.pairs]
            assert verdicts == [pair.different for pair in fixed.pairs]


@pytest.mark.parametrize("spending", ["linear", "obrien-fleming"])
@pytest.mark.parametrize("ties", [False, True])
def test_counting_spares_work_and_changes_no_verdict(monkeypatch, spending, ties):
    """Bounds that bound nothing have every pair followed through all sign patterns."""
    verdicts = []
    for _ in range(2):
        verdicts.append([])
        for seed in range(12):
            scores = normal(seed, (0, 0, 0.4, 0.8, 1.6), 24)
            given = [np.round(row) for row in scores] if ties else scores
            design = SequentialDesign((6, 12, 24), spending=spending, num_permutations=500, seed=seed)
            verdicts[-1].append(run(given, design))
        monkeypatch.setattr(
            sequential_rejections,
            "_exceedances",
            lambda design, differences, stage, count: (
                np.zeros((stage + 1, differences.shape[1]), dtype=np.int64),
                np.full((stage + 1, differences.shape[1]), count + 1),
            ),
        )
    assert verdicts[0] == verdicts[1]
    # Some pairs were found, and some were not.
    assert {pair.verdict for states in verdicts[0] for pair in states[-1].pairs} == {"different", "not distinguishable"}


def test_the_level_is_spent_by_the_last_look():
    linear, late = (SequentialDesign((10, 20, 40), spending=spending) for spending in ("linear", "obrien-fleming"))
    assert [linear.spent(0.05, stage) for stage in range(3)] == pytest.approx([0.0125, 0.025, 0.05])
    z = stats.norm.isf(0.025)
    expected = [2 * stats.norm.sf(z / math.sqrt(share)) for share in (0.25, 0.5, 1)]
    assert [late.spent(0.05, stage) for stage in range(3)] == pytest.approx(expected)


def test_evenly_spaced_looks():
    assert SequentialDesign.up_to(10, 50).stage_sizes == (10, 20, 30, 40, 50)
    assert SequentialDesign.up_to(30, 32).stage_sizes == (30, 31, 32)
    assert SequentialDesign.up_to(30, 30).stage_sizes == (30,)
    assert SequentialDesign.up_to(30, 100, num_stages=1).stage_sizes == (100,)


def test_the_family_wise_error_and_the_power():
    """Five agents, of which two are as far ahead of the others."""
    false = found = 0
    experiments = 200
    for seed in range(experiments):
        design = SequentialDesign((8, 16, 32), num_permutations=4000, seed=seed)
        pairs = run(normal([7, seed], (0, 0, 0, 1.5, 1.5), 32), design)[-1].pairs
        equal = [pair for pair in pairs if (pair.first < 3) == (pair.second < 3)]
        false += any(pair.verdict == "different" for pair in equal)
        found += sum(pair.better == pair.second for pair in pairs if pair not in equal)
    assert false / experiments <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / experiments)
    assert found / (6 * experiments) > 0.9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SequentialDesign((10, 10)), "stage_sizes: must increase"),
        (lambda: SequentialDesign((1, 10)), "stage_sizes: must increase and start with at least 2"),
        (lambda: SequentialDesign((5,), spending="all"), "spending: must be linear or obrien-fleming"),
        (lambda: SequentialDesign((5,), futility=1.0), "futility: must be"),
        (lambda: SequentialDesign((5,), level=0.0), "level: must be between"),
        (lambda: SequentialDesign((5,), num_permutations=0), "num_permutations: must be"),
        (lambda: SequentialDesign.up_to(30, 20), "max_seeds: must be at least the first look's 30"),
        (lambda: SequentialState.start(0, SequentialDesign((5,))), "num_agents: must be at least 1"),
        (lambda: SequentialState.from_data({"design": {}}), "state: not the state"),
        (lambda: run(normal(0, (0, 1), 8), SequentialDesign((5, 10))), r"scores\[0\]: look 2 needs 10 seeds, got 8"),
        (lambda: statistics.look(SequentialState.start(2, SequentialDesign((5,))), [[1.0]]), "of 2 agents, got 1"),
        (lambda: statistics.look(SequentialState.start(1, SequentialDesign((5,))), [[1.0]]), "every pair is decided"),
    ],
)
def test_what_cannot_be_looked_at_is_refused_in_one_line(call, message):
    with pytest.raises(StatisticsError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
