"""What tables say of an experiment: who is better, by how much, how sure, by whichever measure and against whom."""

import math

import numpy as np
import pandas as pd
import pytest

import velodrome as vd
from velodrome.agents import QLearning
from velodrome.experiments.errors import AllTrialsFailedError, ExperimentError
from velodrome.experiments.reporting.footnotes import footnotes
from velodrome.experiments.reporting.tables import format_table
from velodrome.experiments.results.analysis import AnalysisOptions, margins_of
from velodrome.experiments.results.comparison import AgentScores, SequentialVerdicts, compare_scores
from velodrome.experiments.results.learning import EPISODES_DIFFER, NUMBERS_DIFFER
from velodrome.experiments.results.seed_scores import SeedScores
from velodrome.experiments.statistics import (
    SequentialDesign,
    SequentialState,
    compare_all_pairs,
    cumulative_regret,
    episodes_to_threshold,
    iqm,
    look,
    paired_difference,
)

LAKE = "FrozenLake-v1(is_slippery=False)"


@pytest.fixture(scope="module")
def lakes():
    agents = {"noise": "noise_q", "stochastic": "stochastic_q", "greedy": "epsilon_greedy_q", "random": "random"}
    return vd.compare(agents, {"ice": LAKE, "wind": "FrozenLake-v1"}, seeds=20, episodes=400, name="lakes")


@pytest.fixture(scope="module")
def wind(lakes):
    return lakes.analysis().environments[1]


def agent(label, values, seeds=None, failed=0):
    values = np.asarray(values, dtype=float)
    seeds = tuple(range(len(values))) if seeds is None else tuple(seeds)
    return AgentScores(label, (SeedScores(label, seeds, values, failed),))


def scores_of(results, environment, measured="greedy_success_rate"):
    frame = results.frame()
    return frame[frame["environment"] == environment].pivot(index="seed", columns="agent", values=measured)


def test_verdicts_are_those_of_the_statistics_on_the_stored_trials(lakes, wind):
    scores = scores_of(lakes, "wind")
    ranked = wind.comparison.compared
    expected = compare_all_pairs([scores[label].to_numpy() for label in ranked])
    assert [wind.comparison.letters[label] for label in ranked] == list(expected.letters)
    for pair in expected.pairs:
        ours = wind.comparison.pairs[ranked[pair.first], ranked[pair.second]]
        assert ours.p_value == pair.adjusted_p_value
        assert (ours.verdict == "different") == pair.different
        assert ours.difference == paired_difference(scores[ours.first.label], scores[ours.second.label])


def test_rows_hold_iqm_regret_gap_and_episodes_to_the_threshold(lakes, wind):
    row = next(row for row in wind.rows if row["agent"] == "stochastic")
    scores = scores_of(lakes, "wind")["stochastic"].to_numpy()
    assert row["iqm"] == iqm(scores)
    assert row["iqm_low"] <= row["iqm"] <= row["iqm_high"]
    best = row["best_return"]
    curves = list(lakes.episode_curves("wind", "stochastic"))
    regrets = [cumulative_regret(curve.returns, best)[-1] for curve in curves]
    assert row["regret_mean"] == pytest.approx(np.mean(regrets), rel=1e-9)
    assert row["optimality_gap"] == pytest.approx(np.mean(best - scores), rel=1e-12)
    assert wind.threshold.rate == pytest.approx(0.8 * best)
    reached = episodes_to_threshold([curve.successes for curve in curves], wind.threshold.rate, window=40)
    assert wind.threshold.window == 40
    assert row["reached_threshold"] == reached.num_reached
    assert row["episodes_to_threshold"] == (math.inf if reached.median is None else reached.median)


def test_random_never_reaches_the_threshold_and_says_so(wind):
    row = next(row for row in wind.rows if row["agent"] == "random")
    assert row["episodes_to_threshold"] == math.inf
    assert row["reached_threshold"] == 0


