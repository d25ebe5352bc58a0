"""Results from elsewhere: tidy tables, and files as Stable-Baselines3, rlberry and rliable make them."""

import io
import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

import velodrome as vd
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.reporting.footnotes import footnotes
from velodrome.experiments.reporting.tables import format_table
from velodrome.experiments.results.importers import from_frame, from_rliable, read_rlberry, read_stable_baselines3
from velodrome.experiments.trials.evaluation import wilson_interval

TIDY = pd.DataFrame(
    {
        "agent": ["A", "A", "B", "B"],
        "environment": ["Maze"] * 4,
        "seed": [0, 1, 0, 1],
        "greedy_success_rate": [0.5, 0.75, 1.0, 1.0],
    }
)


@pytest.fixture(scope="module")
def own():
    agents = {"dummy": "dummy_q", "planner": "value_iteration"}
    return vd.compare(agents, {"ice": "FrozenLake-v1", "cliff": "CliffWalking-v1"}, seeds=3, episodes=60)


def curves_of(results):
    rows = []
    for environment in results.environments:
        for agent in results.agents:
            for record, curve in zip(
                results.trials(environment, agent), results.episode_curves(environment, agent), strict=True
            ):
                for episode in range(curve.episodes):
                    row = {"agent": agent, "environment": environment, "seed": record.seed, "episode": episode + 1}
                    row |= {"return": curve.returns[episode], "length": curve.lengths[episode]}
                    row["success"] = None if curve.successes is None else curve.successes[episode]
                    rows.append(row)
    return pd.DataFrame(rows)


def test_our_own_frame_comes_back_as_it_was(own):
    back = vd.Results.from_frame(own.frame(), curves=curves_of(own), name=own.name)
    pd.testing.assert_frame_equal(back.frame(), own.frame())
    pd.testing.assert_frame_equal(back.table(full=True), own.table(full=True))
    for before, after in zip(own.episode_curves("ice", "dummy"), back.episode_curves("ice", "dummy"), strict=True):
        assert np.array_equal(before.returns, after.returns)
        assert np.array_equal(before.lengths, after.lengths)
        assert np.array_equal(before.successes, after.successes)


def test_our_own_frame_comes_back_through_a_csv_file(own):
    back = vd.Results.from_frame(pd.read_csv(io.StringIO(own.frame().to_csv(index=False))))
    pd.testing.assert_frame_equal(back.frame(), own.frame())


@given(st.permutations(range(4)))
def test_the_order_of_the_rows_changes_no_number(order):
    results = from_frame(TIDY.iloc[list(order)])
    by_identity = results.frame().sort_values(["agent", "seed"], ignore_index=True)
    pd.testing.assert_frame_equal(by_identity, from_frame(TIDY).frame())


def test_what_is_not_known_is_not_claimed():
    results = from_frame(TIDY)
    assert results.settings.origin == "frame"
    assert results.budget("Maze", "A") == (None, None)
    assert results.settings.agents == {"A": "", "B": ""}
    record = results.records[0]
    assert record.measures["success_rule"] == "not stated"
    assert record.measures["evaluation"] == record.measures["loop"] == ""
    unknown = ("episodes", "steps", "greedy_mean_return", "best_success_rate", "train_seconds", "wall_seconds")
    assert all(math.isnan(record.row()[column]) for column in unknown)
    told = " ".join(footnotes(results))
    assert told.startswith("Seeds: 2 seeds (0–1). ")
    assert "Training" not in told
    assert "in each trial" not in told
    assert "evaluated" not in told
    assert "success rule not stated" in told
    with pytest.raises(ValueError, match="came from elsewhere"):
        results.save("anywhere")


def test_records_have_the_columns_of_our_own(own):
    assert list(from_frame(TIDY).frame()) == list(own.frame())


def test_failed_trials_are_counted_and_told():
    frame = TIDY.assign(status=["done", "failed", None, "timed out"], error=["", "no memory", None, "too slow"])
    results = from_frame(frame)
    assert [row["failed"] for row in results.rows()] == [1, 1]
    assert [record.error for record in results.failures] == ["no memory", "too slow"]
    assert "no memory" in format_table(results, "markdown")


