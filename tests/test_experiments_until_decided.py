"""Comparisons that go on until decided: who gets seeds, what the looks say, interruptions, failures, changed plans."""

import math
import os
import signal
import subprocess
import sys
import textwrap
import warnings
from collections import Counter

import hostile_environments  # noqa: F401  registers its environments
import pytest
from hypothesis import given, settings, strategies as st

import velodrome as vd
from velodrome.agents.errors import BudgetError
from velodrome.experiments.errors import AllTrialsFailedError, ExperimentError, ExperimentWarning
from velodrome.experiments.results.trial_table import TrialRecord
from velodrome.experiments.running.sequential_comparison import SequentialComparison
from velodrome.experiments.statistics import SequentialDesign, SequentialState, look
from velodrome.experiments.storage.store import Store

LAKE, DRY = "FrozenLake-v1", "FrozenLake-v1(is_slippery=False)"
CORRIDOR = "hostile_environments:HostileCorridor-v0"
AGENTS = {"random": "random", "fast": "q_learning(learning_rate=0.1)", "slow": "q_learning(learning_rate=0.08)"}
CLOSE = {"fast": AGENTS["fast"], "slow": AGENTS["slow"]}


def compare(agents=AGENTS, environments=LAKE, **options):
    options = {"max_seeds": 40, "episodes": 1000, "workers": 0} | options
    return vd.compare(agents, environments, until_decided=True, **options)


def sequential(results, environment=LAKE):
    return results.settings.sequential_on(environment)


def state(results, environment=LAKE):
    return sequential(results, environment).state


def verdicts(results, environment=LAKE):
    agents = sequential(results, environment).agents
    return {
        (agents[pair.first], agents[pair.second]): (pair.verdict, pair.num_seeds)
        for pair in state(results, environment).pairs
    }


def by_hand(results, environment):
    """The state that `look` alone gives on the scores of the trials."""
    told = sequential(results, environment)
    now = SequentialState.start(len(told.agents), state(results, environment).design)
    while not now.is_finished and now.next_size <= len(told.seeds):
        scores = []
        for agent in told.agents:
            of_seed = {trial.seed: trial.number(told.measure) for trial in results.trials(environment, agent)}
            scores.append([of_seed[seed] for seed in told.seeds if seed in of_seed])
        now = look(now, scores)
    return now


def seeds(results, environment=LAKE):
    return {agent: [trial.seed for trial in results.trials(environment, agent)] for agent in results.agents}


def digest(folder):
    with Store.open_for_reading(folder) as store:
        return store.content_digest()


def numbers(results):
    timed = {"train_seconds", "steps_per_second", "wall_seconds", "cpu_seconds"}
    return repr(
        [{name: value for name, value in record.row().items() if name not in timed} for record in results.records]
    )


@pytest.fixture(scope="module")
def decided(tmp_path_factory):
    """The three agents on two lakes, and the folder of their store."""
    folder = tmp_path_factory.mktemp("decided")
    return compare(environments=[LAKE, DRY], out=folder, name="lakes"), folder


def test_only_agents_of_an_undecided_pair_get_more_seeds(decided):
    results, _ = decided
    assert verdicts(results) == {
        ("random", "fast"): ("different", 10),
        ("random", "slow"): ("different", 10),
        ("fast", "slow"): ("different", 33),
    }
    assert {agent: len(own) for agent, own in seeds(results).items()} == {"random": 10, "fast": 33, "slow": 33}
    assert results.settings.seeds == tuple(range(10))
    assert results.settings.own_seeds == {(LAKE, agent): tuple(range(33)) for agent in ("fast", "slow")}
    assert results.num_planned == len(results.records)


def test_an_environment_whose_pairs_are_decided_gets_no_more_seeds(decided):
    results, _ = decided
    assert {len(own) for own in seeds(results, DRY).values()} == {10}
    assert verdicts(results, DRY)["random", "fast"] == ("different", 10)
    # Both always succeed.
    assert verdicts(results, DRY)["fast", "slow"] == ("not distinguishable", 10)


@pytest.mark.parametrize("environment", [LAKE, DRY])
def test_verdicts_are_those_of_the_pure_looks_on_the_stored_scores(decided, environment):
    results, folder = decided
    for some in (results, vd.Results.load(folder)):
        assert state(some, environment) == by_hand(some, environment)
        assert state(some, environment).is_finished
    assert results.settings.sequential.first == 10
    assert results.settings.sequential.max_seeds == 40
    assert results.settings.sequential.metric is None
    assert sequential(results, environment).measure == "greedy_success_rate"
    assert state(results, environment).design == SequentialDesign.up_to(10, 40, futility=0.05)