def test_the_reference_is_the_best_or_the_baseline(lakes, wind):
    assert wind.comparison.reference == "stochastic" == wind.rows[0]["agent"]
    assert wind.rows[0]["verdict"] == "reference"
    table = lakes.table(full=True, baseline="random").set_index(["environment", "agent"])
    assert (table["compared_with"] == "random").all()
    row = table.loc["wind", "stochastic"]
    scores = scores_of(lakes, "wind")
    expected = paired_difference(scores["stochastic"].to_numpy(), scores["random"].to_numpy())
    assert row["difference"] == expected.estimate > 0
    assert (row["difference_low"], row["difference_high"]) == (expected.interval.low, expected.interval.high)
    assert row["verdict"] == "different"
    mirrored = lakes.table(full=True, baseline="stochastic").set_index(["environment", "agent"]).loc["wind", "random"]
    assert mirrored["difference"] == -row["difference"]
    assert (mirrored["difference_low"], mirrored["difference_high"]) == (
        -row["difference_high"],
        -row["difference_low"],
    )
    assert "vs baseline" in format_table(lakes, "markdown", AnalysisOptions(baseline="random"))


def test_another_measure_decides_when_asked(lakes):
    table = lakes.table(full=True, metric="train_success_rate")
    assert (table["decided_by"] == "train_success_rate").all()
    for _, rows in table.groupby("environment"):
        assert rows["train_success_rate_mean"].is_monotonic_decreasing
    returns = lakes.table(full=True, metric="greedy_return")
    pd.testing.assert_series_equal(returns["greedy_return_mean"], lakes.table(full=True)["greedy_return_mean"])


def test_agents_that_score_alike_share_a_letter_and_are_ordered_by_the_rest(lakes):
    ice = lakes.analysis().environments[0]
    done = [row for row in ice.rows if row["greedy_success_rate_mean"] == 1]
    assert len(done) >= 2
    assert {row["letters"] for row in done} == {"a"}
    trained = [row["train_success_rate_mean"] for row in done]
    assert trained == sorted(trained, reverse=True)


def test_overall_scores_are_normalised_by_the_best_and_the_random_policy(lakes):
    overall = lakes.analysis().overall
    assert overall.is_normalised
    random = next(one for one in overall.comparison.agents if one.label == "random")
    assert random.mean == pytest.approx(0, abs=1e-12)
    rows = lakes.table(full=True).set_index(["environment", "agent"])
    shares = [
        (row["greedy_success_rate_mean"] - row["random_success_rate"])
        / (row["best_success_rate"] - row["random_success_rate"])
        for row in (rows.loc[environment, "stochastic"] for environment in ("ice", "wind"))
    ]
    stochastic = next(one for one in overall.comparison.agents if one.label == "stochastic")
    assert stochastic.mean == pytest.approx(np.mean(shares), rel=1e-9)


def test_one_environment_has_no_overall_table():
    assert vd.compare(["random", "noise_q"], LAKE, seeds=2, episodes=5).analysis().overall is None


def test_pairs_are_compared_on_the_seeds_that_both_have():
    first = agent("first", [0.5, 0.9, 0.7], seeds=[0, 2, 5], failed=1)
    second = agent("second", [0.1, 0.4, 0.3, 0.2], seeds=[0, 1, 2, 5])
    pair = compare_scores([first, second]).pairs["second", "first"]
    assert pair.num_seeds == 3
    assert pair.difference == paired_difference([0.5, 0.9, 0.7], [0.1, 0.3, 0.2])


def test_agents_without_two_common_seeds_are_compared_unpaired():
    rng = np.random.default_rng(3)
    first, second = agent("first", rng.normal(3, 1, 12)), agent("second", rng.normal(0, 1, 12), seeds=range(100, 112))
    comparison = compare_scores([first, second])
    pair = comparison.pairs["first", "second"]
    assert not comparison.is_paired
    assert not pair.difference.paired
    assert pair.verdict == "different"
    assert pair.detectable is None


