"""Trials that are given up as hopeless: by their own evaluations, recorded as such, and never counted as a score."""

import io
import json
import math

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest

import velodrome as vd
from velodrome.agents import QLearning
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.figures import draw
from velodrome.experiments.reporting.footnotes import footnotes
from velodrome.experiments.reporting.report import report_html
from velodrome.experiments.reporting.tables import format_table
from velodrome.experiments.reporting.verdicts import verdict_lines
from velodrome.experiments.specification.experiment import Experiment
from velodrome.experiments.storage.export import export
from velodrome.experiments.storage.store import Store
from velodrome.experiments.trials.checkpoints import train_with_checkpoints
from velodrome.experiments.trials.hopeless import Hopeless, HopelessCheck

LAKE = "FrozenLake-v1"
# Greedy at once: many seeds never find the goal.
AGENTS = {
    "q": "q_learning(learning_rate=0.8, discount=0.95, policy=epsilon_greedy(epsilon=0.1))",
    "noisy": "q_learning(discount=0.95)",
    "random": "random",
    "optimum": "value_iteration",
}
RULE = {"below": 0.2, "after": 200}
FIELDS = {"seeds": 8, "episodes": 400, "evaluate_every": 100}


def compared(agents=None, **fields):
    return vd.compare(agents or AGENTS, LAKE, **{"workers": 0, "name": "lakes", "hopeless": RULE} | FIELDS | fields)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hopeless")


@pytest.fixture(scope="module")
def results(folder):
    return compared(out=folder, solved_at=0.5)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return compared(hopeless=None, out=tmp_path_factory.mktemp("whole"))


def curves_of(results, agent):
    place = results.environments[0]
    records = results.trained.trials(place, agent)
    return dict(
        zip([record.seed for record in records],
            results.trained.measured_curves(place, agent, "evaluation_return"), strict=True)
    )  # fmt: skip


def digest(folder):
    with Store.open_for_reading(folder) as store:
        return store.content_digest()


def test_a_trial_stops_where_none_of_its_own_evaluations_reached_the_return(results, whole):
    place = results.environments[0]
    full, cut = curves_of(whole, "q"), curves_of(results, "q")
    hopeless = {seed for seed, curve in full.items() if max(curve.values[:2]) < 0.2}
    assert 0 < len(hopeless) < 8
    assert {record.seed for record in results.stopped(place, "q")} == hopeless
    for seed, curve in full.items():
        length = 2 if seed in hopeless else len(curve.at)
        assert (cut[seed].at == curve.at[:length]).all()
        assert (cut[seed].values == curve.values[:length]).all()
    # Those that go on are as they would be without the rule.
    numbers = ("greedy_success_rate", "train_mean_return", "steps")
    for record, other in zip(results.trials(place, "q"), whole.trials(place, "q"), strict=True):
        if record.is_done:
            assert [record.number(name) for name in numbers] == [other.number(name) for name in numbers]
        else:
            assert (record.status, record.number("stopped_at"), record.number("episodes")) == ("stopped", 200, 200)
            assert all(math.isnan(record.number(name)) for name in numbers[:2])
    # What does not learn is not waited for.
    assert not results.stopped(place, "random")
    assert not results.stopped(place, "optimum")
    assert not results.failures


def test_stopped_trials_are_no_scores_and_their_agent_has_no_mean(results):
    row = results.table(full=True).set_index("agent").loc["q"]
    stopped = int(row["stopped"])
    assert (stopped, row["failed"], row["no_score"], row["letters"]) == (
        len(results.stopped(results.environments[0], "q")), 0, 0, "",
    )  # fmt: skip
    for name in ("greedy_success_rate_mean", "greedy_return_mean", "iqm", "regret_mean", "tolerance_low", "difference",
                 "spread_percentile_range", "train_success_rate_mean", "episodes_to_threshold"):  # fmt: skip
        assert math.isnan(row[name]), name
    # They count as not solved.
    solved = results.frame().query("agent == 'q'")
    assert row["solved_share"] == solved["solved"].mean()
    assert (solved[solved["status"] == "stopped"]["solved"] == 0).all()
    assert row["solved_seeds"] == 8
    assert "stopped" in results.table().columns
    assert np.isfinite(results.table(full=True).set_index("agent").loc["random", "greedy_success_rate_mean"])