def test_a_row_without_any_score_is_a_failed_trial():
    results = from_frame(TIDY.assign(greedy_success_rate=[0.5, None, 1.0, 1.0]))
    assert [(record.agent, record.seed, record.error) for record in results.failures] == [("A", 1, "no score")]


def test_other_columns_are_ignored_and_named():
    results = from_frame(TIDY.assign(commit="abc", cluster=1))
    assert results.notes == ("Columns that are not used: commit, cluster.",)
    assert "commit" not in results.frame()


def test_the_speed_is_reckoned_where_it_is_not_given():
    (record, *_) = from_frame(TIDY.assign(steps=100, train_seconds=4.0)).records
    assert record.steps_per_second == 25
    assert record.measures["steps"] == 100
    assert isinstance(record.measures["steps"], int)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gredy_success_rate": 1.0}, "unknown column 'gredy_success_rate'"),
        ({"greedy_mean_retrun": 1.0}, "did you mean 'greedy_mean_return'"),
        ({"success_rate": 1.0}, "'success_rate' may mean two things: call it greedy_success_rate"),
        ({"return": 1.0}, "call it greedy_mean_return"),
        ({"greedy_success_rate": [0.5, 1.5, 1, 1]}, "'greedy_success_rate', row 1: must be a rate between 0 and 1"),
        ({"greedy_success_rate": ["0.5", 1, 1, 1]}, "row 0: must be a number, got '0.5'"),
        ({"greedy_success_rate": True}, "must be a number"),
        ({"seed": [0, None, 0, 1]}, "'seed', row 1: every trial needs a seed"),
        ({"seed": [0, 0.5, 0, 1]}, "'seed', row 1: must be a whole number"),
        ({"seed": [0, -1, 0, 1]}, "'seed', row 1: must be a whole number from 0"),
        ({"seed": 0}, "A on Maze has more than one trial of seed 0"),
        ({"agent": [1, 2, 3, 4]}, "'agent', row 0: must be text, got 1"),
        ({"environment": ["Maze", "", "Maze", "Maze"]}, "'environment', row 1: every trial needs one"),
        ({"episodes": 10.5}, "'episodes', row 0: must be a whole number"),
        ({"steps": math.inf}, "'steps', row 0: must be a whole number"),
        ({"train_seconds": -1.0}, "'train_seconds', row 0: must be a number of seconds"),
        ({"status": "finished"}, "must be one of done, failed, timed out, stopped, got 'finished'"),
        ({"key": "same"}, "'same' is there more than once"),
    ],
)
def test_a_wrong_table_is_refused_in_one_line(change, message):
    with pytest.raises(ExperimentError) as refused:
        from_frame(TIDY.assign(**change))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ([1, 2], "must be a pandas.DataFrame, got list"),
        (TIDY.drop(columns="seed"), "needs a column 'seed'"),
        (TIDY.drop(columns="greedy_success_rate"), "needs a score"),
        (TIDY.iloc[:0], "there is no trial"),
        (pd.concat([TIDY, TIDY[["seed"]]], axis=1), "'seed' is there more than once"),
    ],
)
def test_a_table_without_what_it_needs_is_refused(frame, message):
    with pytest.raises(ExperimentError, match=message):
        from_frame(frame)


def episodes(**columns):
    rows = {"agent": "A", "environment": "Maze", "seed": 0, "episode": [2, 0, 1], "return": [3.0, 1.0, 2.0]}
    return pd.DataFrame(rows | columns)


def test_curves_give_what_the_table_does_not_say():
    results = from_frame(TIDY, curves=episodes(length=[5, 3, 4], success=[True, False, False]))
    (curve,) = results.episode_curves("Maze", "A")
    assert curve.returns.tolist() == [1, 2, 3]
    assert curve.lengths.tolist() == [3, 4, 5]
    assert curve.successes.tolist() == [False, False, True]
    first = results.trials("Maze", "A")[0]
    assert (first.measures["episodes"], first.measures["steps"], first.measures["train_mean_return"]) == (3, 12, 2.0)
    assert first.measures["train_success_rate"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"episode": [0, 1, 3]}, "without gaps"),
        ({"episode": [0, 1, 1]}, "each once"),
        ({"episode": [5, 6, 7]}, "from 0 or 1"),
        ({"return": ["a", "b", "c"]}, "column 'return' must hold numbers"),
        ({"return": [1.0, None, 2.0]}, "column 'return' has an empty cell"),
        ({"seed": 0.5}, "must hold whole numbers"),
        ({"seed": 7}, "A on Maze with seed 7 is no trial of the table"),
        ({"length": [1, 2, 0]}, "lengths of A on Maze with seed 0"),
        ({"success": [1, 0, 2]}, "successes of A on Maze with seed 0"),
        ({"success": [1, 0, None]}, "successes of A on Maze with seed 0"),
    ],
)
def test_wrong_curves_are_refused(columns, message):
    with pytest.raises(ExperimentError, match=message):
        from_frame(TIDY, curves=episodes(**columns))


