"""Several results as one: what is the same trial, agent or environment, and what is kept apart."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import velodrome as vd
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.reporting.footnotes import footnotes
from velodrome.experiments.results.importers import from_frame
from velodrome.experiments.results.results import Results

SLOW, FAST = "q_learning(learning_rate=0.1)", "q_learning(learning_rate=0.9)"


def lakes(agents, *, seeds, episodes=40, environments="FrozenLake-v1", name="lakes", **more):
    return vd.compare(agents, environments, seeds=seeds, episodes=episodes, name=name, **more)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    lakes({"slow": SLOW, "fast": FAST}, seeds=[0, 1, 2], out=folder)
    return Results.load(folder)


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    """Two seeds that the first has and one that it has not, and an agent of its own."""
    folder = tmp_path_factory.mktemp("second")
    lakes({"slow": SLOW, "chance": "random"}, seeds=[1, 2, 3], out=folder)
    return Results.load(folder)


def frame_of(agent="A", environment="FrozenLake-v1", seeds=(0, 1), score=0.5):
    return pd.DataFrame({"agent": agent, "environment": environment, "seed": list(seeds), "greedy_success_rate": score})


def test_trials_with_the_same_key_are_one_trial(first, second):
    both = Results.joined([first, second])
    assert both.agents == ["slow", "fast", "chance"]
    assert [record.seed for record in both.trials("FrozenLake-v1", "slow")] == [0, 1, 2, 3]
    assert len(both.records) == both.num_planned == 10
    assert both.settings.agents["slow"] == first.settings.agents["slow"]
    assert both.budget("FrozenLake-v1", "chance") == (40, None)
    assert both.settings.own_budgets == {}
    assert both.notes == ()


def test_everything_a_reader_asks_for_works(first, second):
    both = Results.joined([first, second])
    assert [row["seeds"] for row in both.rows()] == [4, 3, 3]
    assert len(both.table(full=True)) == 3
    assert len(both.frame()) == 10
    curves = list(both.episode_curves("FrozenLake-v1", "slow"))
    expected = [*first.episode_curves("FrozenLake-v1", "slow"), *second.episode_curves("FrozenLake-v1", "slow")]
    expected = [expected[place] for place in (0, 1, 2, 5)]
    assert all(np.array_equal(a.returns, b.returns) for a, b in zip(curves, expected, strict=True))
    _, points = both.curves("FrozenLake-v1", "slow")
    assert points.shape == (4, 2, 40)
    assert any("40 episodes" in note for note in footnotes(both))
    with pytest.raises(ValueError, match="came from elsewhere"):
        both.save("anywhere")


def test_one_result_joined_is_itself_and_twice_the_same_is_once(first):
    assert Results.joined([first]) is first
    pd.testing.assert_frame_equal(Results.joined([first, first]).frame(), first.frame())


def test_joining_is_associative_in_its_records(first, second):
    third = from_frame(frame_of())
    left = Results.joined([Results.joined([first, second]), third])
    right = Results.joined([first, Results.joined([second, third])])
    pd.testing.assert_frame_equal(left.frame(), right.frame())
    assert left.num_planned == right.num_planned == 12


def test_one_label_for_two_agents_gets_the_names(first):
    other = lakes({"slow": "q_learning(learning_rate=0.2)"}, seeds=2)
    both = Results.joined([first, other], names=["spring", "autumn"])
    assert both.agents == ["slow (spring)", "fast", "slow (autumn)"]
    assert [len(both.trials("FrozenLake-v1", agent)) for agent in both.agents] == [3, 3, 2]
    assert both.settings.agents["slow (autumn)"] == other.settings.agents["slow"]
    assert len(list(both.episode_curves("FrozenLake-v1", "slow (autumn)"))) == 2


def test_names_that_are_equal_are_numbered(first):
    other = lakes({"slow": "q_learning(learning_rate=0.2)"}, seeds=2)
    assert Results.joined([first, other]).agents == ["slow (lakes)", "fast", "slow (lakes, 2)"]


def test_another_budget_is_another_configuration(first):
    longer = lakes({"slow": SLOW, "chance": "random"}, seeds=[7, 8], episodes=50)
    both = Results.joined([first, longer], names=["short", "long"])
    assert both.agents == ["slow (short)", "fast", "slow (long)", "chance"]
    assert both.budget("FrozenLake-v1", "slow (short)") == (40, None)
    assert both.budget("FrozenLake-v1", "slow (long)") == (50, None)
    assert both.settings.own_seeds
    assert any("50 episodes" in note and "40 episodes" in note for note in footnotes(both))


def test_other_budgets_on_other_environments_are_told_pair_by_pair(first):
    cliff = lakes({"slow": SLOW}, seeds=3, episodes=50, environments="CliffWalking-v1")
    both = Results.joined([first, cliff])
    assert both.agents == ["slow", "fast"]
    assert both.budget("FrozenLake-v1", "slow") == (40, None)
    assert both.budget("CliffWalking-v1", "slow") == (50, None)


def test_environments_of_one_label_that_differ_are_kept_apart():
    agents = {"slow": SLOW}
    one = lakes(agents, seeds=2, environments={"lake": "FrozenLake-v1"})
    other = lakes(agents, seeds=2, environments={"lake": "FrozenLake-v1(is_slippery=False)"})
    strict = lakes(agents, seeds=2, environments={"lake": "FrozenLake-v1"}, success="return > 5")
    both = Results.joined([one, other, strict], names=["wet", "dry", "strict"])
    assert both.environments == ["lake (wet)", "lake (dry)", "lake (strict)"]
    assert both.agents == ["slow"]
    assert both.settings.environments["lake (dry)"] == "FrozenLake-v1(is_slippery=False)"
    assert len(both.records) == 6


def test_results_from_elsewhere_stand_in_the_same_table_and_claim_no_budget(first):
    both = Results.joined([first, from_frame(frame_of())])
    assert both.environments == ["FrozenLake-v1"]
    assert both.agents == ["slow", "fast", "A"]
    assert both.budget("FrozenLake-v1", "A") == (None, None)
    assert both.budget("FrozenLake-v1", "fast") == (40, None)
    training = footnotes(both)[0]
    assert "slow, fast: 40 episodes" in training
    assert "in each trial" not in training
    assert {row["agent"] for row in both.rows()} == {"slow", "fast", "A"}


def test_an_unknown_agent_is_not_taken_for_one_of_ours(first):
    both = Results.joined([first, from_frame(frame_of("slow", seeds=[8, 9]))], names=["ours", "theirs"])
    assert both.agents == ["slow (ours)", "fast", "slow (theirs)"]


def test_runs_from_elsewhere_that_are_read_one_by_one_are_one_agent():
    parts = [from_frame(frame_of(seeds=[seed])) for seed in range(3)]
    both = Results.joined(parts)
    assert both.agents == ["A"]
    assert both.rows()[0]["seeds"] == 3
    clash = Results.joined([from_frame(frame_of(score=0.5)), from_frame(frame_of(score=0.25))], names=["x", "y"])
    assert clash.agents == ["A (x)", "A (y)"]


def test_a_trial_that_failed_once_and_ended_well_once_is_done(first):
    records = [dataclasses.replace(record, status="failed", error="no memory") for record in first.records]
    failed = dataclasses.replace(first, records=records)
    assert Results.joined([failed, first]).failures == []
    assert len(Results.joined([failed, failed]).failures) == 6


def test_other_numbers_under_one_key_are_told(first):
    records = [
        dataclasses.replace(record, measures=record.measures | {"greedy_mean_return": 0.123})
        for record in first.records
    ]
    both = Results.joined([first, dataclasses.replace(first, records=records)])
    assert both.notes == ("6 trials are there more than once with different numbers; the first are used.",)
    pd.testing.assert_frame_equal(both.frame(), first.frame())


def test_warnings_notes_and_provenance_are_told_once(first):
    noted = dataclasses.replace(first, notes=("slow is slow",), warnings=("few seeds",))
    both = Results.joined([noted, noted])
    assert (both.notes, both.warnings) == (("slow is slow",), ("few seeds",))
    assert both.provenance == first.provenance
    other = from_frame(frame_of("slow"))
    assert Results.joined([noted, other], names=["ours", "theirs"]).notes == ("ours: slow is slow",)


def test_trials_that_have_not_been_run_stay_planned(first, second):
    begun = dataclasses.replace(first, records=first.records[:2])
    both = Results.joined([begun, second])
    assert (len(both.records), both.num_planned) == (7, 10)
    assert any("Not finished: 3 of 10" in note for note in footnotes(both))


def test_nothing_to_join_and_wrong_names_are_refused(first):
    with pytest.raises(ExperimentError, match="no results to join"):
        Results.joined([])
    with pytest.raises(ExperimentError, match="1 names were given for 2 results"):
        Results.joined([first, first], names=["one"])