@pytest.mark.parametrize(
    ("scores", "problem"),
    [([], "no score"), ([0.1, -math.inf], "1 of 2 scores are infinite")],
)
def test_what_cannot_be_compared_is_ranked_last_and_does_not_stop_the_others(scores, problem):
    comparison = compare_scores([agent("odd", scores), agent("high", [3, 4, 5]), agent("low", [0, 1, 2])])
    assert [one.label for one in comparison.agents] == ["high", "low", "odd"]
    assert comparison.agents[-1].problem == problem
    assert comparison.letters["odd"] == ""
    assert set(comparison.pairs) == {("high", "low"), ("low", "high")}


def test_all_failed_is_told_as_such():
    assert agent("broken", [], failed=3).problem == "no trial is done"
    assert compare_scores([agent("broken", [], failed=3)]).reference is None


def test_one_seed_ranks_but_tells_no_difference():
    comparison = compare_scores([agent("low", [0.0]), agent("high", [1.0])])
    assert comparison.compared == ["high", "low"]
    assert comparison.letters == {"high": "a", "low": "a"}
    pair = comparison.pairs["high", "low"]
    assert not pair.difference.interval.is_known
    assert pair.detectable is None
    assert pair.seeds_needed() is None


def test_intervals_of_rates_stay_within_what_is_possible():
    high = AgentScores("high", (SeedScores("high", (0, 1), np.array([0.2, 1.0])),), is_rate=True)
    low = AgentScores("low", (SeedScores("low", (0, 1), np.array([0.1, 0.4])),), is_rate=True)
    pair = compare_scores([high, low]).pairs["high", "low"]
    assert (high.interval.low, high.interval.high) == (0.0, 1.0)
    assert (pair.difference.interval.low, pair.difference.interval.high) == (-1.0, 1.0)


def test_seeds_needed_shrink_with_the_difference_that_matters(wind):
    pair = wind.comparison.pairs["stochastic", "greedy"]
    assert pair.seeds_needed(0.2) < pair.seeds_needed(0.05) < pair.seeds_needed(0.01)
    assert pair.seeds_needed(pair.detectable * 1.01) <= pair.num_seeds


def test_verdicts_of_a_sequential_comparison_count_instead():
    scores = [np.linspace(0, 1, 10), np.linspace(0, 1, 10) + 0.001, np.linspace(5, 6, 10)]
    state = look(SequentialState.start(3, SequentialDesign((5, 10))), [values[:5] for values in scores])
    agents = [agent(label, values) for label, values in zip("abc", scores, strict=True)]
    comparison = compare_scores(agents, sequential=SequentialVerdicts(("a", "b", "c"), state))
    assert comparison.correction == "group-sequential"
    verdicts = {(pair.first, pair.second): pair.verdict for pair in state.pairs}
    for (first, second), verdict in verdicts.items():
        assert comparison.pairs["abc"[first], "abc"[second]].verdict == verdict
        assert comparison.pairs["abc"[first], "abc"[second]].p_value is None
    # An agent that was not part of it is ranked and not compared.
    more = compare_scores([*agents, agent("d", scores[0] - 3)], sequential=SequentialVerdicts(("a", "b", "c"), state))
    assert more.letters["d"] == ""
    assert set(more.pairs) == set(comparison.pairs)


def test_before_the_first_look_all_pairs_are_undecided():
    start = SequentialState.start(2, SequentialDesign((5, 10)))
    agents = [agent("a", [0.0, 0.0, 0.0]), agent("b", [1.0, 2.0, 3.0])]
    assert (
        compare_scores(agents, sequential=SequentialVerdicts(("a", "b"), start)).pairs["a", "b"].verdict == "undecided"
    )