def test_curves_that_contradict_the_table_are_refused():
    with pytest.raises(ExperimentError, match="10 episodes by the table and 3 by its curve"):
        from_frame(TIDY.assign(episodes=10), curves=episodes())


def monitor(path, rows, start=1000.0, environment="CartPole-v1", extra=""):
    lines = [f"#{json.dumps({'t_start': start, 'env_id': environment})}", f"r,l,t{extra}", *rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def evaluations(path, results, **more):
    np.savez(path, timesteps=[100, 200], results=results, ep_lengths=np.ones((2, 4), dtype=int), **more)


def test_monitors_of_a_folder_are_one_training_in_the_order_of_ends(tmp_path):
    monitor(tmp_path / "0.monitor.csv", ["1.0,10,1.5,False", "3.0,30,3.5,True"], extra=",is_success")
    monitor(tmp_path / "1.monitor.csv", ["2.0,20,1.25,False"], start=1001.0, extra=",is_success")
    results = read_stable_baselines3(tmp_path, agent="PPO", seed=3)
    (record,) = results.records
    assert (record.agent, record.environment, record.seed) == ("PPO", "CartPole-v1", 3)
    assert (record.measures["episodes"], record.measures["steps"], record.measures["train_mean_return"]) == (3, 60, 2.0)
    assert record.measures["train_success_rate"] == pytest.approx(1 / 3)
    assert record.measures["success_rule"] == "info['is_success']"
    assert record.wall_seconds == pytest.approx(3.5)
    assert math.isnan(record.train_seconds)
    assert math.isnan(record.measures["greedy_mean_return"])
    assert record.measures["evaluation"] == ""
    (curve,) = results.episode_curves("CartPole-v1", "PPO")
    assert curve.returns.tolist() == [1, 2, 3]
    assert curve.lengths.tolist() == [10, 20, 30]
    assert results.settings.origin == "stable-baselines3"


def test_a_monitor_that_was_appended_to_keeps_its_order(tmp_path):
    monitor(tmp_path / "monitor.csv", ["1.0,1,5.0", "2.0,1,6.0", "3.0,1,0.5"])
    results = read_stable_baselines3(tmp_path / "monitor.csv", agent="A", seed=0)
    assert [curve.returns.tolist() for curve in results.episode_curves("CartPole-v1", "A")] == [[1, 2, 3]]
    assert math.isnan(results.records[0].wall_seconds)


def test_the_last_evaluation_is_the_greedy_score(tmp_path):
    successes = [[True, True, True, True], [True, False, False, False]]
    evaluations(tmp_path / "evaluations.npz", [[9.0, 9, 9, 9], [1.0, 2, 3, 6]], successes=successes)
    results = read_stable_baselines3(tmp_path, agent="DQN", environment="Pole", seed=0)
    (record,) = results.records
    assert record.measures["greedy_mean_return"] == 3.0
    assert (record.measures["evaluation"], record.measures["evaluation_episodes"], record.measures["steps"]) == (
        "monte-carlo",
        4,
        200,
    )
    assert record.measures["greedy_success_rate"] == 0.25
    assert (record.measures["greedy_success_rate_low"], record.measures["greedy_success_rate_high"]) == wilson_interval(
        1, 4
    )
    assert results.settings.evaluation_episodes == 4
    assert "after 200 steps" in results.notes[0]


def test_several_runs_are_read_by_their_keys(tmp_path):
    for seed in range(3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        monitor(folder / "0.monitor.csv", [f"{seed}.0,5,1.0"])
        evaluations(folder / "evaluations.npz", [[0.0] * 4, [float(seed)] * 4])
    results = read_stable_baselines3({("PPO", None, seed): tmp_path / str(seed) for seed in range(3)})
    assert [row["greedy_return_mean"] for row in results.rows()] == [1.0]
    assert results.rows()[0]["seeds"] == 3
    one_by_one = [read_stable_baselines3(tmp_path / str(seed), agent="PPO", seed=seed) for seed in range(3)]
    assert vd.Results.joined(one_by_one).frame().equals(results.frame())


def test_files_that_are_none_of_stable_baselines3_are_refused(tmp_path):
    def refuse(message, *, source=tmp_path, **run):
        with pytest.raises(ExperimentError, match=message) as refused:
            read_stable_baselines3(source, **({"agent": "A", "environment": "E", "seed": 0} | run))
        assert "\n" not in str(refused.value)

    refuse("there is no \\*monitor.csv and no evaluations.npz")
    refuse("must be a \\*monitor.csv", source=tmp_path / "progress.csv")
    refuse("there is no such file", source=tmp_path / "monitor.csv")
    file = tmp_path / "monitor.csv"
    file.write_text("r,l,t\n1,2,3\n")
    refuse("no file of Stable-Baselines3's Monitor")
    file.write_text('#{"t_start": 0.0, "env_id": "None"}\nr,l\n1,2\n')
    refuse("has no column 't'")
    file.write_text('#{"t_start": 0.0, "env_id": "None"}\nr,l,t\n1,2,3\nx,2,3\n')
    refuse("line 4: column 'r' holds no number")
    monitor(file, ["1,2,3"], environment=None)
    refuse("environment of A with seed 0 must be given", environment=None)
    refuse("agent and seed must be given", agent=None)
    refuse("whole number from 0", seed=-1)
    refuse("in the keys", source={("A", "E", 0): file})
    np.savez(tmp_path / "evaluations.npz", timesteps=[1], results=np.array([[1], [2, 3]], dtype=object))
    refuse("EvalCallback: results holds Python objects")
    (tmp_path / "evaluations.npz").write_bytes(b"PK nothing")
    refuse("no file of Stable-Baselines3's EvalCallback")


def writer_rows(name, tags, run=None):
    """As DefaultWriter gives them: tag by tag, with the time and step of each value."""
    rows = [
        {"name": name, "tag": tag, "value": value, "dw_time_elapsed": 0.001 * (step + 1), "global_step": step}
        for tag, values in tags.items()
        for step, value in enumerate(values)
    ]
    return pd.DataFrame(rows) if run is None else pd.DataFrame(rows).assign(n_simu=run)


def test_fits_of_a_manager_are_told_apart_without_their_numbers(tmp_path):
    folder = tmp_path / "manager_data" / "QL_2026-01-01_00-00-00_abcdef01"
    folder.mkdir(parents=True)
    fits = [writer_rows("QL", {"episode_rewards": [k, k + 1.0], "loss": [9.0]}) for k in range(3)]
    pd.concat(fits, ignore_index=True).to_csv(folder / "data.csv", index=None)
    results = read_rlberry(tmp_path, environment="grid")
    assert [(record.seed, record.measures["train_mean_return"]) for record in results.records] == [
        (0, 0.5),
        (1, 1.5),
        (2, 2.5),
    ]
    assert [curve.returns.tolist() for curve in results.episode_curves("grid", "QL")] == [[0, 1], [1, 2], [2, 3]]
    assert "QL: 3 fits" in results.notes[0]
    assert math.isnan(results.records[0].measures["steps"])
    assert results.records[0].measures["episodes"] == 2
    assert [row["train_return_mean"] for row in results.rows()] == [1.5]


def test_fits_with_one_tag_begin_where_the_time_goes_back(tmp_path):
    fits = [writer_rows("QL", {"episode_rewards": [k] * 4}) for k in range(3)]
    pd.concat(fits).to_csv(tmp_path / "data.csv", index=None)
    results = read_rlberry(tmp_path / "data.csv", environment="grid")
    assert [record.measures["train_mean_return"] for record in results.records] == [0, 1, 2]


def test_the_table_of_read_writer_data_is_read_by_its_numbers():
    # It repeats the rows of the other tags without a number.
    parts = []
    for agent in ("QL", "SARSA"):
        for run in ("0", "1"):
            tags = {"episode_rewards": [float(run)] * 3, "evaluation": [5.0, 7.0]}
            rows = writer_rows(agent, tags, run)
            for tag in tags:
                others = rows[rows["tag"] != tag].drop(columns="n_simu")
                parts.append(pd.concat([rows[rows["tag"] == tag], others], ignore_index=True))
    results = read_rlberry(pd.concat(parts, ignore_index=True), environment="grid", evaluation_tag="evaluation")
    assert [(record.agent, record.seed) for record in results.records] == [
        ("QL", 0), ("QL", 1), ("SARSA", 0), ("SARSA", 1),
    ]  # fmt: skip
    assert [record.measures["train_mean_return"] for record in results.records] == [0, 1, 0, 1]
    assert {record.measures["greedy_mean_return"] for record in results.records} == {7.0}
    assert {record.measures["evaluation"] for record in results.records} == {"monte-carlo"}
    assert all(record.measures["episodes"] == 3 for record in results.records)


def test_rlberry_files_of_one_name_are_told_apart_by_the_user(tmp_path):
    for part in ("one", "two"):
        (tmp_path / part).mkdir()
        writer_rows("QL", {"episode_rewards": [1.0, 2.0]}).to_csv(tmp_path / part / "data.csv", index=None)
    with pytest.raises(ExperimentError, match="'QL' is also in"):
        read_rlberry(tmp_path, environment="grid")
    results = read_rlberry({"slow": tmp_path / "one", "fast": tmp_path / "two"}, environment="grid")
    assert results.agents == ["slow", "fast"]


def test_tables_that_are_none_of_rlberry_are_refused(tmp_path):
    rows = writer_rows("QL", {"episode_rewards": [1.0]})
    for source, message in [
        (tmp_path, "there is no data.csv"),
        (tmp_path / "missing.csv", "cannot be read"),
        (rows.drop(columns="tag"), "needs a column 'tag'"),
        (rows.assign(tag="episode_reward"), "has no tag 'episode_rewards': did you mean 'episode_reward'"),
        (rows.assign(value="high"), "must hold numbers"),
        ({"A": pd.concat([rows, rows.assign(name="B")])}, "'A' is one agent, but the data holds QL, B"),
    ]:
        with pytest.raises(ExperimentError, match=message):
            read_rlberry(source, environment="grid")
    with pytest.raises(ExperimentError, match="no score"):
        read_rlberry(rows, environment="grid", training_tag=None)


def test_scores_of_rliable_become_one_trial_a_run_and_task():
    scores = {"DQN": np.array([[1.0, 2.0], [3.0, 4.0], [5.0, np.nan]]), "IQN": np.array([[10.0, 20.0]])}
    results = from_rliable(scores, ["Pong", "Breakout"])
    assert results.environments == ["Pong", "Breakout"]
    assert results.agents == ["DQN", "IQN"]
    assert [row["greedy_return_mean"] for row in results.rows()] == [3, 10, 3, 20]
    assert [(row["seeds"], row["failed"]) for row in results.rows()] == [(3, 0), (1, 0), (2, 1), (1, 0)]
    assert results.settings.origin == "rliable"
    assert from_rliable(scores).environments == ["task 1", "task 2"]


@pytest.mark.parametrize(
    ("scores", "options", "message"),
    [
        ({}, {}, "must be a dictionary"),
        ({"A": [1.0, 2.0]}, {}, "must be of shape"),
        ({"A": np.zeros((2, 3, 4))}, {}, "third axis"),
        ({"A": [["x"]]}, {}, "must be an array of numbers"),
        ({"A": [[1.0]], "B": [[1.0, 2.0]]}, {}, "scores of B: 2 environments, where 1 are expected"),
        ({"A": [[1.0]]}, {"environments": ["E", "F"]}, "1 environments, where 2 are expected"),
        ({"A": [[1.0, 1.0]]}, {"environments": ["E", "E"]}, "a label of its own"),
        ({"A": [[1.5]]}, {"metric": "greedy_success_rate"}, "between 0 and 1"),
        ({"A": [[1.5]]}, {"metric": "greedy_retrun"}, "did you mean 'greedy_return'"),
    ],
)
def test_other_scores_are_refused(scores, options, message):
    with pytest.raises(ExperimentError, match=message):
        from_rliable(scores, **options)


def test_a_monitor_of_windows_begins_with_a_mark(tmp_path):
    monitor(tmp_path / "monitor.csv", ["1.0,10,1.5", "3.0,30,3.5"])
    plain = (tmp_path / "monitor.csv").read_bytes()
    (tmp_path / "monitor.csv").write_bytes(b"\xef\xbb\xbf" + plain)
    results = read_stable_baselines3(tmp_path / "monitor.csv", agent="A", seed=0)
    assert results.records[0].measures["train_mean_return"] == 2.0


@pytest.mark.parametrize("rows", [["1.0,10,1.5,3.0,30,3.5"], ["1.0,10"], ["1.0,10,1.5", "3.0,30,3.5,4.0"]])
def test_a_monitor_whose_rows_do_not_fit_their_names_is_refused(tmp_path, rows):
    monitor(tmp_path / "monitor.csv", rows)
    with pytest.raises(ExperimentError, match=r"^[^\n]*monitor\.csv, line \d: has \d values, but there are 3 columns$"):
        read_stable_baselines3(tmp_path / "monitor.csv", agent="A", seed=0)


# Values that no run can have


MONITOR = '#{"t_start": 0.0, "env_id": "CartPole-v1"}\nr,l,t\n20.0,20,0.1\n'


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("20.0,1e30,0.2", "column 'l' must be a whole number of steps from 1, got 1e+30"),
        ("20.0,inf,0.2", "column 'l' must be a whole number of steps from 1, got inf"),
        ("20.0,-5,0.2", "column 'l' must be a whole number of steps from 1, got -5"),
        ("20.0,0,0.2", "column 'l' must be a whole number of steps from 1, got 0"),
        ("20.0,2.5,0.2", "column 'l' must be a whole number of steps from 1, got 2.5"),
        ("inf,20,0.2", "column 'r' must be a finite number, got inf"),
        ("20.0,20,inf", "column 't' must be a finite number, got inf"),
    ],
)
def test_impossible_rows_of_a_monitor_are_refused_with_row_and_column(tmp_path, row, reason):
    file = tmp_path / "monitor.csv"
    file.write_text(MONITOR + row + "\n")
    with pytest.raises(ExperimentError) as refused:
        read_stable_baselines3(file, agent="DQN", seed=0)
    assert str(refused.value) == f"{file}, line 4: {reason}"


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        (np.array([[1.0 + 2.0j]]), "scores of A: must be real numbers, got complex ones"),
        ([[0.5], [np.inf]], "scores of A: run 1, column 0 is inf, not a finite number"),
    ],
)
def test_scores_in_rliables_form_must_be_finite_real_numbers(scores, reason):
    with pytest.raises(ExperimentError, match=re.escape(reason)):
        from_rliable({"A": scores})