def test_tables_report_and_pictures_say_so(results):
    text = format_table(results, "markdown")
    stopped = len(results.stopped(results.environments[0], "q"))
    assert "| agent | stopped |" in text
    rule = f"stopped: a trial on {LAKE} is given up as hopeless if by 200 episodes no evaluation reached a return of"
    (note,) = [note for note in footnotes(results) if note.startswith(rule)]
    assert f"0.2: q: {stopped} of 8" in note
    lines = " ".join(verdict_lines(results.analysis(), results))
    assert f"{stopped} of the 8 trials of q were stopped as hopeless, so that it has no mean" in lines
    page = report_html(results, language="ko")
    assert "가망 없어 멈춘" in page
    assert "가망 없어 멈추었으므로 평균이 없습니다" in page
    frame = pd.read_csv(io.StringIO(format_table(results, "csv"))).set_index("agent")
    assert frame.loc["q", "stopped"] == stopped
    for kind, end in (("learning", 200), ("evaluation", 200)):
        (axes,) = draw(results, kind).axes
        (line,) = [line for line in axes.get_lines() if line.get_label() == "q"]
        assert line.get_xdata()[-1] == end
    figure = draw(results, "scores")
    assert "stopped trials" in " ".join(text.get_text() for text in figure.texts)


def test_workers_give_the_same_bytes(results, folder, tmp_path):
    compared(out=tmp_path, solved_at=0.5, workers=2)
    assert digest(tmp_path) == digest(folder)


@pytest.mark.parametrize("budget", [{"episodes": 400, "evaluate_every": 50}, {"steps": 4000, "evaluate_every": 500}])
def test_both_loops_stop_at_the_same_step(budget):
    after = 2 * budget["evaluate_every"]
    for seed in range(3):
        logs = [
            QLearning(learning_rate=0.8).train(
                LAKE, seed=seed, loop=loop, stop_when=HopelessCheck(Hopeless(0.4, after)), **budget
            )
            for loop in ("compiled", "generic")
        ]
        assert [log.loop for log in logs] == ["compiled", "generic"]
        assert logs[0].stopped_at == after
        assert (logs[0].steps, logs[0].stopped_at) == (logs[1].steps, logs[1].stopped_at)
        assert (logs[0].returns == logs[1].returns).all()
        assert (logs[0].lengths == logs[1].lengths).all()


def test_a_frame_comes_back_as_it_was(results):
    back = vd.Results.from_frame(results.frame())
    place = results.environments[0]
    assert len(back.stopped(place, "q")) == len(results.stopped(place, "q"))
    assert math.isnan(back.table(full=True).set_index("agent").loc["q", "greedy_success_rate_mean"])


def test_they_are_resumed_verified_and_exported(results, folder, tmp_path):
    before = digest(folder)
    seen = []
    compared(out=folder, solved_at=0.5, progress=lambda status: seen.append((status.reused, status.total)))
    assert seen[-1][0] == seen[-1][1]
    assert digest(folder) == before
    found = vd.verify(folder, workers=0)
    assert found.has_reproduced
    assert not found.not_verified
    trials, _, measured = export(folder, out=tmp_path, curves=True)
    frame = pd.read_csv(trials).query("agent == 'q'")
    stopped = {record.seed for record in results.stopped(results.environments[0], "q")}
    assert set(frame[frame["stopped_at"].notna()]["seed"]) == stopped
    assert frame[frame["stopped_at"].notna()]["greedy_success_rate"].isna().all()
    curve = pd.read_csv(measured).query("agent == 'q' and curve == 'evaluation_return'")
    assert curve.groupby("seed")["at"].max().to_dict() == {seed: 200 if seed in stopped else 400 for seed in range(8)}
    loaded = vd.Results.load(folder)
    assert loaded.settings.hopeless == {LAKE: Hopeless(0.2, 200)}
    joined = vd.Results.joined([loaded, loaded])
    assert {record.seed for record in joined.stopped(LAKE, "q")} == stopped


def test_the_rule_is_part_of_the_key(results, folder, whole):
    keys = {record.key for record in vd.Results.load(folder).records if record.agent in ("q", "noisy")}
    others = {record.key for record in whole.records}
    assert not keys & others
    with Store.open_for_reading(folder) as store:
        (row,) = store.trials(sorted(keys)[:1]).values()
    assert json.loads(row["specification"])["evaluation"]["hopeless"] == {"after": 200, "below": 0.2}
    same = {record.key for record in vd.Results.load(folder).records if record.agent in ("random", "optimum")}
    assert same <= others