def test_the_table_of_a_run_until_decided_holds_its_verdicts_by_its_measure():
    agents = {rate: f"q_learning(learning_rate={rate})" for rate in ("0.1", "0.08")} | {"random": "random"}
    some = vd.compare(
        agents, "FrozenLake-v1", episodes=300, until_decided=True, max_seeds=20, metric="train_success_rate"
    )
    one = some.analysis().environments[0]
    assert one.measure.name == "train_success_rate"
    assert one.comparison.correction == "group-sequential"
    told = some.settings.sequential_on("FrozenLake-v1")
    for pair in told.state.pairs:
        labels = told.agents[pair.first], told.agents[pair.second]
        assert one.comparison.pairs[labels].verdict == pair.verdict
    numbers = {row["seeds"] for row in one.rows}
    assert len(numbers) > 1
    notes = footnotes(some)
    assert notes[1].startswith(f"Seeds: {min(numbers)}–{max(numbers)} seeds; added until decided, at most 20")
    assert any("group-sequential permutation tests" in note for note in notes)
    # By another measure nothing was planned: a fixed comparison.
    other = some.analysis(AnalysisOptions(metric="train_return")).environments[0]
    assert other.comparison.correction == "max-T"


def test_margins_are_means_over_the_other_factor_seed_by_seed(lakes):
    factors = {
        "noise": {"learner": "fast", "policy": "noise"},
        "stochastic": {"learner": "slow", "policy": "noise"},
        "greedy": {"learner": "fast", "policy": "greedy"},
        "random": {"learner": "slow", "policy": "greedy"},
    }
    margins = margins_of(factors, lakes.analysis().environments)
    assert [(margin.environment, margin.factor) for margin in margins] == [
        ("ice", "policy"), ("ice", "learner"), ("wind", "policy"), ("wind", "learner"),
    ]  # fmt: skip
    scores = scores_of(lakes, "wind")
    expected = (scores["noise"] + scores["stochastic"]) / 2
    noise = next(one for one in margins[2].comparison.agents if one.label == "noise")
    assert noise.parts[0].values == pytest.approx(expected.to_numpy(), rel=1e-12)
    assert margins_of({}, lakes.analysis().environments) == ()
    del factors["random"]
    assert [margin.factor for margin in margins_of(factors, lakes.analysis().environments)] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "greedy_succes_rate"}, "metric must be one of .*, got 'greedy_succes_rate'.*greedy_success_rate"),
        ({"baseline": "randon"}, "baseline must be an agent of the experiment, got 'randon'.*random"),
        ({"baseline": "zzz"}, "baseline must be an agent of the experiment, got 'zzz'; allowed: greedy, noise"),
        ({"threshold": 1.5}, "threshold must be a success rate above 0 and at most 1, got 1.5"),
        ({"threshold": math.nan}, "threshold must be a success rate above 0 and at most 1, got nan"),
        ({"difference": -0.1}, "difference must be a positive number, got -0.1"),
        ({"difference": math.inf}, "difference must be a positive number, got inf"),
    ],
)
def test_options_that_do_not_fit_get_a_line(lakes, options, message):
    with pytest.raises(ExperimentError, match=message) as error:
        lakes.table(full=True, **options)
    assert "\n" not in str(error.value)


def test_footnotes_state_interval_tests_correction_regret_and_threshold(lakes):
    notes = "\n".join(footnotes(lakes))
    assert "[ ]: 95 % interval of the mean over seeds" in notes
    tests = "paired permutation tests corrected by the largest statistic of all pairs (max-T)"
    assert f"not distinguishable: {tests}, family-wise error .05" in notes
    assert "vs best / baseline: Mean difference on the same seeds" in notes
    assert "regret: What the returns in training fall short of the best expected return" in notes
    assert "episodes to a rate: Median over seeds of the episodes until the mean success of the last 40" in notes
    assert "normalised score: Shares of the way" in notes


@pytest.mark.parametrize(
    ("seeds", "said"), [(1, "there is only one"), (4, "With so few seeds (4) it may cover less than it says")]
)
def test_footnotes_say_where_intervals_are_not_to_be_trusted(seeds, said):
    some = vd.compare(["random", "stochastic_q"], LAKE, seeds=seeds, episodes=30)
    assert any(note.startswith("[ ]: ") and said in note for note in footnotes(some))