@pytest.mark.parametrize("score", [np.inf, -np.inf, 10**400])
def test_a_score_of_a_table_must_be_finite(score):
    frame = pd.DataFrame({"agent": ["A"], "environment": ["e"], "seed": [0], "greedy_mean_return": [score]}, index=[7])
    with pytest.raises(ExperimentError, match="column 'greedy_mean_return', row 7: must be a finite number"):
        vd.Results.from_frame(frame)


@pytest.mark.parametrize("column", ["agent", "environment"])
@pytest.mark.parametrize("label", ["A\x1b[31m", "A\nB", "A\r", "A\u2028", "A\x9b"])
def test_labels_that_would_command_a_terminal_are_refused(column, label):
    row = {"agent": "A", "environment": "e", "seed": 0, "greedy_mean_return": 1.0} | {column: label}
    with pytest.raises(ExperimentError, match="one line without control characters") as refused:
        vd.Results.from_frame(pd.DataFrame([row]))
    assert label not in str(refused.value)
    with pytest.raises(ExperimentError, match="one line without control characters"):
        from_rliable({label: [[1.0]]})


def test_returns_of_a_curve_must_be_finite():
    frame = pd.DataFrame({"agent": ["A"], "environment": ["e"], "seed": [0], "greedy_mean_return": [1.0]})
    curves = pd.DataFrame({"agent": "A", "environment": "e", "seed": 0, "episode": [0, 1], "return": [1.0, np.inf]})
    with pytest.raises(ExperimentError, match="curves: column 'return', row 1: must be a finite number"):
        vd.Results.from_frame(frame, curves=curves)