class Killed(BaseException):
    pass


@pytest.mark.parametrize(("reaches", "stopped_at"), [(500, None), (None, 1000), (1250, 1000)])
def test_a_kill_changes_nothing(tmp_path, reaches, stopped_at):
    """What was reached before the kill counts, and nothing that was not."""
    deaths = []

    def evaluator(agent):
        step = agent.binding.progress.step
        if step == 750 and not deaths:
            deaths.append(step)
            raise Killed
        return {"return": 0.3 if step == reaches else 0.0}

    def trained(folder):
        learner = QLearning(learning_rate=0.8)
        agent, log = train_with_checkpoints(
            learner, lambda: gym.make(LAKE), folder=folder, key="k", every_seconds=0.0, seed=3, steps=1500,
            loop="generic", evaluate_every=250, evaluator=evaluator, stop_when=HopelessCheck(Hopeless(0.2, 1000)),
        )  # fmt: skip
        return agent is learner, log

    with pytest.raises(Killed):
        trained(tmp_path)
    is_new, log = trained(tmp_path)
    assert not is_new
    _, undisturbed = trained(tmp_path / "other")
    assert (log.stopped_at, log.steps) == (stopped_at, stopped_at or 1500)
    assert (undisturbed.stopped_at, undisturbed.steps) == (log.stopped_at, log.steps)
    assert (log.returns == undisturbed.returns).all()
    for one, other in zip(log.curves, undisturbed.curves, strict=True):
        assert one.name == "training_cpu_seconds" or (one.values == other.values).all()
    assert not list(tmp_path.glob("checkpoint*"))


def test_stop_when_ends_a_training():
    asked = []
    agent = QLearning()
    log = agent.train(
        LAKE, steps=5000, seed=0, evaluate_every=1000,
        stop_when=lambda at, numbers: asked.append((at, sorted(numbers))) or at == 3000,
    )  # fmt: skip
    assert (log.steps, log.stopped_at) == (3000, 3000)
    assert asked == [(at, ["return", "success_rate"]) for at in (1000, 2000, 3000)]
    later = agent.train(
        agent.binding.environment, steps=2000, evaluate_every=1000, stop_when=lambda at, numbers: at == 4000
    )
    assert (later.steps, later.stopped_at) == (1000, 4000)
    assert (log + later).stopped_at == 4000
    assert agent.train(agent.binding.environment, steps=1000).stopped_at is None


def test_a_sequential_comparison_leaves_the_agent_out(tmp_path):
    with pytest.warns(match="q is left out of the comparison on FrozenLake-v1: .* trials were stopped as hopeless"):
        vd.compare(
            {"q": AGENTS["q"], "random": "random", "optimum": "value_iteration"}, LAKE, seeds=6, episodes=400,
            evaluate_every=100, hopeless=RULE, until_decided=True, max_seeds=12, workers=0,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"evaluate_every": None}, "hopeless: looks at evaluations along the training: give evaluate_every too"),
        (
            {"hopeless": {"below": 0.2, "after": 150}},
            "hopeless.after: must be a multiple of evaluate_every (100), got 150",
        ),
        (
            {"hopeless": {"below": 0.2, "after": 400}},
            "hopeless.after: the training of 'q' on 'FrozenLake-v1' ends before, or there: stop none, or give less",
        ),
        (
            {"hopeless": {"below": 2.0, "after": 200}},
            "hopeless.below: no policy reaches it on 'FrozenLake-v1': the best possible return is 0.7442, got 2",
        ),
        (
            {"hopeless": {"below": 0.6, "after": 200}, "solved_at": 0.5},
            "hopeless.below: must be at most solved_at (0.5), got 0.6",
        ),
        ({"hopeless": {"below": 0.2}}, "hopeless.after"),
        ({"hopeless": {"below": 0.2, "after": 200, "befor": 1}}, "hopeless.befor"),
        ({"hopeless": {"below": "high", "after": 200}}, "hopeless.below: must be a finite number, got 'high'"),
        ({"hopeless": 0.2}, "hopeless"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(fields, line):
    with pytest.raises(ExperimentError) as caught:
        Experiment(
            **{"name": "lakes", "agents": {"q": AGENTS["q"]}, "environments": LAKE, "hopeless": RULE} | FIELDS | fields
        )
    assert line in str(caught.value)
    assert "\n" not in str(caught.value).removeprefix("1 mistake:\n")