def test_without_success_rule_return_decides_and_the_table_says_what_it_can():
    some = vd.compare(["random", "q_learning"], "velodrome/Chain-v0", seeds=6, episodes=20)
    table = some.table(full=True)
    assert (table["decided_by"] == "greedy_return").all()
    assert table["greedy_success_rate_mean"].isna().all()
    assert table["threshold"].isna().all()
    assert table["regret_mean"].notna().all()
    text = format_table(some, "markdown")
    assert "| agent | letters | greedy return | vs best |" in text
    assert "velodrome/Chain-v0: no success rule; " in text
    assert "compared by greedy return" in text


def test_returns_of_different_environments_are_not_averaged_where_the_best_is_not_known():
    places = ["velodrome/Chain-v0", "discretize(CartPole-v1, bins=2)"]
    some = vd.compare(["random", "q_learning"], places, seeds=2, episodes=3, evaluation_episodes=2, workers=0)
    assert some.analysis().overall is None


def test_a_table_of_failures_says_what_failed_and_compares_nobody():
    agents = ["hostile_agents:HopefulPlanner", "hostile_agents:HopefulImprover"]
    with pytest.raises(AllTrialsFailedError) as caught:
        vd.compare(agents, "discretize(CartPole-v1, bins=2)", seeds=2, episodes=3, workers=0)
    some = caught.value.results
    text = format_table(some, "markdown")
    assert "discretize(CartPole-v1, bins=2): no trial is done." in text
    assert "| hostile_agents:HopefulPlanner | 2 |" in text
    assert "Letters" not in text
    assert (some.table(full=True)["verdict"] == "not compared").all()


def test_one_seed_counts_once_over_several_environments():
    """Environments on which a seed scores the same are no more evidence, for intervals, tests and IQM."""
    values = np.linspace(0.1, 0.8, 8) ** 2
    seeds = tuple(range(8))
    once, thrice = (
        [
            AgentScores(label, tuple(SeedScores(label, seeds, scores) for _ in range(number)))
            for label, scores in (("a", values), ("b", values[::-1] + 0.05))
        ]
        for number in (1, 3)
    )
    for alone, together in zip(once, thrice, strict=True):
        assert together.interval.low == pytest.approx(alone.interval.low)
        assert together.interval.high == pytest.approx(alone.interval.high)
        assert together.interval_of(iqm).width > 0.8 * alone.interval_of(iqm).width
    pairs = [compare_scores(agents).pairs["a", "b"] for agents in (once, thrice)]
    assert pairs[0].p_value == pytest.approx(pairs[1].p_value)
    assert pairs[0].difference.interval.width == pytest.approx(pairs[1].difference.interval.width)


# Budgets of steps: episodes that the budget cuts


STUCK = "q_learning(learning_rate=1, policy=greedy(ties='first'))"


@pytest.fixture(scope="module")
def by_steps():
    agents = {"stuck": STUCK, "random": "random", "planner": "value_iteration"}
    return vd.compare(agents, LAKE, seeds=3, steps=2000)


def test_an_agent_that_takes_its_time_has_no_regret_to_boast_of(by_steps):
    # Stuck at a wall, each of its episodes lasts 100 steps: 20 of them fall short of 1, hundreds of the random agent's.
    table = by_steps.table(full=True)
    assert table["regret_mean"].isna().all()
    notes = "\n".join(footnotes(by_steps))
    assert f"no regret: {EPISODES_DIFFER} ({LAKE})." in notes
    assert "regret" not in format_table(by_steps, "markdown").splitlines()[0]


def test_regret_stands_under_a_budget_of_steps_where_all_episodes_are_as_long():
    some = vd.compare(["random", "q_learning"], "velodrome/RiverSwim-v0", seeds=3, steps=2010)
    table = some.table(full=True).set_index("agent")
    for agent in ("random", "q_learning"):
        curves = list(some.episode_curves("velodrome/RiverSwim-v0", agent))
        assert [curve.episodes for curve in curves] == [100] * 3
        best = table.loc[agent, "best_return"]
        expected = np.mean([(best - curve.returns).sum() for curve in curves])
        assert table.loc[agent, "regret_mean"] == pytest.approx(expected, rel=1e-9)
    assert not any(note.startswith("no regret") for note in footnotes(some))