def test_going_on_after_the_end_runs_nothing_and_says_the_same(decided):
    results, folder = decided
    before = digest(folder)
    seen = []
    again = compare(
        environments=[LAKE, DRY], out=folder, name="lakes", progress=lambda status: seen.append(vars(status).copy())
    )
    assert numbers(again) == numbers(results)
    assert again.settings == results.settings
    assert again.warnings == results.warnings == ()
    assert digest(folder) == before
    assert seen[-1]["reused"] == seen[-1]["finished"] == seen[-1]["total"] == len(results.records)
    with Store.open_for_reading(folder) as store:
        assert store.experiments() == ["lakes"]


def test_the_store_verifies(decided):
    results, folder = decided
    verification = vd.verify(folder, workers=0)
    assert verification.reproduced == len(results.records)
    assert verification.has_reproduced


@pytest.mark.parametrize("workers", [1, 3])
def test_any_number_of_workers_gives_the_same(decided, tmp_path, workers):
    results, folder = decided
    other = compare(environments=[LAKE, DRY], out=tmp_path, name="lakes", workers=workers)
    assert digest(tmp_path) == digest(folder)
    assert other.settings == results.settings


# Interruptions


@pytest.mark.parametrize("number", [1, 59, 75])
def test_an_interrupted_run_goes_on_to_the_same(decided, tmp_path, number):
    results, folder = decided

    def interrupt(status):
        if status.finished >= number:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(environments=[LAKE, DRY], out=tmp_path, name="lakes", progress=interrupt)
    kept = vd.Results.load(tmp_path)
    assert number <= len(kept.records) < kept.num_planned
    assert sequential(kept).state.stage == (1 if number > 60 else 0)
    again = compare(environments=[LAKE, DRY], out=tmp_path, name="lakes")
    assert numbers(again) == numbers(results)
    assert again.settings == results.settings
    assert digest(tmp_path) == digest(folder)


def test_a_killed_run_goes_on_to_the_same(decided, tmp_path):
    results, folder = decided
    script = textwrap.dedent(
        f"""
        import os, signal
        import velodrome as vd

        def kill(status):
            if status.finished >= 70:
                os.kill(os.getpid(), signal.SIGKILL)

        vd.compare(
            {AGENTS!r}, {[LAKE, DRY]!r}, episodes=1000, until_decided=True, max_seeds=40, workers=0, out="store",
            name="lakes", progress=kill,
        )
        """
    )
    killed = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=os.environ, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(vd.Results.load(tmp_path / "store").records) >= 70
    again = compare(environments=[LAKE, DRY], out=tmp_path / "store", name="lakes")
    assert again.settings == results.settings
    assert digest(tmp_path / "store") == digest(folder)


def test_catching_up_does_not_show_an_earlier_state(decided, tmp_path):
    def interrupt_at(number):
        def interrupt(status):
            if status.finished >= number:
                raise KeyboardInterrupt

        return interrupt

    for number in (70, 71):
        with pytest.raises(KeyboardInterrupt):
            compare(environments=[LAKE, DRY], out=tmp_path, progress=interrupt_at(number))
        assert sequential(vd.Results.load(tmp_path)).state.stage == 1
    # Interrupted while nothing but the looks is repeated.
    with pytest.raises(KeyboardInterrupt):
        compare(environments=[LAKE, DRY], out=tmp_path, progress=interrupt_at(1))
    assert sequential(vd.Results.load(tmp_path)).state.stage == 1


def test_progress_goes_on_over_the_stages():
    seen = []
    compare(progress=lambda status: seen.append((status.total, status.finished, status.reused, status.steps)))
    assert seen[0][:2] == (30, 0)
    assert seen[-1][:2] == (76, 76)
    assert seen == sorted(seen)
    assert {reused for *_, reused, _ in seen} == {0}


# Who is told


class Listener:
    def __init__(self):
        self.told = []

    def start(self, experiment, settings):
        self.told.append(("start", experiment))

    def trial(self, trial):
        self.told.append((trial.agent, trial.environment, trial.seed))

    def close(self):
        self.told.append("close")