def test_budgets_of_different_numbers_of_episodes_have_no_regret():
    agents = {"few": {"agent": "random", "episodes": 5}, "many": {"agent": "random", "episodes": 50}}
    results = vd.compare(agents, LAKE, seeds=2, episodes=5)
    assert results.table(full=True)["regret_mean"].isna().all()
    assert any(note.startswith(f"no regret: {NUMBERS_DIFFER}") for note in footnotes(results))


def test_training_return_counts_the_episode_that_the_budget_cut():
    # Against the wall of a map without time limit: one episode, which never ends.
    walls = "CliffWalking-v1"
    results = vd.compare({"stuck": "q_learning(learning_rate=0.5, initial_value=-1e9)"}, walls, seeds=2, steps=30)
    for record in results.trials(walls, "stuck"):
        assert record.measures["episodes"] == 0
        assert record.measures["train_mean_return"] <= -30
    assert any(
        note.startswith("Unfinished: stuck on CliffWalking-v1 spent 100% of its training steps")
        and "return so far" in note
        for note in footnotes(results)
    )


def test_the_mean_of_a_log_counts_what_is_under_way():
    agent = QLearning()
    log = agent.train("CliffWalking-v1", steps=40, seed=0)
    assert log.unfinished_return is not None
    whole = (log.returns.sum() + log.unfinished_return) / (log.episodes + 1)
    assert log.mean_return == pytest.approx(whole)
    later = agent.train("CliffWalking-v1", episodes=1)
    assert later.unfinished_return is None
    assert (log + later).unfinished_return is None
    assert (log + later).returns.sum() == pytest.approx((log + later).mean_return * (log + later).episodes)


def rows_of(column, values, **known):
    frame = pd.DataFrame({"environment": "lake", "agent": "A", "seed": range(len(values)), column: values} | known)
    return vd.Results.from_frame(frame).table(full=True).iloc[0]


def test_intervals_stay_within_what_is_possible():
    rates = [0.91, 0.89, 0.93, 0.9, 0.88, 0.92, 0.9, 0.94, 0.87, 0.0]
    row = rows_of("greedy_success_rate", rates)
    assert (
        0.0 <= row["greedy_success_rate_low"] < row["greedy_success_rate_mean"] < row["greedy_success_rate_high"] <= 1
    )
    # No policy can be expected above the best possible.
    row = rows_of("greedy_success_rate", [0.7, 0.6, 0.74, 0.73, 0.5, 0.71], best_success_rate=0.7442)
    assert row["greedy_success_rate_high"] <= 0.7442
    assert row["iqm_high"] <= 0.7442
    row = rows_of("greedy_mean_return", [-20.0, -14.0, -13.5, -90.0, -13.0, -13.2], best_return=-13.0)
    assert row["greedy_return_high"] <= -13.0
    # Of an unknown range nothing is claimed, but no end is absurd.
    row = rows_of("greedy_mean_return", [231, 245, 250, 239, 228, 242, 236, 251, 240, -300.0])
    assert -150 < row["greedy_return_low"] < 100 < 250 < row["greedy_return_high"] < 300


def test_regret_is_between_none_and_all_that_can_be_lost():
    rates = [0.0, 0.8, 0.81, 0.82, 0.79]
    known = {"train_mean_return": rates, "episodes": 2000, "best_return": 1.0, "best_success_rate": 1.0}
    row = rows_of("train_success_rate", rates, **known)
    assert 0 <= row["regret_low"] <= row["regret_mean"] <= row["regret_high"] <= 2000


def test_a_regret_that_chance_made_negative_has_an_interval_below_0_and_a_footnote():
    results = vd.compare(
        "q_learning(learning_rate=0.3, discount=0.95, initial_value=1, policy=greedy)",
        "velodrome/RiverSwim-v0",
        episodes=300,
        seeds=6,
    )
    (row,) = results.rows()
    assert row["regret_min"] < 0.0
    assert row["regret_low"] < min(0.0, row["regret_mean"])
    assert row["regret_mean"] < row["regret_high"]
    assert "regret below 0: Below 0 where chance made returns exceed the best expected one." in str(results)