def test_trackers_start_once_and_hear_of_every_trial_once():
    listener = Listener()
    results = compare(track=listener, name="lake")
    assert listener.told[0] == ("start", "lake")
    assert listener.told[-1] == "close"
    trials = [(record.agent, record.environment, record.seed) for record in results.records]
    assert sorted(listener.told[1:-1]) == sorted(trials)


def test_checks_warn_once_and_few_first_seeds_are_no_matter():
    agents = CLOSE | {"more": {"agent": "q_learning", "episodes": 2000}}
    with pytest.warns(ExperimentWarning) as told:
        results = compare(agents, DRY, seeds=3, max_seeds=30)
    (line,) = [str(warning.message) for warning in told]
    assert "unequal budgets" in line
    assert results.warnings == (line,)
    assert told[0].filename == __file__.replace(".pyc", ".py")
    assert state(results, DRY).design.stage_sizes[0] == 3


# What is decided by


def test_agents_that_always_score_the_same_are_not_distinguishable():
    results = compare({"values": "value_iteration", "policies": "policy_iteration"}, LAKE, max_seeds=30)
    assert verdicts(results) == {("values", "policies"): ("not distinguishable", 10)}
    assert state(results).pairs[0].difference == pytest.approx(0)


def test_two_labels_of_one_agent_run_once_and_are_not_distinguishable():
    results = compare({"one": "random", "other": "random"}, LAKE, max_seeds=12, episodes=5)
    assert {verdict for verdict, _ in verdicts(results).values()} == {"not distinguishable"}


def test_the_last_look_decides_everything():
    agents = {f"rate {rate}": f"q_learning(learning_rate={rate})" for rate in (0.08, 0.085, 0.09)}
    results = compare(agents, max_seeds=14, seeds=8, episodes=300)
    assert {verdict for verdict, _ in verdicts(results).values()} <= {"different", "not distinguishable"}
    assert state(results) == by_hand(results, LAKE)


def test_the_metric_decides_by_itself_or_as_asked():
    results = compare({"random": "random", "fast": AGENTS["fast"]}, episodes=300, success="none")
    assert sequential(results).measure == "greedy_return"
    results = compare(CLOSE, metric="train_return", episodes=50, max_seeds=12)
    assert sequential(results).measure == "train_return"
    assert results.settings.sequential.metric == "train_return"


def test_agents_without_the_metric_are_left_out():
    agents = {"random": "random", "plan": "value_iteration", "fast": AGENTS["fast"]}
    with pytest.warns(ExperimentWarning, match="plan is left out .* its trials have no such score"):
        results = compare(agents, DRY, metric="train_return")
    assert sequential(results, DRY).agents == ("random", "fast")
    assert sequential(results, DRY).excluded == {"plan": "its trials have no such score"}
    assert verdicts(results, DRY) == {("random", "fast"): ("different", 10)}
    assert "left out" in results.warnings[0]


# Failures


def hostile(odds):
    return f"hostile_environments:Hostile-v0(mischief='raise', odds={odds})"


def corridor(agents, environment, **options):
    given = {"episodes": 10, "evaluation_episodes": 2, "seeds": 8, "max_seeds": 16, "metric": "train_success_rate"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentWarning)
        return compare(agents, environment, **given | options)


RIVALS = {"q": "q_learning(discount=0.9)", "sarsa": "sarsa(policy=softmax(temperature=0.5))"}


def test_seeds_of_failed_trials_are_left_out_for_all_and_replaced():
    environment = hostile(1 / 800)
    results = corridor(RIVALS, environment)
    failed = {record.seed for record in results.failures}
    told = sequential(results, environment)
    assert failed
    assert list(told.seeds) == [seed for seed in range(told.seeds[-1] + 1) if seed not in failed]
    assert len(told.seeds) == max(pair.num_seeds for pair in state(results, environment).pairs)
    assert state(results, environment) == by_hand(results, environment)
    assert state(results, environment).is_finished
    assert all(own == list(range(len(own))) for own in seeds(results, environment).values())


def test_pairs_stay_undecided_where_too_many_trials_fail():
    environment = hostile(1 / 50)
    results = corridor(RIVALS, environment)
    assert not state(results, environment).is_finished
    assert max(len(own) for own in seeds(results, environment).values()) <= 32
    assert "at most 32 are tried" in sequential(results, environment).stopped
    assert any("stay undecided" in line for line in results.warnings)


def test_an_agent_whose_trials_all_fail_is_left_out():
    agents = RIVALS | {"planner": "hostile_agents:HopefulPlanner"}
    results = corridor(agents, CORRIDOR, seeds=6, max_seeds=6)
    told = sequential(results, CORRIDOR)
    assert told.agents == ("q", "sarsa")
    assert told.excluded["planner"].startswith("all of its 6 trials failed, the first: ")
    assert len(seeds(results, CORRIDOR)["planner"]) == 6
    assert state(results, CORRIDOR).is_finished
    assert any("planner is left out" in line for line in results.warnings)


def test_where_nobody_is_left_there_is_nothing_to_decide():
    with pytest.raises(AllTrialsFailedError) as failed:
        corridor({"one": "hostile_agents:HopefulPlanner", "other": "hostile_agents:HopefulImprover"}, CORRIDOR, seeds=3)
    results = failed.value.results
    told = sequential(results, CORRIDOR)
    assert told.agents == ()
    assert list(told.excluded) == ["one", "other"]
    assert verdicts(results, CORRIDOR) == {}
    assert any("nothing to decide" in line for line in results.warnings)


def test_failed_trials_are_tried_again_once_if_asked(tmp_path):
    environment = hostile(1 / 800)
    first = corridor(RIVALS, environment, out=tmp_path)
    listener = Listener()
    again = corridor(RIVALS, environment, out=tmp_path, track=listener, retry_failed=True)
    counts = Counter(entry for entry in listener.told if entry != "close" and entry[0] != "start")
    assert sorted(counts) == sorted((record.agent, environment, record.seed) for record in first.failures)
    assert set(counts.values()) == {1}
    assert again.settings == first.settings


# Changed plans


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"max_seeds": 20}, "seeds = 5, max_seeds = 12"),
        ({"seeds": 6}, "seeds = 5, max_seeds = 12"),
        ({"metric": "train_return"}, "seeds = 5, max_seeds = 12"),
    ],
)
def test_a_plan_changed_after_looking_is_told_and_kept(tmp_path, change, told):
    plan = {"seeds": 5, "max_seeds": 12, "episodes": 100, "out": tmp_path, "name": "lake"}
    assert compare(CLOSE, **plan).warnings == ()
    for _ in range(2):
        with pytest.warns(ExperimentWarning, match="voids the bound on errors"):
            results = compare(CLOSE, **plan | change)
        assert told in results.warnings[0]
        assert vd.Results.load(tmp_path).warnings == results.warnings
    with pytest.raises(ExperimentError, match="voids the bound"):
        compare(CLOSE, **plan | change, strict=True)
    assert compare(CLOSE, **plan | change | {"name": "another"}).warnings == ()


def test_a_plan_changed_before_the_first_look_is_no_matter(tmp_path):
    def interrupt(status):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(CLOSE, max_seeds=12, episodes=100, out=tmp_path, progress=interrupt)
    vd.compare(CLOSE, LAKE, seeds=5, episodes=100, out=tmp_path, workers=0)
    assert compare(CLOSE, max_seeds=15, episodes=100, out=tmp_path).warnings == ()


# Bad input


@pytest.mark.parametrize(
    ("error", "line", "options"),
    [
        (ExperimentError, "until_decided needs max_seeds", {"max_seeds": None}),
        (ExperimentError, "max_seeds needs until_decided=True", {"until_decided": False}),
        (
            ExperimentError,
            "metric must be one of .*, got 'greedy_retrun': did you mean 'greedy_return'",
            {"until_decided": False, "max_seeds": None, "metric": "greedy_retrun"},
        ),
        (ExperimentError, "max_seeds must be from 2 to", {"max_seeds": 1}),
        (ExperimentError, "max_seeds must be from 2 to", {"max_seeds": 10**7}),
        (BudgetError, "max_seeds must be a whole number", {"max_seeds": 2.5}),
        (BudgetError, "max_seeds must be a whole number", {"max_seeds": True}),
        (ExperimentError, "that of the first look, and not a list", {"seeds": [1, 2, 3]}),
        (ExperimentError, "must be from 2 to max_seeds = 20, got 21", {"seeds": 21}),
        (ExperimentError, "must be from 2 to max_seeds = 20, got 1", {"seeds": 1}),
        (ExperimentError, "did you mean 'greedy_return'", {"metric": "greedy_returns"}),
        (ExperimentError, "'random' is the only agent", {"agents": {"random": "random"}}),
    ],
)
def test_bad_input_is_told_in_a_line_before_anything_runs(tmp_path, error, line, options):
    given = {"agents": CLOSE, "environments": LAKE, "episodes": 5, "until_decided": True, "max_seeds": 20}
    with pytest.raises(error, match=line) as told:
        vd.compare(**given | options, out=tmp_path / "out")
    assert "\n" not in str(told.value)
    assert not (tmp_path / "out").exists()


def test_a_maximum_that_can_never_decide_is_told():
    with pytest.warns(ExperimentWarning, match="max_seeds = 5 can distinguish no two of 2 agents.* at least 6"):
        results = compare({"random": "random", "fast": AGENTS["fast"]}, DRY, max_seeds=5)
    assert verdicts(results, DRY) == {("random", "fast"): ("not distinguishable", 5)}
    results = compare({"random": "random", "fast": AGENTS["fast"]}, DRY, max_seeds=6)
    assert verdicts(results, DRY) == {("random", "fast"): ("different", 6)}
    assert results.warnings == ()


# Any scores, any failures


def record(agent, seed, score):
    """A trial's record; None is a failed trial."""
    value = math.nan if score is None else score
    names = ("greedy_success_rate", "greedy_mean_return", "train_success_rate", "train_mean_return")
    status = "failed" if score is None else "done"
    return TrialRecord(agent, "lake", seed, status, dict.fromkeys(names, value), error="it broke")


def driven(comparison, scores):
    """Whom the comparison has asked for which seeds, until it is over."""
    asked = []
    while wanted := comparison.next_seeds():
        asked.append(wanted)
        comparison.take([record(agent, seed, scores[agent][seed]) for agent in wanted for seed in wanted[agent]])
    return asked


SCORES = st.lists(st.one_of(st.none(), st.sampled_from([0.0, 0.5, 1.0, 2.0])), min_size=20, max_size=20)


@settings(max_examples=40)
@given(st.lists(SCORES, min_size=2, max_size=4))
def test_any_scores_and_failures_come_to_an_end(tables):
    scores = {f"agent {number}": table for number, table in enumerate(tables)}
    comparison = SequentialComparison("lake", list(scores), SequentialDesign.up_to(4, 10), most_seeds=20)
    asked = driven(comparison, scores)
    # Every agent has had seeds 0, 1, …, without a gap, until it was needed no more.
    for agent, given_seeds in comparison.given.items():
        own = [seed for wanted in asked for seed in wanted.get(agent, ())]
        assert own == list(range(given_seeds))
        assert given_seeds <= 20
    assert comparison.seeds == sorted(set(comparison.seeds))
    for agent in comparison.excluded:
        assert all(scores[agent][seed] is None for seed in range(4))
    assert comparison.state.is_finished != bool(comparison.stopped)
    assert len(comparison.state.pairs) == math.comb(len(comparison.agents), 2)
    now = SequentialState.start(max(1, len(comparison.agents)), comparison.state.design)
    while now.stage < comparison.state.stage:
        used = comparison.seeds[: now.next_size]
        now = look(
            now,
            [
                [scores[agent][seed] for seed in used] if number in now.agents_to_run else []
                for number, agent in enumerate(comparison.agents)
            ],
        )
    assert comparison.state == now


def test_infinite_scores_leave_an_agent_out_at_first_and_stop_everything_later():
    design = SequentialDesign((4, 8))
    close = {"one": [0.0, 1.0] * 4, "other": [1.0, 0.0] * 4}
    comparison = SequentialComparison("lake", [*close, "endless"], design, most_seeds=16)
    driven(comparison, close | {"endless": [0.0, -math.inf] * 4})
    assert comparison.excluded == {"endless": "2 of 4 scores are infinite"}
    assert comparison.state.is_finished
    comparison = SequentialComparison("lake", list(close), design, most_seeds=16)
    driven(comparison, close | {"other": [*close["other"][:5], math.inf, 1.0, 0.0]})
    assert comparison.stopped == "other: 1 of 8 scores are infinite"
    assert comparison.state.stage == 1
    assert not comparison.state.is_finished
    # Told once, however long other environments go on.
    assert comparison.take([]) == []
